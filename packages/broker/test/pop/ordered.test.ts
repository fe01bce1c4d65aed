import assert from 'node:assert/strict';
import test from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import { Refusal } from '../../src/base/refusal.ts';
import { PopMachine, SECOND } from './pop-machine.ts';

const inOrder = { isOrdered: true, maxMessages: 3 };

test('ordered pop: the queue is blocked until all of the batch is acknowledged', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b', 'c', 'd');
  const [a, b, c] = await pop.pop(inOrder);
  assert.equal(a?.handle.reviveQueueId, 999);
  assert.deepEqual(await pop.bodies(inOrder), []);
  for (const each of [a, c]) assert.equal(await pop.ack(each!), ResponseCode.SUCCESS);
  assert.deepEqual(await pop.bodies(inOrder), []);
  assert.equal(pop.committed(), 1);
  assert.equal(await pop.ack(b!), ResponseCode.SUCCESS);
  assert.equal(pop.committed(), 3);
  assert.deepEqual(await pop.bodies(inOrder), ['d']);
  assert.deepEqual(await pop.broker.bodies('rmq_sys_REVIVE_LOG_DefaultCluster'), [], 'without checkpoints');
  await pop.broker.stop();
});

test('ordered pop: what was not acknowledged comes again in order at its end, and is counted', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b', 'c', 'd', 'e');
  const batch = await pop.pop({ isOrdered: true, maxMessages: 5 });
  for (const each of batch.slice(0, 3)) await pop.ack(each);
  await pop.advance(30 * SECOND);
  const answer = await pop.answer(inOrder);
  assert.deepEqual(
    pop.popped(answer, pop.request()).map(({ body }) => body),
    ['d', 'e'],
  );
  assert.equal(answer.infos.orderCountInfo, '0 qo0%3 1;0 qo0%4 1;0 0 1');
  assert.deepEqual(
    answer.deliveries.map(({ handle, orderCount }) => [handle.queueOffset, orderCount]),
    [
      [3, 1],
      [4, 1],
    ],
  );
  await pop.broker.stop();
});

test('ordered pop: the same attempt gets the same batch, and is not counted', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  assert.deepEqual(await pop.bodies({ ...inOrder, attemptId: 'one' }), ['a', 'b']);
  assert.deepEqual(await pop.bodies({ ...inOrder, attemptId: 'two' }), []);
  const answer = await pop.answer({ ...inOrder, attemptId: 'one' });
  assert.equal(answer.records.length, 2);
  assert.equal(answer.infos.orderCountInfo, '0 0 0');
  await pop.broker.stop();
});

test('ordered pop: an ack that was answered holds over a kill and a power cut, in the middle of a batch too', async () => {
  for (const end of ['restart', 'kill', 'cutPower'] as const) {
    const pop = await PopMachine.start();
    await pop.send('T', 'a', 'b', 'c', 'd');
    const [a, b, c] = await pop.pop(inOrder);
    await pop.ack(a!);
    await pop.ack(c!);
    await pop[end]();
    assert.deepEqual(await pop.bodies(inOrder), [], `${end}: the queue is still blocked`);
    assert.equal(await pop.ack(b!), ResponseCode.SUCCESS, end);
    await pop[end]();
    assert.deepEqual(await pop.bodies(inOrder), ['d'], end);
    await pop.broker.stop();
  }
});

test('ordered ack: stale, unknown and below the offset', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  const [a] = await pop.pop({ isOrdered: true, maxMessages: 1 });
  assert.equal(await pop.ack({ ...a!, queueOffset: 1 }), ResponseCode.MESSAGE_ILLEGAL);
  assert.equal(await pop.ack({ ...a!, handle: { ...a!.handle, popTime: 1 } }), ResponseCode.SUCCESS);
  assert.equal(pop.committed(), 0, 'stale: no effect');
  assert.equal(await pop.ack(a!), ResponseCode.SUCCESS);
  assert.equal(await pop.ack(a!), ResponseCode.SUCCESS);
  assert.equal(pop.committed(), 1);
  await pop.broker.stop();
});

test('ordered pop: changing the time of a message blocks the queue that long', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  const [a] = await pop.pop(inOrder);
  const popTime = a!.handle.popTime;
  await pop.advance(10 * SECOND);
  const changed = await pop.change(a!, 60 * SECOND);
  assert.ok(!(changed instanceof Refusal));
  assert.equal(changed.popTime, popTime);
  assert.equal(changed.invisibleMs, pop.now + 60 * SECOND - popTime);
  await pop.advance(40 * SECOND);
  assert.deepEqual(await pop.bodies(inOrder), []);
  await pop.advance(21 * SECOND);
  assert.deepEqual(await pop.bodies(inOrder), ['a']);
  await pop.broker.stop();
});

test('ordered pop: a reset frees the queue', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  await pop.bodies(inOrder);
  assert.ok(pop.context.offsets.assignResets('g', 'T', new Map([[0, 1]])));
  assert.deepEqual(await pop.bodies(inOrder), ['b']);
  await pop.broker.stop();
});

test('ordered pop: a reset to an earlier offset holds over a kill', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  for (const each of await pop.pop(inOrder)) await pop.ack(each);
  const request = { topic: 'T', group: 'g', queueId: 0, timestamp: 0, offset: 0 };
  await pop.broker.machine.until(
    pop.context.offsetReset.reset(request, [0], () => Promise.resolve()),
    'reset',
  );
  await pop.kill();
  assert.deepEqual(await pop.bodies(inOrder), ['a', 'b']);
  await pop.broker.stop();
});

test('ordered pop: a clock that is set back blocks nothing for hours', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  await pop.bodies(inOrder);
  pop.broker.machine.scheduler.stepWallClock(-3_600 * SECOND);
  assert.deepEqual(await pop.bodies(inOrder), ['a']);
  await pop.broker.stop();
});

test('ordered pop: a repeated ack is answered when the first one is on disk, and refused when that cannot be', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  const [a] = await pop.pop(inOrder);
  const { fileSystem } = pop.broker.machine;
  const held = fileSystem.hold('sync', /consumerOrderInfo/);
  const answers: unknown[] = [];
  const acks = pop.context.pop.acks;
  const first = acks.ack(a!).then((answer) => answers.push(answer));
  await pop.advance(10);
  const second = acks.ack(a!).then((answer) => answers.push(answer));
  await pop.advance(10);
  assert.deepEqual(answers, [], 'it is not on disk');
  held.release();
  await pop.broker.machine.until(Promise.all([first, second]), 'acks');
  assert.deepEqual(answers, [undefined, undefined]);
  await pop.advance(10 * SECOND);
  fileSystem.inject({ operation: 'sync', path: /commitlog/, code: 'EIO', times: 1, skip: 0 });
  await pop.broker.send('T', 'c');
  assert.ok(pop.broker.store.failure, 'the store has failed');
  assert.equal(await pop.ack(a!), ResponseCode.SERVICE_NOT_AVAILABLE);
});

test('ordered pop: acks hold when the group that the pop made is not on disk at the next start', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  const [a] = await pop.pop({ ...inOrder, maxMessages: 1 });
  assert.equal(await pop.ack(a!), ResponseCode.SUCCESS);
  pop.context.groups.delete('g');
  await pop.broker.machine.until(pop.context.metadata.groups.save(), 'groups');
  await pop.kill();
  // Another group's ack saves the batches.
  await pop.send('U', 'x');
  const [x] = await pop.pop({ ...inOrder, group: 'h', topic: 'U' });
  assert.equal(await pop.ack(x!), ResponseCode.SUCCESS);
  await pop.kill();
  assert.deepEqual(await pop.bodies(inOrder), ['b']);
  await pop.broker.stop();
});
