import assert from 'node:assert/strict';
import test from 'node:test';
import { allocateForPop, averagely, byCircle, compareQueues } from '../../src/pop/allocate-queues.ts';

const queues = (count: number) =>
  Array.from({ length: count }, (_, queueId) => ({ topic: 'T', brokerName: 'b', queueId }));
const ids = (allocated: { queueId: number }[]): number[] => allocated.map(({ queueId }) => queueId);

test('allocation: averagely is RocketMQ’s, in blocks', () => {
  const members = ['a', 'b', 'c'];
  assert.deepEqual(
    members.map((id) => ids(averagely(id, queues(8), members))),
    [
      [0, 1, 2],
      [3, 4, 5],
      [6, 7],
    ],
  );
  assert.deepEqual(
    members.map((id) => ids(averagely(id, queues(2), members))),
    [[0], [1], []],
  );
  assert.deepEqual(averagely('x', queues(8), members), []);
});

test('allocation: by circle', () => {
  const members = ['a', 'b', 'c'];
  assert.deepEqual(
    members.map((id) => ids(byCircle(id, queues(5), members))),
    [[0, 3], [1, 4], [2]],
  );
  assert.deepEqual(byCircle('x', queues(8), members), []);
});

test('allocation: to pop, everybody has all queues, or those of the next members too', () => {
  const members = ['a', 'b', 'c', 'd'];
  assert.deepEqual(ids(allocateForPop(averagely, 'a', queues(2), members, -1)), [-1, -1]);
  assert.deepEqual(ids(allocateForPop(averagely, 'a', queues(2), members, 3)), [-1, -1]);
  assert.deepEqual(ids(allocateForPop(averagely, 'd', queues(8), members, 1)), [6, 7, 0, 1]);
  assert.deepEqual(ids(allocateForPop(averagely, 'd', queues(2), members, 1)), [1], 'more members than queues');
  assert.deepEqual(allocateForPop(averagely, 'x', queues(8), members, 1), []);
});

test('allocation: queues are sorted by topic, broker and number', () => {
  const one = { topic: 'T', brokerName: 'b', queueId: 10 };
  const sorted = [one, { ...one, queueId: 2 }, { ...one, brokerName: 'a' }, { ...one, topic: 'S' }].sort(compareQueues);
  assert.deepEqual(
    sorted.map(({ topic, brokerName, queueId }) => `${topic}${brokerName}${queueId}`),
    [...['Sb10', 'Ta10', 'Tb2', 'Tb10']],
  );
});
