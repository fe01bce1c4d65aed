/**
 * One broker a directory, ours or Java's: an exclusive record lock on byte 0 of `<root>/lock`, as Java's
 * FileChannel.tryLock(0, 1, false) takes it.
 *
 * Record locks belong to the process, with two traps this file is built around:
 * - Closing *any* descriptor of the file drops the lock. So the file is opened once for each open store and by nobody
 *   else in this process, not even to read what it says.
 * - A second lock from the same process succeeds. So a process-wide registry of open directories stands beside it.
 */
import { closeSync, ftruncateSync, openSync, realpathSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { StoreError } from '../errors.ts';
import type { StoreLogger } from '../logger.ts';
import { makeDirectorySync } from './make-directory.ts';
import { loadNative, type Native } from './native.ts';

/** Content RocketMQ writes into the file; of no meaning to anybody. */
const CONTENT = 'lock';
const LOCKED_BYTES = 1;

/** On globalThis, so that two copies of this package in one process (sources and build) know of each other. */
const REGISTRY = Symbol.for('@vernier/store open directories');

function openDirectories(): Set<string> {
  const holder = globalThis as { [REGISTRY]?: Set<string> };
  holder[REGISTRY] ??= new Set();
  return holder[REGISTRY];
}

export interface StoreLockOptions {
  logger: StoreLogger;
  /** Given as undefined: do without koffi. Default: koffi when it is there. */
  native?: Native | undefined;
}

export class StoreLock {
  readonly path: string;
  readonly #directory: string;
  #fd: number | undefined;

  private constructor(path: string, directory: string, fd: number) {
    this.path = path;
    this.#directory = directory;
    this.#fd = fd;
  }

  /**
   * Takes the lock or throws: STORE_LOCKED with `path` and, when it is known, `pid`; STORE_DIRECTORY_UNUSABLE when the
   * lock file cannot be opened. Makes the directory if it is missing. Held until release(), or the process ends.
   */
  static acquire(root: string, options: StoreLockOptions): StoreLock {
    const native = 'native' in options ? options.native : loadNative();
    const { directory, path } = directoryOf(root);
    if (openDirectories().has(directory)) throw lockedError(path, process.pid);
    const fd = openLockFile(path);
    try {
      if (native === undefined) {
        options.logger.warn(
          { path },
          'koffi is not available: the store is locked against this process only; a Java broker or another process ' +
            'would not see it',
        );
      } else if (!native.tryLock(fd, LOCKED_BYTES)) {
        throw lockedError(path, native.lockHolder(fd, LOCKED_BYTES)?.pid);
      }
      ftruncateSync(fd, 0);
      writeSync(fd, CONTENT, 0);
    } catch (error) {
      closeSync(fd);
      throw error instanceof StoreError ? error : unusableError(path, error);
    }
    openDirectories().add(directory);
    return new StoreLock(path, directory, fd);
  }

  /** Gives the lock up; the file stays, as RocketMQ leaves it. Calling it again does nothing. */
  release(): void {
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
    openDirectories().delete(this.#directory);
  }
}

/** What is known of a store's lock: `unknown` without koffi, when the lock of another process cannot be seen. */
export type LockState =
  | { readonly kind: 'free' | 'unknown' }
  /** `pid` is undefined when the holder lives in another PID namespace. */
  | { readonly kind: 'held'; readonly pid: number | undefined };

/**
 * Who holds the lock of a store, without taking it and without changing anything. A store that is open in this very
 * process is answered from the registry: its lock file must not be opened a second time.
 */
export function lockStateOf(root: string, native: Native | undefined = loadNative()): LockState {
  let fd: number;
  try {
    const directory = realpathSync(root);
    if (openDirectories().has(directory)) return { kind: 'held', pid: process.pid };
    fd = openSync(join(directory, 'lock'), 'r');
  } catch (error) {
    // Without the file nobody can have locked it; one that cannot be opened may be anybody's.
    return { kind: (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'free' : 'unknown' };
  }
  try {
    if (native === undefined) return { kind: 'unknown' };
    const holder = native.lockHolder(fd, LOCKED_BYTES);
    if (holder === undefined) return { kind: 'free' };
    return { kind: 'held', pid: holder.pid > 0 ? holder.pid : undefined };
  } finally {
    closeSync(fd);
  }
}

/** The registry's key is the real path: two names of one directory are one store. */
function directoryOf(root: string): { directory: string; path: string } {
  try {
    makeDirectorySync(root);
    const directory = realpathSync(root);
    return { directory, path: join(directory, 'lock') };
  } catch (error) {
    throw unusableError(root, error);
  }
}

function openLockFile(path: string): number {
  try {
    return openSync(path, 'a+');
  } catch (error) {
    throw unusableError(path, error);
  }
}

function lockedError(path: string, pid: number | undefined): StoreError {
  const holder = pid === undefined ? 'another process' : pid === process.pid ? 'this process' : `process ${pid}`;
  return new StoreError('STORE_LOCKED', `${path} is locked by ${holder}: one store a directory`, { path, pid });
}

function unusableError(path: string, cause: unknown): StoreError {
  const errno = (cause as NodeJS.ErrnoException).code;
  return new StoreError('STORE_DIRECTORY_UNUSABLE', `${path} cannot be used: ${errno}`, { path, errno }, cause);
}
