import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTopicConfig, TopicSysFlag } from '@vernier/remoting';
import { ensureDeadLetterTopic, ensureRetryTopic, usableQueueNums } from '../../src/topics/retry-topics.ts';
import { Tables } from '../table-fixtures.ts';

test('retry topics: made once, with the group’s queues, readable and writable', () => {
  const { topics, changes } = new Tables();
  const made = ensureRetryTopic(topics, '%RETRY%g', 3, true);
  const queues = { readQueueNums: 3, writeQueueNums: 3 };
  assert.deepEqual(made, createTopicConfig('%RETRY%g', { ...queues, topicSysFlag: TopicSysFlag.UNIT_SUB }));
  assert.equal(ensureRetryTopic(topics, '%RETRY%g', 3, false), made);
  assert.equal(changes.topics, 1);
});

test('retry topics: queues that an operator chose stay, whether the group says more or fewer', () => {
  const tables = new Tables();
  const chosen = tables.topic('%RETRY%g', { readQueueNums: 2, writeQueueNums: 3 });
  const before = tables.shown();
  for (const queueNums of [0, 1, 2, 8]) {
    assert.equal(ensureRetryTopic(tables.topics, '%RETRY%g', queueNums, false), chosen);
  }
  assert.deepEqual(tables.shown(), before);
  assert.equal(usableQueueNums(chosen), 2);
});

test('retry topics: one that was made while the group had no retry queues is usable when it has some', () => {
  const { topics } = new Tables();
  assert.equal(ensureRetryTopic(topics, '%RETRY%g', 0, false).readQueueNums, 0);
  const wider = ensureRetryTopic(topics, '%RETRY%g', 2, false);
  assert.deepEqual([wider.readQueueNums, wider.writeQueueNums], [2, 2]);
  assert.equal(topics.select('%RETRY%g'), wider);
});

test('retry topics: permissions and attributes stay when a topic without readable queues gets them', () => {
  const tables = new Tables();
  const attributes = new Map([['message.type', 'FIFO']]);
  tables.topic('%RETRY%g', { readQueueNums: 0, writeQueueNums: 4, perm: 4, attributes });
  const wider = ensureRetryTopic(tables.topics, '%RETRY%g', 2, true);
  const kept = { perm: 4, attributes, writeQueueNums: 4, readQueueNums: 2 };
  assert.deepEqual(wider, createTopicConfig('%RETRY%g', kept));
});

test('dead letters: one queue whatever the group says, and none for another group', () => {
  const { topics } = new Tables();
  const made = ensureDeadLetterTopic(topics, 'g');
  assert.deepEqual(made, createTopicConfig('%DLQ%g', { readQueueNums: 1, writeQueueNums: 1 }));
  assert.equal(ensureDeadLetterTopic(topics, 'g'), made);
  assert.equal(topics.select('%DLQ%gg'), undefined);
});
