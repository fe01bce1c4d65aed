/**
 * A FileSystem in memory that forgets, as a machine does whose power is cut: every file has a volatile and a durable
 * image, every name and every length too. `crash(seed)` gives a new file system with what survived. Faults, bit flips
 * and calls that hang until the test lets them go are injected by operation and path.
 */
import { dirname } from 'node:path';
import type { InFlightOperation } from '@vernier/store';
import type { DiskSpace, FileStat, FileSystem, OpenMode, StoreFile } from '@vernier/store/internal';
import { type CrashOptions, Inode, seededRandom } from './simulated-file.ts';
import { Names } from './simulated-names.ts';
import { SimulatedError, SimulatedStoreFile } from './simulated-store-file.ts';

export type SimulatedOperation =
  | 'open'
  | 'read'
  | 'write'
  | 'sync'
  | 'truncate'
  | 'allocate'
  | 'zeroRange'
  | 'rename'
  | 'remove'
  | 'removeDirectory'
  | 'makeDirectory'
  | 'syncDirectory'
  | 'readFile'
  | 'list'
  | 'stat';

export interface FaultRule {
  operation: SimulatedOperation;
  /** Part of the path, or a pattern; every path without. */
  path?: string | RegExp;
  /** Errno code of the error, for example 'EIO'. */
  code: string;
  /** How often it strikes; default 1, Infinity for ever. */
  times?: number;
  /** Calls that pass first; default 0. */
  skip?: number;
  /**
   * How much of a failing call takes effect all the same, from 0 to 1: of a write its bytes (default 0.5), of a sync the
   * dirty sectors that get to the disk (default 0).
   */
  partial?: number;
}

/** Where in a file a call goes, for hooks that must tell two writes of one file apart. */
export interface CallDetail {
  position: number;
  length: number;
}

export type CallHook = (operation: SimulatedOperation, path: string, detail?: CallDetail) => void;

/** A call that hangs. */
export interface Held {
  /** Resolves when a call has come and hangs. */
  readonly entered: Promise<void>;
  /** Lets it, and those that came after it, go on. */
  release(): void;
}

interface Gate {
  matches(operation: SimulatedOperation, path: string): boolean;
  entered(): void;
  released: Promise<void>;
}

const DISK_BYTES = 1024 ** 4;

export interface SimulatedFileSystemOptions {
  /** Stamp of mtimeMs; default Date.now. */
  now?: () => number;
  /** false: files have no writeDurably, as on systems without O_DSYNC; default true. */
  durableWrites?: boolean;
  /** So many of the newest calls are kept in `operations`; default all. */
  operationsMax?: number;
}

export class SimulatedFileSystem implements FileSystem {
  /** Bytes that can still be allocated; set it to run out. */
  freeBytes = DISK_BYTES;
  /** The calls so far, in order; see operationsMax. */
  readonly operations: { operation: SimulatedOperation; path: string }[] = [];
  /** Called before each call has any effect; throw to make it fail, for tests that go through every step. */
  intercept: CallHook | undefined;
  /** Called when a call has had its effect and before its promise resolves. */
  onDone: CallHook | undefined;
  /** Called when a call is made, before anything else. */
  onCall: (() => void) | undefined;
  /** How long each call takes: it has its effect when the promise resolves. Without it, the turn after it was made. */
  latency: ((operation: SimulatedOperation, path: string) => Promise<void>) | undefined;
  readonly #options: SimulatedFileSystemOptions;
  readonly #now: () => number;
  readonly #names: Names;
  #halted = false;
  readonly #rules: (FaultRule & { times: number; skip: number })[] = [];
  readonly #gates = new Set<Gate>();
  readonly #flips: { path: string; position: number; mask: number }[] = [];
  readonly #running = new Set<{ operation: string; file: string; startMs: number }>();

  constructor(options: SimulatedFileSystemOptions = {}) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#names = new Names();
    for (const directory of ['/']) {
      this.#names.directories.add(directory);
      this.#names.durableDirectories.add(directory);
    }
  }

  /** Makes matching calls fail. A failed sync leaves its bytes marked clean and not durable, as Linux does. */
  inject(rule: FaultRule): void {
    this.#rules.push({ ...rule, times: rule.times ?? 1, skip: rule.skip ?? 0 });
  }

  /** Forgets the faults, bit flips and hanging calls injected so far. */
  clearFaults(): void {
    this.#rules.length = 0;
    this.#flips.length = 0;
    this.#gates.clear();
  }

  /** The machine stops here: no call that is under way or comes later has any further effect, and none returns. */
  halt(): void {
    this.#halted = true;
  }

  get isHalted(): boolean {
    return this.#halted;
  }

  /** After halt() and a killed process alone, not a power cut: calls work again on what reads saw (the page cache). */
  resume(): void {
    this.#halted = false;
  }

  get hasDurableWrites(): boolean {
    return this.#options.durableWrites !== false;
  }

  /** Makes matching calls hang, before they have any effect but after a sync has looked at what it covers. */
  hold(operation: SimulatedOperation, path: string | RegExp = ''): Held {
    let enter = (): void => {};
    let release = (): void => {};
    const entered = new Promise<void>((resolve) => {
      enter = resolve;
    });
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const gate: Gate = {
      matches: (called, at) => called === operation && pathMatches(path, at),
      entered: enter,
      released,
    };
    this.#gates.add(gate);
    return {
      entered,
      release: () => {
        this.#gates.delete(gate);
        release();
      },
    };
  }

  /** From now on every read of this byte comes back with the bits of `mask` turned over. */
  flipOnRead(path: string, position: number, mask = 1): void {
    this.#flips.push({ path, position, mask });
  }

  /** What a power cut now would leave, as a file system of its own. The same seed gives the same remains. */
  crash(seed: number, options: CrashOptions = {}): SimulatedFileSystem {
    const random = seededRandom(seed);
    const left = new SimulatedFileSystem(this.#options);
    const { files, directories } = this.#names.crash(random);
    for (const directory of directories) {
      left.#names.directories.add(directory);
      left.#names.durableDirectories.add(directory);
    }
    for (const [path, inode] of files) {
      const survivor = inode.afterCrash(random, inode.mtimeMs, options);
      left.#names.files.set(path, survivor);
      left.#names.durableFiles.set(path, survivor);
    }
    left.freeBytes = this.freeBytes;
    return left;
  }

  /** Paths of the files that reads see, sorted; for assertions. */
  paths(): string[] {
    return [...this.#names.files.keys()].sort();
  }

  /** Bytes that a process killed now would leave; for assertions. */
  volatileContent(path: string): Buffer {
    const inode = this.#inode(path, 'read');
    return Buffer.from(inode.content.subarray(0, inode.size));
  }

  async open(path: string, mode: OpenMode): Promise<StoreFile> {
    await this.#call('open', path);
    if (mode === 'create' && !this.#names.files.has(path)) {
      this.#needDirectory(path, 'open');
      this.#names.add(path, new Inode(this.#now()));
    }
    await this.done('open', path);
    return new SimulatedStoreFile(this, path, this.#inode(path, 'open'));
  }

  async stat(path: string): Promise<FileStat | undefined> {
    await this.#call('stat', path);
    const inode = this.#names.files.get(path);
    if (inode !== undefined) return { size: inode.size, mtimeMs: inode.mtimeMs, isDirectory: false };
    return this.#names.directories.has(path) ? { size: 0, mtimeMs: 0, isDirectory: true } : undefined;
  }

  async list(directory: string): Promise<string[]> {
    await this.#call('list', directory);
    const names = [...this.#names.files.keys(), ...this.#names.directories]
      .filter((path) => path !== '/' && dirname(path) === directory)
      .map((path) => path.slice(path.lastIndexOf('/') + 1));
    return names.sort();
  }

  async readFile(path: string): Promise<Buffer | undefined> {
    await this.#call('readFile', path);
    if (!this.#names.files.has(path)) return undefined;
    const content = this.volatileContent(path);
    this.flip(path, content, 0);
    return content;
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#call('makeDirectory', path);
    this.#names.makeDirectory(path);
    await this.done('makeDirectory', path);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#call('rename', to);
    this.#needDirectory(to, 'rename');
    this.#names.rename(from, to, this.#inode(from, 'rename'));
    await this.done('rename', to);
  }

  async remove(path: string): Promise<void> {
    await this.#call('remove', path);
    this.freeBytes += this.#names.files.get(path)?.size ?? 0;
    this.#names.remove(path);
    await this.done('remove', path);
  }

  async removeDirectory(path: string): Promise<void> {
    await this.#call('removeDirectory', path);
    this.#names.removeDirectory(path);
    await this.done('removeDirectory', path);
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#call('syncDirectory', path);
    if (!this.#names.directories.has(path)) throw new SimulatedError('ENOENT', 'syncDirectory', path);
    this.#names.syncDirectory(path);
    await this.done('syncDirectory', path);
  }

  async space(): Promise<DiskSpace> {
    return { totalBytes: DISK_BYTES, freeBytes: this.freeBytes };
  }

  inFlight(): InFlightOperation[] {
    const now = performance.now();
    return [...this.#running].map(({ operation, file, startMs }) => ({ operation, file, sinceMs: now - startMs }));
  }

  async track<T>(operation: string, file: string, done: Promise<T>): Promise<T> {
    const entry = { operation, file, startMs: performance.now() };
    this.#running.add(entry);
    try {
      return await done;
    } finally {
      this.#running.delete(entry);
    }
  }

  /** Counts the call, lets it hang, lets it fail. For the file objects. */
  call(operation: SimulatedOperation, path: string, detail?: CallDetail): Promise<void> {
    return this.track(operation, path, this.#call(operation, path, detail));
  }

  /** The call has had its effect. Undefined unless somebody wants to know: then awaited, for the machine may stop here. */
  done(operation: SimulatedOperation, path: string, detail?: CallDetail): Promise<void> | undefined {
    if (!this.onDone) return undefined;
    this.onDone(operation, path, detail);
    return this.#halted ? never() : undefined;
  }

  /** Turns over the bits a test asked for. For the file objects. */
  flip(path: string, bytes: Uint8Array, position: number): void {
    for (const flip of this.#flips) {
      const at = flip.position - position;
      if (flip.path === path && at >= 0 && at < bytes.length) bytes[at]! ^= flip.mask;
    }
  }

  /** The stamp of a change. For the file objects. */
  stamp(): number {
    return this.#now();
  }

  async #call(operation: SimulatedOperation, path: string, detail?: CallDetail): Promise<void> {
    this.#record(operation, path);
    this.onCall?.();
    // Not even an operation that nothing holds up is done in the turn that asked for it.
    await (this.latency ? this.latency(operation, path) : null);
    for (const gate of [...this.#gates]) {
      if (!gate.matches(operation, path)) continue;
      gate.entered();
      await gate.released;
    }
    if (!this.#halted) this.intercept?.(operation, path, detail);
    if (this.#halted) await never();
    this.#fault(operation, path);
  }

  /**
   * A call that is over when it returns; it takes no time and cannot hang: false when a test would let it. On a machine
   * that has stopped it throws, for its caller goes on and must not take it for done. For the file objects.
   */
  callNow(operation: SimulatedOperation, path: string, detail?: CallDetail): boolean {
    if ([...this.#gates].some((gate) => gate.matches(operation, path))) return false;
    this.#record(operation, path);
    this.onCall?.();
    if (!this.#halted) this.intercept?.(operation, path, detail);
    if (this.#halted) throw new SimulatedError('EHALTED', operation, path, 0);
    this.#fault(operation, path);
    return true;
  }

  /** callNow() has had its effect; the machine may stop here. */
  doneNow(operation: SimulatedOperation, path: string, detail?: CallDetail): void {
    this.onDone?.(operation, path, detail);
    if (this.#halted) throw new SimulatedError('EHALTED', operation, path, 0);
  }

  /** Throws what a rule says of the call. */
  #fault(operation: SimulatedOperation, path: string): void {
    for (const rule of this.#rules) {
      if (rule.operation !== operation || rule.times <= 0 || !pathMatches(rule.path ?? '', path)) continue;
      if (rule.skip > 0) {
        rule.skip--;
        continue;
      }
      rule.times--;
      throw new SimulatedError(rule.code, operation, path, rule.partial);
    }
  }

  #record(operation: SimulatedOperation, path: string): void {
    const max = this.#options.operationsMax ?? Number.POSITIVE_INFINITY;
    this.operations.push({ operation, path });
    if (this.operations.length > max * 2) this.operations.splice(0, max);
  }

  #inode(path: string, operation: SimulatedOperation): Inode {
    const inode = this.#names.files.get(path);
    if (inode === undefined) throw new SimulatedError('ENOENT', operation, path);
    return inode;
  }

  #needDirectory(path: string, operation: SimulatedOperation): void {
    if (!this.#names.directories.has(dirname(path))) throw new SimulatedError('ENOENT', operation, path);
  }
}

function pathMatches(wanted: string | RegExp, path: string): boolean {
  return typeof wanted === 'string' ? path.includes(wanted) : wanted.test(path);
}

/** What a call that never returns waits for, a promise of its own for each: one for all would keep everything that ever waited for it in memory. */
const never = (): Promise<void> => new Promise(() => {});
