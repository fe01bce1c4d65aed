import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { SimulatedFileSystem, settle } from '@vernier/torture';
import { StoreError } from '../../src/base/errors.ts';
import { append, FILE_SIZE, flushAll, openLog, patterned } from './harness.ts';

const FIRST = '0'.padStart(20, '0');
const config = { zeroAheadBytes: 64 * 1024 };

test('zero ahead: the bytes behind the log are written with zeros, as far as asked and in this file', async (t) => {
  const fileSystem = new SimulatedFileSystem();
  const { queue } = await openLog(t, { fileSystem, config });
  await append(queue, 5000);
  await queue.flush(0);
  const zeroed = (): number => fileSystem.operations.filter(({ operation }) => operation === 'write').length;
  await settle();
  assert.equal(zeroed(), 1, 'one chunk a flush; the record itself went with its sync');
  for (let flush = 0; flush < 10; flush++) {
    await append(queue, 10);
    await queue.flush(0);
    await settle();
  }
  assert.equal(zeroed(), 3, '64 KiB are ahead, less than a chunk is missing');
  assert.deepEqual(await queue.read(0, 5000), patterned(0, 5000));
});

test('zero ahead: a write that reaches into a chunk under way waits for it', async (t) => {
  const fileSystem = new SimulatedFileSystem();
  const { queue } = await openLog(t, { fileSystem, config });
  await append(queue, 100);
  const zeroing = fileSystem.hold('write', FIRST);
  await queue.flush(0);
  await zeroing.entered;
  const offset = await append(queue, 20_000);
  const flushing = queue.flush(0);
  await settle();
  assert.equal(queue.flushedWhere, 100, 'the zeros would land on it');
  zeroing.release();
  await flushing;
  assert.equal(queue.flushedWhere, 20_100);
  await settle();
  assert.deepEqual(
    fileSystem.volatileContent(`/store/commitlog/${FIRST}`).subarray(100, 20_100),
    patterned(offset, 20_000),
  );
});

test('zero ahead: a write that stays before the chunk does not wait', async (t) => {
  const fileSystem = new SimulatedFileSystem();
  const { queue } = await openLog(t, { fileSystem, config });
  await append(queue, 100);
  const zeroing = fileSystem.hold('write', FIRST);
  await queue.flush(0);
  await zeroing.entered;
  await append(queue, 100);
  await queue.flush(0);
  assert.equal(queue.flushedWhere, 200);
  zeroing.release();
});

test('zero ahead: many groups of any size, through several files, every byte as appended', async (t) => {
  for (const transientStorePoolEnable of [false, true]) {
    const log = await openLog(t, { config: { ...config, transientStorePoolEnable } });
    const records: [number, number][] = [];
    let size = 1;
    while (log.queue.maxOffset < 3 * FILE_SIZE) {
      for (let record = 0; record < 1 + (size % 5); record++) {
        size = ((size * 48_271) % 30_011) + 1;
        records.push([await append(log.queue, size), size]);
      }
      if (size % 3 === 0) await log.queue.commit(0);
      await flushAll(log.queue);
    }
    await log.queue.shutdown();
    for (const [offset, bytes] of records) {
      const file = `${log.directory}/${String(offset - (offset % FILE_SIZE)).padStart(20, '0')}`;
      const at = offset % FILE_SIZE;
      assert.ok(
        readFileSync(file)
          .subarray(at, at + bytes)
          .equals(patterned(offset, bytes)),
        `record at ${offset}`,
      );
    }
  }
});

test('zero ahead: a failed write ends it with one line and fails nothing else', async (t) => {
  const fileSystem = new SimulatedFileSystem();
  const { queue, logger, context } = await openLog(t, { fileSystem, config });
  fileSystem.inject({ operation: 'write', path: FIRST, code: 'EIO', times: Number.POSITIVE_INFINITY });
  for (let flush = 0; flush < 3; flush++) {
    await append(queue, 10_000);
    await queue.flush(0);
    await settle();
  }
  assert.equal(queue.flushedWhere, 30_000);
  assert.equal(context.failure, undefined);
  assert.equal(logger.lines.filter(({ message }) => /zeroing ahead/.test(message)).length, 1);
});

test('zero ahead: a failed sync stops the store, because records come into the same pages', async (t) => {
  const fileSystem = new SimulatedFileSystem();
  const { queue, context } = await openLog(t, { fileSystem, config });
  await append(queue, 5_000);
  const zeroing = fileSystem.hold('write', FIRST);
  await queue.flush(0);
  await zeroing.entered;
  fileSystem.inject({ operation: 'sync', path: FIRST, code: 'EIO' });
  zeroing.release();
  await settle();
  assert.equal(context.failure?.code, 'STORE_FLUSH_FAILED');
  await assert.rejects(
    append(queue, 100).then(() => queue.flush(0)),
    { code: 'STORE_FLUSH_FAILED' },
  );
  assert.equal(queue.flushedWhere, 5_000);
});

test('zero ahead: a flush that ends after another sync of the log failed does not count', async (t) => {
  const fileSystem = new SimulatedFileSystem();
  const { queue, context } = await openLog(t, { fileSystem });
  await append(queue, 100);
  const syncing = fileSystem.hold('sync', FIRST);
  const flushing = queue.flush(0);
  await syncing.entered;
  context.fail(new StoreError('STORE_FLUSH_FAILED', 'the zeros'));
  syncing.release();
  await assert.rejects(flushing, { code: 'STORE_FLUSH_FAILED', message: 'the zeros' });
  assert.equal(queue.flushedWhere, 0);
});

test('zero ahead: off by default, and off where nobody waits for flushes', async (t) => {
  for (const settings of [{}, { ...config, flushDiskType: 'ASYNC_FLUSH' as const }]) {
    const fileSystem = new SimulatedFileSystem();
    const { queue } = await openLog(t, { fileSystem, config: settings });
    await append(queue, 5000);
    await queue.flush(0);
    await settle();
    assert.equal(fileSystem.operations.filter(({ operation }) => operation === 'write').length, 0);
  }
});
