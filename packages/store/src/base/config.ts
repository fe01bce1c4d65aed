import { storeKeys } from './config-keys.ts';
import { defaultsOf } from './key-spec.ts';

/**
 * Settings of one store. Keys, units and meanings are RocketMQ's MessageStoreConfig unless marked `own`; where our
 * default differs, the comment says so and why. Times in milliseconds and sizes in bytes unless the name says otherwise.
 * Values, defaults and what may change while the store is open stand in config-keys.ts and docs/reference/config.md.
 */
export interface MessageStoreConfig {
  storePathRootDir: string;
  /** Default `<root>/commitlog`. */
  storePathCommitLog: string;

  /** RocketMQ's default is ASYNC_FLUSH; ours is SYNC_FLUSH: an acknowledgement means on disk unless you say otherwise. */
  flushDiskType: 'SYNC_FLUSH' | 'ASYNC_FLUSH';
  /** true (our default): positional writes from append buffers. false: a mapping and msync (Linux, needs koffi). */
  writeWithoutMmap: boolean;
  transientStorePoolEnable: boolean;
  transientStorePoolSize: number;
  /** A put that finds no pool buffer fails at once instead of waiting up to putMessageTimeout. */
  fastFailIfNoBufferInStorePool: boolean;

  mappedFileSizeCommitLog: number;
  mappedFileSizeConsumeQueue: number;
  /** RocketMQ's spelling. */
  mapperFileSizeBatchConsumeQueue: number;

  flushIntervalCommitLog: number;
  /** RocketMQ: 4, which lets up to flushCommitLogThoroughInterval pass while less than 16 KiB is new. Ours: 0, each
   * interval flushes whatever is there. */
  flushCommitLogLeastPages: number;
  flushCommitLogThoroughInterval: number;
  flushCommitLogTimed: boolean;
  commitIntervalCommitLog: number;
  commitCommitLogLeastPages: number;
  commitCommitLogThoroughInterval: number;
  wakeFlushWhenPutMessage: boolean;
  wakeCommitWhenPutMessage: boolean;
  /** Clients give up after 3,000 (sendMsgTimeout); RocketMQ's default of 5,000 hides FLUSH_DISK_TIMEOUT from them. Kept
   * at 5,000 as in RocketMQ; the start-up says so. */
  syncFlushTimeout: number;
  putMessageTimeout: number;
  osPageCacheBusyTimeOutMills: number;
  /** RocketMQ's is about messages that wait for their flush; here, for room in the log. */
  maxAsyncPutMessageRequests: number;

  flushIntervalConsumeQueue: number;
  flushConsumeQueueLeastPages: number;
  flushConsumeQueueThoroughInterval: number;

  /** How long each delay level is, from the first on. A directory that was written with another table keeps the times that
   * its queues have; queues that are made anew from the log get this table's. */
  messageDelayLevel: string;

  /** Light queues; both have to be on (record/multi-dispatch.ts). */
  enableLmq: boolean;
  enableMultiDispatch: boolean;
  maxLmqConsumeQueueNum: number;

  maxMessageSize: number;
  enabledAppendPropCRC: boolean;
  forceVerifyPropCRC: boolean;
  checkCRCOnRecover: boolean;

  messageIndexEnable: boolean;
  maxHashSlotNum: number;
  maxIndexNum: number;
  maxMsgsNumBatch: number;

  /** true: dispatch and readers go past flushedWhere under SYNC_FLUSH, as RocketMQ before 5.3.0. */
  readUnCommitted: boolean;

  maxTransferBytesOnMessageInMemory: number;
  maxTransferCountOnMessageInMemory: number;
  maxTransferBytesOnMessageInDisk: number;
  maxTransferCountOnMessageInDisk: number;
  accessMessageInMemoryMaxRatio: number;

  deleteWhen: string;
  /** Hours. */
  fileReservedTime: number;
  diskMaxUsedSpaceRatio: number;
  diskSpaceCleanForciblyRatio: number;
  diskSpaceWarningLevelRatio: number;
  /** RocketMQ: true, which deletes messages nobody consumed when the disk is 85 % full. Ours: false. */
  cleanFileForciblyEnable: boolean;
  cleanResourceInterval: number;
  deleteFileBatchMax: number;
  destroyMapedFileIntervalForcibly: number;
  redeleteHangedFileInterval: number;

  /** own. Where the commit log's blocking calls run: libuv's threads, or two of its own, which a process that keeps
   * libuv's threads busy should choose (docs/design/write-path.md has the measurement). */
  ioLane: 'pool' | 'worker';
  /** own. Bytes of all append buffers of the channel engine together. */
  appendBufferSize: number;
  /** own. Under SYNC_FLUSH: bytes ahead of the log's end that are kept written with zeros, which makes flushes on ext4
   * two to three times as fast and doubles what is written to the disk; 0 = off (docs/design/write-path.md). */
  zeroAheadBytes: number;
  /** own. Free bytes that preallocation leaves on the disk. */
  diskFreeBytesMin: number;
  /** own. What to do when a record below the durable point is damaged: open read-only up to it, or refuse to open. */
  damagedStorePolicy: 'read-only' | 'refuse';
  /** own. Open file descriptors kept for consume-queue files. */
  consumeQueueOpenFilesMax: number;
}

export type MessageStoreOptions = Partial<MessageStoreConfig> & { storePathRootDir: string };

export const defaultMessageStoreConfig: Omit<MessageStoreConfig, 'storePathRootDir' | 'storePathCommitLog'> =
  withoutPaths(defaultsOf<MessageStoreConfig>(storeKeys));

function withoutPaths(config: MessageStoreConfig) {
  const { storePathRootDir: _root, storePathCommitLog: _log, ...rest } = config;
  return rest;
}
