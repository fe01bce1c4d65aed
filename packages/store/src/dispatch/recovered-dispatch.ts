import type { StoreContext } from '../base/context.ts';
import { StoreError } from '../base/errors.ts';
import { PassingLack } from '../base/passing-lack.ts';
import type { IndexService } from '../key-index/index-service.ts';
import type { ConsumeQueueStore } from '../queue/consume-queue-store.ts';
import { CQ_STORE_UNIT_SIZE } from '../queue/unit.ts';
import type { DispatchRequest } from '../record/dispatch-request.ts';
import type { DispatchTarget } from '../record/dispatch-target.ts';
import { HELD_BYTES_MAX, HELD_KEYS_MAX, THOROUGH_FLUSH_LOG_BYTES } from './flush-consume-queue-service.ts';

/** Files of the log that recovery dispatches at most before it notes how far it is; counts where files are small. */
const NOTE_AFTER_FILES = 4;

export interface RecoveredDispatchParts {
  readonly queues: ConsumeQueueStore;
  readonly index: IndexService | undefined;
  readonly targets: readonly DispatchTarget[];
  readonly dispatch: (request: DispatchRequest) => void;
  /** What the targets say they have on disk is noted in the checkpoint. */
  readonly notePoints: () => Promise<void>;
}

/**
 * The dispatch of what recovery reads from the log. It is faster than queues are written, so it must not gather a whole log
 * in memory. What it has done so far is made durable and noted now and then, so that a recovery which is killed again and
 * again gets to its end.
 *
 * Queues and index that cannot be written for a lack that may pass (a full disk) are late and no reason to stay closed: what
 * they have stays in memory, as in a store that runs, and is tried again with growing pauses, by the running store at last.
 * Only when memory has taken its share, the start fails.
 */
export class RecoveredDispatch {
  readonly #context: StoreContext;
  readonly #parts: RecoveredDispatchParts;
  readonly #noteAfterBytes: number;
  readonly #lack: PassingLack;
  /** Up to where the targets were last made durable, from the first record that is dispatched on. */
  #notedWhere: number | undefined;

  constructor(context: StoreContext, parts: RecoveredDispatchParts) {
    this.#context = context;
    this.#parts = parts;
    const { clock, config, logger } = context;
    this.#noteAfterBytes = Math.min(THOROUGH_FLUSH_LOG_BYTES, config.mappedFileSizeCommitLog * NOTE_AFTER_FILES);
    this.#lack = new PassingLack(clock, logger, 'what recovery has for consume queues and index');
  }

  /** Undefined: nothing is to be waited for. Rejects with STORE_DISK_FULL, or what else keeps the queues from being written. */
  dispatch(request: DispatchRequest): Promise<void> | undefined {
    this.#parts.dispatch(request);
    if (this.#context.failure) return undefined;
    const end = request.commitLogOffset + request.msgSize;
    this.#notedWhere ??= request.commitLogOffset;
    const isDue = end - this.#notedWhere >= this.#noteAfterBytes;
    const { queues, index } = this.#parts;
    if (!isDue && !queues.isOverfull && !index?.isOverfull) return undefined;
    if (this.#lack.retryInMs > 0 && !this.#isHeldFull) return undefined;
    return this.#tolerating(() => (isDue ? this.#makeDurable(end, this.#parts.notePoints) : this.#write()));
  }

  /** Makes what was dispatched up to `end` durable and then calls `note`, unless there is no room for it now. */
  makeDurable(end: number, note: () => Promise<void>): Promise<void> {
    return this.#tolerating(() => this.#makeDurable(end, note));
  }

  get #isHeldFull(): boolean {
    const { queues, index } = this.#parts;
    return queues.bufferedBytes > HELD_BYTES_MAX || (index?.unflushedCount ?? 0) > HELD_KEYS_MAX;
  }

  /** The targets have every record below `end`; so does the disk when this resolves, and the checkpoint says so. */
  async #makeDurable(end: number, note: () => Promise<void>): Promise<void> {
    this.#notedWhere = end;
    for (const target of this.#parts.targets) await target.makeDurable(end);
    // Java must not take the queues for complete before they are.
    await note();
  }

  async #write(): Promise<void> {
    await this.#parts.queues.flush(1);
    await this.#parts.index?.flush();
  }

  async #tolerating(work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.#lack.succeeded();
    } catch (error) {
      // As for the flush of a running store: whatever did not fail the store passes.
      if (this.#context.failure || !(error instanceof StoreError)) throw error;
      if (this.#isHeldFull) throw this.#noRoom(error);
      this.#lack.failed(error);
    }
  }

  #noRoom(cause: StoreError): StoreError {
    if (cause.code !== 'STORE_DISK_FULL') return cause;
    const { queues, index } = this.#parts;
    const bytes = queues.bufferedBytes + (index?.unflushedCount ?? 0) * CQ_STORE_UNIT_SIZE;
    const message =
      `consume queues and index have to be made anew from the log and there is no room for them, at least ${bytes} more ` +
      `bytes are needed: ${cause.message}`;
    return new StoreError('STORE_DISK_FULL', message, { ...cause.details, bytes }, cause);
  }
}
