import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ManualClock, SimulatedFileSystem } from '@vernier/torture';
import { createMappedFileEngine } from '../../src/mapped-file/mapped-file-engine.ts';
import { MappedFileQueue } from '../../src/mapped-file/mapped-file-queue.ts';
import {
  append,
  FILE_SIZE,
  flushAll,
  type Log,
  lastFile,
  makeContext,
  openLog,
  patterned,
  temporaryDirectory,
} from './harness.ts';

const name = (offset: number): string => String(offset).padStart(20, '0');

async function fill(log: Log, files: number): Promise<void> {
  while (log.queue.mappedFiles.length < files) await append(log.queue, 30_000);
  await flushAll(log.queue);
}

function directoryWith(t: Parameters<typeof temporaryDirectory>[0], files: Record<string, number>): string {
  const root = temporaryDirectory(t);
  mkdirSync(join(root, 'commitlog'));
  for (const [file, size] of Object.entries(files)) {
    writeFileSync(join(root, 'commitlog', file), '');
    truncateSync(join(root, 'commitlog', file), size);
  }
  return root;
}

test('load: files are taken in order, sub-directories ignored, nothing counts as flushed', async (t) => {
  const root = directoryWith(t, {
    [name(FILE_SIZE)]: FILE_SIZE,
    [name(0)]: FILE_SIZE,
    [name(2 * FILE_SIZE)]: FILE_SIZE,
  });
  mkdirSync(join(root, 'commitlog', 'some'));
  const { queue } = await openLog(t, { directory: root });
  assert.deepEqual(
    queue.mappedFiles.map((file) => [file.fileFromOffset, file.wrotePosition]),
    [0, 1, 2].map((index) => [index * FILE_SIZE, FILE_SIZE]),
  );
  assert.deepEqual(
    [queue.minOffset, queue.maxOffset, queue.flushedWhere, queue.committedWhere],
    [0, 3 * FILE_SIZE, 0, 0],
  );
  assert.equal(queue.mappedMemorySize, 3 * FILE_SIZE);
});

test('load: an empty last file is deleted', async (t) => {
  const root = directoryWith(t, { [name(0)]: FILE_SIZE, [name(FILE_SIZE)]: 0 });
  const { queue } = await openLog(t, { directory: root });
  assert.equal(queue.maxOffset, FILE_SIZE);
  assert.deepEqual(readdirSync(join(root, 'commitlog')), [name(0)]);
});

for (const [situation, files, code, found] of [
  ['a last file of another size', { [name(0)]: FILE_SIZE, [name(FILE_SIZE)]: 4096 }, 'STORE_FILE_SIZE_MISMATCH', 4096],
  ['a first file of another size', { [name(0)]: 77, [name(FILE_SIZE)]: FILE_SIZE }, 'STORE_FILE_SIZE_MISMATCH', 77],
  ['an empty file that is not the last', { [name(0)]: 0, [name(FILE_SIZE)]: 0 }, 'STORE_FILE_SIZE_MISMATCH', 0],
  ['a gap', { [name(0)]: FILE_SIZE, [name(2 * FILE_SIZE)]: FILE_SIZE }, 'STORE_DAMAGED', 2 * FILE_SIZE],
  ['a name that is no offset', { [name(0)]: FILE_SIZE, 'readme.txt': FILE_SIZE }, 'STORE_NOT_A_STORE', undefined],
] as const) {
  test(`load: ${situation} is ${code}, and nothing is touched`, async (t) => {
    const root = directoryWith(t, files);
    await assert.rejects(
      openLog(t, { directory: root }),
      (error: Error & { code: string; details: { found?: number } }) => {
        assert.equal(error.code, code);
        assert.equal(error.details.found, found);
        return true;
      },
    );
    const left = readdirSync(join(root, 'commitlog')).map((file) => [
      file,
      statSync(join(root, 'commitlog', file)).size,
    ]);
    assert.deepEqual(Object.fromEntries(left), files);
  });
}

test('findMappedFileByOffset: inside, at the borders, outside', async (t) => {
  const log = await openLog(t);
  assert.equal(log.queue.findMappedFileByOffset(0), undefined, 'an empty log');
  await fill(log, 3);
  const { queue } = log;
  const from = (offset: number, first = false) => queue.findMappedFileByOffset(offset, first)?.fileFromOffset;
  assert.equal(from(0), 0);
  assert.equal(from(FILE_SIZE - 1), 0);
  assert.equal(from(FILE_SIZE), FILE_SIZE);
  assert.equal(from(3 * FILE_SIZE - 1), 2 * FILE_SIZE);
  assert.equal(from(3 * FILE_SIZE), undefined);
  assert.equal(from(3 * FILE_SIZE, true), 0);
  assert.equal(from(-1), undefined);
  assert.equal(queue.getFirstMappedFile()?.fileFromOffset, 0);
  assert.equal(queue.getLastMappedFile()?.fileFromOffset, 2 * FILE_SIZE);
});

test('an empty log can begin anywhere; its offsets begin there', async (t) => {
  const { queue } = await openLog(t);
  const start = 7 * FILE_SIZE + 123;
  while (queue.tryGetLastMappedFile(start) === undefined) await queue.whenNextFileReady(start);
  const { minOffset, flushedWhere, committedWhere, maxOffset } = queue;
  assert.deepEqual([minOffset, flushedWhere, committedWhere, maxOffset], Array(4).fill(7 * FILE_SIZE));
});

test('offsets out of order are refused by the one method that moves them', async (t) => {
  const { queue } = await openLog(t);
  await append(queue, 100);
  assert.throws(() => queue.setFlushedWhere(101), /offsets out of order: min 0, flushed 101, committed 101, max 100/);
  assert.throws(() => queue.setFlushedWhere(-1), RangeError);
  assert.equal(queue.flushedWhere, 0);
});

test('deleteExpiredFileByTime: only expired files, from the oldest, never the last, never beyond the batch', async (t) => {
  const log = await openLog(t);
  await fill(log, 5);
  const { queue, directory } = log;
  assert.equal(await queue.deleteExpiredFileByTime(60_000, 10, 0, false), 0, 'all are new');
  const old = Date.now() / 1000 - 120;
  utimesSync(join(directory, name(0)), old, old);
  utimesSync(join(directory, name(2 * FILE_SIZE)), old, old);
  assert.equal(await queue.deleteExpiredFileByTime(60_000, 10, 0, false), 1, 'stops at the first that is not expired');
  assert.equal(queue.minOffset, FILE_SIZE);
  assert.equal(await queue.deleteExpiredFileByTime(60_000, 2, 0, true), 2, 'the batch');
  assert.equal(await queue.deleteExpiredFileByTime(60_000, 10, 0, true), 1, 'not the last one');
  assert.equal(queue.minOffset, 4 * FILE_SIZE);
  assert.deepEqual(queue.mappedFiles.length, 1);
  assert.deepEqual(
    readdirSync(directory)
      .filter((file) => /^\d/.test(file))
      .slice(0, 1),
    [name(4 * FILE_SIZE)],
  );
});

test('deleteExpiredFileByTime: a file that is not flushed stays', async (t) => {
  const { queue } = await openLog(t);
  while (queue.mappedFiles.length < 3) await append(queue, 30_000);
  assert.equal(await queue.deleteExpiredFileByTime(0, 10, 0, true), 0);
  await queue.flush(0);
  assert.equal(await queue.deleteExpiredFileByTime(0, 10, 0, true), 1);
  assert.equal(queue.minOffset, FILE_SIZE);
});

test('deleteExpiredFileByTime: a pause between two files', async () => {
  const clock = new ManualClock();
  const { context } = makeContext(new SimulatedFileSystem(), '/store');
  const settings = { storePath: '/store/commitlog', mappedFileSize: FILE_SIZE };
  const queue = new MappedFileQueue({ ...context, clock }, { ...settings, engine: createMappedFileEngine(context) });
  await queue.load();
  while (queue.mappedFiles.length < 4) await append(queue, 30_000);
  await flushAll(queue);
  const deleting = queue.deleteExpiredFileByTime(0, 10, 100, true);
  await clock.advance(0);
  assert.equal(queue.minOffset, FILE_SIZE);
  await clock.advance(99);
  assert.equal(queue.minOffset, FILE_SIZE);
  await clock.advance(1);
  assert.equal(queue.minOffset, 2 * FILE_SIZE);
  await clock.advance(100);
  assert.equal(await deleting, 3);
  await queue.shutdown();
});

test('a held file is deleted by force after its time, with a line; its holder does no harm', async () => {
  const clock = new ManualClock();
  const fileSystem = new SimulatedFileSystem();
  const { context, logger } = makeContext(fileSystem, '/store', { destroyMapedFileIntervalForcibly: 5000 });
  const queue = new MappedFileQueue(
    { ...context, clock },
    { storePath: '/store/commitlog', mappedFileSize: FILE_SIZE, engine: createMappedFileEngine(context) },
  );
  await queue.load();
  while (queue.mappedFiles.length < 2) await append(queue, 30_000);
  await flushAll(queue);
  const first = queue.getFirstMappedFile()!;
  first.hold();
  const deleting = queue.deleteExpiredFileByTime(0, 10, 0, true);
  await clock.advance(4999);
  assert.equal(queue.getFirstMappedFile(), first, 'still there');
  assert.equal(queue.minOffset, FILE_SIZE, 'and no part of the log any more');
  await clock.advance(1);
  assert.equal(await deleting, 1);
  assert.match(logger.lines.at(-1)!.message, /still held/);
  first.release();
  assert.equal(clock.timerCount, 0);
  await queue.shutdown();
});

test('deleteExpiredFileByTime: when a removed file’s name may still be on the disk, no other one is removed', async () => {
  const fileSystem = new SimulatedFileSystem();
  const { context } = makeContext(fileSystem, '/store');
  const settings = { storePath: '/store/commitlog', mappedFileSize: FILE_SIZE };
  const queue = new MappedFileQueue(context, { ...settings, engine: createMappedFileEngine(context) });
  await queue.load();
  while (queue.mappedFiles.length < 5) await append(queue, 30_000);
  await flushAll(queue);
  fileSystem.inject({ operation: 'syncDirectory', path: /commitlog$/, code: 'EIO' });
  await assert.rejects(queue.deleteExpiredFileByTime(0, 10, 0, true), { code: 'EIO' });
  assert.equal(await queue.deleteExpiredFileByTime(0, 10, 0, true), 0);
  for (let seed = 1; seed <= 20; seed++) {
    // Whatever a power cut brings back, the files are without a gap.
    const left = makeContext(fileSystem.crash(seed), '/store').context;
    const again = new MappedFileQueue(left, { ...settings, engine: createMappedFileEngine(left) });
    await again.load();
    await again.shutdown();
  }
  await queue.shutdown();
});

test('deleteExpiredFileByTime: no descriptor to sync a removal with: it is synced before the next file goes, and files go on going', async () => {
  const fileSystem = new SimulatedFileSystem();
  const { context } = makeContext(fileSystem, '/store');
  const settings = { storePath: '/store/commitlog', mappedFileSize: FILE_SIZE };
  const queue = new MappedFileQueue(context, { ...settings, engine: createMappedFileEngine(context) });
  await queue.load();
  while (queue.mappedFiles.length < 5) await append(queue, 30_000);
  await flushAll(queue);
  fileSystem.inject({ operation: 'syncDirectory', path: /commitlog$/, code: 'EMFILE', times: 2 });
  await assert.rejects(queue.deleteExpiredFileByTime(0, 10, 0, true), { code: 'EMFILE' });
  assert.equal(queue.durableMinOffset, 0);
  await assert.rejects(queue.deleteExpiredFileByTime(0, 10, 0, true), { code: 'EMFILE' });
  assert.equal(
    queue.getFirstMappedFile()!.fileFromOffset,
    FILE_SIZE,
    'no second file goes before the first is gone for good',
  );
  assert.equal(await queue.deleteExpiredFileByTime(0, 10, 0, true), 3);
  assert.equal(queue.durableMinOffset, 4 * FILE_SIZE);
  await queue.shutdown();
});

test('retryDeleteFirstFile: a removal that failed is tried again', async () => {
  const fileSystem = new SimulatedFileSystem();
  const { context } = makeContext(fileSystem, '/store');
  const queue = new MappedFileQueue(context, {
    storePath: '/store/commitlog',
    mappedFileSize: FILE_SIZE,
    engine: createMappedFileEngine(context),
  });
  await queue.load();
  while (queue.mappedFiles.length < 2) await append(queue, 30_000);
  await flushAll(queue);
  assert.equal(await queue.retryDeleteFirstFile(1000), false, 'nothing to retry');
  fileSystem.inject({ operation: 'remove', path: name(0), code: 'EPERM' });
  await assert.rejects(queue.deleteExpiredFileByTime(0, 10, 0, true), { code: 'EPERM' });
  assert.equal(queue.getFirstMappedFile()!.fileFromOffset, 0, 'still there');
  assert.equal(queue.minOffset, FILE_SIZE, 'and no part of the log any more');
  assert.equal(await queue.retryDeleteFirstFile(1000), true);
  assert.equal(queue.minOffset, FILE_SIZE);
  assert.equal(await fileSystem.stat(`/store/commitlog/${name(0)}`), undefined);
  await queue.shutdown();
});

test('deleteLastMappedFile: the log ends where the file before it ends, and goes on there', async (t) => {
  const log = await openLog(t);
  await fill(log, 2);
  await log.queue.deleteLastMappedFile();
  assert.deepEqual([log.queue.maxOffset, log.queue.flushedWhere], [FILE_SIZE, FILE_SIZE]);
  assert.equal(await append(log.queue, 100), FILE_SIZE);
});

test('shutdown removes a next file that was made and not used; destroy removes everything', async (t) => {
  const log = await openLog(t);
  await append(log.queue, FILE_SIZE / 2 + 10);
  log.queue.tryGetLastMappedFile();
  await log.queue.shutdown();
  assert.deepEqual(readdirSync(log.directory), [name(0)]);
  const again = await openLog(t, { directory: join(log.directory, '..') });
  await again.queue.destroy();
  assert.deepEqual(readdirSync(join(log.directory, '..')), []);
  assert.deepEqual([again.queue.maxOffset, again.queue.minOffset], [0, 0]);
});

test('many old files are read with few descriptors', async (t) => {
  const log = await openLog(t);
  await fill(log, 30);
  for (let file = 0; file < 29; file++) {
    assert.deepEqual(await log.queue.read(file * FILE_SIZE, 1000), patterned(file * FILE_SIZE, 1000));
  }
  assert.ok(log.queue.openFiles.openCount <= 10, `${log.queue.openFiles.openCount} descriptors`);
  const reads = Array.from({ length: 29 }, (_, file) => log.queue.read(file * FILE_SIZE + 7, 100));
  for (const [file, bytes] of (await Promise.all(reads)).entries()) {
    assert.deepEqual(bytes, patterned(file * FILE_SIZE + 7, 100));
  }
  assert.ok(log.queue.openFiles.openCount <= 10, `${log.queue.openFiles.openCount} descriptors`);
});

test('a file that lost its end is STORE_READ_FAILED with the numbers', async (t) => {
  const log = await openLog(t);
  await fill(log, 4);
  truncateSync(join(log.directory, name(0)), 5000);
  await assert.rejects(log.queue.read(4000, 2000), { code: 'STORE_READ_FAILED', message: /only 1000 bytes/ });
});

test('a disk without room above the floor refuses the next file before anything is made', async () => {
  const fileSystem = new SimulatedFileSystem();
  const { context } = makeContext(fileSystem, '/store', { diskFreeBytesMin: 1000 });
  const queue = new MappedFileQueue(context, {
    storePath: '/store/commitlog',
    mappedFileSize: FILE_SIZE,
    engine: createMappedFileEngine(context),
  });
  await queue.load();
  fileSystem.freeBytes = FILE_SIZE + 999;
  await assert.rejects(queue.whenNextFileReady(), { code: 'STORE_DISK_FULL' });
  assert.equal(fileSystem.freeBytes, FILE_SIZE + 999);
  assert.deepEqual(await fileSystem.list('/store/commitlog'), []);
  await queue.shutdown();
});

test('a power cut at any step of making a file leaves a log that loads', async (t) => {
  const steps = await stepsOfAllocation();
  for (let step = 0; step <= steps; step++) {
    for (let seed = 1; seed <= 8; seed++) {
      const fileSystem = new SimulatedFileSystem();
      const { context } = makeContext(fileSystem, '/store');
      const settings = { storePath: '/store/commitlog', mappedFileSize: FILE_SIZE };
      const queue = new MappedFileQueue(context, { ...settings, engine: createMappedFileEngine(context) });
      await queue.load();
      await append(queue, 1000);
      await queue.flush(0);
      // The directory of the store itself is the opener's to make durable.
      await fileSystem.syncDirectory('/');
      let calls = 0;
      fileSystem.intercept = () => {
        if (calls++ >= step) throw Object.assign(new Error('power cut'), { code: 'EIO' });
      };
      await append(queue, FILE_SIZE - 1000 - 8);
      queue.tryGetLastMappedFile();
      await queue.whenNextFileReady().catch(() => {});
      const left = fileSystem.crash(seed);
      const after = makeContext(left, '/store');
      const reopened = new MappedFileQueue(after.context, {
        ...settings,
        engine: createMappedFileEngine(after.context),
      });
      await reopened.load();
      assert.ok(reopened.mappedFiles.length >= 1, `step ${step}, seed ${seed}`);
      assert.deepEqual(await reopened.read(0, 1000), patterned(0, 1000), `step ${step}, seed ${seed}`);
    }
  }
  t.diagnostic(`${steps} steps, seeds 1 to 8 each`);
});

async function stepsOfAllocation(): Promise<number> {
  const fileSystem = new SimulatedFileSystem();
  const { context } = makeContext(fileSystem, '/store');
  const queue = new MappedFileQueue(context, {
    storePath: '/store/commitlog',
    mappedFileSize: FILE_SIZE,
    engine: createMappedFileEngine(context),
  });
  await queue.load();
  const before = fileSystem.operations.length;
  await lastFile(queue);
  const steps = fileSystem.operations.length - before;
  await queue.shutdown();
  return steps;
}

test('a file is not used before its length and its name are durable', async () => {
  const fileSystem = new SimulatedFileSystem();
  const { context } = makeContext(fileSystem, '/store');
  const settings = { storePath: '/store/commitlog', mappedFileSize: FILE_SIZE };
  const queue = new MappedFileQueue(context, { ...settings, engine: createMappedFileEngine(context) });
  await queue.load();
  await lastFile(queue);
  await fileSystem.syncDirectory('/');
  for (let seed = 1; seed <= 20; seed++) {
    const left = fileSystem.crash(seed);
    assert.equal((await left.stat(`/store/commitlog/${name(0)}`))?.size, FILE_SIZE, `seed ${seed}`);
  }
  await queue.shutdown();
});

test('what a flush promised survives any power cut; bytes of later writes may or may not', async () => {
  const fileSystem = new SimulatedFileSystem();
  const { context } = makeContext(fileSystem, '/store');
  const settings = { storePath: '/store/commitlog', mappedFileSize: FILE_SIZE };
  const queue = new MappedFileQueue(context, { ...settings, engine: createMappedFileEngine(context) });
  await queue.load();
  await append(queue, 5000);
  await queue.flush(0);
  await fileSystem.syncDirectory('/');
  await append(queue, 5000);
  await queue.commit(0);
  const tails = new Set<string>();
  for (let seed = 1; seed <= 20; seed++) {
    const left = fileSystem.crash(seed);
    const file = await left.open(`/store/commitlog/${name(0)}`, 'read');
    const bytes = Buffer.alloc(10_000);
    await file.read(bytes, 0);
    assert.deepEqual(bytes.subarray(0, 5000), patterned(0, 5000), `seed ${seed}`);
    tails.add(bytes.subarray(5000).toString('base64'));
  }
  assert.ok(tails.size > 1, 'the simulation does lose something');
  await queue.shutdown();
});
