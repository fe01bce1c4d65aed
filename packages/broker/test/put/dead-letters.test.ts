import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseProperties } from '@vernier/store/internal';
import { deadLetterProperties, isLimit } from '../../src/put/dead-letters.ts';
import { property } from '../harness.ts';

const of = (properties: string, notDelayed: 0 | -1 = 0): Record<string, string> =>
  Object.fromEntries(parseProperties(deadLetterProperties(properties, notDelayed)));

test('dead letters: 0 is a limit, a negative number is without end', () => {
  assert.deepEqual(
    [isLimit(0), isLimit(1), isLimit(-1), isLimit(-(2 ** 31)), isLimit(2 ** 31)],
    [true, true, false, false, true],
  );
});

test('dead letters: no delay is left, however often it was asked for', () => {
  const asked = property('DELAY', '3') + property('A', 'b') + property('DELAY', '18');
  assert.deepEqual(of(asked), { A: 'b', DELAY: '0' });
  assert.deepEqual(of(asked, -1), { A: 'b', DELAY: '-1' });
  const text = deadLetterProperties(asked, 0);
  assert.equal(text.split('DELAY').length, 2, 'it stands there once');
});

test('dead letters: where it came from is said twice, and what a client forged of it is gone', () => {
  const forged = property('DLQ_ORIGIN_TOPIC', 'Forged') + property('DLQ_ORIGIN_MESSAGE_ID', 'forged');
  const origin = property('RETRY_TOPIC', 'Work') + property('ORIGIN_MESSAGE_ID', 'O') + property('UNIQ_KEY', 'U');
  assert.deepEqual(of(forged + origin), {
    ...{ RETRY_TOPIC: 'Work', ORIGIN_MESSAGE_ID: 'O', UNIQ_KEY: 'U', DELAY: '0' },
    ...{ DLQ_ORIGIN_TOPIC: 'Work', DLQ_ORIGIN_MESSAGE_ID: 'O' },
  });
  assert.deepEqual(of(forged), { DELAY: '0' }, 'of what is not known nothing is said');
});

test('dead letters: a message without an origin’s id has its unique key for one', () => {
  assert.deepEqual(of(property('UNIQ_KEY', 'U')), {
    ...{ UNIQ_KEY: 'U', DELAY: '0', ORIGIN_MESSAGE_ID: 'U', DLQ_ORIGIN_MESSAGE_ID: 'U' },
  });
  assert.deepEqual(of('UNIQ_KEY\u0001U'), of(property('UNIQ_KEY', 'U')), 'also when the last 0x02 is missing');
});
