import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Machine } from '../../../torture/test/machine.ts';
import type { MessageStore } from '../../src/message-store.ts';
import type { ReadQueueOptions } from '../../src/read/read-queue.ts';

/** Reads in the background; `bodies` grows. */
function follow(store: MessageStore, options: ReadQueueOptions = {}) {
  const bodies: string[] = [];
  const state = { bodies, ended: false };
  const read = async (): Promise<void> => {
    for await (const { body } of store.readQueue('T', 0, { follow: true, ...options })) bodies.push(body.toString());
    state.ended = true;
  };
  void read();
  return state;
}

async function putAll(machine: Machine, store: MessageStore, names: readonly string[]): Promise<void> {
  for (const name of names) assert.equal((await machine.put(store, name)).status, 'PUT_OK');
}

const deleteTopic = (machine: Machine, store: MessageStore): Promise<void> =>
  machine.until(store.deleteTopic('T'), 'deletion');

for (const from of ['start', 'end', 2, 5] as const) {
  test(`readQueue: who follows from ${from} goes on with the new messages of a topic that was deleted and remade`, async () => {
    const machine = new Machine();
    const store = await machine.open();
    await putAll(machine, store, ['a', 'b', 'c', 'd', 'e']);
    const reader = follow(store, { from });
    await machine.advance(10);
    await deleteTopic(machine, store);
    await machine.advance(10);
    await putAll(machine, store, ['new0', 'new1']);
    await machine.advance(10);
    await deleteTopic(machine, store);
    await putAll(machine, store, ['newer0', 'newer1', 'newer2']);
    await machine.advance(10);
    const old = from === 'start' ? ['a', 'b', 'c', 'd', 'e'] : from === 2 ? ['c', 'd', 'e'] : [];
    assert.deepEqual(reader.bodies, [...old, 'new0', 'new1', 'newer0', 'newer1', 'newer2']);
    assert.equal(reader.ended, false);
    await machine.until(store.shutdown(), 'shutdown');
    assert.equal(reader.ended, true);
  });
}

test('readQueue: a life that came and went unseen is left out, and the next one is read from its start', async () => {
  const machine = new Machine();
  const store = await machine.open();
  await putAll(machine, store, ['a', 'b']);
  const iterator = store.readQueue('T', 0, { follow: true });
  assert.equal((await machine.until(iterator.next(), 'read')).value?.body.toString(), 'a');
  await deleteTopic(machine, store);
  await putAll(machine, store, ['unseen']);
  await deleteTopic(machine, store);
  const next = iterator.next();
  await putAll(machine, store, ['new0']);
  // Not `b`, which was read together with `a`: its topic is deleted.
  assert.equal((await machine.until(next, 'read')).value?.body.toString(), 'new0');
  machine.kill();
});

test('readQueue: who does not follow is not led from one life of a topic into the next', async () => {
  const machine = new Machine();
  const store = await machine.open();
  await putAll(machine, store, ['a', 'b', 'c']);
  const iterator = store.readQueue('T', 0);
  assert.equal((await machine.until(iterator.next(), 'read')).value?.body.toString(), 'a');
  await deleteTopic(machine, store);
  await putAll(machine, store, ['new0', 'new1', 'new2', 'new3']);
  assert.equal((await machine.until(iterator.next(), 'read')).done, true);
  machine.kill();
});

test('readQueue: a read that is under way when the topic is deleted and remade gives nothing of either at a wrong place', async () => {
  const machine = new Machine({ flushConsumeQueueThoroughInterval: 10, flushIntervalConsumeQueue: 5 });
  const store = await machine.open();
  for (let i = 0; i < 40; i++) await putAll(machine, store, [`old${i}`]);
  await machine.advance(100);
  const held = machine.fileSystem.hold('read', /consumequeue/);
  let isHeld = false;
  void held.entered.then(() => {
    isHeld = true;
  });
  const result = store.getMessage('', 'T', 0, 0, 5);
  await machine.advance(1);
  assert.ok(isHeld, 'the entries are read from their file');
  await deleteTopic(machine, store);
  for (let i = 0; i < 40; i++) await putAll(machine, store, [`new${i}`]);
  await machine.advance(100);
  held.release();
  const { records } = await machine.until(result, 'read');
  for (const record of records) assert.ok(!record.includes('new'), 'a message of the next life');
  machine.kill();
});

test('readQueue: a reader that waited before the topic was there gets each of its messages once', async () => {
  const machine = new Machine();
  const store = await machine.open();
  const reader = follow(store);
  await machine.advance(10);
  await putAll(machine, store, ['a', 'b', 'c']);
  await machine.advance(10);
  assert.deepEqual(reader.bodies, ['a', 'b', 'c']);
  machine.kill();
});
