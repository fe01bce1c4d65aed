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
  /** maxOffset - flushedWhere: bytes that a power cut would take now. */
  flushBehindBytes: number;
  /** maxOffset - committedWhere: bytes that a killed process would take now. */
  commitBehindBytes: number;
  dispatchBehindBytes: number;
  putMessageTimesTotal: number;
  putMessageFailedTimes: number;
  putMessageSizeTotal: number;
  getMessageTimesTotal: number;
  getMessageCountTotal: number;
  getMessageSizeTotal: number;
}
