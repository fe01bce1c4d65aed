// Stores with light queues (RocketMQ LMQ), whose entries lead to records of other topics.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { MessageStore } from '@vernier/store';
import { cleanUp } from '../../../test/support/clean-up.ts';
import { applyRepair } from '../src/repair-apply.ts';
import { planRepair } from '../src/repair-plan.ts';
import { readLayout } from '../src/store-layout.ts';
import { brief, entryPlace, openOptions, SmallStore } from './small-store.ts';

const A = '%LMQ%a';
const B = '%LMQ%$parent$b';
const LMQ = { enableLmq: true, enableMultiDispatch: true };
const host = { address: Uint8Array.of(127, 0, 0, 1), port: 10911 };

async function put(store: MessageStore, topic: string, text: string, properties: string): Promise<void> {
  const { status, reason } = await store.asyncPutMessage({
    ...{ topic, queueId: 0, flag: 0, sysFlag: 0, bornTimestamp: 1, bornHost: host, storeHost: host },
    ...{ reconsumeTimes: 0, preparedTransactionOffset: 0, body: Buffer.from(text), propertiesString: properties },
  });
  assert.equal(status, 'PUT_OK', reason);
}

/** 200 messages; every one is in A, every third in B. `act`: while the store is open. */
async function storeWithLmqs(t: TestContext, act?: (store: MessageStore) => Promise<void>): Promise<SmallStore> {
  const root = await mkdtemp(join(tmpdir(), 'vernier-doctor-'));
  cleanUp(t, () => rmSync(root, { recursive: true, force: true }));
  const store = await MessageStore.open(openOptions(root, LMQ));
  for (let i = 0; i < 200; i++) {
    const names = i % 3 === 0 ? `${A},${B}` : A;
    await put(store, 'events', `m${i} ${'x'.repeat(i)}`, `INNER_MULTI_DISPATCH\u0001${names}\u0002`);
  }
  // Retries keep the properties of what they are copies of, the numbers too when a Java broker has made them.
  await put(store, '%RETRY%g', 'retry', `INNER_MULTI_DISPATCH\u0001${A}\u0002`);
  await act?.(store);
  await store.shutdown();
  return new SmallStore(root);
}

const bodiesOf = async (root: string, topic: string): Promise<string[]> => {
  const store = await MessageStore.open(openOptions(root, LMQ));
  const bodies: string[] = [];
  for await (const { body } of store.readQueue(topic)) bodies.push(body.toString().trim().split(' ')[0]!);
  await store.shutdown();
  return bodies;
};

const all = Array.from({ length: 200 }, (_, i) => `m${i}`);
const thirds = all.filter((_, i) => i % 3 === 0);

async function repair(root: string): Promise<void> {
  const layout = await readLayout(root, { lockIsOurs: true });
  await applyRepair(await planRepair(layout, { indexShape: {} }), { logPath: undefined });
}

test('light queues: a sound store has no findings, after deletions either', async (t) => {
  const sound = await storeWithLmqs(t);
  assert.deepEqual((await sound.findings()).list.map(brief), []);
  const deleted = await storeWithLmqs(t, async (store) => {
    await store.deleteTopic(B);
    await put(store, 'events', 'new', `INNER_MULTI_DISPATCH\u0001${A},${B}\u0002`);
  });
  const faults = (await deleted.findings()).list.filter(({ severity }) => severity === 'fault');
  assert.deepEqual(faults.map(brief), []);
  const parentDeleted = await storeWithLmqs(t, (store) => store.deleteTopic('events'));
  const more = (await parentDeleted.findings()).list.filter(({ severity }) => severity === 'fault');
  assert.deepEqual(more.map(brief), [], 'light queues outlive the topic of their messages');
  assert.deepEqual(await bodiesOf(parentDeleted.root, B), thirds);
});

test('light queues: a wrong entry is found at its place and made right; no record is called wrong for it', async (t) => {
  const store = await storeWithLmqs(t);
  const { file, at } = entryPlace(A, 0, 50);
  // The record of another message, which is in this queue at another number.
  store.write(file, at, store.read(entryPlace(A, 0, 120).file, entryPlace(A, 0, 120).at, 20));
  const findings = (await store.findings()).list;
  assert.deepEqual(
    findings
      .map(({ kind, topic, queueOffset }) => [kind, topic, queueOffset])
      .filter(([kind]) => kind === 'record-field'),
    [],
  );
  assert.ok(
    findings.some(({ kind, offset }) => kind === 'queue-entry' && offset === at),
    findings.map(brief).join('\n'),
  );
  await repair(store.root);
  assert.deepEqual((await store.findings()).list.map(brief), []);
  assert.deepEqual(await bodiesOf(store.root, A), all);
});

test('light queues: files that are gone are missed, and made anew from the records', async (t) => {
  const store = await storeWithLmqs(t);
  rmSync(join(store.root, 'consumequeue', B, '0', '00000000000000000000'));
  rmSync(join(store.root, 'consumequeue', A, '0', '00000000000000001200'));
  const topics = new Set((await store.findings()).list.map(({ topic }) => topic));
  assert.ok(topics.has(A));
  assert.ok(topics.has(B));
  await repair(store.root);
  assert.deepEqual((await store.findings()).list.map(brief), []);
  assert.deepEqual(await bodiesOf(store.root, A), all);
  assert.deepEqual(await bodiesOf(store.root, B), thirds);
});

test('light queues: a message that is lost leaves a hole in each of its queues, and the others stay', async (t) => {
  const store = await storeWithLmqs(t);
  const lost = store.records[30]!;
  store.flip(lost.file, lost.at + 4);
  await repair(store.root);
  const faults = (await store.findings()).list.filter(({ severity }) => severity === 'fault');
  assert.deepEqual(faults.map(brief), []);
  for (const [name, texts] of [
    ['events', all],
    [A, all],
    [B, thirds],
  ] as const) {
    assert.deepEqual(
      await bodiesOf(store.root, name),
      texts.filter((text) => text !== 'm30'),
      name,
    );
  }
});
