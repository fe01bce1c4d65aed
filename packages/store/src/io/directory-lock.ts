/**
 * One opening at a time of one directory, whoever asks: another thread of this process (which has a globalThis of its own
 * and shares the process's record locks), another process, another container with the same volume; with or without koffi.
 * What is locked is the directory itself and not a name in it, and the lock ends with its holder: kill -9 leaves nothing
 * that needs a hand.
 *
 * | System  | Lock                                                                                                  |
 * |---------|-------------------------------------------------------------------------------------------------------|
 * | Linux   | flock(2) of the directory, by koffi, else by the program `flock` (util-linux, busybox), which is given the descriptor: the lock belongs to what was opened and stays when the program has ended |
 * | macOS   | O_EXLOCK of the directory, which is flock(2) at the opening                                           |
 * | Windows | a file in a sub-directory, opened so that nobody else can open it                                     |
 *
 * A file system that has no locks for directories (NFS wants a descriptor open for writing) gets the file of Windows.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, constants, mkdirSync, openSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { StoreError } from '../base/errors.ts';
import { errnoOf } from '../base/queue-failure.ts';
import { DIRECTORY_MODE, FILE_MODE } from './modes.ts';
import type { Native } from './native.ts';
import { LOCK_DIRECTORY } from './store-directory.ts';

export type LockMode = 'exclusive' | 'shared';

/** What open(2) of macOS and libuv's of Windows take; node:fs has no names for them. */
const O_EXLOCK = { darwin: 0x20, win32: 0x1000_0000 } as const;
const O_SHLOCK_DARWIN = 0x10;
/** What a call says that found the lock held. */
const HELD: ReadonlySet<string> = new Set(['EAGAIN', 'EWOULDBLOCK', 'EBUSY']);
/** What flock says of a directory that it cannot lock, or not with this descriptor. */
const NOT_HERE: ReadonlySet<string> = new Set([
  'EBADF',
  'EINVAL',
  'ENOLCK',
  'EOPNOTSUPP',
  'ENOTSUP',
  'ENOSYS',
  'EISDIR',
]);
const PROGRAM_LIMIT_MS = 5_000;

export class DirectoryLock {
  readonly path: string;
  /** The directory that is locked, whatever its name is by now. */
  readonly device: bigint;
  readonly inode: bigint;
  #fd: number | undefined;

  private constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
    const { dev, ino } = statSync(path, { bigint: true });
    this.device = dev;
    this.inode = ino;
  }

  /**
   * Undefined when somebody else has it. Throws STORE_NATIVE_UNAVAILABLE when this process has no means to lock, and the
   * errno error of a directory that cannot be opened.
   */
  static tryAcquire(path: string, mode: LockMode, native: Native | undefined): DirectoryLock | undefined {
    const fd = open(path, mode, native);
    if (fd === undefined) return undefined;
    try {
      return new DirectoryLock(path, fd);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** Whether the directory at this lock's path is the one that is locked. */
  isAt(found: { dev: bigint; ino: bigint } | undefined): boolean {
    return found !== undefined && found.dev === this.device && found.ino === this.inode;
  }

  release(): void {
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
  }
}

function open(path: string, mode: LockMode, native: Native | undefined): number | undefined {
  const { platform } = process;
  if (platform === 'linux') return openOnLinux(path, mode, native);
  if (platform === 'darwin') {
    const lock = mode === 'exclusive' ? O_EXLOCK.darwin : O_SHLOCK_DARWIN;
    const onDirectory = openLocked(path, constants.O_RDONLY | constants.O_NONBLOCK | lock);
    return onDirectory === 'not here' ? orThrow(path, openLocked(lockFile(path), FILE_FLAGS | lock)) : onDirectory;
  }
  // Windows has no shared one; whoever only asks holds it for a moment, and an opening tries again for longer than that.
  return orThrow(path, openLocked(lockFile(path), FILE_FLAGS | O_EXLOCK.win32));
}

const FILE_FLAGS = constants.O_RDWR | constants.O_CREAT | (constants.O_NONBLOCK ?? 0);

function lockFile(directory: string): string {
  const folder = join(directory, LOCK_DIRECTORY);
  try {
    mkdirSync(folder, DIRECTORY_MODE);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
  return join(folder, 'lock');
}

function openLocked(path: string, flags: number): number | undefined | 'not here' {
  try {
    return openSync(path, flags, FILE_MODE);
  } catch (error) {
    const errno = errnoOf(error);
    if (HELD.has(errno)) return undefined;
    if (NOT_HERE.has(errno)) return 'not here';
    throw error;
  }
}

function openOnLinux(path: string, mode: LockMode, native: Native | undefined): number | undefined {
  const onDirectory = flocked(openSync(path, constants.O_RDONLY | constants.O_DIRECTORY), mode, native);
  if (onDirectory !== 'not here') return onDirectory;
  return orThrow(path, flocked(openSync(lockFile(path), FILE_FLAGS, FILE_MODE), mode, native));
}

/** The descriptor with the lock on it, else closed. */
function flocked(fd: number, mode: LockMode, native: Native | undefined): number | undefined | 'not here' {
  let answer: boolean | 'not here' = 'not here';
  try {
    answer = native === undefined ? flockByProgram(fd, mode) : flock(fd, mode, native);
  } finally {
    if (answer !== true) closeSync(fd);
  }
  return answer === true ? fd : answer === false ? undefined : 'not here';
}

function flock(fd: number, mode: LockMode, native: Native): boolean | 'not here' {
  try {
    return native.flock(fd, mode);
  } catch (error) {
    if (NOT_HERE.has(errnoOf(error))) return 'not here';
    throw error;
  }
}

function flockByProgram(fd: number, mode: LockMode): boolean | 'not here' {
  const result = spawnSync('flock', [mode === 'exclusive' ? '-x' : '-s', '-n', '3'], {
    stdio: ['ignore', 'ignore', 'pipe', fd],
    timeout: PROGRAM_LIMIT_MS,
  });
  if (result.error !== undefined || result.status === null) {
    throw new StoreError(
      'STORE_NATIVE_UNAVAILABLE',
      'a directory cannot be locked against a second writer: that takes the koffi package, or the program flock ' +
        `(util-linux), which could not be run (${errnoOf(result.error) || result.signal})`,
      { koffi: false, program: 'flock', errno: errnoOf(result.error) },
      result.error,
    );
  }
  if (result.status === 0) return true;
  // It says nothing about a lock that is held, and something about anything else.
  return result.stderr.length === 0 ? false : 'not here';
}

function orThrow(path: string, answer: number | undefined | 'not here'): number | undefined {
  if (answer !== 'not here') return answer;
  const message = `${path} cannot be locked: its file system has no locks, so nothing would keep a second writer away`;
  throw new StoreError('STORE_DIRECTORY_UNUSABLE', message, { path });
}

/**
 * Linux: the processes that hold a lock of this kind on a file, as far as /proc/locks of this PID namespace shows them.
 * For messages: a lock that is not found here may be held all the same.
 */
export function lockHolders(kind: 'FLOCK' | 'POSIX', file: { dev: bigint; ino: bigint }): number[] {
  let text: string;
  try {
    text = readFileSync('/proc/locks', 'latin1');
  } catch {
    return [];
  }
  const device = `${hex2((file.dev >> 8n) & 0xfffn)}:${hex2((file.dev & 0xffn) | ((file.dev >> 12n) & ~0xffn))}`;
  // A device without a number of its own (btrfs, overlayfs) stands there as another one than in stat.
  const isAnonymous = device.startsWith('00:');
  const pids: number[] = [];
  for (const line of text.split('\n')) {
    // 12: FLOCK  ADVISORY  WRITE 4711 fe:00:9986604 0 EOF
    const found = /^\d+: (\S+) +\S+ +\S+ +(-?\d+) (\S+):(\d+) /.exec(line);
    if (found === null) continue;
    const [, lock, pid, on, inode] = found;
    if (lock === kind && inode === String(file.ino) && (isAnonymous || on === device)) pids.push(Number(pid));
  }
  return pids;
}

function hex2(number: bigint): string {
  return number.toString(16).padStart(2, '0');
}
