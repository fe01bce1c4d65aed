import assert from 'node:assert/strict';
import { test } from 'node:test';
import { groupNameFault, isNotAllowedSendTopic, topicNameFault } from '../../src/broker/names.ts';

test('topic names: the characters and lengths that RocketMQ allows', () => {
  for (const good of ['T', 'a-b_c%d|e', 'x'.repeat(127), `%RETRY%${'g'.repeat(120)}`, `%DLQ%${'g'.repeat(250)}`]) {
    assert.equal(topicNameFault(good), undefined, good);
  }
  for (const bad of [undefined, '', '  ', 'a b', 'a.b', 'ü', 'a\n', 'x'.repeat(128), `%DLQ%${'g'.repeat(251)}`]) {
    assert.notEqual(topicNameFault(bad), undefined, bad);
  }
});

test('group names: the same characters, at most 120 of them', () => {
  assert.equal(groupNameFault('g'.repeat(120)), undefined);
  for (const bad of [undefined, '', 'a b', 'g'.repeat(121)]) assert.notEqual(groupNameFault(bad), undefined, bad);
});

test('topics that only the broker may write to', () => {
  assert.equal(isNotAllowedSendTopic('RMQ_SYS_TRANS_HALF_TOPIC'), true);
  assert.equal(isNotAllowedSendTopic('BenchmarkTest'), false);
});
