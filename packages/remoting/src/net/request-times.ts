import { ResponseCode } from '../codes/response-code.ts';

/** Upper bounds in milliseconds of RocketMQ’s classes (RemotingMetricsManager); the last class has none. */
export const REQUEST_TIME_BOUNDS_MS = [1, 3, 5, 7, 10, 100, 1_000, 2_000, 3_000] as const;

/** What a code is counted under that nobody serves: clients may send any number. */
export const UNKNOWN_REQUEST = -1;

/** Requests of a code that were answered with a code. */
export interface RequestTimesRow {
  /** RequestCode, or UNKNOWN_REQUEST. */
  readonly code: number;
  readonly responseCode: number;
  /** Nobody was answered. */
  readonly isOneway: boolean;
  /** One more than there are bounds. */
  readonly counts: number[];
  /** Milliseconds of all. */
  sum: number;
}

const RESPONSES = 100_000;

/**
 * How long requests took, from what arrived to the answer that is queued, by code and answer. Bounded by the codes that are
 * served and the answers that they give. Answers to requests that were held come later and are not counted.
 */
export class RequestTimes {
  readonly #rows = new Map<number, RequestTimesRow>();

  /** Milliseconds; for `record`. */
  now(): number {
    return performance.now();
  }

  record(requestCode: number, responseCode: number, isOneway: boolean, ms: number): void {
    const code = responseCode === ResponseCode.REQUEST_CODE_NOT_SUPPORTED ? UNKNOWN_REQUEST : requestCode;
    const key = (code * RESPONSES + responseCode) * 2 + (isOneway ? 1 : 0);
    const row = this.#rows.get(key) ?? this.#newRow(key, code, responseCode, isOneway);
    let index = 0;
    while (index < REQUEST_TIME_BOUNDS_MS.length && ms > REQUEST_TIME_BOUNDS_MS[index]!) index++;
    row.counts[index]!++;
    row.sum += ms;
  }

  rows(): Iterable<RequestTimesRow> {
    return this.#rows.values();
  }

  #newRow(key: number, code: number, responseCode: number, isOneway: boolean): RequestTimesRow {
    const counts = new Array<number>(REQUEST_TIME_BOUNDS_MS.length + 1).fill(0);
    const row: RequestTimesRow = { code, responseCode, isOneway, counts, sum: 0 };
    this.#rows.set(key, row);
    return row;
  }
}
