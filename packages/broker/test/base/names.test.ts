import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  dlqTopicOf,
  groupNameFault,
  groupOfRetryTopic,
  isInherited,
  isNotAllowedSendTopic,
  isReadable,
  isRetryOrDlqTopic,
  isRetryTopic,
  isWriteable,
  retryTopicOf,
  topicNameFault,
} from '../../src/base/names.ts';

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

test('permissions: each bit is asked for by itself', () => {
  for (let perm = 0; perm < 16; perm++) {
    const bits = [isReadable(perm), isWriteable(perm), isInherited(perm)];
    assert.deepEqual(bits, [(perm & 4) !== 0, (perm & 2) !== 0, (perm & 1) !== 0], String(perm));
  }
});

test('retry and dead letter topics: made of a group and told apart from names that only hold the prefix', () => {
  assert.deepEqual([retryTopicOf('g'), dlqTopicOf('g')], ['%RETRY%g', '%DLQ%g']);
  assert.equal(groupOfRetryTopic(retryTopicOf('%RETRY%g')), '%RETRY%g');
  assert.deepEqual(
    ['%RETRY%g', '%DLQ%g', 'x%RETRY%g', '%retry%g', '%RETRY', ''].map((topic) => [
      isRetryTopic(topic),
      isRetryOrDlqTopic(topic),
    ]),
    [
      [true, true],
      [false, true],
      [false, false],
      [false, false],
      [false, false],
      [false, false],
    ],
  );
  assert.equal(topicNameFault(retryTopicOf('g'.repeat(120))), undefined, 'of every legal group');
  assert.equal(topicNameFault(dlqTopicOf('g'.repeat(120))), undefined);
});

test('names: what would leave a directory or break a file’s line is none', () => {
  for (const bad of ['.', '..', '../T', 'a/b', 'a\\b', 'T\u0000', 'T\r', '\tT', 'T\u2028', 'Т', 'a@b', 'a:b', '"T"']) {
    assert.match(topicNameFault(bad) ?? '', /illegal characters/, JSON.stringify(bad));
    assert.match(groupNameFault(bad) ?? '', /illegal characters/, JSON.stringify(bad));
  }
});
