/** For Vernier's own packages and tools; promises nothing to anybody else. */

export type { TimerHandle } from './base/clock.ts';
export { Coalesced } from './base/coalesced.ts';
export { storeKeys } from './base/config-keys.ts';
export type { StoreContext } from './base/context.ts';
export { isOffsetName, offsetToFileName } from './base/file-name.ts';
export type { DiskSpace, FileStat, FileSystem, OpenMode, StoreFile } from './base/file-system.ts';
export { readInt32, readInt64, writeInt32, writeInt64 } from './base/int64.ts';
export {
  A_DAY_MS,
  allowedValues,
  type ConfigValue,
  choice,
  defaultsOf,
  flag,
  integer,
  type KeySpec,
  type KeyTable,
  milliseconds,
  parseValue,
  shownValue,
  specOf,
  type TextForm,
  text,
  valueProblem,
} from './base/key-spec.ts';
export { forEachLimited } from './base/limited.ts';
export {
  limits,
  PROPERTIES_BYTES_MAX,
  QUEUE_COUNT_MAX,
  RECORD_BYTES_CEILING,
  STORE_TIME_HELD_MS,
} from './base/limits.ts';
export { LineRate } from './base/line-rate.ts';
export { notAFileError } from './base/not-a-file.ts';
export { ServiceLoop } from './base/service-loop.ts';
export { addresses, host, hostFault, hostOrNothing, path, splitAddresses } from './base/text-forms.ts';
export { changedConfig, resolveConfig } from './base/validate-config.ts';
export { BATCH_CQ, QUEUE_TYPE, readBatchTopics } from './batch-queue/batch-topics.ts';
export { type AtomicWriteOptions, backupPath, readAtomic, writeAtomic } from './io/atomic-file.ts';
export { makeDirectory, makeDirectorySync } from './io/make-directory.ts';
export { FILE_MODE } from './io/modes.ts';
export { loadNative } from './io/native.ts';
export { NodeFileSystem } from './io/node-file-system.ts';
export { PlacedFileSystem } from './io/placed-file-system.ts';
export { openRegularSync } from './io/regular-file.ts';
export { checkStoreDirectory, storePaths } from './io/store-directory.ts';
export { type LockState, lockStateOf, StoreLock } from './io/store-lock.ts';
export {
  decodeIndexHeader,
  decodeIndexUnit,
  HASH_SLOT_SIZE,
  INDEX_HEADER_SIZE,
  INDEX_SIZE,
  type IndexHeader,
  type IndexUnit,
  indexFileSize,
} from './key-index/index-layout.ts';
export { IndexService, indexKeyHash } from './key-index/index-service.ts';
export { type IndexShape, indexShapeOf } from './key-index/index-shape.ts';
export {
  BATCH_UNIT_SIZE,
  batchUnitBase,
  batchUnitCount,
  batchUnits,
  batchUnitTime,
} from './queue/batch-unit.ts';
export { ConsumeQueueStore } from './queue/consume-queue-store.ts';
export { decodeDeletions, encodeDeletions } from './queue/deletions.ts';
export { EXT_UNIT_BYTES_MIN, extOffsetOf, extTagsCode, isExtAddress } from './queue/ext-unit.ts';
export {
  CQ_STORE_UNIT_SIZE,
  isFillerUnit,
  isGoodUnit,
  simpleUnits,
  type UnitFormat,
  unitPhyOffset,
  unitSize,
  unitTagsCode,
  writeUnit,
} from './queue/unit.ts';
export { DelayLevels, SCHEDULE_TOPIC } from './record/delay-levels.ts';
export { type DispatchRequest, innerCountOf } from './record/dispatch-request.ts';
export { innerCountOfText } from './record/inner-batch.ts';
export {
  type BadRecord,
  BLANK_MAGIC_CODE,
  checkMessageAndReturnSize,
  crc32Masked,
  decodeMessage,
  END_FILE_MIN_BLANK_LENGTH,
  MESSAGE_MAGIC_CODE,
  MESSAGE_MAGIC_CODE_V2,
  PROPERTY_CRC_BYTES,
  propertiesStringOf,
  propertyCrcOf,
  RECORD_BYTES_MIN,
  type RecordCheck,
  type RecordCheckOptions,
  type RecordLayout,
} from './record/message-decoder.ts';
export { type EncodedPart, MessageEncoder } from './record/message-encoder.ts';
export {
  allowsMultiDispatch,
  isLmq,
  LMQ_PREFIX,
  type LmqPlace,
  lmqPlacesOf,
  PROPERTY_INNER_MULTI_DISPATCH,
  PROPERTY_INNER_MULTI_QUEUE_OFFSET,
  placesFrom,
  splitNames,
} from './record/multi-dispatch.ts';
export {
  encodeProperties,
  PROPERTY_CRC32,
  PROPERTY_LITE_TOPIC,
  PROPERTY_PRIORITY,
  PropertyCursor,
  parseProperties,
  propertyOf,
  removeProperties,
} from './record/properties.ts';
export { PropertyBytes } from './record/property-bytes.ts';
export { keyHashesOf, PropertyBit, PropertyScan } from './record/property-scan.ts';
export { dispatchRequestOf } from './record/record-dispatch.ts';
export {
  BORNHOST_V6_FLAG,
  COMPRESSED_FLAG,
  COMPRESSION_TYPE_MASK,
  hasQueueEntry,
  INNER_BATCH_FLAG,
  NEED_UNWRAP_FLAG,
  STOREHOSTADDRESS_V6_FLAG,
  TRANSACTION_ROLLBACK_TYPE,
  transactionType,
} from './record/sys-flag.ts';
export { javaStringHashCode, tagsStringToTagsCode } from './record/tags-code.ts';
export { isTombstone, TOMBSTONE_PREPARED_OFFSET, TOMBSTONE_PROPERTY } from './record/tombstone.ts';
export { AbortFile } from './recovery/abort-file.ts';
export { endOf, type LogFile, logFileOf, withFile } from './recovery/log-file.ts';
export { type ScanOptions, scanLog } from './recovery/recovery-scan.ts';
export { searchRecords } from './recovery/recovery-search.ts';
export { chooseStart, type RecoveryStart } from './recovery/recovery-start.ts';
export {
  CHECKPOINT_BYTES,
  type CheckpointContent,
  decodeCheckpoint,
  StoreCheckpoint,
  targetsAt,
} from './recovery/store-checkpoint.ts';
export {
  decodeTimerCheck,
  encodeTimerCheck,
  TIMER_CHECK_BYTES,
  type TimerCheckContent,
  type TimerCheckFields,
} from './timer/timer-checkpoint.ts';
export { type TimerEntry, TimerFiles, type TimerFilesOptions } from './timer/timer-files.ts';
export {
  isBlank,
  isFileFull,
  readSlot,
  readUnit,
  SLOT_BYTES,
  SLOT_CUT,
  TimerMagic,
  type TimerSlot,
  type TimerUnit,
  UNIT_BYTES,
  WHEEL_SLOTS,
  WHEEL_SPARE_SLOTS,
} from './timer/timer-layout.ts';
