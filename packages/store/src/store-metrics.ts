import type { StoreMetrics } from './metrics.ts';
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
    flushBehindBytes: mappedFileQueue.maxOffset - mappedFileQueue.flushedWhere,
    commitBehindBytes: mappedFileQueue.maxOffset - mappedFileQueue.committedWhere,
    dispatchBehindBytes: mappedFileQueue.maxOffset - commitLog.dispatchedWhere,
    putMessageTimesTotal: counters.putTimes,
    putMessageFailedTimes: counters.putTimes - commitLog.appendCount - commitLog.stalledCount,
    putMessageSizeTotal: commitLog.appendBytes,
    getMessageTimesTotal: messageReader.timesTotal,
    getMessageCountTotal: messageReader.countTotal,
    getMessageSizeTotal: messageReader.sizeTotal,
    damagedRecordCount: parts.logReader.damagedCount,
  };
}
