import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { decodeBatchBody, encodeBatchBody } from '../../src/message/batch.ts';
import {
  createOffsetMessageId,
  hostBytes,
  hostText,
  messageIdAddress,
  parseOffsetMessageId,
} from '../../src/message/message-id.ts';
import { decodePropertiesString, encodePropertiesString } from '../../src/message/properties.ts';
import { decodeRecord, decodeRecords } from '../../src/message/record.ts';
import { compressionType } from '../../src/message/sys-flag.ts';
import { parseUniqueId, UniqueIdGenerator } from '../../src/message/unique-id.ts';
import { golden } from '../support/golden.ts';

const invalid = { code: 'REMOTING_MESSAGE_INVALID' };
const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex');

describe('properties string', () => {
  it('drops entries without a name, a value or a separator; the last 0x02 may be missing', () => {
    const text = 'a\u0001b\u0002\u0001x\u0002n\u0001\u0002junk\u0002c\u0001d\u0001e\u0002z\u0001last';
    assert.deepEqual(
      [...decodePropertiesString(text)],
      [
        ['a', 'b'],
        ['c', 'd\u0001e'],
        ['z', 'last'],
      ],
    );
    assert.equal(decodePropertiesString('').size, 0);
  });

  it('what is written is read', () => {
    const part = fc
      .string({ minLength: 1, unit: 'grapheme' })
      .filter((text) => !text.includes('\u0001') && !text.includes('\u0002'));
    fc.assert(
      fc.property(fc.array(fc.tuple(part, part)), (entries) => {
        const map = new Map(entries);
        assert.deepEqual(decodePropertiesString(encodePropertiesString(map)), map);
      }),
    );
  });

  it('refuses separators inside names and values', () => {
    assert.throws(() => encodePropertiesString([['a', 'b\u0001']]), RangeError);
    assert.throws(() => encodePropertiesString([['a\u0002', 'b']]), RangeError);
  });
});

describe('batch body', () => {
  const messages = [
    { flag: 5, body: Buffer.from('one'), propertiesString: 'WAIT\u0001true\u0002TAGS\u0001TagA\u0002' },
    { flag: 0, body: Buffer.from('two'), propertiesString: 'WAIT\u0001true\u0002' },
  ];

  it('reads what Java writes and writes the same bytes', () => {
    const [first, second] = decodeBatchBody(bytes(golden.batch));
    assert.equal(first?.flag, 5);
    assert.equal(first?.body.toString(), 'one');
    assert.deepEqual([...decodePropertiesString(first?.propertiesString ?? '')].sort(), [
      ['TAGS', 'TagA'],
      ['WAIT', 'true'],
    ]);
    assert.equal(second?.body.toString(), 'two');
    assert.deepEqual(decodeBatchBody(encodeBatchBody(messages)), messages);
    assert.equal(encodeBatchBody(messages.slice(1)).toString('hex'), golden.batch.slice(0x2d * 2));
  });

  it('refuses a body cut at any byte, and lengths that do not add up', () => {
    const whole = bytes(golden.batch);
    for (let end = 1; end < whole.length; end++) {
      if (end === 0x2d) continue;
      assert.throws(() => decodeBatchBody(whole.subarray(0, end)), invalid, `cut at ${end}`);
    }
    for (const [at, value] of [
      [0, -1],
      [0, 22],
      [0, 0x7fffffff],
      [16, -1],
      [16, 0x7fffffff],
      [16, 4],
    ] as const) {
      const damaged = Buffer.from(whole);
      damaged.writeInt32BE(value, at);
      assert.throws(() => decodeBatchBody(damaged), invalid, `${value} at ${at}`);
    }
  });

  it('refuses properties that do not fit their length field', () => {
    const propertiesString = 'x'.repeat(32_768);
    assert.throws(() => encodeBatchBody([{ flag: 0, body: Buffer.alloc(0), propertiesString }]), invalid);
  });
});

describe('records', () => {
  for (const [name, hex, bornHost, storeHost] of [
    ['IPv4', golden.recordV4, '10.1.2.3', '127.0.0.1'],
    ['IPv6', golden.recordV6, '2001:db8::1', 'fe80::1'],
  ] as const) {
    it(`reads a record that Java wrote, ${name}`, () => {
      const message = decodeRecord(bytes(hex), 0, false);
      assert.equal(message.topic, 'TopicTest');
      assert.deepEqual([message.queueId, message.queueOffset, message.commitLogOffset], [3, 12, 4294967301]);
      assert.deepEqual([message.flag, message.reconsumeTimes, message.preparedTransactionOffset], [9, 2, 77]);
      assert.deepEqual([message.bornTimestamp, message.storeTimestamp], [1700000000001, 1700000000002]);
      assert.deepEqual([message.bornHost, message.bornPort], [bornHost, 4567]);
      assert.deepEqual([message.storeHost, message.storePort], [storeHost, 10911]);
      assert.equal(message.body.toString(), 'bodyé');
      assert.deepEqual(
        [...message.properties],
        [
          ['u', 'v'],
          ['KEYS', 'k1'],
        ],
      );
      assert.equal(message.storeSize, hex.length / 2);
    });

    it(`refuses the record cut anywhere, ${name}`, () => {
      const whole = bytes(hex);
      for (let end = 0; end < whole.length; end++) {
        assert.throws(() => decodeRecord(whole.subarray(0, end), 0, false), invalid, `cut at ${end}`);
        const lying = Buffer.from(whole.subarray(0, Math.max(end, 4)));
        lying.writeInt32BE(lying.length);
        assert.throws(() => decodeRecord(lying, 0, false), invalid, `cut at ${end} with that length`);
      }
    });
  }

  /** The record with a sound CRC. */
  function sound(hex: string): Buffer {
    const record = bytes(hex);
    const { body } = decodeRecord(record, 0, false);
    record.writeInt32BE(crc32(body) & 0x7fffffff, 8);
    return record;
  }

  it('reads several records and checks each body', () => {
    const body = Buffer.concat([sound(golden.recordV4), sound(golden.recordV6)]);
    assert.equal(decodeRecords(body).length, 2);
    body[89] = (body[89] as number) ^ 1;
    assert.throws(() => decodeRecords(body), invalid);
    assert.equal(decodeRecords(body, false).length, 2);
    assert.deepEqual(decodeRecords(Buffer.alloc(0)), []);
  });

  it('reads a V2 record, whose topic length has two bytes', () => {
    const v1 = sound(golden.recordV4);
    const topicAt = 88 + 6;
    const topic = Buffer.from('t'.repeat(200));
    const length = Buffer.alloc(2);
    length.writeUInt16BE(topic.length);
    const v2 = Buffer.concat([v1.subarray(0, topicAt), length, topic, v1.subarray(topicAt + 10)]);
    v2.writeInt32BE(v2.length);
    v2.writeInt32BE(0xdaa320ab | 0, 4);
    const message = decodeRecord(v2);
    assert.equal(message.topic, 't'.repeat(200));
    assert.equal(message.properties.get('KEYS'), 'k1');
  });

  it('knows compression types; 0 and 3 are zlib', () => {
    assert.deepEqual([0, 0x300, 0x1, 0x301, 0x101, 0x201].map(compressionType), [
      'none',
      'none',
      'zlib',
      'zlib',
      'lz4',
      'zstd',
    ]);
  });
});

describe('message ids', () => {
  it('are those that Java makes, and are taken apart again', () => {
    assert.equal(createOffsetMessageId(hostBytes('127.0.0.1'), 10911, 4294967301), golden.messageIdV4);
    assert.equal(createOffsetMessageId(hostBytes('2001:db8::1'), 10911, 255), golden.messageIdV6);
    const id = parseOffsetMessageId(golden.messageIdV4);
    assert.deepEqual(id, { host: '127.0.0.1', port: 10911, commitLogOffset: 4294967301 });
    assert.equal(messageIdAddress(parseOffsetMessageId(golden.messageIdV6)), '[2001:db8::1]:10911');
  });

  it('refuses what is not one', () => {
    for (const id of ['', golden.messageIdV4.slice(1), `${golden.messageIdV4}00`, 'Z'.repeat(32), 'F'.repeat(32)]) {
      assert.throws(() => parseOffsetMessageId(id), invalid, id);
    }
  });

  it('addresses: text to bytes and back', () => {
    for (const host of [
      '1.2.3.4',
      '::',
      '::1',
      '1::',
      'fe80::1',
      '2001:db8:0:1:1:1:1:1',
      '1:2:3:4:5:6:7:8',
      '1:0:0:2::3',
    ]) {
      assert.equal(hostText(hostBytes(host)), host);
    }
    assert.equal(hostText(hostBytes('::ffff:1.2.3.4')), '::ffff:102:304');
    assert.equal(hostText(hostBytes('fe80::1%eth0')), 'fe80::1');
    for (const host of ['', 'localhost', '1.2.3', '1.2.3.256'])
      assert.throws(() => hostBytes(host), { code: 'REMOTING_ADDRESS_INVALID' });
  });
});

describe('unique ids', () => {
  it('reads one that Java made', () => {
    const id = parseUniqueId(golden.uniqueIdV6);
    assert.deepEqual([id.host, id.pid, id.counter], ['fd00::2', 5903, 0]);
    assert.throws(() => parseUniqueId('x'), invalid);
  });

  it('are unique, count on, and start again with the month', () => {
    let now = new Date(2026, 4, 31, 23, 59, 59, 999).getTime();
    const generator = new UniqueIdGenerator('10.0.0.1', () => now);
    const first = parseUniqueId(generator.next());
    assert.deepEqual(first, { host: '10.0.0.1', pid: process.pid & 0xffff, monthMs: 31 * 86_400_000 - 1, counter: 0 });
    now += 1;
    assert.deepEqual(parseUniqueId(generator.next()), { ...first, monthMs: 0, counter: 1 });
    const ids = new Set(Array.from({ length: 65_536 }, () => generator.next()));
    assert.equal(ids.size, 65_536);
    assert.equal(parseUniqueId(generator.next()).counter, 2);
  });
});
