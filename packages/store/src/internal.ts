/** For Vernier's own packages and tools; promises nothing to anybody else. */
export { AbortFile } from './abort-file.ts';
export { DelayLevels, SCHEDULE_TOPIC } from './commit-log/delay-levels.ts';
export { endOf, type LogFile, logFileOf, withFile } from './commit-log/log-file.ts';
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
} from './commit-log/message-decoder.ts';
export { type EncodedPart, MessageEncoder } from './commit-log/message-encoder.ts';
export { encodeProperties, PROPERTY_CRC32, parseProperties, propertyOf } from './commit-log/properties.ts';
export { dispatchRequestOf } from './commit-log/record-dispatch.ts';
export { type ScanOptions, scanLog } from './commit-log/recovery-scan.ts';
export { searchRecords } from './commit-log/recovery-search.ts';
export { chooseStart, type RecoveryStart } from './commit-log/recovery-start.ts';
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
} from './commit-log/sys-flag.ts';
export type { StoreContext } from './context.ts';
export { readInt32, readInt64, writeInt32, writeInt64 } from './int64.ts';
export { type AtomicWriteOptions, backupPath, readAtomic, writeAtomic } from './io/atomic-file.ts';
export type { DiskSpace, FileSystem, StoreFile } from './io/file-system.ts';
export { makeDirectory, makeDirectorySync } from './io/make-directory.ts';
export { loadNative } from './io/native.ts';
export { NodeFileSystem } from './io/node-file-system.ts';
export { type LockState, lockStateOf, StoreLock } from './io/store-lock.ts';
export { ConsumeQueueStore } from './queue/consume-queue-store.ts';
export type { DispatchRequest } from './queue/dispatch-request.ts';
export {
  decodeIndexHeader,
  decodeIndexUnit,
  HASH_SLOT_SIZE,
  INDEX_HEADER_SIZE,
  INDEX_SIZE,
  type IndexHeader,
  type IndexUnit,
  indexFileSize,
} from './queue/index-layout.ts';
export { IndexService, indexKeyHash } from './queue/index-service.ts';
export { javaStringHashCode, tagsStringToTagsCode } from './queue/tags-code.ts';
export {
  CQ_STORE_UNIT_SIZE,
  isFillerUnit,
  isGoodUnit,
  unitPhyOffset,
  unitSize,
  unitTagsCode,
  writeUnit,
} from './queue/unit.ts';
export { isTombstone, TOMBSTONE_PROPERTY } from './read/tombstone.ts';
export { CHECKPOINT_BYTES, type CheckpointContent, decodeCheckpoint, StoreCheckpoint } from './store-checkpoint.ts';
export { checkStoreDirectory, storePaths } from './store-directory.ts';
export { resolveConfig } from './validate-config.ts';
