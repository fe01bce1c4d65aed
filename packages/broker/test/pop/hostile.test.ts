// What clients and operators do that nobody expects, while messages are in flight.
import assert from 'node:assert/strict';
import test from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import { PopMachine, SECOND } from './pop-machine.ts';

const RETRY = '%RETRY%g_T';
const inOrder = { isOrdered: true };

const deleteTopic = (pop: PopMachine, topic = 'T') =>
  pop.broker.machine.until(pop.context.topicAdmin.delete(topic), 'deletion');

test('a topic that is deleted and made again gives all of its messages, over a kill too', async () => {
  for (const isKilled of [false, true]) {
    for (const isOrdered of [false, true]) {
      const pop = await PopMachine.start();
      await pop.send('T', 'a', 'b', 'c');
      const popped = await pop.pop({ isOrdered });
      if (isOrdered) for (const each of popped.slice(0, 2)) await pop.ack(each);
      assert.equal(await deleteTopic(pop), undefined);
      await pop.send('T', 'd', 'e', 'f', 'g');
      await pop.advance(5);
      if (isKilled) await pop.kill();
      assert.deepEqual(await pop.bodies({ isOrdered }), ['d', 'e', 'f', 'g'], `${isKilled} ${isOrdered}`);
      await pop.broker.stop();
    }
  }
});

test('a reset to an earlier offset holds over a kill', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  for (const each of await pop.pop()) await pop.ack(each);
  const request = { topic: 'T', group: 'g', queueId: 0, timestamp: 0, offset: 0 };
  await pop.broker.machine.until(
    pop.context.offsetReset.reset(request, [0], () => Promise.resolve()),
    'reset',
  );
  await pop.kill();
  assert.deepEqual(await pop.bodies(), ['a', 'b']);
  await pop.broker.stop();
});

test('a topic that is deleted while a pop of it is under way', async () => {
  for (let ms = 0; ms < 20; ms++) {
    const pop = await PopMachine.start();
    await pop.send('T', 'a', 'b', 'c');
    const under = pop.begin().catch(() => undefined);
    const deleted = pop.context.topicAdmin.delete('T');
    await pop.advance(ms);
    await pop.broker.machine.until(Promise.all([under, deleted]), 'both');
    await pop.send('T', 'd', 'e', 'f', 'g');
    assert.deepEqual(await pop.bodies(), ['d', 'e', 'f', 'g'], `${ms}`);
    await pop.broker.stop();
  }
});

test('more in flight than memory holds: all of it comes again in time', async () => {
  const pop = await PopMachine.start({}, { popInFlightBytesMax: 1, reviveQueueNum: 1 });
  const bodies = Array.from({ length: 300 }, (_, i) => `m${i}`);
  await pop.send('T', ...bodies);
  for (let i = 0; i < 300; i++) assert.equal((await pop.pop({ maxMessages: 1 })).length, 1);
  await pop.advance(33 * SECOND);
  assert.equal(pop.broker.store.getMaxOffsetInQueue(RETRY, 0), 300);
  await pop.broker.stop();
});

test('clock steps of hours both ways, while messages are in flight', async () => {
  for (const hours of [-5, 5]) {
    const pop = await PopMachine.start();
    await pop.send('T', 'a', 'b', 'c');
    const [a, b] = await pop.pop();
    pop.broker.machine.scheduler.stepWallClock(hours * 3_600 * SECOND);
    assert.equal(await pop.ack(a!), ResponseCode.SUCCESS);
    await pop.send('T', 'd');
    const again = await pop.bodies({ maxMessages: 1 });
    assert.equal(again.length, 1);
    pop.broker.machine.scheduler.stepWallClock(-hours * 3_600 * SECOND);
    assert.equal(await pop.ack(b!), ResponseCode.SUCCESS);
    await pop.advance(100 * SECOND);
    const seen = new Set([...again, ...(await pop.bodies()), ...(await pop.bodies())]);
    assert.ok(seen.has('c') && seen.has('d'), `${hours}: ${[...seen]}`);
    assert.ok(!seen.has('a'), `${hours}: an acknowledged message came again`);
    await pop.broker.stop();
  }
});

test('in order: a batch, a clock that steps, a restart', async () => {
  for (const hours of [-5, 5]) {
    const pop = await PopMachine.start();
    await pop.send('T', 'a', 'b', 'c');
    const [a] = await pop.pop({ ...inOrder, maxMessages: 2 });
    assert.equal(await pop.ack(a!), ResponseCode.SUCCESS);
    pop.broker.machine.scheduler.stepWallClock(hours * 3_600 * SECOND);
    await pop.kill();
    await pop.advance(31 * SECOND);
    assert.deepEqual(await pop.bodies(inOrder), ['b', 'c'], `${hours}`);
    await pop.broker.stop();
  }
});

test('names as long as they may be: what was not acknowledged comes again', async () => {
  const group = 'g'.repeat(120);
  const topic = 't'.repeat(120);
  const pop = await PopMachine.start();
  await pop.send(topic, 'a');
  assert.deepEqual(await pop.bodies({ group, topic }), ['a']);
  await pop.advance(32 * SECOND);
  assert.deepEqual(await pop.bodies({ group, topic }), ['a']);
  await pop.broker.stop();
});

test('thousands of groups pop one topic, each all of it', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  for (let i = 0; i < 2_000; i++) assert.equal((await pop.pop({ group: `g${i}` })).length, 2);
  assert.deepEqual(await pop.bodies({ group: 'g7' }), []);
  pop.broker.kill();
});
