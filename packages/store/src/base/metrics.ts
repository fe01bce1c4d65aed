/** Counts of one fixed-bucket histogram; bounds are upper bounds, the last bucket has none. */
export interface HistogramSnapshot {
  bounds: readonly number[];
  counts: readonly number[];
  count: number;
  sum: number;
  max: number;
}

/** A plain snapshot of the flush pipeline; whoever exports metrics reads it. */
export interface StoreMetrics {
  /** Milliseconds of each completed force (fdatasync, msync). */
  flushTimeMs: HistogramSnapshot;
  /** Requests answered by one flush. */
  groupSize: HistogramSnapshot;
  flushCount: number;
  flushErrorCount: number;
  /** Appends that wait for their flush now. */
  waiterCount: number;
  /** Age of the oldest of them in milliseconds, 0 without. */
  oldestWaiterMs: number;
  /** Appends that wait for room in the log now, among the waiters. */
  stalledCount: number;
  /** Age of the oldest of these in milliseconds, 0 without. */
  oldestStalledMs: number;
  /** maxOffset - flushedWhere: bytes that a power cut would take now. */
  flushBehindBytes: number;
  /** maxOffset - committedWhere: bytes that a killed process would take now. */
  commitBehindBytes: number;
  dispatchBehindBytes: number;
  /** As RocketMQ counts: messages appended; puts that appended nothing, a batch is one; bytes of all records appended. */
  putMessageTimesTotal: number;
  putMessageFailedTimes: number;
  putMessageSizeTotal: number;
  getMessageTimesTotal: number;
  getMessageCountTotal: number;
  getMessageSizeTotal: number;
  /** Records that could not be served because the bytes on disk are not what was stored. */
  damagedRecordCount: number;
  /** Attempts to write consume queues or index that failed for a lack of descriptors or room, and were repeated. */
  queueWriteRetries: number;
  /** Milliseconds since they could be written last, 0 while they can. */
  queueLackMs: number;
  /** Log lines that the logger given to open() threw at, and which are lost. */
  droppedLogLines: number;
}

/** Fixed buckets, no allocation a sample. */
export class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: Float64Array;
  #count = 0;
  #sum = 0;
  #max = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  record(value: number): void {
    let bucket = 0;
    while (bucket < this.#bounds.length && value > this.#bounds[bucket]!) bucket++;
    this.#counts[bucket]!++;
    this.#count++;
    this.#sum += value;
    if (value > this.#max) this.#max = value;
  }

  get count(): number {
    return this.#count;
  }

  get snapshot(): HistogramSnapshot {
    return {
      bounds: this.#bounds,
      counts: [...this.#counts],
      count: this.#count,
      sum: this.#sum,
      max: this.#max,
    };
  }
}

/** Milliseconds; a flush on flash takes a fraction of one, on a spinning disk ten, on a disk in trouble seconds. */
export const FLUSH_TIME_BOUNDS_MS = [0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_000, 5_000, 10_000];
export const GROUP_SIZE_BOUNDS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 4_096];
