import type { Clock } from '../clock.ts';
import type { StoreError } from '../errors.ts';
import type { StoreLogger } from '../logger.ts';
import type { PutMessageResult } from '../types.ts';
import type { FlushListener, FlushTarget } from './flush-target.ts';
import { GroupCommitRequest } from './group-commit-request.ts';
import { RequestList } from './request-list.ts';
import { ServiceLoop } from './service-loop.ts';

/**
 * Hands appended bytes to the OS, one write a turn of the event loop and not one a message, and answers the appends that
 * asked for *written* and no more: ASYNC_FLUSH, WAIT=false, durability `async`. It has no counterpart in RocketMQ, whose
 * mappings are written as soon as they are touched; with such an engine nothing is ever put here.
 */
export class GroupWriteService extends ServiceLoop {
  readonly #target: FlushTarget;
  readonly #listener: FlushListener;
  readonly #logger: StoreLogger;
  readonly #timeoutMs: number;
  readonly #requests: RequestList;
  #failure: StoreError | undefined;

  constructor(
    target: FlushTarget,
    listener: FlushListener,
    options: { clock: Clock; logger: StoreLogger; putMessageTimeout: number },
  ) {
    super(options.clock);
    this.#target = target;
    this.#listener = listener;
    this.#logger = options.logger;
    this.#timeoutMs = options.putMessageTimeout;
    this.#requests = new RequestList(options.clock, (request) => {
      const reason = `not written after ${this.#timeoutMs} ms (putMessageTimeout)`;
      this.#logger.warn({ nextOffset: request.nextOffset, committedWhere: target.committedWhere }, reason);
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
    const request = new GroupCommitRequest(nextOffset, this.clock.monotonic() + this.#timeoutMs, result);
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
      while (this.#target.committedWhere < end) {
        const nothingAdvanced = await this.#target.commit(0);
        this.#listener.onCommitted();
        this.#requests.answerUpTo(this.#target.committedWhere);
        if (nothingAdvanced) break;
      }
      this.#requests.answerUpTo(this.#target.committedWhere);
    } catch (error) {
      this.#failure = error as StoreError;
      const why = { reason: writeFailedReason(this.#failure), cause: this.#failure };
      this.#requests.answerAll('UNKNOWN_ERROR', why);
      this.#requests.close();
    }
  }
}

function writeFailedReason(cause: StoreError): string {
  return `write failed, whether this message was stored is unknown: ${cause.message}`;
}
