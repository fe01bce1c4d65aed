import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { CommitLogDispatcher } from '../../src/queue/commit-log-dispatcher.ts';
import { ConsumeQueueStore } from '../../src/queue/consume-queue-store.ts';
import { FlushConsumeQueueService, THOROUGH_FLUSH_LOG_BYTES } from '../../src/queue/flush-consume-queue-service.ts';
import { IndexService, UNFLUSHED_KEYS_MAX } from '../../src/queue/index-service.ts';
import { ManualClock, settle } from '../../src/testing/manual-clock.ts';
import { memoryContext, request } from './harness.ts';

/** flushIntervalConsumeQueue 1,000, flushConsumeQueueThoroughInterval 60,000, 2 pages: RocketMQ's defaults. */
function start(t: TestContext, onThorough?: (where: number) => void) {
  const clock = new ManualClock();
  const context = memoryContext(
    { mappedFileSizeConsumeQueue: 200_000, maxHashSlotNum: 100, maxIndexNum: 1_000_000 },
    undefined,
    clock,
  );
  const queues = new ConsumeQueueStore(context);
  const index = new IndexService(context);
  const dispatcher = new CommitLogDispatcher(queues, index);
  let where = 0;
  const thorough: number[] = [];
  const service = new FlushConsumeQueueService(context, {
    queues,
    index,
    dispatchedWhere: () => where,
    onThoroughFlush: async (durableWhere) => {
      thorough.push(durableWhere);
      onThorough?.(durableWhere);
    },
  });
  service.start();
  t.after(() => service.shutdown().catch(() => {}));
  let next = 0;
  const send = (count: number, msgSize = 1_000): void => {
    for (let n = 0; n < count; n++, next++) {
      dispatcher.dispatch(request({ consumeQueueOffset: next, commitLogOffset: where, msgSize, uniqKey: `u${next}` }));
      where += msgSize;
    }
  };
  const { operations } = context.fileSystem;
  const queueWrites = () =>
    operations.filter(({ kind, path }) => kind === 'write' && path.includes('consumequeue')).length;
  const syncs = () => operations.filter(({ kind }) => kind === 'sync').length;
  /** In-memory operations take a few turns of the event loop. */
  const advance = async (ms: number): Promise<void> => {
    await clock.advance(ms);
    for (let round = 0; round < 10; round++) await settle();
  };
  return { clock, context, queues, index, service, thorough, send, queueWrites, syncs, advance, where: () => where };
}

test('queue flush: nothing to do, no timer; the first entry arms one; after the last flush there is none again', async (t) => {
  const { clock, send, advance, thorough, queues } = start(t);
  await settle();
  assert.equal(clock.timerCount, 0);
  await advance(3_600_000);
  assert.deepEqual(thorough, []);
  send(1);
  await settle();
  assert.equal(clock.timerCount, 1);
  await advance(1_000);
  assert.deepEqual(thorough, [1_000], 'the last thorough flush is an hour ago');
  await advance(60_000);
  assert.equal(queues.bufferedBytes, 0);
  assert.equal(clock.timerCount, 0, 'the block of the queue was let go of, then nothing is left to do');
});

test('queue flush: a filled block is written at the interval, not synced, and less than that is not written', async (t) => {
  const { send, advance, queueWrites, syncs, thorough } = start(t);
  send(409);
  await advance(999);
  assert.equal(queueWrites(), 0);
  await advance(1);
  assert.equal(queueWrites(), 1, '8 KiB and more: written');
  assert.equal(syncs(), 0);
  send(300);
  await advance(5_000);
  assert.equal(queueWrites(), 1, 'less than flushConsumeQueueLeastPages');
  send(200);
  await advance(1_000);
  assert.equal(queueWrites(), 2);
  assert.deepEqual(thorough, []);
});

test('queue flush: at the thorough interval everything is on disk before the callback, which is told how far', async (t) => {
  let unsynced: string[] | undefined;
  const { context, send, advance, thorough, where, queues, index } = start(t, () => {
    const { operations } = context.fileSystem;
    unsynced = operations
      .filter(
        ({ kind, path }, at) =>
          kind === 'write' && !operations.slice(at).some((later) => later.kind === 'sync' && later.path === path),
      )
      .map(({ path }) => path);
  });
  send(5);
  await advance(59_000);
  assert.deepEqual(thorough, []);
  await advance(1_000);
  assert.deepEqual(thorough, [where()]);
  assert.deepEqual(unsynced, []);
  assert.equal(queues.find('T', 0)!.hasUnwritten, false);
  assert.equal(index.isDirty, false);
});

test('queue flush: the callback is told of what was dispatched before the flush, not during it', async (t) => {
  const { context, send, advance, thorough } = start(t);
  send(5);
  let once = true;
  context.fileSystem.fault = ({ kind }) => {
    if (kind === 'sync' && once) {
      once = false;
      send(1);
    }
    return undefined;
  };
  await advance(60_000);
  assert.deepEqual(thorough, [5_000]);
});

test('queue flush: much log since the last thorough flush makes one due at once', async (t) => {
  const { send, advance, thorough, where } = start(t);
  send(600, 1_000_000);
  assert.ok(where() > THOROUGH_FLUSH_LOG_BYTES);
  await advance(1_000);
  assert.deepEqual(thorough, [where()]);
});

test('queue flush: too many keys in memory make a thorough flush due without waiting', async (t) => {
  const { send, advance, thorough, index } = start(t);
  send(UNFLUSHED_KEYS_MAX + 1, 100);
  assert.equal(index.isOverfull, true);
  await advance(1_000);
  assert.equal(thorough.length, 1);
  assert.equal(index.isOverfull, false);
});

test('queue flush: shutdown makes everything durable and tells how far', async (t) => {
  const { send, service, thorough, queues, index } = start(t);
  send(7);
  await service.shutdown();
  assert.deepEqual(thorough, [7_000]);
  assert.equal(queues.find('T', 0)!.hasUnwritten, false);
  assert.equal(index.isDirty, false);
});

test('queue flush: a failed sync ends the service; shutdown then tries nothing', async (t) => {
  const { context, send, advance, service, thorough, clock } = start(t);
  send(5);
  context.fileSystem.fault = ({ kind }) => (kind === 'sync' ? 'EIO' : undefined);
  await advance(60_000);
  assert.equal(context.failure?.code, 'STORE_FLUSH_FAILED');
  assert.deepEqual(thorough, []);
  const count = context.fileSystem.operations.length;
  send(1_000);
  await advance(120_000);
  await service.shutdown();
  assert.equal(context.fileSystem.operations.length, count);
  assert.equal(clock.timerCount, 0);
  assert.deepEqual(thorough, []);
});
