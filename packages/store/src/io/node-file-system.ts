/**
 * The real FileSystem, over node:fs callbacks (a FileHandle's promises cost more) and koffi's fallocate. Files opened
 * with traffic `log` write and sync on the IoLane; everything else runs on libuv's threads. Reads of log files also use
 * libuv's threads, two at a time, so that consumers far behind leave threads for everybody else.
 */
import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import type {
  DiskSpace,
  FileStat,
  FileSystem,
  InFlightOperation,
  OpenMode,
  StoreFile,
  Traffic,
} from '../base/file-system.ts';
import { errnoOf } from '../base/queue-failure.ts';
import { rewriteDirectly } from './direct-rewrite.ts';
import { type IoLane, PoolLane, stalledWriteError, writePieces } from './io-lane.ts';
import { makeDirectory } from './make-directory.ts';
import { FILE_MODE } from './modes.ts';
import { loadNative, type Native } from './native.ts';
import { checkIsFile, linkError, openRegular, readRegular } from './regular-file.ts';
import { descriptorsInReserve } from './spare-descriptors.ts';

const open = promisify(fs.open);
const ftruncate = promisify(fs.ftruncate);
const fstat = promisify(fs.fstat);
const close = promisify(fs.close);
const fsync = promisify(fs.fsync);
const fdatasync = promisify(fs.fdatasync);
const statfs = promisify(fs.statfs) as (path: string) => Promise<fs.StatsFs>;

/** Reads of commit-log files under way at once. */
const LOG_READS_MAX = 2;
/** Piece in which a range is checked and zeroed where the file system cannot do it by itself. */
const ZERO_STEP = 1024 * 1024;

export interface NodeFileSystemOptions {
  /** Where the commit log's writes and syncs run. Default: a PoolLane. The caller closes it. */
  lane?: IoLane;
  /** `undefined` (given as such): do without koffi. Default: koffi when it is there. */
  native?: Native | undefined;
  /** Offer writeDurably() on log files. Default: on Linux, the only place where O_DSYNC reaches the platter. */
  durableWrites?: boolean;
}

const flags: Record<OpenMode, number> = {
  read: fs.constants.O_RDONLY,
  write: fs.constants.O_RDWR,
  create: fs.constants.O_RDWR | fs.constants.O_CREAT,
};

/** Lets at most `max` calls run at once; the others wait in order. */
class Turnstile {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(max: number) {
    this.#free = max;
  }

  async pass<T>(call: () => Promise<T>): Promise<T> {
    // A call that leaves hands its place to the first one waiting, so that nobody who comes later slips in between.
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await call();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}

function readFully(fd: number, target: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let done = 0;
    const next = (): void => {
      fs.read(fd, target, done, target.length - done, position + done, (error, count) => {
        done += error ? 0 : count;
        if (error) reject(error);
        else if (count === 0 || done === target.length) resolve(done);
        else next();
      });
    };
    if (target.length === 0) resolve(0);
    else next();
  });
}

function noSpaceError(path: string, wanted: number, free: number, floor: number): NodeJS.ErrnoException {
  const error: NodeJS.ErrnoException = new Error(
    `ENOSPC: allocating ${wanted} bytes for '${path}' would leave less than ${floor} of ${free} bytes free`,
  );
  error.code = 'ENOSPC';
  error.syscall = 'fallocate';
  return error;
}

class NodeStoreFile implements StoreFile {
  readonly path: string;
  readonly fd: number;
  readonly writeDurably?: (data: Uint8Array | readonly Uint8Array[], position: number) => Promise<void>;
  readonly #owner: NodeFileSystem;
  readonly #log: boolean;
  /** A second descriptor, opened with O_DSYNC when first needed. */
  #durable: Promise<number> | undefined;
  #durableFd: number | undefined;

  constructor(owner: NodeFileSystem, path: string, fd: number, traffic: Traffic) {
    this.#owner = owner;
    this.path = path;
    this.fd = fd;
    this.#log = traffic === 'log';
    // macOS leaves an O_DSYNC write in the drive's cache; there, and on Windows, write and fdatasync are two calls.
    if (this.#log && owner.durableWrites) {
      this.writeDurably = async (data, position) => {
        const pieces = data instanceof Uint8Array ? [data] : data;
        const durable = this.#durableFd ?? (await this.#openDurable());
        if (durable !== undefined) return owner.lane.writeDurably(durable, path, pieces, position);
        await owner.lane.write(fd, path, pieces, position);
        return owner.lane.sync(fd, path);
      };
    }
  }

  /** Undefined when the process has no descriptor to spare: no reason to fail, two calls do the same. */
  async #openDurable(): Promise<number | undefined> {
    this.#durable ??= open(this.path, fs.constants.O_WRONLY | fs.constants.O_DSYNC);
    try {
      this.#durableFd = await this.#durable;
    } catch {
      this.#durable = undefined;
    }
    return this.#durableFd;
  }

  write(data: Uint8Array | readonly Uint8Array[], position: number): Promise<void> {
    const pieces = data instanceof Uint8Array ? [data] : data;
    if (this.#log) return this.#owner.lane.write(this.fd, this.path, pieces, position);
    return new Promise((resolve, reject) => {
      writePieces(this.fd, this.path, pieces, position, (error) => {
        this.#owner.doneCount++;
        if (error) reject(error);
        else resolve();
      });
    });
  }

  writeNow(data: Uint8Array, position: number): boolean {
    for (let done = 0; done < data.length; ) {
      const written = fs.writeSync(this.fd, data, done, data.length - done, position + done);
      if (written === 0) throw stalledWriteError(this.path);
      done += written;
    }
    return true;
  }

  read(target: Uint8Array, position: number): Promise<number> {
    if (!this.#log) return readFully(this.fd, target, position);
    return this.#owner.logReads.pass(() => readFully(this.fd, target, position));
  }

  async sync(): Promise<void> {
    if (this.#log) return this.#owner.lane.sync(this.fd, this.path);
    await fdatasync(this.fd);
    this.#owner.doneCount++;
  }

  truncate(length: number): Promise<void> {
    return ftruncate(this.fd, length);
  }

  async allocate(length: number, freeBytesMin = 0): Promise<void> {
    const before = await fstat(this.fd);
    if (length <= before.size) return;
    // What is asked is counted in full: blocks the file may already have below its length are a rounding here.
    const { freeBytes } = await this.#owner.space(dirname(this.path));
    const wanted = length - before.size;
    if (wanted + freeBytesMin > freeBytes) throw noSpaceError(this.path, wanted, freeBytes, freeBytesMin);
    try {
      await this.#owner.fallocate(this.fd, length);
    } catch (error) {
      // ext4 keeps the blocks it got and a length in between; the file goes back to what it was first.
      await ftruncate(this.fd, before.size);
      throw error;
    }
  }

  async zeroRange(position: number, length: number): Promise<void> {
    if (length <= 0) return;
    const native = this.#owner.native;
    if (native !== undefined) {
      try {
        return await native.zeroRange(this.fd, position, length);
      } catch (error) {
        if (!isUnsupported(error)) throw error;
      }
    }
    // Truncating and growing again would do it in two calls, but a crash between them leaves a file of the wrong size.
    const zeros = Buffer.alloc(Math.min(ZERO_STEP, length));
    const found = Buffer.allocUnsafe(zeros.length);
    for (let done = 0; done < length; done += zeros.length) {
      const step = Math.min(zeros.length, length - done);
      const count = await readFully(this.fd, found.subarray(0, step), position + done);
      if (count === step && found.compare(zeros, 0, step, 0, step) === 0) continue;
      await this.write(zeros.subarray(0, step), position + done);
    }
  }

  async dropCache(position: number, length: number): Promise<boolean> {
    const native = this.#owner.native;
    if (native === undefined) {
      return rewriteDirectly(this.path, position, length, (target, at) => readFully(this.fd, target, at));
    }
    try {
      await native.dropCache(this.fd, position, length);
      return true;
    } catch (error) {
      if (isUnsupported(error)) return false;
      throw error;
    }
  }

  async size(): Promise<number> {
    return (await fstat(this.fd)).size;
  }

  async close(): Promise<void> {
    if (this.#durable !== undefined) {
      const durable = await this.#durable.catch(() => undefined);
      if (durable !== undefined) await close(durable);
    }
    await close(this.fd);
  }
}

/** The file system, or the kernel, lacks the call: doing without it is right. Any other error is an error. */
function isUnsupported(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'EOPNOTSUPP' || code === 'ENOTSUP' || code === 'ENOSYS';
}

export class NodeFileSystem implements FileSystem {
  readonly lane: IoLane;
  readonly native: Native | undefined;
  readonly durableWrites: boolean;
  readonly spareDescriptors = descriptorsInReserve;
  /** Shared by all log files. */
  readonly logReads = new Turnstile(LOG_READS_MAX);
  doneCount = 0;
  readonly #tracked = new Set<{ operation: string; file: string; startMs: number }>();

  constructor(options: NodeFileSystemOptions = {}) {
    this.lane = options.lane ?? new PoolLane();
    this.native = 'native' in options ? options.native : loadNative();
    this.durableWrites = options.durableWrites ?? process.platform === 'linux';
  }

  async open(path: string, mode: OpenMode, traffic: Traffic = 'other'): Promise<StoreFile> {
    const fd = await this.spareDescriptors.with(() => openRegular(path, flags[mode], FILE_MODE));
    this.doneCount++;
    return new NodeStoreFile(this, path, fd, traffic);
  }

  /** fallocate where there is one, else a sparse file of that length. Does not look at free space. */
  async fallocate(fd: number, length: number): Promise<void> {
    if (this.native === undefined) return ftruncate(fd, length);
    try {
      await this.native.fallocate(fd, length);
    } catch (error) {
      if (!isUnsupported(error)) throw error;
      await ftruncate(fd, length);
    }
  }

  async stat(path: string): Promise<FileStat | undefined> {
    const stat = await orMissing(fs.promises.stat(path)).catch((error: unknown) => {
      throw errnoOf(error) === 'ELOOP' ? linkError(path) : error;
    });
    if (stat === undefined) return undefined;
    if (!stat.isDirectory()) checkIsFile(path, stat);
    return { size: stat.size, mtimeMs: stat.mtimeMs, isDirectory: stat.isDirectory() };
  }

  async list(directory: string): Promise<string[]> {
    const names = await orMissing(this.spareDescriptors.with(() => fs.promises.readdir(directory)));
    return names === undefined ? [] : names.sort();
  }

  readFile(path: string): Promise<Buffer | undefined> {
    return orMissing(this.spareDescriptors.with(() => readRegular(path)));
  }

  makeDirectory(path: string, within?: string): Promise<void> {
    return makeDirectory(path, within);
  }

  rename(from: string, to: string): Promise<void> {
    return fs.promises.rename(from, to);
  }

  async remove(path: string): Promise<void> {
    await orMissing(fs.promises.unlink(path));
  }

  removeDirectory(path: string): Promise<void> {
    return this.spareDescriptors.with(() => fs.promises.rm(path, { recursive: true, force: true }));
  }

  async syncDirectory(path: string): Promise<void> {
    // Windows opens no directories; its journal makes names durable by itself.
    if (process.platform === 'win32') return;
    const fd = await this.spareDescriptors.with(() => open(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY));
    try {
      await fsync(fd);
      this.doneCount++;
    } finally {
      await close(fd);
    }
  }

  async space(path: string): Promise<DiskSpace> {
    const { bsize, blocks, bfree, bavail } = await statfs(path);
    return { totalBytes: bsize * (blocks - bfree + bavail), freeBytes: bsize * bavail };
  }

  inFlight(): InFlightOperation[] {
    const now = performance.now();
    const tracked = [...this.#tracked].map(({ operation, file, startMs }) => ({
      operation,
      file,
      sinceMs: now - startMs,
    }));
    return [...this.lane.inFlight(), ...tracked].sort((a, b) => b.sinceMs - a.sinceMs);
  }

  async track<T>(operation: string, file: string, done: Promise<T>): Promise<T> {
    const entry = { operation, file, startMs: performance.now() };
    this.#tracked.add(entry);
    try {
      return await done;
    } finally {
      this.#tracked.delete(entry);
    }
  }
}

async function orMissing<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
