import assert from 'node:assert/strict';
import { test } from 'node:test';
import { javaStringHashCode, tagsStringToTagsCode } from '../../src/record/tags-code.ts';

// From the definition s[0]·31^(n−1) + … + s[n−1], wrapped to 32 bits.
const hashes: [text: string, hash: number][] = [
  ['', 0],
  ['a', 97],
  ['hello', 99_162_322],
  ['TagA', 2_598_919],
  ['polygenelubricants', -2_147_483_648],
  ['中文', 646_394],
  // A character outside the basic plane counts as its two UTF-16 units.
  ['😀', 1_772_899],
];

for (const [text, hash] of hashes) {
  test(`tags code: Java hashCode of ${JSON.stringify(text)}`, () => {
    assert.equal(javaStringHashCode(text), hash);
    assert.equal(tagsStringToTagsCode(text), hash);
    assert.equal(tagsStringToTagsCode(text), hash, 'a second time, from the cache');
  });
}

test('tags code: without tags it is 0', () => assert.equal(tagsStringToTagsCode(undefined), 0));

test('tags code: a hash continued from a prefix equals that of the joined string', () => {
  const prefix = javaStringHashCode('#', javaStringHashCode('Topic'));
  assert.equal(javaStringHashCode('key', prefix), javaStringHashCode('Topic#key'));
  assert.equal(javaStringHashCode('a key b', prefix, 2, 5), javaStringHashCode('Topic#key'));
});

test('tags code: more different tags than the cache holds, and long ones, stay right', () => {
  for (let index = 0; index < 10_000; index++) {
    const tag = `t${index % 5_000}${index % 7 === 0 ? 'x'.repeat(200) : ''}`;
    assert.equal(tagsStringToTagsCode(tag), javaStringHashCode(tag));
  }
});
