import { ResponseCode } from '@vernier/remoting';
import type { MessageStore, QueueEntry } from '@vernier/store';
import { Refusal } from '../base/refusal.ts';

/** Entries in one answer; Java's broker ends with the queue file that holds the first one (300,000 entries). */
const ENTRIES_MAX = 16_384;

export interface InspectedQueue {
  readonly entries: QueueEntry[];
  readonly minOffset: number;
  readonly maxOffset: number;
}

/** A look into the files of queues (RocketMQ AdminBrokerProcessor.queryConsumeQueue), and the cleaning of these and of the log. */
export class QueueInspection {
  readonly #store: MessageStore;

  constructor(store: MessageStore) {
    this.#store = store;
  }

  /** At most `count` entries from `index` on. */
  async entries(topic: string, queueId: number, index: number, count: number): Promise<InspectedQueue | Refusal> {
    const wanted = Math.min(ENTRIES_MAX, Math.max(0, count));
    const entries = await this.#store.queueEntries(topic, queueId, index, wanted);
    if (entries === undefined) return new Refusal(ResponseCode.SYSTEM_ERROR, `${queueId}@${topic} is not exist!`);
    return {
      entries,
      minOffset: this.#store.getMinOffsetInQueue(topic, queueId),
      maxOffset: this.#store.getMaxOffsetInQueue(topic, queueId),
    };
  }

  /** Removes the files that stand only for records whose log files are gone. */
  async cleanExpired(): Promise<void> {
    await this.#store.cleanQueues();
  }

  /** Begins to remove the log's files that are older than fileReservedTime, whatever the hour; see MessageStore. */
  deleteExpiredLogFiles(): void {
    this.#store.deleteExpiredFiles();
  }

  /** Where the log ends, bytes. */
  get logEnd(): number {
    return this.#store.maxPhyOffset;
  }
}
