import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import { SCHEDULE_TOPIC } from '@vernier/store/internal';
import { property } from '../harness.ts';
import { MachineBroker } from '../machine-broker.ts';

const RETRY = '%RETRY%g';
const DLQ = '%DLQ%g';
/** As a Java consumer sends what it cannot send back otherwise. */
const retry = property('RETRY_TOPIC', 'Work') + property('UNIQ_KEY', 'U') + property('DELAY', '4');

test('a consumer that gave up: beyond its number a message is a dead letter, at once and with its origin', async () => {
  const broker = await MachineBroker.start();
  await broker.send(RETRY, 'once more', retry, { reconsumeTimes: 1, maxReconsumeTimes: 1 });
  const put = await broker.send(RETRY, 'dead', retry, { reconsumeTimes: 2, maxReconsumeTimes: 1 });
  assert.equal(put.code, ResponseCode.SUCCESS);
  assert.deepEqual(await broker.bodies(SCHEDULE_TOPIC, 3), ['once more']);
  const [dead] = await broker.read(DLQ);
  assert.equal(dead?.body.toString(), 'dead');
  assert.equal(dead?.properties.get('DELAY'), '-1');
  assert.equal(dead?.properties.get('RETRY_TOPIC'), 'Work');
  for (const name of ['ORIGIN_MESSAGE_ID', 'DLQ_ORIGIN_MESSAGE_ID']) assert.equal(dead?.properties.get(name), 'U');
  assert.equal(dead?.properties.get('DLQ_ORIGIN_TOPIC'), 'Work');
  const origin = retry + property('ORIGIN_MESSAGE_ID', 'O');
  await broker.send(RETRY, 'dead too', origin, { reconsumeTimes: 17 });
  const [, second] = await broker.read(DLQ);
  for (const name of ['ORIGIN_MESSAGE_ID', 'DLQ_ORIGIN_MESSAGE_ID']) assert.equal(second?.properties.get(name), 'O');
  await broker.stop();
});

test('a group that consumes in order: dead at once while a lock is younger than 60 s, by the number without one', async () => {
  const broker = await MachineBroker.start({ config: { lockMaxLiveTime: 3_600_000 } });
  const { context, machine } = broker;
  const send = (body: string, reconsumeTimes: number) =>
    broker.send(RETRY, body, retry, { reconsumeTimes, maxReconsumeTimes: 5 });
  context.locks.lock('g', 'c', [{ topic: 'Work', brokerName: 'broker-a', queueId: 0 }]);
  await machine.advance(59_000);
  await send('held', 1);
  assert.deepEqual(await broker.bodies(DLQ), ['held']);
  await machine.advance(2_000);
  await send('no renewal since', 1);
  await send('beyond', 6);
  assert.deepEqual(await broker.bodies(DLQ), ['held', 'beyond']);
  assert.deepEqual(await broker.bodies(SCHEDULE_TOPIC, 3), ['no renewal since']);
  await broker.stop();
});
