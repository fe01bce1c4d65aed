import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponseCode, tagSubscription } from '@vernier/remoting';
import { silentLogger } from '@vernier/store';
import { CallerSession } from '../../src/base/caller.ts';
import { Refusal } from '../../src/base/refusal.ts';
import { ConsumerManager } from '../../src/clients/consumer-manager.ts';
import { SqlFilters } from '../../src/filter/sql-filters.ts';
import { subscriptionGroup } from '../../src/groups/subscription-group-config.ts';
import { PullPermission } from '../../src/pull/pull-permission.ts';
import { ForbiddenPull, type PullRequest } from '../../src/pull/pull-request.ts';
import { roomy } from '../budgets.ts';
import { FakeClient } from '../fake-client.ts';
import { Tables } from '../table-fixtures.ts';

const caller = new CallerSession('10.0.0.1:5000', { address: Uint8Array.of(10, 0, 0, 1), port: 5_000 });

function open() {
  const tables = new Tables();
  const { config, topics, groups, clock } = tables;
  const consumers = new ConsumerManager({ logger: silentLogger, budget: roomy(), notifyEnabled: () => false, clock });
  const sqlFilters = new SqlFilters(config, silentLogger, clock);
  const permission = new PullPermission({ config, topics, groups, consumers, sqlFilters, host: '10.0.0.9' });
  const online = (subscriptions: ReturnType<typeof tagSubscription>[], broadcasts = false) =>
    consumers.register(
      'g',
      { client: new FakeClient('c'), lastUpdateTimestamp: 0, lastSeen: 0 },
      {
        ...({ consumeType: 'CONSUME_PASSIVELY', consumeFromWhere: '', subscriptions } as const),
        messageModel: broadcasts ? 'BROADCASTING' : 'CLUSTERING',
      },
    );
  return { tables, permission, online };
}

const request = (more: Partial<PullRequest> = {}): PullRequest => ({
  ...{ consumerGroup: 'g', topic: 'T', queueId: 0, queueOffset: 0, maxMsgNums: 32, maxMsgBytes: Number.NaN },
  ...{ hasSubscription: true, subscription: '*', expressionType: 'TAG', subVersion: 1, isLite: false },
  ...{ commits: false, commitOffset: 0, waits: false, suspendTimeoutMillis: 0 },
  ...more,
});

function settled<T>(outcome: T | Promise<T>): T {
  assert.ok(!(outcome instanceof Promise), 'it waits');
  return outcome;
}

function refusedWith(outcome: unknown, code: number, remark: RegExp, forbiddenType?: number): void {
  assert.ok(outcome instanceof Refusal, 'it was not refused');
  assert.equal(outcome.code, code, outcome.remark);
  assert.match(outcome.remark, remark);
  assert.equal(outcome instanceof ForbiddenPull ? outcome.forbiddenType : undefined, forbiddenType);
}

test('pull permission: a broker that may not be read makes no group for who asks it', () => {
  const { tables, permission } = open();
  tables.config.brokerPermission = 2;
  const before = tables.shown();
  refusedWith(permission.group(request()), ResponseCode.NO_PERMISSION, /the broker\[10.0.0.9\] pulling/, 1);
  tables.config.brokerPermission = 6;
  tables.config.litePullMessageEnable = false;
  refusedWith(permission.group(request({ isLite: true })), ResponseCode.NO_PERMISSION, /the broker\[10.0.0.9\]/, 1);
  assert.deepEqual(tables.shown(), before);
  assert.ok(!(permission.group(request()) instanceof Refusal), 'another pull is none of a lite consumer');
});

test('pull permission: a group without room, with a bad name or without leave to consume', () => {
  const { tables, permission } = open();
  const before = tables.shown();
  for (const consumerGroup of ['', 'a b', 'g'.repeat(121)]) {
    const outcome = permission.group(request({ consumerGroup }));
    refusedWith(outcome, ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, /subscription group \[.*\] does not exist/);
  }
  assert.deepEqual(tables.shown(), before);
  tables.groups.update(subscriptionGroup('g', { consumeEnable: false }));
  refusedWith(permission.group(request()), ResponseCode.NO_PERMISSION, /subscription group no permission, g/, 2);
});

test('pull permission: the topic, its permission, its queues at both ends, its kind', () => {
  const { tables, permission } = open();
  tables.topic('T', { readQueueNums: 2, writeQueueNums: 8 });
  tables.topic('WriteOnly', { perm: 2 });
  tables.topic('Unread', { readQueueNums: 0 });
  const of = (more: Partial<PullRequest>) => permission.topic(request(more), caller);
  for (const queueId of [0, 1]) assert.ok(!(of({ queueId }) instanceof Refusal), String(queueId));
  for (const queueId of [-1, 2, 7, 2 ** 40]) {
    const remark = /topicConfig.readQueueNums:\[2\] consumer:\[10.0.0.1:5000\]/;
    refusedWith(of({ queueId }), ResponseCode.INVALID_PARAMETER, remark);
  }
  refusedWith(of({ topic: 'Unread' }), ResponseCode.INVALID_PARAMETER, /readQueueNums:\[0\]/);
  refusedWith(of({ topic: 'None' }), ResponseCode.TOPIC_NOT_EXIST, /topic\[None\] not exist/);
  refusedWith(of({ topic: '__proto__' }), ResponseCode.TOPIC_NOT_EXIST, /__proto__/);
  refusedWith(of({ topic: 'WriteOnly' }), ResponseCode.NO_PERMISSION, /the topic\[WriteOnly\] pulling/, 3);
});

test('pull permission: a subscription that is none is refused; one that passes everything is no filter', () => {
  const { permission } = open();
  const group = subscriptionGroup('g');
  const of = (subscription: string | undefined, expressionType?: string) =>
    settled(permission.filter(request({ subscription, expressionType }), group, caller));
  for (const all of ['*', undefined]) assert.equal(of(all, 'TAG'), undefined);
  assert.equal(of('*'), undefined, 'no type is that of tags');
  refusedWith(of(' || ', 'TAG'), ResponseCode.SUBSCRIPTION_PARSE_FAILED, /parse the consumer's subscription failed/);
  refusedWith(of('', 'SQL92'), ResponseCode.SUBSCRIPTION_PARSE_FAILED, /parse/);
  refusedWith(of('a >', 'SQL92'), ResponseCode.SUBSCRIPTION_PARSE_FAILED, /parse the consumer's subscription failed: /);
  refusedWith(of('a', 'XPATH'), ResponseCode.SYSTEM_ERROR, /does not support consumer to filter message by XPATH/);
  const filter = of('A || B', 'TAG');
  assert.ok(filter !== undefined && !(filter instanceof Refusal));
  const { codeSet } = tagSubscription('T', 'A', 1);
  assert.equal(filter.isMatchedByConsumeQueue(codeSet[0]!), true);
  assert.equal(filter.isMatchedByConsumeQueue(tagSubscription('T', 'C', 1).codeSet[0]!), false);
});

test('pull permission: what the heartbeat says is asked for in RocketMQ’s order, and an old one is not enough', () => {
  const { tables, permission, online } = open();
  const of = (more: Partial<PullRequest> = {}, group = {}) =>
    permission.filter(
      request({ hasSubscription: false, subscription: 'ignored', ...more }),
      subscriptionGroup('g', group),
      caller,
    );
  refusedWith(of(), ResponseCode.SUBSCRIPTION_NOT_EXIST, /the consumer's group info not exist/);
  online([tagSubscription('U', '*', 1)], true);
  refusedWith(of({}, { consumeBroadcastEnable: false }), ResponseCode.NO_PERMISSION, /broadcast way/, 4);
  refusedWith(of(), ResponseCode.SUBSCRIPTION_NOT_EXIST, /the consumer's subscription not exist/);
  online([tagSubscription('T', 'A', 5)]);
  tables.groups.setReadable('g', 'T', false);
  refusedWith(of(), ResponseCode.NO_PERMISSION, /the consumer group\[g\] is forbidden for topic\[T\]/, 5);
  tables.groups.setReadable('g', 'T', true);
  refusedWith(of({ subVersion: 6 }), ResponseCode.SUBSCRIPTION_NOT_LATEST, /not latest/);
  for (const subVersion of [5, 4, Number.NaN]) assert.ok(!(of({ subVersion }) instanceof Refusal), String(subVersion));
});

test('pull permission: an expression of a heartbeat that cannot be read is not the pull’s fault', () => {
  const { tables, permission, online } = open();
  online([{ ...tagSubscription('T', '*', 1), subString: 'a >', expressionType: 'SQL92' }]);
  const asked = request({ hasSubscription: false });
  const group = subscriptionGroup('g');
  refusedWith(
    permission.filter(asked, group, caller),
    ResponseCode.FILTER_DATA_NOT_EXIST,
    /Your expression may be wrong!/,
  );
  tables.config.enablePropertyFilter = false;
  refusedWith(permission.filter(asked, group, caller), ResponseCode.SYSTEM_ERROR, /filter message by SQL92/);
});
