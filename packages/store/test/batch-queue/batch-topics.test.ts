import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, open as openFile, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { temporaryFolder } from '../../../../test/support/clean-up.ts';
import { queueTypesOf } from '../../src/batch-queue/batch-topics.ts';
import { MessageStore } from '../../src/message-store.ts';

const topicsJson = (types: Record<string, string | undefined>): string =>
  JSON.stringify({
    topicConfigTable: Object.fromEntries(
      Object.entries(types).map(([topicName, type]) => [
        topicName,
        { topicName, attributes: type === undefined ? {} : { 'queue.type': type } },
      ]),
    ),
  });

const opened: MessageStore[] = [];
after(async () => {
  // A test that failed must not keep the process waiting.
  for (const store of opened) await store.shutdown();
});

async function open(root: string): Promise<MessageStore> {
  const store = await MessageStore.open({
    storePathRootDir: root,
    flushDiskType: 'ASYNC_FLUSH',
    mappedFileSizeCommitLog: 1024 * 1024,
    mappedFileSizeConsumeQueue: 20 * 100,
    mapperFileSizeBatchConsumeQueue: 46 * 100,
    maxHashSlotNum: 100,
    maxIndexNum: 1_000,
    diskFreeBytesMin: 0,
  });
  opened.push(store);
  return store;
}

async function directory(t: TestContext): Promise<string> {
  const root = await temporaryFolder(t, 'batch');
  return join(root, 'store');
}

/**
 * A store with ten messages of `Batch` and of `Plain` in the log, a queue file of `Plain`, and one of 46 bytes an entry for
 * `Batch`. Without a checkpoint and topics.json, so that the whole log is dispatched again.
 */
async function javaStore(t: TestContext): Promise<string> {
  const root = await directory(t);
  await declare(root, { Batch: 'BatchCQ' });
  const store = await open(root);
  for (let i = 0; i < 20; i++) {
    const topic = i % 2 === 0 ? 'Plain' : 'Batch';
    assert.equal((await store.putMessage({ topic, body: `body ${i}`, keys: `k${i}` })).status, 'PUT_OK');
  }
  await store.shutdown();
  await rm(join(root, 'config'), { recursive: true });
  await rm(join(root, 'checkpoint'));
  return root;
}

const batchFile = (root: string): string => join(root, 'batchconsumequeue', 'Batch', '0', '0'.repeat(20));

async function declare(root: string, types: Record<string, string | undefined>): Promise<void> {
  await mkdir(join(root, 'config'), { recursive: true });
  await writeFile(join(root, 'config', 'topics.json'), topicsJson(types));
}

/** Opens, does the work, closes: nothing of Batch may appear in consumequeue; its own file stays as it is. */
async function untouched(root: string, work: (store: MessageStore) => Promise<unknown>, batch = true): Promise<void> {
  const before = batch ? await readFile(batchFile(root)) : undefined;
  const store = await open(root);
  try {
    await work(store);
  } finally {
    await store.shutdown();
  }
  assert.equal(existsSync(join(root, 'consumequeue', 'Batch')), false, 'a queue of the other kind');
  assert.equal(existsSync(join(root, 'abort')), false);
  if (before !== undefined) assert.deepEqual(await readFile(batchFile(root)), before);
}

for (const [by, types] of [
  ['topics.json', { Plain: undefined, Batch: 'BatchCQ' }],
  ['its directory, where there is no topics.json', undefined],
  ['its directory, where topics.json does not know it', { Plain: 'SimpleCQ' }],
] as const) {
  test(`batch topics: known by ${by}: nothing is written into consumequeue, its own queues are read and written`, async (t) => {
    const root = await javaStore(t);
    if (types !== undefined) await declare(root, types);
    await untouched(root, async (store) => {
      assert.equal(store.hasBatchQueues('Batch'), true);
      assert.equal(store.hasBatchQueues('Plain'), false);
      assert.deepEqual(
        [...store.queuesByTopic()],
        [
          ['Plain', [0]],
          ['Batch', [0]],
        ],
      );
      assert.equal((await store.queryMessage('Batch', 'k1')).records.length, 1, 'the index has its keys');
      assert.equal(store.getMaxOffsetInQueue('Plain', 0), 10);
      assert.equal(store.getMaxOffsetInQueue('Batch', 0), 10);
      assert.equal((await store.getMessage('g', 'Batch', 0, 4, 32)).messageCount, 6);
    });
    const store = await open(root);
    assert.equal((await store.putMessage({ topic: 'Batch', body: 'more' })).queueOffset, 10);
    await store.shutdown();
    const entries = await readFile(batchFile(root));
    assert.equal(Number(entries.readBigInt64BE(10 * 46 + 28)), 10);
    assert.equal(existsSync(join(root, 'consumequeue', 'Batch')), false);
  });
}

test('batch topics: one without a queue, declared in topics.json, gets batch queues after a crash', async (t) => {
  const root = await javaStore(t);
  await declare(root, { Batch: 'BatchCQ' });
  await rm(join(root, 'batchconsumequeue'), { recursive: true });
  await writeFile(join(root, 'abort'), '1');
  await untouched(root, async (store) => assert.equal(store.getMaxOffsetInQueue('Batch', 0), 10), false);
});

test('batch topics: consume queues that an older release made are removed, so that RocketMQ starts again', async (t) => {
  const root = await javaStore(t);
  await declare(root, { Batch: 'BatchCQ' });
  const wrong = join(root, 'consumequeue', 'Batch', '0');
  await mkdir(wrong, { recursive: true });
  await writeFile(join(wrong, '0'.repeat(20)), Buffer.alloc(20 * 100));
  await untouched(root, async () => {});
});

test('batch topics: two kinds of queues and no word in topics.json: nothing is removed', async (t) => {
  const root = await javaStore(t);
  const before = await readFile(batchFile(root));
  const other = join(root, 'consumequeue', 'Batch', '0', '0'.repeat(20));
  await mkdir(join(other, '..'), { recursive: true });
  await writeFile(other, Buffer.alloc(20 * 100, 1));
  const store = await open(root);
  await store.shutdown();
  assert.deepEqual(await readFile(other), Buffer.alloc(20 * 100, 1));
  assert.deepEqual(await readFile(batchFile(root)), before);
});

test('batch topics: a topic that topics.json gives ordinary queues has them, whatever directory there is', async (t) => {
  const root = await javaStore(t);
  await declare(root, { Batch: undefined });
  const store = await open(root);
  assert.equal(store.hasBatchQueues('Batch'), false);
  assert.equal(store.getMaxOffsetInQueue('Batch', 0), 10);
  await store.shutdown();
  assert.equal(existsSync(batchFile(root)), true);
});

test('batch topics: deleteTopic removes the batch queues; the topic is an ordinary one from then on', async (t) => {
  const root = await javaStore(t);
  await declare(root, { Batch: 'BatchCQ' });
  const store = await open(root);
  await store.deleteTopic('Batch');
  assert.equal(existsSync(join(root, 'batchconsumequeue', 'Batch')), false);
  assert.equal((await store.putMessage({ topic: 'Batch', body: 'new' })).status, 'PUT_OK');
  assert.equal(store.getMaxOffsetInQueue('Batch', 0), 1);
  await store.shutdown();
});

test('batch topics: an inner batch gets no entry where the topic has consume queues now', async (t) => {
  const root = await javaStore(t);
  await rm(join(root, 'batchconsumequeue'), { recursive: true });
  // sysFlag of the second record, the first of Batch, which is message 0 of its queue.
  const file = await openFile(join(root, 'commitlog', '0'.repeat(20)), 'r+');
  const size = (await file.read(Buffer.alloc(4), 0, 4, 0)).buffer.readInt32BE(0);
  await file.write(Buffer.of(0xc0), 0, 1, size + 39);
  await file.close();
  const store = await open(root);
  assert.equal(store.getMaxOffsetInQueue('Batch', 0), 10);
  assert.equal(store.getMinOffsetInQueue('Batch', 0), 1, 'filler stands at the first place');
  const { records } = await store.getMessage('g', 'Batch', 0, 1, 32);
  assert.equal(records.length, 9);
  assert.match(String(records[0]), /body 3/);
  await store.shutdown();
});

test('batch topics: an inner batch cannot be put into an ordinary topic, whose queues have no place for it', async (t) => {
  const store = await open(await directory(t));
  const host = { address: Uint8Array.of(127, 0, 0, 1), port: 1 };
  for (const sysFlag of [0x40, 0x80, 0xc0]) {
    const { status, reason } = await store.asyncPutMessage({
      topic: 'T',
      queueId: 0,
      flag: 0,
      sysFlag,
      bornTimestamp: 1,
      bornHost: host,
      storeHost: host,
      reconsumeTimes: 0,
      preparedTransactionOffset: 0,
      body: Buffer.from('x'),
      propertiesString: 'INNER_NUM\u00013\u0002',
    });
    assert.equal(status, 'MESSAGE_ILLEGAL', String(sysFlag));
    assert.match(reason ?? '', /inner batch/);
  }
  await store.shutdown();
});

test('batch topics: a damaged topics.json that names batch queues is not guessed at; its copy is used', async (t) => {
  const root = await javaStore(t);
  await declare(root, { Batch: 'BatchCQ', Other: 'BatchCQ' });
  const path = join(root, 'config', 'topics.json');
  const whole = await readFile(path, 'utf8');
  await writeFile(path, whole.slice(0, -5));
  await assert.rejects(open(root), { code: 'STORE_METADATA_DAMAGED' });
  await writeFile(`${path}.bak`, whole);
  await untouched(root, async (store) => assert.equal(store.hasBatchQueues('Other'), true));
  // Of a damaged table without such topics a program that embeds the store need not hear.
  await writeFile(path, '{"topicConfigTable":');
  await writeFile(`${path}.bak`, '');
  await untouched(root, async (store) => assert.equal(store.hasBatchQueues('Other'), false));
});

test('batch topics: a table of any shape is read without a throw', () => {
  const shapes = [null, 1, 'x', [], {}, { topicConfigTable: null }, { topicConfigTable: 5 }, { topicConfigTable: [] }];
  for (const shape of shapes) assert.equal(queueTypesOf(shape).size, 0, JSON.stringify(shape));
  const odd = { topicConfigTable: { a: null, b: { attributes: 'x' }, c: { attributes: { 'queue.type': {} } } } };
  assert.deepEqual(
    [...queueTypesOf(odd)],
    [
      ['a', false],
      ['b', false],
      ['c', false],
    ],
  );
});

test('batch topics: a name that leads elsewhere removes nothing', async (t) => {
  const root = await javaStore(t);
  await declare(root, { '../../outside': 'BatchCQ' });
  const outside = join(root, '..', 'outside');
  await mkdir(outside);
  const store = await open(root);
  await store.deleteTopic('../../outside').catch(() => {});
  await store.shutdown();
  assert.equal(existsSync(outside), true);
});
