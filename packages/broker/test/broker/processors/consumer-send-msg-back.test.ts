import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeRecords, RequestCode, ResponseCode } from '@vernier/remoting';
import { heartbeat, property, pullFields, send, startBroker } from '../harness.ts';

test('a message sent back comes again from the retry topic with its history, and ends as a dead letter', async (t) => {
  const broker = await startBroker(t);
  await broker.invoke(RequestCode.HEART_BEAT, undefined, heartbeat('c', { group: 'g', topic: 'Work' }));
  const sent = await send(broker, 'Work', 'hard', property('TAGS', 'A') + property('DELAY', '0'));
  const back = (offset: number, more = {}) =>
    broker.invoke(RequestCode.CONSUMER_SEND_MSG_BACK, {
      offset: String(offset),
      group: 'g',
      delayLevel: '0',
      originTopic: 'Work',
      maxReconsumeTimes: '2',
      ...more,
    });
  const pull = async (topic: string, offset: number) => {
    const answer = await broker.invoke(RequestCode.PULL_MESSAGE, pullFields(topic, offset));
    return decodeRecords(answer.body ?? Buffer.alloc(0));
  };
  assert.equal((await back(0)).code, ResponseCode.SUCCESS);
  const [once] = await pull('%RETRY%g', 0);
  assert.equal(once?.body.toString(), 'hard');
  assert.equal(once?.reconsumeTimes, 1);
  assert.equal(once?.properties.get('RETRY_TOPIC'), 'Work');
  assert.equal(once?.properties.get('ORIGIN_MESSAGE_ID'), sent.extFields?.msgId);
  assert.equal(once?.properties.get('TAGS'), 'A');
  assert.equal(once?.properties.get('DELAY'), undefined);

  assert.equal((await back(once?.commitLogOffset ?? -1)).code, ResponseCode.SUCCESS);
  const [twice] = await pull('%RETRY%g', 1);
  assert.equal(twice?.reconsumeTimes, 2);
  assert.equal(twice?.properties.get('RETRY_TOPIC'), 'Work', 'the first origin stays');
  assert.equal(twice?.properties.get('ORIGIN_MESSAGE_ID'), sent.extFields?.msgId);

  assert.equal((await back(twice?.commitLogOffset ?? -1)).code, ResponseCode.SUCCESS);
  const [dead] = await pull('%DLQ%g', 0);
  assert.equal(dead?.body.toString(), 'hard');
  assert.equal((await pull('%RETRY%g', 2)).length, 0);

  assert.equal((await back(0, { delayLevel: '-1' })).code, ResponseCode.SUCCESS);
  assert.equal((await pull('%DLQ%g', 1)).length, 1, 'a negative level is a dead letter at once');
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
