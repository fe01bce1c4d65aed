import type { StoreContext } from '../context.ts';
import { ServiceLoop } from '../flush/service-loop.ts';
import type { ConsumeQueueStore } from './consume-queue-store.ts';
import type { IndexService } from './index-service.ts';

export interface FlushConsumeQueueParts {
  queues: ConsumeQueueStore;
  index: IndexService | undefined;
  /** End of what has been dispatched, in the log. */
  dispatchedWhere: () => number;
  /**
   * After a thorough flush: queues and index of every record below `durableWhere` are *on disk*. Where the checkpoint
   * is written; a rejection ends nothing here, the checkpoint has its own failure.
   */
  onThoroughFlush: (durableWhere: number) => Promise<void> | void;
}

/**
 * Log bytes after which a thorough flush is due whatever flushConsumeQueueThoroughInterval says. Recovery after a kill
 * dispatches again what came after the last one, so this bounds how long a restart takes.
 */
export const THOROUGH_FLUSH_LOG_BYTES = 256 * 1024 * 1024;

/**
 * Writes gathered queue entries (RocketMQ FlushConsumeQueueService): each flushConsumeQueueLeastPages pages a queue at
 * flushIntervalConsumeQueue, everything and durably at flushConsumeQueueThoroughInterval, which also flushes the index.
 * No timer runs while nothing is gathered.
 */
export class FlushConsumeQueueService extends ServiceLoop {
  readonly #context: StoreContext;
  readonly #parts: FlushConsumeQueueParts;
  /** monotonic() of the last flush, of the last thorough one, and how far dispatch was at that one. */
  #flushedAt: number;
  #thoroughAt: number;
  #isAbandoned = false;
  #thoroughWhere: number;

  constructor(context: StoreContext, parts: FlushConsumeQueueParts) {
    super(context.clock);
    this.#context = context;
    this.#parts = parts;
    this.#flushedAt = context.clock.monotonic();
    this.#thoroughAt = this.#flushedAt;
    this.#thoroughWhere = parts.dispatchedWhere();
    parts.queues.onWork = () => this.wakeup();
    if (parts.index) parts.index.onWork = () => this.wakeup();
  }

  /** Until stopped; then everything is made durable once more, unless the store has failed. */
  protected async run(): Promise<void> {
    while (!this.stopped && !this.#context.failure) {
      const delayMs = this.#delayMs();
      if (delayMs === undefined) {
        await this.waitForRunning();
        // The first entry after a rest waits for the others of its interval.
        this.#flushedAt = this.clock.monotonic();
      } else if (delayMs > 0) await this.waitForRunning(delayMs);
      else await this.#flushOnce();
    }
    if (!this.#context.failure && !this.#isAbandoned) await this.#thorough();
  }

  /** Stops without making anything durable: what is only in memory is made anew by the next recovery. */
  abandon(): Promise<void> {
    this.#isAbandoned = true;
    return this.shutdown();
  }

  get #isOverfull(): boolean {
    const { queues, index } = this.#parts;
    return queues.isOverfull || index?.isOverfull === true;
  }

  get #isThoroughDue(): boolean {
    const { index, dispatchedWhere } = this.#parts;
    return (
      this.clock.monotonic() - this.#thoroughAt >= this.#context.config.flushConsumeQueueThoroughInterval ||
      dispatchedWhere() - this.#thoroughWhere >= THOROUGH_FLUSH_LOG_BYTES ||
      index?.isOverfull === true
    );
  }

  /** Until the next flush; undefined, and no timer, while there is nothing to flush. */
  #delayMs(): number | undefined {
    const { queues, index } = this.#parts;
    const { flushIntervalConsumeQueue, flushConsumeQueueThoroughInterval } = this.#context.config;
    if (!queues.isDirty && !index?.isDirty) return undefined;
    if (this.#isOverfull) return 0;
    const intervalAt = this.#flushedAt + flushIntervalConsumeQueue;
    const thoroughAt = this.#thoroughAt + flushConsumeQueueThoroughInterval;
    return Math.max(0, (queues.hasReady ? intervalAt : Math.max(intervalAt, thoroughAt)) - this.clock.monotonic());
  }

  async #flushOnce(): Promise<void> {
    const { queues } = this.#parts;
    this.#flushedAt = this.clock.monotonic();
    try {
      if (this.#isThoroughDue) await this.#thorough();
      else await queues.flush(Math.max(1, this.#context.config.flushConsumeQueueLeastPages));
    } catch (error) {
      // A failed flush has failed the store, which ends the loop; a failed callback is reported by its owner.
      this.#context.logger.error({ err: error }, 'flush of consume queues and index failed');
    }
  }

  async #thorough(): Promise<void> {
    const { queues, index, dispatchedWhere, onThoroughFlush } = this.#parts;
    // Taken first: what is dispatched while the flush runs may miss it.
    const durableWhere = dispatchedWhere();
    this.#thoroughAt = this.clock.monotonic();
    this.#thoroughWhere = durableWhere;
    await queues.flush(0);
    await index?.flush();
    await onThoroughFlush(durableWhere);
  }
}
