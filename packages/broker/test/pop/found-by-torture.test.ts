// What histories with crashes found: each in the smallest form that shows it.
import assert from 'node:assert/strict';
import test from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import { crashAt } from '@vernier/torture';
import { Machine } from '../../../torture/test/machine.ts';
import { Refusal } from '../../src/base/refusal.ts';
import { MachineBroker } from '../machine-broker.ts';
import { PopMachine, SECOND } from './pop-machine.ts';

const inOrder = { isOrdered: true };

const deleteTopic = (pop: PopMachine) => pop.broker.machine.until(pop.context.topicAdmin.delete('T'), 'deletion');

const reset = (pop: PopMachine, offset: number) =>
  pop.broker.machine.until(
    pop.context.offsetReset.reset({ topic: 'T', group: 'g', queueId: 0, timestamp: 0, offset }, [0], () =>
      Promise.resolve(),
    ),
    'reset',
  );

test('found: a checkpoint of a topic that was deleted gives nothing of the one that is made again', async () => {
  for (const isKilled of [false, true]) {
    const pop = await PopMachine.start();
    await pop.send('T', 'old');
    const [old] = await pop.pop();
    // By its new checkpoint too.
    assert.ok(!('code' in ((await pop.change(old!, 20 * SECOND)) as object)));
    assert.equal(await deleteTopic(pop), undefined);
    await pop.send('T', 'new');
    await pop.advance(5);
    const [popped] = await pop.pop({ invisibleMs: 100 * SECOND });
    assert.equal(popped?.body, 'new');
    if (isKilled) await pop.kill();
    assert.equal(await pop.ack(popped!), ResponseCode.SUCCESS);
    await pop.advance(120 * SECOND);
    assert.deepEqual(await pop.bodies(), [], `${isKilled}: it came again after its ack`);
    await pop.broker.stop();
  }
});

test('found: of two retry topics a pop looks at the second when the first has nothing', async () => {
  const pop = await PopMachine.start({}, { enableRetryTopicV2: true, retrieveMessageFromPopRetryTopicV1: true });
  await pop.send('T', 'a');
  assert.deepEqual(await pop.bodies(), ['a']);
  await pop.advance(31 * SECOND);
  // An even lot begins with version 1.
  pop.random = () => 0.98;
  assert.deepEqual(await pop.bodies(), ['a']);
  await pop.broker.stop();
});

test('found: an ack in order whose batch nobody knows does not leave out what stands in front of it', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  const [a, b] = await pop.pop(inOrder);
  // Before the batch is saved.
  await pop.kill();
  assert.equal(await pop.ack(b!), ResponseCode.MESSAGE_ILLEGAL);
  assert.equal(await pop.ack(a!), ResponseCode.MESSAGE_ILLEGAL, 'the group has no offset yet');
  pop.context.offsets.commit('g', 'T', 0, 0);
  assert.equal(await pop.ack(b!), ResponseCode.MESSAGE_ILLEGAL);
  assert.equal(await pop.ack(a!), ResponseCode.SUCCESS, 'nothing stands in front of it');
  assert.deepEqual(await pop.bodies(inOrder), ['b']);
  await pop.broker.stop();
});

test('found: acks in one request are refused while the topic is being deleted', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  const [a] = await pop.pop();
  const deletion = pop.context.topicAdmin.delete('T');
  const refusal = await pop.broker.machine.until(
    pop.context.pop.acks.ackBatch([{ ...a!, queueOffsets: [a!.queueOffset] }]),
    'ack',
  );
  assert.equal(refusal?.code, ResponseCode.TOPIC_NOT_EXIST);
  await pop.broker.machine.until(deletion, 'deletion');
  assert.equal(
    await pop.context.pop.acks.ackBatch([{ ...a!, queueOffsets: [a!.queueOffset] }]),
    undefined,
    'when it is gone nothing comes again',
  );
  await pop.broker.stop();
});

test('found: a kill in the deletion of a topic leaves no offset that is ahead of the one that is made again', async () => {
  for (const isOrdered of [false, true]) {
    const pop = await PopMachine.start();
    await pop.send('T', 'a', 'b', 'c');
    for (const each of await pop.pop({ isOrdered })) await pop.ack(each);
    await pop.advance(10 * SECOND);
    // The store has deleted it, and the offsets are on the disk as they were.
    const { offsets } = pop.context;
    offsets.removeTopic = () => {
      throw new Error('killed here');
    };
    await assert.rejects(deleteTopic(pop), /killed here/);
    await pop.send('T', 'd', 'e');
    await pop.kill();
    assert.deepEqual(await pop.bodies({ isOrdered }), ['d', 'e'], `in order: ${isOrdered}`);
    await pop.broker.stop();
  }
});

test('found: groups have forgotten a deleted topic before it has messages again', async () => {
  const pop = await PopMachine.start({ flushDiskType: 'ASYNC_FLUSH' });
  await pop.send('T', 'a', 'b', 'c');
  for (const each of await pop.pop(inOrder)) await pop.ack(each);
  const { offsets, topicAdmin } = pop.context;
  const forget = offsets.removeTopic.bind(offsets);
  const ends: number[] = [];
  offsets.removeTopic = (topic) => {
    if (topic === 'T') ends.push(pop.broker.store.getMaxOffsetInQueue(topic, 0));
    forget(topic);
  };
  // A pop that is under way takes a while.
  pop.context.pop.popped.settled = () => pop.broker.machine.scheduler.delay(50);
  const { store } = pop.broker;
  const deleteInStore = store.deleteTopic.bind(store);
  const sends: Promise<void>[] = [];
  store.deleteTopic = (topic, options) => {
    const deletion = deleteInStore(topic, options);
    sends.push(sending());
    return deletion;
  };
  const sending = async (): Promise<void> => {
    // What was put into the topic as it was is refused, and its producer sends it again.
    while ((await pop.broker.begin('T', 'd')) instanceof Refusal);
  };
  await pop.broker.machine.until(topicAdmin.delete('T'), 'deletion');
  await pop.broker.machine.until(Promise.all(sends), 'sends');
  assert.deepEqual(ends, [0], 'none of the new messages is there');
  assert.deepEqual(await pop.bodies(inOrder), ['d']);
  await pop.broker.stop();
});

test('found: a store that has failed refuses resets and acks in order, which no start would know of', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  const batch = await pop.pop(inOrder);
  await pop.advance(10 * SECOND);
  pop.broker.machine.fileSystem.inject({ operation: 'sync', path: /commitlog/, code: 'EIO', times: 1, skip: 0 });
  await pop.broker.send('T', 'c');
  assert.ok(pop.broker.store.failure, 'the store has failed');
  assert.equal(await pop.ack(batch[0]!), ResponseCode.SERVICE_NOT_AVAILABLE);
  await assert.rejects(reset(pop, 0), { code: 'STORE_FLUSH_FAILED' });
  await assert.rejects(pop.broker.machine.until(pop.context.groupAdmin.delete('g', true), 'deletion'), {
    code: 'STORE_FLUSH_FAILED',
  });
  await pop.kill();
  assert.deepEqual(await pop.bodies(inOrder), [], 'its batch is as it was');
});

test('found: a table whose name only the cache has when a start reads it is there after a power cut', async () => {
  const path = '/data/store/config/followOffset.json';
  let seen = 0;
  for (const number of [1, 2, 3]) {
    const first = new Machine({ flushDiskType: 'SYNC_FLUSH' });
    crashAt(first.fileSystem, 'metadata:before-directory-sync', number);
    await assert.rejects(MachineBroker.start({ machine: first }));
    const machine = first.kill();
    if (!machine.fileSystem.paths().includes(path)) continue;
    seen++;
    const { fileSystem } = (await MachineBroker.start({ machine })).cutPower(1);
    assert.ok(fileSystem.paths().includes(path));
  }
  assert.ok(seen > 0, 'its name was not synced');
});
