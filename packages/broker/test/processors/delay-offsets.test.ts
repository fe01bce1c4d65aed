import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeRecords, parseJavaJson, RequestCode, ResponseCode } from '@vernier/remoting';
import { property, pullFields, send, startBroker } from '../harness.ts';

test('operators ask how far the delay levels are, by both requests', async (t) => {
  const broker = await startBroker(t);
  const sent = await send(broker, 'Work', 'x', property('DELAY', '5'), 3);
  assert.deepEqual([sent.code, sent.extFields?.queueId, sent.extFields?.queueOffset], [ResponseCode.SUCCESS, '3', '0']);
  const { code, body } = await broker.invoke(RequestCode.GET_ALL_DELAY_OFFSET);
  assert.equal(code, ResponseCode.SUCCESS);
  const { offsetTable } = parseJavaJson(String(body)) as { offsetTable: Record<string, number> };
  assert.deepEqual([Object.keys(offsetTable).length, offsetTable[5]], [18, 0]);
  const info = await broker.invoke(RequestCode.GET_BROKER_RUNTIME_INFO);
  assert.equal(JSON.parse(String(info.body)).table.scheduleMessageOffset_5, '0,1');
});

test('the queues of the levels can be read and not be deleted, whatever the settings say', async (t) => {
  const broker = await startBroker(t, { broker: { validateSystemTopicWhenUpdateTopic: false } });
  const topic = 'SCHEDULE_TOPIC_XXXX';
  await send(broker, 'Work', 'x', property('DELAY', '5'));
  for (const validate of [false, true]) {
    broker.broker.config.validateSystemTopicWhenUpdateTopic = validate;
    const refused = await broker.invoke(RequestCode.DELETE_TOPIC_IN_BROKER, { topic });
    assert.equal(refused.code, ResponseCode.INVALID_PARAMETER);
  }
  assert.equal((await send(broker, topic, 'x')).code, ResponseCode.NO_PERMISSION);
  const pulled = await broker.invoke(RequestCode.PULL_MESSAGE, pullFields(topic, 0, { queueId: '4' }));
  assert.equal(decodeRecords(pulled.body ?? Buffer.alloc(0)).length, 1);
});

test('a broker takes messageDelayLevel as any setting, and it is not changed while it runs', async (t) => {
  const broker = await startBroker(t, { store: { messageDelayLevel: '1s 2s' } });
  const config = await broker.invoke(RequestCode.GET_BROKER_CONFIG);
  assert.match(String(config.body), /^messageDelayLevel=1s 2s$/m);
  const changed = await broker.invoke(RequestCode.UPDATE_BROKER_CONFIG, undefined, 'messageDelayLevel=1s 3s\n');
  assert.equal(changed.code, ResponseCode.NO_PERMISSION);
  assert.match(changed.remark ?? '', /only be set at start/);
});
