import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ManualClock, settle } from '@vernier/torture';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { CommitLogDispatcher } from '../../src/dispatch/commit-log-dispatcher.ts';
import { FlushConsumeQueueService, THOROUGH_FLUSH_LOG_BYTES } from '../../src/dispatch/flush-consume-queue-service.ts';
import { IndexService, UNFLUSHED_KEYS_MAX } from '../../src/key-index/index-service.ts';
import { IndexTarget } from '../../src/key-index/index-target.ts';
import { ConsumeQueueStore, GATHERED_BYTES_MAX } from '../../src/queue/consume-queue-store.ts';
import { ConsumeQueueTarget } from '../../src/queue/consume-queue-target.ts';
import { memoryContext, reopened, request } from '../queue/harness.ts';

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
  const targets = [new ConsumeQueueTarget(queues), new IndexTarget(index)];
  const dispatcher = new CommitLogDispatcher(targets);
  let where = 0;
  const thorough: number[] = [];
  const lackEnded: number[] = [];
  const service = new FlushConsumeQueueService(context, {
    queues,
    index,
    targets,
    dispatchedWhere: () => where,
    onThoroughFlush: async (durableWhere) => {
      thorough.push(durableWhere);
      onThorough?.(durableWhere);
    },
    onLackEnded: () => lackEnded.push(where),
  });
  service.start();
  cleanUp(t, () => service.shutdown().catch(() => {}));
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
  return {
    clock,
    context,
    queues,
    index,
    service,
    thorough,
    lackEnded,
    send,
    queueWrites,
    syncs,
    advance,
    where: () => where,
  };
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
  assert.equal(service.isComplete, true);
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

const lackOf = (folder: string, errno: string) => (operation: { kind: string; path: string }) =>
  operation.kind === 'open' && operation.path.includes(folder) ? errno : undefined;

for (const folder of ['consumequeue', 'index']) {
  test(`queue flush: without a descriptor for ${folder} it tries again with growing pauses, and the store does not fail`, async (t) => {
    const { context, send, advance, service, thorough, lackEnded, where } = start(t);
    let attempts = 0;
    context.fileSystem.fault = (operation) => {
      const errno = lackOf(folder, 'EMFILE')(operation);
      if (errno !== undefined) attempts++;
      return errno;
    };
    send(5);
    await advance(60_000);
    const first = attempts;
    assert.ok(first > 0);
    await advance(600_000);
    assert.equal(context.failure, undefined);
    assert.ok(attempts >= 100, `${attempts} attempts`);
    // At most one in five seconds, after the first few; a queue is asked for by two calls an attempt.
    assert.ok(attempts <= 2 * (600 / 5 + 10), `${attempts} attempts`);
    assert.deepEqual(thorough, [], 'the checkpoint is told nothing: the next start dispatches again from where it was');
    assert.ok(service.lack.forMs >= 600_000);
    const lines = context.lines.filter(({ message }) => message.includes('EMFILE'));
    assert.ok(lines.length >= 30 && lines.length <= 70, `${lines.length} lines in ten minutes`);
    assert.deepEqual(lackEnded, []);
    context.fileSystem.fault = undefined;
    await advance(5_000);
    assert.deepEqual(thorough, [where()]);
    assert.equal(service.lack.isLacking, false);
    assert.ok(service.lack.failedCount > 100);
    assert.deepEqual(lackEnded, [where()]);
    assert.ok(context.lines.some(({ message }) => /can be written again/.test(message)));
  });
}

test('queue flush: in a lack memory has a bound, then dispatch is told to wait; without one it never is', async (t) => {
  const { context, send, advance, queues, service } = start(t);
  send(300_000, 10);
  assert.equal(service.dispatchHeldReason, undefined);
  context.fileSystem.fault = lackOf('consumequeue', 'ENOSPC');
  await advance(1_000);
  assert.ok(service.lack.isLacking);
  assert.equal(service.dispatchHeldReason, undefined, 'there is room in memory');
  send(600_000, 10);
  assert.ok(queues.bufferedBytes > 2 * GATHERED_BYTES_MAX);
  assert.match(service.dispatchHeldReason!, /cannot be written .* ENOSPC/);
  context.fileSystem.fault = undefined;
  await advance(5_000);
  assert.equal(service.dispatchHeldReason, undefined);
  assert.ok(queues.bufferedBytes <= 2 * GATHERED_BYTES_MAX);
});

test('queue flush: a shutdown in a lack ends, and does not say that everything is on disk', async (t) => {
  const { context, send, service, thorough } = start(t);
  send(5);
  context.fileSystem.fault = lackOf('consumequeue', 'ENOSPC');
  await service.shutdown();
  assert.equal(context.failure, undefined);
  assert.equal(service.isComplete, false);
  assert.deepEqual(thorough, []);
});

test('queue flush: a fault of the program fails the store instead of ending the flushes without a word', async (t) => {
  const fault = new TypeError('of the program');
  const { context, send, advance } = start(t, () => {
    throw fault;
  });
  send(5);
  await advance(60_000);
  assert.equal(context.failure?.code, 'STORE_INTERNAL_ERROR');
  assert.equal(context.failure?.cause, fault);
});

test('queue flush: a shutdown gives up after a second, in the middle of 40,000 queues; a start has all of them again', async (t) => {
  const { clock, context, queues, service, thorough } = start(t);
  for (let number = 0; number < 40_000; number++) {
    queues.dispatch(request({ topic: `t${number}`, consumeQueueOffset: 0, commitLogOffset: number * 100 }));
  }
  // Each file, and each sync, costs a millisecond.
  const monotonic = clock.monotonic.bind(clock);
  let spentMs = 0;
  clock.monotonic = () => monotonic() + spentMs;
  context.fileSystem.fault = ({ kind }) => {
    if (kind !== 'write') spentMs++;
    return undefined;
  };
  await service.shutdown();
  assert.equal(service.isComplete, false);
  assert.deepEqual(thorough, [], 'nothing is said to be on disk');
  assert.ok(spentMs > 1_000 && spentMs < 1_100, `${spentMs} ms`);
  assert.equal(context.failure, undefined);
  assert.ok(!context.lines.some(({ message }) => message.includes('tried again')), 'it is no lack');
  await queues.close();

  const again = new ConsumeQueueStore(reopened(context));
  await again.load();
  await again.recover(0, false);
  for (let number = 0; number < 40_000; number++) {
    again.dispatchRecovered(request({ topic: `t${number}`, consumeQueueOffset: 0, commitLogOffset: number * 100 }));
  }
  again.endRecovery();
  let whole = 0;
  for (const queue of again.queues()) if (queue.maxOffsetInQueue === 1) whole++;
  assert.equal(whole, 40_000, 'each entry once');
});

test('queue flush: a shutdown that comes while a flush is under way ends that one too', async (t) => {
  const { clock, context, queues, service, advance } = start(t);
  for (let number = 0; number < 5_000; number++) {
    queues.dispatch(request({ topic: `t${number}`, consumeQueueOffset: 0, commitLogOffset: number * 100 }));
  }
  const monotonic = clock.monotonic.bind(clock);
  let spentMs = 0;
  clock.monotonic = () => monotonic() + spentMs;
  let begun = (): void => {};
  const underWay = new Promise<void>((resolve) => {
    begun = resolve;
  });
  context.fileSystem.fault = ({ kind }) => {
    if (kind !== 'write') spentMs++;
    begun();
    return undefined;
  };
  void advance(60_000);
  await underWay;
  const at = spentMs;
  await service.shutdown();
  assert.equal(service.isComplete, false);
  assert.ok(spentMs - at < 1_200, `${spentMs - at} ms`);
});
