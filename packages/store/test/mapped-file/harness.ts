/** What every test of a log's files needs: a context, faults, and a queue over an engine. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import { defaultMessageStoreConfig, type MessageStoreConfig } from '../../src/base/config.ts';
import type { StoreContext } from '../../src/base/context.ts';
import type { StoreError } from '../../src/base/errors.ts';
import type { FileSystem, OpenMode, StoreFile, Traffic } from '../../src/base/file-system.ts';
import type { StoreLogger } from '../../src/base/logger.ts';
import type { IoLane } from '../../src/io/io-lane.ts';
import type { Native } from '../../src/io/native.ts';
import { NodeFileSystem } from '../../src/io/node-file-system.ts';
import type { MappedFile } from '../../src/mapped-file/mapped-file.ts';
import { createMappedFileEngine, type MappedFileEngineOptions } from '../../src/mapped-file/mapped-file-engine.ts';
import { MappedFileQueue } from '../../src/mapped-file/mapped-file-queue.ts';

export const FILE_SIZE = 256 * 1024;

export interface LogLine {
  level: 'debug' | 'info' | 'warn' | 'error';
  fields: object;
  message: string;
}

export function recordingLogger(): StoreLogger & { lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at = (level: LogLine['level']) => (fields: object, message: string) =>
    void lines.push({ level, fields, message });
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** What a fault hook may do: count, throw, or return a promise that holds the call up. */
export type Hook = (operation: 'write' | 'sync' | 'allocate', path: string) => void | Promise<void>;

/** Puts a hook before the commit log's writes, syncs and allocations of a real file system. */
export class HookedFileSystem {
  hook: Hook = () => {};
  readonly inner: FileSystem;

  constructor(inner: FileSystem) {
    this.inner = inner;
  }

  get asFileSystem(): FileSystem {
    const open = async (path: string, mode: OpenMode, traffic?: Traffic): Promise<StoreFile> =>
      this.#hooked(await this.inner.open(path, mode, traffic));
    return new Proxy(this.inner, {
      get: (target, key) => {
        if (key === 'open') return open;
        const value = Reflect.get(target, key, target) as unknown;
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }

  #hooked(file: StoreFile): StoreFile {
    const before = async (operation: 'write' | 'sync' | 'allocate'): Promise<void> => this.hook(operation, file.path);
    return {
      path: file.path,
      fd: file.fd,
      write: async (data, position) => {
        await before('write');
        await file.write(data, position);
      },
      sync: async () => {
        await before('sync');
        await file.sync();
      },
      allocate: async (length, freeBytesMin) => {
        await before('allocate');
        await file.allocate(length, freeBytesMin);
      },
      ...(file.writeDurably && {
        writeDurably: async (data: Uint8Array | readonly Uint8Array[], position: number) => {
          await before('write');
          await before('sync');
          await file.writeDurably!(data, position);
        },
      }),
      read: (target, position) => file.read(target, position),
      truncate: (length) => file.truncate(length),
      zeroRange: (position, length) => file.zeroRange(position, length),
      dropCache: (position, length) => file.dropCache(position, length),
      size: () => file.size(),
      close: () => file.close(),
    };
  }

  /** The same hook before msync. */
  hookNative(native: Native): Native {
    return {
      ...native,
      reserveWindow: (length) => {
        const window = native.reserveWindow(length);
        return {
          view: window.view,
          length: window.length,
          map: (fd, position, bytes) => window.map(fd, position, bytes),
          cover: () => window.cover(),
          sync: async (start, bytes) => {
            await this.hook('sync', 'mapping');
            await window.sync(start, bytes);
          },
        };
      },
    };
  }
}

export interface Log {
  context: StoreContext & { failures: StoreError[] };
  logger: ReturnType<typeof recordingLogger>;
  directory: string;
  queue: MappedFileQueue;
  faults: HookedFileSystem;
  /** Lets this much time pass on the log's monotonic clock at once. */
  passTime(ms: number): void;
  /** Shuts down and opens the same directory again; recovery's part is done by hand: the log ends at `end`. */
  reopen(end: number): Promise<Log>;
}

export interface LogSettings {
  config?: Partial<MessageStoreConfig>;
  lane?: IoLane;
  native?: Native | undefined;
  withoutNative?: boolean;
  /** As on macOS and Windows: write and fdatasync are always two calls. */
  withoutDurableWrites?: boolean;
  /** Instead of a real file system in a temporary directory. */
  fileSystem?: FileSystem;
  directory?: string;
}

export function makeContext(fileSystem: FileSystem, root: string, config: Partial<MessageStoreConfig> = {}) {
  const logger = recordingLogger();
  const failures: StoreError[] = [];
  let skewMs = 0;
  const clock: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() + skewMs };
  const passTime = (ms: number): void => {
    skewMs += ms;
  };
  const context: StoreContext & { failures: StoreError[] } = {
    config: {
      ...defaultMessageStoreConfig,
      storePathRootDir: root,
      storePathCommitLog: join(root, 'commitlog'),
      mappedFileSizeCommitLog: FILE_SIZE,
      appendBufferSize: 512 * 1024,
      diskFreeBytesMin: 0,
      transientStorePoolSize: 3,
      destroyMapedFileIntervalForcibly: 60_000,
      ...config,
    },
    fileSystem,
    clock,
    logger,
    failures,
    fail(error) {
      failures.push(error);
      return failures[0]!;
    },
    get failure() {
      return failures[0];
    },
  };
  return { context, logger, passTime };
}

export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'vernier-log-'));
  cleanUp(t, () => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export async function openLog(t: TestContext, settings: LogSettings = {}): Promise<Log> {
  const root = settings.directory ?? (settings.fileSystem ? '/store' : temporaryDirectory(t));
  const nodeOptions = {
    ...(settings.lane ? { lane: settings.lane } : {}),
    ...(settings.withoutNative ? { native: undefined } : {}),
    ...(settings.withoutDurableWrites ? { durableWrites: false } : {}),
  };
  const faults = new HookedFileSystem(settings.fileSystem ?? new NodeFileSystem(nodeOptions));
  const { context, logger, passTime } = makeContext(faults.asFileSystem, root, settings.config);
  const engineOptions: MappedFileEngineOptions = settings.withoutNative
    ? { native: undefined }
    : settings.native
      ? { native: faults.hookNative(settings.native) }
      : {};
  const queue = new MappedFileQueue(context, {
    storePath: context.config.storePathCommitLog,
    mappedFileSize: context.config.mappedFileSizeCommitLog,
    engine: createMappedFileEngine(context, engineOptions),
  });
  await context.fileSystem.makeDirectory(context.config.storePathCommitLog);
  await queue.load();
  let open = true;
  cleanUp(t, async () => {
    if (open) await queue.shutdown();
  });
  return {
    context,
    logger,
    directory: context.config.storePathCommitLog,
    queue,
    faults,
    passTime,
    reopen: async (end) => {
      open = false;
      await queue.shutdown();
      const again = await openLog(t, { ...settings, directory: root });
      await again.queue.truncateDirtyFiles(end);
      again.queue.setFlushedWhere(end);
      return again;
    },
  };
}

/** Content that names its own place, so that bytes at the wrong place or of another record show. */
export function patterned(offset: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let index = 0; index < size; index++)
    bytes[index] = ((offset + index) * 31 + ((offset + index) >> 8) * 7 + 1) & 0xff;
  return bytes;
}

/** The file to append to, waiting for it as the commit log does. */
export async function lastFile(queue: MappedFileQueue): Promise<MappedFile> {
  for (;;) {
    const file = queue.tryGetLastMappedFile();
    if (file !== undefined) return file;
    await queue.whenNextFileReady();
  }
}

/** Appends one record as the commit log does: BLANK when the file has no room for it and the marker. Its offset. */
export async function append(queue: MappedFileQueue, size: number): Promise<number> {
  for (;;) {
    const file = await lastFile(queue);
    if (file.wrotePosition + size + 8 > file.fileSize) {
      await reserve(queue, file, 8);
      file.target.fill(0xee, file.targetStart, file.targetStart + 8);
      file.advance(8, true);
      continue;
    }
    await reserve(queue, file, size);
    const offset = file.fileFromOffset + file.wrotePosition;
    file.target.set(patterned(offset, size), file.targetStart);
    file.advance(size);
    file.storeTimestamp = offset + 1;
    return offset;
  }
}

async function reserve(queue: MappedFileQueue, file: MappedFile, size: number): Promise<void> {
  while (!file.reserve(size)) {
    const before = queue.committedWhere;
    await queue.commit(0);
    if (queue.committedWhere === before && file.reserve(size)) return;
  }
}

/** As GroupCommitService: one file at a time until everything appended is flushed. */
export async function flushAll(queue: MappedFileQueue): Promise<void> {
  const end = queue.maxOffset;
  while (queue.flushedWhere < end) await queue.flush(0);
}
