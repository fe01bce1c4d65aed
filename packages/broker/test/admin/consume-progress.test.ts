import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponseCode, type TopicConfig, tagSubscription } from '@vernier/remoting';
import { type MessageStore, silentLogger } from '@vernier/store';
import { ConsumeProgress } from '../../src/admin/consume-progress.ts';
import { Refusal } from '../../src/base/refusal.ts';
import { ConsumerManager } from '../../src/clients/consumer-manager.ts';
import { roomy } from '../budgets.ts';
import { FakeClient } from '../fake-client.ts';
import { Tables } from '../table-fixtures.ts';

/** Queue by queue: first offset, end, and the store time of offset 0; each later message came a second after. */
type Queues = Record<string, { min: number; max: number; start: number }>;

function open(queues: Queues = {}) {
  const tables = new Tables();
  const asked: string[] = [];
  const at = (topic: string, queueId: number) => queues[`${topic}-${queueId}`];
  const store = {
    getMaxOffsetInQueue: (topic: string, queueId: number) => at(topic, queueId)?.max ?? 0,
    getMinOffsetInQueue: (topic: string, queueId: number) => at(topic, queueId)?.min ?? -1,
    getMessageStoreTimeStamp: async (topic: string, queueId: number, offset: number) => {
      asked.push(`${topic}-${queueId}@${offset}`);
      const queue = at(topic, queueId);
      if (queue === undefined || offset < queue.min || offset >= queue.max) return -1;
      return queue.start + 1_000 * offset;
    },
    getEarliestMessageTime: async (topic: string, queueId: number) => {
      const queue = at(topic, queueId);
      return queue === undefined || queue.min >= queue.max ? -1 : queue.start + 1_000 * queue.min;
    },
  } as unknown as MessageStore;
  const { topics, groups, offsets, stats, clock } = tables;
  const consumers = new ConsumerManager({ logger: silentLogger, budget: roomy(), notifyEnabled: () => false, clock });
  const progress = new ConsumeProgress({ store, topics, groups, offsets, consumers, stats, clock });
  const online = (group: string, ...names: string[]) =>
    consumers.register(
      group,
      { client: new FakeClient('c'), lastUpdateTimestamp: 0, lastSeen: 0 },
      {
        ...({ consumeType: 'CONSUME_PASSIVELY', messageModel: 'CLUSTERING', consumeFromWhere: '' } as const),
        subscriptions: names.map((name) => tagSubscription(name, '*', 1)),
      },
    );
  return { tables, progress, online, asked };
}

async function listOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const names = (topics: readonly TopicConfig[]): string[] => topics.map(({ topicName }) => topicName);

test('progress: a topic that is not there is refused', () => {
  const { tables, progress } = open();
  tables.topic('There');
  const missing = progress.topic('None');
  assert.ok(missing instanceof Refusal);
  assert.deepEqual([missing.code, missing.remark], [ResponseCode.TOPIC_NOT_EXIST, 'topic[None] not exist']);
  assert.ok(!(progress.topic('There') instanceof Refusal));
});

test('progress: bounds and last store time of the wider of read and write queues, an empty one with zeros', async () => {
  const { tables, progress } = open({ 'T-0': { min: 3, max: 5, start: 10_000 }, 'T-1': { min: 5, max: 5, start: 0 } });
  const topic = tables.topic('T', { readQueueNums: 1, writeQueueNums: 3 });
  assert.deepEqual(await listOf(progress.topicOffsets(topic)), [
    { queueId: 0, offset: { lastUpdateTimestamp: 14_000, maxOffset: 5, minOffset: 3 } },
    { queueId: 1, offset: { lastUpdateTimestamp: -1, maxOffset: 5, minOffset: 5 } },
    { queueId: 2, offset: { lastUpdateTimestamp: 0, maxOffset: 0, minOffset: 0 } },
  ]);
});

test('progress: a topic of 65,536 queues is looked at one queue for each that somebody takes', async () => {
  const { tables, progress, asked } = open({ 'T-0': { min: 0, max: 1, start: 1 } });
  const topic = tables.topic('T', { readQueueNums: 65_536, writeQueueNums: 65_536 });
  const queues = progress.topicOffsets(topic);
  await queues.next();
  assert.deepEqual(asked, ['T-0@0']);
  await queues.return();
  assert.equal((await queues.next()).done, true, 'an asker that is gone ends it');
  assert.deepEqual(asked, ['T-0@0']);
});

test('progress: a place is never below 0, and a pull never behind a commit', async () => {
  const { tables, progress } = open({ 'T-0': { min: 0, max: 9, start: 10_000 } });
  tables.topic('T');
  const { offsets } = tables;
  offsets.commit('g', 'T', 0, 4);
  offsets.commitPull('g', 'T', 0, 2);
  offsets.commitPull('g', 'T', 1, 7);
  const queues = await listOf(progress.queues('g', 'T', 2));
  assert.deepEqual(queues, [
    { queueId: 0, progress: { brokerOffset: 9, consumerOffset: 4, lastTimestamp: 13_000, pullOffset: 4 } },
    { queueId: 1, progress: { brokerOffset: 0, consumerOffset: 0, lastTimestamp: 0, pullOffset: 7 } },
  ]);
  offsets.commit('g', 'T', 0, 10_000);
  const [beyond] = await listOf(progress.queues('g', 'T', 1));
  assert.equal(beyond?.progress.lastTimestamp, 0, 'a place beyond the end has no time');
});

test('progress: the time span of a queue, consumed in part, wholly, not at all, and emptied behind the group', async () => {
  const { tables, progress } = open({
    'T-0': { min: 0, max: 4, start: 10_000 },
    'T-1': { min: 0, max: 4, start: 10_000 },
    'T-2': { min: 2, max: 4, start: 10_000 },
    'T-3': { min: 4, max: 4, start: 10_000 },
  });
  const topic = tables.topic('T', { readQueueNums: 9, writeQueueNums: 5 });
  const { offsets, clock } = tables;
  offsets.commit('g', 'T', 0, 2);
  offsets.commit('g', 'T', 1, 4);
  offsets.commit('g', 'T', 3, 3);
  const spans = await listOf(progress.timeSpans('g', topic));
  const none = { consumeTimeStamp: -1, minTimeStamp: -1, maxTimeStamp: -1, delayTime: 0 };
  const now = clock.now();
  assert.deepEqual(spans, [
    { queueId: 0, consumeTimeStamp: 11_000, minTimeStamp: 10_000, maxTimeStamp: 13_000, delayTime: now - 12_000 },
    { queueId: 1, consumeTimeStamp: 13_000, minTimeStamp: 10_000, maxTimeStamp: 13_000, delayTime: 0 },
    { queueId: 2, consumeTimeStamp: 12_000, minTimeStamp: 12_000, maxTimeStamp: 13_000, delayTime: 0 },
    { queueId: 3, ...none },
    { queueId: 4, ...none },
  ]);
});

test('progress: the topics of a group are those asked for, else those it has offsets in and subscribes to', () => {
  const { tables, progress, online } = open();
  for (const name of ['A', 'B', 'C']) tables.topic(name);
  const { offsets } = tables;
  for (const name of ['A', 'B', 'Gone']) offsets.commit('g', name, 0, 1);
  assert.deepEqual(names(progress.topicsOf('g', [], undefined)), ['A', 'B'], 'none that is gone');
  assert.deepEqual(names(progress.topicsOf('g', ['C', 'Gone', ''], 'A')), ['C']);
  assert.deepEqual(names(progress.topicsOf('g', [], 'C')), ['C']);
  assert.deepEqual(names(progress.topicsOf('g', [], 'None')), []);
  assert.deepEqual(names(progress.topicsOf('nobody', [], undefined)), []);
  online('g', 'B', 'C');
  assert.deepEqual(names(progress.topicsOf('g', [], undefined)), ['B']);
  assert.deepEqual(names(progress.topicsOf('g', [], 'A')), [], 'it has left A');
  assert.deepEqual(names(progress.topicsOf('g', ['A'], undefined)), ['A'], 'asked for by name it is shown');
});

test('progress: who consumes a topic is named once, online or by offsets, and nobody who does neither', () => {
  const { tables, progress, online } = open();
  tables.offsets.commit('offline', 'T', 0, 1);
  tables.offsets.commit('both', 'T', 0, 1);
  tables.offsets.commit('other', 'TT', 0, 1);
  online('both', 'T');
  online('young', 'T');
  online('elsewhere', 'U');
  assert.deepEqual(progress.groupsOf('T').sort(), ['both', 'offline', 'young']);
  assert.deepEqual(progress.groupsOf('None'), []);
  assert.equal(progress.subscription('young', 'T')?.subString, '*');
  assert.equal(progress.subscription('young', 'U'), undefined);
  assert.equal(progress.subscription('offline', 'T'), undefined);
});

test('progress: every group of the table is listed, also one without topics, and no group that has offsets alone', () => {
  const { tables, progress } = open();
  tables.topic('A', { order: true });
  tables.topic('B');
  const { offsets, groups } = tables;
  groups.find('g');
  for (const name of ['A', 'B', 'Gone']) offsets.commit('g', name, 0, 1);
  offsets.commit('deleted', 'A', 0, 1);
  const listed = (orderedOnly: boolean) =>
    new Map([...progress.allGroups(orderedOnly)].map(({ group, topics }) => [group, names(topics)]));
  assert.deepEqual(listed(false).get('g'), ['A', 'B']);
  assert.deepEqual(listed(true).get('g'), ['A']);
  assert.equal(listed(false).has('deleted'), false);
  assert.deepEqual([...listed(false).keys()], [...groups.table.keys()]);
});

test('progress: a counter that is not there is refused by name; to ask for it makes none', () => {
  const { tables, progress } = open();
  tables.stats.countPut(tables.clock.now(), 'T', 3, 30);
  const found = progress.counter('TOPIC_PUT_NUMS', 'T');
  assert.ok(!(found instanceof Refusal));
  assert.deepEqual([found.statsMinute.sum, found.statsHour.sum, found.statsDay.sum], [3, 3, 3]);
  for (const [name, key] of [
    ['TOPIC_PUT_NUMS', 'U'],
    ['NONE', 'T'],
    ['constructor', 'T'],
    ['', ''],
  ] as const) {
    for (let i = 0; i < 2; i++) {
      const outcome = progress.counter(name, key);
      assert.ok(outcome instanceof Refusal);
      assert.equal(outcome.remark, `The stats <${name}> <${key}> not exist`);
    }
  }
  assert.equal(progress.putTps('None'), 0);
  assert.equal(progress.tps('g', 'None'), 0);
});
