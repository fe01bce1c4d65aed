/**
 * What the engines share: positions, page predicates, one commit and one flush at a time, reading, reference counting,
 * destruction. An engine adds where appended bytes lie and how they reach the file.
 *
 * Invariants:
 * - 0 ≤ flushedPosition ≤ committedPosition ≤ wrotePosition ≤ fileSize.
 * - committedPosition moves only after a write that covers it resolved, flushedPosition only after a force that began
 *   after such a write resolved.
 * - The first failed write or force fails the store; afterwards neither is ever called again.
 */

import { Coalesced } from '../base/coalesced.ts';
import type { StoreContext } from '../base/context.ts';
import { StoreError, type StoreErrorCode } from '../base/errors.ts';
import type { StoreFile } from '../base/file-system.ts';
import type { OpenFiles } from '../io/open-files.ts';
import type { MappedFile } from './mapped-file.ts';
import { ZeroAhead } from './zero-ahead.ts';

export const OS_PAGE_SIZE = 4096;

/** What a file of a log is made of, whatever its engine. */
export interface MappedFilePlace {
  context: StoreContext;
  openFiles: OpenFiles;
  fileName: string;
  fileFromOffset: number;
  fileSize: number;
}

const noTarget: Buffer = Buffer.alloc(0);

export abstract class MappedFileBase implements MappedFile {
  readonly fileName: string;
  readonly fileFromOffset: number;
  readonly fileSize: number;
  wrotePosition = 0;
  committedPosition = 0;
  flushedPosition = 0;
  storeTimestamp = 0;
  target: Buffer = noTarget;
  targetStart = 0;

  protected readonly context: StoreContext;
  /** The descriptor that writes and syncs, from the first need of it until everything is flushed. */
  protected pinned: StoreFile | undefined;
  readonly #openFiles: OpenFiles;
  readonly #commits: Coalesced<number>;
  readonly #flushes: Coalesced<number>;
  /** 1 for the file's own life, 1 for each holder (RocketMQ ReferenceResource). */
  #references = 1;
  #available = true;
  #drained: (() => void) | undefined;
  #destroying: Promise<void> | undefined;
  #pinning: Promise<StoreFile> | undefined;
  #zeroAhead: ZeroAhead | undefined;
  /** commit() was called since the last flush. */
  #commitAsked = false;
  /** The next commit is a flush's and may be durable at once. */
  #commitDurably = false;

  constructor(place: MappedFilePlace) {
    this.context = place.context;
    this.#openFiles = place.openFiles;
    this.fileName = place.fileName;
    this.fileFromOffset = place.fileFromOffset;
    this.fileSize = place.fileSize;
    this.#commits = new Coalesced(() => this.#held(() => this.#commitNow()));
    this.#flushes = new Coalesced(() => this.#held(() => this.#flushNow()));
  }

  abstract reserve(size: number): boolean;
  abstract advance(size: number, end?: boolean): void;
  abstract selectHot(position: number, size: number): Buffer | undefined;

  /**
   * Hands [from, to) to the OS with one positional write. What it takes from memory it must take before its first await.
   * `durably`: with writeDurably() if the file has it. Resolves with whether [from, to) is on disk.
   */
  protected abstract writeOut(from: number, to: number, durably: boolean): Promise<boolean>;
  /** Gives up the memory that holds bytes from `position` on. */
  protected abstract dropMemory(position: number): void;
  /** Copies the part of [position, position + target.length) that is in memory alone; the number of bytes at the end of
   * `target` that this filled. Bytes at committedPosition or above exist nowhere else. */
  protected abstract copyUncommitted(target: Buffer, position: number): number;

  /** Makes [from, to) durable; everything in it is written. */
  protected async force(_from: number, _to: number): Promise<void> {
    await (await this.pin()).sync();
  }

  /** Called after wrotePosition, committedPosition or flushedPosition caught up with what was asked. */
  protected onCommitted(): void {}
  protected onFlushed(): void {}

  get isFull(): boolean {
    return this.wrotePosition === this.fileSize;
  }

  get isAvailable(): boolean {
    return this.#available;
  }

  /** End of what may be read: with the transient pool only what is written (RocketMQ getReadPosition). */
  get readPosition(): number {
    return this.wrotePosition;
  }

  isAbleToCommit(commitLeastPages: number): boolean {
    return this.#isAble(this.committedPosition, this.wrotePosition, commitLeastPages);
  }

  isAbleToFlush(flushLeastPages: number): boolean {
    // With 0 pages everything appended counts, because flush() commits first; RocketMQ's readable end otherwise.
    const end = flushLeastPages > 0 ? this.readPosition : this.wrotePosition;
    return this.#isAble(this.flushedPosition, end, flushLeastPages);
  }

  #isAble(done: number, end: number, leastPages: number): boolean {
    if (end <= done) return false;
    if (this.isFull || leastPages <= 0) return true;
    return Math.floor(end / OS_PAGE_SIZE) - Math.floor(done / OS_PAGE_SIZE) >= leastPages;
  }

  commit(commitLeastPages: number): Promise<number> {
    if (this.context.failure !== undefined) return Promise.reject(this.context.failure);
    this.#commitAsked = true;
    return this.isAbleToCommit(commitLeastPages) ? this.#commits.run() : Promise.resolve(this.committedPosition);
  }

  flush(flushLeastPages: number): Promise<number> {
    if (this.context.failure !== undefined) return Promise.reject(this.context.failure);
    return this.isAbleToFlush(flushLeastPages) ? this.#flushes.run() : Promise.resolve(this.flushedPosition);
  }

  /**
   * commit() on this thread, over when it returns: for at most `bytesMax` bytes, when this file neither writes nor forces.
   * False: not now, nothing was done. Throws as commit() rejects.
   */
  commitNow(bytesMax: number): boolean {
    if (this.context.failure !== undefined) throw this.context.failure;
    const file = this.pinned;
    const from = this.committedPosition;
    const to = this.wrotePosition;
    if (file?.writeNow === undefined || !this.#available || to === this.fileSize || to - from > bytesMax) return false;
    if (this.#commits.isRunning || this.#flushes.isRunning || this.#zeroAhead !== undefined) return false;
    if (to === from) return true;
    this.#commitAsked = true;
    try {
      if (!this.writeOutNow(file, from)) return false;
    } catch (error) {
      throw this.#fail('STORE_WRITE_FAILED', 'write', from, to, error);
    }
    this.committedPosition = to;
    this.onCommitted();
    return true;
  }

  /** writeOut() of everything appended, with writeNow(). False: not now. For engines that can. */
  protected writeOutNow(_file: StoreFile, _from: number): boolean {
    return false;
  }

  async #commitNow(): Promise<number> {
    if (this.context.failure !== undefined) throw this.context.failure;
    const from = this.committedPosition;
    const to = this.wrotePosition;
    // A durable write covers its own bytes alone; what others wrote before it needs a sync.
    const durably = this.#commitDurably && this.flushedPosition === from;
    this.#commitDurably = false;
    if (to === from) return from;
    let onDisk: boolean;
    try {
      onDisk = await this.writeOut(from, to, durably);
    } catch (error) {
      throw durably
        ? this.#fail('STORE_FLUSH_FAILED', 'flush', from, to, error)
        : this.#fail('STORE_WRITE_FAILED', 'write', from, to, error);
    }
    this.committedPosition = to;
    this.onCommitted();
    if (onDisk) this.#flushed(to);
    return to;
  }

  /**
   * Two ways. When nobody but flushes wants bytes written (a store where every append waits for the disk), write and
   * force are one call. When others wait for *written* (commit() was called since the last flush), the write comes
   * first and by itself, so that they need not wait for the force.
   */
  async #flushNow(): Promise<number> {
    this.#commitDurably = !this.#commitAsked;
    this.#commitAsked = false;
    await this.#commits.run();
    const from = this.flushedPosition;
    const to = this.committedPosition;
    if (to === from) return from;
    if (this.context.failure !== undefined) throw this.context.failure;
    try {
      await this.force(from, to);
    } catch (error) {
      throw this.#fail('STORE_FLUSH_FAILED', 'flush', from, to, error);
    }
    this.#flushed(to);
    return to;
  }

  #flushed(to: number): void {
    // What failed elsewhere meanwhile may have been these pages: the kernel tells one of two waiting calls of the failure.
    if (this.context.failure !== undefined) throw this.context.failure;
    this.flushedPosition = to;
    this.onFlushed();
    this.#zeroAhead?.follow(this.wrotePosition);
    if (to === this.fileSize) this.unpin();
  }

  /** Fail-stop. Returns the store's first failure, which this one may not be. */
  #fail(code: StoreErrorCode, what: string, from: number, to: number, cause: unknown): StoreError {
    if (cause instanceof StoreError) return this.context.fail(cause);
    const errno = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    const details = {
      file: this.fileName,
      offset: this.fileFromOffset + from,
      position: from,
      bytes: to - from,
      errno,
    };
    const message = `${what} of ${to - from} bytes at position ${from} of ${this.fileName} failed: ${errno}`;
    return this.context.fail(new StoreError(errno === 'ENOSPC' ? 'STORE_DISK_FULL' : code, message, details, cause));
  }

  async read(position: number, size: number, target?: Buffer): Promise<Buffer> {
    if (position < 0 || size < 0 || position + size > this.readPosition) throw this.#outOfRange(position, size);
    const result = target === undefined ? Buffer.allocUnsafe(size) : target.subarray(0, size);
    const hot = this.selectHot(position, size);
    if (hot !== undefined) {
      result.set(hot);
      return result;
    }
    // Memory first and in the same turn: what is uncommitted now may be committed, and its buffer reused, after an await.
    const missing = size - this.copyUncommitted(result, position);
    if (missing === 0) return result;
    if (!this.hold()) throw this.#outOfRange(position, size);
    try {
      const file = await this.#openFiles.acquire(this.fileName);
      try {
        const found = await file.read(result.subarray(0, missing), position);
        if (found !== missing) throw this.#readFailed(position, missing, found);
      } finally {
        this.#openFiles.release(file);
      }
    } catch (error) {
      throw error instanceof StoreError ? error : this.#readFailed(position, missing, undefined, error);
    } finally {
      this.release();
    }
    return result;
  }

  #outOfRange(position: number, size: number): StoreError {
    const details = { file: this.fileName, position, size, readPosition: this.readPosition };
    const message = `${size} bytes at position ${position} of ${this.fileName}: readable up to ${this.readPosition}`;
    return new StoreError('STORE_OFFSET_OUT_OF_RANGE', message, details);
  }

  #readFailed(position: number, expected: number, found?: number, cause?: unknown): StoreError {
    const errno = (cause as NodeJS.ErrnoException | undefined)?.code;
    const details = { file: this.fileName, offset: this.fileFromOffset + position, position, expected, found, errno };
    const reason = found === undefined ? (errno ?? String(cause)) : `only ${found} bytes are there`;
    const message = `reading ${expected} bytes at position ${position} of ${this.fileName} failed: ${reason}`;
    return new StoreError('STORE_READ_FAILED', message, details, cause);
  }

  setPositions(position: number): void {
    this.dropMemory(position);
    this.wrotePosition = position;
    this.committedPosition = position;
    this.flushedPosition = position;
  }

  async zeroTail(position: number): Promise<void> {
    try {
      const file = await this.pin();
      await file.zeroRange(position, this.fileSize - position);
      await file.sync();
    } catch (error) {
      throw this.#fail('STORE_FLUSH_FAILED', 'zeroing', position, this.fileSize, error);
    }
  }

  /** Recovery only: writes [position, position + size) again as it reads, then forces it. On disk when it resolves. */
  async rewriteDurably(position: number, size: number): Promise<void> {
    try {
      const file = await this.pin();
      for (let done = 0; done < size; done += REWRITE_STEP) {
        const step = Math.min(REWRITE_STEP, size - done);
        await file.write(await this.read(position + done, step), position + done);
      }
      await file.sync();
    } catch (error) {
      throw this.#fail('STORE_FLUSH_FAILED', 'rewriting', position, position + size, error);
    }
  }

  /** Opens the file for writing and keeps it so; append engines that need the descriptor at once are ready afterwards. */
  async pin(): Promise<StoreFile> {
    if (this.pinned !== undefined) return this.pinned;
    this.#pinning ??= this.#openFiles.acquire(this.fileName);
    try {
      this.pinned = await this.#pinning;
      return this.pinned;
    } finally {
      this.#pinning = undefined;
    }
  }

  /** Takes over a descriptor acquired for this file, so that the first append waits for no open. */
  adopt(file: StoreFile): void {
    this.pinned = file;
  }

  /** writeOut() for engines that hold what was appended in memory. */
  protected async writePieces(pieces: readonly Uint8Array[], position: number, durably: boolean): Promise<boolean> {
    const file = this.pinned ?? (await this.pin());
    const { config } = this.context;
    if (config.zeroAheadBytes > 0 && config.flushDiskType === 'SYNC_FLUSH') {
      this.#zeroAhead ??= new ZeroAhead(this.context, this.fileName, this.fileSize, (from, to, error) =>
        this.#fail('STORE_FLUSH_FAILED', 'zeroing ahead', from, to, error),
      );
      let end = position;
      for (const piece of pieces) end += piece.length;
      await this.#zeroAhead.clear(end);
    }
    if (durably && file.writeDurably !== undefined) {
      await file.writeDurably(pieces, position);
      return true;
    }
    await file.write(pieces, position);
    return false;
  }

  protected unpin(): void {
    const file = this.pinned;
    if (file === undefined) return;
    this.pinned = undefined;
    this.#openFiles.release(file);
  }

  async #held<T>(operation: () => Promise<T>): Promise<T> {
    if (!this.hold()) {
      throw new StoreError('STORE_CLOSED', `${this.fileName} is being deleted`, { file: this.fileName });
    }
    try {
      return await operation();
    } finally {
      this.release();
    }
  }

  hold(): boolean {
    if (!this.#available) return false;
    this.#references++;
    return true;
  }

  release(): void {
    this.#references--;
    if (this.#references <= 0) this.#drained?.();
  }

  destroy(forceAfterMs: number): Promise<void> {
    // A removal that failed can be tried again (RocketMQ's redeleteHangedFileInterval).
    this.#destroying ??= this.#destroyNow(forceAfterMs).finally(() => {
      this.#destroying = undefined;
    });
    return this.#destroying;
  }

  async #destroyNow(forceAfterMs: number): Promise<void> {
    if (this.#available) {
      this.#available = false;
      this.release();
    }
    if (this.#references > 0) await this.#whenDrained(forceAfterMs);
    await this.close();
    await this.#openFiles.fileSystem.remove(this.fileName);
  }

  #whenDrained(forceAfterMs: number): Promise<void> {
    return new Promise((resolve) => {
      const { clock, logger } = this.context;
      const timer = clock.setTimer(() => {
        this.#drained = undefined;
        logger.warn(
          { file: this.fileName, holders: this.#references, afterMs: forceAfterMs },
          'a file to be deleted was still held; it is deleted now',
        );
        resolve();
      }, forceAfterMs);
      this.#drained = () => {
        this.#drained = undefined;
        clock.clearTimer(timer);
        resolve();
      };
    });
  }

  async close(): Promise<void> {
    // Memory is never given up under a running write, however long that takes.
    await this.#flushes.whenIdle();
    await this.#commits.whenIdle();
    await this.#zeroAhead?.close();
    this.dropMemory(0);
    this.unpin();
    await this.#openFiles.closeFile(this.fileName);
  }
}

const REWRITE_STEP = 1024 * 1024;
