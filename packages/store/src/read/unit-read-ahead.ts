import type { ConsumeQueue } from '../queue/consume-queue.ts';
import { CQ_STORE_UNIT_SIZE } from '../queue/unit.ts';

/** Entries read at a time for a consumer that catches up: 16 KB, 25 of its pulls. */
const READ_AHEAD_UNITS = 800;
/** Queues whose last block is kept; with all of them in use about 2 MB. */
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

  /** Entries [offset, offset + count) as far as the queue has them. Rejects STORE_READ_FAILED. */
  async read(queue: ConsumeQueue, offset: number, count: number): Promise<Buffer> {
    return this.peek(queue, offset, count) ?? this.#readAhead(queue, offset, count);
  }

  /** The same when memory holds all of them. */
  peek(queue: ConsumeQueue, offset: number, count: number): Buffer | undefined {
    const hot = queue.readHot(offset, count);
    if (hot) return hot;
    const block = this.#blocks.get(queue);
    if (!block || offset < block.from) return undefined;
    const start = (offset - block.from) * CQ_STORE_UNIT_SIZE;
    const end = start + count * CQ_STORE_UNIT_SIZE;
    if (end > block.units.length) return undefined;
    this.#blocks.delete(queue);
    this.#blocks.set(queue, block);
    return block.units.subarray(start, end);
  }

  async #readAhead(queue: ConsumeQueue, offset: number, count: number): Promise<Buffer> {
    const units = await queue.read(offset, Math.max(count, READ_AHEAD_UNITS));
    const wanted = count * CQ_STORE_UNIT_SIZE;
    if (units.length <= wanted) return units;
    this.#blocks.delete(queue);
    this.#blocks.set(queue, { from: offset, units });
    if (this.#blocks.size > BLOCKS_MAX) {
      for (const oldest of this.#blocks.keys()) {
        this.#blocks.delete(oldest);
        break;
      }
    }
    return units.subarray(0, wanted);
  }
}
