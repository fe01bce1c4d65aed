import type { Clock, TimerHandle } from '../base/clock.ts';
import type { PutMessageResult, PutMessageStatus } from '../base/types.ts';
import type { GroupCommitRequest } from './group-commit-request.ts';

/**
 * The two lists of a group-committing service (RocketMQ GroupCommitService.requestsWrite and requestsRead).
 *
 *   putRequest → [requestsWrite]  --swapRequests()-->  [requestsRead] → answered
 *
 * New requests gather in requestsWrite while one flush works for requestsRead; a swap exchanges the lists, so neither is
 * ever copied. Appends happen in log order, hence both lists are sorted by nextOffset and by deadline.
 */
export class RequestList {
  #requestsWrite: GroupCommitRequest[] = [];
  #requestsRead: GroupCommitRequest[] = [];
  /** Requests of requestsRead before this index are answered. */
  #readHead = 0;
  readonly #clock: Clock;
  readonly #onTimeout: (request: GroupCommitRequest) => void;
  #watch: TimerHandle;

  /** `onTimeout` answers a request whose deadline passed (RocketMQ FlushDiskWatcher). */
  constructor(clock: Clock, onTimeout: (request: GroupCommitRequest) => void) {
    this.#clock = clock;
    this.#onTimeout = onTimeout;
  }

  /** Requests that wait for an answer. Answered ones (timed out) count until their flush ends. */
  get size(): number {
    return this.#requestsWrite.length + this.#requestsRead.length - this.#readHead;
  }

  /** The request that has waited longest, if one waits. */
  get oldest(): GroupCommitRequest | undefined {
    return this.#requestsRead[this.#readHead] ?? this.#requestsWrite[0];
  }

  /** The end of what the swapped-in group needs; 0 when the group is empty. */
  get groupEnd(): number {
    return this.#requestsRead.at(-1)?.nextOffset ?? 0;
  }

  /**
   * Requests come in the order of the log, each in the turn of the event loop in which it was appended. One that comes
   * late all the same is put where it belongs: in front of a later one's end it would never be answered, and with it
   * nobody after it, because the lists are exchanged only when a whole group is answered.
   */
  putRequest(request: GroupCommitRequest): void {
    const requests = this.#requestsWrite;
    let at = requests.length;
    while (at > 0 && requests[at - 1]!.nextOffset > request.nextOffset) at--;
    if (at === requests.length) requests.push(request);
    else requests.splice(at, 0, request);
    if (this.#watch === undefined) this.#armWatch(request);
  }

  /** Only when the whole read list is answered, otherwise the group would be lost. */
  swapRequests(): void {
    if (this.#readHead < this.#requestsRead.length) return;
    const answered = this.#requestsRead;
    answered.length = 0;
    this.#readHead = 0;
    this.#requestsRead = this.#requestsWrite;
    this.#requestsWrite = answered;
  }

  /** PUT_OK to every request of the group that ends at or below `offset`; returns how many of them this answered. */
  answerUpTo(offset: number): number {
    let answered = 0;
    const requests = this.#requestsRead;
    while (this.#readHead < requests.length && requests[this.#readHead]!.nextOffset <= offset) {
      requests[this.#readHead++]!.wakeupCustomer('PUT_OK');
      answered++;
    }
    return answered;
  }

  /** Every request of both lists gets this status. */
  answerAll(status: PutMessageStatus, why: Pick<PutMessageResult, 'reason' | 'cause'>): void {
    for (let i = this.#readHead; i < this.#requestsRead.length; i++) this.#requestsRead[i]!.wakeupCustomer(status, why);
    for (const request of this.#requestsWrite) request.wakeupCustomer(status, why);
    this.#requestsRead.length = 0;
    this.#requestsWrite.length = 0;
    this.#readHead = 0;
  }

  close(): void {
    if (this.#watch !== undefined) this.#clock.clearTimer(this.#watch);
    this.#watch = undefined;
  }

  /**
   * One timer for all requests: set for the oldest and, when it fires, set again for whoever is the oldest then. Under
   * load it is touched once a timeout and not once a message; with nothing waiting it is not armed.
   */
  #armWatch(oldest: GroupCommitRequest): void {
    const delay = Math.max(0, oldest.deadline - this.#clock.monotonic());
    this.#watch = this.#clock.setTimer(this.#expire, delay);
  }

  readonly #expire = (): void => {
    this.#watch = undefined;
    // Timers fire up to a millisecond early; one that did must not go round again for a fraction.
    const now = this.#clock.monotonic() + 1;
    const next = this.#expireIn(this.#requestsRead, this.#readHead, now) ?? this.#expireIn(this.#requestsWrite, 0, now);
    if (next) this.#armWatch(next);
  };

  /** Answers what is due, in FIFO order; returns the first request that is not due yet. */
  #expireIn(requests: GroupCommitRequest[], from: number, now: number): GroupCommitRequest | undefined {
    for (let i = from; i < requests.length; i++) {
      const request = requests[i]!;
      if (request.isAnswered) continue;
      if (request.deadline > now) return request;
      this.#onTimeout(request);
    }
    return undefined;
  }
}
