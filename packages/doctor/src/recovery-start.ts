import { chooseStart, type RecoveryStart } from '@vernier/store/internal';
import type { RecordPlace } from './queue-reader.ts';
import { doctorFileSystem, type StoreLayout } from './store-layout.ts';

/** What the next start of Vernier would begin with; undefined for a log without files. */
export async function recoveryStartOf(
  layout: StoreLayout,
  maxPhysicOffset: number,
): Promise<RecoveryStart | undefined> {
  const { checkpoint, logFiles, state } = layout;
  if (logFiles.length === 0) return undefined;
  const minTimestamp = Math.max(
    0,
    Math.min(checkpoint?.physicMsgTimestamp ?? 0, checkpoint?.logicsMsgTimestamp ?? 0) - 3_000,
  );
  return await chooseStart(
    {
      files: logFiles,
      lastExitOk: state === 'clean',
      durablePointState: checkpoint?.durablePointState ?? 'none',
      durablePoint: checkpoint?.durablePoint ?? 0,
      minTimestamp,
      consumeQueueMaxOffset: maxPhysicOffset,
      completeWhere: completeWhereOf(layout, maxPhysicOffset),
    },
    { fileSystem: doctorFileSystem, checkCrc: true, verifyPropCrc: false },
  );
}

/** As far as the queues bear the checkpoint out. */
function completeWhereOf({ checkpoint }: StoreLayout, maxPhysicOffset: number): number {
  if (checkpoint?.durablePointState !== 'valid') return 0;
  const newestWhere = checkpoint.targets.get('queues')?.newestWhere;
  const isWhole = newestWhere !== undefined && maxPhysicOffset >= newestWhere;
  return Math.max(0, isWhole ? checkpoint.logicsPoint : Math.min(checkpoint.logicsPoint, maxPhysicOffset));
}

/**
 * Offset in the log below which every record must have its entries on disk; Infinity after a clean exit. `newest`: the newest
 * record with an entry in a queue.
 */
export async function queuesCompleteBelow(layout: StoreLayout, newest: RecordPlace): Promise<number> {
  const { state, checkpoint, own } = layout;
  if (state === 'clean') return Number.POSITIVE_INFINITY;
  if (own) return checkpoint!.logicsPoint;
  // A live Java broker writes entries at once and in log order, those of a record one after the other: its queue, queues that
  // share it, the index. It may be in the midst of the newest.
  if (state === 'live') return Math.max(0, newest.from);
  return (await recoveryStartOf(layout, newest.end))?.dispatchFrom ?? 0;
}
