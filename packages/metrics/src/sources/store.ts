import { statfs } from 'node:fs/promises';
import type { HistogramSnapshot } from '@vernier/store';
import type { HistogramValue, Labels, Observation } from '../observation.ts';
import { inSeconds, type Source, type SourceParts } from '../source.ts';

/** RocketMQ’s labels of what lies on the broker’s own disk. */
export const STORAGE: Labels = { storage_type: 'local', storage_medium: 'disk' };

const histogram = ({ bounds, counts, sum }: HistogramSnapshot): HistogramValue => ({ bounds, counts, sum });

/** Of milliseconds, in seconds. */
const secondsOf = ({ bounds, counts, sum }: HistogramValue): HistogramValue => ({
  ...{ bounds: bounds.map(inSeconds), counts, sum: inSeconds(sum) },
});

/** The log, its flush, and the disk. */
export function storeSource({ broker }: SourceParts): Source {
  const { store, stats, clock } = broker;
  return {
    async observe(into) {
      const metrics = store.metrics;
      into.observe('rocketmq_storage_flush_behind_bytes', metrics.flushBehindBytes, STORAGE);
      into.observe('rocketmq_storage_dispatch_behind_bytes', metrics.dispatchBehindBytes, STORAGE);
      into.observe('vernier_flush_time', secondsOf(metrics.flushTimeMs));
      into.observe('vernier_flush_group_size', histogram(metrics.groupSize));
      into.observe('vernier_flush_errors_total', metrics.flushErrorCount);
      into.observe('vernier_flush_waiters', metrics.waiterCount);
      into.observe('vernier_flush_oldest_waiter', inSeconds(metrics.oldestWaiterMs));
      into.observe('vernier_put_stalled', metrics.stalledCount);
      into.observe('vernier_put_oldest_stalled', inSeconds(metrics.oldestStalledMs));
      into.observe('vernier_put_time', secondsOf(stats.putTimes.histogram));
      into.observe('vernier_put_failed_total', metrics.putMessageFailedTimes);
      observeLosses(into, store.config.flushDiskType, metrics.flushBehindBytes, metrics.commitBehindBytes);
      into.observe('vernier_read_only', store.failure === undefined ? 0 : 1, { reason: 'failed' });
      into.observe('vernier_read_only', store.diskFull === undefined ? 0 : 1, { reason: 'disk_full' });
      const isBehind = store.readOnlyReason !== undefined && store.diskFull === undefined;
      into.observe('vernier_read_only', isBehind ? 1 : 0, { reason: 'behind' });
      into.observe('vernier_damaged_records_total', metrics.damagedRecordCount);
      into.observe('vernier_queue_write_retries_total', metrics.queueWriteRetries);
      into.observe('vernier_queue_lack', inSeconds(metrics.queueLackMs));
      into.observe('vernier_log', store.maxPhyOffset - store.minPhyOffset);
      into.observe('vernier_log_lines_dropped_total', metrics.droppedLogLines, { by: 'logger' });
      await observeDisk(into, store.config.storePathCommitLog);
      if (store.isClosed || store.minPhyOffset >= store.maxPhyOffset) return;
      const oldest = await store.lookMessageByOffset(store.minPhyOffset).catch(() => undefined);
      if (oldest === undefined) return;
      into.observe('rocketmq_storage_message_reserve_time', Math.max(0, clock.now() - oldest.storeTimestamp), STORAGE);
    },
  };
}

/** Under SYNC_FLUSH nothing is answered before it is on disk, but for messages with WAIT=false, which ask for that. */
function observeLosses(into: Observation, flushDiskType: string, behindBytes: number, unwrittenBytes: number): void {
  const isAsync = flushDiskType === 'ASYNC_FLUSH';
  into.observe('vernier_power_cut_bytes', isAsync ? behindBytes : 0, { acknowledged: 'true' });
  into.observe('vernier_power_cut_bytes', isAsync ? 0 : behindBytes, { acknowledged: 'false' });
  into.observe('vernier_killed_process_bytes', unwrittenBytes);
}

/** A disk that does not answer has no series: nought would be a lie. */
async function observeDisk(into: Observation, directory: string): Promise<void> {
  const space = await statfs(directory).catch(() => undefined);
  if (space === undefined || space.blocks === 0) return;
  const { bsize, blocks, bavail, bfree } = space;
  into.observe('rocketmq_storage_size', (blocks - bfree) * bsize, STORAGE);
  into.observe('vernier_disk_free', bavail * bsize);
  into.observe('vernier_disk_size', blocks * bsize);
}
