import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeProperties, parseProperties, propertyOf } from '../../src/commit-log/properties.ts';

const word = fc.string({ unit: fc.constantFrom('A', 'B', 'TAGS', 'é', '\u0003'), minLength: 1, maxLength: 4 });
const entries = fc.uniqueArray(fc.tuple(word, word), { selector: ([name]) => name });

test('what is encoded is parsed, and looking up one name finds what parsing finds', () => {
  fc.assert(
    fc.property(entries, word, (pairs, other) => {
      const encoded = encodeProperties(pairs);
      const parsed = parseProperties(encoded);
      assert.deepEqual([...parsed], pairs);
      for (const [name] of pairs) assert.equal(propertyOf(encoded, name), parsed.get(name));
      assert.equal(propertyOf(encoded, other), parsed.get(other));
      // The last separator may be missing.
      assert.deepEqual(parseProperties(encoded.slice(0, -1)), parsed);
      for (const [name] of pairs) assert.equal(propertyOf(encoded.slice(0, -1), name), parsed.get(name));
    }),
  );
});

test('entries without a separator, an empty name or an empty value are dropped', () => {
  const text = 'noseparator\u0002\u0001value\u0002empty\u0001\u0002A\u00011\u0002\u0002';
  assert.deepEqual([...parseProperties(text)], [['A', '1']]);
  assert.equal(propertyOf(text, 'empty'), undefined);
  assert.equal(propertyOf(text, 'noseparator'), undefined);
  assert.equal(
    encodeProperties([
      ['', 'x'],
      ['y', ''],
      ['A', '1'],
    ]),
    'A\u00011\u0002',
  );
  assert.deepEqual([...parseProperties('')], []);
});

test('a name that ends another one, or stands in a value, is not found there', () => {
  assert.equal(propertyOf('MYTAGS\u0001no\u0002', 'TAGS'), undefined);
  assert.equal(propertyOf('MYTAGS\u0001no\u0002TAGS\u0001yes\u0002', 'TAGS'), 'yes');
  assert.equal(propertyOf('A\u0001TAGS\u0002', 'TAGS'), undefined);
});
