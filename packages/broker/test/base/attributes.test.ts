import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type AttributeKinds,
  changeAttributes,
  oneOf,
  parseSignedAttributes,
  shortText,
  trueOrFalse,
  wholeNumber,
} from '../../src/base/attributes.ts';

const kinds: AttributeKinds = new Map([
  ['fixed', { changeable: false, fault: oneOf('a', 'b') }],
  ['free', { changeable: true, fault: oneOf('a', 'b') }],
  ['other', { changeable: true, fault: oneOf('a', 'b') }],
]);

test('attributes: a text is taken apart by signs, and what has none says so', () => {
  assert.deepEqual(parseSignedAttributes('+a=1,-b'), [
    ['+a', '1'],
    ['-b', ''],
  ]);
  assert.deepEqual(parseSignedAttributes(' '), []);
  assert.deepEqual(parseSignedAttributes(undefined), []);
  assert.deepEqual(parseSignedAttributes('+a = 1=2 '), [['+a', '1=2']], 'the first = parts name and value');
  assert.deepEqual(parseSignedAttributes('+a='), [['+a', '']]);
  for (const wrong of ['a=1', '+a', '-a=1', '+a=1,', ',', '*a=1', '+a=1, -b', '--']) {
    const outcome = parseSignedAttributes(wrong);
    if (wrong === '--') assert.deepEqual(outcome, [['--', '']], 'a name of its own, which nobody has');
    else assert.match(String(outcome), /format is wrong/, wrong);
  }
});

test('attributes: a change that fails in the middle leaves the old ones as they were', () => {
  const current = new Map([['free', 'a']]);
  const wrong: [string, string][][] = [
    [
      ['+free', 'b'],
      ['+other', 'c'],
    ],
    [
      ['+free', 'b'],
      ['-other', ''],
    ],
    [
      ['+free', 'b'],
      ['-free', ''],
    ],
    [
      ['-free', ''],
      ['+none', 'a'],
    ],
    [
      ['+free', 'b'],
      ['free', 'b'],
    ],
    [['+fixed', 'a']],
    [['', '']],
    [['+', '']],
  ];
  for (const changes of wrong) {
    const { attributes, fault } = changeAttributes(kinds, current, changes);
    assert.equal(attributes, undefined, JSON.stringify(changes));
    assert.ok((fault ?? '').length > 0);
    assert.deepEqual([...current], [['free', 'a']]);
  }
});

test('attributes: what may not change later may be given to what is made, and only what was given counts as added', () => {
  const made = changeAttributes(kinds, undefined, [['+fixed', 'a']]);
  assert.deepEqual(made.attributes, new Map([['fixed', 'a']]));
  const changed = changeAttributes(kinds, made.attributes, [['+free', 'b']]);
  assert.deepEqual(changed.attributes, new Map([...[['fixed', 'a'] as const], ['free', 'b']]));
  assert.deepEqual(changed.attributes && changed.added, new Map([['free', 'b']]));
  assert.equal(
    changeAttributes(kinds, undefined, [['-fixed', '']]).fault,
    'attempt to delete a nonexistent key: fixed',
  );
});

test('attributes: whole numbers as Java reads a long, with both ends and nothing beside digits', () => {
  const fault = wholeNumber(-1n, 100n);
  for (const good of ['-1', '0', '-0', '+5', '100', '007', '0000000000000000100'])
    assert.equal(fault(good), undefined, good);
  for (const bad of ['-2', '101', '', ' 5', '5 ', '5.0', '1e2', '0x5', '+', '-', '+-5', '９', '00000000000000000100']) {
    assert.equal(fault(bad), 'must be a whole number from -1 to 100', bad);
  }
  const long = wholeNumber(0n);
  assert.equal(long('9223372036854775807'), undefined);
  assert.match(long('9223372036854775808') ?? '', /9223372036854775807$/);
});

test('attributes: texts and flags at their edges', () => {
  assert.equal(shortText('x'.repeat(255)), undefined);
  for (const bad of ['', 'x'.repeat(256), 'a\u0000', '\u001f', '\u007f', 'a\n']) {
    assert.match(shortText(bad) ?? '', /must be text of 1 to 255/, JSON.stringify(bad));
  }
  for (const good of ['true', 'FALSE', 'True']) assert.equal(trueOrFalse(good), undefined);
  for (const bad of ['', 'yes', 'true ', '1', 'truefalse'])
    assert.equal(trueOrFalse(bad), 'must be true or false', bad);
  assert.equal(oneOf('a', 'b')('c'), 'must be one of a, b');
  assert.equal(oneOf()('a'), 'must be one of ');
});
