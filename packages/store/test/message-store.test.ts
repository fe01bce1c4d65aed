import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { ManualClock, SimulatedFileSystem } from '@vernier/torture';
import { cleanUp } from '../../../test/support/clean-up.ts';
import type { MessageStoreOptions } from '../src/base/config.ts';
import type { StoreError } from '../src/base/errors.ts';
import { silentLogger } from '../src/base/logger.ts';
import type { StoredMessage } from '../src/base/types.ts';
import { MessageStore } from '../src/message-store.ts';
import type { Arrival } from '../src/open-options.ts';
import type { Message } from '../src/record/message.ts';
import { message as harnessMessage } from './log/harness.ts';

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
  cleanUp(t, async () => {
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
            assert.deepEqual(message.keys, [`k${i}`]);
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
    assert.ok(store.getMaxOffsetInQueue('T', 0) >= arrival.maxOffset);
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

for (const flushDiskType of ['SYNC_FLUSH', 'ASYNC_FLUSH'] as const) {
  test(`store: a listener that throws is an uncaught exception, and no put, flush or reader notices (${flushDiskType})`, async (t) => {
    const errors: Error[] = [];
    process.setUncaughtExceptionCaptureCallback((error) => errors.push(error));
    cleanUp(t, () => process.setUncaughtExceptionCaptureCallback(null));
    const store = await open(t, { storePathRootDir: await directory(t), flushDiskType, flushIntervalCommitLog: 10 });
    store.on('arrived', () => {
      throw new Error('of the listener');
    });
    for (let i = 0; i < 3; i++) {
      assert.equal((await store.putMessage({ topic: 'T', body: `${i}` })).status, 'PUT_OK');
    }
    await store.whenFlushed(store.maxPhyOffset);
    assert.equal(store.failure, undefined);
    assert.equal(store.getMaxOffsetInQueue('T', 0), 3);
    assert.deepEqual(
      errors.map((error) => error.message),
      Array.from({ length: 3 }, () => 'of the listener'),
    );
  });
}

test('store: a logger that throws costs its lines and nothing else; they are counted', async (t) => {
  const broken = (): void => {
    throw new Error('EPIPE: the reader of stderr has gone');
  };
  const logger = { debug: broken, info: broken, warn: broken, error: broken };
  const storePathRootDir = await directory(t);
  const first = await open(t, { storePathRootDir });
  await first.putMessage({ topic: 'T', body: 'x' });
  await first.shutdown();
  // Its opening has something to say about this.
  await writeFile(join(storePathRootDir, 'consumequeue', 'T', 'stray'), '');
  const store = await MessageStore.open({ ...small, storePathRootDir }, { logger });
  opened.get(t)!.push(store);
  assert.equal((await store.putMessage({ topic: 'T', body: 'y' })).status, 'PUT_OK');
  assert.ok(store.metrics.droppedLogLines > 0);
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
  for (const offset of [1, -1, result.wroteBytes, 10_000_000]) {
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
    [{ flushDiskType: 'SYNC' }, /flushDiskType=SYNC: allowed are SYNC_FLUSH, ASYNC_FLUSH/],
    [{ mappedFileSizeCommitLog: 5_000 }, /mappedFileSizeCommitLog=5000: .*multiples of 4096/],
    [{ mappedFileSizeCommitLog: 1e12 }, /mappedFileSizeCommitLog=1000000000000: .*from 4096 to 2147483647/],
    [{ syncFlushTimeout: -1 }, /syncFlushTimeout/],
    [{ noSuchKey: 1 }, /noSuchKey=1: it is no key/],
    [{ transientStorePoolEnable: true, transientStorePoolSize: 64, mappedFileSizeCommitLog: 2 ** 30 }, /memory/],
  ];
  for (const [settings, message] of cases) {
    await assert.rejects(
      MessageStore.open({ ...small, storePathRootDir, ...settings } as MessageStoreOptions),
      message,
    );
  }
  assert.deepEqual(await readdir(join(storePathRootDir, '..')), []);
});

test('store: messages that would not come back as they were put are refused by the embedding interface', async (t) => {
  const store = await open(t, { storePathRootDir: await directory(t), maxMessageSize: 1_000 });
  const illegal: unknown[] = [
    undefined,
    null,
    'T',
    { topic: '', body: 'x' },
    { topic: 'devices/1/temp', body: 'x' },
    { topic: '..', body: 'x' },
    { topic: 'a\ud800', body: 'x' },
    { topic: 'x'.repeat(128), body: 'x' },
    { topic: 'T', body: 'x'.repeat(1_001) },
    { topic: 'T', body: 'x', queueId: 65_536 },
    { topic: 'T', body: 'x', queueId: '1' },
    { topic: 'T', body: 'x', flag: 0.5 },
    { topic: 'T', body: 'x', bornTimestamp: new Date() },
    { topic: 'T', body: 'x', keys: 'a b' },
    { topic: 'T', body: 'x', keys: '' },
    { topic: 'T', body: 'x', keys: ['a', ''] },
    { topic: 'T', body: 'x', keys: ['a', 5] },
    { topic: 'T', body: 'x', keys: 5 },
    { topic: 'T', body: 'x', keys: '\ud800' },
    { topic: 'T', body: 'x', tags: '' },
    { topic: 'T', body: 'x', tags: null },
    { topic: 'T', body: 'x', uniqKey: 7 },
    { topic: 'T', body: 'x', properties: { a: 'x\u0001' } },
    { topic: 'T', body: 'x', properties: { 'a\u0002': 'x' } },
    { topic: 'T', body: 'x', properties: { a: '' } },
    { topic: 'T', body: 'x', properties: { a: 1 } },
    { topic: 'T', body: 'x', properties: { KEYS: 'k' } },
    { topic: 'T', body: 'x', properties: { '__CRC32#': '1' } },
    { topic: 'T', body: '', properties: { VERNIER_QUARANTINED: '0-1' } },
    { topic: 'T', body: 'x', properties: [['a', 'b']] },
    { topic: 'T', body: 'x', properties: 'a' },
    { topic: 'T', body: 'x', properties: { a: 'x'.repeat(32_767) } },
    { topic: 'T', body: 5 },
    { topic: 'T', body: 'half \udc00' },
    { topic: 'T', body: { length: 1, 0: 1 } },
  ];
  for (const message of illegal) {
    await assert.rejects(
      store.putMessage(message as Message),
      { code: 'STORE_MESSAGE_INVALID' },
      JSON.stringify(message),
    );
  }
  assert.equal(store.maxPhyOffset, 0);
  assert.deepEqual(store.queuesByTopic(), new Map());
});

test('store: what was put comes back as it was given, by queue, by offset and by key, and can be put again', async (t) => {
  const storePathRootDir = await directory(t);
  const store = await open(t, { storePathRootDir, enabledAppendPropCRC: true });
  const given = {
    topic: 'T',
    queueId: 3,
    body: Buffer.from([0, 255, 1]),
    keys: ['k1', 'k2', 'k1'],
    tags: 'a || b',
    uniqKey: 'u 1',
    properties: JSON.parse('{"plain":"1","__proto__":"2","7":"3","zero\\u0000":"\\u0000","ü":"中文 😀","WAIT":"true"}'),
    flag: -5,
    bornTimestamp: 12_345,
  };
  const { wroteOffset } = await store.putMessage(given);
  await store.putMessage({ ...given, topic: 'Other', properties: new Map(Object.entries(given.properties)) as never });
  const check = (message: StoredMessage | undefined, topic = 'T'): void => {
    const { body, keys, tags, uniqKey, properties, flag, bornTimestamp, queueId } = message!;
    assert.deepEqual(
      { topic: message!.topic, queueId, body, keys, tags, uniqKey, properties, flag, bornTimestamp },
      {
        ...given,
        topic,
      },
    );
  };
  const checkAll = async (opened: MessageStore): Promise<void> => {
    check(await opened.lookMessageByOffset(wroteOffset));
    for await (const message of opened.readQueue('T', 3)) check(message);
    for await (const message of opened.readQueue('Other', 3)) check(message, 'Other');
    for (const key of ['k1', 'k2', 'u 1']) {
      const { messages, records } = await opened.queryMessage('T', key);
      assert.deepEqual([messages.length, records.length], [1, 1], key);
      check(messages[0]);
    }
    assert.deepEqual((await opened.queryMessage('T', 'k')).messages, []);
    assert.deepEqual((await opened.queryMessage('T', 'k1 k2')).messages, []);
  };
  await checkAll(store);
  for await (const message of store.readQueue('T', 3)) {
    assert.equal((await store.putMessage({ ...message, topic: 'Again' })).status, 'PUT_OK');
  }
  for await (const message of store.readQueue('Again', 3)) check(message, 'Again');
  await store.shutdown();
  await checkAll(await open(t, { storePathRootDir }));
});

test('store: options that there are not are refused, whatever their kind, and nothing is stored', async (t) => {
  const store = await open(t, { storePathRootDir: await directory(t), flushDiskType: 'ASYNC_FLUSH' });
  const message = { topic: 'T', body: 'x' };
  const invalid = { code: 'STORE_ARGUMENT_INVALID' };
  const odd: unknown[] = ['sync', null, true, [], { durability: 'snyc' }, { durability: true }, { durability: null }];
  for (const options of [...odd, { durabilty: 'sync' }]) {
    await assert.rejects(store.putMessage(message, options as never), invalid, JSON.stringify(options));
  }
  const inner = { ...harnessMessage(), topic: 'T' };
  for (const durability of ['snyc', true, null, {}, 'SYNC']) {
    await assert.rejects(store.asyncPutMessage(inner, durability as never), invalid);
    await assert.rejects(store.asyncPutMessages({ ...inner, messages: [inner] }, durability as never), invalid);
  }
  assert.equal(store.maxPhyOffset, 0);
  assert.equal(store.metrics.putMessageTimesTotal, 0);
});

test('store: every public function names the argument that it cannot take', async (t) => {
  const store = await open(t, { storePathRootDir: await directory(t) });
  await store.putMessage({ topic: 'T', body: 'x' });
  const calls: ((value: never) => unknown)[] = [
    (value) => store.getMessage('G', value, 0, 0, 1),
    (value) => store.getMessage('G', 'T', value, 0, 1),
    (value) => store.getMessage('G', 'T', 0, value, 1),
    (value) => store.getMessage('G', 'T', 0, 0, value),
    (value) => store.getMaxOffsetInQueue(value, 0),
    (value) => store.getMinOffsetInQueue('T', value),
    (value) => store.getOffsetInQueueByTime('T', 0, value),
    (value) => store.getOffsetInQueueByTime('T', 0, 0, value),
    (value) => store.getMessageStoreTimeStamp('T', 0, value),
    (value) => store.getEarliestMessageTime(value, 0),
    (value) => store.selectOneMessageByOffset(value),
    (value) => store.lookMessageByOffset(value),
    (value) => store.queryMessage(value, 'k'),
    (value) => store.queryMessage('T', value),
    (value) => store.queryMessage('T', 'k', value),
    (value) => store.queryMessage('T', 'k', 1, value),
    (value) => store.queueEntries('T', 0, value, 1),
    (value) => store.deleteTopic(value),
    (value) => store.readQueue(value),
    (value) => store.readQueue('T', value),
    (value) => store.readQueue('T', 0, value),
    (value) => store.readQueue('T', 0, { from: value }),
    (value) => store.readQueue('T', 0, { follow: value }),
    (value) => store.readQueue('T', 0, { signal: value }),
    (value) => MessageStore.open(value),
    (value) => MessageStore.open({ storePathRootDir: value }),
    (value) => MessageStore.open({ storePathRootDir: store.config.storePathRootDir }, value),
    (value) => MessageStore.open({ storePathRootDir: store.config.storePathRootDir }, { logger: value }),
  ];
  for (const call of calls) {
    // Neither a text, nor a number, nor an object: wrong everywhere.
    for (const value of [Number.NaN, Symbol('s'), () => 1]) {
      await assert.rejects(
        async () => call(value as never),
        (error: StoreError) => /^STORE_(ARGUMENT|CONFIG)_INVALID$/.test(error.code) && !/undefined/.test(error.message),
        `${call} ${String(value)}`,
      );
    }
  }
  for (const from of [-1, 0.5, Number.NaN, '1', 2 ** 53, null]) {
    assert.throws(() => store.readQueue('T', 0, { from: from as never }), { code: 'STORE_ARGUMENT_INVALID' });
  }
  const read = async (from: number | 'start' | 'end'): Promise<number> => {
    let count = 0;
    for await (const _ of store.readQueue('T', 0, { from })) count++;
    return count;
  };
  assert.deepEqual([await read(0), await read(1), await read('start'), await read('end')], [1, 0, 1, 0]);
  await assert.rejects(read(2), { code: 'STORE_OFFSET_OUT_OF_RANGE', message: /ends at 1.*from 2/ });
});

test('store: the address bits of sysFlag are the hosts’, and the record is sound at the next start', async (t) => {
  const storePathRootDir = await directory(t);
  const store = await open(t, { storePathRootDir });
  const v6 = { address: Uint8Array.from({ length: 16 }, (_, i) => i), port: 5 };
  const bits = 0x10 | 0x20;
  for (const [bornHost, sysFlag] of [
    [harnessMessage().bornHost, 0x10],
    [harnessMessage().bornHost, bits],
    [v6, 0],
    [v6, 0x20],
  ] as const) {
    assert.equal((await store.asyncPutMessage(harnessMessage({ bornHost, sysFlag }))).status, 'PUT_OK');
  }
  await store.shutdown();
  const again = await open(t, { storePathRootDir });
  assert.equal(again.failure, undefined);
  const flags: number[] = [];
  for await (const message of again.readQueue('T')) {
    flags.push(message.sysFlag);
    assert.equal(message.bornHost.address.length, (message.sysFlag & 0x10) === 0 ? 4 : 16);
  }
  assert.deepEqual(flags, [0, 0, 0x10, 0x10]);
});

for (const [engine, settings] of Object.entries(engines)) {
  test(`store: a put that no file can hold is refused, no file is spent on it, and others go on (${engine})`, async (t) => {
    const storePathRootDir = await directory(t);
    const lines: string[] = [];
    const logger = { ...silentLogger, warn: (_: object, text: string) => lines.push(text) };
    const options = { ...small, storePathRootDir, ...settings, mappedFileSizeCommitLog: 64 * 1024 };
    const store = await MessageStore.open(options, { logger });
    opened.get(t)!.push(store);
    assert.match(lines.join(), /maxMessageSize is 4194304, but a record of this log takes 65528 bytes at most/);
    await assert.rejects(store.putMessage({ topic: 'T', body: new Uint8Array(65_536) }), {
      code: 'STORE_MESSAGE_INVALID',
      message: /bytes in the log, a file of the log holds 65528/,
    });
    const part = { flag: 0, body: new Uint8Array(20_000), propertiesString: '' };
    const batch = await store.asyncPutMessages({ ...harnessMessage(), messages: [part, part, part, part] });
    assert.deepEqual([batch.status, batch.wroteOffset], ['MESSAGE_ILLEGAL', -1]);
    assert.match(batch.reason ?? '', /batch needs 80368 bytes in the log, a file of the log holds 65528/);
    assert.equal(store.maxPhyOffset, 0);
    // One that fills its file to the last byte but eight goes to the next file and is all there.
    await store.putMessage({ topic: 'T', body: 'first' });
    const fits = 65_528 - 91 - 1;
    assert.equal((await store.putMessage({ topic: 'T', body: new Uint8Array(fits) })).wroteOffset, 65_536);
    assert.equal((await store.putMessage({ topic: 'T', body: 'last' })).wroteOffset, 2 * 65_536);
    assert.equal(store.maxPhyOffset, 2 * 65_536 + 96);
  });
}

test('store: with a mapping, a put larger than its window is refused and not thrown out of the call', async (t) => {
  const storePathRootDir = await directory(t);
  const size = { mappedFileSizeCommitLog: 64 * 1024 * 1024, maxMessageSize: 40 * 1024 * 1024 };
  const store = await open(t, { storePathRootDir, ...size, writeWithoutMmap: false, flushDiskType: 'ASYNC_FLUSH' });
  const large = await store.asyncPutMessage(harnessMessage({ body: new Uint8Array(33 * 1024 * 1024) }));
  assert.deepEqual([large.status, large.wroteOffset], ['MESSAGE_ILLEGAL', -1]);
  assert.match(large.reason ?? '', /a mapping takes 33550336 at once \(writeWithoutMmap=false\)/);
  // Close below the limit, where the upper bound of its size lies above it.
  const around = 91 + 1 + 7;
  const fits = await store.asyncPutMessage(harnessMessage({ body: new Uint8Array(33_550_336 - around) }));
  assert.equal(fits.status, 'PUT_OK');
  assert.equal(fits.wroteBytes, 33_550_336);
});

test('store: a body that another thread changes meanwhile is stored with the checksum of what was stored', async (t) => {
  const storePathRootDir = await directory(t);
  const store = await open(t, { storePathRootDir, mappedFileSizeCommitLog: 64 * 1024 * 1024 });
  const state = new Int32Array(new SharedArrayBuffer(8));
  const body = new Uint8Array(new SharedArrayBuffer(256 * 1024));
  const source = `
    const { body, state } = require('node:worker_threads').workerData;
    for (let value = 1; Atomics.load(state, 1) === 0; value++) {
      body.fill(value);
      if (value === 1) Atomics.store(state, 0, 1), Atomics.notify(state, 0);
    }`;
  const worker = new Worker(source, { eval: true, workerData: { body, state } });
  const { value } = Atomics.waitAsync(state, 0, 0);
  await value;
  const message = harnessMessage({ body });
  const part = { flag: 0, body, propertiesString: '' };
  for (let i = 0; i < 50; i++) {
    assert.equal((await store.asyncPutMessage(message, 'async')).status, 'PUT_OK');
    assert.equal((await store.asyncPutMessages({ ...message, messages: [part] }, 'async')).status, 'PUT_OK');
  }
  Atomics.store(state, 1, 1);
  await once(worker, 'exit');
  await store.shutdown();
  const again = await open(t, { storePathRootDir, mappedFileSizeCommitLog: 64 * 1024 * 1024 });
  let count = 0;
  for await (const _ of again.readQueue('T')) count++;
  assert.equal(count, 100);
});

test('store: a record larger than maxMessageSize allows now is found through its queue and by its key', async (t) => {
  const storePathRootDir = await directory(t);
  const store = await open(t, { storePathRootDir, maxMessageSize: 200_000 });
  const { wroteOffset } = await store.putMessage({ topic: 'T', body: 'x'.repeat(200_000), keys: 'k' });
  await store.shutdown();
  const again = await open(t, { storePathRootDir, maxMessageSize: 1_000 });
  for await (const message of again.readQueue('T')) assert.equal(message.body.length, 200_000);
  assert.equal((await again.queryMessage('T', 'k')).records.length, 1);
  assert.equal(await again.lookMessageByOffset(wroteOffset), undefined, 'at anybody’s offset no more is read');
});

test('store: names that a file system folds are told apart nowhere, so the second spelling is refused', async (t) => {
  const root = await directory(t);
  const simulated = new SimulatedFileSystem();
  // As on macOS: the checkpoint is found under this name, too.
  const fileSystem = new Proxy(simulated, {
    get(target, name) {
      if (name === 'stat') return (path: string) => target.stat(path.replace('CHECKPOINT', 'checkpoint'));
      const value = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const store = await MessageStore.open({ ...small, storePathRootDir: root }, { fileSystem });
  opened.get(t)!.push(store);
  await store.putMessage({ topic: 'Orders', body: '1' });
  await assert.rejects(store.putMessage({ topic: 'orders', body: '1' }), { message: /does not tell .* from "Orders"/ });
  await store.shutdown();
  const again = await MessageStore.open({ ...small, storePathRootDir: root }, { fileSystem });
  opened.get(t)!.push(again);
  await assert.rejects(again.putMessage({ topic: 'orders', body: '1' }), { message: /does not tell .* from "Orders"/ });
  await again.deleteTopic('Orders');
  assert.equal((await again.putMessage({ topic: 'orders', body: '1' })).status, 'PUT_OK');
});

test('store: messages are counted as RocketMQ counts them, and never fewer puts than none have failed', async (t) => {
  const store = await open(t, { storePathRootDir: await directory(t), ...engines['transient pool'] });
  const part = { flag: 0, body: Buffer.from('x'), propertiesString: '' };
  await store.asyncPutMessages({ ...harnessMessage(), messages: [part, part, part] });
  await store.asyncPutMessage(harnessMessage());
  await store.asyncPutMessage(harnessMessage({ queueId: -1 }));
  const { metrics } = store;
  assert.deepEqual([metrics.putMessageTimesTotal, metrics.putMessageFailedTimes], [4, 1]);
  const info = store.runtimeInfo();
  assert.equal(info.remainTransientStoreBufferNumbs, '2', 'of three buffers one is in use');
  await store.shutdown();
  const other = await open(t, { storePathRootDir: await directory(t) });
  assert.equal(
    other.runtimeInfo().remainTransientStoreBufferNumbs,
    '2147483647',
    'without a pool nobody waits for one',
  );
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

test('store: what may change while it is open does, at the next use; anything else changes nothing', async (t) => {
  const store = await open(t, { storePathRootDir: await directory(t), flushDiskType: 'ASYNC_FLUSH' });
  for (let i = 0; i < 8; i++) await store.putMessage({ topic: 'T', body: Buffer.from(`${i}`) });
  const read = async () => (await store.getMessage('g', 'T', 0, 0, 32)).messageCount;
  assert.equal(await read(), 8);
  store.changeConfig({ maxTransferCountOnMessageInMemory: 3, fileReservedTime: 1 });
  assert.equal(await read(), 3);
  const refused = { code: 'STORE_CONFIG_INVALID' };
  assert.throws(
    () => store.changeConfig({ maxTransferCountOnMessageInMemory: 5, flushDiskType: 'SYNC_FLUSH' }),
    refused,
  );
  assert.throws(() => store.changeConfig({ maxTransferCountOnMessageInMemory: 0 }), refused);
  assert.equal(await read(), 3);
  assert.equal(store.config.fileReservedTime, 1);
  await store.shutdown();
  assert.throws(() => store.changeConfig({ fileReservedTime: 2 }), { code: 'STORE_CLOSED' });
});
