import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createTopicConfig, decodeRecords, RequestCode, ResponseCode } from '@vernier/remoting';
import { subscriptionGroup } from '../../src/groups/subscription-group-config.ts';
import { property, send, startBroker, type TestBroker } from '../harness.ts';

async function start(t: TestContext): Promise<TestBroker> {
  const broker = await startBroker(t, { store: { enableLmq: true, enableMultiDispatch: true } });
  const { topics, groups } = broker.broker.context;
  topics.update(createTopicConfig('P', { attributes: new Map([['message.type', 'LITE']]) }));
  groups.update(subscriptionGroup('g', { attributes: { 'lite.bind.topic': 'P' } }));
  return broker;
}

const subscribe = (broker: TestBroker, entry: object) =>
  broker.invoke(
    RequestCode.LITE_SUBSCRIPTION_CTL,
    {},
    JSON.stringify({ subscriptionSet: [{ action: 'PARTIAL_ADD', clientId: 'c', group: 'g', topic: 'P', ...entry }] }),
  );

const popFields = { clientId: 'c', consumerGroup: 'g', topic: 'P', maxMsgNum: '32', invisibleTime: '30000' };

test('lite: subscribed, sent, popped, given another time and acknowledged over the wire', async (t) => {
  const broker = await start(t);
  const subscribed = await subscribe(broker, { liteTopicSet: ['a'], offsetOption: { type: 'POLICY', value: 0 } });
  assert.equal(subscribed.code, ResponseCode.SUCCESS, subscribed.remark);
  const waiting = broker.invoke(RequestCode.POP_LITE_MESSAGE, { ...popFields, pollTime: '8000', bornTime: '0' });
  assert.equal((await send(broker, 'P', 'x', property('__LITE_TOPIC', 'a'))).code, ResponseCode.SUCCESS);
  const popped = await waiting;
  assert.equal(popped.code, ResponseCode.SUCCESS, popped.remark);
  assert.equal(popped.extFields?.reviveQid, '999');
  assert.equal(popped.extFields?.orderCountInfo, '0');
  const [message] = decodeRecords(popped.body ?? Buffer.alloc(0));
  assert.equal(message?.properties.get('INNER_MULTI_DISPATCH'), '%LMQ%$P$a');
  assert.equal(message?.properties.get('INNER_MULTI_QUEUE_OFFSET'), '0');
  const extraInfo = `0 ${popped.extFields?.popTime} 30000 999 0 broker-a 0 0`;
  const delivered = { consumerGroup: 'g', topic: 'P', queueId: '0', offset: '0', extraInfo, liteTopic: 'a' };
  const changed = await broker.invoke(RequestCode.CHANGE_MESSAGE_INVISIBLETIME, {
    ...delivered,
    invisibleTime: '60000',
  });
  assert.equal(changed.code, ResponseCode.SUCCESS, changed.remark);
  assert.equal(changed.extFields?.reviveQid, '999');
  for (const code of [RequestCode.ACK_MESSAGE, RequestCode.ACK_LITE_MESSAGE]) {
    const acked = await broker.invoke(code, delivered);
    assert.equal(acked.code, ResponseCode.SUCCESS, acked.remark);
  }
  assert.equal(broker.broker.context.offsets.query('g', '%LMQ%$P$a', 0), 1);
  const empty = await broker.invoke(RequestCode.POP_LITE_MESSAGE, popFields);
  assert.equal(empty.code, ResponseCode.POLLING_TIMEOUT);
});

test('lite: what operators ask, and refusals, over the wire', async (t) => {
  const broker = await start(t);
  await subscribe(broker, { liteTopicSet: ['a', 'b'] });
  const asked = async (code: number, fields = {}) => {
    const answer = await broker.invoke(code, fields);
    assert.equal(answer.code, ResponseCode.SUCCESS, answer.remark);
    return JSON.parse((answer.body ?? Buffer.from('null')).toString()) as Record<string, unknown> | null;
  };
  assert.equal((await asked(RequestCode.GET_BROKER_LITE_INFO))?.liteSubscriptionCount, 2);
  assert.equal((await asked(RequestCode.GET_PARENT_TOPIC_INFO, { topic: 'P' }))?.ttl, -1);
  const topic = await asked(RequestCode.GET_LITE_TOPIC_INFO, { parentTopic: 'P', liteTopic: 'a' });
  assert.deepEqual(topic?.subscriber, [{ clientId: 'c', group: 'g' }]);
  const fields = { parentTopic: 'P', group: 'g', clientId: 'c', maxCount: '10' };
  assert.equal((await asked(RequestCode.GET_LITE_CLIENT_INFO, fields))?.liteTopicCount, 2);
  assert.equal((await asked(RequestCode.GET_LITE_GROUP_INFO, { group: 'g', topK: '5' }))?.totalLagCount, 0);
  await asked(RequestCode.TRIGGER_LITE_DISPATCH, { group: 'g' });

  const code = async (...args: Parameters<TestBroker['invoke']>) => (await broker.invoke(...args)).code;
  const ctl = RequestCode.LITE_SUBSCRIPTION_CTL;
  assert.equal(await code(ctl), ResponseCode.ILLEGAL_OPERATION, 'no body');
  assert.equal(await code(ctl, {}, '{"subscriptionSet":[]}'), ResponseCode.ILLEGAL_OPERATION);
  for (const body of [
    '{',
    '{"subscriptionSet":{}}',
    '{"subscriptionSet":[1]}',
    '{"subscriptionSet":[{"action":"X"}]}',
  ]) {
    assert.equal(await code(ctl, {}, body), ResponseCode.INVALID_PARAMETER, body);
  }
  for (const entry of [
    { liteTopicSet: 'a' },
    { liteTopicSet: [1] },
    { liteTopicSet: ['a'], offsetOption: { type: 'X' } },
  ]) {
    assert.equal((await subscribe(broker, entry)).code, ResponseCode.INVALID_PARAMETER, JSON.stringify(entry));
  }
  const pop = RequestCode.POP_LITE_MESSAGE;
  assert.equal(await code(pop, { ...popFields, maxMsgNum: 'x' }), ResponseCode.INVALID_PARAMETER);
  assert.equal(await code(pop, { ...popFields, topic: 'None' }), ResponseCode.TOPIC_NOT_EXIST);
  const delivered = { consumerGroup: 'g', topic: 'P', queueId: '0', offset: '0', extraInfo: '1 2', liteTopic: 'a' };
  assert.equal(await code(RequestCode.ACK_LITE_MESSAGE, delivered), ResponseCode.INVALID_PARAMETER);
  assert.equal(await code(RequestCode.GET_LITE_TOPIC_INFO, { parentTopic: 'None', liteTopic: 'a' }), 17);
});
