import type { StoreContext } from '../base/context.ts';
import { PassingLack } from '../base/passing-lack.ts';
import type { DispatchTarget, TargetName, TargetPoint } from '../record/dispatch-target.ts';
import type { StoreCheckpoint } from './store-checkpoint.ts';

/** The durable point is written at most this often. */
const CHECKPOINT_INTERVAL_MS = 1_000;

export interface CheckpointNotesParts {
  readonly context: StoreContext;
  readonly targets: readonly DispatchTarget[];
  /** On disk is the log below this offset. */
  readonly flushedWhere: () => number;
  /** storeTimestamp of the newest record that was dispatched. */
  readonly dispatchedTimestamp: () => number;
  /** What Java wants of the index; undefined without one. */
  readonly indexMsgTimestamp: () => number | undefined;
}

/** What an open store writes into its checkpoint, and when. */
export class CheckpointNotes {
  readonly #parts: CheckpointNotesParts;
  readonly #lack: PassingLack;
  #checkpoint: StoreCheckpoint | undefined;
  #isArmed = false;
  #timer: unknown;

  constructor(parts: CheckpointNotesParts) {
    this.#parts = parts;
    const { clock, logger } = parts.context;
    this.#lack = new PassingLack(clock, logger, 'the checkpoint');
  }

  /** Nothing is noted before. */
  use(checkpoint: StoreCheckpoint): void {
    this.#checkpoint = checkpoint;
  }

  /** The consume queues and the index are on disk for every record below this offset. */
  get logicsPoint(): number {
    return this.#checkpoint?.logicsPoint ?? 0;
  }

  /** The log is on disk below `flushedWhere`; with `arm` the checkpoint says so a second later. */
  flushed(flushedWhere: number, storeTimestamp: number, arm = true): void {
    this.#checkpoint?.setDurablePoint(flushedWhere, flushedWhere, storeTimestamp);
    if (!arm || this.#isArmed) return;
    this.#isArmed = true;
    const { context } = this.#parts;
    this.#timer = context.clock.setTimer(() => {
      this.#isArmed = false;
      if (!context.failure) void this.#write();
    }, CHECKPOINT_INTERVAL_MS);
  }

  /** Nothing is written by itself any more. */
  disarm(): void {
    if (this.#isArmed) this.#parts.context.clock.clearTimer(this.#timer);
    this.#isArmed = true;
  }

  /** Up to where the targets are on disk, and no more: Java's timestamps stay. On disk when it resolves. */
  async notePoints(): Promise<void> {
    this.#checkpoint?.setTargetPoints(this.#targetPoints());
    await this.#checkpoint?.flush();
  }

  /** The targets are on disk with everything that was dispatched. On disk when it resolves. */
  async noteTargetsFlushed(): Promise<void> {
    const checkpoint = this.#checkpoint;
    if (!checkpoint) return;
    const { dispatchedTimestamp, indexMsgTimestamp } = this.#parts;
    checkpoint.setTargetPoints(this.#targetPoints());
    checkpoint.setLogicsMsgTimestamp(dispatchedTimestamp());
    const indexed = indexMsgTimestamp();
    if (indexed !== undefined) checkpoint.setIndexMsgTimestamp(indexed);
    await checkpoint.flush();
  }

  async close(): Promise<void> {
    await this.#checkpoint?.close();
  }

  /** Closes it as it is on disk. */
  async abandon(): Promise<void> {
    await this.#checkpoint?.abandon();
  }

  /** A failure is the store's (context.fail), and is reported there; what passes is tried again after the next flush. */
  async #write(): Promise<void> {
    try {
      await this.#checkpoint?.flush();
      this.#lack.succeeded();
    } catch (error) {
      if (!this.#parts.context.failure) this.#lack.failed(error);
    }
  }

  /** Of no record that is not on disk itself. */
  #targetPoints(): Map<TargetName, TargetPoint> {
    const flushedWhere = this.#parts.flushedWhere();
    return new Map(
      this.#parts.targets.map(({ name, point: { durableWhere, newestWhere } }) => [
        name,
        { durableWhere: Math.min(durableWhere, flushedWhere), newestWhere },
      ]),
    );
  }
}
