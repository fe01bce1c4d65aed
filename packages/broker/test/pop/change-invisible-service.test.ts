import assert from 'node:assert/strict';
import test from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import { Refusal } from '../../src/base/refusal.ts';
import type { ChangedDelivery } from '../../src/pop/change-invisible-service.ts';
import { PopMachine, type Popped, SECOND } from './pop-machine.ts';

/** The delivery with its new handle, as clients make it. */
const changedHandle = (popped: Popped, changed: ChangedDelivery): Popped => ({
  ...popped,
  handle: { ...popped.handle, ...changed, startOffset: popped.queueOffset },
});

async function change(pop: PopMachine, popped: Popped, invisibleMs: number): Promise<Popped> {
  const changed = await pop.change(popped, invisibleMs);
  if (changed instanceof Refusal) assert.fail(changed.remark);
  return changedHandle(popped, changed);
}

test('change invisible: longer and shorter times count from now on', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'long', 'short');
  const [long, short] = await pop.pop();
  await change(pop, long!, 60 * SECOND);
  await change(pop, short!, 5 * SECOND);
  await pop.advance(6 * SECOND);
  assert.deepEqual(await pop.bodies(), ['short']);
  await pop.advance(50 * SECOND);
  assert.deepEqual((await pop.bodies()).includes('long'), false, 'the old time is over and does not count');
  await pop.advance(5 * SECOND);
  assert.deepEqual(await pop.bodies(), ['long']);
  await pop.broker.stop();
});

test('change invisible: the new handle acknowledges, the old one does not bring it back', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  const [first] = await pop.pop();
  const second = await change(pop, first!, 40 * SECOND);
  assert.equal(await pop.ack(second), ResponseCode.SUCCESS);
  await pop.advance(90 * SECOND);
  assert.deepEqual(await pop.bodies(), []);
  await pop.broker.stop();
});

test('change invisible: to the same end, in the same millisecond, loses nothing, with memory and without', async () => {
  for (const config of [{}, { popInFlightBytesMax: 1 }]) {
    const pop = await PopMachine.start({}, config);
    await pop.send('T', 'a');
    const [first] = await pop.pop();
    assert.equal(first?.handle.popTime, pop.now);
    const changed = await change(pop, first!, 30 * SECOND);
    assert.notEqual(changed.handle.popTime, first?.handle.popTime);
    await pop.advance(32 * SECOND);
    assert.deepEqual(await pop.bodies(), ['a'], JSON.stringify(config));
    await pop.broker.stop();
  }
});

test('change invisible: after the end it is 0, and the message comes once', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  const [first] = await pop.pop();
  await pop.advance(30 * SECOND);
  const changed = await pop.change(first!, 10 * SECOND);
  assert.ok(!(changed instanceof Refusal));
  await pop.advance(2 * SECOND);
  assert.deepEqual(await pop.bodies(), ['a']);
  await pop.advance(20 * SECOND);
  assert.deepEqual(await pop.bodies(), [], 'no second checkpoint');
  await pop.broker.stop();
});

test('change invisible: 0 is visible now', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  const [first] = await pop.pop();
  await change(pop, first!, 0);
  await pop.advance(SECOND);
  assert.deepEqual(await pop.bodies(), ['a']);
  await pop.broker.stop();
});

test('change invisible: a kill after each step leaves the message at least once, and never not at all', async () => {
  for (let steps = 0; steps <= 12; steps++) {
    const pop = await PopMachine.start();
    await pop.send('T', 'a');
    const [first] = await pop.pop();
    void pop.context.pop.changes.change(first!, 40 * SECOND).catch(() => {});
    await pop.advance(steps);
    await pop.cutPower(steps + 1);
    let times = 0;
    for (let i = 0; i < 4; i++) {
      await pop.advance(20 * SECOND);
      times += (await pop.pop()).length;
    }
    assert.ok(times >= 1, `after ${steps} ms it came ${times} times`);
    await pop.broker.stop();
  }
});

test('change invisible: what cannot be is refused by its code', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  const [a] = await pop.pop();
  const code = async (more: Partial<Popped>, invisibleMs = SECOND): Promise<number> => {
    const changed = await pop.change({ ...a!, ...more }, invisibleMs);
    return changed instanceof Refusal ? changed.code : ResponseCode.SUCCESS;
  };
  assert.equal(await code({ topic: 'None' }), ResponseCode.TOPIC_NOT_EXIST);
  assert.equal(await code({ queueId: 8 }), ResponseCode.MESSAGE_ILLEGAL);
  assert.equal(await code({ queueId: -1 }), ResponseCode.MESSAGE_ILLEGAL);
  assert.equal(await code({ queueOffset: 1 }), ResponseCode.NO_MESSAGE);
  assert.equal(await code({ group: 'not legal!' }), ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST);
  assert.equal(await code({}, -1), ResponseCode.INVALID_PARAMETER);
  assert.equal(await code({ handle: { ...a!.handle, reviveQueueId: 8 } }), ResponseCode.INVALID_PARAMETER);
  await pop.broker.stop();
});
