import type { StoreLogger } from '../base/logger.ts';
import { type DispatchRequest, innerCountOf } from '../record/dispatch-request.ts';
import type { ConsumeQueue } from './consume-queue.ts';

interface RestartedQueues {
  find(topic: string, queueId: number): ConsumeQueue | undefined;
  dispatch(request: DispatchRequest): ConsumeQueue | undefined;
  /** Takes the queue out of sight; the next record makes a new one. */
  dropQueue(queue: ConsumeQueue): void;
}

/**
 * Recovery comes upon a queue whose numbers start again at 0: its topic was deleted and made anew, and no deletion is on
 * record, as in a directory of Apache's broker. Then the later life counts, and the queue has nothing of the earlier one.
 *
 * No checksum covers a record's number or queue, so a 0 alone is not believed: the record is held back until the next one
 * of the queue comes. That one has number 1 when the queue starts again (behind an inner batch the number of its messages). When the 0 is a wrong bit it has the number that
 * was due, and the record gets no entry, as any whose place is taken. At the end of the log a 0 is believed.
 */
export class QueueRestarts {
  readonly #queues: RestartedQueues;
  readonly #logger: StoreLogger;
  readonly #held = new Map<ConsumeQueue, DispatchRequest>();

  constructor(queues: RestartedQueues, logger: StoreLogger) {
    this.#queues = queues;
    this.#logger = logger;
  }

  /** Offset in the log of the first record that is held back, Infinity without one: so far queues are complete. */
  get heldFrom(): number {
    let from = Number.POSITIVE_INFINITY;
    for (const { commitLogOffset } of this.#held.values()) from = Math.min(from, commitLogOffset);
    return from;
  }

  /** As ConsumeQueueStore.dispatch, for records that recovery reads from the log, in order. */
  dispatch(request: DispatchRequest): void {
    const { topic, queueId, consumeQueueOffset } = request;
    const queue = this.#queues.find(topic, queueId);
    const held = queue === undefined || this.#held.size === 0 ? undefined : this.#held.get(queue);
    if (queue !== undefined && held !== undefined) {
      this.#held.delete(queue);
      if (consumeQueueOffset === innerCountOf(held)) this.#restart(queue, held);
      else if (consumeQueueOffset > 0) {
        this.#logger.error(
          { topic, queueId, commitLogOffset: held.commitLogOffset, expected: consumeQueueOffset - 1 },
          `the record at ${held.commitLogOffset} names number 0 in the middle of its queue, it gets no entry`,
        );
      }
    }
    if (consumeQueueOffset === 0 && queue?.isBehindEntries(request)) this.#held.set(queue, request);
    else this.#queues.dispatch(request);
  }

  /** The log has no more records. */
  end(): void {
    const held = [...this.#held];
    this.#held.clear();
    for (const [queue, request] of held) this.#restart(queue, request);
  }

  #restart(queue: ConsumeQueue, first: DispatchRequest): void {
    const { topic, queueId, commitLogOffset } = first;
    this.#logger.warn(
      { topic, queueId, commitLogOffset, end: queue.maxOffsetInQueue },
      `recovery: the numbers of ${topic}/${queueId} start again at ${commitLogOffset} of the log: the topic was deleted ` +
        'and made anew, and the messages of its later life count',
    );
    this.#queues.dropQueue(queue);
    this.#queues.dispatch(first);
  }
}
