import { hasQueueEntry } from '../commit-log/sys-flag.ts';
import type { ConsumeQueueStore } from './consume-queue-store.ts';
import type { DispatchRequest } from './dispatch-request.ts';
import type { IndexService } from './index-service.ts';

/** Told of each message that became readable, in log order; `maxOffset` is the queue's new exclusive end. */
export type MessageArrivingListener = (
  topic: string,
  queueId: number,
  maxOffset: number,
  tagsCode: number,
  storeTimestamp: number,
) => void;

/**
 * Takes records from the log to what finds them again (RocketMQ CommitLogDispatcherBuildConsumeQueue and …BuildIndex, in
 * that order). Synchronous and in memory: a record is readable when dispatch() returns. Giving it a record a second time
 * changes nothing.
 */
export class CommitLogDispatcher {
  readonly #queues: ConsumeQueueStore;
  readonly #index: IndexService | undefined;
  readonly #listeners: MessageArrivingListener[] = [];

  /** Without an index service (messageIndexEnable false) keys are not filed. */
  constructor(queues: ConsumeQueueStore, index: IndexService | undefined) {
    this.#queues = queues;
    this.#index = index;
  }

  /** A listener must not throw: it stands in the way of every message. */
  onMessageArriving(listener: MessageArrivingListener): void {
    this.#listeners.push(listener);
  }

  dispatch(request: DispatchRequest): void {
    // A half or rolled back transaction message is in the log only; consumers never see it.
    const queue = hasQueueEntry(request.sysFlag) ? this.#queues.dispatch(request) : undefined;
    this.#index?.buildIndex(request);
    if (queue === undefined) return;
    for (const listener of this.#listeners) {
      listener(queue.topic, queue.queueId, queue.maxOffsetInQueue, request.tagsCode, request.storeTimestamp);
    }
  }
}
