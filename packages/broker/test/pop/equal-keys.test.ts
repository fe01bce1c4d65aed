// Checkpoints whose keys would be the same, and acks that come twice.
import assert from 'node:assert/strict';
import test from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import { REVIVE_GROUP, reviveTopicOf } from '../../src/base/names.ts';
import { Refusal } from '../../src/base/refusal.ts';
import type { ChangedDelivery } from '../../src/pop/change-invisible-service.ts';
import { encodeAck, encodeCheckPoint, type PopAck, type PopCheckPoint } from '../../src/pop/check-point.ts';
import { property } from '../harness.ts';
import { PopMachine, type Popped, SECOND } from './pop-machine.ts';

const REVIVE_TOPIC = reviveTopicOf('DefaultCluster');
const RETRY = '%RETRY%g_T';

const changedHandle = (popped: Popped, changed: ChangedDelivery | Refusal): Popped => {
  assert.ok(!(changed instanceof Refusal), 'the change was refused');
  return { ...popped, handle: { ...popped.handle, ...changed, startOffset: popped.queueOffset } };
};

test('equal keys: changes of one delivery in one millisecond are deliveries of their own', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  const [first] = await pop.pop();
  const { changes } = pop.context.pop;
  const both = Promise.all([changes.change(first!, 10 * SECOND), changes.change(first!, 60 * SECOND)]);
  const [short, long] = (await pop.broker.machine.until(both, 'changes')).map((each) => changedHandle(first!, each));
  const times = [first, short, long].map((each) => each!.handle.popTime);
  assert.equal(new Set(times).size, 3, 'no handle is that of another one');
  assert.equal(await pop.ack(long!), ResponseCode.SUCCESS);
  await pop.advance(12 * SECOND);
  const [again, ...none] = await pop.pop();
  assert.equal(again?.body, 'a', 'the other change was not acknowledged');
  assert.equal(none.length, 0);
  assert.equal(await pop.ack(again!), ResponseCode.SUCCESS);
  await pop.advance(120 * SECOND);
  assert.equal((await pop.broker.read(RETRY)).length, 1);
  await pop.broker.stop();
});

test('equal keys: a delivery that is changed without end is refused, and its group goes on', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  const [a] = await pop.pop({ maxMessages: 1 });
  const changes = Array.from({ length: 150 }, () => pop.context.pop.changes.change(a!, SECOND));
  const outcomes = await pop.broker.machine.until(Promise.all(changes), 'changes');
  const refused = outcomes.filter((outcome) => outcome instanceof Refusal);
  assert.ok(refused.length >= 49, `${refused.length} refused`);
  assert.ok(refused.every(({ code }) => code === ResponseCode.SYSTEM_BUSY));
  assert.deepEqual(await pop.bodies({ maxMessages: 1 }), ['b']);
  await pop.broker.stop();
});

test('equal keys: a time counts from now on though the clock was set back by an hour', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  const [first] = await pop.pop();
  pop.broker.machine.scheduler.stepWallClock(-3_600 * SECOND);
  const second = changedHandle(first!, await pop.change(first!, 20 * SECOND));
  assert.equal(second.handle.popTime, pop.now, 'not in an hour');
  await pop.advance(22 * SECOND);
  assert.deepEqual(await pop.bodies(), ['a']);
  await pop.broker.stop();
});

const put = (pop: PopMachine, body: Buffer, tag: string, dueTime: number) =>
  pop.broker.send(REVIVE_TOPIC, body.toString(), property('TAGS', tag) + property('TIMER_DELIVER_MS', String(dueTime)));

/** As a change of a delivery makes them in RocketMQ when it comes in the millisecond of the pop. */
async function putTwins(pop: PopMachine, first: Partial<PopCheckPoint>, second: Partial<PopCheckPoint>) {
  const point: PopCheckPoint = {
    ...{ topic: 'T', group: 'g', queueId: 0, startOffset: 0, diffs: [0], popTime: pop.now - 60_000 },
    ...{ invisibleMs: 61_000, brokerName: 'broker-a', rePutTimes: 0 },
  };
  for (const more of [first, second]) await put(pop, encodeCheckPoint({ ...point, ...more }), 'ck', pop.now);
  return point;
}

test('equal keys: of two checkpoints in the log the ack of one does not end the other', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  await pop.bodies();
  const point = await putTwins(pop, {}, { invisibleMs: 61_500 });
  const ack: PopAck = { ...point, queueOffsets: [0] };
  // It comes again and again: a timed message may.
  for (let i = 0; i < 3; i++) await put(pop, encodeAck(ack, false), 'ack', point.popTime + 61_000);
  await pop.advance(5 * SECOND);
  assert.deepEqual(await pop.broker.bodies(RETRY), ['a'], 'once, for the one that was not acknowledged');
  assert.equal(pop.committed(REVIVE_TOPIC, 0, REVIVE_GROUP), 4, 'all of it is done with');
  await pop.broker.stop();
});

test('equal keys: of two checkpoints in the log each gives its own messages again', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b', 'c');
  await pop.bodies();
  await putTwins(pop, { diffs: [0] }, { diffs: [0, 1, 2] });
  await pop.advance(5 * SECOND);
  const bodies = await pop.broker.bodies(RETRY);
  assert.deepEqual([...new Set(bodies)].sort(), ['a', 'b', 'c']);
  assert.equal(pop.committed(REVIVE_TOPIC, 0, REVIVE_GROUP), 1);
  await pop.broker.stop();
});

test('equal keys: the same checkpoint twice gives its messages once', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  await pop.bodies();
  await putTwins(pop, {}, {});
  await pop.advance(5 * SECOND);
  assert.deepEqual(await pop.broker.bodies(RETRY), ['a']);
  await pop.broker.stop();
});

test('equal keys: acks that come twice are stored once, and what was in flight is forgotten', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  const [a, b] = await pop.pop();
  for (const each of [a, b, a, b, a]) assert.equal(await pop.ack(each!), ResponseCode.SUCCESS);
  await pop.advance(40 * SECOND);
  assert.deepEqual(await pop.bodies(), []);
  const acks = (await pop.broker.read(REVIVE_TOPIC)).filter(({ properties }) => properties.get('TAGS') !== 'ck');
  assert.equal(acks.length, 2);
  assert.equal(pop.context.pop.revive.runtimeInfo().popInFlightCheckPoints, '0');
  await pop.broker.stop();
});
