import * as fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { doctorFileSystem } from './store-layout.ts';

type Rename = (from: string, to: string) => Promise<void>;

/**
 * Moves a file or a directory to a place that is free, also to another file system (a log, or queues, kept on another disk
 * than the root): there it is copied, the copy is whole and *on disk* before it gets its name, and only then the original
 * goes. At whatever point it is interrupted, one of the two places has all of it. What an interrupted copy left is
 * removed by the next. Resolves when the new name, and the end of the old one, is on disk.
 */
export async function moveDurably(from: string, to: string, rename: Rename = fs.rename): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    const copy = `${to}.copying`;
    await fs.rm(copy, { recursive: true, force: true });
    await copyDurably(from, copy);
    await fs.rename(copy, to);
    await doctorFileSystem.syncDirectory(dirname(to));
    await fs.rm(from, { recursive: true, force: true });
  }
  await doctorFileSystem.syncDirectory(dirname(to));
  await doctorFileSystem.syncDirectory(dirname(from));
}

/** Sparse files stay sparse where the file system can share blocks; their times are kept, for files expire by them. */
async function copyDurably(from: string, to: string): Promise<void> {
  const stat = await fs.lstat(from);
  if (stat.isDirectory()) {
    await fs.mkdir(to, { mode: stat.mode });
    for (const name of await fs.readdir(from)) await copyDurably(join(from, name), join(to, name));
    await doctorFileSystem.syncDirectory(to);
    return;
  }
  if (stat.isSymbolicLink()) {
    await fs.symlink(await fs.readlink(from), to);
    return;
  }
  if (!stat.isFile()) throw new Error(`${from} is neither a file nor a directory, it cannot be copied`);
  await copyFile(from, to, stat.size);
  const file = await fs.open(to, 'r+');
  try {
    await file.utimes(stat.atime, stat.mtime);
    await file.sync();
  } finally {
    await file.close();
  }
}

const CHUNK_BYTES = 64 * 1024;

/** What reads as zeros is not written, so that it takes no room: queue and index files are sparse. */
async function copyFile(from: string, to: string, size: number): Promise<void> {
  const source = await fs.open(from, 'r');
  try {
    const target = await fs.open(to, 'wx', (await source.stat()).mode);
    try {
      await target.truncate(size);
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      const zeros = Buffer.alloc(CHUNK_BYTES);
      for (let at = 0; ; ) {
        const { bytesRead } = await source.read(chunk, 0, CHUNK_BYTES, at);
        if (bytesRead === 0) return;
        if (chunk.compare(zeros, 0, bytesRead, 0, bytesRead) !== 0) await target.write(chunk, 0, bytesRead, at);
        at += bytesRead;
      }
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}
