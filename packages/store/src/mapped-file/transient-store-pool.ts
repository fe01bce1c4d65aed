/**
 * Buffers as large as a commit-log file, from which records are committed to the file (RocketMQ TransientStorePool).
 * A buffer is allocated when it is first borrowed, so that a pool costs nothing before it is used; it is locked in
 * memory as far as RLIMIT_MEMLOCK allows; and it comes back when its file is fully committed.
 */
import { freemem, totalmem } from 'node:os';
import { StoreError } from '../base/errors.ts';
import type { StoreLogger } from '../base/logger.ts';
import type { Native } from '../io/native.ts';

export interface TransientStorePoolOptions {
  /** transientStorePoolSize. */
  poolSize: number;
  /** mappedFileSizeCommitLog. */
  fileSize: number;
  logger: StoreLogger;
  native: Native | undefined;
  /** Bytes that this process may still take; default: what the machine, or the container's limit, leaves. */
  availableMemory?: number;
}

/** Free memory as the kernel would give it (page cache included), within a container's limit. */
function availableMemory(): number {
  const available = (process as { availableMemory?: () => number }).availableMemory;
  // process.availableMemory counts the page cache as taken on some versions; freemem() is MemAvailable on Linux.
  const free = Math.max(freemem(), available?.() ?? 0);
  const limit = process.constrainedMemory();
  return limit !== undefined && limit > 0 && limit < totalmem() ? Math.min(free, limit) : free;
}

export class TransientStorePool {
  readonly poolSize: number;
  readonly fileSize: number;
  readonly #logger: StoreLogger;
  readonly #native: Native | undefined;
  readonly #idle: Buffer[] = [];
  #allocated = 0;
  #lockReported = false;

  /** Throws STORE_MEMORY_INSUFFICIENT when the buffers together do not fit memory. */
  constructor(options: TransientStorePoolOptions) {
    this.poolSize = options.poolSize;
    this.fileSize = options.fileSize;
    this.#logger = options.logger;
    this.#native = options.native;
    const wanted = this.poolSize * this.fileSize;
    const available = options.availableMemory ?? availableMemory();
    if (wanted > available) {
      throw new StoreError(
        'STORE_MEMORY_INSUFFICIENT',
        `transientStorePoolSize ${this.poolSize} × mappedFileSizeCommitLog ${this.fileSize} = ${wanted} bytes do not fit ` +
          `the ${available} bytes of memory that are available (${totalmem()} in all)`,
        { poolSize: this.poolSize, fileSize: this.fileSize, wanted, available, total: totalmem() },
      );
    }
  }

  /** A buffer of fileSize bytes with any content; undefined while all are out: backpressure. */
  borrowBuffer(): Buffer | undefined {
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    if (this.#allocated === this.poolSize) return undefined;
    // Shared memory, so that a lane's thread writes it in place. Its pages come as they are touched.
    const buffer = Buffer.from(new SharedArrayBuffer(this.fileSize));
    this.#allocated++;
    void this.#lock(buffer);
    return buffer;
  }

  returnBuffer(buffer: Buffer): void {
    this.#idle.push(buffer);
  }

  /** Buffers that can be borrowed now (RocketMQ availableBufferNums). */
  get availableBufferNums(): number {
    return this.#idle.length + this.poolSize - this.#allocated;
  }

  destroy(): void {
    this.#idle.length = 0;
    this.#allocated = this.poolSize;
  }

  async #lock(buffer: Buffer): Promise<void> {
    const locked = this.#native === undefined ? 0 : await this.#native.lockMemory(buffer);
    if (locked === buffer.length || this.#lockReported) return;
    this.#lockReported = true;
    this.#logger.warn(
      { lockedBytes: locked, bufferBytes: buffer.length, native: this.#native !== undefined },
      'the transient store pool could not be locked in memory (RLIMIT_MEMLOCK); its buffers may be swapped out',
    );
  }
}
