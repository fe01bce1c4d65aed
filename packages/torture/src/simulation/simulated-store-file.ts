import type { StoreFile } from '@vernier/store/internal';
import type { Inode } from './simulated-file.ts';
import type { SimulatedFileSystem } from './simulated-file-system.ts';

/** An errno error as the real calls reject with. */
export class SimulatedError extends Error {
  readonly code: string;
  readonly syscall: string;
  /** See FaultRule.partial. */
  readonly partial: number | undefined;

  constructor(code: string, operation: string, path: string, partial?: number) {
    super(`${code}: ${operation} '${path}' (simulated)`);
    this.code = code;
    this.syscall = operation;
    this.partial = partial;
  }
}

/** An open file of a SimulatedFileSystem. */
export class SimulatedStoreFile implements StoreFile {
  readonly path: string;
  readonly fd = undefined;
  readonly writeDurably: StoreFile['writeDurably'];
  readonly #owner: SimulatedFileSystem;
  readonly #inode: Inode;

  constructor(owner: SimulatedFileSystem, path: string, inode: Inode) {
    this.#owner = owner;
    this.path = path;
    this.#inode = inode;
    this.writeDurably = owner.hasDurableWrites ? this.#writeDurably.bind(this) : undefined;
  }

  /** The bytes are taken when the call ends, not when it begins: a buffer reused too early shows. */
  async write(data: Uint8Array | readonly Uint8Array[], position: number): Promise<void> {
    const pieces = data instanceof Uint8Array ? [data] : data;
    const detail = { position, length: lengthOf(pieces) };
    try {
      await this.#owner.call('write', this.path, detail);
    } catch (error) {
      // A write that fails may have written a part of it.
      this.#lay(pieces, position, detail.length * ((error as SimulatedError).partial ?? 0.5));
      throw error;
    }
    this.#lay(pieces, position, detail.length);
    this.#inode.mtimeMs = this.#owner.stamp();
    await this.#owner.done('write', this.path, detail);
  }

  /** As write(), in the turn of the caller. A write that a test holds up is one that cannot be done now. */
  writeNow(data: Uint8Array, position: number): boolean {
    const detail = { position, length: data.length };
    try {
      if (!this.#owner.callNow('write', this.path, detail)) return false;
    } catch (error) {
      this.#lay([data], position, detail.length * ((error as SimulatedError).partial ?? 0.5));
      throw error;
    }
    this.#lay([data], position, detail.length);
    this.#inode.mtimeMs = this.#owner.stamp();
    this.#owner.doneNow('write', this.path, detail);
    return true;
  }

  /** Counts as a sync. Makes these bytes durable and no others, which a test of a flush that relies on more shows. */
  async #writeDurably(data: Uint8Array | readonly Uint8Array[], position: number): Promise<void> {
    const pieces = data instanceof Uint8Array ? [data] : data;
    const detail = { position, length: lengthOf(pieces) };
    try {
      await this.#owner.call('sync', this.path, detail);
    } catch (error) {
      // The page cache has all of it and calls it clean; the disk has what got there.
      this.#lay(pieces, position, detail.length);
      const got = Math.floor(detail.length * ((error as SimulatedError).partial ?? 0));
      this.#inode.failRange(position, position + got, position + detail.length);
      throw error;
    }
    this.#lay(pieces, position, detail.length);
    this.#inode.syncRange(position, position + detail.length);
    this.#inode.mtimeMs = this.#owner.stamp();
    await this.#owner.done('sync', this.path, detail);
  }

  /** The first `length` bytes of the pieces go to `position` on. */
  #lay(pieces: readonly Uint8Array[], position: number, length: number): void {
    let done = 0;
    for (const piece of pieces) {
      const take = Math.min(piece.length, Math.floor(length) - done);
      if (take <= 0) return;
      this.#inode.write(piece.subarray(0, take), position + done);
      done += take;
    }
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    await this.#owner.call('read', this.path);
    const end = Math.min(this.#inode.size, position + target.length);
    const count = Math.max(0, end - position);
    target.set(this.#inode.content.subarray(position, position + count));
    this.#owner.flip(this.path, target.subarray(0, count), position);
    return count;
  }

  async sync(): Promise<void> {
    const snapshot = this.#inode.beginSync();
    try {
      await this.#owner.call('sync', this.path);
    } catch (error) {
      this.#inode.failSync(snapshot, (error as SimulatedError).partial ?? 0);
      throw error;
    }
    this.#inode.endSync(snapshot);
    await this.#owner.done('sync', this.path);
  }

  async truncate(length: number): Promise<void> {
    await this.#owner.call('truncate', this.path);
    this.#inode.resize(length);
    await this.#owner.done('truncate', this.path);
  }

  async allocate(length: number, freeBytesMin = 0): Promise<void> {
    await this.#owner.call('allocate', this.path);
    const wanted = length - this.#inode.size;
    if (wanted <= 0) return;
    if (wanted + freeBytesMin > this.#owner.freeBytes) throw new SimulatedError('ENOSPC', 'allocate', this.path);
    this.#owner.freeBytes -= wanted;
    this.#inode.resize(length);
    await this.#owner.done('allocate', this.path);
  }

  async zeroRange(position: number, length: number): Promise<void> {
    await this.#owner.call('zeroRange', this.path);
    this.#inode.zero(position, length);
    await this.#owner.done('zeroRange', this.path);
  }

  /** No call that could fail or be cut off: nothing on disk changes. */
  async dropCache(position: number, length: number): Promise<boolean> {
    this.#inode.dropCache(position, length);
    return true;
  }

  async size(): Promise<number> {
    return this.#inode.size;
  }

  async close(): Promise<void> {}
}

function lengthOf(pieces: readonly Uint8Array[]): number {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  return length;
}
