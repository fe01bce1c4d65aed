import type { Clock } from '../base/clock.ts';
import type { StoreError } from '../base/errors.ts';
import { LineRate } from '../base/line-rate.ts';
import type { StoreLogger } from '../base/logger.ts';
import { ServiceLoop } from '../base/service-loop.ts';
import type { PutMessageResult } from '../base/types.ts';
import { type FlushListener, type FlushTarget, flushFailedReason, nothingAdvancedError } from './flush-target.ts';
import { GroupCommitRequest } from './group-commit-request.ts';
import { RequestList } from './request-list.ts';

/** RocketMQ GroupCommitService: wait at most this long before looking again while bytes are unflushed, milliseconds. */
const WAIT_INTERVAL_MS = 10;

/**
 * The flush service of SYNC_FLUSH (RocketMQ CommitLog.GroupCommitService): one flush answers a whole group.
 *
 * Invariants:
 * - A request is answered PUT_OK only after a flush that covers its nextOffset has resolved.
 * - After a failed flush no request is ever answered PUT_OK again.
 * - A request is answered at the latest at its deadline, even while a flush hangs; the flush goes on.
 * - The last group is answered on shutdown.
 */
export class GroupCommitService extends ServiceLoop {
  readonly #target: FlushTarget;
  readonly #listener: FlushListener;
  readonly #logger: StoreLogger;
  readonly #options: { readonly syncFlushTimeout: number };
  #lastDeadline = 0;
  /** Beside FlushRealTimeService it serves single `sync` appends and leaves everybody else's bytes alone. */
  readonly #onlyOnRequest: boolean;
  readonly #requests: RequestList;
  /** A flush that hangs lets every request time out. */
  readonly #timeoutLines: LineRate;
  #flushStartedAt: number | undefined;
  #failure: StoreError | undefined;

  constructor(
    target: FlushTarget,
    listener: FlushListener,
    options: { clock: Clock; logger: StoreLogger; syncFlushTimeout: number; onlyOnRequest?: boolean },
  ) {
    super(options.clock);
    this.#target = target;
    this.#listener = listener;
    this.#logger = options.logger;
    this.#options = options;
    this.#onlyOnRequest = options.onlyOnRequest ?? false;
    this.#timeoutLines = new LineRate(options.clock);
    this.#requests = new RequestList(options.clock, (request) => this.#timeOut(request));
  }

  get waiterCount(): number {
    return this.#requests.size;
  }

  /** Milliseconds that the oldest waiting request has waited; 0 when none waits. */
  get oldestWaiterMs(): number {
    const oldest = this.#requests.oldest;
    return oldest ? Math.max(0, this.clock.monotonic() - (oldest.deadline - this.#options.syncFlushTimeout)) : 0;
  }

  /** Submits an append that ends at `nextOffset`. The future resolves once the bytes are on disk, or the deadline came. */
  submit(nextOffset: number, result: PutMessageResult): Promise<PutMessageResult> {
    // Deadlines never decrease, as the list wants it: after the timeout was lowered a request waits as the ones before it.
    this.#lastDeadline = Math.max(this.#lastDeadline, this.clock.monotonic() + this.#options.syncFlushTimeout);
    const request = new GroupCommitRequest(nextOffset, this.#lastDeadline, result);
    this.putRequest(request);
    return request.future;
  }

  putRequest(request: GroupCommitRequest): void {
    if (this.#failure) {
      request.wakeupCustomer('UNKNOWN_ERROR', { reason: flushFailedReason(this.#failure), cause: this.#failure });
      return;
    }
    this.#requests.putRequest(request);
    this.wakeup();
  }

  protected override async run(): Promise<void> {
    while (!this.stopped && !this.#failure) {
      await this.waitForRunning(this.#hasWork ? WAIT_INTERVAL_MS : undefined);
      await this.#doCommit();
    }
    // What was put while the last round worked, and bytes that nobody waits for.
    while (!this.#failure && this.#hasWork) {
      this.#requests.swapRequests();
      await this.#doCommit();
    }
    this.#requests.close();
  }

  get #hasWork(): boolean {
    return this.#requests.size > 0 || (!this.#onlyOnRequest && this.#target.flushedWhere < this.#target.maxOffset);
  }

  protected override onWaitEnd(): void {
    this.#requests.swapRequests();
  }

  /**
   * MappedFileQueue.flush covers one file, so a group that crosses a file roll needs two calls; the requests of the first
   * file are answered after the first. Without requests it flushes what WAIT=false messages left.
   */
  async #doCommit(): Promise<void> {
    const end = this.#requests.groupEnd || (this.#onlyOnRequest ? 0 : this.#target.maxOffset);
    try {
      while (this.#target.flushedWhere < end) {
        this.#flushStartedAt = this.clock.monotonic();
        const nothingAdvanced = await this.#target.flush(0);
        this.#flushStartedAt = undefined;
        this.#listener.onFlushed();
        const answered = this.#requests.answerUpTo(this.#target.flushedWhere);
        if (answered > 0) this.#listener.onGroup(answered);
        if (nothingAdvanced) throw nothingAdvancedError('flush', this.#target.flushedWhere, end);
      }
      this.#requests.answerUpTo(this.#target.flushedWhere);
    } catch (error) {
      this.onDied(error);
    }
  }

  protected override onDied(error: unknown): void {
    const cause = this.#listener.onThrown(error);
    this.#failure = cause;
    this.#requests.answerAll('UNKNOWN_ERROR', { reason: flushFailedReason(cause), cause });
    this.#requests.close();
  }

  #timeOut(request: GroupCommitRequest): void {
    const since = this.#flushStartedAt;
    const flushMs = since === undefined ? 0 : Math.round(this.clock.monotonic() - since);
    const reason =
      `not on disk after ${this.#options.syncFlushTimeout} ms (syncFlushTimeout)` +
      (since === undefined ? '' : `, the flush in progress has taken ${flushMs} ms so far`);
    const leftOut = this.#timeoutLines.admit();
    if (leftOut !== undefined) {
      const { flushedWhere } = this.#target;
      this.#logger.warn({ nextOffset: request.nextOffset, flushedWhere, flushMs, timedOutBefore: leftOut }, reason);
    }
    request.wakeupCustomer('FLUSH_DISK_TIMEOUT', { reason });
  }
}
