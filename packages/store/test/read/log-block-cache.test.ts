import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MappedFileQueue } from '../../src/mapped-file/mapped-file-queue.ts';
import { LogBlockCache } from '../../src/read/log-block-cache.ts';

const BLOCK = 256 * 1024;
/** Files of two and a half blocks. */
const FILE = 640 * 1024;

const byteAt = (offset: number): number => (offset * 31 + (offset >> 8)) & 0xff;

/** A log of three files whose reads the test counts, holds back and fails. */
function fakeLog() {
  const reads: number[] = [];
  const held: (() => void)[] = [];
  const state = { reads, hold: false, fail: false, committedWhere: 3 * FILE, release: () => {} };
  state.release = () => {
    for (const go of held.splice(0)) go();
  };
  const queue = {
    mappedFileSize: FILE,
    get committedWhere() {
      return state.committedWhere;
    },
    async read(offset: number, size: number, target: Buffer): Promise<Buffer> {
      reads.push(offset);
      if (state.hold) await new Promise<void>((resolve) => held.push(resolve));
      else await null;
      if (state.fail) throw new Error('EIO');
      for (let i = 0; i < size; i++) target[i] = byteAt(offset + i);
      return target;
    },
  };
  return { ...state, state, queue: queue as unknown as MappedFileQueue };
}

const bytes = (offset: number, size: number): Buffer =>
  Buffer.from(Array.from({ length: size }, (_, i) => byteAt(offset + i)));

test('block cache: blocks are read once, do not cross files, and the next one is read ahead', async () => {
  const { queue, reads } = fakeLog();
  const cache = new LogBlockCache(queue, 8);
  assert.equal(cache.blockEnd(cache.blockStart(FILE - 1)), FILE, 'the last block of a file is shorter');
  const target = Buffer.alloc(100);
  await cache.copy(1_000, 100, target, 0);
  assert.ok(target.equals(bytes(1_000, 100)));
  assert.deepEqual(reads, [0, BLOCK]);
  const inHand = cache.find(2_000, 100)!;
  assert.ok(inHand.bytes.subarray(2_000 - inHand.start, 2_100 - inHand.start).equals(bytes(2_000, 100)));
  assert.equal(cache.find(BLOCK - 50, 100), undefined, 'not all of it lies in the block');
  assert.equal(cache.find(5 * BLOCK, 100), undefined, 'nobody read that block');
  await cache.copy(BLOCK, 100, target, 0);
  assert.deepEqual(reads, [0, BLOCK, 2 * BLOCK], 'the block read ahead is there, and the one after it is asked for');
  await cache.copy(FILE - 10, 10, target, 90);
  assert.ok(target.subarray(90).equals(bytes(FILE - 10, 10)));
});

test('block cache: readers that come together share one read', async () => {
  const { queue, reads, state } = fakeLog();
  state.committedWhere = BLOCK;
  const cache = new LogBlockCache(queue, 8);
  const targets = Array.from({ length: 10 }, () => Buffer.alloc(10));
  await Promise.all(targets.map((target, i) => cache.copy(i * 10, 10, target, 0)));
  assert.deepEqual(reads, [0], 'and nothing is read ahead that is not written to its end');
  for (const [i, target] of targets.entries()) assert.ok(target.equals(bytes(i * 10, 10)));
});

test('block cache: memory of a block that somebody waits for is not used again', async () => {
  const { queue, state } = fakeLog();
  const cache = new LogBlockCache(queue, 2);
  state.hold = true;
  const early = Buffer.alloc(50);
  const waiting = cache.copy(0, 50, early, 0);
  // Both blocks of the capacity are under way; further ones push them out of the cache while they are read.
  const later = [2, 3, 4].map((block) => cache.copy(FILE + block * 1_000, 50, Buffer.alloc(50), 0));
  state.hold = false;
  state.release();
  await Promise.all([waiting, ...later]);
  assert.ok(early.equals(bytes(0, 50)));
  for (let start = 0; start < 3 * FILE; start += 100_000) {
    const target = Buffer.alloc(64);
    await cache.copy(start, 64, target, 0);
    assert.ok(target.equals(bytes(start, 64)), `offset ${start}`);
  }
});

test('block cache: a failed read is reported to who waits, and tried again by the next', async () => {
  const { queue, state } = fakeLog();
  const cache = new LogBlockCache(queue, 4);
  state.fail = true;
  const target = Buffer.alloc(10);
  await assert.rejects(cache.copy(0, 10, target, 0), /EIO/);
  state.fail = false;
  await cache.copy(0, 10, target, 0);
  assert.ok(target.equals(bytes(0, 10)));
});

test('block cache: what is forgotten is read anew, the blocks beside it are not', async () => {
  const { queue, reads } = fakeLog();
  const cache = new LogBlockCache(queue, 8);
  const target = Buffer.alloc(100);
  await cache.copy(0, 100, target, 0);
  await cache.copy(BLOCK, 100, target, 0);
  cache.forget(BLOCK - 1, BLOCK);
  reads.length = 0;
  await cache.copy(BLOCK, 100, target, 0);
  assert.deepEqual(reads, []);
  await cache.copy(0, 100, target, 0);
  assert.deepEqual(reads, [0]);
  cache.forget(BLOCK - 1, BLOCK + 1);
  assert.equal(cache.find(0, 10), undefined);
  assert.equal(cache.find(BLOCK, 10), undefined);
});
