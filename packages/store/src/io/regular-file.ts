/**
 * Opens what is a regular file and nothing else. The open of a named pipe waits for the other end, and a device gives
 * bytes without an end: a start, or the doctor, would hang on either. Opened without waiting, then looked at.
 */
import * as fs from 'node:fs';
import { promisify } from 'node:util';
import { StoreError } from '../base/errors.ts';
import { notAFileError } from '../base/not-a-file.ts';
import { errnoOf } from '../base/queue-failure.ts';

const open = promisify(fs.open);
const fstat = promisify(fs.fstat);
const close = promisify(fs.close);

/** Both do nothing to a regular file. Windows has neither. */
const WITHOUT_WAITING = (fs.constants.O_NONBLOCK ?? 0) | (fs.constants.O_NOCTTY ?? 0);
/** A file that may be made is never made, nor emptied, where a link leads. Windows has no such flag. */
const WITHOUT_LINKS = fs.constants.O_NOFOLLOW ?? 0;

const flagsOf = (flags: number): number =>
  flags | WITHOUT_WAITING | ((flags & fs.constants.O_CREAT) === 0 ? 0 : WITHOUT_LINKS);

type Kind = Pick<fs.Stats, 'isFile' | 'isDirectory' | 'isFIFO' | 'isSocket' | 'isCharacterDevice' | 'isBlockDevice'>;

/** What lies there, in words; undefined for a regular file. */
export function kindBesidesFile(stat: Kind): string | undefined {
  if (stat.isFile()) return undefined;
  if (stat.isDirectory()) return 'a directory';
  if (stat.isFIFO()) return 'a named pipe';
  if (stat.isSocket()) return 'a socket';
  if (stat.isCharacterDevice()) return 'a character device';
  if (stat.isBlockDevice()) return 'a block device';
  return 'no file of a known kind';
}

/** Throws STORE_NOT_A_FILE unless it is a regular file. */
export function checkIsFile(path: string, stat: Kind): void {
  const kind = kindBesidesFile(stat);
  if (kind !== undefined) throw notAFileError(path, kind);
}

/** A descriptor of the regular file at `path`; with O_CREAT no link is followed. Rejects STORE_NOT_A_FILE, and else with the errno error of the call. */
export async function openRegular(path: string, flags: number, mode?: number): Promise<number> {
  let fd: number;
  try {
    fd = await open(path, flagsOf(flags), mode);
  } catch (error) {
    if (errnoOf(error) === 'ELOOP') throw linkError(path);
    if (saysNoFile(error)) checkIsFile(path, await fs.promises.stat(path));
    throw error;
  }
  try {
    checkIsFile(path, await fstat(fd));
    return fd;
  } catch (error) {
    await close(fd);
    throw error;
  }
}

/** As {@link openRegular}, at once. */
export function openRegularSync(path: string, flags: number, mode?: number): number {
  let fd: number;
  try {
    fd = fs.openSync(path, flagsOf(flags), mode);
  } catch (error) {
    if (errnoOf(error) === 'ELOOP') throw linkError(path);
    if (saysNoFile(error)) checkIsFile(path, fs.statSync(path));
    throw error;
  }
  try {
    checkIsFile(path, fs.fstatSync(fd));
    return fd;
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
}

/** Tables have a few MiB; no text of JavaScript has more. */
const WHOLE_BYTES_MAX = 512 * 1024 * 1024;

/** The whole content of a regular file. Rejects as {@link openRegular}, and STORE_FILE_SIZE_MISMATCH for one beyond 512 MiB. */
export async function readRegular(path: string): Promise<Buffer> {
  const fd = await openRegular(path, fs.constants.O_RDONLY);
  try {
    const { size } = await fstat(fd);
    if (size > WHOLE_BYTES_MAX) {
      const message = `${path} has ${size} bytes; of a file that is read as a whole at most ${WHOLE_BYTES_MAX} are believed`;
      throw new StoreError('STORE_FILE_SIZE_MISMATCH', message, { path, expected: WHOLE_BYTES_MAX, found: size });
    }
    return await promisify(fs.readFile)(fd);
  } finally {
    await close(fd);
  }
}

/** The error for a link where none is followed, or one that leads nowhere: what is at its end, or the link itself. */
export function linkError(path: string): StoreError {
  try {
    return notAFileError(path, kindBesidesFile(fs.statSync(path)) ?? 'a symbolic link');
  } catch (error) {
    return notAFileError(path, errnoOf(error) === 'ELOOP' ? 'a loop of links' : 'a symbolic link');
  }
}

/** A directory opened for writing, a socket, a pipe that nobody reads. */
function saysNoFile(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno === 'EISDIR' || errno === 'ENXIO' || errno === 'ENODEV';
}
