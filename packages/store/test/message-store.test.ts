import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { MessageStoreOptions } from '../src/config.ts';
import type { Message } from '../src/embedding/message.ts';
import { silentLogger } from '../src/logger.ts';
import { MessageStore } from '../src/message-store.ts';
import type { Arrival } from '../src/open-options.ts';
import { ManualClock, SimulatedFileSystem } from '../src/testing/index.ts';

const engines: Record<string, Partial<MessageStoreOptions>> = {
  channel: {},
  'channel, worker lane': { ioLane: 'worker' },
  mmap: { writeWithoutMmap: false },
  'transient pool': { transientStorePoolEnable: true, transientStorePoolSize: 3 },
};

const small = {
  mappedFileSizeCommitLog: 256 * 1024,
  mappedFileSizeConsumeQueue: 100 * 20,
  maxHashSlotNum: 1_000,
  maxIndexNum: 4_000,
  diskFreeBytesMin: 0,
};

const opened = new WeakMap<TestContext, MessageStore[]>();

async function directory(t: TestContext): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'vernier-store-'));
  const stores: MessageStore[] = [];
  opened.set(t, stores);
  t.after(async () => {
    for (const store of stores) await store.shutdown();
    await rm(root, { recursive: true, force: true });
  });
  return join(root, 'store');
}

async function open(t: TestContext, options: MessageStoreOptions): Promise<MessageStore> {
  const store = await MessageStore.open({ ...small, ...options });
  opened.get(t)!.push(store);
  return store;
}

for (const [engine, settings] of Object.entries(engines)) {
  for (const flushDiskType of ['SYNC_FLUSH', 'ASYNC_FLUSH'] as const) {
    test(`store: what was put is read back, also after reopening (${engine}, ${flushDiskType})`, async (t) => {
      const storePathRootDir = await directory(t);
      const options = { storePathRootDir, flushDiskType, ...settings };
      const store = await open(t, options);
      const bodies: Buffer[] = [];
      // About 900 KB: several file rolls, several consume-queue and index files.
      const puts = Array.from({ length: 600 }, (_, i) => {
        bodies[i] = Buffer.from(`${i} `.repeat(1 + (i % 600)));
        const message = { topic: 'Orders', queueId: i % 2, body: bodies[i]!, keys: `k${i}`, tags: i % 3 ? 'A' : 'B' };
        return store.putMessage(message);
      });
      const results = await Promise.all(puts);
      assert.ok(results.every((result) => result.status === 'PUT_OK'));
      assert.deepEqual(
        results.map((result) => result.queueOffset),
        results.map((_, i) => Math.floor(i / 2)),
      );
      if (flushDiskType === 'SYNC_FLUSH') assert.equal(store.flushedWhere, store.maxPhyOffset);
      await store.flush();

      const check = async (opened: MessageStore): Promise<void> => {
        for (const queueId of [0, 1]) {
          let count = 0;
          for await (const message of opened.readQueue('Orders', queueId)) {
            const i = count * 2 + queueId;
            assert.equal(message.queueOffset, count);
            assert.ok(message.body.equals(bodies[i]!), `body ${i}`);
            assert.equal(message.properties.get('KEYS'), `k${i}`);
            count++;
          }
          assert.equal(count, 300);
          assert.equal(opened.getMaxOffsetInQueue('Orders', queueId), 300);
          assert.equal(opened.getMinOffsetInQueue('Orders', queueId), 0);
        }
        for (const i of [0, 1, 299, 599]) {
          const found = await opened.queryMessage('Orders', `k${i}`);
          assert.equal(found.records.length, 1, `key k${i}`);
          const message = await opened.lookMessageByOffset(results[i]!.wroteOffset);
          assert.ok(message?.body.equals(bodies[i]!));
        }
        assert.equal((await opened.queryMessage('Orders', 'absent')).records.length, 0);
      };
      await check(store);
      await store.shutdown();
      assert.ok(!(await readdir(storePathRootDir)).includes('abort'), 'a clean shutdown leaves no abort file');
      const again = await open(t, options);
      assert.ok((await readdir(storePathRootDir)).includes('abort'));
      await check(again);
      const next = await again.putMessage({ topic: 'Orders', queueId: 0, body: 'next' });
      assert.equal(next.queueOffset, 300, 'queue offsets go on without a gap');
    });
  }
}

test('store: getMessage answers each place of a queue with its status', async (t) => {
  const store = await open(t, { storePathRootDir: await directory(t) });
  const status = async (topic: string, offset: number) => {
    const result = await store.getMessage('G', topic, 0, offset, 32);
    return [result.status, result.nextBeginOffset];
  };
  assert.deepEqual(await status('Absent', 0), ['NO_MATCHED_LOGIC_QUEUE', 0]);
  for (let i = 0; i < 5; i++) await store.putMessage({ topic: 'T', body: `m${i}`, tags: i % 2 ? 'odd' : 'even' });
  assert.deepEqual(await status('T', 0), ['FOUND', 5]);
  assert.deepEqual(await status('T', 3), ['FOUND', 5]);
  assert.deepEqual(await status('T', 5), ['OFFSET_OVERFLOW_ONE', 5]);
  assert.deepEqual(await status('T', 9), ['OFFSET_OVERFLOW_BADLY', 5]);
  assert.deepEqual(await status('T', -1), ['OFFSET_TOO_SMALL', 0]);
  const none = await store.getMessage('G', 'T', 0, 0, 32, { filter: { isMatchedByConsumeQueue: () => false } });
  assert.deepEqual([none.status, none.nextBeginOffset, none.messageCount], ['NO_MATCHED_MESSAGE', 5, 0]);
  const two = await store.getMessage('G', 'T', 0, 0, 2);
  assert.deepEqual([two.messageCount, two.nextBeginOffset, two.maxOffset], [2, 2, 5]);
  assert.equal(two.buffer.length, two.bufferTotalSize);
  const bytes = await store.getMessage('G', 'T', 0, 0, 32, { maxBytes: 1 });
  assert.equal(bytes.messageCount, 1, 'the first message is returned whatever its size');
});

test('store: readQueue follows the tail, in order, and ends with its signal', async (t) => {
  const store = await open(t, { storePathRootDir: await directory(t) });
  await store.putMessage({ topic: 'T', body: '0' });
  const abort = new AbortController();
  const seen: string[] = [];
  const reader = (async () => {
    for await (const message of store.readQueue('T', 0, { follow: true, signal: abort.signal })) {
      seen.push(message.body.toString());
      if (seen.length === 50) abort.abort();
    }
  })();
  for (let i = 1; i < 50; i++) await store.putMessage({ topic: 'T', body: String(i) });
  await reader;
  assert.deepEqual(
    seen,
    Array.from({ length: 50 }, (_, i) => String(i)),
  );
});

test('store: a follower of a queue ends when the store is shut down', async (t) => {
  const store = await open(t, { storePathRootDir: await directory(t) });
  const reader = (async () => {
    for await (const _ of store.readQueue('T', 0, { follow: true })) assert.fail('nothing was put');
  })();
  await store.shutdown();
  await reader;
});

test('store: arrived is emitted per message in order, once readers can see it', async (t) => {
  const store = await open(t, { storePathRootDir: await directory(t) });
  const arrivals: Arrival[] = [];
  store.on('arrived', (arrival) => {
    assert.equal(store.getMaxOffsetInQueue('T', 0), arrival.maxOffset);
    assert.ok(store.flushedWhere > 0, 'on disk by then');
    arrivals.push(arrival);
  });
  await Promise.all([1, 2, 3].map((i) => store.putMessage({ topic: 'T', body: String(i), tags: 'A' })));
  assert.deepEqual(
    arrivals.map((arrival) => [arrival.maxOffset, arrival.tagsCode]),
    [
      [1, 65],
      [2, 65],
      [3, 65],
    ],
  );
});

test('store: offset by time, earliest time, timestamps of entries', async (t) => {
  const store = await open(t, { storePathRootDir: await directory(t) });
  assert.equal(await store.getEarliestMessageTime('T', 0), -1);
  assert.equal(await store.getOffsetInQueueByTime('T', 0, 0), 0);
  const results = [];
  for (let i = 0; i < 10; i++) results.push(await store.putMessage({ topic: 'T', body: String(i) }));
  const first = results[0]!.storeTimestamp;
  assert.equal(await store.getEarliestMessageTime('T', 0), first);
  assert.equal(await store.getOffsetInQueueByTime('T', 0, first - 1), 0);
  assert.equal(await store.getOffsetInQueueByTime('T', 0, results[9]!.storeTimestamp + 1), 10);
  assert.equal(await store.getOffsetInQueueByTime('T', 0, results[9]!.storeTimestamp + 1, 'UPPER'), 9);
  assert.equal(await store.getMessageStoreTimeStamp('T', 0, 4), results[4]!.storeTimestamp);
  assert.equal(await store.getMessageStoreTimeStamp('T', 0, 10), -1);
});

test('store: lookMessageByOffset answers nothing where no record starts', async (t) => {
  const store = await open(t, { storePathRootDir: await directory(t) });
  const result = await store.putMessage({ topic: 'T', body: 'x' });
  assert.equal((await store.lookMessageByOffset(result.wroteOffset))?.body.toString(), 'x');
  for (const offset of [1, -1, 0.5, result.wroteBytes, 10_000_000, Number.NaN]) {
    assert.equal(await store.lookMessageByOffset(offset), undefined, String(offset));
  }
});

test('store: deleteTopic removes its queues, a new message starts at 0', async (t) => {
  const store = await open(t, { storePathRootDir: await directory(t) });
  await store.putMessage({ topic: 'T', body: '1' });
  await store.putMessage({ topic: 'Kept', body: '1' });
  await store.deleteTopic('T');
  assert.deepEqual([...store.queuesByTopic()], [['Kept', [0]]]);
  assert.equal((await store.putMessage({ topic: 'T', body: '2' })).queueOffset, 0);
});

test('store: a second opening of the same directory is refused with the reason', async (t) => {
  const storePathRootDir = await directory(t);
  await open(t, { storePathRootDir });
  await assert.rejects(MessageStore.open({ ...small, storePathRootDir }), { code: 'STORE_LOCKED' });
});

test('store: a directory that is not a store is refused and untouched', async (t) => {
  const storePathRootDir = await directory(t);
  const parent = join(storePathRootDir, '..');
  await writeFile(join(parent, 'notes.txt'), 'mine');
  await assert.rejects(MessageStore.open({ ...small, storePathRootDir: parent }), { code: 'STORE_NOT_A_STORE' });
  assert.deepEqual(await readdir(parent), ['notes.txt']);
  const file = join(parent, 'notes.txt');
  await assert.rejects(MessageStore.open({ ...small, storePathRootDir: file }), { code: 'STORE_DIRECTORY_UNUSABLE' });
  assert.equal(await readFile(file, 'utf8'), 'mine');
});

test('store: files of another size are refused with both sizes, and the store opens with the right one', async (t) => {
  const storePathRootDir = await directory(t);
  const store = await open(t, { storePathRootDir });
  await store.putMessage({ topic: 'T', body: 'x' });
  await store.shutdown();
  await assert.rejects(
    MessageStore.open({ ...small, storePathRootDir, mappedFileSizeCommitLog: 512 * 1024 }),
    (error) => {
      assert.equal((error as { code: string }).code, 'STORE_FILE_SIZE_MISMATCH');
      assert.match((error as Error).message, /262144/);
      assert.match((error as Error).message, /524288/);
      return true;
    },
  );
  const again = await open(t, { storePathRootDir });
  assert.equal(again.getMaxOffsetInQueue('T', 0), 1);
});

test('store: no room for the first file is refused with the numbers, and nothing is left behind', async (t) => {
  const storePathRootDir = await directory(t);
  const options = { ...small, storePathRootDir, diskFreeBytesMin: 2 ** 50 };
  await assert.rejects(MessageStore.open(options), { code: 'STORE_DISK_FULL' });
  assert.deepEqual(await readdir(join(storePathRootDir, '..')), []);
  await open(t, { storePathRootDir });
});

test('store: settings that cannot work are refused before the directory is touched', async (t) => {
  const storePathRootDir = await directory(t);
  const cases: [Record<string, unknown>, RegExp][] = [
    [{ flushDiskType: 'SYNC' }, /flushDiskType must be one of SYNC_FLUSH, ASYNC_FLUSH, found 'SYNC'/],
    [{ mappedFileSizeCommitLog: 5_000 }, /multiple of 4096, found 5000/],
    [{ mappedFileSizeCommitLog: 1e12 }, /from 4096 to 2147483647, found 1000000000000/],
    [{ syncFlushTimeout: -1 }, /syncFlushTimeout/],
    [{ noSuchKey: 1 }, /noSuchKey is not a key/],
    [{ transientStorePoolEnable: true, transientStorePoolSize: 1_000, mappedFileSizeCommitLog: 2 ** 30 }, /memory/],
  ];
  for (const [settings, message] of cases) {
    await assert.rejects(
      MessageStore.open({ ...small, storePathRootDir, ...settings } as MessageStoreOptions),
      message,
    );
  }
  assert.deepEqual(await readdir(join(storePathRootDir, '..')), []);
});

test('store: messages that the format cannot hold are refused by the embedding interface', async (t) => {
  const store = await open(t, { storePathRootDir: await directory(t) });
  const illegal: Message[] = [
    { topic: '', body: 'x' },
    { topic: 'T', body: 'x', keys: 'a b' },
    { topic: 'T', body: 'x', properties: { a: 'x\u0001' } },
    { topic: 'T', body: 'x', properties: { KEYS: 'k' } },
    { topic: 'T', body: 5 as unknown as string },
  ];
  for (const message of illegal) {
    await assert.rejects(store.putMessage(message), { code: 'STORE_MESSAGE_INVALID' });
  }
  assert.equal(store.maxPhyOffset, 0);
});

test('store: after shutdown puts are refused with a status and reads with STORE_CLOSED', async (t) => {
  const store = await open(t, { storePathRootDir: await directory(t) });
  await store.shutdown();
  assert.equal((await store.putMessage({ topic: 'T', body: 'x' })).status, 'SERVICE_NOT_AVAILABLE');
  await assert.rejects(store.getMessage('G', 'T', 0, 0, 1), { code: 'STORE_CLOSED' });
});

test('store: metrics tell flushes, groups and what a power cut would take', async (t) => {
  const store = await open(t, { storePathRootDir: await directory(t) });
  await Promise.all(Array.from({ length: 20 }, () => store.putMessage({ topic: 'T', body: 'x' })));
  const { metrics } = store;
  assert.ok(metrics.flushCount >= 1);
  assert.equal(metrics.flushTimeMs.count, metrics.flushCount);
  assert.equal(metrics.groupSize.sum, 20);
  assert.equal(metrics.flushBehindBytes, 0);
  assert.equal(metrics.waiterCount, 0);
  assert.equal(metrics.putMessageTimesTotal, 20);
  assert.equal(metrics.putMessageFailedTimes, 0);
  assert.equal(metrics.putMessageSizeTotal, store.maxPhyOffset);
  const info = store.runtimeInfo();
  assert.equal(info.commitLogMaxOffset, String(store.maxPhyOffset));
  assert.ok(Object.values(info).every((value) => typeof value === 'string'));
});

test('store: await using shuts it down', async (t) => {
  const storePathRootDir = await directory(t);
  const store = await MessageStore.open({ ...small, storePathRootDir });
  await store[Symbol.asyncDispose]();
  assert.ok(store.isClosed);
  await open(t, { storePathRootDir });
});

test('store: an opening that fails at its last step leaves no timer behind, and nothing is missing afterwards', async () => {
  const fileSystem = new SimulatedFileSystem();
  const clock = new ManualClock();
  const open = () =>
    MessageStore.open(
      { storePathRootDir: '/data/store', mappedFileSizeCommitLog: 64 * 1024 },
      { fileSystem, clock, logger: silentLogger },
    );
  const first = await open();
  const putting = first.putMessage({ topic: 'T', body: 'x' });
  await clock.advance(100);
  assert.equal((await putting).status, 'PUT_OK');
  await first.shutdown();
  // Its queue is made anew, which is what the flush service of the queues then waits to write.
  await fileSystem.removeDirectory('/data/store/consumequeue');
  fileSystem.inject({ operation: 'open', path: /abort/, code: 'ENOSPC' });
  await assert.rejects(open(), { code: 'ENOSPC' });
  assert.equal(clock.timerCount, 0);
  const again = await open();
  assert.equal(again.getMaxOffsetInQueue('T', 0), 1);
  await again.shutdown();
});
