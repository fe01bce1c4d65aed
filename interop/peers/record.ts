/**
 * Reads one stored record, written from the format's description alone (RocketMQ MessageDecoder) and apart from the
 * store's own codec, so that a fault the codec makes both ways is seen here.
 *
 *   0 totalSize i32 · 4 magic i32 · 8 bodyCRC i32 · 12 queueId i32 · 16 flag i32 · 20 queueOffset i64 · 28 offset i64
 *   36 sysFlag i32 · 40 bornTimestamp i64 · 48 bornHost 8|20 · storeTimestamp i64 · storeHost 8|20 · reconsumeTimes i32
 *   preparedTransactionOffset i64 · body i32+n · topic u8+n (V2: i16+n) · properties i16+n
 */
import { createHash } from 'node:crypto';

const MAGIC_V1 = 0xdaa320a7;
const MAGIC_V2 = 0xdaa320ab;
const BORN_HOST_V6 = 0x10;
const STORE_HOST_V6 = 0x20;

/** A stored message in the form both sides of the store exchange dump. */
export interface DumpedMessage {
  /** Java has no message for its bytes; nothing but its place in the log is known of it. */
  undecodable?: boolean;
  topic: string;
  queueId: number;
  queueOffset: number;
  commitLogOffset: number;
  storeSize: number;
  flag: number;
  sysFlag: number;
  bornTimestamp: number;
  bornHost: string;
  storeTimestamp: number;
  storeHost: string;
  reconsumeTimes: number;
  preparedTransactionOffset: number;
  bodyCRC: number;
  bodyLength: number;
  bodyDigest: string;
  properties: Record<string, string>;
}

export function readRecord(record: Buffer): DumpedMessage {
  const magic = record.readUInt32BE(4);
  if (magic !== MAGIC_V1 && magic !== MAGIC_V2) throw new Error(`record with magic 0x${magic.toString(16)}`);
  let at = 40;
  /** Where the next field of `size` bytes begins. */
  const field = (size: number): number => {
    at += size;
    return at - size;
  };
  const int = (): number => record.readInt32BE(field(4));
  const long = (): number => Number(record.readBigInt64BE(field(8)));
  const bytes = (size: number): Buffer => {
    const begin = field(size);
    return record.subarray(begin, begin + size);
  };
  const sysFlag = record.readInt32BE(36);
  const host = (v6: boolean): string => `${bytes(v6 ? 16 : 4).toString('hex')}:${int()}`;
  const bornTimestamp = long();
  const bornHost = host((sysFlag & BORN_HOST_V6) !== 0);
  const storeTimestamp = long();
  const storeHost = host((sysFlag & STORE_HOST_V6) !== 0);
  const reconsumeTimes = int();
  const preparedTransactionOffset = long();
  const body = bytes(int());
  const topicLength = magic === MAGIC_V2 ? record.readInt16BE(field(2)) : record.readUInt8(field(1));
  const topic = bytes(topicLength).toString('utf8');
  const propertiesLength = record.readInt16BE(field(2));
  const properties = bytes(propertiesLength).toString('utf8');
  const storeSize = record.readInt32BE(0);
  if (at !== storeSize || at !== record.length) {
    throw new Error(`record of ${record.length} bytes says ${storeSize} and its fields end at ${at}`);
  }
  return {
    topic,
    queueId: record.readInt32BE(12),
    queueOffset: Number(record.readBigInt64BE(20)),
    commitLogOffset: Number(record.readBigInt64BE(28)),
    storeSize,
    flag: record.readInt32BE(16),
    sysFlag,
    bornTimestamp,
    bornHost,
    storeTimestamp,
    storeHost,
    reconsumeTimes,
    preparedTransactionOffset,
    bodyCRC: record.readInt32BE(8),
    bodyLength: body.length,
    bodyDigest: createHash('sha256').update(body).digest('hex'),
    properties: Object.fromEntries(
      properties
        .split('\u0002')
        .filter((pair) => pair.includes('\u0001'))
        .map((pair) => [pair.slice(0, pair.indexOf('\u0001')), pair.slice(pair.indexOf('\u0001') + 1)]),
    ),
  };
}
