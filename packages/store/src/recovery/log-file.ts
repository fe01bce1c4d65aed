import type { FileSystem, StoreFile } from '../base/file-system.ts';

/** A commit-log file as recovery sees it: a range of the log with a name. */
export interface LogFile {
  readonly path: string;
  /** Offset in the log of its first byte. */
  readonly from: number;
  readonly size: number;
}

/** The file that holds this offset; `files` is sorted and without gaps. */
export function logFileOf(files: readonly LogFile[], offset: number): LogFile | undefined {
  return files.find((file) => offset >= file.from && offset < file.from + file.size);
}

/** End of the last file, 0 without files. */
export function endOf(files: readonly LogFile[]): number {
  const last = files[files.length - 1];
  return last === undefined ? 0 : last.from + last.size;
}

/** Opens, hands over and closes whatever happens. */
export async function withFile<Result>(
  fileSystem: FileSystem,
  path: string,
  mode: 'read' | 'write',
  use: (file: StoreFile) => Promise<Result>,
): Promise<Result> {
  const file = await fileSystem.open(path, mode);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}
