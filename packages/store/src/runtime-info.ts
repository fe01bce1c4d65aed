import type { HistogramSnapshot, StoreMetrics } from './base/metrics.ts';
import type { StoreParts } from './store-parts.ts';

/**
 * The store's part of GET_BROKER_RUNTIME_INFO (RocketMQ DefaultMessageStore.getRuntimeInfo, StoreStatsService), and keys
 * of our own that show the flush pipeline. Every value is a string, as on the wire.
 */
export function runtimeInfo(parts: StoreParts, metrics: StoreMetrics): Record<string, string> {
  const { mappedFileQueue, dispatchedWhere } = parts.commitLog;
  const appended = parts.commitLog.appendCount;
  const { flushTimeMs, groupSize } = metrics;
  const average = (sum: number, count: number): string => (count === 0 ? '0' : (sum / count).toFixed(3));
  return {
    commitLogMinOffset: String(mappedFileQueue.minOffset),
    commitLogMaxOffset: String(mappedFileQueue.maxOffset),
    putMessageTimesTotal: String(metrics.putMessageTimesTotal),
    putMessageFailedTimes: String(metrics.putMessageFailedTimes),
    putMessageSizeTotal: String(metrics.putMessageSizeTotal),
    putMessageAverageSize: average(metrics.putMessageSizeTotal, appended),
    dispatchMaxBuffer: '0',
    dispatchBehindBytes: String(metrics.dispatchBehindBytes),
    remainHowManyDataToCommit: String(metrics.commitBehindBytes),
    remainHowManyDataToFlush: String(metrics.flushBehindBytes),
    remainTransientStoreBufferNumbs: String(parts.availableBufferCount()),
    // There is no lock here; what waits in RocketMQ for it waits here for room.
    pageCacheLockTimeMills: metrics.oldestStalledMs.toFixed(0),
    // Ours.
    storeEngine: parts.engine,
    flushDiskType: parts.config.flushDiskType,
    flushedWhere: String(mappedFileQueue.flushedWhere),
    committedWhere: String(mappedFileQueue.committedWhere),
    dispatchedWhere: String(dispatchedWhere),
    flushCount: String(metrics.flushCount),
    flushTimeAverageMs: average(flushTimeMs.sum, flushTimeMs.count),
    flushTimeMaxMs: flushTimeMs.max.toFixed(3),
    flushGroupSizeAverage: average(groupSize.sum, groupSize.count),
    flushTimeDistribute: distribution(flushTimeMs),
    flushGroupSizeDistribute: distribution(groupSize),
    flushWaiters: String(metrics.waiterCount),
    flushOldestWaiterMs: metrics.oldestWaiterMs.toFixed(0),
    queueWriteRetries: String(metrics.queueWriteRetries),
    queueLack: parts.queueLack?.isLacking ? parts.queueLack.cause : '',
    storeFailure: parts.failure ? `${parts.failure.code}: ${parts.failure.message}` : '',
  };
}

/** `0.1:5 0.25:3 … +:0`: how many were at most that and above the bound before; the last has no bound. */
const distribution = ({ bounds, counts }: HistogramSnapshot): string =>
  counts.map((count, index) => `${bounds[index] ?? '+'}:${count}`).join(' ');
