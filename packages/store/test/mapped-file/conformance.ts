/** One suite for every write engine, run through a factory (conformance.test.ts). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { StoreError } from '../../src/base/errors.ts';
import type { IoLane } from '../../src/io/io-lane.ts';
import { append, FILE_SIZE, flushAll, type Log, type LogSettings, lastFile, openLog, patterned } from './harness.ts';

export interface EngineUnderTest {
  name: string;
  /** Why it cannot run here. */
  skip?: string | undefined;
  settings: () => LogSettings;
  /** Bytes can be read before they are written (all but the transient pool). */
  readsUncommitted: boolean;
  /** Memory serves readers at the tail. */
  hasHotTail: boolean;
  /** A byte is written as soon as it is appended (mmap). */
  writtenAtOnce: boolean;
}

const errno = (code: string): Error => Object.assign(new Error(`${code}: injected`), { code });

export function conformance(engine: EngineUnderTest): void {
  const run = (name: string, body: (log: Log) => Promise<void>, config: LogSettings['config'] = {}): void => {
    const options = engine.skip === undefined ? {} : { skip: engine.skip };
    test(`${engine.name}: ${name}`, options, async (t) => {
      const settings = engine.settings();
      const lane: IoLane | undefined = settings.lane;
      if (lane !== undefined) cleanUp(t, () => lane.close());
      await body(await openLog(t, { ...settings, config: { ...settings.config, ...config } }));
    });
  };

  run('append moves wrotePosition, commit the written and flush the flushed position', async ({ queue }) => {
    await append(queue, 1000);
    const file = queue.getLastMappedFile()!;
    assert.equal(file.wrotePosition, 1000);
    assert.equal(file.committedPosition, engine.writtenAtOnce ? 1000 : 0);
    assert.equal(file.flushedPosition, 0);
    assert.equal(queue.maxOffset, 1000);
    assert.equal(await queue.commit(0), false, 'commit advanced');
    assert.equal(queue.committedWhere, 1000);
    assert.equal(queue.flushedWhere, 0, 'written is not on disk');
    assert.equal(await queue.commit(0), true, 'nothing left to commit');
    assert.equal(await queue.flush(0), false, 'flush advanced');
    assert.equal(file.flushedPosition, 1000);
    assert.equal(queue.flushedWhere, 1000);
    assert.equal(await queue.flush(0), true, 'nothing left to flush');
    assert.equal(queue.storeTimestamp, 1, 'of the newest record flushed');
  });

  run('flush alone commits what is appended', async ({ queue }) => {
    await append(queue, 500);
    await queue.flush(0);
    assert.deepEqual([queue.flushedWhere, queue.committedWhere, queue.maxOffset], [500, 500, 500]);
  });

  run('what is read equals what was appended, in memory, written and flushed', async ({ queue }) => {
    const offset = await append(queue, 3000);
    if (engine.readsUncommitted) {
      assert.deepEqual(await queue.read(offset + 10, 200), patterned(offset + 10, 200), 'in memory');
    } else {
      await assert.rejects(queue.read(offset, 3000), { code: 'STORE_OFFSET_OUT_OF_RANGE' });
      assert.equal(queue.selectHot(offset, 3000), undefined, 'not written, not readable');
      assert.equal(queue.readableOffset, 0);
    }
    await queue.commit(0);
    assert.deepEqual(await queue.read(offset, 3000), patterned(offset, 3000), 'written');
    assert.equal(queue.readableOffset, 3000);
    const hot = queue.selectHot(offset, 3000);
    assert.equal(hot !== undefined, engine.hasHotTail);
    if (hot !== undefined) assert.deepEqual(Buffer.from(hot), patterned(offset, 3000));
    await queue.flush(0);
    assert.deepEqual(await queue.read(offset, 3000), patterned(offset, 3000), 'flushed');
    await assert.rejects(queue.read(offset, 3001), { code: 'STORE_OFFSET_OUT_OF_RANGE' });
  });

  run('a read across written and unwritten bytes returns both', async ({ queue }) => {
    await append(queue, 5000);
    await queue.commit(0);
    await append(queue, 5000);
    if (!engine.readsUncommitted) await queue.commit(0);
    assert.deepEqual(await queue.read(1000, 8000), patterned(1000, 8000));
  });

  run('records larger and smaller than a buffer keep their order and bytes', async ({ queue }) => {
    const sizes = [100, 70_000, 64, 66_000, 4096, 1];
    const offsets: number[] = [];
    for (const size of sizes) offsets.push(await append(queue, size));
    await flushAll(queue);
    for (const [index, size] of sizes.entries()) {
      assert.deepEqual(await queue.read(offsets[index]!, size), patterned(offsets[index]!, size), `record of ${size}`);
    }
  });

  run('a full file is closed by its BLANK and the next record starts the next file', async ({ queue }) => {
    const first: number[] = [];
    while (queue.mappedFiles.length < 2) first.push(await append(queue, 30_000));
    const last = first.at(-1)!;
    assert.equal(last, FILE_SIZE, 'at the start of the second file');
    const full = queue.findMappedFileByOffset(0)!;
    assert.equal(full.isFull, true);
    assert.equal(full.wrotePosition, FILE_SIZE);
    assert.equal(await queue.flush(0), false);
    assert.equal(queue.flushedWhere, FILE_SIZE, 'a flush covers one file');
    assert.equal(await queue.flush(0), false);
    assert.equal(queue.flushedWhere, FILE_SIZE + 30_000);
    assert.equal(await queue.flush(0), true);
    const blank = first.at(-2)! + 30_000;
    assert.deepEqual(await queue.read(blank, 8), Buffer.alloc(8, 0xee));
    assert.deepEqual(await queue.read(blank + 8, 100), Buffer.alloc(100), 'what follows the marker is left alone');
    for (const offset of first) assert.deepEqual(await queue.read(offset, 30_000), patterned(offset, 30_000));
  });

  run('more than all buffers hold goes through several files without loss', async ({ queue }) => {
    const offsets: number[] = [];
    for (let bytes = 0; bytes < 6 * FILE_SIZE; bytes += 7000) offsets.push(await append(queue, 7000));
    await flushAll(queue);
    assert.equal(queue.flushedWhere, queue.maxOffset);
    for (const offset of offsets) assert.deepEqual(await queue.read(offset, 7000), patterned(offset, 7000));
  });

  run('page predicates count pages of 4096 bytes, and a full file always passes', async ({ queue }) => {
    await append(queue, 4095 + 3 * 4096);
    const file = queue.getLastMappedFile()!;
    if (!engine.writtenAtOnce) {
      assert.equal(file.isAbleToCommit(4), false);
      assert.equal(await queue.commit(4), true, 'three pages are not four');
    }
    assert.equal(file.isAbleToFlush(4), false);
    assert.equal(await queue.flush(4), true);
    assert.equal(queue.flushedWhere, 0);
    assert.equal(file.isAbleToFlush(0), true);
    await append(queue, 1);
    if (!engine.writtenAtOnce) assert.equal(await queue.commit(4), false);
    assert.equal(file.isAbleToFlush(4), true);
    assert.equal(await queue.flush(4), false);
    assert.equal(queue.flushedWhere, 4 * 4096);
    await append(queue, 10);
    assert.equal(file.isAbleToFlush(1), false, 'ten bytes are no page');
    await lastFile(queue);
    assert.equal(file.reserve(8), true);
    file.advance(8, true);
    await queue.commit(0);
    assert.equal(file.isAbleToFlush(1_000_000), true, 'a full file');
  });

  run('a flush under way covers only what was appended before it began', async ({ queue, faults }) => {
    await append(queue, 1000);
    // Somebody waits for written bytes, so that the flush keeps its write apart from its force.
    await queue.commit(0);
    let release = (): void => {};
    const entered = new Promise<void>((resolve) => {
      faults.hook = (operation) => {
        if (operation !== 'sync') return;
        faults.hook = () => {};
        resolve();
        return new Promise<void>((go) => {
          release = go;
        });
      };
    });
    const flushing = queue.flush(0);
    await entered;
    await append(queue, 500);
    await queue.commit(0);
    assert.equal(queue.committedWhere, 1500, 'a write does not wait for a running sync');
    assert.equal(queue.flushedWhere, 0);
    const second = queue.flush(0);
    let syncs = 0;
    faults.hook = (operation) => {
      if (operation === 'sync') syncs++;
    };
    release();
    await flushing;
    assert.equal(queue.flushedWhere, 1000);
    await second;
    assert.equal(queue.flushedWhere, 1500);
    assert.equal(syncs, 1, 'who asked during the flush got one of its own');
  });

  run('a flush in one call covers no more than it wrote', async ({ queue, faults }) => {
    await append(queue, 1000);
    let release = (): void => {};
    const entered = new Promise<void>((resolve) => {
      faults.hook = (operation) => {
        if (operation !== 'sync') return;
        faults.hook = () => {};
        resolve();
        return new Promise<void>((go) => {
          release = go;
        });
      };
    });
    const flushing = queue.flush(0);
    await entered;
    await append(queue, 500);
    const second = queue.flush(0);
    assert.equal(queue.flushedWhere, 0);
    release();
    await flushing;
    assert.equal(queue.flushedWhere, 1000);
    await second;
    assert.deepEqual([queue.flushedWhere, queue.committedWhere], [1500, 1500]);
    assert.deepEqual(await queue.read(0, 1500), patterned(0, 1500));
  });

  run('a failed sync is for good: same cause for everybody, no further call', async ({ queue, faults, context }) => {
    await append(queue, 1000);
    let syncs = 0;
    let writes = 0;
    faults.hook = (operation) => {
      if (operation === 'write') writes++;
      if (operation === 'sync') {
        syncs++;
        throw errno('EIO');
      }
    };
    const [first, second] = await Promise.allSettled([queue.flush(0), queue.flush(0)]);
    assert.equal(first.status, 'rejected');
    assert.equal(second.status, 'rejected');
    const cause = (first as PromiseRejectedResult).reason as StoreError;
    assert.ok(cause instanceof StoreError);
    assert.equal(cause.code, 'STORE_FLUSH_FAILED');
    assert.equal(cause.details.errno, 'EIO');
    assert.equal(cause.details.offset, 0);
    assert.match(String(cause.details.file), /0{20}$/);
    assert.equal((second as PromiseRejectedResult).reason, cause);
    assert.equal(context.failure, cause);
    await assert.rejects(queue.flush(0), (error) => error === cause);
    await assert.rejects(queue.commit(0), (error) => error === cause);
    assert.equal(queue.flushedWhere, 0);
    assert.equal(syncs, 1, 'the disk is not asked again');
    assert.ok(writes <= 1);
  });

  if (!engine.writtenAtOnce) {
    run('a failed write is for good', async ({ queue, faults, context }) => {
      await append(queue, 1000);
      let calls = 0;
      faults.hook = () => {
        calls++;
        throw errno('EIO');
      };
      await assert.rejects(queue.commit(0), { code: 'STORE_WRITE_FAILED' });
      faults.hook = () => void calls++;
      await assert.rejects(queue.commit(0), (error) => error === context.failure);
      await assert.rejects(queue.flush(0), (error) => error === context.failure);
      assert.equal(calls, 1);
      assert.deepEqual([queue.flushedWhere, queue.committedWhere], [0, 0]);
    });

    run('a write that waits behind one that fails is not made', async ({ queue, faults, context }) => {
      await append(queue, 1000);
      let fail = (_error: Error): void => {};
      let writes = 0;
      const entered = new Promise<void>((resolve) => {
        faults.hook = (operation) => {
          if (operation !== 'write') return;
          writes++;
          resolve();
          return new Promise<void>((_go, reject) => {
            fail = reject;
          });
        };
      });
      const first = queue.commit(0);
      await entered;
      await append(queue, 1000);
      const file = queue.getLastMappedFile()!;
      const others = [queue.commit(0), queue.flush(0), file.commit(0), file.flush(0)];
      fail(errno('EIO'));
      for (const outcome of await Promise.allSettled([first, ...others])) {
        assert.equal(outcome.status, 'rejected');
        assert.equal((outcome as PromiseRejectedResult).reason, context.failure);
      }
      assert.equal(writes, 1);
    });

    run('a disk that is full at a write is STORE_DISK_FULL and for good', async ({ queue, faults }) => {
      await append(queue, 1000);
      faults.hook = (operation) => {
        if (operation === 'write') throw errno('ENOSPC');
      };
      await assert.rejects(queue.flush(0), { code: 'STORE_DISK_FULL' });
      faults.hook = () => {};
      await assert.rejects(queue.flush(0), { code: 'STORE_DISK_FULL' });
    });
  }

  run('no space for the next file: refused, nothing left behind, fine once space is back', async (log) => {
    const { queue, faults, context, directory } = log;
    let full = true;
    faults.hook = (operation) => {
      if (operation === 'allocate' && full) throw errno('ENOSPC');
    };
    assert.equal(queue.tryGetLastMappedFile(), undefined);
    await assert.rejects(queue.whenNextFileReady(), { code: 'STORE_DISK_FULL' });
    assert.equal(context.failure, undefined, 'not fatal');
    assert.deepEqual(await context.fileSystem.list(directory), []);
    full = false;
    await assert.rejects(queue.whenNextFileReady(), { code: 'STORE_DISK_FULL' }, 'asked again only a second later');
    log.passTime(1_001);
    await append(queue, 100);
    await flushAll(queue);
    assert.equal(queue.flushedWhere, 100);
  });

  run('the next file is made while this one fills, and its name is a multiple of the size', async (log) => {
    const { queue, context, directory } = log;
    await append(queue, FILE_SIZE / 2);
    assert.ok(queue.tryGetLastMappedFile() !== undefined);
    await queue.whenNextFileReady();
    while (!(await context.fileSystem.list(directory)).includes(`${FILE_SIZE}`.padStart(20, '0'))) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(queue.mappedFiles.length, 1, 'not part of the log before it is used');
  });

  run('restart sees the same bytes, and appending goes on where the log ended', async (log) => {
    const offsets: number[] = [];
    for (let bytes = 0; bytes < 2.5 * FILE_SIZE; bytes += 9000) offsets.push(await append(log.queue, 9000));
    await flushAll(log.queue);
    const end = log.queue.maxOffset;
    const again = await log.reopen(end);
    assert.equal(again.queue.maxOffset, end);
    assert.equal(again.queue.flushedWhere, end);
    for (const offset of offsets) assert.deepEqual(await again.queue.read(offset, 9000), patterned(offset, 9000));
    assert.equal(await append(again.queue, 200), end);
    await flushAll(again.queue);
    const third = await again.reopen(end + 200);
    assert.deepEqual(await third.queue.read(end, 200), patterned(end, 200));
  });

  run('truncate zeroes the tail durably and removes later files', async (log) => {
    for (let bytes = 0; bytes < 2.5 * FILE_SIZE; bytes += 9000) await append(log.queue, 9000);
    await flushAll(log.queue);
    const end = FILE_SIZE + 9000 * 3 + 17;
    const { queue, context, directory } = await log.reopen(end);
    assert.equal(queue.maxOffset, end);
    assert.deepEqual(
      (await context.fileSystem.list(directory)).filter((name) => /^\d+$/.test(name)),
      ['0'.padStart(20, '0'), `${FILE_SIZE}`.padStart(20, '0')],
    );
    const file = await context.fileSystem.open(queue.getLastMappedFile()!.fileName, 'read');
    const tail = Buffer.alloc(FILE_SIZE, 1);
    assert.equal(await file.read(tail, 0), FILE_SIZE, 'the file keeps its size');
    await file.close();
    const position = end - FILE_SIZE;
    assert.deepEqual(tail.subarray(0, position), patterned(FILE_SIZE, position));
    assert.deepEqual(tail.subarray(position), Buffer.alloc(FILE_SIZE - position));
    assert.equal(await append(queue, 100), end);
    await flushAll(queue);
    assert.deepEqual(await queue.read(end - 50, 150), patterned(end - 50, 150));
  });

  run('destroy waits for who holds the file', async ({ queue, context }) => {
    for (let bytes = 0; bytes < 1.5 * FILE_SIZE; bytes += 9000) await append(queue, 9000);
    await flushAll(queue);
    const first = queue.getFirstMappedFile()!;
    assert.equal(first.hold(), true);
    let deleted = false;
    const deleting = queue.deleteExpiredFileByTime(0, 10, 0, true).then((count) => {
      deleted = true;
      return count;
    });
    await context.fileSystem.list('/');
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(deleted, false);
    assert.ok(await context.fileSystem.stat(first.fileName), 'still there');
    assert.equal(first.hold(), false, 'nobody new may hold it');
    first.release();
    assert.equal(await deleting, 1);
    assert.equal(await context.fileSystem.stat(first.fileName), undefined);
    assert.equal(queue.minOffset, FILE_SIZE);
    assert.equal(queue.findMappedFileByOffset(0), undefined);
    assert.equal(queue.findMappedFileByOffset(0, true)?.fileFromOffset, FILE_SIZE);
    await assert.rejects(queue.read(0, 10), { code: 'STORE_OFFSET_OUT_OF_RANGE' });
  });
}
