import assert from 'node:assert/strict';
import { test } from 'node:test';
import { groupMembers, readSubscriptionGroup, subscriptionGroup } from '../../src/groups/subscription-group-config.ts';

test('group: the members of the table have the defaults of a group', () => {
  const group = subscriptionGroup('g') as unknown as Record<string, unknown>;
  for (const [name, spec] of Object.entries(groupMembers)) assert.equal(group[name], spec.default, name);
});

test('group: what RocketMQ writes is read as it is, whatever else is beside it', () => {
  const value = {
    groupName: 'other',
    consumeEnable: false,
    retryQueueNums: 3,
    retryMaxTimes: -1,
    groupRetryPolicy: { type: 'EXPONENTIAL', exponentialRetryPolicy: { initial: 1_000, max: 60_000, multiplier: 3 } },
    consumeTimeoutMinute: '20',
    notifyConsumerIdsChangedEnable: 'false',
    subscriptionDataSet: [{ topic: 'T', expressionType: 'TAG', expression: 'a', version: 5 }],
    attributes: { 'priority.factor': '50' },
    brokerId: null,
    ofALaterVersion: { deep: [[[]]] },
  };
  const { group, faults } = readSubscriptionGroup('g', value);
  assert.deepEqual(faults, []);
  assert.deepEqual(
    group,
    subscriptionGroup('g', {
      consumeEnable: false,
      retryQueueNums: 3,
      retryMaxTimes: -1,
      groupRetryPolicy: { type: 'EXPONENTIAL', exponentialRetryPolicy: { initial: 1_000, max: 60_000, multiplier: 3 } },
      consumeTimeoutMinute: 20,
      notifyConsumerIdsChangedEnable: false,
      subscriptionDataSet: [{ topic: 'T', expressionType: 'TAG', expression: 'a', version: 5 }],
      attributes: { 'priority.factor': '50' },
    }),
  );
  assert.deepEqual(readSubscriptionGroup('g', JSON.parse(JSON.stringify(group))).group, group, 'and again');
});

test('group: a member that cannot be so is named with its range', () => {
  const nested = (depth: number): unknown => {
    let value: unknown = 1;
    for (let i = 0; i < depth; i++) value = { deeper: value };
    return value;
  };
  const cases: [Record<string, unknown>, RegExp][] = [
    [{ retryQueueNums: 1.5 }, /^retryQueueNums=1.5: allowed are whole numbers from 0 to 65536 \(queues\)$/],
    [{ retryQueueNums: 1e9 }, /^retryQueueNums=1000000000/],
    [{ retryQueueNums: -1 }, /^retryQueueNums=-1/],
    [{ retryQueueNums: '1e3' }, /^retryQueueNums=1e3/],
    [{ retryMaxTimes: 2 ** 31 }, /^retryMaxTimes/],
    [{ consumeEnable: 1 }, /^consumeEnable=1: allowed are true and false/],
    [{ brokerId: 2 ** 60 }, /^brokerId/],
    [{ consumeTimeoutMinute: {} }, /^consumeTimeoutMinute=a value of type object/],
    [{ groupRetryPolicy: 'EXPONENTIAL' }, /^groupRetryPolicy is none/],
    [{ groupRetryPolicy: { type: 'SOMETIMES' } }, /^groupRetryPolicy/],
    [{ groupRetryPolicy: { customizedRetryPolicy: { next: [] } } }, /^groupRetryPolicy/],
    [{ groupRetryPolicy: { customizedRetryPolicy: { next: [1, 'x'] } } }, /^groupRetryPolicy/],
    [{ groupRetryPolicy: { customizedRetryPolicy: { next: Array(1_025).fill(1) } } }, /^groupRetryPolicy/],
    [{ groupRetryPolicy: { exponentialRetryPolicy: { initial: nested(100_000) } } }, /^groupRetryPolicy/],
    [{ subscriptionDataSet: {} }, /^subscriptionDataSet/],
    [{ subscriptionDataSet: [nested(100_000)] }, /^$/],
    [{ subscriptionDataSet: [{ topic: 7 }] }, /^subscriptionDataSet/],
    [{ attributes: [] }, /^attributes/],
    [{ attributes: { a: 1 } }, /^attributes/],
    [{ attributes: { a: 'x'.repeat(5_000) } }, /^attributes/],
  ];
  for (const [members, fault] of cases) {
    const { group, faults } = readSubscriptionGroup('g', members);
    assert.match(faults.join(), fault, Object.keys(members).join());
    assert.ok(JSON.stringify(group).length < 1_000, 'nothing of it is kept');
  }
});

test('group: it has a size', () => {
  const subscriptionDataSet = Array.from({ length: 1_000 }, () => ({ topic: 'T'.repeat(100) }));
  const { group, faults } = readSubscriptionGroup('g', { subscriptionDataSet });
  assert.match(faults.join(), /^it takes \d+ characters as JSON, at most 65536$/);
  assert.deepEqual(group, subscriptionGroup('g'));
});

test('group: what is no object is none', () => {
  for (const value of [undefined, null, 'g', 7, [], new Map()]) {
    const { group, faults } = readSubscriptionGroup('g', value);
    assert.equal(faults.length, 1);
    assert.deepEqual(group, subscriptionGroup('g'));
  }
});
