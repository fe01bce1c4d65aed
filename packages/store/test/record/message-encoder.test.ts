import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import type { MessageExtBrokerInner } from '../../src/base/types.ts';
import { checkMessageAndReturnSize, decodeMessage } from '../../src/record/message-decoder.ts';
import { MessageEncoder } from '../../src/record/message-encoder.ts';
import { parseProperties } from '../../src/record/properties.ts';
import { message } from '../log/harness.ts';

const plain = new MessageEncoder({ enabledAppendPropCRC: false });

function encode(encoder: MessageEncoder, inner: MessageExtBrokerInner, queueOffset = 0, physicalOffset = 0): Buffer {
  const target = Buffer.alloc(encoder.sizeMax(inner, inner), 0xee);
  return target.subarray(0, encoder.encode(target, 0, inner, inner, queueOffset, physicalOffset, 1_700_000_000_123));
}

test('encoder: a record byte by byte, as RocketMQ lays it out', () => {
  const body = Buffer.from('hello');
  const record = encode(
    plain,
    message({
      topic: 'T1',
      queueId: 3,
      flag: 7,
      sysFlag: 1,
      reconsumeTimes: 2,
      body,
      propertiesString: 'a\u0001b\u0002',
    }),
    5,
    0x1_0000_0010,
  );
  const crc = (crc32(body) & 0x7fffffff).toString(16).padStart(8, '0');
  const expected = [
    '00000066 daa320a7', // 91 + 5 + 2 + 4 = 102
    `${crc} 00000003 00000007`,
    '0000000000000005 0000000100000010',
    '00000001 0000018bcfe56800',
    '7f000001 00002a9f',
    '0000018bcfe5687b',
    '7f000001 00002a9f',
    '00000002 0000000000000000',
    '00000005 68656c6c6f',
    '02 5431',
    '0004 61016202',
  ];
  assert.equal(record.toString('hex'), expected.join('').replaceAll(' ', ''));
});

test('encoder: a topic of 128 bytes makes the record V2, 127 stay V1', () => {
  for (const [length, magic] of [
    [127, 0xdaa320a7],
    [128, 0xdaa320ab],
  ] as const) {
    const record = encode(plain, message({ topic: 't'.repeat(length) }));
    assert.equal(record.readUInt32BE(4), magic);
    assert.equal(decodeMessage(record)?.topic.length, length);
  }
});

const host = fc.record({
  address: fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 })),
  port: fc.integer({ min: 0, max: 65_535 }),
});
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
/** Whatever text, without the separators of the format and the byte that recovery takes for a lost sector. */
const property = fc
  .string({ unit: 'binary', maxLength: 20 })
  .map((text) => ['\u0000', '\u0001', '\u0002'].reduce((kept, char) => kept.replaceAll(char, '_'), text));

const inner = fc.record({
  topic: fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }).map((text) => text.replaceAll('\u0000', '_')),
  queueId: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  flag: int32,
  sysFlag: int32.map((flag) => flag & ~0x30),
  bornTimestamp: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  bornHost: host,
  storeHost: host,
  reconsumeTimes: int32,
  preparedTransactionOffset: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  body: fc.uint8Array({ maxLength: 2_000 }),
  propertiesString: fc
    .array(fc.tuple(property, property), { maxLength: 8 })
    .map((entries) => entries.map(([name, value]) => `${name}\u0001${value}\u0002`).join('')),
});

for (const enabledAppendPropCRC of [false, true]) {
  test(`encoder: every message is read back as it was put (enabledAppendPropCRC=${enabledAppendPropCRC})`, () => {
    const encoder = new MessageEncoder({ enabledAppendPropCRC });
    const offset = fc.integer({ min: 0, max: 2 ** 53 - 1 });
    fc.assert(
      fc.property(inner, offset, offset, (put, queueOffset, physicalOffset) => {
        const record = encode(encoder, put, queueOffset, physicalOffset);
        assert.equal(record.length, encoder.size(put, put), 'the exact size was known before');
        const options = { checkCrc: true, verifyPropCrc: true, expectedPhysicalOffset: physicalOffset };
        const check = checkMessageAndReturnSize(record, 0, options);
        assert.equal(check.kind, 'record');
        const read = decodeMessage(record)!;
        assert.equal(read.topic, put.topic);
        assert.equal(read.queueId, put.queueId);
        assert.equal(read.flag, put.flag);
        assert.equal(read.queueOffset, queueOffset);
        assert.equal(read.commitLogOffset, physicalOffset);
        assert.equal(read.sysFlag & ~0x30, put.sysFlag);
        assert.equal(read.bornTimestamp, put.bornTimestamp);
        assert.equal(read.storeTimestamp, 1_700_000_000_123);
        assert.equal(read.reconsumeTimes, put.reconsumeTimes);
        assert.equal(read.preparedTransactionOffset, put.preparedTransactionOffset);
        assert.ok(read.body.equals(put.body));
        for (const [name, found] of [
          ['bornHost', read.bornHost],
          ['storeHost', read.storeHost],
        ] as const) {
          assert.deepEqual([...found.address], [...put[name].address]);
          assert.equal(found.port, put[name].port);
        }
        read.properties.delete('__CRC32#');
        assert.deepEqual(read.properties, parseProperties(put.propertiesString));
      }),
      { numRuns: 300 },
    );
  });
}

test('encoder: nothing is written outside the record', () => {
  const put = message({ body: Buffer.alloc(50, 1), propertiesString: 'ключ\u0001значение\u0002' });
  const size = plain.size(put, put);
  const target = Buffer.alloc(size + 64, 0xee);
  assert.equal(plain.encode(target, 32, put, put, 0, 0, 0), size);
  assert.ok(target.subarray(0, 32).every((byte) => byte === 0xee));
  assert.ok(target.subarray(32 + size).every((byte) => byte === 0xee));
});
