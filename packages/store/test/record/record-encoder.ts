import { crc32 } from 'node:zlib';

/** An encoder of records for tests, independent of the store's own, with every field free to be wrong. */
export interface TestRecord {
  topic: string;
  body: Buffer;
  properties: string;
  queueId: number;
  queueOffset: number;
  physicalOffset: number;
  flag: number;
  sysFlag: number;
  bornTimestamp: number;
  bornHost: Buffer;
  bornPort: number;
  storeTimestamp: number;
  storeHost: Buffer;
  storePort: number;
  reconsumeTimes: number;
  preparedTransactionOffset: number;
  version: 1 | 2;
  /** Append the `__CRC32#` property. */
  propertyCrc: boolean;
}

export const testRecord: TestRecord = {
  topic: 'TopicTest',
  body: Buffer.from('hello'),
  properties: 'TAGS\u0001A\u0002KEYS\u0001k1 k2\u0002UNIQ_KEY\u00010A0B\u0002',
  queueId: 0,
  queueOffset: 0,
  physicalOffset: 0,
  flag: 0,
  sysFlag: 0,
  bornTimestamp: 1_700_000_000_000,
  bornHost: Buffer.from([10, 0, 0, 1]),
  bornPort: 4711,
  storeTimestamp: 1_700_000_000_001,
  storeHost: Buffer.from([10, 0, 0, 2]),
  storePort: 10911,
  reconsumeTimes: 0,
  preparedTransactionOffset: 0,
  version: 1,
  propertyCrc: false,
};

export function encodeRecord(fields: Partial<TestRecord> = {}): Buffer {
  const record = { ...testRecord, ...fields };
  const sysFlag =
    record.sysFlag | (record.bornHost.length === 16 ? 0x10 : 0) | (record.storeHost.length === 16 ? 0x20 : 0);
  const topic = Buffer.from(record.topic);
  let properties = record.properties;
  if (record.propertyCrc) {
    if (properties !== '' && !properties.endsWith('\u0002')) properties += '\u0002';
    properties += '__CRC32#\u00010000000000\u0002';
  }
  const propertyBytes = Buffer.from(properties);
  const parts: Buffer[] = [
    i32(0),
    i32(record.version === 2 ? 0xdaa320ab | 0 : 0xdaa320a7 | 0),
    i32(crc32(record.body) & 0x7fffffff),
    i32(record.queueId),
    i32(record.flag),
    i64(record.queueOffset),
    i64(record.physicalOffset),
    i32(sysFlag),
    i64(record.bornTimestamp),
    record.bornHost,
    i32(record.bornPort),
    i64(record.storeTimestamp),
    record.storeHost,
    i32(record.storePort),
    i32(record.reconsumeTimes),
    i64(record.preparedTransactionOffset),
    i32(record.body.length),
    record.body,
    record.version === 2 ? i16(topic.length) : Buffer.from([topic.length]),
    topic,
    i16(propertyBytes.length),
    propertyBytes,
  ];
  const bytes = Buffer.concat(parts);
  bytes.writeInt32BE(bytes.length, 0);
  if (record.propertyCrc) {
    const crc = crc32(bytes.subarray(0, bytes.length - 20)) & 0x7fffffff;
    const digits = String(crc).padStart(10, '0').split('').reverse().join('');
    bytes.write(digits, bytes.length - 11, 'latin1');
  }
  return bytes;
}

export function encodeBlank(bytesLeft: number): Buffer {
  return Buffer.concat([i32(bytesLeft), i32(0xcbd43194 | 0)]);
}

function i16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function i32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function i64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
}
