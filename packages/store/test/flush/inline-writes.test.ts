import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InlineWrites } from '../../src/flush/inline-writes.ts';

/** Writes that took `ms` each, as soon as they are allowed; how long after its end each one let none be made. */
function pausesAfter(writes: InlineWrites, ms: number, count: number, from = 0): number[] {
  const pauses: number[] = [];
  for (let now = from; pauses.length < count; ) {
    writes.made(now, now + ms);
    now += ms;
    const ended = now;
    while (writes.isPaused(now)) now += 0.5;
    pauses.push(now - ended);
  }
  return pauses;
}

test('inline writes: fast ones are followed by none that waits', () => {
  assert.deepEqual(pausesAfter(new InlineWrites(), 1, 5), [0, 0, 0, 0, 0]);
});

test('inline writes: a process that was put aside once loses milliseconds, not a second', () => {
  const writes = new InlineWrites();
  assert.deepEqual(pausesAfter(writes, 2, 1), [32]);
  pausesAfter(writes, 0.02, 64, 1_000);
  assert.deepEqual(pausesAfter(writes, 2, 1, 2_000), [32], 'long after the last one it is the first again');
});

test('inline writes: a disk that is slow again and again is left to the lane, up to a second each time', () => {
  assert.deepEqual(pausesAfter(new InlineWrites(), 2, 7), [32, 64, 128, 256, 512, 1_000, 1_000]);
  const writes = new InlineWrites();
  pausesAfter(writes, 2, 1);
  pausesAfter(writes, 0.02, 63, 1_000);
  assert.deepEqual(pausesAfter(writes, 2, 1, 2_000), [64], 'too few fast ones in between');
});

test('inline writes: one that took long is followed by a second at once', () => {
  assert.deepEqual(pausesAfter(new InlineWrites(), 300, 2), [1_000, 1_000]);
  assert.deepEqual(pausesAfter(new InlineWrites(), 1e9, 1), [1_000]);
});
