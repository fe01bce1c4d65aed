import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Refusal } from '../../src/base/refusal.ts';
import type { Stored } from '../../src/put/put-service.ts';
import { decodeRecallHandle, encodeRecallHandle } from '../../src/timer/recall-handle.ts';
import { property } from '../harness.ts';
import { caller, MachineBroker } from '../machine-broker.ts';

const TIMER = 'rmq_sys_wheel_timer';
const config = { recallMessageEnable: true };

interface Timed {
  time: number;
  handle: string;
  key: string;
}

async function timed(broker: MachineBroker, body: string, aheadMs: number, more = ''): Promise<Timed> {
  const time = Math.ceil((broker.machine.scheduler.now() + aheadMs) / 1_000) * 1_000;
  const properties = property('TIMER_DELIVER_MS', String(time)) + more;
  const put = (await broker.send('Work', body, properties)) as Stored;
  const key = put.uniqKey!;
  const handle = {
    topic: 'Work',
    brokerName: broker.context.config.brokerName,
    timestamp: put.timerOutMs! + 1,
    messageId: key,
  };
  return { time, handle: encodeRecallHandle(handle), key };
}

const recall = (broker: MachineBroker, handle: string, topic = 'Work'): Promise<string | Refusal> =>
  broker.machine.until(broker.context.recall.recall({ topic, handle, producerGroup: 'p' }, caller), 'recall');

test('the handle is RocketMQ’s', () => {
  const handle = { topic: 'T', brokerName: 'broker-a', timestamp: 1_790_000_000_001, messageId: '7F00' };
  const text = encodeRecallHandle(handle);
  assert.equal(Buffer.from(text, 'base64url').toString(), 'v1 T broker-a 1790000000001 7F00');
  assert.equal(text.length % 4, 0, 'padded as Java pads it');
  assert.deepEqual(decodeRecallHandle(text), handle);
  assert.deepEqual(decodeRecallHandle(text.replace(/=+$/, '')), handle);
  for (const wrong of [
    '',
    '=',
    'x',
    'v1 a b 1 c',
    'a'.repeat(5_000),
    Buffer.from('v2 a b 1 c').toString('base64url'),
  ]) {
    assert.equal(decodeRecallHandle(wrong), undefined, wrong.slice(0, 20));
  }
  assert.ok(Number.isNaN(decodeRecallHandle(Buffer.from('v1 a b x c').toString('base64url'))!.timestamp));
});

test('recalled before its time: not delivered, and the others of its slot are', async () => {
  const broker = await MachineBroker.start({ config });
  const first = await timed(broker, 'first', 10_000);
  const second = await timed(broker, 'second', 10_000);
  await broker.machine.advance(2_000);
  assert.equal(await recall(broker, second.handle), second.key);
  assert.equal(await recall(broker, second.handle), second.key, 'twice is no fault');
  await broker.machine.advance(15_000);
  assert.deepEqual(await broker.bodies('Work'), ['first']);
  assert.equal(broker.context.timer.recalledTotal, 1);
  assert.equal(broker.context.timer.waitingCount, 0);
  assert.deepEqual(JSON.parse(broker.context.timer.metricsText()).timingCount, {}, 'it counts once');
  const late = await recall(broker, first.handle);
  assert.ok(late instanceof Refusal);
  assert.equal(late.code, 604);
  await broker.stop();
});

test('a recall that was stored and not taken up when the slot is due is in time', async () => {
  const broker = await MachineBroker.start({ config });
  const message = await timed(broker, 'x', 3_000);
  const { scheduler } = broker.machine;
  // As late as it may be: a unit in front of the time.
  await broker.machine.advance(message.time - 1_000 - scheduler.now() - 2);
  const held = broker.machine.fileSystem.hold('read', 'commitlog');
  const asked = broker.context.recall.recall({ topic: 'Work', handle: message.handle, producerGroup: '' }, caller);
  await broker.machine.advance(1_050);
  held.release();
  assert.equal(await broker.machine.until(asked, 'recall'), message.key);
  await broker.machine.advance(3_000);
  assert.deepEqual(await broker.bodies('Work'), []);
  await broker.stop();
});

test('recalled before a restart, a kill and a power cut: not delivered', async () => {
  for (const end of ['stop', 'kill', 'cut'] as const) {
    const broker = await MachineBroker.start({ config });
    const message = await timed(broker, 'x', 5_000);
    const other = await timed(broker, 'other', 5_000);
    await broker.machine.advance(1_500);
    assert.equal(await recall(broker, message.handle), message.key);
    if (end === 'stop') await broker.stop();
    const machine = end === 'cut' ? broker.cutPower(5) : broker.kill();
    const next = await MachineBroker.start({ machine, config });
    await next.machine.advance(8_000);
    assert.deepEqual(await next.bodies('Work'), ['other'], `${end} ${other.key}`);
    await next.stop();
  }
});

test('a message that is stored anew while it waits can be recalled at any moment of it', async () => {
  for (let seconds = 1; seconds <= 28; seconds += 3) {
    const broker = await MachineBroker.start({ config: { ...config, timerRollWindowSlot: 7 } });
    const message = await timed(broker, 'x', 30_000);
    await broker.machine.advance(seconds * 1_000 + 400);
    assert.equal(await recall(broker, message.handle), message.key);
    await broker.machine.advance(60_000);
    assert.deepEqual(await broker.bodies('Work'), [], `recalled after ${seconds} s`);
    await broker.stop();
  }
});

test('a producer’s own note with RocketMQ 5.3’s key is honoured; a key of another topic is not', async () => {
  const broker = await MachineBroker.start({ config });
  const first = await timed(broker, 'first', 5_000);
  const second = await timed(broker, 'second', 5_000);
  const at = property('TIMER_DELIVER_MS', String(first.time));
  await broker.send('Work', '0', at + property('TIMER_DEL_UNIQKEY', `Work+${first.key}`));
  await broker.send('Other', '0', at + property('TIMER_DEL_UNIQKEY', second.key));
  await broker.machine.advance(8_000);
  assert.deepEqual(await broker.bodies('Work'), ['second']);
  assert.deepEqual(await broker.bodies('Other'), []);
  await broker.stop();
});

test('what a recall is refused for, and nothing is stored', async () => {
  const broker = await MachineBroker.start({ config: { ...config, timerMaxDelaySec: 600 } });
  const { handle, time, key } = await timed(broker, 'x', 100_000);
  await broker.send('Other', 'x');
  const end = broker.store.maxPhyOffset;
  const with_ = (change: object): string => encodeRecallHandle({ ...decodeRecallHandle(handle)!, ...change });
  const cases: [string, string, number][] = [
    ['no such topic', 'Nobody', 17],
    ['another topic', 'Other', 604],
  ];
  for (const [name, topic, code] of cases) {
    const refused = await recall(broker, handle, topic);
    assert.ok(refused instanceof Refusal, name);
    assert.equal(refused.code, code, name);
  }
  for (const wrong of [
    'x',
    'AAAA',
    with_({ brokerName: 'broker-b' }),
    with_({ timestamp: 1 }),
    with_({ timestamp: broker.machine.scheduler.now() }),
    with_({ timestamp: time + 700_000 }),
    with_({ timestamp: 'x' }),
    with_({ messageId: `${key}\u0001` }),
  ]) {
    const refused = await recall(broker, wrong);
    assert.ok(refused instanceof Refusal, wrong);
    assert.equal(refused.code, 604, wrong);
  }
  broker.context.config.recallMessageEnable = false;
  const off = await recall(broker, handle);
  assert.ok(off instanceof Refusal && off.code === 16);
  broker.context.config.recallMessageEnable = true;
  broker.context.config.startAcceptSendRequestTimeStamp = broker.machine.scheduler.now() + 60_000;
  const early = await recall(broker, handle);
  assert.ok(early instanceof Refusal && early.code === 14);
  assert.equal(broker.store.maxPhyOffset, end);
  assert.equal((await broker.read(TIMER)).length, 1);
  await broker.stop();
});
