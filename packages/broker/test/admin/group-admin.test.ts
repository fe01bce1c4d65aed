import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import { systemClock } from '@vernier/store';
import { GroupAdmin } from '../../src/admin/group-admin.ts';
import { Refusal } from '../../src/base/refusal.ts';
import { subscriptionGroup } from '../../src/groups/subscription-group-config.ts';
import { fileOf, Tables, type TablesOptions } from '../table-fixtures.ts';

function open(options: TablesOptions = {}) {
  const tables = new Tables(options);
  const { groups, offsets, stats } = tables;
  const files = { groupsFile: tables.file('groups'), offsetsFile: tables.file('offsets') };
  return { tables, groups, offsets, admin: new GroupAdmin({ groups, offsets, stats, clock: systemClock, ...files }) };
}

function refusedWith(outcome: unknown, code: number, remark: RegExp): void {
  assert.ok(outcome instanceof Refusal, 'it was not refused');
  assert.equal(outcome.code, code, outcome.remark);
  assert.match(outcome.remark, remark);
}

test('group admin: one group of a list that cannot be keeps all of them from being made or changed', async () => {
  const { tables, admin } = open();
  await admin.update([{ groupName: 'known', attributes: { '+priority.factor': '5' } }]);
  const before = tables.shown();
  const good = [{ groupName: 'new' }, { groupName: 'known', retryMaxTimes: 3 }];
  const cases: [unknown, number, RegExp][] = [
    [null, ResponseCode.INVALID_PARAMETER, /blank/],
    ['g', ResponseCode.INVALID_PARAMETER, /blank/],
    [{}, ResponseCode.INVALID_PARAMETER, /blank/],
    [{ groupName: 7 }, ResponseCode.INVALID_PARAMETER, /blank/],
    [{ groupName: ['g'] }, ResponseCode.INVALID_PARAMETER, /blank/],
    [{ groupName: 'a b' }, ResponseCode.INVALID_PARAMETER, /illegal characters/],
    [{ groupName: 'g'.repeat(121) }, ResponseCode.INVALID_PARAMETER, /longer than group max length: 120/],
    [{ groupName: 'g', retryQueueNums: 65_537 }, ResponseCode.INVALID_PARAMETER, /group g: retryQueueNums=65537/],
    [{ groupName: 'g', retryQueueNums: 0.5 }, ResponseCode.INVALID_PARAMETER, /retryQueueNums=0.5/],
    [{ groupName: 'g', groupRetryPolicy: { type: 'X' } }, ResponseCode.INVALID_PARAMETER, /groupRetryPolicy/],
    [{ groupName: 'g', attributes: { 'priority.factor': '5' } }, ResponseCode.SYSTEM_ERROR, /wrong format key/],
    [{ groupName: 'g', attributes: { '-priority.factor': '' } }, ResponseCode.SYSTEM_ERROR, /nonexistent key/],
    [{ groupName: 'g', attributes: { '+__proto__': '1' } }, ResponseCode.SYSTEM_ERROR, /unsupported key: __proto__/],
  ];
  for (const [bad, code, remark] of cases) {
    refusedWith(await admin.update([...good, bad]), code, remark);
    refusedWith(await admin.update([bad, ...good]), code, remark);
  }
  assert.deepEqual(tables.shown(), before);
  assert.deepEqual(tables.log, ['groups'], 'only the first one was saved');
});

test('group admin: a group with ten thousand faults is refused with a short remark', async () => {
  const { admin } = open();
  const wrong = { consumeEnable: 1, retryQueueNums: -1, retryMaxTimes: 'x', brokerId: {}, groupSysFlag: -1 };
  const outcome = await admin.update([{ groupName: 'g', ...wrong, consumeTimeoutMinute: 'y'.repeat(100_000) }]);
  refusedWith(outcome, ResponseCode.INVALID_PARAMETER, /consumeEnable=1.*; retryQueueNums=-1/);
  assert.ok((outcome as Refusal).remark.length < 500);
});

test('group admin: groups beyond the room for them are refused as a whole, and what is there may change', async () => {
  const { tables, admin } = open({ room: { groups: 4_000 } });
  assert.equal(await admin.update([{ groupName: 'a' }]), undefined);
  const before = tables.shown();
  const many = ['b', 'c', 'd'].map((groupName) => ({ groupName }));
  refusedWith(await admin.update(many), ResponseCode.SYSTEM_BUSY, /no group was made or changed: there is no room/);
  assert.deepEqual(tables.shown(), before);
  assert.equal(await admin.update([{ groupName: 'a', retryMaxTimes: 3 }]), undefined);
});

test('group admin: what was taken is what a start reads', async () => {
  const { tables, groups, admin } = open();
  const list = [
    { groupName: '__proto__', retryQueueNums: 65_536, retryMaxTimes: -(2 ** 31), brokerId: -1, consumeEnable: false },
    { groupName: 'constructor', attributes: { '+lite.sub.model': 'Shared', '+lite.bind.topic': '"\\' } },
    { groupName: 'y'.repeat(120), groupRetryPolicy: { type: 'CUSTOMIZED', customizedRetryPolicy: { next: [0, 5] } } },
    { groupName: 'g', subscriptionDataSet: [{ topic: 'T', expression: "a = '\u2028'" }], consumeTimeoutMinute: '20' },
    { groupName: 'TOOLS_CONSUMER', consumeEnable: false },
  ];
  assert.equal(await admin.update(list), undefined);
  const again = new Tables();
  again.groups.load(fileOf(groups));
  assert.deepEqual(again.groups.table, groups.table);
  assert.equal(again.groups.find('g')?.consumeTimeoutMinute, 20);
  assert.equal(again.groups.find('__proto__')?.retryQueueNums, 65_536);
  assert.equal(again.budgets.groups.usedBytes, tables.budgets.groups.usedBytes, 'and takes as much room');
});

test('group admin: a group that is too large only with the attributes that it has already is refused', async () => {
  const { tables, groups, admin } = open();
  const attributes = { '+lite.bind.topic': 'x'.repeat(255), '+lite.sub.wildcard': 'y'.repeat(255) };
  await admin.update([{ groupName: 'g', attributes }]);
  const before = tables.shown();
  /** So many characters as JSON by itself. */
  const sized = (chars: number) => {
    const of = (length: number) => ({ topic: '', expressionType: '', expression: 'z'.repeat(length), version: 0 });
    const full = Array.from({ length: 15 }, () => of(4_050));
    const without = JSON.stringify(subscriptionGroup('g', { subscriptionDataSet: [...full, of(0)] })).length;
    return [...full, of(chars - without)];
  };
  for (const chars of [65_536, 65_300]) {
    const outcome = await admin.update([{ groupName: 'g', subscriptionDataSet: sized(chars) }]);
    refusedWith(outcome, ResponseCode.INVALID_PARAMETER, /it takes \d+ characters as JSON, at most 65536/);
  }
  assert.deepEqual(tables.shown(), before);
  assert.equal(await admin.update([{ groupName: 'g', subscriptionDataSet: sized(64_800) }]), undefined);
  const again = new Tables();
  again.groups.load(fileOf(groups));
  assert.deepEqual(again.groups.find('g'), groups.find('g'), 'and is there after a start');
});

test('group admin: a change without attributes keeps those that the group has; all the rest is as the change says', async () => {
  const { groups, admin } = open();
  await admin.update([{ groupName: 'g', retryMaxTimes: 3, attributes: { '+priority.factor': '5' } }]);
  await admin.update([{ groupName: 'g' }]);
  assert.deepEqual(groups.find('g'), subscriptionGroup('g', { attributes: { 'priority.factor': '5' } }));
});

test('group admin: to ask for a group makes none, and one that could not be made is not found', () => {
  const { tables, admin } = open();
  const before = tables.shown();
  assert.deepEqual(admin.find('unheard-of'), subscriptionGroup('unheard-of'));
  refusedWith(admin.find('bad name'), ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, /No group in this broker/);
  tables.config.autoCreateSubscriptionGroup = false;
  refusedWith(admin.find('unheard-of'), ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, /No group/);
  assert.ok(!(admin.find('TOOLS_CONSUMER') instanceof Refusal));
  assert.deepEqual(tables.shown(), before);
});

test('group admin: a deleted group gives back its room, and its offsets only when that was asked for', async () => {
  const { tables, groups, offsets, admin } = open();
  const empty = tables.budgets.groups.usedBytes;
  for (const cleansOffsets of [false, true]) {
    await admin.update([{ groupName: 'g' }]);
    offsets.commit('g', 'T', 0, 5);
    offsets.commit('gg', 'T', 0, 6);
    tables.stats.countGet(0, 'g', 'T', 1, 1);
    tables.log.length = 0;
    assert.equal(await admin.delete('g', cleansOffsets), undefined);
    assert.equal(groups.has('g'), false);
    assert.equal(tables.budgets.groups.usedBytes, empty);
    assert.equal(offsets.query('g', 'T', 0), cleansOffsets ? -1 : 5);
    assert.equal(offsets.query('gg', 'T', 0), 6, 'another group’s stay');
    assert.equal(tables.stats.find('GROUP_GET_NUMS', 'T@g'), undefined);
    assert.deepEqual(tables.log, cleansOffsets ? ['offsets', 'groups'] : ['groups']);
  }
});

test('group admin: a group that is not there is deleted without a change; a built-in one is not deleted', async () => {
  const { tables, admin } = open();
  const before = tables.shown();
  for (const name of ['none', 'constructor', '', 'a b']) assert.equal(await admin.delete(name, true), undefined, name);
  for (const name of ['TOOLS_CONSUMER', 'CID_RMQ_SYS_TRANS', 'SELF_TEST_C_GROUP']) {
    refusedWith(
      await admin.delete(name, true),
      ResponseCode.INVALID_PARAMETER,
      /made at each start and cannot be deleted/,
    );
  }
  assert.deepEqual(tables.shown(), before);
});

test('group admin: a disk that refuses is told to the operator, for a change as for a deletion', async () => {
  const { tables, admin } = open();
  await admin.update([{ groupName: 'g' }]);
  tables.failing = 'groups';
  await assert.rejects(admin.update([{ groupName: 'g', retryMaxTimes: 1 }]), /groups: no space left/);
  await assert.rejects(admin.delete('g', false), /groups: no space left/);
  tables.failing = 'offsets';
  await assert.rejects(admin.delete('g', true), /offsets: no space left/);
});
