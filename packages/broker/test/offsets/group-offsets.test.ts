import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import type { MessageStore } from '@vernier/store';
import { Refusal } from '../../src/base/refusal.ts';
import { GroupOffsets } from '../../src/offsets/group-offsets.ts';
import { QueueBounds } from '../../src/offsets/queue-bounds.ts';
import { Tables, type TablesOptions } from '../table-fixtures.ts';

function open(options: TablesOptions = {}) {
  const tables = new Tables(options);
  const queue = { min: 0, max: 5, status: 'FOUND', fromDisk: false };
  let looks = 0;
  const store = {
    getMinOffsetInQueue: () => queue.min,
    getMaxOffsetInQueue: () => queue.max,
    getMessage: async () => {
      looks++;
      return { status: queue.status, fromDisk: queue.fromDisk };
    },
  } as unknown as MessageStore;
  const { config, topics, groups, offsets } = tables;
  tables.topic('T');
  groups.find('g');
  const groupOffsets = new GroupOffsets({ config, store, topics, groups, offsets });
  const query = (zeroIfNone = true) => groupOffsets.query('g', 'T', 0, zeroIfNone);
  return { tables, offsets, queue, store, groupOffsets, query, looks: () => looks };
}

function refusedWith(outcome: unknown, code: number, remark: RegExp): void {
  assert.ok(outcome instanceof Refusal, 'it was not refused');
  assert.equal(outcome.code, code, outcome.remark);
  assert.match(outcome.remark, remark);
}

test('group offsets: a new group begins at 0 only in a queue that is whole, has a message, and is in memory', async () => {
  assert.equal(await open().query(), 0);
  const others: object[] = [
    { min: 1 },
    { min: -1, max: 0 },
    { max: 0 },
    { fromDisk: true },
    { status: 'OFFSET_FOUND_NULL' },
  ];
  for (const other of others) {
    const { queue, query } = open();
    Object.assign(queue, other);
    refusedWith(await query(), ResponseCode.QUERY_NOT_FOUND, /Not found/);
  }
});

test('group offsets: who does not want 0 is not given it, and the queue is not looked at', async () => {
  const { query, looks } = open();
  refusedWith(await query(false), ResponseCode.QUERY_NOT_FOUND, /Not found/);
  assert.equal(looks(), 0);
});

test('group offsets: a committed offset is answered as it is, 0 included, and the queue is not looked at', async () => {
  const { query, looks, offsets } = open();
  for (const offset of [0, 7, Number.MAX_SAFE_INTEGER]) {
    offsets.commit('g', 'T', 0, offset);
    assert.equal(await query(false), offset);
  }
  assert.equal(looks(), 0);
});

test('group offsets: a question makes no group, no topic and no offset', async () => {
  const { tables, groupOffsets } = open();
  const before = tables.shown();
  assert.equal(await groupOffsets.query('none', 'None', 0, true), 0);
  await groupOffsets.query('__proto__', 'constructor', -1, false);
  assert.deepEqual(tables.shown(), before);
});

test('group offsets: commits that cannot be are refused with the numbers and leave nothing', () => {
  const { tables, groupOffsets } = open();
  const before = tables.shown();
  const cases: [string, string, number, number, number, RegExp][] = [
    ['none', 'T', 0, 1, ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, /Group none not exist!/],
    ['g', 'None', 0, 1, ResponseCode.TOPIC_NOT_EXIST, /Topic None not exist!/],
    ['g', 'T', -1, 1, ResponseCode.INVALID_PARAMETER, /queue -1, offset 1: allowed are queues from 0 to 65535/],
    ['g', 'T', 65_536, 1, ResponseCode.INVALID_PARAMETER, /queue 65536, offset 1/],
    ['g', 'T', 0, -1, ResponseCode.INVALID_PARAMETER, /queue 0, offset -1/],
  ];
  for (const [group, topic, queueId, offset, code, remark] of cases) {
    refusedWith(groupOffsets.commit(group, topic, queueId, offset), code, remark);
  }
  assert.deepEqual(tables.shown(), before);
  assert.equal(tables.groups.has('none'), false, 'a group that an operator deleted is not remade by its commits');
  assert.equal(groupOffsets.commit('g', 'T', 65_535, 0), 'committed');
});

test('group offsets: a commit without room is refused, and what is there goes on', () => {
  const { groupOffsets, offsets } = open({ room: { offsets: 350 } });
  assert.equal(groupOffsets.commit('g', 'T', 0, 1), 'committed');
  for (let queueId = 1; queueId < 10; queueId++) {
    const outcome = groupOffsets.commit('g', 'T', queueId, 1);
    if (outcome === 'committed') continue;
    refusedWith(outcome, ResponseCode.SYSTEM_BUSY, /there is no room for more of it/);
    assert.equal(offsets.query('g', 'T', queueId), -1);
  }
  assert.ok(offsets.offsetsOf('g', 'T').size < 4);
  assert.equal(groupOffsets.commit('g', 'T', 0, 2), 'committed');
});

test('group offsets: until a group has learned of its reset, its commits in that queue change nothing', () => {
  const { tables, groupOffsets, offsets } = open();
  offsets.assignResets('g', 'T', new Map([[0, 3]]));
  assert.equal(groupOffsets.commit('g', 'T', 0, 9), 'superseded');
  assert.equal(groupOffsets.commit('g', 'T', 1, 9), 'committed', 'another queue is not reset');
  assert.equal(offsets.query('g', 'T', 0), 3);
  offsets.takeReset('g', 'T', 0);
  assert.equal(groupOffsets.commit('g', 'T', 0, 9), 'committed');
  offsets.assignResets('g', 'T', new Map([[0, 3]]));
  tables.config.useServerSideResetOffset = false;
  assert.equal(groupOffsets.commit('g', 'T', 0, 9), 'committed', 'nobody will tell the group of it');
});

test('queue bounds: a queue that is not there begins at 0 and not before', () => {
  const { queue, store } = open();
  const bounds = new QueueBounds(store);
  Object.assign(queue, { min: -1, max: 0 });
  assert.deepEqual([bounds.minOffset('T', 0), bounds.maxOffset('T', 0)], [0, 0]);
  Object.assign(queue, { min: 3, max: 9 });
  assert.deepEqual([bounds.minOffset('T', 0), bounds.maxOffset('T', 0)], [3, 9]);
});
