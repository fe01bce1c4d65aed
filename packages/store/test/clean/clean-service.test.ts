import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle } from '@vernier/torture';
import { StoreError } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { CleanConsumeQueueService } from '../../src/clean/clean-consume-queue-service.ts';
import { CleanService } from '../../src/clean/clean-service.ts';
import { FILE_SIZE, makeLog } from './clean-fixture.ts';

function spies() {
  const calls: string[] = [];
  const spy = (name: string) => ({
    deleteExpired: async (minOffset: number) => {
      calls.push(`${name} ${minOffset}`);
      return 1;
    },
  });
  return { calls, queues: spy('queues'), index: spy('index') };
}

test('queues and index are cleaned below the log’s first byte, once each time it moves', async () => {
  const { calls, queues, index } = spies();
  let minOffset = 0;
  const service = new CleanConsumeQueueService({
    context: { logger: silentLogger },
    minOffset: () => minOffset,
    consumeQueueStore: queues,
    indexService: index,
  });
  assert.equal(await service.run(), 0);
  minOffset = 4096;
  assert.equal(await service.run(), 2);
  assert.equal(await service.run(), 0);
  minOffset = 8192;
  await service.run();
  assert.deepEqual(calls, ['queues 4096', 'index 4096', 'queues 8192', 'index 8192']);
});

test('a round of queue cleaning that failed is made again', async () => {
  let failing = true;
  const service = new CleanConsumeQueueService({
    context: { logger: silentLogger },
    minOffset: () => 4096,
    consumeQueueStore: {
      deleteExpired: async () => {
        if (failing) throw new Error('EIO');
        return 3;
      },
    },
    indexService: undefined,
  });
  await assert.rejects(service.run());
  failing = false;
  assert.equal(await service.run(), 3);
});

/** A service whose queues have everything on disk. */
function cleanService(
  { context, queue }: Pick<Awaited<ReturnType<typeof makeLog>>, 'context' | 'queue'>,
  queues: ReturnType<typeof spies>['queues'],
  index?: ReturnType<typeof spies>['index'],
): CleanService {
  return new CleanService({
    context,
    mappedFileQueue: queue,
    consumeQueueStore: queues,
    indexService: index,
    queuesCompleteWhere: () => Number.POSITIVE_INFINITY,
  });
}

test('the service runs at its start and each cleanResourceInterval, and not after shutdown', async (t) => {
  const made = await makeLog(t, { newestAgeHours: 100, config: { deleteFileBatchMax: 1 } });
  const { calls, queues, index } = spies();
  const { context, queue, clock, fileSystem, names } = made;
  const service = cleanService({ context, queue }, queues, index);
  fileSystem.usedPercent.set('/store', 80);
  await service.start();
  await settle();
  assert.deepEqual(await names(), [1, 2, 3, 4]);
  assert.deepEqual(calls, [`queues ${FILE_SIZE}`, `index ${FILE_SIZE}`]);
  await clock.advance(9_999);
  assert.equal((await names()).length, 4);
  await clock.advance(1);
  assert.deepEqual(await names(), [2, 3, 4]);
  await service.shutdown();
  await clock.advance(60_000);
  assert.deepEqual(await names(), [2, 3, 4]);
  assert.equal(clock.timerCount, 0);
});

test('a shorter cleanResourceInterval counts at once, and not after the wait that the longer one began', async (t) => {
  const made = await makeLog(t, { newestAgeHours: 100, config: { deleteFileBatchMax: 1 } });
  const { queues } = spies();
  const { context, queue, clock, fileSystem, names } = made;
  const service = cleanService({ context, queue }, queues);
  fileSystem.usedPercent.set('/store', 80);
  await service.start();
  await settle();
  context.config.cleanResourceInterval = 100;
  service.configChanged();
  await clock.advance(100);
  assert.deepEqual(await names(), [2, 3, 4]);
  await service.shutdown();
  service.configChanged();
  assert.equal(clock.timerCount, 0, 'and none begins after the end');
});

test('shutdown ends a round at the file it is at', async (t) => {
  const { context, queue, fileSystem, names } = await makeLog(t, { newestAgeHours: 1_000, files: 9 });
  const { queues } = spies();
  fileSystem.usedPercent.set('/store', 80);
  const service = cleanService({ context, queue }, queues);
  await service.start();
  await settle();
  // The pause before the second file would last for ever on this clock.
  await service.shutdown();
  assert.deepEqual(await names(), [1, 2, 3, 4, 5, 6, 7, 8]);
});

test('diskFull is known when start resolves', async (t) => {
  const { context, queue, fileSystem } = await makeLog(t);
  const { queues } = spies();
  fileSystem.usedPercent.set('/store', 97);
  const service = cleanService({ context, queue }, queues);
  assert.equal(service.diskFull, undefined);
  await service.start();
  assert.equal(service.diskFull!.usedRatio, 0.97);
  await service.shutdown();
});

test('nothing is removed from a store that has failed', async (t) => {
  const { context, queue, fileSystem, names, clock } = await makeLog(t, { newestAgeHours: 1_000 });
  const { calls, queues } = spies();
  fileSystem.usedPercent.set('/store', 99);
  context.fail(new StoreError('STORE_DAMAGED', 'damaged'));
  const service = cleanService({ context, queue }, queues);
  await service.start();
  await clock.advance(60_000);
  assert.deepEqual(await names(), [0, 1, 2, 3, 4]);
  assert.deepEqual(calls, []);
  assert.equal(clock.timerCount, 0);
  await service.shutdown();
});

for (const [operation, what] of [
  ['remove', 'cannot be removed'],
  ['syncDirectory', 'may come back after a power cut'],
] as const) {
  test(`queues and index keep what stands for a file that ${what}`, async (t) => {
    const { context, queue, fileSystem, clock } = await makeLog(t, { newestAgeHours: 1_000 });
    const { calls, queues, index } = spies();
    fileSystem.usedPercent.set('/store', 80);
    fileSystem.inject({ operation, path: /commitlog/, code: 'EIO', times: Number.POSITIVE_INFINITY, skip: 1 });
    const service = cleanService({ context, queue }, queues, index);
    await service.start();
    await clock.advance(30_000);
    assert.ok(queue.minOffset >= 2 * FILE_SIZE, 'readers do not get there any more');
    assert.deepEqual(calls, [`queues ${FILE_SIZE}`, `index ${FILE_SIZE}`]);
    await service.shutdown();
  });
}

test('a round that fails is logged and the next one tries again', async (t) => {
  const { context, queue, fileSystem, names, clock, logged } = await makeLog(t, { newestAgeHours: 1_000 });
  const { queues } = spies();
  fileSystem.usedPercent.set('/store', 80);
  fileSystem.intercept = (operation) => {
    if (operation === 'remove') throw Object.assign(new Error('EBUSY'), { code: 'EBUSY' });
  };
  const service = cleanService({ context, queue }, queues);
  await service.start();
  await settle();
  assert.ok(logged.some((line) => line.level === 'warn' && /next round/.test(line.message)));
  fileSystem.intercept = undefined;
  await clock.advance(300_000);
  assert.deepEqual(await names(), [4]);
  await service.shutdown();
});

test('expired files asked for by an operator go at once whatever the hour, younger ones never', async (t) => {
  // Four files are older than fileReservedTime, of 72 hours; nothing else asks for their removal.
  const made = await makeLog(t, { newestAgeHours: 69, files: 7, config: { deleteFileBatchMax: 1 } });
  const { context, queue, clock, names } = made;
  const service = cleanService({ context, queue }, spies().queues);
  service.deleteExpiredFiles();
  await settle();
  assert.equal((await names()).length, 7, 'not before it was started');
  const started = await makeLog(t, { newestAgeHours: 69, files: 7, config: { deleteFileBatchMax: 1 } });
  const second = cleanService(started, spies().queues);
  await second.start();
  await started.clock.advance(60_000);
  assert.equal((await started.names()).length, 7);
  second.deleteExpiredFiles();
  await settle();
  assert.deepEqual(await started.names(), [1, 2, 3, 4, 5, 6]);
  second.deleteExpiredFiles();
  second.deleteExpiredFiles();
  await settle();
  assert.equal(started.clock.timerCount, 1, 'one timer, however often one asks');
  await started.clock.advance(60_000);
  assert.deepEqual(await started.names(), [4, 5, 6]);
  await Promise.all([service.shutdown(), second.shutdown()]);
  second.deleteExpiredFiles();
  assert.equal(started.clock.timerCount + clock.timerCount, 0, 'and none begins after the end');
});
