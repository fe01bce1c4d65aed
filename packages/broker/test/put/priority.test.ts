import assert from 'node:assert/strict';
import test from 'node:test';
import { createTopicConfig, ResponseCode } from '@vernier/remoting';
import { Refusal } from '../../src/base/refusal.ts';
import { subscriptionGroup } from '../../src/groups/subscription-group-config.ts';
import { property } from '../harness.ts';
import { MachineBroker } from '../machine-broker.ts';

const ranked = (priority: string): string => property('_SYS_MSG_PRIORITY_', priority);

async function brokerWith(writeQueueNums: number, readQueueNums = writeQueueNums): Promise<MachineBroker> {
  const broker = await MachineBroker.start();
  broker.context.topics.update(createTopicConfig('T', { writeQueueNums, readQueueNums }));
  return broker;
}

const queueOf = async (broker: MachineBroker, properties: string, queueId = 1): Promise<number> => {
  const outcome = await broker.send('T', 'x', properties, { queueId });
  assert.ok(!(outcome instanceof Refusal), `refused: ${outcome.remark}`);
  return outcome.queueId;
};

test('priority: chooses the queue, whatever the producer chose, up to the last queue', async () => {
  const broker = await brokerWith(4);
  for (const [priority, queueId] of [
    ['0', 0],
    ['2', 2],
    ['+2', 2],
    ['3', 3],
    ['4', 3],
    ['2147483647', 3],
  ] as const) {
    assert.equal(await queueOf(broker, ranked(priority)), queueId, priority);
  }
  assert.equal(await queueOf(broker, ranked('2'), -1), 2, 'of any queue');
  await broker.stop();
});

test('priority: what is no int of 0 and more says nothing, and stays', async () => {
  const broker = await brokerWith(4);
  for (const priority of ['-1', '2147483648', '1.0', 'high', '0x1', '99999999999999999999', ' 2']) {
    assert.equal(await queueOf(broker, ranked(priority)), 1, priority);
  }
  const kept = (await broker.read('T', 1)).map(({ properties }) => properties.get('_SYS_MSG_PRIORITY_'));
  assert.deepEqual(kept, ['-1', '2147483648', '1.0', 'high', '0x1', '99999999999999999999', ' 2']);
  await broker.stop();
});

test('priority: is removed from messages of another kind, which stay in their queue', async () => {
  const broker = await brokerWith(4);
  assert.equal(await queueOf(broker, ranked('3') + property('__SHARDINGKEY', 'k')), 1);
  const [message] = await broker.read('T', 1);
  assert.equal(message?.properties.get('_SYS_MSG_PRIORITY_'), undefined);
  assert.equal(message?.properties.get('__SHARDINGKEY'), 'k');
  assert.equal(await queueOf(broker, ranked('3') + property('DELAY', '1')), 1, 'a delayed message');
  assert.equal(await queueOf(broker, property('TRAN_MSG', 'true') + ranked('3')), 1, 'a half');
  const [half] = await broker.read('RMQ_SYS_TRANS_HALF_TOPIC');
  assert.equal(half?.properties.get('REAL_QID'), '1');
  assert.equal(half?.properties.get('_SYS_MSG_PRIORITY_'), undefined);
  const [waiting] = await broker.read('SCHEDULE_TOPIC_XXXX');
  assert.equal(waiting?.properties.get('_SYS_MSG_PRIORITY_'), undefined);
  assert.deepEqual(await broker.bodies('T', 3), [], 'nothing went by its priority');
  await broker.stop();
});

test('priority: a message never goes to a queue that nobody reads', async () => {
  const broker = await brokerWith(8, 2);
  assert.equal(await queueOf(broker, ranked('7')), 1);
  // RocketMQ counts the queues of the retry topic, whose dead letters have one.
  broker.context.groups.update(subscriptionGroup('g', { retryQueueNums: 4 }));
  const tired = await broker.send('%RETRY%g', 'x', ranked('3'), { reconsumeTimes: 99 });
  assert.ok(!(tired instanceof Refusal));
  assert.equal(tired.topic, '%DLQ%g');
  assert.equal(tired.queueId, 0);
  await broker.stop();
});

test('priority: a queue that topics.json does not have yet is saved before its first message is acknowledged', async () => {
  const broker = await brokerWith(1);
  await broker.machine.until(broker.context.metadata.topics.save(), 'save');
  broker.context.topics.update(createTopicConfig('T', { writeQueueNums: 4, readQueueNums: 4 }));
  assert.doesNotMatch(broker.file('topics.json') ?? '', /"readQueueNums":4,[^}]*"topicName":"T"/);
  assert.equal(await queueOf(broker, ranked('3'), 0), 3);
  const saved = JSON.parse(broker.file('topics.json') ?? '{}') as {
    topicConfigTable: Record<string, { readQueueNums: number }>;
  };
  assert.equal(saved.topicConfigTable.T?.readQueueNums, 4);
  await broker.stop();
});

test('priority: a batch and the broker’s own copies go where they are sent', async () => {
  const broker = await brokerWith(4);
  for (const origin of ['send-back', 'delay', 'timer', 'transaction', 'revive'] as const) {
    const put = broker.begin('T', origin, { queueId: 1, properties: ranked('3') }, origin);
    const outcome = await broker.machine.until(put, origin);
    assert.equal(outcome.code, ResponseCode.SUCCESS, origin);
    assert.ok(!(outcome instanceof Refusal));
    assert.equal(outcome.queueId, 1, origin);
  }
  await broker.stop();
});
