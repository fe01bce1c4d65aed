import type { Clock } from '../base/clock.ts';
import type { StoreError } from '../base/errors.ts';
import { LineRate } from '../base/line-rate.ts';
import type { StoreLogger } from '../base/logger.ts';
import { ServiceLoop } from '../base/service-loop.ts';
import type { PutMessageResult } from '../base/types.ts';
import { type FlushListener, type FlushTarget, nothingAdvancedError } from './flush-target.ts';
import { GroupCommitRequest } from './group-commit-request.ts';
import { INLINE_BYTES_MAX, InlineWrites } from './inline-writes.ts';
import { RequestList } from './request-list.ts';

/**
 * Hands appended bytes to the OS, one write a turn of the event loop and not one a message, and answers the appends that
 * asked for *written* and no more: ASYNC_FLUSH, WAIT=false, durability `async`. It has no counterpart in RocketMQ, whose
 * mappings are written as soon as they are touched; with such an engine nothing is ever put here.
 *
 * A small write is made on the event loop, which costs less than to hand it to another thread and to hear of its end, when
 * nothing else of the log is under way; see `commitNow` and InlineWrites.
 */
export class GroupWriteService extends ServiceLoop {
  readonly #target: FlushTarget;
  readonly #listener: FlushListener;
  readonly #logger: StoreLogger;
  readonly #options: { readonly putMessageTimeout: number };
  #lastDeadline = 0;
  readonly #requests: RequestList;
  #failure: StoreError | undefined;
  readonly #inline = new InlineWrites();

  constructor(
    target: FlushTarget,
    listener: FlushListener,
    options: { clock: Clock; logger: StoreLogger; putMessageTimeout: number },
  ) {
    super(options.clock);
    this.#target = target;
    this.#listener = listener;
    this.#logger = options.logger;
    this.#options = options;
    const lines = new LineRate(options.clock);
    this.#requests = new RequestList(options.clock, (request) => {
      const reason = `not written after ${this.#options.putMessageTimeout} ms (putMessageTimeout)`;
      const leftOut = lines.admit();
      if (leftOut !== undefined) {
        const { committedWhere } = target;
        this.#logger.warn({ nextOffset: request.nextOffset, committedWhere, timedOutBefore: leftOut }, reason);
      }
      request.wakeupCustomer('UNKNOWN_ERROR', { reason });
    });
  }

  get waiterCount(): number {
    return this.#requests.size;
  }

  /** The future resolves once every byte below `nextOffset` is written. */
  submit(nextOffset: number, result: PutMessageResult): Promise<PutMessageResult> {
    if (this.#target.committedWhere >= nextOffset) {
      result.status = 'PUT_OK';
      return Promise.resolve(result);
    }
    // Deadlines never decrease, as the list wants it: after the timeout was lowered a request waits as the ones before it.
    this.#lastDeadline = Math.max(this.#lastDeadline, this.clock.monotonic() + this.#options.putMessageTimeout);
    const request = new GroupCommitRequest(nextOffset, this.#lastDeadline, result);
    if (this.#failure) {
      request.wakeupCustomer('UNKNOWN_ERROR', { reason: writeFailedReason(this.#failure), cause: this.#failure });
    } else {
      this.#requests.putRequest(request);
      this.wakeup();
    }
    return request.future;
  }

  protected override async run(): Promise<void> {
    while (!this.stopped && !this.#failure) {
      await this.waitForRunning();
      await this.#doWrite();
    }
    while (!this.#failure && this.#requests.size > 0) {
      this.#requests.swapRequests();
      await this.#doWrite();
    }
    this.#requests.close();
  }

  protected override onWaitEnd(): void {
    this.#requests.swapRequests();
  }

  /** The bytes may meanwhile have been written by a flush; then no call is made. */
  async #doWrite(): Promise<void> {
    const end = this.#requests.groupEnd || this.#target.maxOffset;
    try {
      this.#writeInline();
      while (this.#target.committedWhere < end) {
        const nothingAdvanced = await this.#target.commit(0);
        this.#listener.onCommitted();
        this.#requests.answerUpTo(this.#target.committedWhere);
        if (nothingAdvanced) throw nothingAdvancedError('commit', this.#target.committedWhere, end);
      }
      this.#requests.answerUpTo(this.#target.committedWhere);
    } catch (error) {
      this.onDied(error);
    }
  }

  #writeInline(): void {
    const began = this.clock.monotonic();
    if (this.#inline.isPaused(began) || this.#target.commitNow?.(INLINE_BYTES_MAX) !== true) return;
    this.#inline.made(began, this.clock.monotonic());
    this.#listener.onCommitted();
  }

  protected override onDied(error: unknown): void {
    this.#failure = this.#listener.onThrown(error);
    const why = { reason: writeFailedReason(this.#failure), cause: this.#failure };
    this.#requests.answerAll('UNKNOWN_ERROR', why);
    this.#requests.close();
  }
}

function writeFailedReason(cause: StoreError): string {
  return `write failed, whether this message was stored is unknown: ${cause.message}`;
}
