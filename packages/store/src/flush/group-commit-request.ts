import type { PutMessageResult, PutMessageStatus } from '../base/types.ts';

/**
 * One append that waits for its bytes (RocketMQ CommitLog.GroupCommitRequest). `future` resolves once, with the append's
 * result: PUT_OK when every byte below `nextOffset` is on disk (written, for a request of the GroupWriteService),
 * FLUSH_DISK_TIMEOUT when the deadline came first, UNKNOWN_ERROR when the flush failed. It never rejects.
 */
export class GroupCommitRequest {
  /** wroteOffset + wroteBytes: the first byte that this request does not need. */
  readonly nextOffset: number;
  /** On the clock's monotonic scale, milliseconds. */
  readonly deadline: number;
  readonly future: Promise<PutMessageResult>;
  readonly #result: PutMessageResult;
  #resolve: ((result: PutMessageResult) => void) | undefined;

  constructor(nextOffset: number, deadline: number, result: PutMessageResult) {
    this.nextOffset = nextOffset;
    this.deadline = deadline;
    this.#result = result;
    this.future = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  get isAnswered(): boolean {
    return this.#resolve === undefined;
  }

  /** Answers the request; later answers change nothing, so a flush that ends after the timeout does no harm. */
  wakeupCustomer(status: PutMessageStatus, why?: Pick<PutMessageResult, 'reason' | 'cause'>): void {
    const resolve = this.#resolve;
    if (!resolve) return;
    this.#resolve = undefined;
    this.#result.status = status;
    if (why) Object.assign(this.#result, why);
    resolve(this.#result);
  }
}
