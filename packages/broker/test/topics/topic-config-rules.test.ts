import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTopicConfig, type TopicConfig } from '@vernier/remoting';
import { silentLogger } from '@vernier/store';
import { topicConfigFault, topicConfigOfFile } from '../../src/topics/topic-config-rules.ts';

test('topic rules: every member has its range, and the message names topic, member, value and range', () => {
  assert.equal(topicConfigFault(createTopicConfig('T')), undefined);
  const edges: Partial<TopicConfig>[] = [
    { readQueueNums: 0, writeQueueNums: 65_536, perm: 15, topicSysFlag: 0x7fff_ffff },
    { readQueueNums: 65_536, writeQueueNums: 0, perm: 0, topicSysFlag: 0, topicFilterType: 'MULTI_TAG', order: true },
  ];
  for (const members of edges) assert.equal(topicConfigFault(createTopicConfig('T', members)), undefined);
  const wrong: [Partial<TopicConfig>, RegExp][] = [
    [{ readQueueNums: -1 }, /^topic T: readQueueNums=-1: allowed are whole numbers from 0 to 65536 \(queues\)$/],
    [{ readQueueNums: 1.5 }, /readQueueNums=1.5/],
    [{ writeQueueNums: 65_537 }, /writeQueueNums=65537/],
    [{ writeQueueNums: Number.NaN }, /writeQueueNums=NaN/],
    [{ perm: 16 }, /perm=16/],
    [{ perm: -1 }, /perm=-1/],
    [{ topicSysFlag: 2 ** 31 }, /topicSysFlag=2147483648/],
    [{ topicFilterType: 'ANY' as never }, /topicFilterType=ANY: allowed are SINGLE_TAG, MULTI_TAG/],
    [{ order: 'yes' as never }, /order=yes: allowed are true and false/],
  ];
  for (const [members, fault] of wrong) assert.match(topicConfigFault(createTopicConfig('T', members)) ?? '', fault);
});

test('topic rules: a number in topics.json that no topic can have is brought into its range, with a line', () => {
  const lines: string[] = [];
  const logger = { ...silentLogger, warn: (_fields: object, message: string) => void lines.push(message) };
  const fields = { topicName: 'x', readQueueNums: 1.5, writeQueueNums: 1e9, perm: -3, topicSysFlag: 0, order: true };
  const topic = topicConfigOfFile('T', fields, logger);
  assert.deepEqual(topic, createTopicConfig('T', { readQueueNums: 1, writeQueueNums: 65_536, perm: 0, order: true }));
  assert.deepEqual(lines, [
    'topics.json: readQueueNums of T cannot be 1.5',
    'topics.json: writeQueueNums of T cannot be 1000000000',
    'topics.json: perm of T cannot be -3',
  ]);
  assert.equal(topicConfigFault(topic), undefined);
});

test('topic rules: what is no topic in topics.json is damage', () => {
  for (const fields of ['x', 7, [], { readQueueNums: 'many' }, { order: 2 }, { attributes: { a: {} } }]) {
    assert.throws(() => topicConfigOfFile('T', fields, silentLogger), { code: 'REMOTING_BODY_INVALID' });
  }
});
