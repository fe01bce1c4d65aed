import assert from 'node:assert/strict';
import { test } from 'node:test';
import { choice, flag, integer, milliseconds, parseValue, text } from '../../src/config/key-spec.ts';

const problem = (result: ReturnType<typeof parseValue>): string => ('problem' in result ? result.problem : 'accepted');

test('parseValue: a boolean is true or false in any case and nothing else', () => {
  assert.deepEqual(parseValue(flag('x'), ' TRUE '), { value: true });
  assert.deepEqual(parseValue(flag('x'), 'false'), { value: false });
  for (const raw of ['ture', '1', 'yes', ''])
    assert.equal(problem(parseValue(flag('x'), raw)), 'allowed are true and false');
});

test('parseValue: a choice names every allowed value', () => {
  const spec = choice(['SYNC_FLUSH', 'ASYNC_FLUSH'], 'x');
  assert.deepEqual(parseValue(spec, 'ASYNC_FLUSH'), { value: 'ASYNC_FLUSH' });
  assert.equal(problem(parseValue(spec, 'sync')), 'allowed are SYNC_FLUSH, ASYNC_FLUSH');
});

test('parseValue: whole numbers keep to their range and say it with the unit', () => {
  const spec = integer('bytes', 20, 100, 'x');
  assert.deepEqual(parseValue(spec, '20'), { value: 20 });
  assert.deepEqual(parseValue(spec, '100'), { value: 100 });
  for (const raw of ['19', '101', '2.5', '20k', '0x20', '1e2', '', '-20', 'NaN']) {
    assert.equal(problem(parseValue(spec, raw)), 'allowed are whole numbers from 20 to 100 (bytes)', raw);
  }
});

test('parseValue: a time is at most an hour, or what the key says, and never beyond the 31 bits of a timer', () => {
  assert.match(problem(parseValue(milliseconds(1, 'x'), '3600001')), /from 1 to 3600000 \(ms\)/);
  assert.deepEqual(parseValue(milliseconds(1, 'x', { max: 86_400_000 }), '86400000'), { value: 86_400_000 });
});

test('parseValue: fractions only where they have a meaning', () => {
  assert.deepEqual(parseValue({ kind: 'number', meaning: 'x', min: 0, max: 1 }, '0.75'), { value: 0.75 });
  assert.equal(
    problem(parseValue({ kind: 'number', meaning: 'x', min: 0, max: 1 }, '1.5')),
    'allowed are numbers from 0 to 1',
  );
});

test('parseValue: text is taken without the blanks around it', () => {
  assert.deepEqual(parseValue(text('x'), ' broker-a '), { value: 'broker-a' });
});
