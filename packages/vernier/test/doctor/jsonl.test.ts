import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkMessageAndReturnSize, decodeMessage, MessageEncoder, type RecordLayout } from '@vernier/store/internal';
import { fromExported, toExported } from '../../src/doctor/jsonl.ts';
import { messageOf } from './small-store.ts';

function roundTrip(change: { propertiesString?: string; body?: Buffer; index?: number }): void {
  const message = { ...messageOf(change.index ?? 1), ...change };
  const part = { flag: message.flag, body: message.body, propertiesString: message.propertiesString };
  const encoder = new MessageEncoder({ enabledAppendPropCRC: false });
  const bytes = Buffer.alloc(encoder.size(message, part));
  encoder.encode(bytes, 0, message, part, 3, 0, 1_700_000_000_000);
  const record = checkMessageAndReturnSize(bytes, 0, { checkCrc: true }) as RecordLayout;
  const line = JSON.stringify(toExported(decodeMessage(bytes)!, bytes, record));
  const back = fromExported(line, 'line 1');
  for (const name of [
    'topic',
    'queueId',
    'flag',
    'sysFlag',
    'bornTimestamp',
    'reconsumeTimes',
    'preparedTransactionOffset',
    'propertiesString',
  ] as const) {
    assert.equal(back[name], message[name], name);
  }
  assert.deepEqual(back.body, Buffer.from(message.body));
  assert.deepEqual([back.bornHost, back.storeHost], [message.bornHost, message.storeHost]);
}

test('a message is the same after export and import, whatever is in it', () => {
  for (let index = 0; index < 90; index++) roundTrip({ index });
});

for (const [name, propertiesString] of [
  ['none', ''],
  ['without the last separator', 'a\u0001b'],
  ['twice the same name', 'a\u0001b\u0002a\u0001c\u0002'],
  ['an empty value', 'a\u0001\u0002b\u0001c\u0002'],
  ['separators alone', '\u0002\u0002'],
  ['a name that is a number, which a JSON object would put first', 'b\u0001x\u00021\u0001y\u0002'],
  ['a name that objects have anyway', '__proto__\u0001x\u0002constructor\u0001y\u0002'],
] as const) {
  test(`properties are the same after export and import: ${name}`, () => roundTrip({ propertiesString }));
}

for (const [name, body] of [
  ['empty', Buffer.alloc(0)],
  ['binary', Buffer.from([0, 255, 128, 10, 13])],
  ['text with a byte-order mark', Buffer.from('\ufeffx')],
  ['half of a surrogate pair', Buffer.from([0xed, 0xa0, 0xbd])],
] as const) {
  test(`a body is the same after export and import: ${name}`, () => roundTrip({ body }));
}

test('properties that are no UTF-8 are refused and not changed without a word', () => {
  const line = JSON.stringify({ topic: 'a', queueId: 0, bornTimestamp: 1, body: '', propertiesBase64: '/w==' });
  assert.throws(() => fromExported(line, 'line 7'), { code: 'CLI_INPUT_UNREADABLE', message: /^line 7: .*no UTF-8/ });
});
