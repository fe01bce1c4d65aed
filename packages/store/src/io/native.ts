/**
 * What Node lacks, through koffi: fallocate, flock, fcntl record locks, mappings, mlock. The only file that imports koffi, and
 * only when somebody asks: without the module (or on Windows) loadNative() is undefined and everything but the mmap
 * engine works.
 *
 * Rules that every call here keeps:
 * - errno is read inside the callback of an asynchronous call; after an await it belongs to somebody else's call.
 * - Few calls in flight: koffi throws when 256 are queued. The store makes at most one allocation and one msync at once.
 * - A variadic C function cannot be called asynchronously; fcntl is called synchronously and returns at once (F_SETLK).
 */
import { createRequire } from 'node:module';
import { getSystemErrorName } from 'node:util';

/** F_GETLK's answer: who holds the lock. `pid` is 0 when the holder lives in another PID namespace. */
export interface LockHolder {
  pid: number;
}

export interface Native {
  /** Reserves blocks for [0, length) and makes the file that long. Rejects with the errno error. */
  fallocate(fd: number, length: number): Promise<void>;
  /**
   * Makes [position, position + length) read as zeros and keeps its blocks (FALLOC_FL_ZERO_RANGE). Rejects with code
   * EOPNOTSUPP where the file system has no such call (tmpfs).
   */
  zeroRange(fd: number, position: number, length: number): Promise<void>;
  /**
   * Takes the clean pages of [position, position + length) out of the page cache (POSIX_FADV_DONTNEED): what is read next
   * comes from the disk. Rejects with code EOPNOTSUPP where there is no such call (macOS).
   */
  dropCache(fd: number, position: number, length: number): Promise<void>;
  /**
   * What the page cache has of [0, length) of a file: cachestat (Linux 6.5), or mincore, which cannot tell what is dirty.
   * Undefined where there is neither. Reads nothing of the file.
   */
  cacheState(fd: number, length: number): CacheState | undefined;
  /** flock(2) without waiting; false when somebody else holds one that excludes it. Throws the errno error. */
  flock(fd: number, mode: 'exclusive' | 'shared'): boolean;
  /** Takes an exclusive record lock on `length` bytes at 0 without waiting; false when somebody else holds it. */
  tryLock(fd: number, length: number): boolean;
  /** The process that keeps tryLock() from succeeding; undefined when nobody does. */
  lockHolder(fd: number, length: number): LockHolder | undefined;
  /** Reserves address space, filled with read-only anonymous pages, and makes the one view over it. */
  reserveWindow(length: number): NativeWindow;
  /** Locks a buffer's pages in memory; the bytes that could be locked before RLIMIT_MEMLOCK said no. */
  lockMemory(buffer: Buffer): Promise<number>;
}

/** Bytes of whole pages. */
export interface CacheState {
  cachedBytes: number;
  /** Not written back yet; undefined when the kernel does not say. */
  dirtyBytes: number | undefined;
}

/**
 * A fixed piece of address space that is pointed at parts of files, one after the other. The view is made once, because
 * each external view counts as memory of the heap and forces collections; and the address is never unmapped while the
 * view can live, because touching it would end the process: cover() lays anonymous read-only memory over it instead.
 */
export interface NativeWindow {
  readonly view: Buffer;
  readonly length: number;
  /** Maps [position, position + length) of the file at the start of the window; position is a multiple of 4096. */
  map(fd: number, position: number, length: number): void;
  /** msync(MS_SYNC) of [start, start + length) of the window; start is a multiple of 4096. On disk when it resolves. */
  sync(start: number, length: number): Promise<void>;
  /** Takes the file out of the window; the view then shows zeros and must not be written. */
  cover(): void;
}

type KoffiFunction = ((...args: unknown[]) => unknown) & { async(...args: unknown[]): void };
interface Koffi {
  load(path: string | null): { func(definition: string): KoffiFunction };
  errno(): number;
  view(pointer: unknown, length: number): ArrayBuffer;
}

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_NORESERVE = 0x4000;
const MS_SYNC = 4;
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_ZERO_RANGE = 0x10;
const POSIX_FADV_DONTNEED = 4;
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const MAP_FAILED = 0xffffffffffffffffn;
/** The number of cachestat(2) on every architecture. */
const SYS_CACHESTAT = 451;
const MEMORY_LOCK_STEP = 1024 * 1024;

/** An error that looks like node:fs's own: `code`, `errno` (negative), `syscall`. */
export function errnoError(errno: number, syscall: string, path?: string): NodeJS.ErrnoException {
  const code = getSystemErrorName(-errno);
  const error: NodeJS.ErrnoException = new Error(`${code}: ${syscall}${path === undefined ? '' : ` '${path}'`}`);
  error.code = code;
  error.errno = -errno;
  error.syscall = syscall;
  return error;
}

/** struct flock and the commands that use it. Linux (64 bit) and macOS order the fields differently. */
const flockLayout =
  process.platform === 'darwin'
    ? { size: 24, type: 20, whence: 22, start: 0, length: 8, pid: 16, F_GETLK: 7, F_SETLK: 8, F_WRLCK: 3, F_UNLCK: 2 }
    : { size: 32, type: 0, whence: 2, start: 8, length: 16, pid: 24, F_GETLK: 5, F_SETLK: 6, F_WRLCK: 1, F_UNLCK: 2 };

function writeLockRequest(length: number): Buffer {
  const request = Buffer.alloc(flockLayout.size);
  request.writeInt16LE(flockLayout.F_WRLCK, flockLayout.type);
  request.writeInt16LE(0, flockLayout.whence);
  request.writeBigInt64LE(0n, flockLayout.start);
  request.writeBigInt64LE(BigInt(length), flockLayout.length);
  return request;
}

function callAsync(koffi: Koffi, f: KoffiFunction, syscall: string, args: unknown[]): Promise<void> {
  return new Promise((resolve, reject) => {
    f.async(...args, (error: unknown, result: unknown) => {
      if (error) reject(error);
      else if (result === 0) resolve();
      else reject(errnoError(koffi.errno(), syscall));
    });
  });
}

class Window implements NativeWindow {
  readonly view: Buffer;
  readonly length: number;
  readonly #calls: LinuxCalls;
  readonly #address: bigint;

  constructor(calls: LinuxCalls, length: number) {
    this.#calls = calls;
    this.length = length;
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    const address = calls.mmap(null, length, PROT_READ, flags, -1, 0) as bigint | null;
    if (address === null || address === MAP_FAILED) throw errnoError(calls.koffi.errno(), 'mmap');
    this.#address = address;
    this.view = Buffer.from(calls.koffi.view(address, length));
  }

  map(fd: number, position: number, length: number): void {
    this.#place(length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, position);
  }

  sync(start: number, length: number): Promise<void> {
    const { koffi, msync } = this.#calls;
    return callAsync(koffi, msync, 'msync', [this.#address + BigInt(start), length, MS_SYNC]);
  }

  cover(): void {
    this.#place(this.length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  }

  #place(length: number, protection: number, flags: number, fd: number, position: number): void {
    const placed = this.#calls.mmap(this.#address, length, protection, flags, fd, position);
    if (placed !== this.#address) throw errnoError(this.#calls.koffi.errno(), 'mmap');
  }
}

/** cachestat by its number, for libc has no name for it; undefined on kernels without it. */
function cachestat(koffi: Koffi, syscall: KoffiFunction, fd: number, length: number, pageBytes: number) {
  const range = Buffer.alloc(16);
  range.writeBigUInt64LE(BigInt(length), 8);
  // nr_cache, nr_dirty, nr_writeback, nr_evicted, nr_recently_evicted
  const found = Buffer.alloc(40);
  if (syscall(SYS_CACHESTAT, 'int', fd, 'void *', range, 'void *', found, 'uint', 0) !== 0) {
    const code = getSystemErrorName(-koffi.errno());
    if (code === 'ENOSYS' || code === 'EPERM' || code === 'EOPNOTSUPP') return undefined;
    throw errnoError(koffi.errno(), 'cachestat');
  }
  const pages = (index: number): number => Number(found.readBigUInt64LE(index * 8));
  return { cachedBytes: pages(0) * pageBytes, dirtyBytes: (pages(1) + pages(2)) * pageBytes };
}

interface LinuxCalls {
  koffi: Koffi;
  mmap: KoffiFunction;
  msync: KoffiFunction;
}

function bind(koffi: Koffi): Native {
  const library = koffi.load(null);
  const fcntl = library.func('int fcntl(int fd, int cmd, ...)');
  const flock = library.func('int flock(int fd, int operation)');
  const mlock = library.func('int mlock(void *address, size_t length)');
  const linux = process.platform === 'linux';
  const fallocate = linux ? library.func('int fallocate(int fd, int mode, int64_t offset, int64_t length)') : undefined;
  const mincore = library.func('int mincore(void *address, size_t length, void *pages)');
  const munmap = library.func('int munmap(void *address, size_t length)');
  const syscall = linux ? library.func('long syscall(long number, ...)') : undefined;
  const pageBytes = library.func('int getpagesize()')() as number;
  const fadvise = linux
    ? library.func('int posix_fadvise(int fd, int64_t offset, int64_t length, int advice)')
    : undefined;
  const calls: LinuxCalls = {
    koffi,
    mmap: library.func('void *mmap(void *address, size_t length, int prot, int flags, int fd, int64_t offset)'),
    msync: library.func('int msync(void *address, size_t length, int flags)'),
  };

  function allocate(fd: number, mode: number, position: number, length: number): Promise<void> {
    if (fallocate === undefined) return Promise.reject(errnoError(unsupportedErrno, 'fallocate'));
    return callAsync(koffi, fallocate, 'fallocate', [fd, mode, position, length]);
  }

  return {
    fallocate: (fd, length) => allocate(fd, 0, 0, length),
    zeroRange: (fd, position, length) => allocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, position, length),
    dropCache(fd, position, length) {
      if (fadvise === undefined) return Promise.reject(errnoError(unsupportedErrno, 'posix_fadvise'));
      // Of the calls here the only one that returns its error instead of setting errno.
      return new Promise((resolve, reject) => {
        fadvise.async(fd, position, length, POSIX_FADV_DONTNEED, (error: unknown, result: unknown) => {
          if (error) reject(error);
          else if (result === 0) resolve();
          else reject(errnoError(result as number, 'posix_fadvise'));
        });
      });
    },
    cacheState(fd, length) {
      if (length === 0) return { cachedBytes: 0, dirtyBytes: 0 };
      if (syscall === undefined) return undefined;
      const state = cachestat(koffi, syscall, fd, length, pageBytes);
      if (state !== undefined) return state;
      const address = calls.mmap(null, length, PROT_READ, MAP_SHARED, fd, 0) as bigint | null;
      if (address === null || address === MAP_FAILED) return undefined;
      const pages = Buffer.alloc(Math.ceil(length / pageBytes));
      const isTold = mincore(address, length, pages) === 0;
      munmap(address, length);
      if (!isTold) return undefined;
      let cached = 0;
      for (const page of pages) cached += page & 1;
      return { cachedBytes: cached * pageBytes, dirtyBytes: undefined };
    },
    flock(fd, mode) {
      if (flock(fd, (mode === 'exclusive' ? LOCK_EX : LOCK_SH) | LOCK_NB) === 0) return true;
      const errno = koffi.errno();
      if (getSystemErrorName(-errno) === 'EAGAIN') return false;
      throw errnoError(errno, 'flock');
    },
    tryLock(fd, length) {
      if (fcntl(fd, flockLayout.F_SETLK, 'void *', writeLockRequest(length)) === 0) return true;
      const errno = koffi.errno();
      const code = getSystemErrorName(-errno);
      if (code === 'EAGAIN' || code === 'EACCES') return false;
      throw errnoError(errno, 'fcntl');
    },
    lockHolder(fd, length) {
      const request = writeLockRequest(length);
      if (fcntl(fd, flockLayout.F_GETLK, 'void *', request) !== 0) throw errnoError(koffi.errno(), 'fcntl');
      if (request.readInt16LE(flockLayout.type) === flockLayout.F_UNLCK) return undefined;
      return { pid: request.readInt32LE(flockLayout.pid) };
    },
    reserveWindow: (length) => new Window(calls, length),
    async lockMemory(buffer) {
      let locked = 0;
      while (locked < buffer.length) {
        const step = Math.min(MEMORY_LOCK_STEP, buffer.length - locked);
        try {
          await callAsync(koffi, mlock, 'mlock', [buffer.subarray(locked, locked + step), step]);
        } catch {
          break;
        }
        locked += step;
      }
      return locked;
    },
  };
}

/** EOPNOTSUPP as this platform numbers it. */
const unsupportedErrno = process.platform === 'darwin' ? 102 : 95;

let loaded: { native: Native | undefined } | undefined;

/** Loads koffi on the first call (about 10 ms). Undefined where it is missing or the platform has no such calls. */
export function loadNative(): Native | undefined {
  if (loaded === undefined) {
    let native: Native | undefined;
    if (process.platform === 'linux' || process.platform === 'darwin') {
      try {
        native = bind(createRequire(import.meta.url)('koffi') as Koffi);
      } catch {
        // Not installed, or built for another C library: an optional capability, whose absence each user reports.
        native = undefined;
      }
    }
    loaded = { native };
  }
  return loaded.native;
}

/** Whether this platform can run the mmap engine when koffi is there: its constants above are Linux's. */
export const mappingSupported = process.platform === 'linux';
