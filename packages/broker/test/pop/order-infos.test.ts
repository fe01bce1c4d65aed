import assert from 'node:assert/strict';
import test from 'node:test';
import { parseJavaJson } from '@vernier/remoting';
import { OrderInfos } from '../../src/pop/order-infos.ts';
import { roomy, tight } from '../budgets.ts';

const deps = { now: () => 1_000, changed: () => {}, putsOnDisk: () => Promise.resolve(true), isUsed: () => true };
const batch = {
  ...{ topic: 'T', group: 'g', queueId: 2, attemptId: 'one', popTime: 900, invisibleMs: 5_000 },
  queueOffsets: [10, 11, 13],
};

/** As RocketMQ 5 writes it (ConsumerOrderInfoManager, fastjson). */
const RocketMQ = `{
  "table":{"T@g":{2:{"a":"one","cm":2,"i":5000,"l":1000,"o":[10,1,3],"oc":{10:1},"ot":{13:7000},"popTime":900}}}
}`;

test('order infos: the file is RocketMQ’s, both ways', () => {
  const orders = new OrderInfos({ ...deps, budget: roomy() });
  orders.load(parseJavaJson(RocketMQ));
  const info = orders.get('T', 'g', 2);
  assert.deepEqual(info?.queueOffsets, [10, 11, 13]);
  assert.equal(info?.committed, 2n);
  assert.equal(info?.nextVisibleTimes.get(13), 7_000);
  assert.equal(orders.blockedUntil('T', 'g', 2, undefined, 0), 7_000);
  assert.equal([...orders.encode()].join('').replace(/\s/g, ''), RocketMQ.replace(/\s/g, ''));
  assert.deepEqual([...orders.recoveredOffsets()], [{ topic: 'T', group: 'g', queueId: 2, first: 10, next: 10 }]);
});

test('order infos: what cannot be in the file is left out', () => {
  const orders = new OrderInfos({ ...deps, budget: roomy() });
  const bad = ['{}', '{"o":[]}', '{"o":[-1],"popTime":1}', '{"o":[1],"popTime":-1}', '{"o":"x","popTime":1}'];
  for (const text of bad) orders.load(parseJavaJson(`{"table":{"T@g":{0:${text}}}}`));
  assert.equal(orders.get('T', 'g', 0), undefined);
  assert.throws(() => orders.load(parseJavaJson('{"table":[]}')), { code: 'REMOTING_BODY_INVALID' });
});

test('order infos: bytes are counted, given back, and refused when there are too many', () => {
  const budget = roomy();
  const orders = new OrderInfos({ ...deps, budget });
  assert.ok(orders.popped(batch) !== undefined);
  assert.equal(orders.changeVisibleTime('T', 'g', 2, 10, 900, 9_000), true);
  assert.equal(orders.changeVisibleTime('T', 'g', 2, 12, 900, 9_000), false);
  assert.ok(budget.usedBytes > 0);
  orders.clear('T', 'g', 2);
  assert.equal(budget.usedBytes, 0);
  const full = new OrderInfos({ ...deps, budget: tight(10) });
  assert.equal(full.popped(batch), undefined);
  assert.equal(full.get('T', 'g', 2), undefined);
});

test('order infos: a save forgets what a day has not used, and what is not there any more', async () => {
  let now = 1_000;
  const budget = roomy();
  const orders = new OrderInfos({ ...deps, now: () => now, budget, isUsed: (topic) => topic === 'T' });
  orders.popped(batch);
  orders.popped({ ...batch, topic: 'gone' });
  await orders.prepareSave();
  assert.ok(orders.get('T', 'g', 2) !== undefined);
  assert.equal(orders.get('gone', 'g', 2), undefined);
  now += 86_400_001;
  await orders.prepareSave();
  assert.equal(orders.get('T', 'g', 2), undefined);
  assert.equal(budget.usedBytes, 0);
});
