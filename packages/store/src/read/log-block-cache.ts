import type { MappedFileQueue } from '../mapped-file/mapped-file-queue.ts';

const BLOCK_SIZE = 256 * 1024;

/** A part of the log in memory. Its bytes are another block's once somebody else was waited for. */
export interface LogBlock {
  readonly start: number;
  readonly size: number;
  readonly bytes: Buffer;
}

interface Block extends LogBlock {
  /** Set while the block is being read. */
  reading: Promise<void> | undefined;
  /** Copies that wait for the read; the memory is not used again before they are made. */
  users: number;
}

/**
 * Blocks of the log as they were read from its files. The records of one queue lie between those of the others, so
 * consumers of several queues that catch up read the same blocks; each is then read once, and the next one is read ahead
 * while the records of this one are sent. Only blocks that are written to their end are kept, and such a block never
 * changes. Their memory is used again and again: fresh buffers of this size would keep the garbage collector busy.
 */
export class LogBlockCache {
  readonly #queue: MappedFileQueue;
  readonly #capacity: number;
  /** Oldest use first. */
  readonly #blocks = new Map<number, Block>();
  readonly #free: Buffer[] = [];

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

  /** The block that holds [offset, offset + size), if it is in memory and holds all of it. Valid until the next await. */
  find(offset: number, size: number): LogBlock | undefined {
    const block = this.#blocks.get(this.blockStart(offset));
    return block && !block.reading && offset + size <= block.start + block.size ? block : undefined;
  }

  /** The same, reading the block first. It must be written to its end. Rejects STORE_READ_FAILED. */
  async copy(offset: number, size: number, target: Buffer, at: number): Promise<void> {
    const start = this.blockStart(offset);
    const block = this.#use(start);
    this.#readAhead(start);
    block.users++;
    try {
      await block.reading;
      block.bytes.copy(target, at, offset - start, offset - start + size);
    } finally {
      block.users--;
    }
  }

  /** Blocks with bytes of [from, to) are read anew when they are next asked for. */
  forget(from: number, to: number): void {
    // Their memory is left to the garbage collector: somebody may be copying from it.
    for (let start = this.blockStart(from); start < to; start = this.blockEnd(start)) this.#blocks.delete(start);
  }

  clear(): void {
    this.#blocks.clear();
    this.#free.length = 0;
  }

  #use(start: number): Block {
    const known = this.#blocks.get(start);
    if (!known) return this.#read(start);
    this.#blocks.delete(start);
    this.#blocks.set(start, known);
    return known;
  }

  #readAhead(start: number): void {
    const next = this.blockEnd(start);
    if (this.#blocks.has(next) || this.blockEnd(next) > this.#queue.committedWhere) return;
    // Whoever needs the block reports its failure; nobody may.
    this.#read(next).reading?.catch(() => {});
  }

  #read(start: number): Block {
    const size = this.blockEnd(start) - start;
    const bytes = this.#free.pop() ?? Buffer.allocUnsafeSlow(Math.min(BLOCK_SIZE, this.#queue.mappedFileSize));
    const block: Block = { start, size, bytes, reading: undefined, users: 0 };
    block.reading = this.#queue.read(start, size, bytes).then(
      () => {
        block.reading = undefined;
      },
      (error: unknown) => {
        if (this.#blocks.get(start) === block) this.#blocks.delete(start);
        throw error;
      },
    );
    this.#blocks.set(start, block);
    if (this.#blocks.size > this.#capacity) this.#evictOldest();
    return block;
  }

  #evictOldest(): void {
    for (const [start, block] of this.#blocks) {
      this.#blocks.delete(start);
      // A block in use or being read is left to the garbage collector: its memory has a user still.
      if (!block.reading && block.users === 0) this.#free.push(block.bytes);
      return;
    }
  }
}
