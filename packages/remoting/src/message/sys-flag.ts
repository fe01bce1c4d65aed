/** Bits of a message's sysFlag (RocketMQ MessageSysFlag). */
export const MessageSysFlag = {
  COMPRESSED: 0x1,
  MULTI_TAGS: 0x2,
  TRANSACTION_PREPARED: 0x4,
  TRANSACTION_COMMIT: 0x8,
  TRANSACTION_ROLLBACK: 0xc,
  BORN_HOST_V6: 0x10,
  STORE_HOST_V6: 0x20,
  NEED_UNWRAP: 0x40,
  INNER_BATCH: 0x80,
} as const;

/** The two transaction bits of a sysFlag. */
export const TRANSACTION_MASK = 0xc;

export type CompressionType = 'none' | 'zlib' | 'lz4' | 'zstd';

const COMPRESSION_SHIFT = 8;
const COMPRESSION_MASK = 7;
const compressionNumbers = { lz4: 1, zstd: 2, zlib: 3 } as const;

/** The bits of a sysFlag that say how a body is compressed. */
export const compressionBits = (type: Exclude<CompressionType, 'none'>): number =>
  MessageSysFlag.COMPRESSED | (compressionNumbers[type] << COMPRESSION_SHIFT);

/** Bits 8–10. Producers before 4.9.4 set no type: 0 is zlib as well as 3. */
export function compressionType(sysFlag: number): CompressionType {
  if ((sysFlag & MessageSysFlag.COMPRESSED) === 0) return 'none';
  const type = (sysFlag >> COMPRESSION_SHIFT) & COMPRESSION_MASK;
  if (type === compressionNumbers.lz4) return 'lz4';
  return type === compressionNumbers.zstd ? 'zstd' : 'zlib';
}

/** Bits of a pull request's sysFlag (RocketMQ PullSysFlag). */
export const PullSysFlag = { COMMIT_OFFSET: 1, SUSPEND: 2, SUBSCRIPTION: 4, CLASS_FILTER: 8, LITE_PULL: 16 } as const;
