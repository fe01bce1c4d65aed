import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeProperties, parseProperties, propertyOf, removeProperties } from '../../src/record/properties.ts';

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

test('a name that stands there twice has its last value, one that is empty counts as absent', () => {
  const text = 'WAIT\u0001false\u0002A\u00011\u0002WAIT\u0001true\u0002WAIT\u0001\u0002';
  assert.equal(propertyOf(text, 'WAIT'), 'true');
  assert.equal(parseProperties(text).get('WAIT'), 'true');
  assert.equal(removeProperties(text, new Set(['A'])), 'WAIT\u0001false\u0002WAIT\u0001true\u0002');
  assert.equal(removeProperties('A\u00011\u0002C\u00013', new Set(['A'])), 'C\u00013\u0002');
  assert.equal(removeProperties('junk', new Set()), '');
});

test('for any text, one name is found by itself as among all', () => {
  const piece = fc.constantFrom('TAGS', 'MY', 'KEYS', 'v', '\u0001', '\u0002', '\u0001', '\u0002');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      const text = pieces.join('');
      const all = parseProperties(text);
      for (const name of ['TAGS', 'MYTAGS', 'KEYS', 'v']) {
        assert.equal(propertyOf(text, name), all.get(name), JSON.stringify([text, name]));
      }
    }),
  );
});
