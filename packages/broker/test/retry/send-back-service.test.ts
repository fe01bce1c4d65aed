import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOffsetMessageId, createTopicConfig, MessageSysFlag, ResponseCode } from '@vernier/remoting';
import type { MessageExt } from '@vernier/store';
import { SCHEDULE_TOPIC } from '@vernier/store/internal';
import { Machine } from '../../../torture/test/machine.ts';
import type { Refusal } from '../../src/base/refusal.ts';
import type { SubscriptionGroupConfig } from '../../src/groups/subscription-group-config.ts';
import { subscriptionGroup } from '../../src/groups/subscription-group-config.ts';
import type { SendBack } from '../../src/retry/send-back-service.ts';
import { property } from '../harness.ts';
import { caller, MachineBroker, type MachineBrokerOptions } from '../machine-broker.ts';

const RETRY = '%RETRY%g';
const DLQ = '%DLQ%g';

async function fixture(group: Partial<SubscriptionGroupConfig> = {}, options: MachineBrokerOptions = {}) {
  const broker = await MachineBroker.start(options);
  const { machine, context } = broker;
  context.groups.update(subscriptionGroup('g', group));
  const back = (message: MessageExt, more: Partial<SendBack> = {}): Promise<Refusal | undefined> => {
    const request = { group: 'g', logOffset: message.commitLogOffset, delayLevel: 0, ...more };
    return machine.until(
      context.sendBack.sendBack({ maxReconsumeTimes: undefined, unitMode: false, ...request }, caller),
      'send back',
    );
  };
  const sent = async (properties = '', more = {}): Promise<MessageExt> => {
    await broker.send('Work', 'hard', properties, more);
    return (await broker.read('Work')).at(-1)!;
  };
  return { broker, machine, context, back, sent };
}

/** The properties that tell a history. */
const historyOf = ({ properties }: MessageExt) => ({
  topic: properties.get('RETRY_TOPIC'),
  id: properties.get('ORIGIN_MESSAGE_ID'),
  level: properties.get('DELAY'),
});

test('each further try waits a level more, from the third on, and the retry of a retry keeps its origin', async () => {
  const { broker, machine, back, sent } = await fixture();
  let message = await sent(property('TAGS', 'A'));
  const id = createOffsetMessageId(message.storeHost.address, message.storeHost.port, message.commitLogOffset);
  for (const [times, waitMs] of [10_000, 30_000, 60_000].entries()) {
    assert.equal(await back(message), undefined);
    const level = 3 + times;
    const [waiting] = await broker.read(SCHEDULE_TOPIC, level - 1);
    assert.equal(waiting?.reconsumeTimes, times + 1);
    assert.equal(waiting?.properties.get('REAL_TOPIC'), RETRY);
    await machine.advance(waitMs - 50);
    assert.equal((await broker.read(RETRY)).length, times, `not before its time, level ${level}`);
    await machine.advance(150);
    const retries = await broker.read(RETRY);
    assert.equal(retries.length, times + 1);
    message = retries.at(-1)!;
    assert.deepEqual(historyOf(message), { topic: 'Work', id, level: String(level) });
    assert.deepEqual([message.reconsumeTimes, message.body.toString()], [times + 1, 'hard']);
    assert.equal(message.properties.get('TAGS'), 'A');
  }
  await broker.stop();
});

test('a level that the consumer asks for is taken, and one beyond the table is the last', async () => {
  const { broker, back, sent } = await fixture();
  const message = await sent();
  assert.equal(await back(message, { delayLevel: 1 }), undefined);
  assert.equal(await back(message, { delayLevel: 99 }), undefined);
  assert.equal((await broker.read(SCHEDULE_TOPIC, 0)).length, 1);
  assert.equal((await broker.read(SCHEDULE_TOPIC, 17)).length, 1);
  await broker.stop();
});

test('dead letters: by a negative level, by the request’s number, by the group’s; at once, with all four names of their origin', async () => {
  const { broker, back, sent } = await fixture({ retryMaxTimes: 2 });
  const fresh = await sent();
  const twice = await sent(property('DELAY', '0'), { reconsumeTimes: 2 });
  assert.equal(await back(fresh, { delayLevel: -1 }), undefined);
  assert.equal(await back(fresh, { maxReconsumeTimes: 0 }), undefined);
  assert.equal(await back(twice, { delayLevel: 5 }), undefined, 'the level of the last try does not delay it');
  const dead = await broker.read(DLQ);
  assert.equal(dead.length, 3);
  for (const [i, letter] of dead.entries()) {
    const origin = i === 2 ? twice : fresh;
    const id = createOffsetMessageId(origin.storeHost.address, origin.storeHost.port, origin.commitLogOffset);
    assert.deepEqual(historyOf(letter), { topic: 'Work', id, level: '0' });
    assert.equal(letter.properties.get('DLQ_ORIGIN_TOPIC'), 'Work');
    assert.equal(letter.properties.get('DLQ_ORIGIN_MESSAGE_ID'), id);
    assert.equal(letter.reconsumeTimes, origin.reconsumeTimes + 1);
    assert.equal(letter.queueId, 0);
  }
  assert.equal(await back(twice, { maxReconsumeTimes: 3 }), undefined, 'the request’s number goes before the group’s');
  assert.equal((await broker.read(DLQ)).length, 3);
  await broker.stop();
});

test('a negative number of retries is without end, in the group and in the request', async () => {
  const { broker, back, sent } = await fixture({ retryMaxTimes: -1 });
  const tired = await sent('', { reconsumeTimes: 1_000 });
  assert.equal(await back(tired), undefined);
  assert.equal(await back(tired, { maxReconsumeTimes: -1 }), undefined);
  assert.equal((await broker.read(DLQ)).length, 0);
  assert.equal((await broker.read(SCHEDULE_TOPIC, 17)).length, 2);
  const sentBack = await broker.send(RETRY, 'by the client', '', { reconsumeTimes: 1_000 });
  assert.equal(sentBack.code, ResponseCode.SUCCESS);
  await broker.send(RETRY, 'by the client too', '', { reconsumeTimes: 1_000, maxReconsumeTimes: -1 });
  assert.deepEqual(await broker.bodies(RETRY), ['by the client', 'by the client too']);
  await broker.stop();
});

test('body, flags and birth are what they were, compression and IPv6 included', async () => {
  const { broker, machine, back, sent } = await fixture();
  const bornHost = { address: new Uint8Array(16).fill(9), port: 77 };
  const sysFlag = MessageSysFlag.COMPRESSED | 0x200;
  const message = await sent('', { bornHost, sysFlag, flag: 5, bornTimestamp: 42, body: Buffer.from([1, 2, 0, 255]) });
  assert.equal(await back(message, { delayLevel: 1 }), undefined);
  await machine.advance(1_100);
  const [retry] = await broker.read(RETRY);
  assert.deepEqual([...retry!.body], [1, 2, 0, 255]);
  assert.deepEqual([retry?.flag, retry?.bornTimestamp, retry?.bornHost.port], [5, 42, 77]);
  assert.deepEqual([...retry!.bornHost.address], [...bornHost.address]);
  assert.equal(retry!.sysFlag & ~(MessageSysFlag.BORN_HOST_V6 | MessageSysFlag.STORE_HOST_V6), sysFlag);
  await broker.stop();
});

test('a group with more retry queues than its retry topic: a retry goes to no queue that nobody reads', async () => {
  const { broker, machine, context, back, sent } = await fixture({ retryQueueNums: 8 }, { random: () => 0.999 });
  const message = await sent();
  for (const { readQueueNums, writeQueueNums, queueId } of [
    { readQueueNums: 1, writeQueueNums: 1, queueId: 0 },
    { readQueueNums: 2, writeQueueNums: 16, queueId: 1 },
    { readQueueNums: 16, writeQueueNums: 3, queueId: 2 },
    { readQueueNums: 16, writeQueueNums: 16, queueId: 7 },
    { readQueueNums: 0, writeQueueNums: 0, queueId: 7 },
  ]) {
    context.topics.update(createTopicConfig(RETRY, { readQueueNums, writeQueueNums }));
    const before = (await broker.read(RETRY, queueId)).length;
    assert.equal(await back(message, { delayLevel: 1 }), undefined);
    await machine.advance(1_100);
    assert.equal((await broker.read(RETRY, queueId)).length, before + 1, `queue ${queueId}`);
    assert.ok(queueId < context.topics.select(RETRY)!.readQueueNums, `queue ${queueId} is read`);
  }
  await broker.stop();
});

test('a message that was sent back twice is there twice: nothing is taken for the same', async () => {
  const { broker, machine, back, sent } = await fixture();
  const message = await sent(property('UNIQ_KEY', 'U'));
  await back(message, { delayLevel: 1 });
  await back(message, { delayLevel: 1 });
  await machine.advance(1_100);
  assert.deepEqual(
    (await broker.read(RETRY)).map(({ properties }) => properties.get('UNIQ_KEY')),
    ['U', 'U'],
  );
  await broker.stop();
});

test('what cannot be sent back, with its code, and nothing is stored', async () => {
  const { broker, context, back, sent } = await fixture();
  const message = await sent();
  const codeOf = async (outcome: Promise<Refusal | undefined>): Promise<number | undefined> => (await outcome)?.code;
  const end = broker.store.maxPhyOffset;
  assert.equal(await codeOf(back(message, { group: 'a b' })), ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST);
  assert.equal(await codeOf(back(message, { logOffset: 5 })), ResponseCode.SYSTEM_ERROR);
  assert.equal(await codeOf(back(message, { logOffset: end + 100 })), ResponseCode.SYSTEM_ERROR);
  context.groups.update(subscriptionGroup('none', { retryQueueNums: 0 }));
  assert.equal(await codeOf(back(message, { group: 'none' })), undefined, 'a group without retries drops it');
  context.topics.update({ ...context.topics.select(RETRY)!, perm: 4 });
  assert.equal(await codeOf(back(message)), ResponseCode.NO_PERMISSION);
  context.topics.update({ ...context.topics.select(RETRY)!, perm: 6 });
  context.config.brokerPermission = 4;
  assert.equal(await codeOf(back(message)), ResponseCode.NO_PERMISSION);
  context.config.brokerPermission = 6;
  assert.equal(broker.store.maxPhyOffset, end);
  const { store } = broker;
  store.asyncPutMessage = () =>
    Promise.resolve({
      ...{ status: 'SERVICE_NOT_AVAILABLE', wroteOffset: -1, wroteBytes: 0, queueOffset: -1, storeTimestamp: 0 },
      messageCount: 0,
    });
  const failed = await back(message);
  assert.equal(failed?.code, ResponseCode.SYSTEM_ERROR);
  assert.match(failed?.remark ?? '', /^SERVICE_NOT_AVAILABLE/);
  await broker.stop();
});

test('the ladder is as short as messageDelayLevel says', async () => {
  const machine = new Machine({ messageDelayLevel: '1s 1s 1s 2s' });
  const { broker, back, sent } = await fixture({}, { machine });
  const message = await sent('', { reconsumeTimes: 14 });
  assert.equal(await back(message), undefined);
  await machine.advance(2_200);
  assert.equal((await broker.read(RETRY)).length, 1);
  await broker.stop();
});
