import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTopicConfig, ResponseCode } from '@vernier/remoting';
import { type MessageStore, silentLogger, systemClock } from '@vernier/store';
import { TopicAdmin, type TopicChange } from '../../src/admin/topic-admin.ts';
import { Refusal } from '../../src/base/refusal.ts';
import { fileOf, Tables, type TablesOptions } from '../table-fixtures.ts';

function open(options: TablesOptions = {}) {
  const tables = new Tables(options);
  /** Topics whose queues the store was asked to remove, with what it was told of them. */
  const removed: [topic: string, isRecorded: boolean][] = [];
  const batchTopics: string[] = [];
  const state = { failsAt: '', hasDelayed: false, onDelete: (_topic: string): void => {} };
  const store = {
    deleteTopic: async (topic: string, { isRecorded }: { isRecorded: boolean }) => {
      state.onDelete(topic);
      if (topic === state.failsAt) throw new Error(`${topic}: EIO`);
      tables.log.push(`store ${topic}`);
      removed.push([topic, isRecorded]);
    },
    batchTopicFault: (topic: string) => (topic === 'T' ? 'T has consume queues' : undefined),
    declareBatchTopic: (topic: string) => void batchTopics.push(topic),
  } as unknown as MessageStore;
  const { config, topics, offsets, stats, announce } = tables;
  const admin = new TopicAdmin({
    ...{ config, store, topics, offsets, stats, clock: systemClock, logger: silentLogger, announce },
    ...{ topicsFile: tables.file('topics'), offsetsFile: tables.file('offsets') },
    ...{ mappingsFile: tables.file('mappings'), staticTopics: tables.staticTopics },
    hasDelayed: () => state.hasDelayed,
    whenPopsEnd: () => Promise.resolve(),
    holdOffsets: () => Promise.resolve(() => {}),
  });
  return { tables, topics, offsets, admin, state, removed, batchTopics };
}

const change = (topicName: string, more: object = {}, attributes?: string): TopicChange => ({
  topic: createTopicConfig(topicName, more),
  attributes,
});

function refusedWith(outcome: unknown, code: number, remark: RegExp): void {
  assert.ok(outcome instanceof Refusal, 'it was not refused');
  assert.equal(outcome.code, code, outcome.remark);
  assert.match(outcome.remark, remark);
}

test('topic admin: one topic of a list that cannot be keeps all of them from being made or changed', async () => {
  const { tables, admin, batchTopics } = open();
  tables.topic('Known', { attributes: new Map([['message.type', 'FIFO']]) });
  const before = tables.shown();
  const good = [change('New'), change('Known', { readQueueNums: 9 }, '+message.type=DELAY')];
  const cases: [TopicChange, number, RegExp][] = [
    [change('bad name'), ResponseCode.INVALID_PARAMETER, /illegal characters/],
    [change('x'.repeat(128)), ResponseCode.INVALID_PARAMETER, /longer than topic max length: 127/],
    [change(''), ResponseCode.INVALID_PARAMETER, /blank/],
    [change('../x'), ResponseCode.INVALID_PARAMETER, /illegal characters/],
    [change('TBW102'), ResponseCode.INVALID_PARAMETER, /conflict with system topic/],
    [change('rmq_sys_x'), ResponseCode.INVALID_PARAMETER, /conflict with system topic/],
    [change('T', { readQueueNums: 65_537 }), ResponseCode.INVALID_PARAMETER, /readQueueNums=65537/],
    [change('T', { writeQueueNums: -1 }), ResponseCode.INVALID_PARAMETER, /writeQueueNums=-1/],
    [change('T', { perm: 16 }), ResponseCode.INVALID_PARAMETER, /perm=16/],
    [change('T', {}, '+queue.type=BatchCQ'), ResponseCode.SYSTEM_ERROR, /T has consume queues/],
    [change('T', {}, '-message.type'), ResponseCode.SYSTEM_ERROR, /nonexistent key/],
    [change('Known', {}, '+queue.type=SimpleCQ'), ResponseCode.SYSTEM_ERROR, /unchangeable/],
    [change('T', {}, '+message.type=MIXED'), ResponseCode.INVALID_PARAMETER, /MIXED message type is not supported/],
  ];
  good.push(change('Batch', {}, '+queue.type=BatchCQ'));
  for (const [bad, code, remark] of cases) {
    refusedWith(await admin.update([...good, bad]), code, remark);
    refusedWith(await admin.update([bad, ...good]), code, remark);
  }
  assert.deepEqual(tables.shown(), before);
  assert.deepEqual(tables.log, [], 'nothing is saved or announced');
  assert.deepEqual(batchTopics, [], 'nor told to the store');
  assert.equal(await admin.update(good), undefined);
  assert.deepEqual(batchTopics, ['Batch']);
});

test('topic admin: topics beyond the room for them are refused as a whole, and what is there may change', async () => {
  const { tables, admin } = open({ room: { topics: 2_500 } });
  assert.equal(await admin.update([change('A')]), undefined);
  const before = tables.shown();
  const many = ['B', 'C', 'D', 'E'].map((name) => change(name));
  refusedWith(await admin.update(many), ResponseCode.SYSTEM_BUSY, /no topic was made or changed: there is no room/);
  assert.deepEqual(tables.shown(), before);
  assert.equal(await admin.update([change('A', { readQueueNums: 9 })]), undefined);
});

test('topic admin: a topic is on disk before it is announced, and both before the answer', async () => {
  const { tables, admin } = open();
  await admin.update([change('T')]);
  assert.deepEqual(tables.log, ['topics', 'announced']);
  tables.failing = 'topics';
  await assert.rejects(admin.update([change('U')]), /no space left/);
  assert.deepEqual(tables.log, ['topics', 'announced'], 'what is not on disk is not announced');
});

test('topic admin: what was taken is what a start reads', async () => {
  const { tables, admin } = open({ config: { enableMixedMessageType: true } });
  const extreme = { readQueueNums: 65_536, writeQueueNums: 0, perm: 15, topicSysFlag: 2 ** 31 - 1, order: true };
  const changes = [
    change('x'.repeat(127), extreme, '+message.type=MIXED,+reserve.time=9223372036854775807'),
    change('%RETRY%g', { topicFilterType: 'MULTI_TAG' }),
    change('constructor', {}, '+lite.topic.expiration=-1'),
    change('__proto__', {}, '+queue.type=SimpleCQ'),
  ];
  assert.equal(await admin.update(changes), undefined);
  const again = new Tables();
  again.topics.load(fileOf(tables.topics));
  for (const { topic } of changes) {
    assert.deepEqual(again.topics.select(topic.topicName), tables.topics.select(topic.topicName), topic.topicName);
  }
  assert.equal(again.topics.select('__proto__')?.attributes.get('queue.type'), 'SimpleCQ');
  assert.equal(again.budgets.topics.usedBytes, tables.budgets.topics.usedBytes, 'and takes as much room');
});

test('topic admin: a change without attributes keeps those that the topic has', async () => {
  const { topics, admin } = open();
  await admin.update([change('T', {}, '+message.type=FIFO,+reserve.time=5')]);
  await admin.update([change('T', { perm: 4 })]);
  assert.deepEqual(
    topics.select('T')?.attributes,
    new Map([...[['message.type', 'FIFO'] as const], ['reserve.time', '5']]),
  );
  await admin.update([change('T', {}, '-message.type')]);
  assert.deepEqual(topics.select('T')?.attributes, new Map([['reserve.time', '5']]));
  assert.equal(topics.select('T')?.perm, 6, 'all the rest is as the change says');
});

test('topic admin: a topic that is not there is not found; deleting it is no fault and touches no other', async () => {
  const { tables, topics, admin, removed } = open();
  refusedWith(admin.find('None'), ResponseCode.TOPIC_NOT_EXIST, /No topic in this broker\. topic: None/);
  refusedWith(admin.find('constructor'), ResponseCode.TOPIC_NOT_EXIST, /constructor/);
  tables.topic('T');
  const count = topics.table.size;
  const version = topics.dataVersion;
  assert.equal(await admin.delete('None'), undefined);
  assert.equal(topics.table.size, count);
  assert.deepEqual(topics.dataVersion, version, 'a table that did not change has no new version');
  assert.deepEqual(removed, [['None', false]], 'queues that it has without an entry go');
});

test('topic admin: a system topic, or one that each start makes, is not deleted, whatever the settings', async () => {
  const { tables, topics, admin, removed } = open();
  const before = tables.shown();
  for (const topic of ['TBW102', 'SCHEDULE_TOPIC_XXXX', 'RMQ_SYS_TRANS_HALF_TOPIC', 'DefaultCluster', 'rmq_sys_x']) {
    refusedWith(await admin.delete(topic), ResponseCode.INVALID_PARAMETER, /conflict with system topic/);
  }
  tables.config.validateSystemTopicWhenUpdateTopic = false;
  for (const topic of ['TBW102', 'SCHEDULE_TOPIC_XXXX', 'broker-a']) {
    refusedWith(await admin.delete(topic), ResponseCode.INVALID_PARAMETER, /made at each start and cannot be deleted/);
  }
  refusedWith(await admin.delete('a/b'), ResponseCode.INVALID_PARAMETER, /illegal characters/);
  assert.deepEqual(tables.shown(), before);
  assert.deepEqual(removed, []);
  tables.topic('rmq_sys_x');
  assert.equal(await admin.delete('rmq_sys_x'), undefined);
  assert.equal(topics.select('rmq_sys_x'), undefined);
});

test('topic admin: the table is on disk without the topic before its messages go', async () => {
  const { tables, topics, offsets, admin, state, removed } = open();
  tables.topic('T');
  tables.topic('%RETRY%g+T');
  tables.topic('%RETRY%g_T');
  tables.topic('%RETRY%g');
  offsets.commit('g', 'T', 0, 5);
  offsets.commit('g', 'U', 0, 6);
  state.hasDelayed = true;
  state.onDelete = (topic) => {
    assert.equal(topics.select(topic), undefined, topic);
    assert.equal(topics.isBeingDeleted(topic), true, topic);
    assert.equal(tables.log[0], 'topics');
  };
  const bytes = tables.budgets.topics.usedBytes;
  assert.equal(await admin.delete('T'), undefined);
  assert.deepEqual(tables.log, [
    ...['topics', 'store T', 'store %RETRY%g+T', 'store %RETRY%g_T'],
    ...['offsets', 'topics', 'announced'],
  ]);
  assert.ok(
    removed.every(([, isRecorded]) => isRecorded),
    'delayed messages of it are still to come',
  );
  assert.equal(topics.isBeingDeleted('T'), false);
  assert.ok(topics.select('%RETRY%g'), 'the group’s own retry topic stays');
  assert.deepEqual(offsets.topicsOfGroup('g'), ['U']);
  assert.ok(tables.budgets.topics.usedBytes < bytes);
});

test('topic admin: a deletion that the disk refuses, before or between, gives back what could not be deleted', async () => {
  for (const failing of ['table', 'first', 'second'] as const) {
    const { tables, topics, offsets, admin, state } = open();
    const kept = tables.topic('T', { readQueueNums: 7, attributes: new Map([['message.type', 'FIFO']]) });
    const retry = tables.topic('%RETRY%g+T');
    offsets.commit('g', 'T', 0, 5);
    const bytes = tables.budgets.topics.usedBytes;
    if (failing === 'table') tables.failing = 'topics';
    else state.failsAt = failing === 'first' ? 'T' : '%RETRY%g+T';
    await assert.rejects(admin.delete('T'), failing === 'table' ? /no space left/ : /EIO/);
    assert.deepEqual(topics.select('%RETRY%g+T'), retry, failing);
    if (failing === 'second') {
      assert.equal(topics.select('T'), undefined, 'its messages are gone');
      assert.equal(offsets.query('g', 'T', 0), -1);
    } else {
      assert.deepEqual(topics.select('T'), kept, failing);
      assert.equal(offsets.query('g', 'T', 0), 5, failing);
      assert.equal(tables.budgets.topics.usedBytes, bytes);
    }
    assert.equal(topics.isBeingDeleted('T'), false, failing);
    assert.ok(!tables.log.includes('announced'));
  }
});

test('topic admin: a topic that somebody makes while its deletion fails keeps what he made of it', async () => {
  const { tables, topics, admin, state } = open();
  tables.topic('T', { readQueueNums: 7 });
  state.failsAt = 'T';
  state.onDelete = () => void tables.topic('T', { readQueueNums: 2 });
  await assert.rejects(admin.delete('T'), /EIO/);
  assert.equal(topics.select('T')?.readQueueNums, 2);
});

test('topic admin: of two deletions at once the topic counts as being deleted until both are done', async () => {
  const { topics } = open();
  const ends: (() => void)[] = [];
  const deletion = () => topics.whileDeleting(['T'], () => new Promise<void>((resolve) => ends.push(resolve)));
  const both = [deletion(), deletion()];
  ends[0]!();
  await both[0];
  assert.equal(topics.isBeingDeleted('T'), true);
  ends[1]!();
  await both[1];
  assert.equal(topics.isBeingDeleted('T'), false);
});
