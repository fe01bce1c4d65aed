import assert from 'node:assert/strict';
import test from 'node:test';
import { LiteMachine, lmq, SECOND, TOPIC } from './lite-machine.ts';

const MINUTE = 60 * SECOND;

test('lite expiry: a lite topic goes when its last message is older than lite.topic.expiration, consumed or not', async () => {
  const machine = await LiteMachine.start();
  machine.subscribe('c1', ['old', 'young']);
  await machine.send('old', '0', '1');
  const [first] = await machine.pop('c1', { maxMessages: 1 });
  await machine.ack(first!);
  await machine.advance(20 * MINUTE);
  await machine.send('young', 'y');
  assert.equal(machine.broker.store.getMaxOffsetInQueue(lmq('old'), 0), 2, 'not yet');
  await machine.advance(13 * MINUTE);
  assert.equal(machine.broker.store.getMaxOffsetInQueue(lmq('old'), 0), 0);
  assert.equal(machine.context.offsets.query('g', lmq('old'), 0), -1, 'its groups begin anew');
  assert.equal(machine.broker.store.getMaxOffsetInQueue(lmq('young'), 0), 1);
  machine.subscribe('c1', ['old', 'young']);
  await machine.send('old', 'new');
  const popped = await machine.pop('c1');
  assert.deepEqual(popped.map(({ body, queueOffset }) => [body, queueOffset]).sort(), [
    ['new', 0],
    ['y', 0],
  ]);
  await machine.kill();
  assert.equal(machine.broker.store.getMaxOffsetInQueue(lmq('old'), 0), 1, 'nor does a kill bring the old ones back');
  await machine.stop();
});

test('lite expiry: never without lite.topic.expiration, before minLiteTTl, or soon after a start', async () => {
  const machine = await LiteMachine.start({ minLiteTTl: 60 * MINUTE });
  await machine.send('a', '0');
  await machine.advance(45 * MINUTE);
  assert.equal(machine.broker.store.getMaxOffsetInQueue(lmq('a'), 0), 1, 'minLiteTTl');
  const topic = machine.context.topics.select(TOPIC)!;
  machine.context.topics.update({ ...topic, attributes: new Map([['message.type', 'LITE']]) });
  await machine.advance(300 * MINUTE);
  assert.equal(machine.broker.store.getMaxOffsetInQueue(lmq('a'), 0), 1, 'never');
  await machine.stop();
});

test('lite expiry: a message that comes as the lite topic is deleted is not lost', async () => {
  const machine = await LiteMachine.start();
  await machine.send('a', '0');
  const { store } = machine.broker;
  const isDeleted = store.deleteTopicEndingAt(lmq('a'), 0);
  assert.equal(await machine.broker.machine.until(isDeleted, 'deletion'), false, 'it had one more message');
  assert.equal(store.getMaxOffsetInQueue(lmq('a'), 0), 1);
  const deletion = store.deleteTopicEndingAt(lmq('a'), 1);
  await machine.send('a', '1');
  assert.equal(await machine.broker.machine.until(deletion, 'deletion'), true);
  assert.deepEqual(await machine.broker.bodies(lmq('a')), ['1'], 'it came behind the deletion');
  // One that is put in the turn before: the queue does not end any more where it was seen to end.
  const begun = machine.broker.begin(TOPIC, '2', { properties: '__LITE_TOPIC\u0001a\u0002' });
  const second = store.deleteTopicEndingAt(lmq('a'), 1);
  assert.equal(await machine.broker.machine.until(second, 'deletion'), false);
  await machine.broker.machine.until(begun, 'put');
  assert.deepEqual(await machine.broker.bodies(lmq('a')), ['1', '2']);
  await machine.stop();
});

test('lite expiry: a kill right behind it leaves no offset of the old messages that hides a new one', async () => {
  const machine = await LiteMachine.start();
  machine.subscribe('c1', ['a']);
  await machine.send('a', 'old');
  await machine.ack(...(await machine.pop('c1')));
  await machine.advance(30 * MINUTE);
  for (let i = 0; machine.broker.store.getMaxOffsetInQueue(lmq('a'), 0) > 0; i++) {
    assert.ok(i < 60_000, 'it never expires');
    await machine.advance(5);
  }
  await machine.send('a', 'new');
  await machine.kill();
  machine.subscribe('c1', ['a']);
  assert.deepEqual(await machine.bodies('c1'), ['new']);
  await machine.stop();
});

test('lite expiry: a kill between the deletion and what follows it hides no message either', async () => {
  const machine = await LiteMachine.start();
  machine.subscribe('c1', ['a']);
  await machine.send('a', 'old', 'old2');
  await machine.ack(...(await machine.pop('c1')));
  // As the deletion is on disk, and nothing else.
  await machine.broker.machine.until(machine.broker.store.deleteTopicEndingAt(lmq('a'), 2), 'deletion');
  await machine.kill();
  assert.equal(machine.context.offsets.query('g', lmq('a'), 0), -1, 'its groups begin anew');
  machine.subscribe('c1', ['a']);
  await machine.send('a', 'new');
  assert.deepEqual(await machine.bodies('c1'), ['new']);
  await machine.stop();
});

test('lite expiry: another lite topic whose name goes on behind an @ keeps its groups', async () => {
  const machine = await LiteMachine.start();
  machine.subscribe('c1', ['user', 'user@home']);
  await machine.send('user', '0');
  await machine.ack(...(await machine.pop('c1')));
  await machine.advance(20 * MINUTE);
  machine.subscribe('c1', ['user', 'user@home']);
  await machine.send('user@home', '0', '1', '2');
  await machine.ack(...(await machine.pop('c1', { maxMessages: 1 })));
  await machine.advance(13 * MINUTE);
  assert.equal(machine.broker.store.getMaxOffsetInQueue(lmq('user'), 0), 0, 'it has expired');
  assert.equal(machine.context.offsets.query('g', lmq('user@home'), 0), 1);
  await machine.stop();
});

test('lite expiry: a last message whose time cannot be read takes no others with it', async () => {
  const machine = await LiteMachine.start();
  await machine.send('a', '0', '1');
  const { store } = machine.broker;
  store.getMessageStoreTimeStamp = () => Promise.resolve(-1);
  await machine.advance(40 * MINUTE);
  assert.equal(store.getMaxOffsetInQueue(lmq('a'), 0), 2);
  await machine.stop();
});

test('lite topics go with their topic', async () => {
  const machine = await LiteMachine.start();
  await machine.send('a', '0');
  await machine.send('b', '0');
  await machine.broker.machine.until(machine.context.topicAdmin.delete(TOPIC), 'deletion');
  assert.equal(machine.broker.store.getMaxOffsetInQueue(lmq('a'), 0), 0);
  assert.deepEqual(
    [...machine.broker.store.queuesByTopic().keys()].filter((name) => name.startsWith('%LMQ%')),
    [],
  );
  await machine.stop();
});
