import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestCode, ResponseCode } from '@vernier/remoting';
import { resolveBrokerConfig } from '../../src/config.ts';
import { property, pullFields, send, startBroker } from '../harness.ts';

const TIMER = 'rmq_sys_wheel_timer';
const mappedFileSizeTimerLog = 1024 * 1024;

test('the answer to a timed message has a handle, by which it is recalled; other answers have none', async (t) => {
  const broker = await startBroker(t, { broker: { recallMessageEnable: true, mappedFileSizeTimerLog } });
  const { invoke } = broker;
  const time = Date.now() + 60_000;
  const properties = property('UNIQ_KEY', 'K1') + property('TIMER_DELIVER_MS', String(time));
  const sent = await send(broker, 'Work', 'x', properties, 3);
  assert.equal(sent.code, ResponseCode.SUCCESS);
  const { queueId, queueOffset, transactionId, recallHandle, msgId } = sent.extFields ?? {};
  assert.deepEqual([queueId, queueOffset, transactionId], ['3', '0', 'K1']);
  assert.match(msgId ?? '', /^[0-9A-F]{32}$/);
  const out = (Math.ceil(time / 1_000) - 1) * 1_000;
  assert.equal(Buffer.from(recallHandle!, 'base64url').toString(), `v1 Work broker-a ${out + 1} K1`);
  for (const more of ['', property('DELAY', '3'), property('TIMER_DELIVER_MS', '1')]) {
    assert.equal((await send(broker, 'Work', 'x', more)).extFields?.recallHandle, undefined);
  }
  const recalled = await invoke(RequestCode.RECALL_MESSAGE, {
    topic: 'Work',
    recallHandle: recallHandle!,
    producerGroup: 'p',
  });
  assert.equal(recalled.code, ResponseCode.SUCCESS, recalled.remark);
  assert.equal(recalled.extFields?.msgId, 'K1');
  assert.equal(recalled.extFields?.MSG_REGION, 'DefaultRegion');
});

test('RECALL_MESSAGE: what is missing or garbage is refused with the exact code', async (t) => {
  const broker = await startBroker(t);
  const { invoke } = broker;
  await send(broker, 'Work', 'x');
  const off = await invoke(RequestCode.RECALL_MESSAGE, { topic: 'Work', recallHandle: 'x' });
  assert.equal(off.code, ResponseCode.NO_PERMISSION);
  broker.broker.config.recallMessageEnable = true;
  for (const [fields, code] of [
    [{}, ResponseCode.INVALID_PARAMETER],
    [{ topic: 'Work' }, ResponseCode.INVALID_PARAMETER],
    [{ topic: 'Nobody', recallHandle: 'x' }, ResponseCode.TOPIC_NOT_EXIST],
    [{ topic: 'Work', recallHandle: 'x' }, ResponseCode.ILLEGAL_OPERATION],
    [{ topic: 'Work', recallHandle: '\u0000' }, ResponseCode.ILLEGAL_OPERATION],
    [{ topic: 'Work', recallHandle: 'A'.repeat(20_000) }, ResponseCode.ILLEGAL_OPERATION],
  ] as const) {
    assert.equal((await invoke(RequestCode.RECALL_MESSAGE, fields)).code, code, JSON.stringify(fields).slice(0, 60));
  }
});

test('operators ask what waits: GET_TIMER_CHECK_POINT, GET_TIMER_METRICS and the runtime information', async (t) => {
  const broker = await startBroker(t, { broker: { mappedFileSizeTimerLog } });
  const { invoke } = broker;
  const before = await invoke(RequestCode.GET_TIMER_CHECK_POINT);
  assert.deepEqual([before.code, before.body?.length], [ResponseCode.SUCCESS, 56]);
  for (let i = 0; i < 3; i++) await send(broker, 'Work', 'x', property('TIMER_DELAY_SEC', '600'));
  await broker.broker.store.flush();
  // However long the disk takes.
  while (broker.broker.context.timer.waitingCount < 3) await new Promise((resolve) => setImmediate(resolve));
  const check = (await invoke(RequestCode.GET_TIMER_CHECK_POINT)).body!;
  assert.equal(check.readBigInt64BE(16), 3n, 'lastTimerQueueOffset');
  const metrics = JSON.parse(String((await invoke(RequestCode.GET_TIMER_METRICS)).body));
  assert.equal(metrics.timingCount.Work.count, 3);
  assert.equal(typeof metrics.dataVersion.counter, 'number');
  const { table } = JSON.parse(String((await invoke(RequestCode.GET_BROKER_RUNTIME_INFO)).body));
  assert.deepEqual([table.timerReadBehind, table.timerOffsetBehind, table.timerCongestNum], ['0', '0', '3']);
  const pulled = await invoke(RequestCode.PULL_MESSAGE, pullFields(TIMER, 0, { queueId: '0' }));
  assert.equal(pulled.code, ResponseCode.SUCCESS, 'the topic can be read');
});

test('without timerWheelEnable there is no checkpoint, and the gauges are 0', async (t) => {
  const { invoke } = await startBroker(t, { broker: { timerWheelEnable: false } });
  assert.equal((await invoke(RequestCode.GET_TIMER_CHECK_POINT)).code, ResponseCode.SYSTEM_ERROR);
  const { table } = JSON.parse(String((await invoke(RequestCode.GET_BROKER_RUNTIME_INFO)).body));
  assert.deepEqual([table.timerCongestNum, table.timerEnqueueTps], ['0', '0.0']);
});

test('timerPrecisionMs takes what RocketMQ takes, and nothing between', async (t) => {
  for (const timerPrecisionMs of [100, 200, 500, 1_000]) {
    const { invoke } = await startBroker(t, { broker: { timerPrecisionMs } });
    const config = await invoke(RequestCode.GET_BROKER_CONFIG);
    assert.match(String(config.body), new RegExp(`^timerPrecisionMs=${timerPrecisionMs}$`, 'm'));
  }
  for (const timerPrecisionMs of [0, 50, 300, 2_000]) {
    assert.throws(() => resolveBrokerConfig({ timerPrecisionMs }), /100, 200, 500, 1000/);
  }
});
