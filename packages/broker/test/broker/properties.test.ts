import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodePropertiesString } from '@vernier/remoting';
import {
  createUniqKey,
  propertyEntry as entry,
  getProperty,
  HAS_BROKER_PROPERTIES,
  HAS_DELAY,
  HAS_POP_CK,
  HAS_TIMER,
  HAS_TRAN_MSG,
  HAS_UNIQ_KEY,
  inspectProperties,
  removeProperties,
  terminated,
} from '../../src/broker/properties.ts';

test('inspectProperties finds each name a broker looks at, and none that only resembles one', () => {
  const cases: [string, number][] = [
    ['', 0],
    [entry('UNIQ_KEY', 'U'), HAS_UNIQ_KEY],
    [entry('DELAY', '3'), HAS_DELAY],
    [entry('TIMER_DELAY_MS', '3'), HAS_TIMER],
    [entry('TIMER_DELAY_SEC', '3'), HAS_TIMER],
    [entry('TIMER_DELIVER_MS', '3'), HAS_TIMER],
    [entry('TRAN_MSG', 'true'), HAS_TRAN_MSG],
    [entry('POP_CK', 'x'), HAS_POP_CK],
    [entry('CLUSTER', 'c'), HAS_BROKER_PROPERTIES],
    [entry('MSG_REGION', 'r'), HAS_BROKER_PROPERTIES],
    [entry('TRACE_ON', 'true'), HAS_BROKER_PROPERTIES],
    [entry('KEYS', 'DELAY') + entry('TAGS', 'UNIQ_KEY'), 0],
    [entry('XDELAY', '3') + entry('DELAYX', '3') + entry('UNIQ_KEYS', 'U'), 0],
    [entry('DELAY', ''), 0],
    ['DELAY', 0],
    ['KEYS\u0001a\u0002DELAY\u00013', HAS_DELAY],
    [`${entry('WAIT', 'false')}${entry('UNIQ_KEY', 'U')}${entry('DELAY', '1')}`, HAS_UNIQ_KEY | HAS_DELAY],
  ];
  for (const [properties, expected] of cases)
    assert.equal(inspectProperties(properties), expected, JSON.stringify(properties));
});

test('getProperty agrees with the parser that clients use', () => {
  const texts = [
    entry('A', '1') + entry('AA', '2'),
    entry('AA', '2') + entry('A', '1'),
    entry('A', '1') + entry('A', '2'),
    'A\u00011',
    `${entry('B', 'A')}A\u0001end`,
    entry('A', ''),
    entry('BA', 'x'),
    '',
  ];
  for (const text of texts) {
    for (const name of ['A', 'AA', 'B']) {
      assert.equal(getProperty(text, name), decodePropertiesString(text).get(name), JSON.stringify([text, name]));
    }
  }
});

test('removeProperties keeps the others in their order and ends each', () => {
  const text = `${entry('A', '1')}${entry('B', '2')}C\u00013`;
  assert.equal(removeProperties(text, new Set(['B'])), entry('A', '1') + entry('C', '3'));
  assert.equal(removeProperties(text, new Set(['A', 'B', 'C'])), '');
  assert.equal(removeProperties('junk', new Set()), '');
  assert.equal(terminated('C\u00013'), entry('C', '3'));
  assert.equal(terminated(''), '');
});

test('unique keys are 32 upper-case hex digits and differ', () => {
  const keys = new Set(Array.from({ length: 1_000 }, () => createUniqKey(1_700_000_000_000)));
  assert.equal(keys.size, 1_000);
  for (const key of keys) assert.match(key, /^[0-9A-F]{32}$/);
});
