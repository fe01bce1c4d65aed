import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageEncoder } from '../../src/record/message-encoder.ts';
import { decodeStoredMessage } from '../../src/record/stored-message.ts';
import { message } from '../log/harness.ts';

function read(propertiesString: string, enabledAppendPropCRC = false) {
  const put = message({ propertiesString });
  const target = Buffer.alloc(2_000);
  const size = new MessageEncoder({ enabledAppendPropCRC }).encode(target, 0, put, put, 3, 4_096, 5);
  const { keys, tags, uniqKey, properties } = decodeStoredMessage(target.subarray(0, size))!;
  return { keys, tags, uniqKey, properties };
}

test('stored message: keys, tags and the unique key stand in their fields, all others among the properties', () => {
  const all = 'a\u00011\u0002KEYS\u0001k1 k2\u0002TAGS\u0001t\u0002UNIQ_KEY\u0001u\u0002WAIT\u0001true\u0002';
  const expected = { keys: ['k1', 'k2'], tags: 't', uniqKey: 'u', properties: { a: '1', WAIT: 'true' } };
  assert.deepEqual(read(all), expected);
  assert.deepEqual(read(all, true), expected, 'the record’s checksum is none of its properties');
  assert.deepEqual(read(''), { keys: [], tags: undefined, uniqKey: undefined, properties: {} });
});

test('stored message: names that objects have already are names as any other', () => {
  const names = ['__proto__', 'constructor', 'toString', '1', 'hasOwnProperty'];
  const { properties } = read(names.map((name) => `${name}\u0001v\u0002`).join(''));
  assert.deepEqual(Object.keys(properties).sort(), names.toSorted());
  assert.deepEqual(Object.values(properties), ['v', 'v', 'v', 'v', 'v']);
  assert.equal(Object.getPrototypeOf(properties), Object.prototype);
});

test('stored message: keys of a client with more blanks than one', () => {
  assert.deepEqual(read('KEYS\u0001 a  b \u0002').keys, ['a', 'b']);
});
