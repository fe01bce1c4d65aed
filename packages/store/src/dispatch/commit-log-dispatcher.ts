import { type DispatchRequest, innerCountOf } from '../record/dispatch-request.ts';
import type { DispatchTarget } from '../record/dispatch-target.ts';

/** Told of each message that became readable, in log order; `maxOffset` is the queue's new exclusive end. */
export type MessageArrivingListener = (
  topic: string,
  queueId: number,
  maxOffset: number,
  tagsCode: number,
  storeTimestamp: number,
) => void;

/**
 * Takes records from the log to what follows it, one target after the other (RocketMQ CommitLogDispatcher). Synchronous and
 * in memory: a record is readable when dispatch() returns. Giving it a record a second time changes nothing.
 */
export class CommitLogDispatcher {
  readonly #targets: readonly DispatchTarget[];
  readonly #listeners: MessageArrivingListener[] = [];

  constructor(targets: readonly DispatchTarget[]) {
    this.#targets = targets;
  }

  /** A listener must not throw: it stands in the way of every message. */
  onMessageArriving(listener: MessageArrivingListener): void {
    this.#listeners.push(listener);
  }

  dispatch(request: DispatchRequest): void {
    let isReadable = false;
    for (const target of this.#targets) if (target.dispatch(request)) isReadable = true;
    const { topic, queueId, tagsCode, storeTimestamp, lmqs } = request;
    if (isReadable) {
      const maxOffset = request.consumeQueueOffset + innerCountOf(request);
      for (const listener of this.#listeners) listener(topic, queueId, maxOffset, tagsCode, storeTimestamp);
    }
    if (lmqs === undefined) return;
    for (const { name, queueOffset } of lmqs) {
      for (const listener of this.#listeners) listener(name, 0, queueOffset + 1, tagsCode, storeTimestamp);
    }
  }

  /** The same for records that recovery reads from the log, before there are listeners. */
  dispatchRecovered(request: DispatchRequest): void {
    for (const target of this.#targets) target.dispatchRecovered(request);
  }

  /** Recovery has come to the end of the log. */
  endRecovery(): void {
    for (const target of this.#targets) target.endRecovery();
  }
}
