import type { BoundaryType, MessageStore } from '@vernier/store';

/** Where a queue begins and ends. A queue that does not exist is an empty one. */
export class QueueBounds {
  readonly #store: MessageStore;

  constructor(store: MessageStore) {
    this.#store = store;
  }

  /** The offset that the next message will get. */
  maxOffset(topic: string, queueId: number): number {
    return this.#store.getMaxOffsetInQueue(topic, queueId);
  }

  minOffset(topic: string, queueId: number): number {
    return Math.max(0, this.#store.getMinOffsetInQueue(topic, queueId));
  }

  /** The offset of a store time in Unix milliseconds; see MessageStore.getOffsetInQueueByTime. */
  offsetAt(topic: string, queueId: number, timestamp: number, boundary: BoundaryType): Promise<number> {
    return this.#store.getOffsetInQueueByTime(topic, queueId, timestamp, boundary);
  }

  /** Unix milliseconds; -1 for an empty queue. */
  earliestStoreTime(topic: string, queueId: number): Promise<number> {
    return this.#store.getEarliestMessageTime(topic, queueId);
  }
}
