// Stores with batch queues: what verify says of their entries, what a repair makes of them, and what is read from them.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { MessageStore } from '@vernier/store';
import { cleanUp } from '../../../test/support/clean-up.ts';
import { inspectStore } from '../src/inspect.ts';
import { selectMessages } from '../src/messages.ts';
import { applyRepair } from '../src/repair-apply.ts';
import { planRepair } from '../src/repair-plan.ts';
import { readLayout } from '../src/store-layout.ts';
import { brief, openOptions, SmallStore } from './small-store.ts';

/** Messages of each record, in the order of the log; 1 is a message by itself. */
const COUNTS = [5, 1, 12, 3, 1, 1, 40, 2, 7, 1, 9, 4];
const FIRST_FILE = `batchconsumequeue/batch/0/${'0'.repeat(20)}`;
/** Five entries a file. */
const more = { mapperFileSizeBatchConsumeQueue: 46 * 5 };
const host = { address: Uint8Array.of(127, 0, 0, 1), port: 10911 };

function innerBatch(count: number): Buffer {
  const parts = Array.from({ length: count }, (_, i) => {
    const body = Buffer.from(`message ${i}`);
    const properties = Buffer.from(`KEYS\u0001inner${i}`);
    const part = Buffer.alloc(22 + body.length + properties.length);
    part.writeInt32BE(part.length, 0);
    part.writeInt32BE(body.length, 16);
    body.copy(part, 20);
    part.writeInt16BE(properties.length, 20 + body.length);
    properties.copy(part, 22 + body.length);
    return part;
  });
  return Buffer.concat(parts);
}

async function put(store: MessageStore, count: number): Promise<number> {
  const { status, reason, queueOffset } = await store.asyncPutMessage({
    ...{ topic: 'batch', queueId: 0, flag: 0, sysFlag: count === 1 ? 0 : 0xc0, bornTimestamp: 1 },
    ...{ bornHost: host, storeHost: host, reconsumeTimes: 0, preparedTransactionOffset: 0 },
    body: count === 1 ? Buffer.from('alone') : innerBatch(count),
    propertiesString: `UNIQ_KEY\u0001k${count}\u0002TAGS\u0001t${count}\u0002${count === 1 ? '' : `INNER_NUM\u0001${count}\u0002`}`,
  });
  assert.equal(status, 'PUT_OK', reason);
  return queueOffset;
}

/** A store with COUNTS in queue 0 of the topic `batch`, and messages of `plain` in between. */
async function batchStore(t: TestContext): Promise<{ store: SmallStore; bases: number[] }> {
  const root = await mkdtemp(join(tmpdir(), 'vernier-doctor-'));
  cleanUp(t, () => rmSync(root, { recursive: true, force: true }));
  mkdirSync(join(root, 'config'));
  const table = {
    batch: { topicName: 'batch', attributes: { 'queue.type': 'BatchCQ' } },
    plain: { topicName: 'plain' },
  };
  writeFileSync(join(root, 'config', 'topics.json'), JSON.stringify({ topicConfigTable: table }));
  const open = await MessageStore.open(openOptions(root, more));
  const bases: number[] = [];
  for (const count of COUNTS) {
    bases.push(await put(open, count));
    await open.putMessage({ topic: 'plain', body: `beside ${count}`, keys: `p${count}` });
  }
  await open.shutdown();
  return { store: new SmallStore(root), bases };
}

/** All files of the batch queue, one after the other. */
const entriesOf = (store: SmallStore): Buffer => {
  const directory = join(store.root, 'batchconsumequeue', 'batch', '0');
  return Buffer.concat(
    readdirSync(directory)
      .sort()
      .map((name) => readFileSync(join(directory, name))),
  );
};

async function repair(store: SmallStore): Promise<string[]> {
  const plan = await planRepair(await readLayout(store.root), { indexShape: {} });
  assert.deepEqual(plan.left, []);
  await applyRepair(plan, { logPath: undefined });
  assert.deepEqual((await store.findings()).list.map(brief), []);
  return plan.steps.map(({ kind }) => kind);
}

test('batch queues: a sound store is silent, clean and unclean, and its messages are read by their numbers', async (t) => {
  const { store } = await batchStore(t);
  for (const state of ['clean', 'unclean']) {
    if (state === 'unclean') writeFileSync(join(store.root, 'abort'), '1');
    const { findings, entries } = await store.verify();
    assert.deepEqual(findings.list.map(brief), [], state);
    assert.equal(entries, 2 * COUNTS.length);
    const layout = await readLayout(store.root);
    const { queues } = await inspectStore(layout);
    const batch = queues.find(({ topic }) => topic === 'batch');
    assert.deepEqual([batch?.minOffset, batch?.maxOffset, batch?.files], [0, 86, 3]);
    const offsets = async (from?: number, to?: number): Promise<number[]> => {
      const found: number[] = [];
      const bound = (offset: number | undefined) => (offset === undefined ? undefined : { offset });
      for await (const { message } of selectMessages(layout, { topic: 'batch', from: bound(from), to: bound(to) })) {
        found.push(message.queueOffset);
      }
      return found;
    };
    const all = Array.from({ length: 86 }, (_, number) => number);
    assert.deepEqual(await offsets(), all);
    assert.deepEqual(await offsets(8), all.slice(8), 'message 8 is the third of the record that begins at 6');
    assert.deepEqual(await offsets(21, 62), all.slice(21, 62), 'number 61 stands in the middle of a record');
    assert.deepEqual(await offsets(22, 23), [22]);
    const inner: string[] = [];
    for await (const { message, propertyBytes } of selectMessages(layout, { topic: 'batch', to: { offset: 8 } })) {
      const { sysFlag, body } = message;
      inner.push(`${sysFlag} ${body} ${JSON.stringify([...message.properties])} ${propertyBytes.length}`);
    }
    const texts = [0, 1, 2, 3, 4].map((i) => `0 message ${i} [["KEYS","inner${i}"]] 11`);
    assert.deepEqual(inner.slice(0, 5), texts);
    assert.match(inner[5]!, /^0 alone \[\["UNIQ_KEY","k1"\],\["TAGS","t1"\]/);
    assert.deepEqual(inner.slice(6), ['0 message 0 [["KEYS","inner0"]] 11', '0 message 1 [["KEYS","inner1"]] 11']);
    assert.deepEqual(await offsets(90, 95), []);
  }
});

test('batch queues: a wrong byte in each field of an entry is found, and a repair sets it right byte for byte', async (t) => {
  const fields: [at: number, what: RegExp][] = [
    [7, /no record of the queue is there|not in the queue/],
    [11, /another size/],
    [19, /another hash/],
    [27, /another time/],
    [35, /another number/],
    [37, /another count of messages/],
  ];
  for (const [at, what] of fields) {
    const { store } = await batchStore(t);
    const before = entriesOf(store);
    store.flip(FIRST_FILE, 2 * 46 + at, 1);
    const { list, faults } = await store.findings();
    assert.ok(faults > 0, String(at));
    assert.match(list.map(({ message }) => message).join('\n'), what, String(at));
    assert.ok((await repair(store)).includes('rebuild-queue'));
    assert.ok(entriesOf(store).equals(before), String(at));
  }
});

test('batch queues: files that are gone, cut or too many are made anew from the log', async (t) => {
  for (const harm of ['directory', 'middle', 'zeros', 'behind'] as const) {
    const { store } = await batchStore(t);
    const before = entriesOf(store);
    const directory = join(store.root, 'batchconsumequeue', 'batch', '0');
    const second = String(46 * 5).padStart(20, '0');
    if (harm === 'directory') rmSync(join(store.root, 'batchconsumequeue'), { recursive: true });
    if (harm === 'middle') rmSync(join(directory, second));
    if (harm === 'zeros') writeFileSync(join(directory, second), Buffer.alloc(46 * 5));
    if (harm === 'behind') {
      const last = String(46 * 10).padStart(20, '0');
      const entry = Buffer.from(store.read(`batchconsumequeue/batch/0/${last}`, 46, 46));
      entry.writeBigInt64BE(entry.readBigInt64BE(0) + 100_000_000n, 0);
      store.write(`batchconsumequeue/batch/0/${last}`, 2 * 46, entry);
    }
    assert.ok((await store.findings()).faults > 0, harm);
    await repair(store);
    // Without any file nothing tells how large they were.
    assert.ok(entriesOf(store).subarray(0, before.length).equals(before), harm);
  }
});

test('batch queues: a lost inner batch keeps all of its numbers in use, and what is behind it stays where it was', async (t) => {
  const { store, bases } = await batchStore(t);
  const lost = store.records.find(({ message }) => message.topic === 'batch' && message.queueOffset === 6)!;
  store.flip(lost.file, lost.at + 100);
  const { list } = await store.findings();
  assert.match(list[0]?.message ?? '', /message 6 of batch\/0/);
  const steps = await repair(store);
  assert.ok(steps.includes('quarantine') && steps.includes('rebuild-queue'));
  const open = await MessageStore.open(openOptions(store.root, more));
  assert.equal(open.getMaxOffsetInQueue('batch', 0), 86);
  const seen: number[] = [];
  for (let offset = 0; offset < 86; ) {
    const found = await open.getMessage('g', 'batch', 0, offset, 1);
    assert.ok(found.nextBeginOffset > offset, `no way on from ${offset}`);
    if (found.messageCount > 0) seen.push(offset);
    offset = found.nextBeginOffset;
  }
  assert.deepEqual(
    seen,
    bases.filter((base) => base !== 6),
  );
  const entry = entriesOf(store).subarray(2 * 46);
  assert.deepEqual([Number(entry.readBigInt64BE(28)), entry.readInt16BE(36)], [6, 12], 'as Java counts them');
  assert.equal(await put(open, 3), 86);
  await open.shutdown();
});
