import { type FileHandle, mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Replaces a small file: its bytes are *on disk* under their name when the promise resolves, and a crash at any moment
 * leaves the old content or the new one. Temporary file, fsync, rename, fsync of the directory.
 */
export async function replaceFile(path: string, content: string): Promise<void> {
  const directory = dirname(path);
  await mkdir(directory, { recursive: true });
  await withFile(`${path}.tmp`, 'w', async (file) => {
    await file.writeFile(content);
    await file.sync();
  });
  await rename(`${path}.tmp`, path);
  // Windows cannot open a directory; its rename is journalled.
  if (process.platform !== 'win32') await withFile(directory, 'r', (file) => file.sync());
}

/** Content of a file; undefined when there is none. */
export async function readWhole(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function withFile(path: string, flags: string, use: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await open(path, flags);
  try {
    await use(file);
  } finally {
    await file.close();
  }
}
