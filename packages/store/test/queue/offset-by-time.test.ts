import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BoundaryType } from '../../src/base/types.ts';
import { offsetInQueueByTime } from '../../src/queue/offset-by-time.ts';
import { FILLER_UNIT, writeUnit } from '../../src/queue/unit.ts';

/** A queue whose entry n is a record at n × 100 with times[n]; undefined stands for filler. */
function search(
  times: (number | undefined)[],
  min: number,
  timestamp: number,
  boundary: BoundaryType,
): Promise<{ offset: number; reads: number }> {
  let reads = 0;
  const queue = {
    minOffsetInQueue: min,
    maxOffsetInQueue: times.length,
    read: async (offset: number) => {
      if (times[offset] === undefined) return FILLER_UNIT;
      const unit = Buffer.alloc(20);
      writeUnit(unit, 0, offset * 100, 100, 0);
      return unit;
    },
  };
  const timeOf = async (phyOffset: number, size: number): Promise<number> => {
    reads++;
    assert.equal(size, 100);
    return times[phyOffset / 100]!;
  };
  return offsetInQueueByTime(queue, timestamp, boundary, timeOf).then((offset) => ({ offset, reads }));
}

const times = [10, 10, 20, 20, 20, 40];
const table: [timestamp: number, boundary: BoundaryType, expected: number][] = [
  [20, 'LOWER', 2],
  [20, 'UPPER', 4],
  [30, 'LOWER', 5],
  [30, 'UPPER', 4],
  [5, 'LOWER', 0],
  [5, 'UPPER', 0],
  [50, 'LOWER', 6],
  [50, 'UPPER', 5],
];
for (const [timestamp, boundary, expected] of table) {
  test(`offset by time: ${timestamp} ${boundary} among ${times}`, async () => {
    assert.equal((await search(times, 0, timestamp, boundary)).offset, expected);
  });
}

test('offset by time: an empty queue answers its one place, 0 or where its next message goes', async () => {
  assert.equal((await search([], 0, 5, 'LOWER')).offset, 0);
  for (const boundary of ['LOWER', 'UPPER'] as const) assert.equal((await search([1, 1, 1], 3, 5, boundary)).offset, 3);
});

test('offset by time: equals a linear search, within [min, max], in log2(n) reads', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(30), { maxLength: 60 }),
      fc.nat(10),
      fc.nat(32),
      fc.constantFrom<BoundaryType>('LOWER', 'UPPER'),
      async (unsorted, gap, timestamp, boundary) => {
        const sorted = unsorted.toSorted((a, b) => a - b);
        const all = [...new Array<undefined>(gap).fill(undefined), ...sorted];
        const { offset, reads } = await search(all, gap, timestamp, boundary);
        let expected = gap;
        if (sorted.length > 0) {
          const count = sorted.filter((time) => (boundary === 'LOWER' ? time < timestamp : time <= timestamp)).length;
          expected = gap + (boundary === 'LOWER' ? count : Math.max(0, count - 1));
        }
        assert.equal(offset, expected);
        assert.ok(reads <= Math.ceil(Math.log2(sorted.length + 1)) + 1, `${reads} reads for ${sorted.length}`);
      },
    ),
  );
});

test('offset by time: records that are gone and filler count as older', async () => {
  assert.equal((await search([undefined, -1, -1, 10, 20], 0, 10, 'LOWER')).offset, 3);
  assert.equal((await search([undefined, -1, -1, 10, 20], 0, 10, 'UPPER')).offset, 3);
});

test('offset by time: with the clock set back in between, the place found is one of the queue', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(30), { maxLength: 40 }), fc.nat(10), fc.nat(32), async (times, gap, timestamp) => {
      const all = [...new Array<undefined>(gap).fill(undefined), ...times];
      for (const boundary of ['LOWER', 'UPPER'] as const) {
        const { offset } = await search(all, gap, timestamp, boundary);
        assert.ok(offset >= gap && offset <= all.length, `${offset} of ${gap} to ${all.length}`);
      }
    }),
  );
});
