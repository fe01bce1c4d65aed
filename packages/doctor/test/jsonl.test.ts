import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkMessageAndReturnSize, decodeMessage, MessageEncoder, type RecordLayout } from '@vernier/store/internal';
import { fromExported, toExported } from '../src/jsonl.ts';
import { messageOf } from './small-store.ts';

function roundTrip(change: { propertiesString?: string; body?: Buffer; index?: number }): void {
  const message = { ...messageOf(change.index ?? 1), ...change };
  const part = { flag: message.flag, body: message.body, propertiesString: message.propertiesString };
  const encoder = new MessageEncoder({ enabledAppendPropCRC: false });
  const bytes = Buffer.alloc(encoder.size(message, part));
  encoder.encode(bytes, 0, message, part, 3, 0, 1_700_000_000_000);
  const record = checkMessageAndReturnSize(bytes, 0, { checkCrc: true }) as RecordLayout;
  const { propertiesAt, propertiesLength } = record;
  const propertyBytes = bytes.subarray(propertiesAt, propertiesAt + propertiesLength);
  const line = JSON.stringify(toExported(decodeMessage(bytes)!, propertyBytes));
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
  assert.throws(() => fromExported(line, 'line 7'), { code: 'DOCTOR_LINE_INVALID', message: /^line 7: .*no UTF-8/ });
});

const lineOf = (more: object): string =>
  JSON.stringify({ topic: 'a', queueId: 0, bornTimestamp: 1, body: 'x', ...more });

for (const [what, line, reason] of [
  ['no JSON', '{', /JSON/],
  ['null', 'null', /it is no object/],
  ['an array', '[]', /it is no object/],
  ['a body that is no base64', lineOf({ body: undefined, bodyBase64: 'a*b=' }), /bodyBase64 is no base64/],
  ['base64 cut short', lineOf({ body: undefined, bodyBase64: 'YWJ' }), /bodyBase64 is no base64/],
  ['base64 with bits that mean nothing', lineOf({ body: undefined, bodyBase64: 'YWJ=' }), /bodyBase64 is no base64/],
  ['base64 that is no text', lineOf({ body: undefined, bodyBase64: 7 }), /bodyBase64 is no text/],
  ['no body', lineOf({ body: undefined }), /body is no text/],
  ['half of a surrogate pair', lineOf({ body: '\ud800' }), /body has half of a surrogate pair/],
  ['two bodies', lineOf({ bodyBase64: 'eA==' }), /it has body and bodyBase64/],
  ['two kinds of properties', lineOf({ properties: {}, propertiesString: '' }), /properties and propertiesString/],
  ['a property that is an object', lineOf({ properties: { a: {} } }), /the property a is no text/],
  ['a property that is a number', lineOf({ properties: { a: 1 } }), /the property a is no text/],
  ['properties that are an array', lineOf({ properties: ['a'] }), /properties is no table/],
  ['properties that are text', lineOf({ properties: 'a' }), /properties is no table/],
  ['properties that are null', lineOf({ properties: null }), /properties is no table/],
  ['a property with a separator', lineOf({ properties: { a: 'b\u0002c\u0001d' } }), /holds a separator/],
  ['a property without a value', lineOf({ properties: { a: '' } }), /the property 'a' is empty/],
  ['properties by text that are none', lineOf({ propertiesString: {} }), /propertiesString is no text/],
  ['properties by base64 that are none', lineOf({ propertiesBase64: '*' }), /propertiesBase64 is no base64/],
  ['a queue below 0', lineOf({ queueId: -1 }), /queueId is -1/],
  ['half a queue', lineOf({ queueId: 0.5 }), /queueId is no whole number/],
] as const) {
  test(`a line is refused with its number: ${what}`, () => {
    const refused = (error: { code?: string; message: string }): boolean => {
      assert.equal(error.code, 'DOCTOR_LINE_INVALID');
      assert.match(error.message, /^stdin line 7: /);
      assert.match(error.message, reason);
      return true;
    };
    assert.throws(() => fromExported(line, 'stdin line 7'), refused);
  });
}
