/**
 * Bits of a record's sysFlag (RocketMQ MessageSysFlag).
 *
 *   bit 0      body compressed
 *   bit 1      several tags (legacy; the tags hash is the same either way)
 *   bits 2-3   transaction: 0 none, 4 prepared, 8 commit, 12 rollback
 *   bit 4, 5   bornHost, storeHost hold IPv6 addresses
 *   bit 6, 7   needs unwrapping, is an inner batch
 *   bits 8-10  compression when bit 0 is set: 0 or 3 zlib, 1 LZ4 frame, 2 ZSTD
 */
export const COMPRESSED_FLAG = 0x1;
export const MULTI_TAGS_FLAG = 0x2;
export const TRANSACTION_NOT_TYPE = 0x0;
export const TRANSACTION_PREPARED_TYPE = 0x4;
export const TRANSACTION_COMMIT_TYPE = 0x8;
export const TRANSACTION_ROLLBACK_TYPE = 0xc;
export const BORNHOST_V6_FLAG = 0x10;
export const STOREHOSTADDRESS_V6_FLAG = 0x20;
export const NEED_UNWRAP_FLAG = 0x40;
export const INNER_BATCH_FLAG = 0x80;
export const COMPRESSION_TYPE_MASK = 0x700;

/** The transaction bits of a sysFlag: one of the TRANSACTION_… values. */
export function transactionType(sysFlag: number): number {
  return sysFlag & TRANSACTION_ROLLBACK_TYPE;
}

/** The flag with its transaction bits replaced (RocketMQ MessageSysFlag.resetTransactionValue). */
export function resetTransactionType(sysFlag: number, type: number): number {
  return (sysFlag & ~TRANSACTION_ROLLBACK_TYPE) | type;
}

/** Prepared and rolled back records take no queue offset and get no consume-queue entry. */
export function hasQueueEntry(sysFlag: number): boolean {
  const type = sysFlag & TRANSACTION_ROLLBACK_TYPE;
  return type === TRANSACTION_NOT_TYPE || type === TRANSACTION_COMMIT_TYPE;
}
