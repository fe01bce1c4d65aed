import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { cleanUp, temporaryFolder } from '../../../../test/support/clean-up.ts';
import { StoreError } from '../../src/base/errors.ts';
import { MessageStore } from '../../src/message-store.ts';

const open = async (t: TestContext, storePathRootDir: string, storePathCommitLog: string): Promise<MessageStore> => {
  const sizes = { mappedFileSizeCommitLog: 1 << 20, mappedFileSizeConsumeQueue: 2_000, maxHashSlotNum: 100 };
  const store = await MessageStore.open({
    storePathRootDir,
    storePathCommitLog,
    ...{ ...sizes, maxIndexNum: 400, diskFreeBytesMin: 0 },
  });
  cleanUp(t, () => store.shutdown());
  return store;
};

/** Both paths are named, and nothing was made. */
const refused = async (t: TestContext, root: string, log: string): Promise<void> => {
  const before = existsSync(root) ? readdirSync(root) : undefined;
  await assert.rejects(open(t, root, log), (error: unknown) => {
    assert.ok(error instanceof StoreError && error.code === 'STORE_CONFIG_INVALID', `${log}: ${String(error)}`);
    assert.ok(error.message.includes(root) && error.message.includes(log), error.message);
    return true;
  });
  assert.deepEqual(existsSync(root) ? readdirSync(root) : undefined, before, log);
};

test('the log lies in no directory that the store uses for something else', async (t) => {
  const root = join(await temporaryFolder(t, 'place'), 'store');
  const names = ['consumequeue', 'consumequeue/t', 'consumequeue/t/0', 'index', 'index/sub', 'config', 'quarantine'];
  const more = [
    'lock.d',
    'batchconsumequeue/t',
    'consumequeue_ext',
    'commitlog/allocating',
    'abort',
    'lock',
    'timerlog',
  ];
  const files = ['deletions.json.bak', 'checkpoint.tmp', 'Index', '.', 'x/../config'];
  for (const name of [...names, ...more, ...files]) await refused(t, root, join(root, name));
});

test('the data directory lies in no directory of the log', async (t) => {
  const base = await temporaryFolder(t, 'place');
  await refused(t, join(base, 'log', 'store'), join(base, 'log'));
  await refused(t, join(base, 'store'), base);
});

test('links are followed: from the log to a place of the store, and from a place of the store to the log', async (t) => {
  const base = await temporaryFolder(t, 'place');
  const root = join(base, 'store');
  mkdirSync(join(root, 'consumequeue'), { recursive: true });
  mkdirSync(join(root, 'config'));
  mkdirSync(join(base, 'elsewhere', 'index', 'sub'), { recursive: true });
  mkdirSync(join(base, 'topic'));
  symlinkSync(join(root, 'config'), join(base, 'to-config'));
  symlinkSync(join(base, 'elsewhere', 'index'), join(root, 'index'));
  symlinkSync(join(base, 'topic'), join(root, 'consumequeue', 't'));
  symlinkSync(base, join(base, 'itself'));
  await refused(t, root, join(base, 'to-config'));
  await refused(t, root, join(base, 'to-config', 'log'));
  await refused(t, root, join(base, 'elsewhere', 'index'));
  await refused(t, root, join(base, 'elsewhere', 'index', 'sub'));
  await refused(t, root, join(base, 'elsewhere'));
  await refused(t, root, join(base, 'topic', 'log'));
  await refused(t, root, join(base, 'itself', 'store', 'index', 'sub'));
});

test('allowed: commitlog by name, another name in the data directory, a place outside, a link to one', async (t) => {
  const base = await temporaryFolder(t, 'place');
  mkdirSync(join(base, 'disk'));
  symlinkSync(join(base, 'disk'), join(base, 'link'));
  for (const [at, log] of ['commitlog', 'log', 'logs/a', '../outside', '../store-log', '../link/log'].entries()) {
    const root = join(base, `store${at}`);
    const store = await open(t, root, join(root, log));
    assert.equal((await store.putMessage({ topic: 'T', body: 'x' })).status, 'PUT_OK', log);
    await store.shutdown();
    await (await open(t, root, join(root, log))).shutdown();
  }
  const root = join(base, 'linked');
  mkdirSync(root);
  mkdirSync(join(base, 'disk', 'linked'));
  symlinkSync(join(base, 'disk', 'linked'), join(root, 'commitlog'));
  await (await open(t, root, join(root, 'commitlog'))).shutdown();
});
