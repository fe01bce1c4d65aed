import type { MessageStoreOptions } from '@vernier/store';
import type { Random } from './random.ts';

/** The engines that write through the FileSystem interface; a mapping has no simulation. */
export type SimulatedEngine = 'channel' | 'transient-pool';

export const SIMULATED_ENGINES: readonly SimulatedEngine[] = ['channel', 'transient-pool'];

/**
 * A store of tiny files, so that a history of a hundred messages rolls each kind of file several times. `isNarrow`: all
 * messages go to one queue, whose files are long enough to fill blocks and to be searched by halves.
 */
export function randomSettings(
  random: Random,
  root: string,
  engine: SimulatedEngine,
  isNarrow: boolean,
): MessageStoreOptions {
  const fileSize = 4_096 * random.pick([2, 4, 4, 8, 16]);
  return {
    storePathRootDir: root,
    flushDiskType: random.chance(0.75) ? 'SYNC_FLUSH' : 'ASYNC_FLUSH',
    readUnCommitted: random.chance(0.05),
    transientStorePoolEnable: engine === 'transient-pool',
    transientStorePoolSize: random.integer(2, 4),
    fastFailIfNoBufferInStorePool: random.chance(0.2),
    mappedFileSizeCommitLog: fileSize,
    mappedFileSizeConsumeQueue: 20 * (isNarrow ? random.integer(210, 500) : random.integer(5, 60)),
    appendBufferSize: random.pick([128, 256]) * 1024,
    zeroAheadBytes: random.chance(0.15) ? 4_096 * random.integer(1, 4) : 0,
    maxMessageSize: 4_096,
    maxHashSlotNum: random.integer(10, 200),
    maxIndexNum: random.integer(20, 400),
    flushIntervalConsumeQueue: random.integer(5, 200),
    flushConsumeQueueThoroughInterval: random.integer(20, 2_000),
    flushConsumeQueueLeastPages: random.integer(0, 2),
    flushIntervalCommitLog: random.pick([50, 500]),
    flushCommitLogTimed: random.chance(0.5),
    wakeFlushWhenPutMessage: random.chance(0.3),
    flushCommitLogLeastPages: random.pick([0, 0, 2]),
    flushCommitLogThoroughInterval: random.pick([500, 10_000]),
    commitCommitLogLeastPages: random.pick([0, 4]),
    enabledAppendPropCRC: random.chance(0.3),
    syncFlushTimeout: random.pick([50, 5_000]),
    putMessageTimeout: 500,
    diskFreeBytesMin: 0,
  };
}
