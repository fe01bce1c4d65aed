import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTopicConfig } from '@vernier/remoting';
import { silentLogger } from '@vernier/store';
import { Budget } from '../../src/base/budget.ts';
import { Refusal } from '../../src/base/refusal.ts';
import { MESSAGE_TYPES, MessageMeters } from '../../src/stats/message-meters.ts';
import { property } from '../harness.ts';
import { caller, MachineBroker } from '../machine-broker.ts';

const LARGE = { seriesMax: 1_000, bytesMax: 1024 * 1024 };

function meters(seriesMax = 1_000, bytesMax = 1024 * 1024) {
  const budget = new Budget('metricsBytesMax', () => bytesMax, silentLogger);
  return { budget, meters: new MessageMeters(seriesMax, budget) };
}

const inRows = (of: MessageMeters) =>
  [...of.in()].map(({ topic, type, messages, bytes }) => [topic, MESSAGE_TYPES[type], messages, bytes]);

test('meters: what comes in by topic and type, what goes out by topic and group', () => {
  const { meters: of } = meters();
  of.countIn('T', 0, 1, 100);
  of.countIn('T', 0, 10, 5_000);
  of.countIn('T', 2, 1, 5_000_000);
  of.countOut('T', 'g', 3, 300);
  of.countOut('T', 'h', 1, 100);
  of.countOut('T', 'g', 1, 100);
  assert.deepEqual(inRows(of), [
    ['T', 'normal', 11, 5_100],
    ['T', 'delay', 1, 5_000_000],
  ]);
  const [first, second] = [...of.in()];
  assert.deepEqual(first!.sizes.counts, [2, 0, 0, 0, 0, 0, 0], 'a batch is one message of the average size');
  assert.equal(first!.sizes.sum, 600);
  assert.deepEqual(second!.sizes.counts, [0, 0, 0, 0, 0, 0, 1]);
  assert.deepEqual(
    [...of.out()].map(({ group, messages, bytes }) => [group, messages, bytes]),
    [
      ['g', 4, 400],
      ['h', 1, 100],
    ],
  );
});

test('meters: beyond the rows of a table sums stay true, and what is deleted makes room', () => {
  const { meters: of, budget } = meters(2);
  for (const topic of ['A', 'B', 'C', 'D']) of.countIn(topic, 0, 1, 10);
  for (const group of ['a', 'b', 'c', 'd']) of.countOut('A', group, 1, 10);
  for (const topic of ['A', 'B', 'C']) of.countEvent('rollbacks', topic);
  assert.deepEqual(inRows(of), [
    ['A', 'normal', 1, 10],
    ['B', 'normal', 1, 10],
    [undefined, 'normal', 2, 20],
  ]);
  assert.deepEqual(
    [...of.out()].map(({ topic, group, messages }) => [topic, group, messages]),
    [
      ['A', 'a', 1],
      ['A', 'b', 1],
      [undefined, '', 2],
    ],
  );
  assert.deepEqual(
    [...of.events('rollbacks')].map(({ topic, count }) => [topic, count]),
    [
      ['A', 1],
      ['B', 1],
      [undefined, 1],
    ],
  );
  of.forgetTopic('A');
  of.countIn('C', 0, 1, 10);
  assert.deepEqual(inRows(of)[1], ['C', 'normal', 1, 10]);
  for (const topic of ['B', 'C']) of.forgetTopic(topic);
  assert.equal(budget.usedBytes, 0, 'what was taken is given back');
});

test('meters: rows of one topic and group that differ in a detail go with them', () => {
  const { meters: of, budget } = meters();
  for (const detail of ['CK 0', 'ACK 0', 'CK 0']) of.countEvent('reviveOut', 'T', 'g', 1, detail);
  of.countEvent('reviveOut', 'T', 'h', 2, 'CK 1');
  const rows = () => [...of.events('reviveOut')].map(({ group, detail, count }) => [group, detail, count]);
  assert.deepEqual(rows(), [
    ['g', 'CK 0', 2],
    ['g', 'ACK 0', 1],
    ['h', 'CK 1', 2],
  ]);
  of.forgetGroup('g');
  assert.deepEqual(rows(), [['h', 'CK 1', 2]]);
  of.forgetTopic('T');
  assert.equal(budget.usedBytes, 0);
});

test('meters: what operators make is timed, done or refused', async () => {
  const broker = await MachineBroker.start({ meters: LARGE });
  const { topicAdmin, groupAdmin, stats } = broker.context;
  const topic = createTopicConfig('Made');
  const run = (work: Promise<unknown>) => broker.machine.until(work, 'admin');
  assert.equal(await run(topicAdmin.update([{ topic, attributes: undefined }])), undefined);
  assert.ok(await run(topicAdmin.update([{ topic: createTopicConfig('a b'), attributes: undefined }])));
  assert.ok(await run(topicAdmin.update([{ topic: createTopicConfig('TBW102'), attributes: undefined }])));
  assert.equal(await run(groupAdmin.update([{ groupName: 'made' }])), undefined);
  const rows = [...stats.meters!.creations()].map(({ isTopic, isSuccess, isSystem, times }) => [
    ...[isTopic ? 'topic' : 'group', isSuccess, isSystem, times.counts.reduce((sum, count) => sum + count)],
  ]);
  assert.deepEqual(rows, [
    ['topic', true, false, 1],
    ['topic', false, false, 1],
    ['topic', false, true, 1],
    ['group', true, false, 1],
  ]);
  await broker.stop();
});

test('meters: the bytes of names are bounded, and a group that goes gives its own back', () => {
  const { meters: of, budget } = meters(1_000, 64 * 1024);
  for (let i = 0; i < 10_000; i++) of.countOut(`topic${i}`, `group${i}`.padEnd(100, 'x'), 1, 1);
  assert.ok(budget.usedBytes <= 64 * 1024, `${budget.usedBytes} bytes`);
  let messages = 0;
  for (const row of of.out()) messages += row.messages;
  assert.equal(messages, 10_000);
  for (const { group } of [...of.out()]) of.forgetGroup(group);
  assert.equal(budget.usedBytes, 0);
});

test('meters: light queues are one row', () => {
  const { meters: of } = meters();
  for (let i = 0; i < 50; i++) {
    of.countIn(`%LMQ%${i}`, 0, 1, 10);
    of.countOut(`%LMQ%${i}`, `%LMQ%g${i}`, 1, 10);
  }
  assert.deepEqual(inRows(of), [['%LMQ%', 'normal', 50, 500]]);
  assert.equal([...of.out()].length, 1);
});

test('meters: a broker counts by type what clients send, and neither retries nor its own records', async () => {
  const broker = await MachineBroker.start({ meters: LARGE });
  await broker.send('T', 'a');
  await broker.send('T', 'b', property('__SHARDINGKEY', 'k'));
  await broker.send('T', 'c', property('DELAY', '3'));
  const of = broker.context.stats.meters!;
  assert.deepEqual(
    inRows(of).map(([topic, type, messages]) => [topic, type, messages]),
    [
      ['T', 'normal', 1],
      ['T', 'fifo', 1],
      ['SCHEDULE_TOPIC_XXXX', 'delay', 1],
    ],
    'a delayed message came into the topic that it waits in, as RocketMQ counts',
  );
  const { put } = broker.context;
  const message = {
    ...{ topic: 'T', queueId: 0, flag: 0, sysFlag: 0, bornTimestamp: 1, reconsumeTimes: 0, properties: '' },
    ...{ body: Buffer.from('x'), defaultTopic: 'TBW102' },
  };
  for (const origin of ['send-back', 'transaction', 'revive'] as const) {
    const outcome = await broker.machine.until(Promise.resolve(put.put(message, caller, origin, (one) => one)), origin);
    assert.ok(!(outcome instanceof Refusal));
  }
  assert.equal(inRows(of)[0]![2], 1);
  broker.context.groups.find('g');
  await broker.send('%RETRY%g', 'again');
  assert.ok(!inRows(of).some(([topic]) => String(topic).startsWith('%RETRY%')));
  await broker.stop();
});

test('meters: what waits for a time, for how long, and what is done waiting', async () => {
  const broker = await MachineBroker.start({ meters: LARGE });
  const bornTimestamp = broker.machine.scheduler.now();
  await broker.send('T', 'later', property('TIMER_DELAY_SEC', '100'), { bornTimestamp });
  await broker.machine.advance(5_000);
  const of = broker.context.stats.meters!;
  const [enqueued] = [...of.events('timerEnqueued')];
  assert.deepEqual([enqueued!.topic, enqueued!.count], ['T', 1]);
  assert.deepEqual(enqueued!.latency!.counts, [0, 1, 0, 0, 0, 0, 0], 'above a minute, at most ten');
  assert.deepEqual([...of.events('timerDequeued')], []);
  await broker.machine.advance(110_000);
  assert.deepEqual(
    [...of.events('timerDequeued')].map(({ topic, count }) => [topic, count]),
    [['T', 1]],
  );
  await broker.stop();
});

test('meters: without an exporter there are none', async () => {
  const broker = await MachineBroker.start();
  await broker.send('T', 'a');
  assert.equal(broker.context.stats.meters, undefined);
  await broker.stop();
});

test('meters: a message that a consumer gave up on counts for its group', async () => {
  const broker = await MachineBroker.start({ meters: LARGE });
  broker.context.groups.find('g');
  await broker.send('%RETRY%g', 'tired', '', { reconsumeTimes: 99 });
  assert.deepEqual(
    [...broker.context.stats.meters!.events('deadLetters')].map(({ topic, group, count }) => [topic, group, count]),
    [['%RETRY%g', 'g', 1]],
  );
  await broker.stop();
});
