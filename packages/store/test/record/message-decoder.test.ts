import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DelayLevels } from '../../src/record/delay-levels.ts';
import {
  BLANK_MAGIC_CODE,
  checkMessageAndReturnSize,
  decodeMessage,
  type RecordLayout,
} from '../../src/record/message-decoder.ts';
import { encodeProperties } from '../../src/record/properties.ts';
import { keyHashesOf } from '../../src/record/property-scan.ts';
import { dispatchRequestOf, dispatchRequestOfRecord } from '../../src/record/record-dispatch.ts';
import { encodeBlank, encodeRecord, type TestRecord } from './record-encoder.ts';

const all = { checkCrc: true, verifyPropCrc: true };

const text = fc
  .string({ unit: 'grapheme', maxLength: 40 })
  .filter((value) => !value.includes('\u0001') && !value.includes('\u0002'));
const address = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
);
const int32 = fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff });
const int64 = fc.maxSafeInteger();
const records: fc.Arbitrary<Partial<TestRecord>> = fc.record({
  topic: fc.oneof(fc.constantFrom('T', 'TopicTest', '主题'), fc.string({ minLength: 1, maxLength: 60 })),
  body: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  properties: fc
    .uniqueArray(fc.tuple(text, text), { selector: ([name]) => name, maxLength: 6 })
    .map((entries) => encodeProperties(entries)),
  queueId: int32,
  queueOffset: int64,
  physicalOffset: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
  flag: int32,
  sysFlag: fc.integer({ min: 0, max: 0x7ff }).map((flag) => flag & ~0x30),
  bornTimestamp: int64,
  bornHost: address.map((bytes) => Buffer.from(bytes)),
  bornPort: int32,
  storeTimestamp: int64,
  storeHost: address.map((bytes) => Buffer.from(bytes)),
  storePort: int32,
  reconsumeTimes: int32,
  preparedTransactionOffset: int64,
  version: fc.constantFrom(1 as const, 2 as const),
  propertyCrc: fc.boolean(),
});

function layout(bytes: Buffer, at = 0): RecordLayout {
  const check = checkMessageAndReturnSize(bytes, at, all);
  assert.equal(check.kind, 'record', JSON.stringify(check));
  return check as RecordLayout;
}

test('records of every shape: what was encoded is what is decoded', () => {
  fc.assert(
    fc.property(records, fc.nat({ max: 9 }), (fields, at) => {
      const bytes = encodeRecord(fields);
      const buffer = Buffer.concat([Buffer.alloc(at, 7), bytes, Buffer.alloc(3, 7)]);
      const record = layout(buffer, at);
      assert.equal(record.size, bytes.length);
      const message = decodeMessage(buffer, at)!;
      for (const key of [
        'topic',
        'queueId',
        'queueOffset',
        'flag',
        'bornTimestamp',
        'storeTimestamp',
        'reconsumeTimes',
        'preparedTransactionOffset',
      ] as const) {
        assert.equal(message[key], fields[key], key);
      }
      assert.equal(message.commitLogOffset, fields.physicalOffset);
      assert.equal(message.storeSize, bytes.length);
      assert.ok(message.body.equals(fields.body!));
      assert.deepEqual(Buffer.from(message.bornHost.address), fields.bornHost);
      assert.deepEqual(Buffer.from(message.storeHost.address), fields.storeHost);
      assert.equal(message.bornHost.port, fields.bornPort);
      assert.equal(message.storeHost.port, fields.storePort);
      const properties = new Map(message.properties);
      assert.equal(properties.delete('__CRC32#'), fields.propertyCrc);
      assert.equal(encodeProperties(properties), fields.properties);
    }),
    { numRuns: 300 },
  );
});

test('a decoded message keeps its bytes when the buffer is overwritten', () => {
  const buffer = encodeRecord({ body: Buffer.from('hello') });
  const message = decodeMessage(buffer)!;
  buffer.fill(0xff);
  assert.equal(message.body.toString(), 'hello');
  assert.deepEqual([...message.bornHost.address], [10, 0, 0, 1]);
});

test('a record cut anywhere is short, never good and never bad, and says how much is needed', () => {
  fc.assert(
    fc.property(records, (fields) => {
      const bytes = encodeRecord(fields);
      for (let length = 0; length < bytes.length; length++) {
        const check = checkMessageAndReturnSize(bytes.subarray(0, length), 0, all);
        assert.equal(check.kind, 'short', `${length} of ${bytes.length} bytes`);
        assert.ok(check.kind === 'short' && check.need > length && check.need <= Math.max(bytes.length, 91));
      }
    }),
    { numRuns: 30 },
  );
});

test('any flipped bit is found by the property CRC', () => {
  const bytes = encodeRecord({ propertyCrc: true });
  // The digits themselves and their frame: a changed frame is no CRC property any more, and is only accepted as that.
  const covered = bytes.length - 11;
  for (let bit = 0; bit < covered * 8; bit++) {
    if (bit >= (bytes.length - 20) * 8) break;
    const flipped = Buffer.from(bytes);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    assert.notEqual(checkMessageAndReturnSize(flipped, 0, all).kind, 'record', `bit ${bit}`);
  }
  for (let digit = bytes.length - 11; digit < bytes.length - 1; digit++) {
    const changed = Buffer.from(bytes);
    changed[digit] = changed[digit] === 0x39 ? 0x30 : changed[digit]! + 1;
    const check = checkMessageAndReturnSize(changed, 0, all);
    assert.equal(check.kind === 'bad' && check.reason, 'property-crc');
    assert.equal(checkMessageAndReturnSize(changed, 0, { checkCrc: true }).kind, 'record');
  }
});

test('random bytes never throw and are never a record', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, withMagic) => {
      const buffer = Buffer.from(bytes);
      if (withMagic && buffer.length >= 8) buffer.writeInt32BE(0xdaa320a7 | 0, 4);
      const check = checkMessageAndReturnSize(buffer, 0, { ...all, expectedPhysicalOffset: 4096, maxSize: 1 << 20 });
      assert.notEqual(check.kind, 'record');
    }),
    { numRuns: 500 },
  );
});

test('a record with random bytes written over its head never throws and needs no memory beyond its file', () => {
  const bytes = encodeRecord({});
  fc.assert(
    fc.property(fc.nat({ max: bytes.length - 1 }), fc.uint8Array({ minLength: 1, maxLength: 12 }), (at, garbage) => {
      const broken = Buffer.from(bytes);
      broken.set(garbage.subarray(0, broken.length - at), at);
      const check = checkMessageAndReturnSize(broken, 0, { ...all, expectedPhysicalOffset: 0, maxSize: 10_000 });
      if (check.kind === 'short') assert.ok(check.need <= 10_000);
    }),
    { numRuns: 500 },
  );
});

test('each broken rule is named with its numbers', () => {
  const good = encodeRecord({ physicalOffset: 500 });
  const broken = (change: (bytes: Buffer) => void): Buffer => {
    const bytes = Buffer.from(good);
    change(bytes);
    return bytes;
  };
  const topicAt = 88 + 5;
  const cases: [string, Buffer, object, [string, number, number]][] = [
    ['magic', broken((b) => b.writeInt32BE(0x1234, 4)), {}, ['magic', 0xdaa320a7 | 0, 0x1234]],
    ['too small', broken((b) => b.writeInt32BE(90, 0)), {}, ['total-size', 91, 90]],
    ['negative', broken((b) => b.writeInt32BE(-5, 0)), {}, ['total-size', 91, -5]],
    ['file end', good, { maxSize: good.length - 1 }, ['crosses-end-of-file', good.length - 1, good.length]],
    ['stale', good, { expectedPhysicalOffset: 600 }, ['physical-offset', 600, 500]],
    ['body length', broken((b) => b.writeInt32BE(-1, 84)), {}, ['body-length', good.length - 91, -1]],
    ['topic length', broken((b) => b.writeUInt8(255, topicAt)), {}, ['topic-length', good.length - topicAt - 3, 255]],
    [
      'sum',
      broken((b) => b.writeUInt8(3, topicAt)),
      {},
      // Read two bytes earlier, the properties' length is another one.
      ['lengths-do-not-add-up', good.length, topicAt + 1 + 3 + 2 + good.readInt16BE(topicAt + 1 + 3)],
    ],
    ['body', broken((b) => b.writeInt32BE(7, 8)), { checkCrc: true }, ['body-crc', 7, good.readInt32BE(8)]],
    ['blank', encodeBlank(100), { maxSize: 200 }, ['blank-size', 200, 100]],
  ];
  for (const [name, bytes, options, [reason, expected, found]] of cases) {
    const check = checkMessageAndReturnSize(bytes, 0, options);
    assert.deepEqual(check, { kind: 'bad', reason, expected, found }, name);
  }
});

test('zeros are unwritten space, a BLANK is the end of the file, and neither is the other', () => {
  assert.deepEqual(checkMessageAndReturnSize(Buffer.alloc(8), 0), { kind: 'zero' });
  assert.deepEqual(checkMessageAndReturnSize(encodeBlank(300), 0, { maxSize: 300 }), { kind: 'blank', size: 300 });
  assert.deepEqual(checkMessageAndReturnSize(encodeBlank(8), 0, { maxSize: 8 }), { kind: 'blank', size: 8 });
  assert.deepEqual(checkMessageAndReturnSize(Buffer.alloc(5), 0, { maxSize: 5 }), { kind: 'zero' });
  assert.equal(checkMessageAndReturnSize(Buffer.from([0, 0, 1]), 0, { maxSize: 3 }).kind, 'bad');
  const sizeWithoutMagic = Buffer.alloc(8);
  sizeWithoutMagic.writeInt32BE(100, 0);
  assert.equal(checkMessageAndReturnSize(sizeWithoutMagic, 0).kind, 'bad');
  assert.equal(BLANK_MAGIC_CODE, -875286124);
});

test('an empty body and a body whose CRC is 0 are good; a changed CRC field of an empty body is not', () => {
  const empty = encodeRecord({ body: Buffer.alloc(0) });
  assert.equal(empty.readInt32BE(8), 0);
  assert.equal(layout(empty).bodyLength, 0);
  const zeroCrc = encodeRecord({ body: Buffer.from([0x9d, 0x0a, 0xd9, 0x6d]) });
  assert.equal(zeroCrc.readInt32BE(8), 0);
  layout(zeroCrc);
  empty.writeInt32BE(1, 8);
  assert.equal(checkMessageAndReturnSize(empty, 0, all).kind, 'bad');
});

test('a property that only looks like a CRC is none', () => {
  for (const properties of ['__CRC32#\u0001123456789x\u0002', '__CRC32#\u000112345\u0002', 'x\u0001y\u0002']) {
    layout(encodeRecord({ properties }));
  }
  // A topic that ends like the name does not reach into the check of a record without properties.
  layout(encodeRecord({ topic: '__CRC32#\u00010123456789\u0002', properties: '' }));
});

test('the dispatch request of a record', () => {
  const bytes = encodeRecord({
    topic: 'Orders',
    queueId: 3,
    queueOffset: 42,
    physicalOffset: 2 ** 40,
    sysFlag: 0x8,
    preparedTransactionOffset: 77,
    storeTimestamp: 1_700_000_000_123,
    properties: 'MYTAGS\u0001no\u0002TAGS\u0001TagA\u0002KEYS\u0001k1 k2\u0002UNIQ_KEY\u0001ABCD\u0002',
  });
  assert.deepEqual(dispatchRequestOfRecord(bytes), {
    topic: 'Orders',
    queueId: 3,
    commitLogOffset: 2 ** 40,
    msgSize: bytes.length,
    // Java: "TagA".hashCode()
    tagsCode: 2598919,
    storeTimestamp: 1_700_000_000_123,
    consumeQueueOffset: 42,
    keyHashes: keyHashesOf('ABCD', 'k1 k2', 'TagA'),
    sysFlag: 0x8,
    preparedTransactionOffset: 77,
    lmqs: undefined,
  });
  const bare = dispatchRequestOfRecord(encodeRecord({ properties: '' }))!;
  assert.deepEqual([bare.tagsCode, bare.keyHashes], [0, { keys: [], tagHash: 0, tagPower: 0 }]);
  assert.equal(dispatchRequestOfRecord(bytes.subarray(0, 50)), undefined);
});

test('the tags code of a delayed record is its delivery time, in the schedule topic alone', () => {
  const properties = 'DELAY\u00013\u0002TAGS\u0001A\u0002';
  const code = (topic: string, text: string, levels?: DelayLevels): number => {
    const bytes = encodeRecord({ topic, properties: text, storeTimestamp: 1_000_000 });
    return dispatchRequestOf(bytes, layout(bytes), levels).tagsCode;
  };
  assert.equal(code('SCHEDULE_TOPIC_XXXX', properties), 1_010_000);
  assert.equal(code('TopicTest', properties), 65);
  assert.equal(code('SCHEDULE_TOPIC_XXXX', 'DELAY\u000199\u0002'), 1_000_000 + 7_200_000);
  assert.equal(code('SCHEDULE_TOPIC_XXXX', 'DELAY\u00010\u0002TAGS\u0001A\u0002'), 65);
  assert.equal(code('SCHEDULE_TOPIC_XXXX', 'DELAY\u0001x\u0002TAGS\u0001A\u0002'), 65);
  assert.equal(code('SCHEDULE_TOPIC_XXXX', properties, new DelayLevels('1s 2s 7d')), 1_000_000 + 7 * 86_400_000);
});

test('a delay table that is no list of times is refused with the entry', () => {
  assert.throws(() => new DelayLevels('1s 2x'), /'2x'/);
  assert.throws(() => new DelayLevels(''), RangeError);
  assert.equal(new DelayLevels().maxLevel, 18);
});

test('bytes of a record that never reached the disk are found, whatever they cover; a whole record never passes for torn', () => {
  fc.assert(
    fc.property(records, fc.nat({ max: 511 }), fc.boolean(), (fields, position, propertyCrc) => {
      const bytes = encodeRecord({ ...fields, propertyCrc });
      const options = { checkCrc: true, checkTorn: true };
      assert.equal(checkMessageAndReturnSize(bytes, 0, options).kind, 'record');
      for (let sector = -position; sector < bytes.length; sector += 512) {
        const end = Math.min(bytes.length, sector + 512);
        // A whole sector, or the end of one. Of the head alone only what is longer than itself must be found.
        for (const lost of [512, 300, 128, ...(end > layout(bytes).topicAt ? [1, 2, 17, 60] : [])]) {
          const torn = Buffer.from(bytes);
          torn.fill(0, Math.max(0, sector, sector + 512 - lost), end);
          if (torn.equals(bytes)) continue;
          const check = checkMessageAndReturnSize(torn, 0, options);
          assert.ok(check.kind !== 'record' && check.kind !== 'blank', `${lost} bytes up to ${end} of ${bytes.length}`);
        }
      }
    }),
    { numRuns: 500 },
  );
});

test('zeros in properties: torn without __CRC32#, good with a right one, bad with a wrong one', () => {
  const properties = 'KEYS\u0001a\0b\u0002';
  const check = (bytes: Buffer) => checkMessageAndReturnSize(bytes, 0, { checkCrc: true, checkTorn: true });
  const bare = check(encodeRecord({ properties, propertyCrc: false }));
  assert.equal(bare.kind === 'bad' && bare.reason, 'torn-sector');
  const covered = encodeRecord({ properties, propertyCrc: true });
  assert.equal(check(covered).kind, 'record');
  covered[covered.indexOf('KEYS')] = 0;
  const changed = check(covered);
  assert.equal(changed.kind === 'bad' && changed.reason, 'property-crc');
});
