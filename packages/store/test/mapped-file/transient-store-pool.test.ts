import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedFileSystem, settle } from '@vernier/torture';
import type { Native } from '../../src/io/native.ts';
import { createMappedFileEngine } from '../../src/mapped-file/mapped-file-engine.ts';
import { TransientStorePool } from '../../src/mapped-file/transient-store-pool.ts';
import { append, FILE_SIZE, flushAll, lastFile, makeContext, openLog, recordingLogger } from './harness.ts';

function pool(options: { locked?: number; native?: boolean; available?: number; poolSize?: number } = {}) {
  const logger = recordingLogger();
  const native = { lockMemory: async (buffer: Buffer) => options.locked ?? buffer.length } as unknown as Native;
  const made = new TransientStorePool({
    poolSize: options.poolSize ?? 2,
    fileSize: FILE_SIZE,
    logger,
    native: options.native === false ? undefined : native,
    availableMemory: options.available ?? 10 * FILE_SIZE,
  });
  return { pool: made, logger };
}

test('transient pool: buffers are lent while there are some, and lent again when they came back', async () => {
  const { pool: made, logger } = pool();
  assert.equal(made.availableBufferNums, 2);
  const first = made.borrowBuffer()!;
  const second = made.borrowBuffer()!;
  assert.equal(first.length, FILE_SIZE);
  assert.ok(first.buffer instanceof SharedArrayBuffer);
  assert.notEqual(first.buffer, second.buffer);
  assert.equal(made.borrowBuffer(), undefined);
  assert.equal(made.availableBufferNums, 0);
  made.returnBuffer(first);
  assert.equal(made.borrowBuffer(), first);
  await settle();
  assert.deepEqual(logger.lines, [], 'all of it was locked');
});

test('transient pool: what cannot be locked in memory is said once', async () => {
  const { pool: made, logger } = pool({ locked: 8192 });
  made.borrowBuffer();
  made.borrowBuffer();
  await settle();
  assert.equal(logger.lines.length, 1);
  assert.deepEqual((logger.lines[0]!.fields as { lockedBytes: number }).lockedBytes, 8192);
  const without = pool({ native: false });
  without.pool.borrowBuffer();
  await settle();
  assert.equal(without.logger.lines.length, 1);
});

test('transient pool: a pool that does not fit memory is refused at start, with the numbers', () => {
  assert.throws(
    () => pool({ available: 2 * FILE_SIZE - 1 }),
    (error: Error & { code: string; details: object }) => {
      assert.equal(error.code, 'STORE_MEMORY_INSUFFICIENT');
      const { wanted, available } = error.details as { wanted: number; available: number };
      assert.deepEqual([wanted, available], [2 * FILE_SIZE, 2 * FILE_SIZE - 1]);
      return true;
    },
  );
  pool({ available: 2 * FILE_SIZE });
  const config = {
    transientStorePoolEnable: true,
    transientStorePoolSize: 1_000_000,
    mappedFileSizeCommitLog: 2 ** 30,
  };
  const { context } = makeContext(new SimulatedFileSystem(), '/store', config);
  assert.throws(() => createMappedFileEngine(context), { code: 'STORE_MEMORY_INSUFFICIENT' });
});

test('transient pool: no free buffer is backpressure; a commit gives buffers back', async (t) => {
  const { queue } = await openLog(t, { config: { transientStorePoolEnable: true, transientStorePoolSize: 2 } });
  while (queue.mappedFiles.length < 2) {
    const file = await lastFile(queue);
    assert.equal(file.reserve(FILE_SIZE - file.wrotePosition), true);
    file.advance(FILE_SIZE - file.wrotePosition);
  }
  const third = await lastFile(queue);
  assert.equal(third.fileFromOffset, 2 * FILE_SIZE);
  assert.equal(third.reserve(100), false);
  assert.equal(third.wrotePosition, 0, 'nothing changed');
  await queue.commit(0);
  assert.equal(queue.committedWhere, FILE_SIZE);
  assert.equal(third.reserve(100), true);
  third.advance(100);
  await flushAll(queue);
  assert.equal(queue.flushedWhere, 2 * FILE_SIZE + 100);
});

test('transient pool: a file taken over in its middle goes on there', async (t) => {
  const config = { transientStorePoolEnable: true };
  const log = await openLog(t, { config });
  await append(log.queue, 5000);
  await flushAll(log.queue);
  const { queue } = await log.reopen(5000);
  await append(queue, 3000);
  assert.equal(queue.selectHot(0, 5000), undefined, 'of the earlier run');
  await flushAll(queue);
  assert.equal((await queue.read(0, 8000)).length, 8000);
});
