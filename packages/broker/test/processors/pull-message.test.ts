import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestCode, ResponseCode } from '@vernier/remoting';
import type { GetMessageStatus } from '@vernier/store';
import { subscriptionGroup } from '../../src/groups/subscription-group-config.ts';
import { responseCodeOfPull } from '../../src/pull/pull-service.ts';
import { heartbeat, property, pullFields, send, startBroker } from '../harness.ts';

test('what the store finds and the code that says it', () => {
  const codes: [GetMessageStatus | 'OFFSET_RESET', number, number][] = [
    ['FOUND', 0, ResponseCode.SUCCESS],
    ['NO_MATCHED_MESSAGE', 0, ResponseCode.PULL_RETRY_IMMEDIATELY],
    ['MESSAGE_WAS_REMOVING', 0, ResponseCode.PULL_RETRY_IMMEDIATELY],
    ['OFFSET_FOUND_NULL', 5, ResponseCode.PULL_NOT_FOUND],
    ['OFFSET_OVERFLOW_ONE', 5, ResponseCode.PULL_NOT_FOUND],
    ['OFFSET_OVERFLOW_BADLY', 5, ResponseCode.PULL_OFFSET_MOVED],
    ['OFFSET_TOO_SMALL', 5, ResponseCode.PULL_OFFSET_MOVED],
    ['OFFSET_RESET', 5, ResponseCode.PULL_OFFSET_MOVED],
    ['NO_MATCHED_LOGIC_QUEUE', 0, ResponseCode.PULL_NOT_FOUND],
    ['NO_MATCHED_LOGIC_QUEUE', 5, ResponseCode.PULL_OFFSET_MOVED],
    ['NO_MESSAGE_IN_QUEUE', 0, ResponseCode.PULL_NOT_FOUND],
    ['NO_MESSAGE_IN_QUEUE', 5, ResponseCode.PULL_OFFSET_MOVED],
  ];
  for (const [status, offset, code] of codes)
    assert.equal(responseCodeOfPull(status, offset), code, `${status} ${offset}`);
});

test('refusals carry the exact codes and say which rule forbade it', async (t) => {
  const broker = await startBroker(t);
  const { invoke } = broker;
  const { config, topics, groups } = broker.broker.context;
  await send(broker, 'T', 'x');
  topics.update({
    ...(topics.select('T') as NonNullable<ReturnType<typeof topics.select>>),
    topicName: 'WriteOnly',
    perm: 2,
  });
  const pull = (more: Record<string, string | undefined> = {}, topic = 'T', code: number = RequestCode.PULL_MESSAGE) =>
    invoke(code, pullFields(topic, 0, more));
  const expect = async (answer: ReturnType<typeof pull>, code: number, forbiddenType?: string): Promise<void> => {
    const got = await answer;
    assert.equal(got.code, code, got.remark);
    assert.equal(got.extFields?.forbiddenType, forbiddenType, got.remark);
  };
  await expect(pull(), ResponseCode.SUCCESS);
  await expect(pull({ queueId: undefined }), ResponseCode.INVALID_PARAMETER);
  await expect(pull({ maxMsgNums: 'many' }), ResponseCode.INVALID_PARAMETER);
  await expect(pull({ queueId: '4' }), ResponseCode.INVALID_PARAMETER);
  await expect(pull({ queueId: '-1' }), ResponseCode.INVALID_PARAMETER);
  await expect(pull({}, 'NoTopic'), ResponseCode.TOPIC_NOT_EXIST);
  await expect(pull({}, 'WriteOnly'), ResponseCode.NO_PERMISSION, '3');
  await expect(pull({ consumerGroup: 'bad group' }), ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST);
  await expect(pull({ subscription: '||' }), ResponseCode.SUBSCRIPTION_PARSE_FAILED);
  await expect(pull({ subscription: 'a > 1', expressionType: 'XPATH' }), ResponseCode.SYSTEM_ERROR);
  await expect(pull({ sysFlag: '0' }), ResponseCode.SUBSCRIPTION_NOT_EXIST);

  await invoke(
    RequestCode.HEART_BEAT,
    undefined,
    heartbeat('c', { group: 'consumers', topic: 'Other', subVersion: 10 }),
  );
  await expect(pull({ sysFlag: '0' }), ResponseCode.SUBSCRIPTION_NOT_EXIST);
  await invoke(RequestCode.HEART_BEAT, undefined, heartbeat('c', { group: 'consumers', topic: 'T', subVersion: 10 }));
  await expect(pull({ sysFlag: '0', subVersion: '10' }), ResponseCode.SUCCESS);
  await expect(pull({ sysFlag: '0', subVersion: '11' }), ResponseCode.SUBSCRIPTION_NOT_LATEST);
  groups.setReadable('consumers', 'T', false);
  await expect(pull({ sysFlag: '0' }), ResponseCode.NO_PERMISSION, '5');
  groups.setReadable('consumers', 'T', true);

  const group = groups.find('consumers');
  assert.ok(group);
  groups.update({ ...group, consumeEnable: false });
  await expect(pull(), ResponseCode.NO_PERMISSION, '2');
  groups.update({ ...group, consumeBroadcastEnable: false });
  await invoke(
    RequestCode.HEART_BEAT,
    undefined,
    heartbeat('c', { group: 'consumers', topic: 'T', subVersion: 10, model: 'BROADCASTING' }),
  );
  await expect(pull({ sysFlag: '0' }), ResponseCode.NO_PERMISSION, '4');

  config.litePullMessageEnable = false;
  await expect(pull({}, 'T', RequestCode.LITE_PULL_MESSAGE), ResponseCode.NO_PERMISSION, '1');
  config.brokerPermission = 2;
  await expect(pull(), ResponseCode.NO_PERMISSION, '1');
});

test('a group says which broker its members should read: with slaveReadEnable alone, or a master stays', async (t) => {
  const node = await startBroker(t);
  const { config, groups } = node.broker.context;
  await send(node, 'T', 'x');
  groups.update(subscriptionGroup('consumers', { brokerId: 7, whichBrokerWhenConsumeSlowly: 3 }));
  const suggested = async () =>
    (await node.invoke(RequestCode.PULL_MESSAGE, pullFields('T', 0))).extFields?.suggestWhichBrokerId;
  assert.equal(await suggested(), '0');
  config.slaveReadEnable = true;
  assert.equal(await suggested(), '7', 'the message is in memory: it keeps up');
  groups.update(subscriptionGroup('consumers'));
  assert.equal(await suggested(), '0');
});

test('a group that may not be made is not: autoCreateSubscriptionGroup=false', async (t) => {
  const broker = await startBroker(t, { broker: { autoCreateSubscriptionGroup: false } });
  await send(broker, 'T', 'x');
  const answer = await broker.invoke(RequestCode.PULL_MESSAGE, pullFields('T', 0));
  assert.equal(answer.code, ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST);
});

test('the commit bit stores the offset; a request without it does not', async (t) => {
  const broker = await startBroker(t);
  for (let count = 0; count < 3; count++) await send(broker, 'T', 'x');
  const { offsets } = broker.broker.context;
  await broker.invoke(RequestCode.PULL_MESSAGE, pullFields('T', 0, { commitOffset: '2' }));
  assert.equal(offsets.query('consumers', 'T', 0), -1);
  await broker.invoke(RequestCode.PULL_MESSAGE, pullFields('T', 0, { sysFlag: '5', commitOffset: '2' }));
  assert.equal(offsets.query('consumers', 'T', 0), 2);
  assert.equal(offsets.queryPull('consumers', 'T', 0), 3);
});

test('a held request commits once, when it comes, not again when it is woken', async (t) => {
  const broker = await startBroker(t);
  await send(broker, 'T', 'x');
  const { offsets, holds } = broker.broker.context;
  const fields = pullFields('T', 1, { sysFlag: '7', commitOffset: '1', suspendTimeoutMillis: '15000' });
  const pulling = broker.invoke(RequestCode.PULL_MESSAGE, fields);
  while (holds.count === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(offsets.query('consumers', 'T', 0), 1);
  offsets.commit('consumers', 'T', 0, 99);
  await send(broker, 'T', 'y');
  assert.equal((await pulling).code, ResponseCode.SUCCESS);
  assert.equal(offsets.query('consumers', 'T', 0), 99);
});

test('the limit on held requests answers SYSTEM_BUSY', async (t) => {
  const broker = await startBroker(t, { broker: { heldPullRequestsMax: 1 } });
  await send(broker, 'T', 'x');
  const fields = pullFields('T', 1, { sysFlag: '6', suspendTimeoutMillis: '15000' });
  const held = broker.invoke(RequestCode.PULL_MESSAGE, fields);
  while (broker.broker.context.holds.count === 0) await new Promise((resolve) => setImmediate(resolve));
  const second = await broker.invoke(RequestCode.PULL_MESSAGE, fields);
  assert.equal(second.code, ResponseCode.SYSTEM_BUSY);
  assert.match(second.remark ?? '', /heldPullRequestsMax is 1/);
  await send(broker, 'T', 'y');
  assert.equal((await held).code, ResponseCode.SUCCESS);
});

test('without long polling a request is held for shortPollingTimeMills', async (t) => {
  const broker = await startBroker(t, { broker: { longPollingEnable: false, shortPollingTimeMills: 1 } });
  await send(broker, 'T', 'x');
  const fields = pullFields('T', 1, { sysFlag: '6', suspendTimeoutMillis: '600000' });
  const answer = await broker.invoke(RequestCode.PULL_MESSAGE, fields);
  assert.equal(answer.code, ResponseCode.PULL_NOT_FOUND);
});

test('a message that arrives between the look at the queue and the hold is not waited for', async (t) => {
  const broker = await startBroker(t);
  await send(broker, 'T', 'x');
  const { store } = broker.broker;
  const getMessage = store.getMessage.bind(store);
  store.getMessage = async (...args) => {
    store.getMessage = getMessage;
    const result = await getMessage(...args);
    await send(broker, 'T', 'y', property('TAGS', 'A'));
    return result;
  };
  const fields = pullFields('T', 1, { sysFlag: '6', suspendTimeoutMillis: '60000' });
  const answer = await broker.invoke(RequestCode.PULL_MESSAGE, fields);
  assert.equal(answer.code, ResponseCode.SUCCESS);
});

test('lite pulls and a byte limit are served', async (t) => {
  const broker = await startBroker(t);
  for (let count = 0; count < 4; count++) await send(broker, 'T', 'x'.repeat(1000));
  const lite = await broker.invoke(RequestCode.LITE_PULL_MESSAGE, pullFields('T', 0, { sysFlag: '20' }));
  assert.equal(lite.extFields?.nextBeginOffset, '4');
  const limited = await broker.invoke(RequestCode.PULL_MESSAGE, pullFields('T', 0, { maxMsgBytes: '2600' }));
  assert.equal(limited.extFields?.nextBeginOffset, '2');
});
