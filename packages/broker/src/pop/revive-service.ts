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

  /** How far redelivery is in each queue of the revive topic. `now`: Unix milliseconds. */
  progress(now: number): { queueId: number; behind: number; overdueMs: number }[] {
    return this.#queues.map((queue, queueId) => ({
      ...{ queueId, behind: queue.behind, overdueMs: queue.overdueMs(now) },
    }));
  }

  /** Checkpoints in memory, and messages that came again since the start. */
  get counts(): { checkPoints: number; revived: number } {
    return { checkPoints: this.#parts.inFlight.count, revived: this.#parts.retries.revivedTotal };
  }

  /** Of each checkpoint: messages that are neither acknowledged nor given again. */
  *unacknowledged(): Iterable<{ group: string; topic: string; queueId: number; count: number }> {
    for (const { point, acked } of this.#parts.inFlight.all()) {
      const { group, topic, queueId, diffs } = point;
      let count = 0;
      for (let index = 0; index < diffs.length; index++) if (((acked >>> index) & 1) === 0) count++;
      if (count > 0) yield { group, topic, queueId, count };
    }
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
