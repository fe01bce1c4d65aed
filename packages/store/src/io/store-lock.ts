/**
 * One writer a store, ours or Java's. Two locks:
 *
 * - of each directory that the store writes (directory-lock.ts): against every store of ours, in whatever thread or
 *   process. A log kept elsewhere is locked too, so two stores cannot share one.
 * - an exclusive record lock on byte 0 of `<root>/lock`, as Java's FileChannel.tryLock(0, 1, false) takes it: against a
 *   Java broker. It needs koffi.
 *
 * Record locks belong to the process, and closing *any* descriptor of the file drops them. So `lock` is opened only by who
 * holds the directory's lock: once for each open store and by nobody else, not even to read what it says.
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, stat, statSync, writeSync } from 'node:fs';
import { join, sep } from 'node:path';
import { promisify } from 'node:util';
import { StoreError } from '../base/errors.ts';
import type { StoreLogger } from '../base/logger.ts';
import { errnoOf } from '../base/queue-failure.ts';
import { DirectoryLock, lockHolders } from './directory-lock.ts';
import { makeDirectorySync } from './make-directory.ts';
import { FILE_MODE } from './modes.ts';
import { loadNative, type Native } from './native.ts';
import { openRegularSync } from './regular-file.ts';

const statAsync = promisify(stat);

/** Content RocketMQ writes into the file; of no meaning to anybody. */
const CONTENT = 'lock';
const LOCKED_BYTES = 1;
/** Whoever only asks (lockStateOf) holds the lock for a moment, which must not pass for a store that is open. */
const ATTEMPTS = 5;
const ATTEMPT_PAUSE_MS = 20;

export interface StoreLockOptions {
  logger: StoreLogger;
  /** Given as undefined: do without koffi. Default: koffi when it is there. */
  native?: Native | undefined;
}

export class StoreLock {
  readonly root: string;
  readonly #options: StoreLockOptions;
  readonly #native: Native | undefined;
  readonly #directories: DirectoryLock[] = [];
  /** Descriptor of Java's lock file. */
  #fd: number | undefined;
  /** Told once, when check() finds that a directory is not the locked one any more. */
  onMoved: (error: StoreError) => void = () => {};

  private constructor(root: string, options: StoreLockOptions) {
    this.root = root;
    this.#options = options;
    this.#native = 'native' in options ? options.native : loadNative();
  }

  /**
   * Takes the locks of the store at `root`. Makes the directory if it is missing. Rejects STORE_LOCKED with `path` and,
   * when it is known, `pid`; STORE_DIRECTORY_UNUSABLE when the place has no locks or cannot be opened;
   * STORE_NOT_A_FILE when `lock` is no file; STORE_NATIVE_UNAVAILABLE when this process has no means to lock. Held until release(), or the thread ends.
   */
  static async acquire(root: string, options: StoreLockOptions): Promise<StoreLock> {
    const lock = new StoreLock(root, options);
    try {
      makeDirectorySync(root);
      await lock.cover(root);
      lock.#lockForJava();
      return lock;
    } catch (error) {
      lock.release();
      throw error instanceof StoreError ? error : unusableError(root, error);
    }
  }

  /** Locks one more directory of the store, which exists. Rejects as acquire(). */
  async cover(path: string): Promise<void> {
    try {
      const found = statSync(path, { bigint: true });
      if (this.#directories.some((directory) => directory.isAt(found))) return;
      for (let attempt = 1; ; attempt++) {
        const lock = DirectoryLock.tryAcquire(path, 'exclusive', this.#native);
        if (lock !== undefined) {
          this.#directories.push(lock);
          return;
        }
        if (attempt === ATTEMPTS) throw lockedError(path, holderOf(this.root, path));
        await new Promise((resolve) => setTimeout(resolve, ATTEMPT_PAUSE_MS));
      }
    } catch (error) {
      throw error instanceof StoreError ? error : unusableError(path, error);
    }
  }

  /**
   * Resolves when what lies at `path` lies in a locked directory that is still at its place; also for a path outside of
   * all of them. Rejects STORE_DIRECTORY_MOVED when the directory was moved, removed, or another one put in its place.
   */
  async check(path: string): Promise<void> {
    const directory = this.#directoryOf(path);
    if (directory === undefined) return;
    let found: { dev: bigint; ino: bigint } | undefined;
    try {
      found = await statAsync(directory.path, { bigint: true });
    } catch (error) {
      // Anything else says nothing about the place, and the call that is asked for will meet it.
      if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') return;
    }
    if (directory.isAt(found)) return;
    const what = found === undefined ? 'is not there any more' : 'is another directory now';
    const error = new StoreError(
      'STORE_DIRECTORY_MOVED',
      `${directory.path} ${what}: it was moved or removed while the store was open, nothing more is written there`,
      {
        path: directory.path,
        expected: String(directory.inode),
        found: found === undefined ? undefined : String(found.ino),
      },
    );
    this.onMoved(error);
    throw error;
  }

  /** check() of every locked directory. */
  async checkAll(): Promise<void> {
    for (const { path } of this.#directories) await this.check(path);
  }

  /** Gives the locks up; the file stays, as RocketMQ leaves it. Calling it again does nothing. */
  release(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    for (const directory of this.#directories.splice(0)) directory.release();
  }

  /** The innermost. */
  #directoryOf(path: string): DirectoryLock | undefined {
    let innermost: DirectoryLock | undefined;
    for (const directory of this.#directories) {
      const isIn = path === directory.path || path.startsWith(`${directory.path}${sep}`);
      if (isIn && directory.path.length > (innermost?.path.length ?? -1)) innermost = directory;
    }
    return innermost;
  }

  #lockForJava(): void {
    const path = join(this.root, 'lock');
    const fd = openRegularSync(path, constants.O_RDWR | constants.O_CREAT, FILE_MODE);
    this.#fd = fd;
    if (this.#native !== undefined) {
      if (!this.#native.tryLock(fd, LOCKED_BYTES)) {
        throw lockedError(path, this.#native.lockHolder(fd, LOCKED_BYTES)?.pid || undefined);
      }
    } else {
      const [pid] = lockHolders('POSIX', statSync(path, { bigint: true }));
      if (pid !== undefined) throw lockedError(path, pid);
      this.#options.logger.warn(
        { path },
        'koffi is not available: the store is locked against every other Vernier, and a Java broker that is started later ' +
          'would not see it',
      );
    }
    try {
      ftruncateSync(fd, 0);
      writeSync(fd, CONTENT, 0);
    } catch (error) {
      // The lock counts and not what the file says: a disk that is full to its last block is no reason to stay closed.
      if (errnoOf(error) !== 'ENOSPC' && errnoOf(error) !== 'EDQUOT') throw error;
    }
  }
}

/** What is known of a store's lock: `unknown` without koffi, when the lock of a Java broker may be out of sight. */
export type LockState =
  | { readonly kind: 'free' | 'unknown' }
  /** `pid` is undefined when it cannot be told, as of a holder in another PID namespace. */
  | { readonly kind: 'held'; readonly pid: number | undefined };

/** Who holds the lock of a store, without changing anything. Holds a shared lock while it looks. */
export function lockStateOf(root: string, options: { native?: Native | undefined } = {}): LockState {
  const native = 'native' in options ? options.native : loadNative();
  let directory: DirectoryLock | undefined;
  try {
    directory = DirectoryLock.tryAcquire(root, 'shared', native);
    if (directory === undefined) return { kind: 'held', pid: holderOf(root, root) };
    return javaLockState(join(root, 'lock'), native);
  } catch (error) {
    // Without the directory, or the file, nobody can have locked it; what cannot be opened may be anybody's.
    return { kind: errnoOf(error) === 'ENOENT' ? 'free' : 'unknown' };
  } finally {
    directory?.release();
  }
}

/** No store of ours has it open: the file may be opened and closed. */
function javaLockState(path: string, native: Native | undefined): LockState {
  if (native === undefined) {
    const [pid] = lockHolders('POSIX', statSync(path, { bigint: true }));
    return pid === undefined ? { kind: 'unknown' } : { kind: 'held', pid };
  }
  const fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const holder = native.lockHolder(fd, LOCKED_BYTES);
    if (holder === undefined) return { kind: 'free' };
    return { kind: 'held', pid: holder.pid > 0 ? holder.pid : undefined };
  } finally {
    closeSync(fd);
  }
}

/** The process that has a directory open as a store; undefined when that cannot be told. */
function holderOf(root: string, directory: string): number | undefined {
  const holders = lockHolders('FLOCK', statSync(directory, { bigint: true }));
  const alive = holders.find(isAlive);
  if (alive !== undefined) return alive;
  try {
    // The process that took the lock by a program stands in its abort file.
    const pid = Number(firstLine(join(root, 'abort')));
    return Number.isSafeInteger(pid) && pid > 0 && isAlive(pid) ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Of a small file; a pipe of that name is not waited for. */
function firstLine(path: string): string {
  const fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const bytes = Buffer.alloc(32);
    const length = fstatSync(fd).isFile() ? readSync(fd, bytes, 0, bytes.length, 0) : 0;
    return bytes.toString('latin1', 0, length).split('\n')[0]!;
  } finally {
    closeSync(fd);
  }
}

function isAlive(pid: number): boolean {
  if (pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) === 'EPERM';
  }
}

function lockedError(path: string, pid: number | undefined): StoreError {
  const holder =
    pid === undefined ? 'another process or thread' : pid === process.pid ? 'this process' : `process ${pid}`;
  return new StoreError('STORE_LOCKED', `${path} is locked by ${holder}: one store a directory`, { path, pid });
}

function unusableError(path: string, cause: unknown): StoreError {
  const errno = errnoOf(cause);
  return new StoreError(
    'STORE_DIRECTORY_UNUSABLE',
    `${path} cannot be used: ${errno || String(cause)}`,
    { path, errno },
    cause,
  );
}
