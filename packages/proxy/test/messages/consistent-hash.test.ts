import assert from 'node:assert/strict';
import { test } from 'node:test';
import { queueOfGroup } from '../../src/messages/consistent-hash.ts';

test('consistent hash: the queues that Guava 31 names', () => {
  const counts = [1, 2, 4, 8, 16, 1_024];
  for (const [group, queues] of Object.entries({
    '': [0, 0, 0, 0, 0, 0],
    a: [0, 0, 0, 0, 0, 346],
    'group-1': [0, 1, 1, 7, 15, 36],
    'order-4711': [0, 0, 3, 3, 3, 400],
    éß: [0, 1, 1, 1, 13, 108],
    zzzzzzzzzzzz: [0, 0, 3, 3, 3, 220],
    // The hash of this one is the smallest int.
    polygenelubricants: [0, 1, 2, 2, 2, 185],
  })) {
    assert.deepEqual(
      counts.map((count) => queueOfGroup(group, count)),
      queues,
      group,
    );
  }
});
