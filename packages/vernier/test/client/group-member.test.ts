import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { allocate } from '../../src/client/group-member.ts';

const queues = (count: number) =>
  Array.from({ length: count }, (_, queueId) => ({ topic: 't', brokerName: 'b', queueId }));
const ids = (taken: readonly { queueId: number }[]): number[] => taken.map(({ queueId }) => queueId);

test('allocate: runs of queues, the longer ones first, as the Java client computes them', () => {
  const members = ['c', 'a', 'b'];
  assert.deepEqual(
    members.map((self) => ids(allocate(queues(8), members, self))),
    [
      [6, 7],
      [0, 1, 2],
      [3, 4, 5],
    ],
  );
  assert.deepEqual(ids(allocate(queues(2), members, 'c')), []);
});

test('allocate: who is not in the list gets nothing', () => {
  assert.deepEqual(allocate(queues(8), ['a'], 'b'), []);
  assert.deepEqual(allocate(queues(8), [], 'b'), []);
});

test('allocate: every queue belongs to exactly one member, whatever the numbers', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 64 }), fc.integer({ min: 1, max: 20 }), (queueCount, memberCount) => {
      const members = Array.from({ length: memberCount }, (_, index) => `member-${index}`);
      const taken = members.flatMap((self) => ids(allocate(queues(queueCount), members, self)));
      assert.deepEqual(
        taken.sort((a, b) => a - b),
        ids(queues(queueCount)),
      );
      const sizes = members.map((self) => allocate(queues(queueCount), members, self).length);
      assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1);
    }),
  );
});
