import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { ManualClock, SimulatedFileSystem } from '@vernier/torture';
import type { MessageStoreOptions } from '../../src/base/config.ts';
import type { StoreLogger } from '../../src/base/logger.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { MessageStore } from '../../src/message-store.ts';

const ROOT = '/store';
const sizes = {
  mappedFileSizeCommitLog: 64 * 1024,
  mappedFileSizeConsumeQueue: 80 * 20,
  maxHashSlotNum: 37,
  maxIndexNum: 101,
};
const always = { storePathRootDir: ROOT, diskFreeBytesMin: 0, maxMessageSize: 4_096, appendBufferSize: 64 * 1024 };

function machine() {
  const clock = new ManualClock();
  const fileSystem = new SimulatedFileSystem({ now: () => clock.now() });
  const lines: string[] = [];
  const logger: StoreLogger = { ...silentLogger, warn: (_fields, message) => void lines.push(message) };
  const open = (options: Partial<MessageStoreOptions>): Promise<MessageStore> =>
    MessageStore.open({ ...always, ...options }, { fileSystem, clock, logger });
  return { clock, fileSystem, lines, open };
}

async function filled(count: number, options: Partial<MessageStoreOptions> = sizes) {
  const made = machine();
  const store = await made.open(options);
  for (let i = 0; i < count; i++) {
    await store.putMessage({ topic: 'T', queueId: i % 3, body: 'x'.repeat(500), keys: `k${i}` });
  }
  await store.shutdown();
  made.lines.length = 0;
  return made;
}

test('found sizes: what is not set is taken over from the files, with a line each', async () => {
  const { lines, open } = await filled(300);
  const store = await open({});
  for (const [key, value] of Object.entries(sizes)) {
    assert.equal(store.config[key as keyof typeof sizes], value, key);
    assert.ok(lines.includes(`${key} is ${value}, as the directory was made with`), `${key} in ${lines.join('\n')}`);
  }
  assert.equal(store.getMaxOffsetInQueue('T', 0), 100);
  assert.equal((await store.queryMessage('T', 'k7')).records.length, 1);
  await store.shutdown();
});

test('found sizes: what is set and differs is refused as ever', async () => {
  const { open } = await filled(300);
  const cases: Partial<MessageStoreOptions>[] = [
    { mappedFileSizeCommitLog: 128 * 1024 },
    { mappedFileSizeConsumeQueue: 100 * 20 },
    { maxHashSlotNum: 36 },
  ];
  for (const options of cases) {
    await assert.rejects(open(options), { code: 'STORE_FILE_SIZE_MISMATCH' }, JSON.stringify(options));
  }
  const store = await open({ mappedFileSizeCommitLog: sizes.mappedFileSizeCommitLog });
  assert.equal(store.config.maxIndexNum, sizes.maxIndexNum);
  await store.shutdown();
});

test('found sizes: a new directory, and one with the default sizes, say nothing', async () => {
  const { lines, open } = machine();
  await (await open({ mappedFileSizeCommitLog: sizes.mappedFileSizeCommitLog, messageIndexEnable: false })).shutdown();
  assert.deepEqual(lines, []);
});

test('found sizes: files that bear out no common size are refused and not adopted', async () => {
  const { fileSystem, open } = await filled(300);
  const directory = join(ROOT, 'commitlog');
  const names = (await fileSystem.list(directory)).filter((name) => /^\d{20}$/.test(name));
  assert.ok(names.length > 1);
  const first = await fileSystem.open(join(directory, names[0]!), 'write');
  await first.truncate(60 * 1024);
  await first.close();
  await assert.rejects(open({}), { code: 'STORE_FILE_SIZE_MISMATCH' });
});

test('found sizes: an empty last file of the log, whose making a crash interrupted, decides nothing', async () => {
  const { fileSystem, open } = await filled(10);
  const directory = join(ROOT, 'commitlog');
  const next = String(sizes.mappedFileSizeCommitLog).padStart(20, '0');
  const names = await fileSystem.list(directory);
  assert.ok(!names.includes(next));
  await (await fileSystem.open(join(directory, next), 'create')).close();
  const store = await open({});
  assert.equal(store.config.mappedFileSizeCommitLog, sizes.mappedFileSizeCommitLog);
  assert.equal(store.getMaxOffsetInQueue('T', 0), 4);
  await store.shutdown();
});
