import type { StoreMetrics } from './base/metrics.ts';
import type { StoreParts } from './store-parts.ts';

export function storeMetrics(parts: StoreParts): StoreMetrics {
  const { commitLog, counters, messageReader } = parts;
  const { mappedFileQueue, flushManager } = commitLog;
  return {
    flushTimeMs: commitLog.flushTimeMs.snapshot,
    groupSize: commitLog.groupSize.snapshot,
    flushCount: commitLog.flushTimeMs.count,
    flushErrorCount: parts.failure ? 1 : 0,
    waiterCount: flushManager.waiterCount + commitLog.stalledCount,
    oldestWaiterMs: flushManager.oldestWaiterMs,
    stalledCount: commitLog.stalledCount,
    oldestStalledMs: commitLog.oldestStalledMs,
    flushBehindBytes: mappedFileQueue.maxOffset - mappedFileQueue.flushedWhere,
    commitBehindBytes: mappedFileQueue.maxOffset - mappedFileQueue.committedWhere,
    dispatchBehindBytes: mappedFileQueue.maxOffset - commitLog.dispatchedWhere,
    putMessageTimesTotal: commitLog.appendCount,
    putMessageFailedTimes: counters.putTimes - commitLog.appendTimes - commitLog.stalledCount - commitLog.heldCount,
    putMessageSizeTotal: commitLog.appendBytes,
    getMessageTimesTotal: messageReader.timesTotal,
    getMessageCountTotal: messageReader.countTotal,
    getMessageSizeTotal: messageReader.sizeTotal,
    damagedRecordCount: parts.logReader.damagedCount,
    queueWriteRetries: parts.queueLack?.failedCount ?? 0,
    queueLackMs: parts.queueLack?.forMs ?? 0,
    droppedLogLines: parts.droppedLogLines,
  };
}
