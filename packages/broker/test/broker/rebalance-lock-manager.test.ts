import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RebalanceLockManager } from '../../src/broker/rebalance-lock-manager.ts';

const queue = (queueId: number) => ({ topic: 'T', brokerName: 'b', queueId });

test('a lease ends 60 s after its last renewal, and only then can another take the queue', () => {
  let now = 0;
  const locks = new RebalanceLockManager(60_000, () => now);
  assert.equal(locks.isLockAllExpired('g'), true);
  assert.deepEqual(locks.lock('g', 'a', [queue(0), queue(1)]), [queue(0), queue(1)]);
  assert.equal(locks.isLockAllExpired('g'), false);
  now = 50_000;
  assert.deepEqual(locks.lock('g', 'a', [queue(0)]), [queue(0)]);
  now = 60_000;
  assert.deepEqual(locks.lock('g', 'b', [queue(0), queue(1)]), []);
  now = 60_001;
  assert.deepEqual(locks.lock('g', 'b', [queue(0), queue(1)]), [queue(1)]);
  assert.deepEqual(locks.lock('h', 'b', [queue(0)]), [queue(0)], 'groups do not share locks');
  now = 200_000;
  assert.equal(locks.isLockAllExpired('g'), true);
});
