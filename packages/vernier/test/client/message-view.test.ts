import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateSync } from 'node:zlib';
import type { DecodedMessage } from '@vernier/remoting';
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
    properties: new Map([
      ['KEYS', 'k'],
      ['TAGS', 'g'],
      ['UNIQ_KEY', 'u'],
      ['mine', 'yes'],
    ]),
  }) as unknown as DecodedMessage;

test('message view: text stands as text, with keys, tags and id taken out of the properties', () => {
  const view = viewOf(message(Buffer.from('grüß')));
  assert.equal(view.body, 'grüß');
  assert.deepEqual([view.keys, view.tags, view.msgId, view.properties], ['k', 'g', 'u', { mine: 'yes' }]);
  assert.equal(view.storeTime, '1970-01-01T00:00:00.001Z');
});

test('message view: a body that is not UTF-8 is base64 and not mangled text', () => {
  const body = Buffer.from([0xff, 0xfe, 0x00]);
  const view = viewOf(message(body));
  assert.equal(view.body, undefined);
  assert.deepEqual(Buffer.from(view.bodyBase64!, 'base64'), body);
});

test('message view: zlib in both of its markings is unpacked', () => {
  for (const sysFlag of [0x1, 0x301])
    assert.equal(viewOf(message(deflateSync(Buffer.from('packed')), sysFlag)).body, 'packed');
});

test('message view: what cannot be unpacked says so and keeps its bytes', () => {
  const view = viewOf(message(Buffer.from([4, 0x22, 0x4d, 0x18]), 0x101));
  assert.equal(view.compressed, 'lz4');
  assert.equal(view.bodyBase64, 'BCJNGA==');
});
