import assert from 'node:assert/strict';
import test from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import { PopMachine, type Popped, SECOND } from './pop-machine.ts';

const REVIVE_TOPIC = 'rmq_sys_REVIVE_LOG_DefaultCluster';

test('ack: the codes of what cannot be, and that the queue’s end passes', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  const [a] = await pop.pop();
  const ack = (more: Partial<Popped>): Promise<number> => pop.ack({ ...a!, ...more });
  assert.equal(await ack({ topic: 'None' }), ResponseCode.TOPIC_NOT_EXIST);
  assert.equal(await ack({ queueId: 8 }), ResponseCode.MESSAGE_ILLEGAL);
  assert.equal(await ack({ queueId: -1 }), ResponseCode.MESSAGE_ILLEGAL);
  assert.equal(await ack({ queueOffset: -1 }), ResponseCode.NO_MESSAGE);
  assert.equal(await ack({ queueOffset: 2 }), ResponseCode.NO_MESSAGE);
  assert.equal(await ack({ queueOffset: 1 }), ResponseCode.SUCCESS);
  assert.equal(await ack({ handle: { ...a!.handle, reviveQueueId: 8 } }), ResponseCode.INVALID_PARAMETER);
  await pop.advance(31 * SECOND);
  assert.deepEqual(await pop.bodies(), ['a'], 'none of these acknowledged it');
  await pop.broker.stop();
});

test('ack: twice is once, and late is 0', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  const [a, b] = await pop.pop();
  assert.equal(await pop.ack(a!), ResponseCode.SUCCESS);
  const end = pop.broker.store.maxPhyOffset;
  assert.equal(await pop.ack(a!), ResponseCode.SUCCESS);
  assert.equal(pop.broker.store.maxPhyOffset, end, 'the second one writes nothing');
  await pop.advance(31 * SECOND);
  assert.deepEqual(await pop.bodies(), ['b']);
  assert.equal(await pop.ack(b!), ResponseCode.SUCCESS);
  await pop.broker.stop();
});

test('ack: a handle of another group acknowledges nothing', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  const [a] = await pop.pop();
  await pop.bodies({ group: 'other' });
  assert.equal(await pop.ack({ ...a!, group: 'other', handle: { ...a!.handle, popTime: 1 } }), ResponseCode.SUCCESS);
  assert.equal(await pop.ack({ ...a!, group: 'none' }), ResponseCode.SUCCESS);
  await pop.advance(31 * SECOND);
  assert.deepEqual(await pop.bodies(), ['a']);
  assert.deepEqual(await pop.bodies({ group: 'other' }), ['a']);
  await pop.broker.stop();
});

test('ack: a batch leaves out what cannot be and takes the others', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b', 'c');
  const [a] = await pop.pop();
  const { handle, group, topic, queueId } = a!;
  const batch = { group, topic, queueId, handle, queueOffsets: [0, 2, 99] };
  const bad = { ...batch, topic: 'None' };
  assert.equal(await pop.broker.machine.until(pop.context.pop.acks.ackBatch([bad, batch]), 'batch'), undefined);
  await pop.advance(31 * SECOND);
  assert.deepEqual(await pop.bodies(), ['b']);
  await pop.broker.stop();
});

test('ack: the records are RocketMQ’s', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  const popTime = pop.now;
  const [a, b] = await pop.pop();
  await pop.ack(a!);
  const { handle, group, topic, queueId } = b!;
  const batch = { group, topic, queueId, handle, queueOffsets: [0, 1] };
  await pop.broker.machine.until(pop.context.pop.acks.ackBatch([batch]), 'batch');
  await pop.advance(40 * SECOND);
  const records = await pop.broker.read(REVIVE_TOPIC);
  const bodies = records.map(({ properties, body }) => [properties.get('TAGS'), body.toString()]);
  const key = '"bn":"broker-a","c":"g"';
  assert.equal(handle.popTime >= popTime, true);
  const pt = handle.popTime;
  assert.deepEqual(bodies, [
    [
      'ck',
      `{"bm":0,${key},"d":[0,1],"it":30000,"n":2,"pt":${pt},"q":0,"reviveTime":${pt + 30_000},"ro":0,"so":0,"t":"T"}`,
    ],
    ['ack', `{"ao":0,${key},"pt":${pt},"q":0,"so":0,"t":"T"}`],
    ['bAck', `{"ao":-1,"aol":[0,1],${key},"pt":${pt},"q":0,"so":0,"t":"T"}`],
  ]);
  const times = records.map(({ properties }) => Number(properties.get('TIMER_DELIVER_MS')) - pt);
  assert.deepEqual(times, [29_000, 30_000, 30_000]);
  await pop.broker.stop();
});

test('ack: an ack that was answered is on disk', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  const [a] = await pop.pop();
  assert.equal(await pop.ack(a!), ResponseCode.SUCCESS);
  await pop.cutPower(7);
  await pop.advance(40 * SECOND);
  assert.deepEqual(await pop.bodies(), ['b']);
  await pop.broker.stop();
});
