import type { MappedFileQueue } from '../mapped-file/mapped-file-queue.ts';

const BLOCK_SIZE = 256 * 1024;

/**
 * Blocks of the log as they were read from its files. The records of one queue lie between those of the others, so
 * consumers of several queues that catch up read the same blocks; each is then read once. Only blocks that are written
 * to their end are kept, and such a block never changes.
 */
export class LogBlockCache {
  readonly #queue: MappedFileQueue;
  readonly #capacity: number;
  /** Oldest use first. A promise while the block is being read, so that several readers share one read. */
  readonly #blocks = new Map<number, Buffer | Promise<Buffer>>();

  /** `capacity` in blocks of 256 KiB. */
  constructor(queue: MappedFileQueue, capacity: number) {
    this.#queue = queue;
    this.#capacity = capacity;
  }

  /** The block's start for this offset; blocks do not cross files. */
  blockStart(offset: number): number {
    const inFile = offset % this.#queue.mappedFileSize;
    return offset - (inFile % BLOCK_SIZE);
  }

  blockEnd(start: number): number {
    const fileEnd = start - (start % this.#queue.mappedFileSize) + this.#queue.mappedFileSize;
    return Math.min(start + BLOCK_SIZE, fileEnd);
  }

  /** The block at this start when it is held in memory. */
  peek(start: number): Buffer | undefined {
    const block = this.#blocks.get(start);
    if (!(block instanceof Buffer)) return undefined;
    this.#blocks.delete(start);
    this.#blocks.set(start, block);
    return block;
  }

  /** Rejects STORE_READ_FAILED. The block must be written to its end: blockEnd(start) ≤ committedWhere. */
  async get(start: number): Promise<Buffer> {
    const known = this.peek(start) ?? this.#blocks.get(start);
    if (known) return known;
    const reading = this.#queue.read(start, this.blockEnd(start) - start);
    this.#keep(start, reading);
    try {
      const block = await reading;
      if (this.#blocks.get(start) === reading) this.#blocks.set(start, block);
      return block;
    } catch (error) {
      this.#blocks.delete(start);
      throw error;
    }
  }

  clear(): void {
    this.#blocks.clear();
  }

  #keep(start: number, block: Promise<Buffer>): void {
    this.#blocks.set(start, block);
    if (this.#blocks.size <= this.#capacity) return;
    for (const oldest of this.#blocks.keys()) {
      this.#blocks.delete(oldest);
      break;
    }
  }
}
