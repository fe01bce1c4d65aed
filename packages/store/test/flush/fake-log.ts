import { StoreError } from '../../src/base/errors.ts';
import { internalError } from '../../src/base/queue-failure.ts';
import type { FlushListener, FlushTarget } from '../../src/flush/flush-target.ts';

/** A log whose flushes and commits the test releases one by one, or lets through. Files of `fileSize` bytes. */
export class FakeLog implements FlushTarget, FlushListener {
  maxOffset = 0;
  committedWhere = 0;
  flushedWhere = 0;
  readonly fileSize: number;
  flushCalls: number[] = [];
  commitCalls: number[] = [];
  groups: number[] = [];
  flushedEvents: number[] = [];
  committedEvents: number[] = [];
  /** When set, each flush waits until release() is called. */
  held = false;
  failNext: StoreError | undefined;
  /** flush() and commit() report success and move nothing. */
  isStuck = false;
  /** onFlushed() throws it: a fault of the program. */
  faultOnFlushed: Error | undefined;
  /** What the services reported; the first one is the store's failure. */
  thrown: unknown[] = [];
  /** Pages of 4,096 bytes below which flush and commit do nothing, as MappedFile.isAbleToFlush has it. */
  #waiting: (() => void)[] = [];
  #entered: (() => void)[] = [];

  constructor(fileSize = 1_000_000) {
    this.fileSize = fileSize;
  }

  async flush(leastPages: number): Promise<boolean> {
    this.flushCalls.push(leastPages);
    const fileEnd = (Math.floor(this.flushedWhere / this.fileSize) + 1) * this.fileSize;
    const end = Math.min(this.maxOffset, fileEnd);
    for (const entered of this.#entered.splice(0)) entered();
    if (this.held) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (this.failNext) throw this.failNext;
    if (this.isStuck) return true;
    const full = end === fileEnd;
    if (!full && Math.floor(end / 4096) - Math.floor(this.flushedWhere / 4096) < leastPages) return true;
    if (end === this.flushedWhere) return true;
    this.committedWhere = Math.max(this.committedWhere, end);
    this.flushedWhere = end;
    return false;
  }

  async commit(leastPages: number): Promise<boolean> {
    this.commitCalls.push(leastPages);
    if (this.failNext) throw this.failNext;
    if (this.isStuck) return true;
    const pages = Math.floor(this.maxOffset / 4096) - Math.floor(this.committedWhere / 4096);
    if (pages < leastPages || this.committedWhere === this.maxOffset) return true;
    this.committedWhere = this.maxOffset;
    return false;
  }

  /** Resolves when the next flush has begun. */
  flushBegun(): Promise<void> {
    return new Promise((resolve) => this.#entered.push(resolve));
  }

  release(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  onThrown(error: unknown): StoreError {
    this.thrown.push(error);
    const first = this.thrown[0];
    return first instanceof StoreError ? first : internalError('the flush', first);
  }
  onFlushed(): void {
    if (this.faultOnFlushed) throw this.faultOnFlushed;
    this.flushedEvents.push(this.flushedWhere);
  }
  onCommitted(): void {
    this.committedEvents.push(this.committedWhere);
  }
  onGroup(size: number): void {
    this.groups.push(size);
  }
}

export const injected = (): StoreError => new StoreError('STORE_FLUSH_FAILED', 'EIO injected', { errno: 'EIO' });

export const emptyResult = () => ({
  status: 'UNKNOWN_ERROR' as const,
  wroteOffset: 0,
  wroteBytes: 0,
  queueOffset: 0,
  storeTimestamp: 0,
  messageCount: 1,
});
