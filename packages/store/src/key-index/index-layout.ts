import { readInt32, readInt64, writeInt32, writeInt64 } from '../base/int64.ts';

/**
 * An index file (RocketMQ IndexFile, IndexHeader), big-endian:
 *
 *   header, 40 bytes    i64 beginTimestamp, i64 endTimestamp, i64 beginPhyOffset, i64 endPhyOffset,
 *                       i32 hash slots in use, i32 indexCount (number of the next unit; starts at 1)
 *   slots               maxHashSlotNum × i32: number of the slot's newest unit, 0 = none
 *   units               maxIndexNum × 20 bytes, unit 0 never used:
 *                       i32 keyHash, i64 offset in the log, i32 timeDiff in seconds, i32 previous unit of the slot
 */
export const INDEX_HEADER_SIZE = 40;
export const HASH_SLOT_SIZE = 4;
export const INDEX_SIZE = 20;

export interface IndexHeader {
  /** storeTimestamp of the first and of the last record indexed. */
  beginTimestamp: number;
  endTimestamp: number;
  beginPhyOffset: number;
  endPhyOffset: number;
  hashSlotCount: number;
  indexCount: number;
}

export function indexFileSize(hashSlotNum: number, indexNum: number): number {
  return INDEX_HEADER_SIZE + hashSlotNum * HASH_SLOT_SIZE + indexNum * INDEX_SIZE;
}

export function encodeIndexHeader(header: IndexHeader): Buffer {
  const bytes = Buffer.alloc(INDEX_HEADER_SIZE);
  writeInt64(bytes, header.beginTimestamp, 0);
  writeInt64(bytes, header.endTimestamp, 8);
  writeInt64(bytes, header.beginPhyOffset, 16);
  writeInt64(bytes, header.endPhyOffset, 24);
  writeInt32(bytes, header.hashSlotCount, 32);
  writeInt32(bytes, header.indexCount, 36);
  return bytes;
}

/** A header never written counts as empty: indexCount 1. */
export function decodeIndexHeader(bytes: Uint8Array): IndexHeader {
  return {
    beginTimestamp: readInt64(bytes, 0),
    endTimestamp: readInt64(bytes, 8),
    beginPhyOffset: readInt64(bytes, 16),
    endPhyOffset: readInt64(bytes, 24),
    hashSlotCount: readInt32(bytes, 32),
    indexCount: Math.max(1, readInt32(bytes, 36)),
  };
}

export interface IndexUnit {
  keyHash: number;
  phyOffset: number;
  /** Seconds after the file's beginTimestamp, rounded down. */
  timeDiff: number;
  previous: number;
}

export function decodeIndexUnit(bytes: Uint8Array, at: number): IndexUnit {
  return {
    keyHash: readInt32(bytes, at),
    phyOffset: readInt64(bytes, at + 4),
    timeDiff: readInt32(bytes, at + 12),
    previous: readInt32(bytes, at + 16),
  };
}

/** The name of an index file made at this moment: local time, yyyyMMddHHmmssSSS (RocketMQ timeMillisToHumanString). */
export function indexFileName(nowMs: number): string {
  const time = new Date(nowMs);
  const two = (value: number): string => String(value).padStart(2, '0');
  return (
    String(time.getFullYear()).padStart(4, '0') +
    two(time.getMonth() + 1) +
    two(time.getDate()) +
    two(time.getHours()) +
    two(time.getMinutes()) +
    two(time.getSeconds()) +
    String(time.getMilliseconds()).padStart(3, '0')
  );
}
