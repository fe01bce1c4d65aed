import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RebalanceLockManager } from '../../src/clients/rebalance-lock-manager.ts';
import { roomy, tight } from '../budgets.ts';

const queue = (queueId: number) => ({ topic: 'T', brokerName: 'b', queueId });

test('a lease ends 60 s after its last renewal, and only then can another take the queue', () => {
  let now = 0;
  const locks = new RebalanceLockManager(60_000, () => now, roomy());
  assert.equal(locks.isConsumedInOrder('g'), false);
  assert.deepEqual(locks.lock('g', 'a', [queue(0), queue(1)]), [queue(0), queue(1)]);
  assert.equal(locks.isConsumedInOrder('g'), true);
  now = 50_000;
  assert.deepEqual(locks.lock('g', 'a', [queue(0)]), [queue(0)]);
  now = 60_000;
  assert.deepEqual(locks.lock('g', 'b', [queue(0), queue(1)]), []);
  now = 60_001;
  assert.deepEqual(locks.lock('g', 'b', [queue(0), queue(1)]), [queue(1)]);
  assert.deepEqual(locks.lock('h', 'b', [queue(0)]), [queue(0)], 'groups do not share locks');
  now = 200_000;
  assert.equal(locks.isConsumedInOrder('g'), false);
});

test('with a longer lease, only a lock that was renewed within 60 s says that a group consumes in order', () => {
  let now = 0;
  const locks = new RebalanceLockManager(3_600_000, () => now, roomy());
  locks.lock('g', 'a', [queue(0)]);
  now = 60_000;
  assert.equal(locks.isConsumedInOrder('g'), true);
  now = 60_001;
  assert.equal(locks.isConsumedInOrder('g'), false);
  assert.deepEqual(locks.lock('g', 'b', [queue(0)]), [], 'the queue is still a’s');
});

test('locks beyond the room for them are not held, and those whose lease is over make room', () => {
  let now = 0;
  const budget = tight(3_000);
  const locks = new RebalanceLockManager(60_000, () => now, budget);
  const many = Array.from({ length: 100 }, (_, queueId) => queue(queueId));
  const held = locks.lock('g', 'a', many).length;
  assert.ok(held > 3 && held < 20, `${held} held`);
  assert.deepEqual(locks.lock('other', 'a', [queue(0)]), []);
  assert.ok(budget.usedBytes <= 3_000);
  assert.equal(locks.lock('g', 'a', many).length, held, 'renewing takes no more');
  now = 60_001;
  assert.equal(locks.lock('other', 'b', [queue(0)]).length, 1, 'the leases of a client that is gone are over');
  locks.unlock('other', 'b', [queue(0)]);
  assert.equal(budget.usedBytes, 0);
  for (let i = 0; i < 1_000; i++)
    locks.lock(`made up ${i}`, 'a', [{ topic: 'x'.repeat(2_000), brokerName: '', queueId: 0 }]);
  assert.equal(budget.usedBytes, 0, 'a group without a lock is none');
});

test('locks: the same queue twice in one request is one lock, and names that look alike are not one queue', () => {
  const budget = tight(10_000);
  const locks = new RebalanceLockManager(60_000, () => 0, budget);
  locks.lock('g', 'a', [queue(0)]);
  const used = budget.usedBytes;
  assert.equal(locks.lock('g', 'a', [queue(0), queue(0)]).length, 2, 'the client asked for it twice');
  assert.equal(budget.usedBytes, used);
  const alike = [
    { topic: 'T', brokerName: 'b', queueId: 10 },
    { topic: 'T1', brokerName: 'b', queueId: 0 },
    { topic: 'T', brokerName: 'b1', queueId: 0 },
    { topic: 't', brokerName: 'b', queueId: 0 },
  ];
  assert.deepEqual(locks.lock('g', 'b', [queue(0), ...alike]), alike);
  locks.unlock('g', 'a', [queue(0), queue(0)]);
  locks.unlock('g', 'b', alike);
  assert.equal(budget.usedBytes, 0);
});

test('locks: a request for no queue, or of a client that holds none, leaves nothing', () => {
  const budget = tight(10_000);
  const locks = new RebalanceLockManager(60_000, () => 0, budget);
  assert.deepEqual(locks.lock('g', 'a', []), []);
  locks.unlock('g', 'a', [queue(0)]);
  assert.equal(budget.usedBytes, 0);
  locks.lock('g', 'a', [queue(0)]);
  locks.unlock('g', 'b', [queue(0)]);
  locks.unlock('h', 'a', [queue(0)]);
  assert.deepEqual(locks.lock('g', 'b', [queue(0)]), [], 'it is still a’s');
});

test('locks: whoever locks, unlocks and falls silent: one holder a queue, and the bytes are those of what is held', () => {
  const seed = Number(process.env.VERNIER_SEED ?? Math.floor(Math.random() * 2 ** 31));
  const step = fc.record({
    act: fc.constantFrom('lock', 'lock', 'unlock', 'time'),
    group: fc.constantFrom('g', 'h'),
    client: fc.constantFrom('a', 'bb', 'c'.repeat(40)),
    queueIds: fc.array(fc.nat(3), { maxLength: 4 }),
    ms: fc.nat(70_000),
  });
  const run = (steps: { act: string; group: string; client: string; queueIds: number[]; ms: number }[]): void => {
    let now = 0;
    const budget = tight(1_500);
    const locks = new RebalanceLockManager(60_000, () => now, budget);
    const holders = new Map<string, { client: string; at: number }>();
    for (const { act, group, client, queueIds, ms } of steps) {
      const queues = queueIds.map(queue);
      if (act === 'time') now += ms;
      else if (act === 'unlock') {
        locks.unlock(group, client, queues);
        for (const id of queueIds) {
          if (holders.get(`${group}${id}`)?.client === client) holders.delete(`${group}${id}`);
        }
      } else {
        for (const { queueId } of locks.lock(group, client, queues)) {
          const holder = holders.get(`${group}${queueId}`);
          const isFree = holder === undefined || holder.client === client || now - holder.at > 60_000;
          assert.ok(isFree, `queue ${queueId} of ${group} is ${holder?.client}’s, and ${client} got it`);
          holders.set(`${group}${queueId}`, { client, at: now });
        }
      }
      assert.ok(budget.usedBytes >= 0 && budget.usedBytes <= 1_500, `${budget.usedBytes} bytes`);
    }
    for (const group of ['g', 'h']) {
      for (const client of ['a', 'bb', 'c'.repeat(40)]) locks.unlock(group, client, [0, 1, 2, 3].map(queue));
    }
    assert.equal(budget.usedBytes, 0);
  };
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), run), { seed, numRuns: 300 });
});
