import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ConsumeQueueStore, GATHERED_BYTES_MAX } from '../../src/queue/consume-queue-store.ts';
import { unitPhyOffset } from '../../src/queue/unit.ts';
import { isTopicStorable } from '../../src/record/topic-name.ts';
import { diskContext, memoryContext, reopened, request } from './harness.ts';
import { MemoryFileSystem } from './memory-file-system.ts';

const small = { mappedFileSizeConsumeQueue: 6_000, flushConsumeQueueLeastPages: 1 };
const PATH = '/store/consumequeue/T/0/00000000000000000000';

function fill(store: ConsumeQueueStore, queueId: number, from: number, count: number, topic = 'T'): void {
  for (let n = from; n < from + count; n++) {
    store.dispatch(request({ topic, queueId, consumeQueueOffset: n, commitLogOffset: n * 1_000 + queueId }));
  }
}

test('consume queue store: what was flushed is found again, per topic and queue', async (t) => {
  const context = await diskContext(t, small);
  const store = new ConsumeQueueStore(context);
  for (const [topic, queueId, count] of [
    ['T', 0, 5],
    ['T', 11, 301],
    ['%RETRY%group', 0, 1],
  ] as const) {
    fill(store, queueId, 0, count, topic);
  }
  await store.flush(0);
  await store.close();
  const again = new ConsumeQueueStore(reopened(context));
  await again.load();
  const { maxPhysicOffset } = await again.recover(Number.POSITIVE_INFINITY);
  assert.equal(maxPhysicOffset, 300_000 + 11 + 100);
  assert.deepEqual(Object.fromEntries(again.queuesByTopic()), { T: [0, 11], '%RETRY%group': [0] });
  assert.equal(again.find('T', 11)!.maxOffsetInQueue, 301);
  assert.equal(unitPhyOffset(await again.find('T', 11)!.read(300, 1), 0), 300_011);
  assert.equal(again.find('T', 1), undefined);
  assert.equal(again.find('U', 0), undefined);
  await again.close();
});

test('consume queue store: load opens no file', async () => {
  const context = memoryContext(small);
  const store = new ConsumeQueueStore(context);
  for (let queueId = 0; queueId < 20; queueId++) fill(store, queueId, 0, 3);
  await store.flush(0);
  await store.close();
  context.fileSystem.openCountMax = 0;
  const again = new ConsumeQueueStore(reopened(context));
  await again.load();
  assert.equal(context.fileSystem.openCountMax, 0);
});

test('consume queue store: a file of another size is refused, with the numbers', async () => {
  const fileSystem = new MemoryFileSystem(new Map([[PATH, Buffer.alloc(5_980)]]));
  await assert.rejects(new ConsumeQueueStore(memoryContext(small, fileSystem)).load(), {
    code: 'STORE_FILE_SIZE_MISMATCH',
    details: { path: PATH, expected: 6_000, found: 5_980 },
  });
  assert.equal(fileSystem.files.get(PATH)!.length, 5_980);
});

test('consume queue store: an empty file is refused unless it is the last, which a crash leaves', async () => {
  const next = PATH.replace(/\d{20}$/, '00000000000000006000');
  const last = new MemoryFileSystem(
    new Map([
      [PATH, Buffer.alloc(6_000)],
      [next, Buffer.alloc(0)],
    ]),
  );
  await new ConsumeQueueStore(memoryContext(small, last)).load();
  assert.deepEqual([...last.files.keys()], [PATH]);
  const first = new MemoryFileSystem(
    new Map([
      [PATH, Buffer.alloc(0)],
      [next, Buffer.alloc(6_000)],
    ]),
  );
  await assert.rejects(new ConsumeQueueStore(memoryContext(small, first)).load(), { code: 'STORE_FILE_SIZE_MISMATCH' });
});

test('consume queue store: what is no queue directory or file is left alone', async () => {
  const strange = [
    '/store/consumequeue/README',
    '/store/consumequeue/T/x/file',
    '/store/consumequeue/T/0/notes.txt',
    '/store/consumequeue/T/007/y',
  ];
  const fileSystem = new MemoryFileSystem(new Map(strange.map((path) => [path, Buffer.from('?')])));
  const store = new ConsumeQueueStore(memoryContext(small, fileSystem));
  await store.load();
  assert.deepEqual(Object.fromEntries(store.queuesByTopic()), { T: [0] });
  assert.deepEqual([...fileSystem.files.keys()], strange);
});

test('consume queue store: a flush with pages visits only queues that filled a block, a thorough one only dirty queues', async () => {
  const context = memoryContext({ ...small, mappedFileSizeConsumeQueue: 60_000 });
  const store = new ConsumeQueueStore(context);
  for (let queueId = 0; queueId < 500; queueId++) store.findOrCreate('T', queueId);
  fill(store, 3, 0, 10);
  fill(store, 7, 0, 300);
  await store.flush(1);
  assert.equal(store.visitedCount, 1);
  const written = () =>
    context.fileSystem.operations.filter((operation) => operation.kind === 'write').map((operation) => operation.path);
  assert.deepEqual(written(), ['/store/consumequeue/T/7/00000000000000000000']);
  assert.equal(store.find('T', 3)!.hasUnwritten, true);
  assert.equal(
    context.fileSystem.operations.some((operation) => operation.kind === 'sync'),
    false,
  );
  await store.flush(0);
  assert.equal(store.visitedCount, 3);
  await store.flush(0);
  await store.flush(0);
  assert.equal(
    store.visitedCount,
    4,
    'the one just written is looked at once more, to let go of its block, and no more',
  );
  assert.equal(store.isDirty, false);
  assert.equal(store.bufferedBytes, 0);
});

test('consume queue store: entries of many messages leave in one write a queue', async () => {
  const context = memoryContext({ ...small, mappedFileSizeConsumeQueue: 60_000 });
  const store = new ConsumeQueueStore(context);
  fill(store, 0, 0, 2_000);
  await store.flush(0);
  const writes = context.fileSystem.operations.filter((operation) => operation.kind === 'write');
  assert.deepEqual(
    writes.map((write) => write.data.length),
    [40_000],
  );
  fill(store, 0, 2_000, 1);
  await store.flush(0);
  assert.equal(context.fileSystem.operations.filter((operation) => operation.kind === 'write').at(-1)!.data.length, 20);
});

test('consume queue store: a thorough flush makes files and the names of new directories durable, once', async () => {
  const context = memoryContext(small);
  const store = new ConsumeQueueStore(context);
  fill(store, 0, 0, 301);
  await store.flush(0);
  const next = PATH.replace(/\d{20}$/, '00000000000000006000');
  const kinds = (kind: string) =>
    context.fileSystem.operations
      .filter((operation) => operation.kind === kind)
      .map((operation) => operation.path)
      .sort();
  assert.deepEqual(kinds('sync'), [PATH, next]);
  assert.deepEqual(kinds('syncDirectory'), [
    '/store',
    '/store/consumequeue',
    '/store/consumequeue/T',
    '/store/consumequeue/T/0',
    '/store/consumequeue/T/0',
  ]);
  const { operations } = context.fileSystem;
  const at = (kind: string, path: string) =>
    operations.findIndex((found) => found.kind === kind && found.path === path);
  assert.ok(at('sync', PATH) < at('create', next), 'the first file is on disk before the second is made');
  assert.ok(at('syncDirectory', '/store/consumequeue/T/0') < at('create', next));
  await store.flush(0);
  assert.equal(kinds('sync').length, 2);
  assert.equal(kinds('syncDirectory').length, 5);
});

for (const [kind, errno, code] of [
  ['write', 'EIO', 'STORE_WRITE_FAILED'],
  ['truncate', 'EIO', 'STORE_WRITE_FAILED'],
  ['sync', 'EIO', 'STORE_FLUSH_FAILED'],
  // A sync is never made again, whatever its error.
  ['sync', 'ENOSPC', 'STORE_DISK_FULL'],
  ['syncDirectory', 'EIO', 'STORE_FLUSH_FAILED'],
] as const) {
  test(`consume queue store: ${errno} at ${kind} stops the store with ${code}; nothing is tried again, reads go on`, async () => {
    const context = memoryContext(small);
    const store = new ConsumeQueueStore(context);
    fill(store, 0, 0, 5);
    let faults = 0;
    context.fileSystem.fault = (operation) => {
      if (operation.kind !== kind) return undefined;
      faults++;
      return errno;
    };
    await assert.rejects(store.flush(0), { code });
    assert.equal(context.failure?.code, code);
    assert.equal((context.failure!.cause as { code: string }).code, errno);
    const before = faults;
    await assert.rejects(store.flush(0), { code });
    await assert.rejects(store.flush(1), { code });
    assert.equal(faults, before);
    assert.equal((await store.find('T', 0)!.read(0, 5)).length, 100);
  });
}

for (const [kind, errno] of [
  ['open', 'EMFILE'],
  ['open', 'ENFILE'],
  ['open', 'ENOSPC'],
  ['makeDirectory', 'ENOSPC'],
  ['makeDirectory', 'EDQUOT'],
  ['truncate', 'ENOSPC'],
  ['write', 'ENOSPC'],
  ['write', 'ENOMEM'],
] as const) {
  test(`consume queue store: ${errno} at ${kind} is late and not fatal: other queues are written, the flush can be repeated`, async () => {
    const context = memoryContext(small);
    const store = new ConsumeQueueStore(context);
    // Over the end of a file, so that two have to be made for each.
    for (const queueId of [0, 1, 2]) fill(store, queueId, 0, 15);
    const lacking = '/store/consumequeue/T/1';
    context.fileSystem.fault = (operation) =>
      operation.kind === kind && `${operation.path}/`.startsWith(`${lacking}/`) ? errno : undefined;
    for (let attempt = 0; attempt < 3; attempt++) {
      await assert.rejects(store.flush(0), {
        code: errno === 'ENOSPC' || errno === 'EDQUOT' ? 'STORE_DISK_FULL' : 'STORE_WRITE_FAILED',
      });
    }
    assert.equal(context.failure, undefined);
    assert.ok(store.isDirty);
    assert.equal(store.find('T', 1)!.hasUnwritten, true);
    for (const queueId of [0, 2]) {
      assert.equal(store.find('T', queueId)!.hasUnwritten, false);
      const name = `/store/consumequeue/T/${queueId}/00000000000000000000`;
      assert.ok(
        context.fileSystem.operations.some(({ kind, path }) => kind === 'sync' && path === name),
        'and synced',
      );
    }
    // Readers are served from memory, new entries are taken.
    assert.equal((await store.find('T', 1)!.read(0, 15)).length, 300);
    fill(store, 1, 15, 5);
    context.fileSystem.fault = undefined;
    await store.flush(0);
    await store.flush(0);
    assert.equal(store.isDirty, false);
    const again = new ConsumeQueueStore(reopened(context));
    await again.load();
    await again.recover(Number.POSITIVE_INFINITY);
    assert.deepEqual(
      [0, 1, 2].map((queueId) => again.find('T', queueId)!.maxOffsetInQueue),
      [15, 20, 15],
    );
  });
}

test('consume queue store: no descriptor to sync with: what is not synced is synced by the next flush, and not forgotten', async () => {
  const context = memoryContext({ ...small, consumeQueueOpenFilesMax: 1 });
  const store = new ConsumeQueueStore(context);
  for (const queueId of [0, 1, 2]) fill(store, queueId, 0, 5);
  await store.flush(1);
  for (const queue of store.queues()) await queue.writeGathered(true);
  const { fileSystem } = context;
  fileSystem.fault = ({ kind }) => (kind === 'open' || kind === 'syncDirectory' ? 'EMFILE' : undefined);
  await assert.rejects(store.flush(0), { code: 'STORE_FLUSH_FAILED' });
  assert.equal(context.failure, undefined);
  fileSystem.fault = undefined;
  const before = fileSystem.operations.length;
  await store.flush(0);
  const synced = fileSystem.operations.filter(({ kind }) => kind === 'sync').map(({ path }) => path);
  assert.deepEqual(
    [0, 1, 2].map((queueId) => synced.includes(`/store/consumequeue/T/${queueId}/00000000000000000000`)),
    [true, true, true],
  );
  const names = fileSystem.operations.slice(before).filter(({ kind }) => kind === 'syncDirectory');
  assert.deepEqual(
    new Set(names.map(({ path }) => path)),
    new Set(
      [0, 1, 2]
        .map((id) => `/store/consumequeue/T/${id}`)
        .concat('/store/consumequeue/T', '/store/consumequeue', '/store'),
    ),
  );
});

test('consume queue store: a failed read is that reader’s error and stops nothing', async () => {
  const context = memoryContext(small);
  const store = new ConsumeQueueStore(context);
  fill(store, 0, 0, 5);
  await store.flush(0);
  await store.flush(0);
  context.fileSystem.fault = ({ kind }) => (kind === 'read' ? 'EIO' : undefined);
  await assert.rejects(store.find('T', 0)!.read(0, 5), { code: 'STORE_READ_FAILED' });
  assert.equal(context.failure, undefined);
});

test('consume queue store: open descriptors stay below the configured number', async () => {
  const context = memoryContext({ ...small, consumeQueueOpenFilesMax: 8 });
  const store = new ConsumeQueueStore(context);
  for (let queueId = 0; queueId < 100; queueId++) fill(store, queueId, 0, 2);
  await store.flush(0);
  await store.flush(0);
  for (let queueId = 0; queueId < 100; queueId++) assert.equal((await store.find('T', queueId)!.read(0, 9)).length, 40);
  assert.ok(store.openFileCount <= 8);
  assert.ok(context.fileSystem.openCountMax <= 8 + 4, `${context.fileSystem.openCountMax} open at once`);
  await store.close();
  assert.equal(context.fileSystem.openCount, 0);
});

test('consume queue store: a deleted topic is gone at once, on disk when it resolves, and starts again at 0', async () => {
  const context = memoryContext(small);
  const store = new ConsumeQueueStore(context);
  fill(store, 0, 0, 5);
  fill(store, 0, 0, 5, 'TT');
  await store.flush(0);
  fill(store, 0, 5, 5);
  const flushing = store.flush(0);
  store.dropTopic('T');
  const destroying = store.removeDropped();
  assert.equal(store.find('T', 0), undefined);
  await Promise.all([flushing, destroying]);
  assert.deepEqual([...context.fileSystem.files.keys()], [PATH.replace('/T/', '/TT/')]);
  assert.equal(store.find('TT', 0)!.maxOffsetInQueue, 5);
  fill(store, 0, 0, 1);
  await store.flush(0);
  assert.equal(store.find('T', 0)!.maxOffsetInQueue, 1);
  assert.equal(store.dropTopic('never there'), false);
  await store.destroy();
  assert.equal(context.fileSystem.files.size, 0);
  assert.equal(store.isDirty, false, 'the removal is on disk');
});

test('consume queue store: a topic that leads out of the directory gets no queue', () => {
  const context = memoryContext(small);
  const store = new ConsumeQueueStore(context);
  for (const topic of ['', '.', '..', '../../etc', 'a/b', 'a\\b', 'a\0', 'x'.repeat(256)]) {
    assert.equal(isTopicStorable(topic), false);
    assert.equal(store.dispatch(request({ topic })), undefined);
  }
  assert.equal(store.dispatch(request({ queueId: -1 })), undefined);
  assert.equal(store.dispatch(request({ queueId: 1.5 })), undefined);
  assert.equal(store.queuesByTopic().size, 0);
  assert.equal(context.lines.filter((line) => line.level === 'error').length, 10);
  assert.equal(isTopicStorable('%DLQ%a-b_c|d'), true);
});

test('consume queue store: when too much is gathered any flush writes all of it and lets go of it', async () => {
  const context = memoryContext();
  const store = new ConsumeQueueStore(context);
  let woken = 0;
  store.onWork = () => {
    if (store.isOverfull) woken++;
  };
  fill(store, 1, 0, 1);
  fill(store, 0, 0, 400_000);
  assert.equal(store.isOverfull, false);
  assert.equal(woken, 0);
  fill(store, 0, 400_000, 30_000);
  assert.equal(store.isOverfull, true);
  assert.ok(store.bufferedBytes < GATHERED_BYTES_MAX * 1.1);
  assert.ok(woken > 0);
  await store.flush(2);
  assert.equal(store.bufferedBytes, 0);
  assert.equal(store.find('T', 1)!.hasUnwritten, false);
  assert.equal(unitPhyOffset(await store.find('T', 0)!.read(429_999, 1), 0), 429_999_000);
});

test('consume queue store: 50,000 idle queues take less than 20 MiB', async () => {
  const program = fileURLToPath(new URL('./idle-queues-memory.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--expose-gc', '--import', 'tsx', '--conditions=@vernier/source', program],
    { cwd: fileURLToPath(new URL('../../../..', import.meta.url)) },
  );
  const { queues, bytes, buffered, openFiles } = JSON.parse(stdout);
  assert.equal(queues, 50_000);
  assert.equal(buffered, 0);
  assert.ok(openFiles <= 512);
  assert.ok(bytes < 20 * 1024 * 1024, `${bytes} bytes`);
});
