import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type MessageExt, MessageStore } from '@vernier/store';
import { cleanUp } from '../../../test/support/clean-up.ts';
import { inspectStore } from '../src/inspect.ts';
import { type MessageSelection, selectMessages, type UnreadableMessage } from '../src/messages.ts';
import { readLayout } from '../src/store-layout.ts';
import { messageOf, openOptions, type SmallStore, smallStore } from './small-store.ts';

async function select(
  store: Pick<SmallStore, 'root'>,
  selection: MessageSelection,
  unreadable: UnreadableMessage[] = [],
) {
  const layout = await readLayout(store.root);
  const messages: MessageExt[] = [];
  for await (const { message } of selectMessages(layout, selection, (each) => unreadable.push(each))) {
    messages.push(message);
  }
  return messages;
}

test('messages by topic, queue, range of numbers, time and key', async (t) => {
  const store = await smallStore(t);
  const inQueues = store.records.map(({ message }) => message).filter(({ sysFlag }) => (sysFlag & 0x4) === 0);
  const all = await select(store, {});
  assert.deepEqual(
    all.map(({ commitLogOffset }) => commitLogOffset).sort((a, b) => a - b),
    inQueues.map(({ commitLogOffset }) => commitLogOffset),
  );
  const events = inQueues.filter(({ topic, queueId }) => topic === 'events' && queueId === 1);
  const one = { topic: 'events', queueId: 1 };
  assert.deepEqual(await select(store, one), events);
  assert.deepEqual(await select(store, { ...one, from: { offset: 10 }, to: { offset: 15 } }), events.slice(10, 15));
  assert.deepEqual(await select(store, { ...one, from: { offset: 1_000_000 } }), []);
  assert.deepEqual(await select(store, { ...one, to: { offset: 3 } }), events.slice(0, 3));
  const middle = events[60]!.storeTimestamp;
  assert.deepEqual(
    await select(store, { ...one, from: { time: middle } }),
    events.filter(({ storeTimestamp }) => storeTimestamp >= middle),
  );
  assert.deepEqual(
    await select(store, { ...one, to: { time: middle } }),
    events.filter(({ storeTimestamp }) => storeTimestamp < middle),
  );
  assert.deepEqual(await select(store, { to: { time: 0 } }), []);
  const withKey = inQueues.filter(({ properties }) => properties.get('KEYS')?.split(' ').includes('shared-3'));
  assert.ok(withKey.length > 1);
  assert.equal((await select(store, { key: 'shared-3' })).length, withKey.length);
  const [unique] = events;
  assert.deepEqual(await select(store, { key: unique!.properties.get('UNIQ_KEY')! }), [unique]);
  assert.deepEqual(await select(store, { topic: 'nobody' }), []);
});

test('what cannot be read is handed over by its place, and the others come all the same', async (t) => {
  const store = await smallStore(t);
  const { file, at, message } = store.record(150);
  store.flip(file, at + 88);
  const unreadable: UnreadableMessage[] = [];
  const { topic, queueId, queueOffset, commitLogOffset } = message;
  const read = await select(store, { topic, queueId }, unreadable);
  assert.deepEqual(unreadable, [{ topic, queueId, queueOffset, logOffset: commitLogOffset }]);
  assert.ok(read.some((other) => other.queueOffset === queueOffset + 1));
  assert.ok(!read.some((other) => other.queueOffset === queueOffset));
});

test('messages whose entries are not in the queues’ files yet come behind those that are', async (t) => {
  const { root } = await smallStore(t);
  const layout = await readLayout(root);
  assert.equal(layout.state, 'clean');
  const before = await select({ root }, {});
  const store = await MessageStore.open(openOptions(root, { flushIntervalConsumeQueue: 3_600_000 }));
  cleanUp(t, () => store.shutdown());
  const added: { topic: string; queueOffset: number; body: Uint8Array }[] = [];
  for (let index = 0; index < 30; index++) {
    const message = { ...messageOf(index), topic: index % 2 === 0 ? 'events' : 'new', queueId: 0, sysFlag: 0 };
    const { status, queueOffset } = await store.asyncPutMessage(message, 'sync');
    assert.equal(status, 'PUT_OK');
    added.push({ topic: message.topic, queueOffset, body: message.body });
  }
  const after = await readLayout(root);
  assert.equal(after.state, 'live');
  assert.ok(!after.queues.has('new'), 'nothing of it is in a queue file');
  assert.equal((await select({ root }, {})).length, before.length + 30);
  for (const topic of ['events', 'new']) {
    const found = await select({ root }, { topic, queueId: 0 });
    assert.deepEqual(
      found.map(({ queueOffset }) => queueOffset),
      found.map((_, i) => i),
    );
    const expected = added.filter((message) => message.topic === topic);
    assert.deepEqual(
      found.slice(-15).map(({ queueOffset, body }) => ({ topic, queueOffset, body })),
      expected,
    );
    const from = { offset: expected[3]!.queueOffset };
    assert.equal((await select({ root }, { topic, queueId: 0, from, to: { offset: from.offset + 4 } })).length, 4);
  }
  const { queues, logEnd } = await inspectStore(after);
  const summary = queues.find(({ topic }) => topic === 'new')!;
  assert.deepEqual([summary.minOffset, summary.maxOffset, summary.files], [0, 15, 0]);
  assert.ok(summary.lastTime >= summary.firstTime && summary.firstTime > 0);
  assert.equal(logEnd, store.maxPhyOffset);
});
