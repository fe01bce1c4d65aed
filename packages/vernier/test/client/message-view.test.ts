import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { bodyCrc32, type DecodedMessage } from '@vernier/remoting';
import { viewOf } from '../../src/client/message-view.ts';

const message = (body: Buffer, sysFlag = 0): DecodedMessage =>
  ({
    topic: 't',
    queueId: 1,
    queueOffset: 2,
    commitLogOffset: 3,
    sysFlag,
    bornTimestamp: 0,
    storeTimestamp: 1,
    reconsumeTimes: 0,
    body,
    bodyCRC: bodyCrc32(body),
    properties: new Map([
      ['KEYS', 'k'],
      ['TAGS', 'g'],
      ['UNIQ_KEY', 'u'],
      ['mine', 'yes'],
    ]),
  }) as unknown as DecodedMessage;

test('message view: text stands as text, with keys, tags and id taken out of the properties', async () => {
  const view = await viewOf(message(Buffer.from('grüß')));
  assert.equal(view.body, 'grüß');
  assert.deepEqual([view.keys, view.tags, view.msgId, view.properties], ['k', 'g', 'u', { mine: 'yes' }]);
  assert.equal(view.storeTime, '1970-01-01T00:00:00.001Z');
});

test('message view: a body that is not UTF-8 is base64 and not mangled text', async () => {
  const body = Buffer.from([0xff, 0xfe, 0x00]);
  const view = await viewOf(message(body));
  assert.equal(view.body, undefined);
  assert.deepEqual(Buffer.from(view.bodyBase64!, 'base64'), body);
});

test('message view: zlib in both of its markings is unpacked', async () => {
  for (const sysFlag of [0x1, 0x301])
    assert.equal((await viewOf(message(deflateSync(Buffer.from('packed')), sysFlag))).body, 'packed');
});

test('message view: LZ4 frames are unpacked, on every Node', async () => {
  // A frame with one stored block: magic, descriptor, block of 2 bytes, end mark.
  const frame = Buffer.from('04224d18604082020000806869' + '00000000', 'hex');
  assert.equal((await viewOf(message(frame, 0x101))).body, 'hi');
});

test('message view: a packed body that does not unpack says so and keeps its bytes; nothing is thrown', async () => {
  const packed = deflateSync(Buffer.from('packed'));
  for (const [bytes, sysFlag, type] of [
    [packed.subarray(0, 5), 0x1, 'zlib'],
    [Buffer.from('no zlib'), 0x301, 'zlib'],
    [Buffer.from([4, 0x22, 0x4d, 0x18]), 0x101, 'lz4'],
    [Buffer.from('no zstd'), 0x201, 'zstd'],
  ] as const) {
    const view = await viewOf(message(Buffer.from(bytes), sysFlag));
    assert.match(view.bodyProblem ?? '', new RegExp(`does not unpack as ${type}`));
    assert.equal(view.body, undefined);
    assert.deepEqual(Buffer.from(view.bodyBase64 ?? '', 'base64'), Buffer.from(bytes));
  }
});

test('message view: a body that is not what was sent is told by its checksum', async () => {
  const damaged = { ...message(Buffer.from('text')), bodyCRC: 1 };
  const view = await viewOf(damaged);
  assert.match(view.bodyProblem ?? '', /it is damaged: its checksum is \d+, the record says 1/);
  assert.equal(view.bodyBase64, Buffer.from('text').toString('base64'));
});

test('message view: times that are none are no reason to end', async () => {
  const view = await viewOf({ ...message(Buffer.from('x')), bornTimestamp: 9.2e18, storeTimestamp: -9.2e18 });
  assert.deepEqual(
    [view.bornTime, view.storeTime],
    ['9200000000000000000 (no time)', '-9200000000000000000 (no time)'],
  );
});
