/**
 * Settings of one store. Keys, units and meanings are RocketMQ's MessageStoreConfig unless marked `own`; where our
 * default differs, the comment says so and why. Times in milliseconds and sizes in bytes unless the name says otherwise.
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

  flushIntervalConsumeQueue: number;
  flushConsumeQueueLeastPages: number;
  flushConsumeQueueThoroughInterval: number;

  maxMessageSize: number;
  autoMessageVersionOnTopicLen: boolean;
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

const MiB = 1024 * 1024;

export const defaultMessageStoreConfig: Omit<MessageStoreConfig, 'storePathRootDir' | 'storePathCommitLog'> = {
  flushDiskType: 'SYNC_FLUSH',
  writeWithoutMmap: true,
  transientStorePoolEnable: false,
  transientStorePoolSize: 5,
  fastFailIfNoBufferInStorePool: false,
  mappedFileSizeCommitLog: 1024 * MiB,
  mappedFileSizeConsumeQueue: 300_000 * 20,
  flushIntervalCommitLog: 500,
  flushCommitLogLeastPages: 0,
  flushCommitLogThoroughInterval: 10_000,
  flushCommitLogTimed: true,
  commitIntervalCommitLog: 200,
  commitCommitLogLeastPages: 4,
  commitCommitLogThoroughInterval: 200,
  wakeFlushWhenPutMessage: false,
  wakeCommitWhenPutMessage: true,
  syncFlushTimeout: 5_000,
  putMessageTimeout: 8_000,
  osPageCacheBusyTimeOutMills: 1_000,
  flushIntervalConsumeQueue: 1_000,
  flushConsumeQueueLeastPages: 2,
  flushConsumeQueueThoroughInterval: 60_000,
  maxMessageSize: 4 * MiB,
  autoMessageVersionOnTopicLen: true,
  enabledAppendPropCRC: false,
  forceVerifyPropCRC: false,
  checkCRCOnRecover: true,
  messageIndexEnable: true,
  maxHashSlotNum: 5_000_000,
  maxIndexNum: 20_000_000,
  maxMsgsNumBatch: 64,
  readUnCommitted: false,
  maxTransferBytesOnMessageInMemory: 262_144,
  maxTransferCountOnMessageInMemory: 32,
  maxTransferBytesOnMessageInDisk: 65_536,
  maxTransferCountOnMessageInDisk: 8,
  accessMessageInMemoryMaxRatio: 40,
  deleteWhen: '04',
  fileReservedTime: 72,
  diskMaxUsedSpaceRatio: 75,
  diskSpaceCleanForciblyRatio: 85,
  diskSpaceWarningLevelRatio: 90,
  cleanFileForciblyEnable: false,
  cleanResourceInterval: 10_000,
  deleteFileBatchMax: 10,
  destroyMapedFileIntervalForcibly: 120_000,
  redeleteHangedFileInterval: 120_000,
  ioLane: 'pool',
  appendBufferSize: 16 * MiB,
  zeroAheadBytes: 0,
  diskFreeBytesMin: 64 * MiB,
  damagedStorePolicy: 'read-only',
  consumeQueueOpenFilesMax: 512,
};
