import { dirname } from 'node:path';
import type {
  DiskSpace,
  FileStat,
  FileSystem,
  InFlightOperation,
  OpenMode,
  StoreFile,
} from '../../src/base/file-system.ts';

/** What was done to the disk, in order. `sync` covers the writes and truncates of its file that come before it. */
export type Operation =
  | { kind: 'write'; path: string; position: number; data: Buffer }
  | { kind: 'truncate'; path: string; length: number }
  | { kind: 'sync'; path: string }
  | { kind: 'create'; path: string }
  | { kind: 'remove'; path: string }
  | { kind: 'syncDirectory'; path: string };

export type Files = Map<string, Buffer>;

const SECTOR = 512;

function failure(code: string, path: string, syscall = 'open'): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code, syscall });
}

/** Files in memory that keep a journal of all operations, can be told to fail, and can be cut at any operation. */
export class MemoryFileSystem implements FileSystem {
  files: Files;
  readonly operations: Operation[] = [];
  readonly directories = new Set<string>();
  openCount = 0;
  openCountMax = 0;
  /** Called before each operation; what it returns is thrown as that errno. */
  fault: ((operation: { kind: string; path: string }) => string | undefined) | undefined;

  constructor(files: Files = new Map()) {
    this.files = files;
    for (const path of files.keys()) this.#addParents(path);
  }

  async open(path: string, mode: OpenMode): Promise<StoreFile> {
    this.#check('open', path);
    await undefined;
    if (!this.files.has(path)) {
      if (mode !== 'create') throw failure('ENOENT', path);
      this.files.set(path, Buffer.alloc(0));
      this.operations.push({ kind: 'create', path });
    }
    this.openCount++;
    this.openCountMax = Math.max(this.openCountMax, this.openCount);
    let closed = false;
    const content = (): Buffer => {
      if (closed) throw failure('EBADF', path);
      return this.files.get(path) ?? Buffer.alloc(0);
    };
    return {
      path,
      fd: undefined,
      write: async (data, position) => {
        const pieces = (Array.isArray(data) ? data : [data]) as Uint8Array[];
        this.#check('write', path);
        // As the kernel does: the bytes are taken when the call is made.
        const bytes = Buffer.concat(pieces);
        const before = content();
        await undefined;
        const grown = before.length < position + bytes.length ? Buffer.alloc(position + bytes.length) : content();
        if (grown !== content()) content().copy(grown);
        bytes.copy(grown, position);
        if (this.files.has(path)) this.files.set(path, grown);
        this.operations.push({ kind: 'write', path, position, data: bytes });
      },
      read: async (target, position) => {
        this.#check('read', path);
        await undefined;
        const source = content();
        const part = source.subarray(position, position + target.length);
        target.set(part);
        return part.length;
      },
      sync: async () => {
        this.#check('sync', path);
        content();
        await undefined;
        this.operations.push({ kind: 'sync', path });
      },
      truncate: async (length) => {
        this.#check('truncate', path);
        const next = Buffer.alloc(length);
        content().copy(next);
        this.files.set(path, next);
        this.operations.push({ kind: 'truncate', path, length });
      },
      allocate: async () => {
        throw failure('ENOSYS', path);
      },
      dropCache: async () => true,
      zeroRange: async () => {
        throw failure('ENOSYS', path);
      },
      size: async () => content().length,
      close: async () => {
        closed = true;
        this.openCount--;
      },
    };
  }

  async stat(path: string): Promise<FileStat | undefined> {
    const file = this.files.get(path);
    if (file) return { size: file.length, mtimeMs: 0, isDirectory: false };
    return this.directories.has(path) ? { size: 0, mtimeMs: 0, isDirectory: true } : undefined;
  }

  async list(directory: string): Promise<string[]> {
    if (this.files.has(directory)) throw failure('ENOTDIR', directory);
    const names = new Set<string>();
    for (const path of [...this.files.keys(), ...this.directories]) {
      if (path.startsWith(`${directory}/`)) names.add(path.slice(directory.length + 1).split('/')[0]!);
    }
    return [...names].sort();
  }

  async readFile(path: string): Promise<Buffer | undefined> {
    return this.files.get(path);
  }

  async makeDirectory(path: string): Promise<void> {
    this.#check('makeDirectory', path);
    this.#addParents(`${path}/x`);
  }

  async rename(): Promise<void> {
    throw failure('ENOSYS', 'rename');
  }

  async remove(path: string): Promise<void> {
    this.#check('remove', path);
    this.files.delete(path);
    this.operations.push({ kind: 'remove', path });
  }

  async removeDirectory(path: string): Promise<void> {
    for (const name of this.files.keys()) if (name.startsWith(`${path}/`)) this.files.delete(name);
    for (const name of this.directories)
      if (name === path || name.startsWith(`${path}/`)) this.directories.delete(name);
    this.operations.push({ kind: 'remove', path });
  }

  async syncDirectory(path: string): Promise<void> {
    this.#check('syncDirectory', path);
    this.operations.push({ kind: 'syncDirectory', path });
  }

  async space(): Promise<DiskSpace> {
    return { totalBytes: 1e12, freeBytes: 1e12 };
  }

  inFlight(): InFlightOperation[] {
    return [];
  }

  track<T>(_operation: string, _file: string, done: Promise<T>): Promise<T> {
    return done;
  }

  /**
   * What a power cut after the first `count` operations leaves: everything synced, and of each sector written since then
   * either the new or the old content, as `random` decides. A new file whose directory was not synced may be gone.
   */
  filesAfterPowerCut(count: number, random: () => number): Files {
    const done = this.operations.slice(0, count);
    const durable: Files = new Map();
    const named = new Set<string>();
    const lastSync = new Map<string, number>();
    done.forEach((operation, index) => {
      if (operation.kind === 'sync') lastSync.set(operation.path, index);
    });
    done.forEach((operation, index) => {
      const { kind, path } = operation;
      const certain = index < (lastSync.get(path) ?? -1);
      if (kind === 'create') durable.set(path, Buffer.alloc(0));
      else if (kind === 'remove') durable.delete(path);
      else if (kind === 'syncDirectory') {
        for (const name of durable.keys()) if (dirname(name) === path) named.add(name);
      } else if (kind === 'truncate') {
        if (!certain && random() < 0.5) return;
        const next = Buffer.alloc(operation.length);
        durable.get(path)?.copy(next);
        durable.set(path, next);
      } else if (kind === 'write') {
        const { position, data } = operation;
        for (let at = 0; at < data.length; ) {
          const length = Math.min(data.length - at, SECTOR - ((position + at) % SECTOR));
          const file = durable.get(path);
          if (file && (certain || random() < 0.5)) data.copy(file, position + at, at, at + length);
          at += length;
        }
      }
    });
    for (const path of durable.keys()) if (!named.has(path) && random() < 0.5) durable.delete(path);
    return durable;
  }

  #check(kind: string, path: string): void {
    const code = this.fault?.({ kind, path });
    if (code) throw failure(code, path, kind);
  }

  #addParents(path: string): void {
    for (let parent = dirname(path); parent !== dirname(parent); parent = dirname(parent)) this.directories.add(parent);
  }
}
