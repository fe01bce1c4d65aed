import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  allowedValues,
  choice,
  flag,
  integer,
  type KeySpec,
  milliseconds,
  parseValue,
  shownValue,
  specOf,
  text,
  valueProblem,
} from '../../src/base/key-spec.ts';

const problem = (spec: KeySpec, raw: string): string => {
  const result = parseValue(spec, raw);
  return 'problem' in result ? result.problem : `accepted ${result.value}`;
};
const twoLetters = text(
  { values: 'two letters', lengthMax: 2, fault: (value) => (/^[a-z]+$/.test(value) ? undefined : 'no letters') },
  'ab',
  'x',
);

test('a boolean is true or false in any case and nothing else', () => {
  const spec = flag(true, 'x');
  assert.deepEqual(parseValue(spec, ' TRUE '), { value: true });
  assert.deepEqual(parseValue(spec, 'false'), { value: false });
  for (const raw of ['ture', '1', 'yes', '']) assert.equal(problem(spec, raw), 'allowed are true and false', raw);
  for (const value of ['true', 1, undefined, null, [true]]) assert.ok(valueProblem(spec, value), shownValue(value));
});

test('a choice names every allowed value', () => {
  const spec = choice(['SYNC_FLUSH', 'ASYNC_FLUSH'], 'SYNC_FLUSH', 'x');
  assert.deepEqual(parseValue(spec, 'ASYNC_FLUSH'), { value: 'ASYNC_FLUSH' });
  assert.equal(problem(spec, 'sync'), 'allowed are SYNC_FLUSH, ASYNC_FLUSH');
  assert.equal(problem(choice(['one'], 'one', 'x'), 'two'), 'allowed is only one');
});

test('a whole number keeps to its range, as text and as a number', () => {
  const spec = integer([20, 100], 'bytes', 50, 'x');
  assert.deepEqual(parseValue(spec, '20'), { value: 20 });
  assert.deepEqual(parseValue(spec, ' +100 '), { value: 100 });
  const allowed = 'allowed are whole numbers from 20 to 100 (bytes)';
  const wrong = ['19', '101', '2.5', '20k', '0x20', '2e1', '', '-20', 'NaN', 'Infinity', '９９', '9'.repeat(400)];
  for (const raw of wrong) assert.equal(problem(spec, raw), allowed, raw);
  for (const value of [19, 101, 20.5, Number.NaN, Number.POSITIVE_INFINITY, '50', 50n, undefined, null, [50]]) {
    assert.equal(valueProblem(spec, value), allowed, shownValue(value));
  }
});

test('a number that has to be a multiple says so', () => {
  const spec = integer([4_096, 16_384], 'bytes', 4_096, 'x', { multipleOf: 4_096 });
  assert.equal(valueProblem(spec, 8_192), undefined);
  assert.equal(problem(spec, '8193'), 'allowed are whole numbers from 4096 to 16384, multiples of 4096 (bytes)');
});

test('a time is at most an hour, or what the key says, and never beyond the 31 bits of a timer', () => {
  assert.match(problem(milliseconds([1], 5, 'x'), '3600001'), /from 1 to 3600000 \(ms\)/);
  assert.deepEqual(parseValue(milliseconds([1, 86_400_000], 5, 'x'), '86400000'), { value: 86_400_000 });
});

test('a text has its form and its length; the message says which of them it lacks', () => {
  assert.deepEqual(parseValue(twoLetters, ' ab '), { value: 'ab' });
  assert.equal(problem(twoLetters, '12'), 'allowed is two letters; no letters');
  assert.equal(problem(twoLetters, 'abc'), 'allowed is two letters; it has 3 characters, at most 2');
  assert.equal(valueProblem(twoLetters, 7), 'allowed is two letters');
});

test('a comment behind a value is part of it in a properties file; the message says where comments stand', () => {
  assert.match(problem(integer([1, 9], '', 5, 'x'), '5 # five'), /^allowed are .*; a comment needs a line of its own$/);
  assert.match(problem(flag(true, 'x'), 'true ! yes'), /a comment needs a line of its own$/);
});

test('what a key accepts is said in words', () => {
  assert.equal(allowedValues(integer([0, Number.MAX_SAFE_INTEGER], 'bytes', 0, 'x')), 'whole numbers from 0 (bytes)');
  assert.equal(allowedValues(integer([0, 7], '', 6, 'x')), 'whole numbers from 0 to 7');
  assert.equal(allowedValues(twoLetters), 'two letters');
});

test('a value is shown on one short line, whatever it is', () => {
  assert.equal(shownValue('a\nb\u001b[31m\u2028'), 'a\\u000ab\\u001b[31m\\u2028');
  assert.equal(shownValue('x'.repeat(1_000)).length, 121);
  assert.equal(shownValue({ toString: 1, valueOf: 1 }), 'a value of type object');
  assert.equal(shownValue([[[]]]), 'a value of type array');
  assert.equal(shownValue(Symbol('s')), 'Symbol(s)');
  assert.equal(shownValue(Object.assign(() => {}, { toString: 1, valueOf: 1 })), 'a value that cannot be shown');
});

test('a table knows its own names and no others', () => {
  const keys = { known: flag(true, 'x') };
  assert.equal(specOf(keys, 'known'), keys.known);
  for (const name of ['constructor', '__proto__', 'toString', 'unknown', ''])
    assert.equal(specOf(keys, name), undefined);
});
