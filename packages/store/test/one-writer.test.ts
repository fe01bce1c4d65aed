/** One directory, one writer: no second store beside the first, and no store that writes where it was not opened. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { cleanUp } from '../../../test/support/clean-up.ts';
import type { MessageStoreOptions } from '../src/base/config.ts';
import { MessageStore } from '../src/message-store.ts';

const small = {
  mappedFileSizeCommitLog: 64 * 1024,
  mappedFileSizeConsumeQueue: 20 * 20,
  maxHashSlotNum: 100,
  maxIndexNum: 200,
  diskFreeBytesMin: 0,
  flushIntervalConsumeQueue: 10,
};

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'vernier-writer-'));
  cleanUp(t, () => rmSync(path, { recursive: true, force: true }));
  return path;
}

async function open(t: TestContext, options: MessageStoreOptions): Promise<MessageStore> {
  const store = await MessageStore.open({ ...small, ...options });
  cleanUp(t, () => store.shutdown().catch(() => {}));
  return store;
}

async function bodiesOf(store: MessageStore): Promise<string[]> {
  const bodies: string[] = [];
  for await (const message of store.readQueue('T')) bodies.push(message.body.toString().trimEnd());
  return bodies;
}

/** Puts until the store refuses; the bodies that were acknowledged. */
async function putUntilRefused(
  store: MessageStore,
  name: string,
): Promise<{ acknowledged: string[]; cause: string | undefined }> {
  const acknowledged: string[] = [];
  for (let number = 0; number < 1_000; number++) {
    const body = `${name} ${number}`;
    const { status, cause } = await store.putMessage({ topic: 'T', body: body.padEnd(2_000) });
    if (status !== 'PUT_OK') return { acknowledged, cause: cause?.code };
    acknowledged.push(body);
  }
  return { acknowledged, cause: undefined };
}

/** What was acknowledged, and at most the one message that the failure came into. */
function assertHas(found: readonly string[], acknowledged: readonly string[]): void {
  assert.deepEqual(found.slice(0, acknowledged.length), acknowledged);
  assert.ok(found.length <= acknowledged.length + 1, `${found.length} messages, ${acknowledged.length} acknowledged`);
}

test('one writer: a worker thread of this process cannot open what is open here', async (t) => {
  const storePathRootDir = directory(t);
  const store = await open(t, { storePathRootDir });
  const index = fileURLToPath(new URL('../src/index.ts', import.meta.url));
  const worker = new Worker(
    `const { parentPort, workerData } = require('node:worker_threads');
     import('tsx/esm/api').then(async ({ register }) => {
       register();
       const { MessageStore } = await import(${JSON.stringify(index)});
       MessageStore.open(workerData).then(() => parentPort.postMessage('opened'), (error) => parentPort.postMessage(error.code));
     });`,
    { eval: true, workerData: { ...small, storePathRootDir } },
  );
  cleanUp(t, () => worker.terminate());
  assert.deepEqual(await once(worker, 'message'), ['STORE_LOCKED']);
  assert.equal((await store.putMessage({ topic: 'T', body: 'x' })).status, 'PUT_OK');
});

test('one writer: two stores with one log: the second does not open, and the first keeps its messages', async (t) => {
  const base = directory(t);
  const storePathCommitLog = join(base, 'log');
  const first = await open(t, { storePathRootDir: join(base, 'a'), storePathCommitLog });
  assert.equal((await first.putMessage({ topic: 'T', body: 'of the first' })).status, 'PUT_OK');
  await assert.rejects(open(t, { storePathRootDir: join(base, 'b'), storePathCommitLog }), { code: 'STORE_LOCKED' });
  assert.equal(existsSync(join(base, 'b')), false, 'what its opening made is gone');
  // A log that is the default one of another store is no less another's.
  const other = await open(t, { storePathRootDir: join(base, 'c') });
  await assert.rejects(
    open(t, { storePathRootDir: join(base, 'd'), storePathCommitLog: join(base, 'c', 'commitlog') }),
    {
      code: 'STORE_LOCKED',
    },
  );
  await other.shutdown();
  await first.shutdown();
  const again = await open(t, { storePathRootDir: join(base, 'a'), storePathCommitLog });
  assert.deepEqual(await bodiesOf(again), ['of the first']);
});

for (const elsewhere of [false, true]) {
  const what = elsewhere ? 'the log, kept elsewhere,' : 'the directory';
  test(`one writer: ${what} is moved: the store stops before the next file, and what it acknowledged is where it was moved to`, async (t) => {
    const base = directory(t);
    const storePathRootDir = join(base, 'store');
    const settings = { storePathRootDir, ...(elsewhere && { storePathCommitLog: join(base, 'log') }) };
    const moved = elsewhere ? join(base, 'log') : storePathRootDir;
    const store = await open(t, settings);
    const before = await store.putMessage({ topic: 'T', body: 'before' });
    assert.equal(before.status, 'PUT_OK');
    renameSync(moved, `${moved}.moved`);
    const { acknowledged, cause } = await putUntilRefused(store, 'after');
    assert.equal(cause, 'STORE_DIRECTORY_MOVED');
    assert.equal(store.failure?.code, 'STORE_DIRECTORY_MOVED');
    assert.ok(acknowledged.length < 70, `${acknowledged.length}: more than the files that were there hold`);
    await store.shutdown().catch(() => {});
    assert.equal(existsSync(moved), false, 'nothing is made at the old place');
    renameSync(`${moved}.moved`, moved);
    const again = await open(t, settings);
    assertHas(await bodiesOf(again), ['before', ...acknowledged]);
  });
}

test('one writer: another store takes the place of a moved one: both go on by themselves, neither touches the other', async (t) => {
  const base = directory(t);
  const storePathRootDir = join(base, 'store');
  const first = await open(t, { storePathRootDir });
  assert.equal((await first.putMessage({ topic: 'T', body: 'first' })).status, 'PUT_OK');
  renameSync(storePathRootDir, join(base, 'moved'));
  const second = await open(t, { storePathRootDir });
  const seconds: string[] = [];
  for (let number = 0; number < 20; number++) {
    assert.equal((await second.putMessage({ topic: 'T', body: `second ${number}` })).status, 'PUT_OK');
    seconds.push(`second ${number}`);
  }
  const { acknowledged, cause } = await putUntilRefused(first, 'first');
  assert.equal(cause, 'STORE_DIRECTORY_MOVED');
  await first.shutdown().catch(() => {});
  assert.ok(existsSync(join(storePathRootDir, 'abort')), 'the first one has not taken the abort file of the second');
  assert.equal((await second.putMessage({ topic: 'T', body: 'second, once more' })).status, 'PUT_OK');
  await second.shutdown();
  assert.deepEqual(await bodiesOf(await open(t, { storePathRootDir })), [...seconds, 'second, once more']);
  assertHas(await bodiesOf(await open(t, { storePathRootDir: join(base, 'moved') })), ['first', ...acknowledged]);
});

test('one writer: a directory that is removed is noticed without an append, and is not made again', async (t) => {
  const storePathRootDir = join(directory(t), 'store');
  const store = await open(t, { storePathRootDir, cleanResourceInterval: 20 });
  assert.equal((await store.putMessage({ topic: 'T', body: 'x' })).status, 'PUT_OK');
  const failed = once(store, 'failed');
  rmSync(storePathRootDir, { recursive: true });
  const [cause] = (await failed) as [{ code: string }];
  assert.equal(cause.code, 'STORE_DIRECTORY_MOVED');
  assert.equal((await store.putMessage({ topic: 'T', body: 'y' })).status, 'SERVICE_NOT_AVAILABLE');
  await store.shutdown().catch(() => {});
  assert.equal(existsSync(storePathRootDir), false);
});

test('one writer: a copy of a directory in use is a store of its own', async (t) => {
  const base = directory(t);
  const store = await open(t, { storePathRootDir: join(base, 'store') });
  assert.equal((await store.putMessage({ topic: 'T', body: 'x' })).status, 'PUT_OK');
  cpSync(join(base, 'store'), join(base, 'copy'), { recursive: true });
  const copy = await open(t, { storePathRootDir: join(base, 'copy') });
  assert.deepEqual(await bodiesOf(copy), ['x']);
  assert.ok(!readdirSync(join(base, 'copy')).some((name) => name.endsWith('.sock')));
});
