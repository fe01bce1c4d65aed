import type { BoundaryType, QueueEntry } from '../base/types.ts';
import { BatchQueue } from '../queue/batch-queue.ts';
import type { ConsumeQueueStore } from '../queue/consume-queue-store.ts';
import { offsetInQueueByTime } from '../queue/offset-by-time.ts';
import { isFillerUnit, unitPhyOffset, unitSize, unitTagsCode } from '../queue/unit.ts';
import type { RecordLookup } from './record-lookup.ts';

/** What is asked of a queue's entries by themselves. */
export class QueueLookup {
  readonly #queues: ConsumeQueueStore;
  readonly #lookup: RecordLookup;

  constructor(queues: ConsumeQueueStore, lookup: RecordLookup) {
    this.#queues = queues;
    this.#lookup = lookup;
  }

  /** Number of the message that belongs to `timestamp`; 0 for a queue that does not exist. */
  async offsetByTime(topic: string, queueId: number, timestamp: number, boundary: BoundaryType): Promise<number> {
    const queue = this.#queues.find(topic, queueId);
    if (!queue) return 0;
    if (queue instanceof BatchQueue) return queue.offsetByTime(timestamp, boundary);
    return offsetInQueueByTime(queue, timestamp, boundary, (offset, size) =>
      this.#lookup.storeTimestampOf(offset, size),
    );
  }

  /** Unix ms; -1 where no message is. */
  async storeTimestampAt(topic: string, queueId: number, queueOffset: number): Promise<number> {
    const queue = this.#queues.find(topic, queueId);
    if (!queue || queueOffset < queue.minOffsetInQueue || queueOffset >= queue.maxOffsetInQueue) return -1;
    const unit = await queue.read(await queue.entryOf(queueOffset), 1);
    if (unit.length < queue.unitBytes || isFillerUnit(unit, 0)) return -1;
    return this.#lookup.storeTimestampOf(unitPhyOffset(unit, 0), unitSize(unit, 0));
  }

  /** The queue's entries from that of message `from` on, at most `count`; undefined for a queue that does not exist. */
  async entries(topic: string, queueId: number, from: number, count: number): Promise<QueueEntry[] | undefined> {
    const queue = this.#queues.find(topic, queueId);
    if (!queue) return undefined;
    const units = await queue.read(await queue.entryOf(from), count);
    const entries: QueueEntry[] = [];
    for (let at = 0; at < units.length; at += queue.unitBytes) {
      entries.push({
        commitLogOffset: unitPhyOffset(units, at),
        size: unitSize(units, at),
        tagsCode: unitTagsCode(units, at),
      });
    }
    return entries;
  }
}
