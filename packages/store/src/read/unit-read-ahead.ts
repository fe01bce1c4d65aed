import type { ConsumeQueue } from '../queue/consume-queue.ts';

/** Entries read at a time for a consumer that catches up: 16 KB (of a batch queue 37 KB), 25 of its pulls. */
const READ_AHEAD_UNITS = 800;
/** Queues whose last block is kept; with all of them in use 2 to 5 MB. */
const BLOCKS_MAX = 128;

interface Block {
  from: number;
  units: Buffer;
}

/**
 * Consume-queue entries as they were read last, per queue. A consumer that catches up reads a queue from front to back
 * in small steps; one read of the file then serves many of them. Entries never change while their queue exists, and a
 * deleted topic's queue is another object.
 */
export class UnitReadAhead {
  /** Oldest use first. */
  readonly #blocks = new Map<ConsumeQueue, Block>();

  /** Entries [entry, entry + count) as far as the queue has them. Rejects STORE_READ_FAILED. */
  async read(queue: ConsumeQueue, entry: number, count: number): Promise<Buffer> {
    return this.peek(queue, entry, count) ?? this.#readAhead(queue, entry, count);
  }

  /** The same when memory holds all of them. */
  peek(queue: ConsumeQueue, entry: number, count: number): Buffer | undefined {
    const hot = queue.readHot(entry, count);
    if (hot) return hot;
    const block = this.#blocks.get(queue);
    if (!block || entry < block.from) return undefined;
    const start = (entry - block.from) * queue.unitBytes;
    const end = start + count * queue.unitBytes;
    if (end > block.units.length) return undefined;
    this.#blocks.delete(queue);
    this.#blocks.set(queue, block);
    return block.units.subarray(start, end);
  }

  async #readAhead(queue: ConsumeQueue, entry: number, count: number): Promise<Buffer> {
    const units = await queue.read(entry, Math.max(count, READ_AHEAD_UNITS));
    const wanted = count * queue.unitBytes;
    if (units.length <= wanted) return units;
    this.#blocks.delete(queue);
    this.#blocks.set(queue, { from: entry, units });
    if (this.#blocks.size > BLOCKS_MAX) {
      for (const oldest of this.#blocks.keys()) {
        this.#blocks.delete(oldest);
        break;
      }
    }
    return units.subarray(0, wanted);
  }
}
