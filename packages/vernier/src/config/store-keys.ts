import type { MessageStoreConfig } from '@vernier/store';
import { choice, flag, integer, type KeySpec, milliseconds, text } from './key-spec.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const int32Max = 2_147_483_647;
const aDay = { max: 86_400_000 };
const percent = (meaning: string): KeySpec => integer('percent', 1, 99, meaning);
const pages = (meaning: string, rest: Partial<KeySpec> = {}): KeySpec =>
  integer('pages of 4 KiB', 0, 1 << 20, meaning, rest);

/** Keys of RocketMQ's MessageStoreConfig that the store knows, and the store's own. The type holds the list complete. */
export const storeKeys: { readonly [K in keyof MessageStoreConfig]: KeySpec } = {
  storePathRootDir: text('The data directory. The command’s argument DATA_DIR goes before it.'),
  storePathCommitLog: text('Where the commit log lies, when not in `commitlog` below the data directory.'),

  flushDiskType: choice(
    ['SYNC_FLUSH', 'ASYNC_FLUSH'],
    'SYNC_FLUSH answers a message once it is on disk, ASYNC_FLUSH once it is written to the page cache.',
    { rocketmqDefault: 'ASYNC_FLUSH' },
  ),
  writeWithoutMmap: flag(
    'true writes the commit log with positional writes from append buffers, false through a mapping and msync (Linux, needs koffi).',
    { rocketmqDefault: 'false' },
  ),
  transientStorePoolEnable: flag('Append into memory buffers of their own, committed to the file at intervals.'),
  transientStorePoolSize: integer(
    'buffers',
    1,
    64,
    'Buffers of the transient pool, each as large as a commit-log file.',
  ),
  fastFailIfNoBufferInStorePool: flag(
    'Refuse a message at once when the transient pool has no buffer, rather than wait.',
  ),

  mappedFileSizeCommitLog: integer(
    'bytes',
    64 * KiB,
    int32Max,
    'Size of a commit-log file. A directory keeps the size it was made with.',
  ),
  mappedFileSizeConsumeQueue: integer(
    'bytes',
    20,
    2_147_483_632,
    'Size of a consume-queue file; rounded up to a multiple of 20.',
  ),

  flushIntervalCommitLog: milliseconds(1, 'ASYNC_FLUSH: time between two flushes.'),
  flushCommitLogLeastPages: pages('ASYNC_FLUSH: fewer new pages than this are left for the thorough flush.', {
    rocketmqDefault: '4',
  }),
  flushCommitLogThoroughInterval: milliseconds(
    1,
    'ASYNC_FLUSH: time after which a flush takes whatever is there.',
    aDay,
  ),
  flushCommitLogTimed: flag('ASYNC_FLUSH: flush by the clock only; false lets a message wake the flush.'),
  commitIntervalCommitLog: milliseconds(1, 'Transient pool: time between two commits to the file.'),
  commitCommitLogLeastPages: pages('Transient pool: fewer new pages than this are left for the thorough commit.'),
  commitCommitLogThoroughInterval: milliseconds(
    1,
    'Transient pool: time after which a commit takes whatever is there.',
    aDay,
  ),
  wakeFlushWhenPutMessage: flag('ASYNC_FLUSH: each message wakes the flush (with flushCommitLogTimed=false).'),
  wakeCommitWhenPutMessage: flag('Transient pool: each message wakes the commit.'),
  syncFlushTimeout: milliseconds(
    1,
    'SYNC_FLUSH: a message whose flush takes longer is answered FLUSH_DISK_TIMEOUT. Clients give up after 3,000 by themselves.',
  ),
  putMessageTimeout: milliseconds(1, 'Longest time that a message waits for a file or a pool buffer.'),
  osPageCacheBusyTimeOutMills: milliseconds(1, 'An append that takes longer makes the store answer “busy”.'),

  flushIntervalConsumeQueue: milliseconds(1, 'Time between two flushes of the consume queues.'),
  flushConsumeQueueLeastPages: pages('Fewer new pages than this are left for the thorough flush.'),
  flushConsumeQueueThoroughInterval: milliseconds(0, 'Time after which a flush takes every consume queue.', aDay),

  maxMessageSize: integer('bytes', 1, 64 * MiB, 'Largest body of a message.'),
  autoMessageVersionOnTopicLen: flag(
    'Topics longer than 127 bytes are stored in record version 2; false refuses them.',
  ),
  enabledAppendPropCRC: flag('Append a checksum over the whole record to its properties.'),
  forceVerifyPropCRC: flag('Recovery checks that checksum.'),
  checkCRCOnRecover: flag('Recovery checks the checksum of each body.'),

  messageIndexEnable: flag('Keep the index by key and by unique id.'),
  maxHashSlotNum: integer('slots', 1, 100_000_000, 'Hash slots of an index file. Part of the file format.'),
  maxIndexNum: integer('entries', 2, 400_000_000, 'Entries of an index file. Part of the file format.'),
  maxMsgsNumBatch: integer('messages', 1, 10_000, 'Most messages that a query by key answers.'),

  readUnCommitted: flag('SYNC_FLUSH: let consumers read what is not on disk yet, as RocketMQ before 5.3.0.'),

  maxTransferBytesOnMessageInMemory: integer(
    'bytes',
    1,
    64 * MiB,
    'Most bytes a pull answers from the end of the log.',
  ),
  maxTransferCountOnMessageInMemory: integer(
    'messages',
    1,
    10_000,
    'Most messages a pull answers from the end of the log.',
  ),
  maxTransferBytesOnMessageInDisk: integer('bytes', 1, 64 * MiB, 'Most bytes a pull answers from older files.'),
  maxTransferCountOnMessageInDisk: integer('messages', 1, 10_000, 'Most messages a pull answers from older files.'),
  accessMessageInMemoryMaxRatio: percent('Share of the memory within which the end of the log counts as in memory.'),

  deleteWhen: text('Hours of the day at which expired files are deleted, `;` between them.'),
  fileReservedTime: integer('hours', 1, 1_000_000, 'Age from which a commit-log file may be deleted.'),
  diskMaxUsedSpaceRatio: percent('Disk use above which expired files are deleted at any hour.'),
  diskSpaceCleanForciblyRatio: percent('Disk use above which files are deleted whatever their age, where allowed.'),
  diskSpaceWarningLevelRatio: percent(
    'Disk use above which the store refuses messages, unless there is room for two more files.',
  ),
  cleanFileForciblyEnable: flag('Allow deleting files before fileReservedTime when the disk fills up.', {
    rocketmqDefault: 'true',
  }),
  cleanResourceInterval: milliseconds(1, 'Time between two looks for files to delete.', aDay),
  deleteFileBatchMax: integer('files', 1, 1_000, 'Most files deleted at one look.'),
  destroyMapedFileIntervalForcibly: milliseconds(
    0,
    'Time after which a deleted file is closed under its last reader.',
    aDay,
  ),
  redeleteHangedFileInterval: milliseconds(0, 'Time between two attempts to delete a file that is still read.', aDay),

  ioLane: choice(
    ['pool', 'worker'],
    'Where blocking disk calls run: on libuv’s threads, or on two of the store’s own (for a process that keeps libuv’s busy).',
    {
      own: true,
    },
  ),
  appendBufferSize: integer('bytes', 64 * KiB, 1024 * MiB, 'All append buffers together.', { own: true }),
  zeroAheadBytes: integer(
    'bytes',
    0,
    1024 * MiB,
    'Under SYNC_FLUSH: bytes ahead of the log kept written with zeros; faster flushes, twice the bytes written. 0 = off.',
    { own: true },
  ),
  diskFreeBytesMin: integer('bytes', 0, Number.MAX_SAFE_INTEGER, 'Free bytes that are always left on the disk.', {
    own: true,
  }),
  damagedStorePolicy: choice(
    ['read-only', 'refuse'],
    'What to do about a damaged record that was on disk before: open for reading only, or not at all.',
    { own: true },
  ),
  consumeQueueOpenFilesMax: integer('files', 8, 100_000, 'Consume-queue files kept open.', { own: true }),
};
