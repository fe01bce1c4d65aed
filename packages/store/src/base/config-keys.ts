import type { MessageStoreConfig } from './config.ts';
import { DEFAULT_MESSAGE_DELAY_LEVEL, delayLevels } from './delay-level-text.ts';
import { A_DAY_MS, choice, flag, integer, type KeyTable, milliseconds, text } from './key-spec.ts';
import { hours, path } from './text-forms.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const INT32_MAX = 2_147_483_647;

const CHANGEABLE = { changeable: true } as const;
const OWN = { own: true } as const;
const PAGES = [0, 1 << 20] as const;
const PERCENT = [1, 99] as const;
const UP_TO_A_DAY = [1, A_DAY_MS] as const;
/** Rounds at this interval look at disks and files; more often would be all that the process does. */
const ROUNDS = [10, A_DAY_MS] as const;

/**
 * Every key of the store: its values, its default, what it does, and whether it may change while the store is open. The
 * type holds the table complete. Defaults of the two paths come from where the store is opened.
 */
export const storeKeys: KeyTable<MessageStoreConfig> = {
  storePathRootDir: text(path, '', 'The data directory. The command’s argument DATA_DIR goes before it.'),
  storePathCommitLog: text(path, '', 'Where the commit log lies, when not in `commitlog` below the data directory.'),

  flushDiskType: choice(
    ['SYNC_FLUSH', 'ASYNC_FLUSH'],
    'SYNC_FLUSH',
    'SYNC_FLUSH answers a message once it is on disk, ASYNC_FLUSH once it is written to the page cache.',
    { rocketmqDefault: 'ASYNC_FLUSH' },
  ),
  writeWithoutMmap: flag(
    true,
    'true writes the commit log with positional writes from append buffers, false through a mapping and msync (Linux, needs koffi).',
    { rocketmqDefault: 'false' },
  ),
  transientStorePoolEnable: flag(false, 'Append into memory buffers of their own, committed to the file at intervals.'),
  transientStorePoolSize: integer(
    [1, 64],
    'buffers',
    5,
    'Buffers of the transient pool, each as large as a commit-log file.',
  ),
  fastFailIfNoBufferInStorePool: flag(
    false,
    'Refuse a message at once when the transient pool has no buffer, rather than wait.',
    CHANGEABLE,
  ),

  // Files below 4 KiB hold no page, and offsets in a file are 32-bit in Java.
  mappedFileSizeCommitLog: integer(
    [4 * KiB, INT32_MAX],
    'bytes',
    1024 * MiB,
    'Size of a commit-log file. A directory keeps the size it was made with.',
    { multipleOf: 4 * KiB },
  ),
  mappedFileSizeConsumeQueue: integer(
    [20, 2_147_483_632],
    'bytes',
    300_000 * 20,
    'Size of a consume-queue file; rounded up to a multiple of 20.',
  ),
  mapperFileSizeBatchConsumeQueue: integer(
    [46, 2_147_483_620],
    'bytes',
    300_000 * 46,
    'Size of a file of a batch queue (topics with `queue.type=BatchCQ`); rounded up to a multiple of 46.',
  ),

  flushIntervalCommitLog: milliseconds([1], 500, 'ASYNC_FLUSH: time between two flushes.', CHANGEABLE),
  flushCommitLogLeastPages: integer(
    PAGES,
    'pages of 4 KiB',
    0,
    'ASYNC_FLUSH: fewer new pages than this are left for the thorough flush.',
    { ...CHANGEABLE, rocketmqDefault: '4' },
  ),
  flushCommitLogThoroughInterval: milliseconds(
    UP_TO_A_DAY,
    10_000,
    'ASYNC_FLUSH: time after which a flush takes whatever is there.',
    CHANGEABLE,
  ),
  flushCommitLogTimed: flag(
    true,
    'ASYNC_FLUSH: flush by the clock only; false lets a message wake the flush.',
    CHANGEABLE,
  ),
  commitIntervalCommitLog: milliseconds([1], 200, 'Transient pool: time between two commits to the file.', CHANGEABLE),
  commitCommitLogLeastPages: integer(
    PAGES,
    'pages of 4 KiB',
    4,
    'Transient pool: fewer new pages than this are left for the thorough commit.',
    CHANGEABLE,
  ),
  commitCommitLogThoroughInterval: milliseconds(
    UP_TO_A_DAY,
    200,
    'Transient pool: time after which a commit takes whatever is there.',
    CHANGEABLE,
  ),
  wakeFlushWhenPutMessage: flag(
    false,
    'ASYNC_FLUSH: each message wakes the flush (with flushCommitLogTimed=false).',
    CHANGEABLE,
  ),
  wakeCommitWhenPutMessage: flag(true, 'Transient pool: each message wakes the commit.', CHANGEABLE),
  syncFlushTimeout: milliseconds(
    [1],
    5_000,
    'SYNC_FLUSH: a message whose flush takes longer is answered FLUSH_DISK_TIMEOUT. Clients give up after 3,000 by themselves.',
    CHANGEABLE,
  ),
  putMessageTimeout: milliseconds(
    [1],
    8_000,
    'Longest time that a message waits for a file or a pool buffer.',
    CHANGEABLE,
  ),
  osPageCacheBusyTimeOutMills: milliseconds(
    [1],
    1_000,
    'When a message has waited for room for this long, more are refused with SYSTEM_BUSY until there is room.',
    CHANGEABLE,
  ),
  maxAsyncPutMessageRequests: integer(
    [1, 1_000_000],
    'messages',
    5_000,
    'Messages that may wait for room at once; more are refused with SYSTEM_BUSY.',
    CHANGEABLE,
  ),

  flushIntervalConsumeQueue: milliseconds([1], 1_000, 'Time between two flushes of the consume queues.', CHANGEABLE),
  flushConsumeQueueLeastPages: integer(
    PAGES,
    'pages of 4 KiB',
    2,
    'Fewer new pages than this are left for the thorough flush.',
  ),
  flushConsumeQueueThoroughInterval: milliseconds(
    [0, A_DAY_MS],
    60_000,
    'Time after which a flush takes every consume queue.',
    CHANGEABLE,
  ),

  messageDelayLevel: text(
    delayLevels,
    DEFAULT_MESSAGE_DELAY_LEVEL,
    'How long the delay levels are, the first one first: numbers with the unit s, m, h or d.',
  ),

  enableLmq: flag(false, 'With enableMultiDispatch: a message may be in light queues (LMQ) besides its own.'),
  enableMultiDispatch: flag(
    false,
    'With enableLmq: the light queues that `INNER_MULTI_DISPATCH` names get the message.',
  ),
  maxLmqConsumeQueueNum: integer(
    [0, 1_000_000],
    'queues',
    20_000,
    'Light queues there may be; a message for one more is refused.',
    CHANGEABLE,
  ),

  maxMessageSize: integer([1, 64 * MiB], 'bytes', 4 * MiB, 'Largest body of a message.'),
  enabledAppendPropCRC: flag(false, 'Append a checksum over the whole record to its properties.'),
  forceVerifyPropCRC: flag(false, 'Recovery checks that checksum.'),
  checkCRCOnRecover: flag(true, 'Recovery checks the checksum of each body.'),

  messageIndexEnable: flag(true, 'Keep the index by key and by unique id.'),
  maxHashSlotNum: integer(
    [1, 100_000_000],
    'slots',
    5_000_000,
    'Hash slots of an index file. A directory keeps the number it was made with.',
  ),
  maxIndexNum: integer(
    [2, 400_000_000],
    'entries',
    20_000_000,
    'Entries of an index file. A directory keeps the number it was made with.',
  ),
  maxMsgsNumBatch: integer([1, 10_000], 'messages', 64, 'Most messages that a query by key answers.', CHANGEABLE),

  readUnCommitted: flag(false, 'SYNC_FLUSH: let consumers read what is not on disk yet, as RocketMQ before 5.3.0.'),

  maxTransferBytesOnMessageInMemory: integer(
    [1, 64 * MiB],
    'bytes',
    262_144,
    'Most bytes a pull answers from the end of the log.',
    CHANGEABLE,
  ),
  maxTransferCountOnMessageInMemory: integer(
    [1, 10_000],
    'messages',
    32,
    'Most messages a pull answers from the end of the log.',
    CHANGEABLE,
  ),
  maxTransferBytesOnMessageInDisk: integer(
    [1, 64 * MiB],
    'bytes',
    65_536,
    'Most bytes a pull answers from older files.',
    CHANGEABLE,
  ),
  maxTransferCountOnMessageInDisk: integer(
    [1, 10_000],
    'messages',
    8,
    'Most messages a pull answers from older files.',
    CHANGEABLE,
  ),
  accessMessageInMemoryMaxRatio: integer(
    PERCENT,
    'percent',
    40,
    'Share of the memory within which the end of the log counts as in memory.',
    CHANGEABLE,
  ),

  deleteWhen: text(
    hours,
    '04',
    'Hours of the day at which expired files are deleted, `;` between them; nothing is never.',
    CHANGEABLE,
  ),
  fileReservedTime: integer(
    [1, 1_000_000],
    'hours',
    72,
    'Age from which a commit-log file may be deleted.',
    CHANGEABLE,
  ),
  diskMaxUsedSpaceRatio: integer(
    PERCENT,
    'percent',
    75,
    'Disk use above which expired files are deleted at any hour.',
    CHANGEABLE,
  ),
  diskSpaceCleanForciblyRatio: integer(
    PERCENT,
    'percent',
    85,
    'Disk use above which files are deleted whatever their age, where allowed.',
    CHANGEABLE,
  ),
  diskSpaceWarningLevelRatio: integer(
    PERCENT,
    'percent',
    90,
    'Disk use above which the store refuses messages, unless there is room for two more files.',
    CHANGEABLE,
  ),
  cleanFileForciblyEnable: flag(false, 'Allow deleting files before fileReservedTime when the disk fills up.', {
    ...CHANGEABLE,
    rocketmqDefault: 'true',
  }),
  cleanResourceInterval: milliseconds(ROUNDS, 10_000, 'Time between two looks for files to delete.', CHANGEABLE),
  deleteFileBatchMax: integer([1, 1_000], 'files', 10, 'Most files deleted at one look.', CHANGEABLE),
  destroyMapedFileIntervalForcibly: milliseconds(
    [0, A_DAY_MS],
    120_000,
    'Time after which a deleted file is closed under its last reader.',
    CHANGEABLE,
  ),
  redeleteHangedFileInterval: milliseconds(
    [0, A_DAY_MS],
    120_000,
    'Time between two attempts to delete a file that is still read.',
    CHANGEABLE,
  ),

  ioLane: choice(
    ['pool', 'worker'],
    'pool',
    'Where blocking disk calls run: on libuv’s threads, or on two of the store’s own (for a process that keeps libuv’s busy).',
    OWN,
  ),
  appendBufferSize: integer([64 * KiB, 1024 * MiB], 'bytes', 16 * MiB, 'All append buffers together.', OWN),
  zeroAheadBytes: integer(
    [0, 1024 * MiB],
    'bytes',
    0,
    'Under SYNC_FLUSH: bytes ahead of the log kept written with zeros; faster flushes, twice the bytes written. 0 = off.',
    OWN,
  ),
  diskFreeBytesMin: integer(
    [0, Number.MAX_SAFE_INTEGER],
    'bytes',
    64 * MiB,
    'Free bytes that are always left on the disk.',
    { ...OWN, ...CHANGEABLE },
  ),
  damagedStorePolicy: choice(
    ['read-only', 'refuse'],
    'read-only',
    'What to do about a damaged record that was on disk before: open for reading only, or not at all.',
    OWN,
  ),
  consumeQueueOpenFilesMax: integer([1, 100_000], 'files', 512, 'Consume-queue files kept open.', OWN),
};
