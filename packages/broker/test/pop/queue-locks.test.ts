import assert from 'node:assert/strict';
import test from 'node:test';
import { QueueLocks } from '../../src/pop/queue-locks.ts';

test('locks: one at a time, in turn', async () => {
  const locks = new QueueLocks();
  const unlock = locks.tryLock('q');
  assert.ok(unlock !== undefined);
  assert.equal(locks.tryLock('q'), undefined);
  assert.ok(locks.tryLock('other') !== undefined);
  const order: string[] = [];
  const runs = ['a', 'b'].map((name) => locks.run('q', () => void order.push(name)));
  await Promise.resolve();
  assert.deepEqual(order, []);
  unlock();
  unlock();
  await Promise.all(runs);
  assert.deepEqual(order, ['a', 'b']);
  assert.ok(locks.tryLock('q') !== undefined);
});

test('locks: a run that fails gives its lock back', async () => {
  const locks = new QueueLocks();
  await assert.rejects(
    locks.run('q', () => Promise.reject(new Error('failed'))),
    /failed/,
  );
  assert.ok(locks.tryLock('q') !== undefined);
});
