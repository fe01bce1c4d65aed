import assert from 'node:assert/strict';
import test from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import { silentLogger } from '@vernier/store';
import { Budget } from '../../src/base/budget.ts';
import { REVIVE_GROUP, reviveTopicOf } from '../../src/base/names.ts';
import { Refusal } from '../../src/base/refusal.ts';
import { encodeAck, encodeCheckPoint, type PopCheckPoint } from '../../src/pop/check-point.ts';
import { type EventName, MessageMeters } from '../../src/stats/message-meters.ts';
import { property } from '../harness.ts';
import { PopMachine, SECOND } from './pop-machine.ts';

const REVIVE_TOPIC = reviveTopicOf('DefaultCluster');
const RETRY = '%RETRY%g_T';

test('revive: the place is the last entry that is done, as RocketMQ has it', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  await pop.bodies();
  await pop.advance(29.5 * SECOND);
  assert.equal(pop.committed(REVIVE_TOPIC, 0, REVIVE_GROUP), -1, 'the checkpoint is there and not done with');
  await pop.advance(2 * SECOND);
  assert.equal(pop.committed(REVIVE_TOPIC, 0, REVIVE_GROUP), 0);
  await pop.broker.stop();
});

test('revive: a kill at any moment around the end gives the message again, and not for ever', async () => {
  for (let ms = 28_900; ms <= 31_000; ms += 150) {
    const pop = await PopMachine.start({}, { flushConsumerOffsetInterval: 10 });
    await pop.send('T', 'a');
    await pop.bodies();
    await pop.advance(ms);
    await pop.cutPower(ms);
    await pop.advance(35 * SECOND);
    const copies = (await pop.broker.read(RETRY)).length;
    assert.ok(copies >= 1 && copies <= 2, `after ${ms} ms: ${copies} copies`);
    await pop.advance(60 * SECOND);
    assert.equal((await pop.broker.read(RETRY)).length, copies, `after ${ms} ms: no more of them`);
    await pop.broker.stop();
  }
});

test('revive: after a restart acks in the log count, however late timed messages are', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  const [a] = await pop.pop();
  await pop.ack(a!);
  await pop.kill();
  pop.broker.timer.isStopped = true;
  await pop.advance(60 * SECOND);
  assert.equal(await pop.broker.store.getMaxOffsetInQueue(RETRY, 0), 0, 'nothing is given before the acks are there');
  await pop.kill();
  await pop.advance(5 * SECOND);
  assert.deepEqual(await pop.bodies(), ['b']);
  await pop.broker.stop();
});

test('revive: checkpoints, acks and retries are counted for an exporter, each once', async () => {
  const pop = await PopMachine.start();
  const { stats, put } = pop.context;
  stats.meters = new MessageMeters(100, new Budget('metricsBytesMax', () => 1024 * 1024, silentLogger));
  const rows = (name: EventName) =>
    [...stats.meters!.events(name)].map(({ topic, group, detail, count }) => `${topic} ${group} ${detail} ${count}`);
  await pop.send('T', 'a', 'b');
  const [a] = await pop.pop();
  await pop.ack(a!);
  assert.deepEqual(rows('reviveIn'), ['T g CK PUT_OK 1', 'T g ACK PUT_OK 1']);
  assert.deepEqual([...rows('reviveOut'), ...rows('reviveRetries')], [], 'their time has not come');
  const original = put.put.bind(put);
  let refusals = 1;
  put.put = ((message, caller, origin, done) =>
    origin === 'revive' && refusals-- > 0
      ? new Refusal(ResponseCode.SYSTEM_BUSY, 'as told')
      : original(message, caller, origin, done)) as typeof put.put;
  await pop.advance(60 * SECOND);
  assert.deepEqual(rows('reviveRetries'), ['T g UNKNOWN_ERROR 1', 'T g PUT_OK 1']);
  assert.deepEqual(rows('reviveOut'), ['T g CK 0 2', 'T g ACK 0 1'], 'a checkpoint more for what was refused');
  assert.deepEqual(rows('reviveIn'), ['T g CK PUT_OK 2', 'T g ACK PUT_OK 1']);
  await pop.broker.stop();
});

test('revive: a message that cannot be put is tried again later, and holds up nobody', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  await pop.bodies();
  const { put } = pop.context;
  const original = put.put.bind(put);
  let refusals = 0;
  put.put = ((message: never, caller: never, origin: string, answer: never) => {
    const { topic } = message as { topic: string };
    if (origin === 'revive' && topic === RETRY && refusals++ < 1) {
      return original({ ...(message as object), topic: 'None' } as never, caller, origin as never, answer);
    }
    return original(message, caller, origin as never, answer);
  }) as typeof put.put;
  await pop.advance(31 * SECOND);
  assert.deepEqual(await pop.bodies(), ['b']);
  await pop.advance(11 * SECOND);
  assert.deepEqual(await pop.bodies(), ['a'], 'after ten seconds');
  assert.ok(pop.broker.lines.some((line) => line.includes('once more in 10 s')));
  await pop.broker.stop();
});

test('revive: an offset that is beyond the queue is taken back to its end, and what is popped then comes again', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  await pop.bodies();
  pop.context.offsets.commit(REVIVE_GROUP, REVIVE_TOPIC, 0, 1_000);
  await pop.restart();
  assert.equal(pop.committed(REVIVE_TOPIC, 0, REVIVE_GROUP), -1, 'nothing is done with');
  // The checkpoint is there, and is not done with at the next start either.
  await pop.advance(29.5 * SECOND);
  await pop.kill();
  await pop.advance(2 * SECOND);
  assert.deepEqual(await pop.bodies(), ['a']);
  await pop.broker.stop();
});

test('revive: what is no checkpoint, and one of a topic or group that is gone, is passed over', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  const point: PopCheckPoint = {
    ...{ topic: 'None', group: 'g', queueId: 0, startOffset: 0, diffs: [0], popTime: pop.now, invisibleMs: 0 },
    ...{ brokerName: 'broker-a', rePutTimes: 0 },
  };
  const bodies = ['', '{', '[]', '{"so":-1}', 'null', '{"t":"T","c":"g","q":0,"so":0,"pt":1,"it":1,"n":99,"d":[-5]}'];
  const put = (body: Buffer | string, tag: string) =>
    pop.broker.send(REVIVE_TOPIC, String(body) || ' ', property('TAGS', tag), { queueId: 0 });
  for (const body of bodies) for (const tag of ['ck', 'ack', 'bAck', 'none']) await put(body, tag);
  await put(encodeCheckPoint(point), 'ck');
  await put(encodeCheckPoint({ ...point, topic: 'T', group: 'not legal!' }), 'ck');
  await put(encodeAck({ ...point, queueOffsets: [0] }, false), 'ack');
  await pop.advance(5 * SECOND);
  assert.equal(pop.committed(REVIVE_TOPIC, 0, REVIVE_GROUP), bodies.length * 4 + 2);
  assert.deepEqual(await pop.bodies(), ['a']);
  await pop.broker.stop();
});

test('revive: RocketMQ’s checkpoint without distances, and an ack without a broker', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b', 'c');
  assert.deepEqual(await pop.bodies({ group: 'g' }), ['a', 'b', 'c']);
  await pop.send('U', 'x', 'y');
  const pt = pop.now;
  const key = `"c":"g","pt":${pt},"q":0,"so":0,"t":"U"`;
  const put = (body: string, tag: string) => pop.broker.send(REVIVE_TOPIC, body, property('TAGS', tag), { queueId: 0 });
  await put(`{"bm":0,"bn":"broker-a","it":0,"n":2,"ro":0,${key}}`, 'ck');
  await put(`{"ao":0,"aol":[0],${key}}`, 'bAck');
  await pop.advance(3 * SECOND);
  assert.deepEqual(await pop.bodies({ topic: 'U', queueId: 0, maxMessages: 1 }), ['x'], 'the queue itself');
  const retries = await pop.broker.bodies('%RETRY%g_U');
  assert.deepEqual(retries, ['y']);
  await pop.broker.stop();
});

test('revive: memory that is too small for what is popped loses nothing', async () => {
  const pop = await PopMachine.start({}, { popInFlightBytesMax: 1 });
  const bodies = Array.from({ length: 40 }, (_, i) => `m${i}`);
  await pop.send('T', ...bodies);
  const seen = new Set<string>();
  for (let i = 0; i < 40; i++) {
    const [one] = await pop.pop({ maxMessages: 1 });
    seen.add(one!.body);
    if (i % 2 === 0) assert.equal(await pop.ack(one!), ResponseCode.SUCCESS);
  }
  assert.equal(seen.size, 40);
  await pop.advance(40 * SECOND);
  const again = [...(await pop.bodies()), ...(await pop.bodies())];
  assert.deepEqual(again.sort(), bodies.filter((_, i) => i % 2 === 1).sort());
  assert.equal(pop.context.pop.revive.runtimeInfo().popInFlightCheckPoints, '0');
  await pop.broker.stop();
});

test('revive: the place does not pass a checkpoint before its copies are on disk (ASYNC_FLUSH)', async () => {
  const pop = await PopMachine.start({ flushDiskType: 'ASYNC_FLUSH', flushIntervalCommitLog: 100 * SECOND });
  const flush = () => pop.broker.machine.until(pop.broker.store.flush(), 'flush');
  await pop.send('T', 'a');
  await flush();
  await pop.bodies();
  await pop.advance(29.2 * SECOND);
  assert.equal(pop.broker.store.getMaxOffsetInQueue(REVIVE_TOPIC, 0), 1, 'the checkpoint has come');
  await flush();
  await pop.advance(2 * SECOND);
  assert.deepEqual(await pop.broker.bodies(RETRY), ['a']);
  assert.equal(pop.committed(REVIVE_TOPIC, 0, REVIVE_GROUP), -1, 'the copy is not on disk');
  await pop.broker.machine.until(pop.context.metadata.offsets.save(), 'save');
  await pop.cutPower();
  await pop.advance(35 * SECOND);
  assert.deepEqual(await pop.bodies(), ['a'], 'the power cut took the copy, and it was made again');
  await flush();
  await pop.advance(100);
  assert.equal(pop.committed(REVIVE_TOPIC, 0, REVIVE_GROUP), 0);
  await pop.broker.stop();
});

test('revive: after a restart a checkpoint that has come waits for acks that are still on their way', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  const [a] = await pop.pop();
  assert.equal(await pop.ack(a!), ResponseCode.SUCCESS);
  await pop.advance(29.4 * SECOND);
  assert.equal(pop.broker.store.getMaxOffsetInQueue(REVIVE_TOPIC, 0), 1, 'the checkpoint, and not the ack');
  await pop.kill();
  pop.broker.timer.isStopped = true;
  await pop.advance(20 * SECOND);
  assert.deepEqual(await pop.broker.bodies(RETRY), [], 'nobody knows yet what was acknowledged');
  await pop.kill();
  await pop.advance(5 * SECOND);
  assert.deepEqual(await pop.broker.bodies(RETRY), ['b']);
  await pop.broker.stop();
});

test('revive: a checkpoint that comes again behind its acks after a start gives nothing', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  const [a] = await pop.pop();
  assert.equal(await pop.ack(a!), ResponseCode.SUCCESS);
  await pop.kill();
  await pop.advance(35 * SECOND);
  assert.deepEqual(await pop.bodies(), ['b']);
  const points = (await pop.broker.read(REVIVE_TOPIC)).filter(({ properties }) => properties.get('TAGS') === 'ck');
  assert.equal(points.length, 1);
  // As a power cut in a save of the timer wheel leaves it.
  await pop.broker.send(REVIVE_TOPIC, String(points[0]!.body), property('TAGS', 'ck'), { queueId: 0 });
  await pop.advance(5 * SECOND);
  assert.equal((await pop.broker.read(RETRY)).length, 1, 'b has its copy, and a has none');
  await pop.broker.stop();
});
