import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type MessageSelection, selectMessages, type UnreadableMessage } from '../../src/doctor/messages.ts';
import { readLayout } from '../../src/doctor/store-layout.ts';
import { type SmallStore, smallStore } from './small-store.ts';

async function select(store: SmallStore, selection: MessageSelection, unreadable: UnreadableMessage[] = []) {
  const layout = await readLayout(store.root);
  return [...selectMessages(layout, selection, (each) => unreadable.push(each))].map(({ message }) => message);
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
