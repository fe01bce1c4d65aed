import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRequest, type ExtFields, MQVersion, RequestCode, ResponseCode, TopicSysFlag } from '@vernier/remoting';
import { heartbeat, send, startBroker } from '../harness.ts';

test('the header: level, number of tries if the client is new enough to mean it, unit', async (t) => {
  const broker = await startBroker(t);
  await broker.invoke(RequestCode.HEART_BEAT, undefined, heartbeat('c', { group: 'g', topic: 'Work' }));
  await send(broker, 'Work', 'hard');
  const back = async (fields: ExtFields, version: number = MQVersion.V5_5_0): Promise<number> => {
    const request = createRequest(RequestCode.CONSUMER_SEND_MSG_BACK, { offset: '0', group: 'g', ...fields });
    return (await broker.client.invoke(broker.address, { ...request, version }, 10_000)).code;
  };
  const count = (topic: string, queueId: number): number => broker.broker.store.getMaxOffsetInQueue(topic, queueId);
  assert.equal(await back({ delayLevel: '0', maxReconsumeTimes: '2' }), ResponseCode.SUCCESS);
  assert.equal(count('SCHEDULE_TOPIC_XXXX', 2), 1);
  assert.equal(await back({ delayLevel: '0', maxReconsumeTimes: '0' }, MQVersion.V3_4_9 - 1), ResponseCode.SUCCESS);
  assert.equal(await back({ delayLevel: '5', maxReconsumeTimes: '' }), ResponseCode.SUCCESS);
  assert.equal(count('SCHEDULE_TOPIC_XXXX', 2), 2);
  assert.equal(count('SCHEDULE_TOPIC_XXXX', 4), 1);
  assert.equal(count('%DLQ%g', 0), 0);
  assert.equal(await back({ delayLevel: '0', maxReconsumeTimes: '0' }), ResponseCode.SUCCESS);
  assert.equal(await back({ delayLevel: '-1' }), ResponseCode.SUCCESS);
  assert.equal(count('%DLQ%g', 0), 2);
  assert.equal(await back({ delayLevel: '0', group: 'units', unitMode: 'true' }), ResponseCode.SUCCESS);
  assert.equal(broker.broker.context.topics.select('%RETRY%units')?.topicSysFlag, TopicSysFlag.UNIT_SUB);
});

test('what cannot be sent back', async (t) => {
  const broker = await startBroker(t);
  const back = (more: Record<string, string>) =>
    broker.invoke(RequestCode.CONSUMER_SEND_MSG_BACK, { offset: '0', group: 'g', delayLevel: '0', ...more });
  assert.equal((await back({ group: 'bad group' })).code, ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST);
  const nothing = await back({ offset: '123' });
  assert.equal(nothing.code, ResponseCode.SYSTEM_ERROR);
  assert.match(nothing.remark ?? '', /look message by offset failed, 123/);
  assert.equal((await back({ offset: 'x' })).code, ResponseCode.INVALID_PARAMETER);
  await broker.invoke(
    RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
    undefined,
    JSON.stringify({ groupName: 'once', retryQueueNums: 0 }),
  );
  assert.equal((await back({ group: 'once' })).code, ResponseCode.SUCCESS, 'a group without retries drops it');
  broker.broker.config.brokerPermission = 4;
  assert.equal((await back({})).code, ResponseCode.NO_PERMISSION);
});
