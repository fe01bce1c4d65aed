import { ReviveQueue, type ReviveQueueParts } from './revive-queue.ts';

/** Gives again what was popped and not acknowledged: a ReviveQueue for each queue of the revive topic. */
export class ReviveService {
  readonly #parts: ReviveQueueParts;
  #queues: ReviveQueue[] = [];

  constructor(parts: ReviveQueueParts) {
    this.#parts = parts;
  }

  /** After the tables were read. */
  start(): void {
    this.#queues = Array.from(
      { length: this.#parts.log.queueCount },
      (_, queueId) => new ReviveQueue(this.#parts, queueId),
    );
    for (const queue of this.#queues) queue.start();
  }

  /** Resolves when nothing is given again any more; before the followers and the tables are stopped. */
  async stop(): Promise<void> {
    await Promise.all(this.#queues.map((queue) => queue.stop()));
  }

  /** Keys as in RocketMQ's runtime info; there are none for this in it, so they are our own. */
  runtimeInfo(): Record<string, string> {
    const { inFlight, retries } = this.#parts;
    const sum = (of: (queue: ReviveQueue) => number): string =>
      String(this.#queues.reduce((all, queue) => all + of(queue), 0));
    return {
      popInFlightCheckPoints: String(inFlight.count),
      popReviveBehind: sum((queue) => queue.behind),
      popRevivePending: sum((queue) => queue.pendingCount),
      popRevivedTotal: String(retries.revivedTotal),
    };
  }
}
