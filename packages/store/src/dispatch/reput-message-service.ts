import type { DispatchRequest } from '../record/dispatch-request.ts';

/** Dispatched requests are dropped from the front in batches of this many, so that dropping costs nothing a message. */
const COMPACT_AT = 1_024;

/**
 * Holds what was appended until readers may know of it, then dispatches it in log order (RocketMQ ReputMessageService,
 * which reads the log again for this; here the requests are kept from the append, and only recovery reads the log).
 *
 * Invariant: reputFromOffset ≤ the confirm offset last given; a request is dispatched once, after all before it.
 */
export class ReputMessageService {
  readonly #dispatch: (request: DispatchRequest) => void;
  #requests: DispatchRequest[] = [];
  #head = 0;
  #reputFromOffset = 0;
  #dispatchedTimestamp = 0;

  constructor(dispatch: (request: DispatchRequest) => void) {
    this.#dispatch = dispatch;
  }

  /** storeTimestamp of the request dispatched last, 0 before the first. */
  get dispatchedTimestamp(): number {
    return this.#dispatchedTimestamp;
  }

  /** Recovery has dispatched everything below this offset. */
  resumeAt(reputFromOffset: number): void {
    this.#reputFromOffset = reputFromOffset;
  }

  /** Everything below this offset in the log has been dispatched. */
  get reputFromOffset(): number {
    return this.#reputFromOffset;
  }

  /** Requests that wait for the confirm offset. */
  get pendingCount(): number {
    return this.#requests.length - this.#head;
  }

  append(request: DispatchRequest): void {
    this.#requests.push(request);
  }

  /** Dispatches every record that ends at or below `confirmOffset`. */
  advance(confirmOffset: number): void {
    const requests = this.#requests;
    let head = this.#head;
    while (head < requests.length) {
      const request = requests[head]!;
      const end = request.commitLogOffset + request.msgSize;
      if (end > confirmOffset) break;
      head++;
      // Before the dispatch: a listener may ask how far dispatch has come.
      this.#head = head;
      this.#reputFromOffset = end;
      this.#dispatchedTimestamp = request.storeTimestamp;
      this.#dispatch(request);
    }
    if (head === requests.length) {
      requests.length = 0;
      this.#head = 0;
      // What is left below the confirm offset is the BLANK at the end of a file.
      if (confirmOffset > this.#reputFromOffset) this.#reputFromOffset = confirmOffset;
    } else if (head >= COMPACT_AT) {
      requests.splice(0, head);
      this.#head = 0;
    }
  }
}
