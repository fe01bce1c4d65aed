// Directories that other releases and other settings leave: sound, and the doctor must not call them wrong.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLogger, systemClock } from '@vernier/store';
import { hasQueueEntry, IndexService, keyHashesOf, resolveConfig, tagsStringToTagsCode } from '@vernier/store/internal';
import { applyRepair } from '../src/repair-apply.ts';
import { planRepair } from '../src/repair-plan.ts';
import { doctorFileSystem, readLayout, type StoreLayout } from '../src/store-layout.ts';
import { verifyStore } from '../src/verify.ts';
import { brief, entryPlace, openOptions, type SmallStore, sizes, smallStore } from './small-store.ts';

const shape = { slots: sizes.maxHashSlotNum, units: sizes.maxIndexNum };

/**
 * The index made anew from the log, without tags for the records below `tagsFrom`. Of the records in `interrupted` only the
 * unique key is filed first, and then everything: what RocketMQ leaves when it is killed between two keys. `again` is filed
 * twice as a whole, as after a kill behind its last key. Those in `left` are not filed.
 */
async function refile(
  store: SmallStore,
  tagsFrom: number,
  interrupted: readonly number[] = [],
  again = -1,
  left: readonly number[] = [],
): Promise<void> {
  rmSync(join(store.root, 'index'), { recursive: true });
  const index = new IndexService({
    config: resolveConfig(openOptions(store.root)),
    logger: silentLogger,
    clock: systemClock,
    fileSystem: doctorFileSystem,
    fail: (error) => error,
    failure: undefined,
  });
  for (const [at, { message }] of store.records.entries()) {
    if (left.includes(at)) continue;
    const { properties } = message;
    const uniqKey = properties.get('UNIQ_KEY') ?? '';
    const tags = at < tagsFrom ? '' : (properties.get('TAGS') ?? '');
    const request = {
      topic: message.topic,
      queueId: message.queueId,
      commitLogOffset: message.commitLogOffset,
      msgSize: message.storeSize,
      tagsCode: 0,
      storeTimestamp: message.storeTimestamp,
      consumeQueueOffset: message.queueOffset,
      keyHashes: keyHashesOf(uniqKey, properties.get('KEYS') ?? '', tags),
      sysFlag: message.sysFlag,
      preparedTransactionOffset: 0,
    };
    if (interrupted.includes(at)) index.buildIndex({ ...request, keyHashes: keyHashesOf(uniqKey, '', '') });
    index.buildIndex(request);
    if (at === again) index.buildIndex(request);
  }
  await index.flush();
  await index.close();
}

for (const [name, tagsFrom] of [
  ['without tags, as RocketMQ before 5.4 files it', Number.POSITIVE_INFINITY],
  ['whose older half has no tags: a release before 5.4 stored them', 300],
] as const) {
  test(`an index ${name}, has no finding`, async (t) => {
    const store = await smallStore(t);
    const withTags = (await store.verify()).indexEntries;
    await refile(store, tagsFrom);
    const result = await store.verify();
    assert.deepEqual(result.findings.list.map(brief), []);
    assert.ok(result.indexEntries < withTags, `${result.indexEntries} entries, ${withTags} with tags`);
  });
}

/** The directory as if a RocketMQ broker had it open. */
const liveLayout = async (root: string) => ({ ...(await readLayout(root)), state: 'live' as const, own: false });

const faultsOf = async (layout: StoreLayout): Promise<string[]> =>
  (await verifyStore(layout, { depth: 'full', indexShape: shape })).findings.list
    .filter(({ severity }) => severity === 'fault')
    .map(brief);

test('a live broker may not have filed the newest record yet, and has filed those before it', async (t) => {
  const store = await smallStore(t);
  const queued = store.records.flatMap(({ message: { sysFlag } }, at) => (hasQueueEntry(sysFlag) ? [at] : []));
  const newest = queued.at(-1)!;
  await refile(store, 0, [], -1, [newest]);
  assert.deepEqual(await faultsOf(await liveLayout(store.root)), []);
  assert.equal((await store.findings()).faults, 1, 'after a clean stop it must be there');
  const before = queued.at(-2)!;
  await refile(store, 0, [], -1, [before]);
  assert.equal((await faultsOf(await liveLayout(store.root))).length, 1);
});

test('a live broker may have begun an index file since the files were listed', async (t) => {
  const store = await smallStore(t);
  const layout = await liveLayout(store.root);
  assert.ok(layout.indexFiles.length > 1);
  assert.deepEqual(await faultsOf({ ...layout, indexFiles: layout.indexFiles.slice(0, -1) }), []);
  const unclean = { ...layout, state: 'clean' as const, indexFiles: layout.indexFiles.slice(0, -1) };
  assert.equal((await faultsOf(unclean)).length, 1, 'nobody goes on with a store that is not live');
});

test('keys of a record that are there again, because a crash came between two of them, are a note', async (t) => {
  const store = await smallStore(t);
  const both = store.records.findIndex(
    ({ message: { properties } }) => properties.has('KEYS') && properties.has('TAGS'),
  );
  const tagAlone = store.records.findIndex(
    ({ message: { properties } }) => !properties.has('KEYS') && properties.has('TAGS'),
  );
  await refile(store, 0, [both, tagAlone]);
  const { list } = await store.findings();
  assert.deepEqual(
    list.map(({ severity, kind, message }) => `${severity} ${kind} ${message}`),
    ['note index-entry 2 entries are there twice, as a recovery leaves them; RocketMQ answers such a message twice'],
  );
});

test('an index file that begins with keys of the last record of the file before is a note', async (t) => {
  const store = await smallStore(t);
  const unitsOf = ({ message: { properties } }: SmallStore['records'][number]): number => {
    const keys = properties.get('KEYS') ?? '';
    return [properties.has('UNIQ_KEY'), ...keys.split(' ').map((key) => key !== ''), properties.has('TAGS')].filter(
      Boolean,
    ).length;
  };
  // Unit 0 stays unused. Some unique keys that are there twice fill the first file to its end behind a record.
  const capacity = openOptions(store.root).maxIndexNum! - 1;
  let units = 0;
  let last = -1;
  while (units + unitsOf(store.records[last + 1]!) <= capacity) units += unitsOf(store.records[++last]!);
  const padding = Array.from({ length: capacity - units }, (_, at) => at);
  await refile(store, 0, padding, last);
  const layout = await readLayout(store.root);
  assert.ok(layout.indexFiles.length > 1);
  const first = readFileSync(layout.indexFiles[1]!.path).readBigInt64BE(16);
  assert.equal(Number(first), store.records[last]!.message.commitLogOffset, 'the second file begins with it');
  const { list } = await store.findings();
  assert.deepEqual(
    list.map(({ severity, kind }) => `${severity} ${kind}`),
    ['note index-entry'],
  );
});

const topicsJson = (store: SmallStore, types: Record<string, string | undefined>): void => {
  const table = Object.entries(types).map(([topicName, type]) => [
    topicName,
    { topicName, attributes: type === undefined ? {} : { 'queue.type': type } },
  ]);
  mkdirSync(join(store.root, 'config'), { recursive: true });
  const text = JSON.stringify({ topicConfigTable: Object.fromEntries(table) });
  writeFileSync(join(store.root, 'config', 'topics.json'), text);
};

const batchDirectory = (store: SmallStore): string => join(store.root, 'batchconsumequeue', 'batch', '0');

/** The store as Java would have it with batch queues for the topic `batch`; `declared` in topics.json or not. */
async function batchStore(t: TestContext, declared: boolean): Promise<SmallStore> {
  const store = await smallStore(t);
  rmSync(join(store.root, 'consumequeue', 'batch'), { recursive: true });
  mkdirSync(batchDirectory(store), { recursive: true });
  writeFileSync(join(batchDirectory(store), '0'.repeat(20)), Buffer.alloc(46 * 50, 5));
  if (declared) topicsJson(store, { batch: 'BatchCQ', orders: undefined, events: 'SimpleCQ' });
  // An inner batch, as its record says.
  const { file, at } = store.record(0, 'batch');
  store.write(file, at + 39, Buffer.of(0xc0));
  return store;
}

test('queues of the kind that the topic does not have are a fault, and a repair puts them aside', async (t) => {
  const store = await batchStore(t, false);
  const place = store.record(0, 'batch');
  store.write(place.file, place.at + 39, Buffer.of(0));
  topicsJson(store, { batch: undefined, orders: 'BatchCQ' });
  const findings = await store.findings();
  assert.deepEqual(findings.list.filter(({ kind }) => kind === 'queue-file').map(brief), [
    'fault queue-file batchconsumequeue/batch 0',
    'fault queue-file consumequeue/orders 0',
  ]);
  const { backup } = await applyRepair(await planRepair(await readLayout(store.root), { indexShape: {} }), {
    logPath: undefined,
  });
  assert.equal(existsSync(join(store.root, 'batchconsumequeue', 'batch')), false);
  assert.equal(existsSync(join(store.root, 'consumequeue', 'orders')), false);
  assert.equal(existsSync(join(backup, 'consumequeue', 'orders')), true);
  assert.deepEqual((await store.findings()).list.map(brief), []);
});

/** Gives every entry of events/0 an extension, in files of 2,048 bytes; answers the offset of each. */
function extend(store: SmallStore): number[] {
  const offsets: number[] = [];
  const files = new Map<number, Buffer>();
  let end = 0;
  const mine = store.records.filter(
    ({ message: m }) => m.topic === 'events' && m.queueId === 0 && (m.sysFlag & 0xc) !== 4,
  );
  for (const { message } of mine) {
    if ((end % 2_048) + 28 > 2_044) end += 2_048 - (end % 2_048);
    const from = end - (end % 2_048);
    const bytes = files.get(from) ?? Buffer.alloc(2_048);
    files.set(from, bytes);
    bytes.writeInt16BE(28, end - from);
    bytes.writeBigInt64BE(BigInt(tagsStringToTagsCode(message.properties.get('TAGS'))), end - from + 2);
    bytes.writeBigInt64BE(BigInt(message.storeTimestamp), end - from + 10);
    bytes.writeInt16BE(8, end - from + 18);
    const address = Buffer.alloc(8);
    address.writeBigInt64BE(BigInt(end) - 2n ** 63n);
    const { file, at } = entryPlace('events', 0, message.queueOffset);
    store.write(file, at + 12, address);
    offsets.push(end);
    end += 28;
  }
  const directory = join(store.root, 'consumequeue_ext', 'events', '0');
  mkdirSync(directory, { recursive: true });
  for (const [from, bytes] of files) writeFileSync(join(directory, String(from).padStart(20, '0')), bytes);
  return offsets;
}

const extPlace = (offset: number): { file: string; at: number } => {
  const from = offset - (offset % 2_048);
  return { file: `consumequeue_ext/events/0/${String(from).padStart(20, '0')}`, at: offset - from };
};

test('extensions: a sound queue with them has no finding', async (t) => {
  const store = await smallStore(t);
  assert.ok(extend(store).length > 150);
  assert.deepEqual((await store.findings()).list.map(brief), []);
});

for (const [name, damage] of [
  ['a bit of an address', (store: SmallStore) => store.flip(...placed(entryPlace('events', 0, 40), 19))],
  ['the highest byte of an address', (store: SmallStore) => store.flip(...placed(entryPlace('events', 0, 40), 13), 1)],
  ['a bit of an extension’s hash', (store: SmallStore, offsets) => store.flip(...placed(extPlace(offsets[40]!), 8))],
  ['a bit of an extension’s time', (store: SmallStore, offsets) => store.flip(...placed(extPlace(offsets[40]!), 16))],
  [
    'an extension that was never written',
    (store: SmallStore, offsets) => {
      const { file, at } = extPlace(offsets[40]!);
      store.write(file, at, Buffer.alloc(28));
    },
  ],
] as [string, (store: SmallStore, offsets: number[]) => void][]) {
  test(`extensions: ${name} is found, in the entry or in the extension, and a repair makes the queue anew`, async (t) => {
    const store = await smallStore(t);
    const offsets = extend(store);
    damage(store, offsets);
    const { list } = await store.findings();
    const entry = entryPlace('events', 0, 40);
    assert.deepEqual(list.map(brief), [`fault queue-entry ${entry.file} ${entry.at + 12}`]);
    await applyRepair(await planRepair(await readLayout(store.root), { indexShape: {} }), { logPath: undefined });
    assert.deepEqual((await store.findings()).list.map(brief), []);
  });
}

test('extensions that are gone: every entry is wrong, and a repair makes them hashes', async (t) => {
  const store = await smallStore(t);
  const count = extend(store).length;
  rmSync(join(store.root, 'consumequeue_ext'), { recursive: true });
  const { faults } = await store.findings();
  assert.equal(faults, count);
  await applyRepair(await planRepair(await readLayout(store.root), { indexShape: {} }), { logPath: undefined });
  assert.deepEqual((await store.findings()).list.map(brief), []);
});

function placed({ file, at }: { file: string; at: number }, byte: number): [string, number] {
  return [file, at + byte];
}
