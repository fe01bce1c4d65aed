import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QueueOffsetOperator } from '../../src/queue/queue-offset-operator.ts';

test('queue offsets: each queue counts for itself from 0', () => {
  const offsets = new QueueOffsetOperator();
  assert.equal(offsets.currentOffset('T', 3), 0);
  offsets.increase('T', 3, 1);
  offsets.increase('T', 3, 5);
  offsets.increase('T', 0, 1);
  offsets.increase('U', 3, 2);
  assert.deepEqual(
    [
      offsets.currentOffset('T', 3),
      offsets.currentOffset('T', 0),
      offsets.currentOffset('T', 1),
      offsets.currentOffset('U', 3),
    ],
    [6, 1, 0, 2],
  );
});

test('queue offsets: recovered ends replace everything known before', () => {
  const offsets = new QueueOffsetOperator();
  offsets.increase('Gone', 0, 9);
  offsets.initialise([
    { topic: 'T', queueId: 0, maxOffsetInQueue: 7 },
    { topic: 'T', queueId: 2, maxOffsetInQueue: 2 ** 40 },
  ]);
  offsets.increase('T', 2, 1);
  assert.equal(offsets.currentOffset('Gone', 0), 0);
  assert.equal(offsets.currentOffset('T', 0), 7);
  assert.equal(offsets.currentOffset('T', 2), 2 ** 40 + 1);
});

test('queue offsets: a removed topic starts at 0, others go on', () => {
  const offsets = new QueueOffsetOperator();
  offsets.set('T', 0, 5);
  offsets.set('U', 0, 6);
  offsets.removeTopic('T');
  assert.equal(offsets.currentOffset('T', 0), 0);
  assert.equal(offsets.currentOffset('U', 0), 6);
});
