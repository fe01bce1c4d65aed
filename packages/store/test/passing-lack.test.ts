/** No descriptor, no room: for a while, for files that can be made anew from the log. Nothing stays behind. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, SimulatedFileSystem, settle } from '@vernier/torture';
import { MessageStore } from '../src/message-store.ts';
import { recordingLogger } from './mapped-file/harness.ts';

const small = {
  storePathRootDir: '/data/store',
  mappedFileSizeCommitLog: 64 * 1024,
  mappedFileSizeConsumeQueue: 20 * 20,
  maxHashSlotNum: 100,
  maxIndexNum: 200,
  diskFreeBytesMin: 0,
};

function machine(fileSystem = new SimulatedFileSystem()) {
  const clock = new ManualClock();
  const logger = recordingLogger();
  const open = () => MessageStore.open(small, { fileSystem, clock, logger });
  /** Lets time and disk calls go on until it is done. */
  const done = async <T>(work: Promise<T>): Promise<T> => {
    let isDone = false;
    const end = (): void => {
      isDone = true;
    };
    work.then(end, end);
    for (let turn = 0; !isDone && turn < 2_000; turn++) await clock.advance(5);
    assert.ok(isDone, 'it ends');
    return work;
  };
  return { fileSystem, clock, logger, open, done };
}

const put = (store: MessageStore, number: number) =>
  store.putMessage({ topic: `topic-${number % 3}`, body: `body ${number}`, keys: `key-${number}` });

async function contentOf(store: MessageStore): Promise<string[]> {
  const bodies: string[] = [];
  for (const topic of ['topic-0', 'topic-1', 'topic-2']) {
    for await (const message of store.readQueue(topic)) bodies.push(message.body.toString());
  }
  return bodies.sort();
}

async function keysFound(store: MessageStore, count: number): Promise<number> {
  let found = 0;
  for (let number = 0; number < count; number++) {
    const { records } = await store.queryMessage(`topic-${number % 3}`, `key-${number}`);
    found += records.length > 0 ? 1 : 0;
  }
  return found;
}

const bodies = (count: number): string[] => Array.from({ length: count }, (_, number) => `body ${number}`).sort();

for (const [code, operation] of [
  ['EMFILE', 'open'],
  ['ENOSPC', 'open'],
  ['ENOSPC', 'truncate'],
  ['ENOSPC', 'write'],
  ['EDQUOT', 'makeDirectory'],
] as const) {
  test(`${code} at ${operation} of queue and index files: every put is acknowledged and read, and when it is over nothing is left of it`, async () => {
    const { fileSystem, clock, logger, open, done } = machine();
    const store = await done(open());
    fileSystem.inject({ operation, path: /consumequeue|index\//, code, times: Number.POSITIVE_INFINITY });
    for (let number = 0; number < 100; number++) assert.equal((await done(put(store, number))).status, 'PUT_OK');
    await clock.advance(120_000);
    await settle();
    assert.equal(store.failure, undefined);
    assert.ok(store.isWriteable);
    assert.ok(store.metrics.queueWriteRetries > 5);
    assert.ok(store.metrics.queueLackMs > 60_000);
    assert.match(store.runtimeInfo().queueLack!, new RegExp(code));
    assert.ok(logger.lines.some(({ level, message }) => level === 'warn' && message.includes(code)));
    assert.deepEqual(await done(contentOf(store)), bodies(100));
    assert.equal(await done(keysFound(store, 100)), 100);
    // A power cut in the middle of it: the log has everything, and the next start makes queues and index from it.
    const cut = machine(fileSystem.crash(1));
    const afterCut = await cut.done(cut.open());
    assert.deepEqual(await cut.done(contentOf(afterCut)), bodies(100));
    assert.equal(await cut.done(keysFound(afterCut, 100)), 100);
    await cut.done(afterCut.shutdown());
    // And when there is room again.
    fileSystem.clearFaults();
    await clock.advance(10_000);
    await settle();
    assert.equal(store.metrics.queueLackMs, 0);
    assert.equal(store.runtimeInfo().queueLack, '');
    assert.equal((await done(put(store, 100))).status, 'PUT_OK');
    await done(store.shutdown());
    assert.ok(!fileSystem.paths().includes('/data/store/abort'));
    const again = machine(fileSystem.crash(2));
    const reopened = await again.done(again.open());
    assert.deepEqual(await again.done(contentOf(reopened)), bodies(101));
    await again.done(reopened.shutdown());
  });
}

test('a lack that lasts to the end of a shutdown: it ends, the log is whole, and the next start is told to look', async () => {
  const { fileSystem, logger, open, done } = machine();
  const store = await done(open());
  fileSystem.inject({ operation: 'open', path: /consumequeue/, code: 'EMFILE', times: Number.POSITIVE_INFINITY });
  for (let number = 0; number < 20; number++) assert.equal((await done(put(store, number))).status, 'PUT_OK');
  await done(store.shutdown());
  assert.ok(logger.lines.some(({ level, message }) => level === 'warn' && /the next start makes them/.test(message)));
  assert.ok(fileSystem.paths().includes('/data/store/abort'), 'this was no clean exit for whoever comes next');
  const again = machine(fileSystem.crash(3));
  const reopened = await again.done(again.open());
  assert.deepEqual(await again.done(contentOf(reopened)), bodies(20));
  await again.done(reopened.shutdown());
});

test('no descriptor when the store is opened: the opening fails and says why, and not the first flush', async () => {
  const { fileSystem, open, done } = machine();
  const store = await done(open());
  assert.equal((await done(put(store, 0))).status, 'PUT_OK');
  await done(store.shutdown());
  const again = machine(fileSystem.crash(4));
  again.fileSystem.inject({
    operation: 'open',
    path: /commitlog\/\d+$/,
    code: 'EMFILE',
    times: Number.POSITIVE_INFINITY,
  });
  await assert.rejects(again.done(again.open()), (error: { code: string }) => /^STORE_/.test(error.code));
  again.fileSystem.clearFaults();
  const reopened = await again.done(again.open());
  again.fileSystem.inject({ operation: 'open', path: /commitlog/, code: 'EMFILE', times: Number.POSITIVE_INFINITY });
  assert.equal((await again.done(put(reopened, 1))).status, 'PUT_OK', 'the file it goes to is open');
  assert.equal(reopened.failure, undefined);
  again.fileSystem.clearFaults();
  await again.done(reopened.shutdown());
});

for (const [code, operation] of [
  ['ENOSPC', 'write'],
  ['ENOSPC', 'open'],
  ['EMFILE', 'open'],
] as const) {
  test(`${code} at ${operation} of queue and index files, over restarts: each opens, serves everything, and says what is late`, async () => {
    const { fileSystem, open, done } = machine();
    const store = await done(open());
    const never = { operation, path: /consumequeue|index\//, code, times: Number.POSITIVE_INFINITY };
    fileSystem.inject(never);
    // More than recovery dispatches before it makes queues and index durable: four files of the log.
    for (let number = 0; number < 400; number++) {
      const message = { topic: `topic-${number % 3}`, body: `body ${number}`, keys: `key-${number}` };
      const result = await done(store.putMessage({ ...message, properties: { filler: 'x'.repeat(1_000) } }));
      assert.equal(result.status, 'PUT_OK');
    }
    await done(store.shutdown());
    let disk = fileSystem;
    for (let restart = 0; restart < 2; restart++) {
      disk = disk.crash(restart);
      disk.inject(never);
      const { open, done, logger } = machine(disk);
      const again = await done(open());
      assert.ok(
        logger.lines.some(({ level, message }) => level === 'warn' && /recovery has.*cannot be written/.test(message)),
      );
      assert.equal(again.failure, undefined);
      assert.deepEqual(await done(contentOf(again)), bodies(400));
      assert.equal(await done(keysFound(again, 400)), 400);
      await done(again.shutdown());
    }
    const last = machine(disk.crash(9));
    const reopened = await last.done(last.open());
    assert.equal((await last.done(put(reopened, 400))).status, 'PUT_OK');
    await last.done(reopened.shutdown());
    assert.ok(!last.fileSystem.paths().includes('/data/store/abort'), 'everything is on disk');
    const after = machine(last.fileSystem.crash(10));
    const whole = await after.done(after.open());
    assert.deepEqual(await after.done(contentOf(whole)), bodies(401));
    await after.done(whole.shutdown());
  });
}

test('no room for the next file of the log at a start: what is there is read, and puts go on when there is room', async () => {
  const { fileSystem, open, done } = machine();
  const store = await done(open());
  const full = { operation: 'allocate', path: /commitlog/, code: 'ENOSPC', times: Number.POSITIVE_INFINITY } as const;
  // To the last byte of the first file: the largest body that fits the rest, then none does.
  fileSystem.inject(full);
  let count = 0;
  for (; ; count++) {
    const result = await done(store.putMessage({ topic: 'topic-0', body: `body ${count}`.padEnd(1_000) }));
    if (result.status !== 'PUT_OK') {
      assert.equal(result.status, 'CREATE_MAPPED_FILE_FAILED');
      assert.equal(result.cause?.code, 'STORE_DISK_FULL');
      break;
    }
  }
  await done(store.shutdown());
  const disk = fileSystem.crash(1);
  disk.inject(full);
  const again = machine(disk);
  const reopened = await again.done(again.open());
  assert.ok(again.logger.lines.some(({ level, message }) => level === 'error' && /until there is room/.test(message)));
  assert.equal((await again.done(contentOf(reopened))).length, count);
  const refused = await again.done(reopened.putMessage({ topic: 'topic-0', body: 'x'.repeat(1_000) }));
  assert.equal(refused.status, 'CREATE_MAPPED_FILE_FAILED');
  disk.clearFaults();
  await again.clock.advance(5_000);
  assert.equal((await again.done(reopened.putMessage({ topic: 'topic-0', body: 'new' }))).status, 'PUT_OK');
  await again.done(reopened.shutdown());
});
