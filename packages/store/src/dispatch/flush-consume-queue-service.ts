import type { StoreContext } from '../base/context.ts';
import { StoreError } from '../base/errors.ts';
import { Lacks, PassingLack } from '../base/passing-lack.ts';
import { internalError } from '../base/queue-failure.ts';
import { ServiceLoop } from '../base/service-loop.ts';
import { type IndexService, UNFLUSHED_KEYS_MAX } from '../key-index/index-service.ts';
import { type ConsumeQueueStore, GATHERED_BYTES_MAX, TimeIsUp } from '../queue/consume-queue-store.ts';
import type { DispatchTarget } from '../record/dispatch-target.ts';

export interface FlushConsumeQueueParts {
  queues: ConsumeQueueStore;
  index: IndexService | undefined;
  /** Both, and whatever else follows the log. */
  targets: readonly DispatchTarget[];
  /** End of what has been dispatched, in the log. */
  dispatchedWhere: () => number;
  /**
   * After a thorough flush: what the targets have of every record below `durableWhere` is *on disk*, and they say so. Where
   * the checkpoint is written; a rejection ends nothing here, the checkpoint has its own failure.
   */
  onThoroughFlush: (durableWhere: number) => Promise<void> | void;
  /** Queues and index can be written again after a lack: dispatch goes on where it was held. */
  onLackEnded: () => void;
}

/**
 * Log bytes after which a thorough flush is due whatever flushConsumeQueueThoroughInterval says. Recovery after a kill
 * dispatches again what came after the last one, so this bounds how long a restart takes.
 */
export const THOROUGH_FLUSH_LOG_BYTES = 256 * 1024 * 1024;

/**
 * Time that a shutdown gives to queues and index. What is not on disk by then stays in the log and is dispatched again by the
 * next start, which takes tens of thousands of queues in less time than the syncs of their files and names would take here.
 */
const STOP_FLUSH_MS = 1_000;

/** What gathers in memory at most while it cannot be written, before dispatch waits. */
export const HELD_BYTES_MAX = 2 * GATHERED_BYTES_MAX;
export const HELD_KEYS_MAX = 2 * UNFLUSHED_KEYS_MAX;

/**
 * Writes gathered queue entries (RocketMQ FlushConsumeQueueService): each flushConsumeQueueLeastPages pages a queue at
 * flushIntervalConsumeQueue, everything and durably at flushConsumeQueueThoroughInterval, which also flushes the index.
 * No timer runs while nothing is gathered.
 *
 * What cannot be written for a lack that may pass, of descriptors or of room, stays in memory and is tried again with
 * growing pauses. When memory has taken its share, dispatch waits (dispatchHeldReason); the log goes on. The checkpoint's
 * point stays where the last flush that succeeded had put it.
 *
 * A shutdown does not wait for a flush of any size: after STOP_FLUSH_MS it is left to the next start.
 */
export class FlushConsumeQueueService extends ServiceLoop {
  readonly #context: StoreContext;
  readonly #parts: FlushConsumeQueueParts;
  /** monotonic() of the last flush, of the last thorough one, and how far dispatch was at that one. */
  #flushedAt: number;
  #thoroughAt: number;
  #isAbandoned = false;
  /** monotonic() at which a shutdown goes on without the rest. */
  #stopBy = Number.POSITIVE_INFINITY;
  #isComplete = false;
  #thoroughWhere: number;
  readonly #lack: PassingLack;

  constructor(context: StoreContext, parts: FlushConsumeQueueParts) {
    super(context.clock);
    this.#context = context;
    this.#parts = parts;
    this.#flushedAt = context.clock.monotonic();
    this.#thoroughAt = this.#flushedAt;
    this.#thoroughWhere = parts.dispatchedWhere();
    this.#lack = new PassingLack(context.clock, context.logger, 'what the log has for consume queues and index');
    parts.queues.onWork = () => this.wakeup();
    parts.queues.isTimeUp = () => context.clock.monotonic() > this.#stopBy;
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
    if (this.#context.failure || this.#isAbandoned) return;
    await this.#flush(async () => {
      await this.#thorough();
      this.#isComplete = true;
    });
  }

  protected override onDied(error: unknown): void {
    if (this.#context.failure) return;
    const isOurs = error instanceof StoreError;
    this.#context.fail(isOurs ? error : internalError('the flush of consume queues and index', error));
  }

  /** After a shutdown: its last flush has put queues and index of everything dispatched *on disk*. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** What keeps queues and index from being written now, and how often it did. */
  get lack(): PassingLack {
    return this.#lack;
  }

  /** Why dispatch waits: queues or index cannot be written and memory has taken what it may. */
  get dispatchHeldReason(): string | undefined {
    const lack = this.#lack;
    if (!lack.isLacking) return undefined;
    const { queues, index } = this.#parts;
    if (queues.bufferedBytes <= HELD_BYTES_MAX && (index?.unflushedCount ?? 0) <= HELD_KEYS_MAX) return undefined;
    return `consume queues and index cannot be written for ${(lack.forMs / 1_000).toFixed(1)} s: ${lack.cause}`;
  }

  /** Makes queues and index durable, as far as that gets in STOP_FLUSH_MS; isComplete says whether it was all. */
  override shutdown(): Promise<void> {
    this.#stopBy = Math.min(this.#stopBy, this.clock.monotonic() + STOP_FLUSH_MS);
    return super.shutdown();
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
    if (this.#lack.isLacking) return this.#lack.retryInMs;
    if (this.#isOverfull) return 0;
    const intervalAt = this.#flushedAt + flushIntervalConsumeQueue;
    const thoroughAt = this.#thoroughAt + flushConsumeQueueThoroughInterval;
    return Math.max(0, (queues.hasReady ? intervalAt : Math.max(intervalAt, thoroughAt)) - this.clock.monotonic());
  }

  async #flushOnce(): Promise<void> {
    const { queues } = this.#parts;
    this.#flushedAt = this.clock.monotonic();
    await this.#flush(() => {
      if (this.#isThoroughDue) return this.#thorough();
      return queues.flush(Math.max(1, this.#context.config.flushConsumeQueueLeastPages));
    });
  }

  async #flush(attempt: () => Promise<void>): Promise<void> {
    try {
      await attempt();
    } catch (error) {
      // A failed write or sync has failed the store, which has said so and ends the loop. What did not fail the store is
      // tried again: what cannot be written today is in memory, and after a kill in the log.
      if (this.#context.failure || error instanceof TimeIsUp) return;
      if (!(error instanceof StoreError)) throw error;
      this.#lack.failed(error);
      return;
    }
    if (this.#lack.succeeded()) this.#parts.onLackEnded();
  }

  async #thorough(): Promise<void> {
    const { targets, dispatchedWhere, onThoroughFlush } = this.#parts;
    // Taken first: what is dispatched while the flush runs may miss it.
    const durableWhere = dispatchedWhere();
    const lacks = new Lacks(this.#context);
    for (const target of targets) await lacks.pass(() => target.makeDurable(durableWhere));
    lacks.throwFirst();
    this.#thoroughAt = this.clock.monotonic();
    this.#thoroughWhere = durableWhere;
    await onThoroughFlush(durableWhere);
  }
}
