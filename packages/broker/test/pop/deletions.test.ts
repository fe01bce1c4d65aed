// Topics and groups that are deleted while consumers pop.
import assert from 'node:assert/strict';
import test from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import { popRetryTopicOf } from '../../src/base/names.ts';
import { PopMachine, SECOND } from './pop-machine.ts';

const inOrder = { isOrdered: true };

const deleteTopic = (pop: PopMachine) => pop.broker.machine.until(pop.context.topicAdmin.delete('T'), 'deletion');
const deleteGroup = (pop: PopMachine) => pop.broker.machine.until(pop.context.groupAdmin.delete('g', true), 'deletion');

/** What is popped from now on is read, or its checkpoint put, so much later. */
function slow(pop: PopMachine, what: 'reads' | 'puts', ms: number): void {
  const { scheduler } = pop.broker.machine;
  const { store, context } = pop.broker;
  if (what === 'reads') {
    const getMessage = store.getMessage.bind(store);
    store.getMessage = async (...args) => {
      await scheduler.delay(ms);
      return getMessage(...args);
    };
    return;
  }
  const put = context.put.put.bind(context.put);
  const slowPut: typeof put = async (message, caller, origin, answer) => {
    if (origin === 'pop') await scheduler.delay(ms);
    return put(message, caller, origin, answer);
  };
  context.put.put = slowPut;
}

test('deletions: a retry topic of a group that nobody knew of gives nothing of the deleted topic', async () => {
  for (const enableRetryTopicV2 of [false, true]) {
    for (const isTaken of [false, true]) {
      const pop = await PopMachine.start({}, { enableRetryTopicV2 });
      await pop.send('T', 'a', 'b');
      await pop.pop();
      await pop.advance(31 * SECOND);
      const retryTopic = popRetryTopicOf('T', 'g', enableRetryTopicV2);
      assert.deepEqual((await pop.broker.bodies(retryTopic)).sort(), ['a', 'b']);
      // One of its copies is out, and its checkpoint is one of the retry topic.
      if (isTaken) assert.equal((await pop.pop({ maxMessages: 1 })).length, 1);
      assert.equal(await deleteGroup(pop), undefined);
      assert.equal(await deleteTopic(pop), undefined);
      assert.ok(pop.context.topics.select(retryTopic), 'no offset says whose it is');
      await pop.send('T', 'new');
      await pop.advance(31 * SECOND);
      assert.deepEqual(await pop.bodies(), ['new']);
      await pop.advance(31 * SECOND);
      assert.deepEqual(await pop.bodies(), ['new'], 'what comes after the deletion comes again');
      await pop.broker.stop();
    }
  }
});

test('deletions: while a topic is being deleted nothing is copied, and when that fails everything comes again', async () => {
  for (const isDone of [true, false]) {
    const pop = await PopMachine.start();
    await pop.send('T', 'a');
    await pop.pop();
    const { store, machine } = pop.broker;
    const deleteInStore = store.deleteTopic.bind(store);
    store.deleteTopic = async (topic, options) => {
      // The end of the delivery comes meanwhile.
      await machine.scheduler.delay(31 * SECOND);
      if (!isDone) throw new Error('the disk is full');
      return deleteInStore(topic, options);
    };
    const deletion = machine.until(pop.context.topicAdmin.delete('T'), 'deletion');
    if (isDone) assert.equal(await deletion, undefined);
    else await assert.rejects(deletion, /the disk is full/);
    store.deleteTopic = deleteInStore;
    if (isDone) await pop.send('T', 'new');
    await pop.advance(12 * SECOND);
    assert.deepEqual(await pop.bodies(), [isDone ? 'new' : 'a']);
    await pop.broker.stop();
  }
});

test('deletions: a pop that is under way while the deletion of its topic fails has its messages alone', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  slow(pop, 'puts', 50);
  const popping = pop.begin();
  await pop.advance(10);
  const { store } = pop.broker;
  store.deleteTopic = async () => {
    await pop.broker.machine.scheduler.delay(100);
    throw new Error('the disk is full');
  };
  await assert.rejects(deleteTopic(pop), /the disk is full/);
  const result = await pop.broker.machine.until(popping, 'pop');
  assert.ok(result !== undefined && 'records' in result && result.records.length === 1);
  assert.deepEqual(await pop.bodies(), [], 'nobody else gets it before its time');
  await pop.advance(31 * SECOND);
  assert.deepEqual(await pop.bodies(), ['a']);
  await pop.broker.stop();
});

test('deletions: a group that is deleted while it pops begins anew, over a kill too', async () => {
  for (const isOrdered of [false, true]) {
    for (const what of ['reads', 'puts'] as const) {
      for (const isKilled of [false, true]) {
        const variant = `in order: ${isOrdered}, slow ${what}, killed: ${isKilled}`;
        const pop = await PopMachine.start();
        await pop.send('T', 'a', 'b', 'c');
        for (const each of await pop.pop({ isOrdered, maxMessages: 2 })) await pop.ack(each);
        // The handles of two pops of the same messages in one millisecond would be the same.
        await pop.advance(10);
        slow(pop, what, 50);
        const popping = pop.begin({ isOrdered });
        await pop.advance(10);
        assert.equal(await deleteGroup(pop), undefined, variant);
        const result = await pop.broker.machine.until(popping, 'pop');
        assert.ok(result !== undefined && 'records' in result, `${variant} ${JSON.stringify(result)}`);
        const { length } = result.records;
        // The one that is read anew is the group's first one. In order nothing is put, and the pop was done before.
        if (what === 'reads') assert.equal(length, 3, variant);
        else assert.equal(length, 1, variant);
        if (isKilled) await pop.kill();
        const bodies = await pop.bodies({ isOrdered });
        // In order the kill takes a batch that was not saved; else its checkpoint is there.
        const comes = what === 'puts' || (isOrdered && isKilled);
        assert.deepEqual(bodies, comes ? ['a', 'b', 'c'] : [], variant);
        await pop.broker.stop();
      }
    }
  }
});

test('deletions: a batch in order that is given while its group is deleted is known', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  const [old] = await pop.pop({ ...inOrder, invisibleMs: 5 });
  await pop.advance(10);
  slow(pop, 'reads', 50);
  const popping = pop.begin(inOrder);
  await pop.advance(10);
  assert.equal(await deleteGroup(pop), undefined);
  await pop.broker.machine.until(popping, 'pop');
  await pop.advance(10 * SECOND);
  assert.equal(await pop.ack(old!), ResponseCode.SUCCESS, 'of another delivery');
  await pop.advance(21 * SECOND);
  assert.deepEqual(await pop.bodies(inOrder), ['a', 'b'], 'it said nothing');
  await pop.broker.stop();
});

test('deletions: an ack in order of a message of the deleted topic is none of the message at its number', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'old');
  const [old] = await pop.pop(inOrder);
  assert.equal(await deleteTopic(pop), undefined);
  await pop.advance(10);
  await pop.send('T', 'new');
  // The group is there, and a kill took its batch.
  pop.context.offsets.commit('g', 'T', 0, 0);
  assert.equal(await pop.ack(old!), ResponseCode.MESSAGE_ILLEGAL);
  assert.deepEqual(await pop.bodies(inOrder), ['new']);
  await pop.broker.stop();
});

test('ordered pop: an ack of a message that is not there yet does not pass over it', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  const [a] = await pop.pop(inOrder);
  assert.equal(await pop.ack(a!), ResponseCode.SUCCESS);
  // A group that goes back has no batch.
  for (const offset of [0, 1]) pop.context.offsets.commit('g', 'T', 0, offset);
  assert.equal(await pop.ack({ ...a!, queueOffset: 1 }), ResponseCode.MESSAGE_ILLEGAL);
  await pop.send('T', 'b');
  assert.deepEqual(await pop.bodies(inOrder), ['b']);
  await pop.broker.stop();
});

test('deletions: an ack in order that was under way when its topic was to be deleted holds when a kill undoes that', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  const [a] = await pop.pop(inOrder);
  const { store, machine } = pop.broker;
  // The table of topics is saved by then.
  store.deleteTopic = () => new Promise(() => {});
  const acking = pop.context.pop.acks.ack(a!);
  void pop.context.topicAdmin.delete('T');
  assert.equal(await machine.until(acking, 'ack'), undefined);
  await pop.advance(10);
  await pop.kill();
  await pop.advance(31 * SECOND);
  assert.deepEqual(await pop.bodies(inOrder), ['b']);
  await pop.broker.stop();
});

test('deletions: a start after a deletion that a kill came into does not take a batch for one of the topic as it is now', async () => {
  // Nobody saves the offsets by themselves.
  const pop = await PopMachine.start({}, { flushConsumerOffsetInterval: 3_600 * SECOND });
  await pop.send('T', 'a');
  const [a] = await pop.pop(inOrder);
  assert.equal(await pop.ack(a!), ResponseCode.SUCCESS);
  await pop.context.metadata.orders.save();
  const { store, context } = pop.broker;
  // The store has deleted it, and no table was saved since.
  await pop.broker.machine.until(store.deleteTopic('T'), 'deletion');
  context.offsets.removeTopic('T');
  await pop.send('T', 'b');
  await pop.kill();
  assert.deepEqual(await pop.bodies(inOrder), ['b']);
  await pop.broker.stop();
});

test('deletions: what is acknowledged in order after a deletion holds, though nothing was stored between the two', async () => {
  for (const end of ['restart', 'kill'] as const) {
    const pop = await PopMachine.start();
    await pop.send('T', 'a', 'b');
    for (const each of await pop.pop({ ...inOrder, maxMessages: 1 })) await pop.ack(each);
    assert.equal(await deleteTopic(pop), undefined);
    await pop.restart();
    await pop.send('T', 'c', 'd');
    const [c] = await pop.pop(inOrder);
    assert.equal(await pop.ack(c!), ResponseCode.SUCCESS);
    await pop[end]();
    await pop.advance(31 * SECOND);
    assert.deepEqual(await pop.bodies(inOrder), ['d'], end);
    await pop.broker.stop();
  }
});

test('a power cut under ASYNC_FLUSH: a group does not miss messages that get the numbers of lost ones', async () => {
  for (const isKilled of [false, true]) {
    const pop = await PopMachine.start({ flushDiskType: 'ASYNC_FLUSH', flushIntervalCommitLog: 5 * SECOND });
    await pop.send('Other', 'x');
    await pop.broker.machine.until(pop.broker.store.flush(), 'flush');
    // The flush asked for the next one to be soon.
    await pop.advance(20);
    await pop.send('T', 'a');
    const [a] = await pop.pop(inOrder);
    assert.equal(await pop.ack(a!), ResponseCode.SUCCESS);
    const { metadata } = pop.context;
    await pop.broker.machine.until(metadata.topics.save(), 'topics');
    await pop.broker.machine.until(metadata.offsets.save(), 'offsets');
    await pop.cutPower();
    assert.equal(pop.broker.store.getMaxOffsetInQueue('T', 0), 0, 'it is lost');
    await pop.send('T', 'b');
    await pop.broker.machine.until(pop.broker.store.flush(), 'flush');
    if (isKilled) await pop.kill();
    assert.deepEqual(await pop.bodies(inOrder), ['b'], `killed: ${isKilled}`);
    await pop.broker.stop();
  }
});

test('deletions: offsets that were saved at the end of the log are older than a deletion there', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b', 'c');
  for (const each of await pop.pop(inOrder)) await pop.ack(each);
  await pop.advance(10 * SECOND);
  await pop.context.metadata.offsets.save();
  await pop.context.metadata.places.save();
  // Killed when the store has deleted the topic, which has messages again.
  pop.context.offsets.removeTopic = () => {
    throw new Error('killed here');
  };
  await assert.rejects(deleteTopic(pop), /killed here/);
  await pop.send('T', 'd', 'e');
  await pop.kill();
  assert.deepEqual(await pop.bodies(inOrder), ['d', 'e']);
  await pop.broker.stop();
});

test('deletions: what is acknowledged in order after a deletion that a kill came into holds over the next kill', async () => {
  const pop = await PopMachine.start({}, { flushConsumerOffsetInterval: 3_600 * SECOND });
  await pop.send('T', 'a');
  for (const each of await pop.pop(inOrder)) await pop.ack(each);
  pop.context.offsets.removeTopic = () => {
    throw new Error('killed here');
  };
  await assert.rejects(deleteTopic(pop), /killed here/);
  await pop.kill();
  await pop.send('T', 'b', 'c');
  const [b] = await pop.pop(inOrder);
  assert.equal(await pop.ack(b!), ResponseCode.SUCCESS);
  await pop.broker.machine.until(pop.context.metadata.offsets.save(), 'offsets');
  await pop.kill();
  await pop.advance(31 * SECOND);
  assert.deepEqual(await pop.bodies(inOrder), ['c']);
  await pop.broker.stop();
});

test('deletions: a checkpoint gives no message that is younger than it, also when nobody knows of the deletion any more', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'old');
  assert.deepEqual(await pop.bodies(), ['old']);
  assert.equal(await deleteTopic(pop), undefined);
  // As when the files of the log have expired that the deletion was about.
  pop.broker.store.deletedBelow = () => 0;
  await pop.send('T', 'new');
  await pop.advance(31 * SECOND);
  assert.deepEqual(await pop.bodies(), ['new']);
  assert.equal(pop.revivedTotal, 0);
  await pop.broker.stop();
});
