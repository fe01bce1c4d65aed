import type { DispatchRequest } from '../record/dispatch-request.ts';
import type { DispatchTarget, TargetPoint, TargetRecovery } from '../record/dispatch-target.ts';
import type { LmqPlace } from '../record/multi-dispatch.ts';
import { hasQueueEntry, INNER_BATCH_FLAG } from '../record/sys-flag.ts';
import type { ConsumeQueueStore } from './consume-queue-store.ts';

/** The consume queues as a target of dispatch (RocketMQ CommitLogDispatcherBuildConsumeQueue). */
export class ConsumeQueueTarget implements DispatchTarget {
  readonly name = 'queues';
  readonly #queues: ConsumeQueueStore;
  #point: TargetPoint = { durableWhere: 0, newestWhere: undefined };

  constructor(queues: ConsumeQueueStore) {
    this.#queues = queues;
  }

  get point(): TargetPoint {
    return this.#point;
  }

  dispatch(request: DispatchRequest): boolean {
    if (!this.#isQueued(request)) return false;
    const isNew = this.#queues.dispatch(request) !== undefined;
    if (request.lmqs !== undefined) {
      for (const place of request.lmqs) this.#queues.dispatch(requestOfLmq(request, place));
    }
    return isNew;
  }

  dispatchRecovered(request: DispatchRequest): void {
    if (!this.#isQueued(request)) return;
    this.#queues.dispatchRecovered(request);
    for (const place of request.lmqs ?? []) this.#queues.dispatchRecovered(requestOfLmq(request, place));
  }

  endRecovery(): void {
    this.#queues.endRecovery();
  }

  async makeDurable(dispatchedWhere: number): Promise<void> {
    // Taken first: what is dispatched while the flush runs may miss it. What is held back has no entry yet.
    const durableWhere = Math.min(dispatchedWhere, this.#queues.heldFrom);
    const newestWhere = this.#queues.newestWhere;
    const { droppedCount } = this.#queues;
    await this.#queues.flush(0);
    this.#point = { durableWhere, newestWhere };
    if (this.#queues.droppedCount !== droppedCount) this.noteDropped();
  }

  /** Queues were dropped: their entries are not to be looked for at the next start. */
  noteDropped(): void {
    const { durableWhere, newestWhere } = this.#point;
    if (newestWhere === undefined) return;
    this.#point = { durableWhere, newestWhere: Math.min(newestWhere, this.#queues.newestBelow(durableWhere)) };
  }

  recover(point: TargetPoint | undefined, lastExitOk: boolean): Promise<TargetRecovery> {
    return this.#queues.recover(point?.durableWhere, lastExitOk, point?.newestWhere);
  }

  async truncateDirty(where: number, inMemory: boolean): Promise<void> {
    await this.#queues.truncateDirty(where, inMemory);
    this.#point = { durableWhere: where, newestWhere: this.#queues.newestWhere };
  }

  async destroy(): Promise<void> {
    await this.#queues.destroy();
    this.#point = { durableWhere: 0, newestWhere: -1 };
  }

  /**
   * A half or rolled back transaction message is in the log only; consumers never see it. An inner batch stands for several
   * messages, which an entry of a consume queue cannot: where the topic has no batch queues, it had them once.
   */
  #isQueued({ sysFlag, topic }: DispatchRequest): boolean {
    return hasQueueEntry(sysFlag) && ((sysFlag & INNER_BATCH_FLAG) === 0 || this.#queues.isBatch(topic));
  }
}

/** The same record with its place in a light queue. */
const requestOfLmq = (request: DispatchRequest, { name, queueOffset }: LmqPlace): DispatchRequest => ({
  ...request,
  ...{ topic: name, queueId: 0, consumeQueueOffset: queueOffset, lmqs: undefined },
});
