import { join } from 'node:path';
import { StoreError } from '../base/errors.ts';
import { isOffsetName } from '../base/file-name.ts';
import type { FileSystem } from '../base/file-system.ts';
import { notAFileError } from '../base/not-a-file.ts';

interface ListedFile {
  readonly path: string;
  /** Of its first byte in the log. */
  readonly offset: number;
  /** In bytes. */
  readonly size: number;
}

export interface ListedFiles {
  /** In order, without a gap, all of the configured size. */
  readonly files: readonly ListedFile[];
  /** Path of a last file of no length, which a crash left while it was made. */
  readonly empty: string | undefined;
  /** When the last file was last changed, in Unix ms; undefined without a file. */
  readonly newestMs: number | undefined;
}

/**
 * The files of a log, as its directory has them; touches nothing. A file that has not `fileSize` bytes rejects with
 * STORE_FILE_SIZE_MISMATCH, a gap between files with STORE_DAMAGED, a name that is no offset with STORE_NOT_A_STORE, a
 * directory, pipe or device of such a name with STORE_NOT_A_FILE. Other sub-directories are ignored.
 */
export async function listMappedFiles(
  fileSystem: FileSystem,
  directory: string,
  fileSize: number,
): Promise<ListedFiles> {
  const files: ListedFile[] = [];
  let newestMs: number | undefined;
  for (const name of await fileSystem.list(directory)) {
    const path = join(directory, name);
    const stat = await fileSystem.stat(path);
    if (stat?.isDirectory && isOffsetName(name)) throw notAFileError(path, 'a directory');
    if (stat === undefined || stat.isDirectory) continue;
    if (!isOffsetName(name)) {
      throw new StoreError('STORE_NOT_A_STORE', `${path} is not a file of a log: its name is no offset`, { path });
    }
    files.push({ path, offset: Number(name), size: stat.size });
    newestMs = stat.mtimeMs;
  }
  const empty = files.at(-1)?.size === 0 ? files.pop()?.path : undefined;
  checkSizes(files, fileSize);
  return { files, empty, newestMs };
}

function checkSizes(files: readonly ListedFile[], expected: number): void {
  let next = files[0]?.offset;
  for (const { path, offset, size } of files) {
    if (size !== expected) {
      const message = `${path} has ${size} bytes, the configured file size is ${expected}`;
      throw new StoreError('STORE_FILE_SIZE_MISMATCH', message, { file: path, expected, found: size });
    }
    if (offset !== next) {
      const message = `${path} begins at ${offset}, but the file before it ends at ${next}`;
      throw new StoreError('STORE_DAMAGED', message, { file: path, expected: next, found: offset });
    }
    next = offset + expected;
  }
}
