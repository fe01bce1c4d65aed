import type { FileSystem, OpenMode, StoreFile, Traffic } from '../../src/base/file-system.ts';

/** Lets the test hold or fail the log's writes, syncs and allocations. Everything else goes through. */
export class Faults {
  writes = 0;
  /** Those of them that were made on the event loop. */
  writesNow = 0;
  onWriteNow: (() => void) | undefined;
  syncs = 0;
  failWrite: NodeJS.ErrnoException | undefined;
  failSync: NodeJS.ErrnoException | undefined;
  failAllocate: NodeJS.ErrnoException | undefined;
  /** While set, writes wait for release(). */
  holdWrites = false;
  #heldWrites: (() => void)[] = [];
  #heldSync: Promise<void> | undefined;
  #heldAllocate: Promise<void> | undefined;
  #releaseAllocate: () => void = () => {};
  #release: () => void = () => {};
  #begun: (() => void)[] = [];

  /** Syncs that begin from now on wait for release(). */
  holdSync(): void {
    this.#heldSync = new Promise((resolve) => {
      this.#release = resolve;
    });
  }

  /** Allocations that begin from now on wait for release(). */
  holdAllocate(): void {
    this.#heldAllocate = new Promise((resolve) => {
      this.#releaseAllocate = resolve;
    });
  }

  release(): void {
    this.#heldAllocate = undefined;
    this.#releaseAllocate();
    this.#heldSync = undefined;
    this.#release();
    this.holdWrites = false;
    for (const go of this.#heldWrites.splice(0)) go();
  }

  syncBegun(): Promise<void> {
    return new Promise((resolve) => this.#begun.push(resolve));
  }

  wrap(fileSystem: FileSystem): FileSystem {
    const faults = this;
    return new Proxy(fileSystem, {
      get(target, key) {
        if (key === 'open') {
          return async (path: string, mode: OpenMode, traffic?: Traffic) =>
            faults.#wrapFile(await target.open(path, mode, traffic), traffic);
        }
        const value = Reflect.get(target, key) as unknown;
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }

  #wrapFile(file: StoreFile, traffic: Traffic | undefined): StoreFile {
    const faults = this;
    return new Proxy(file, {
      get(target, key) {
        if (key === 'write' && traffic === 'log') {
          return async (data: Uint8Array, position: number) => {
            faults.writes++;
            if (faults.holdWrites) await new Promise<void>((resolve) => faults.#heldWrites.push(resolve));
            if (faults.failWrite) throw faults.failWrite;
            await target.write(data, position);
          };
        }
        if (key === 'writeNow' && traffic === 'log') {
          return (data: Uint8Array, position: number) => {
            if (faults.holdWrites) return false;
            faults.writes++;
            faults.writesNow++;
            faults.onWriteNow?.();
            if (faults.failWrite) throw faults.failWrite;
            return target.writeNow!(data, position);
          };
        }
        if (key === 'sync' && traffic === 'log') {
          return async () => {
            faults.syncs++;
            for (const begun of faults.#begun.splice(0)) begun();
            await faults.#heldSync;
            if (faults.failSync) throw faults.failSync;
            await target.sync();
          };
        }
        // The group write that is a flush as well: both faults apply.
        if (key === 'writeDurably' && traffic === 'log' && target.writeDurably) {
          return async (data: Uint8Array, position: number) => {
            faults.writes++;
            faults.syncs++;
            for (const begun of faults.#begun.splice(0)) begun();
            if (faults.holdWrites) await new Promise<void>((resolve) => faults.#heldWrites.push(resolve));
            await faults.#heldSync;
            if (faults.failWrite) throw faults.failWrite;
            if (faults.failSync) throw faults.failSync;
            await target.writeDurably!(data, position);
          };
        }
        if (key === 'allocate') {
          return async (length: number, floor?: number) => {
            await faults.#heldAllocate;
            if (faults.failAllocate) throw faults.failAllocate;
            await target.allocate(length, floor);
          };
        }
        const value = Reflect.get(target, key) as unknown;
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }
}

export function errno(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: injected`), { code });
}
