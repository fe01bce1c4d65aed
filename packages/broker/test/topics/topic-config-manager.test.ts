import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTopicConfig, Perm, TopicSysFlag } from '@vernier/remoting';
import { fileOf, Tables, textOf } from '../table-fixtures.ts';

const create = ({ topics }: Tables, topic: string, queueNums: number, template = 'TBW102') =>
  topics.createInSendMessage(topic, template, queueNums, 0, '10.0.0.1:1');

test('topics: a topic that a message makes has a queue at least, whatever the producer asks for', () => {
  const tables = new Tables();
  const counts = [0, -1, -(2 ** 31), 1, 7, 8, 9, 2 ** 31].map(
    (queueNums, index) => create(tables, `T${index}`, queueNums)?.writeQueueNums,
  );
  assert.deepEqual(counts, [1, 1, 1, 1, 7, 8, 8, 8]);
  for (let index = 0; index < counts.length; index++) {
    const topic = tables.topics.select(`T${index}`);
    assert.equal(topic?.readQueueNums, topic?.writeQueueNums, 'what is written can be read');
  }
});

test('topics: a template without queues that may be written makes a topic that can be used all the same', () => {
  const tables = new Tables();
  tables.topic('Template', { perm: 7, readQueueNums: 0, writeQueueNums: 0 });
  assert.equal(create(tables, 'T', 4, 'Template')?.writeQueueNums, 1);
});

test('topics: a template that is missing, forbids it or is switched off makes nothing', () => {
  const tables = new Tables();
  tables.topic('Closed', { perm: Perm.READ | Perm.WRITE });
  const before = tables.shown();
  for (const template of ['', 'None', 'Closed', 'BenchmarkTest', '__proto__']) {
    assert.equal(create(tables, 'T', 4, template), undefined, template);
  }
  assert.deepEqual(tables.shown(), before);
  tables.config.autoCreateTopicEnable = false;
  assert.equal(create(tables, 'T', 4), undefined);
  assert.deepEqual(tables.shown(), before);
  assert.ok(create(tables, 'T', 4, 'DefaultCluster'), 'the switch is that of TBW102 alone');
});

test('topics: one made from a template has its kind and flags and never its right to be one', () => {
  const tables = new Tables();
  tables.topic('Template', { perm: Perm.READ | Perm.INHERIT, topicFilterType: 'MULTI_TAG', order: true });
  const made = tables.topics.createInSendMessage('T', 'Template', 2, TopicSysFlag.UNIT, 'x');
  assert.deepEqual(
    made,
    createTopicConfig('T', {
      ...{ readQueueNums: 2, writeQueueNums: 2, perm: Perm.READ, topicFilterType: 'MULTI_TAG' as const },
      topicSysFlag: TopicSysFlag.UNIT,
    }),
  );
  assert.equal(create(tables, 'U', 4, 'T'), undefined, 'what was made from a template is none');
});

test('topics: a topic that is there is neither remade nor announced by another send', () => {
  const tables = new Tables();
  const first = create(tables, 'T', 2);
  const before = tables.shown();
  assert.equal(create(tables, 'T', 8), first);
  assert.equal(create(tables, 'T', 8, 'None'), first);
  assert.equal(tables.topics.createInSendMessageBack('T', 8, 6, 0), first);
  assert.deepEqual(tables.shown(), before);
});

test('topics: the room is that of what is there, through making, replacing and deleting', () => {
  const tables = new Tables();
  const { topics, budgets } = tables;
  const empty = budgets.topics.usedBytes;
  tables.topic('T');
  const plain = budgets.topics.usedBytes;
  tables.topic('T', { attributes: new Map([['message.type', 'FIFO']]) });
  assert.ok(budgets.topics.usedBytes > plain);
  tables.topic('T', { readQueueNums: 65_536 });
  assert.equal(budgets.topics.usedBytes, plain);
  assert.equal(topics.delete('T'), true);
  assert.equal(topics.delete('T'), false);
  assert.equal(topics.delete('toString'), false);
  assert.equal(budgets.topics.usedBytes, empty);
  const version = topics.dataVersion;
  assert.equal(topics.delete('T'), false);
  assert.equal(topics.dataVersion, version);
});

test('topics: to read the table, ask for room or write it out moves no version', () => {
  const tables = new Tables();
  const { topics } = tables;
  tables.topic('T');
  const version = topics.dataVersion;
  topics.select('T');
  topics.select('None');
  topics.hasRoomFor([createTopicConfig('U')]);
  topics.systemTopics();
  assert.equal(textOf(topics), textOf(topics));
  assert.equal(topics.adoptStoredQueues(new Map([['T', [0, 9]]])).length, 0);
  assert.equal(topics.dataVersion, version);
  topics.touch();
  assert.equal(topics.dataVersion.counter, version.counter + 1);
});

test('topics: the list of system topics is a copy, and a name that begins like one is one', () => {
  const { topics } = new Tables();
  topics.systemTopics().length = 0;
  topics.systemTopics().push('Mine');
  assert.equal(topics.isSystemTopic('Mine'), false);
  assert.equal(topics.isSystemTopic('TBW102'), true);
  assert.equal(topics.isSystemTopic('rmq_sys_'), true);
  assert.equal(topics.isSystemTopic('rmq_sy'), false);
  assert.equal(topics.isSystemTopic('RMQ_SYS_x'), false);
  assert.equal(topics.isMadeAtStart('RMQ_SYS_TRACE_TOPIC'), false, 'only with traceTopicEnable');
  assert.equal(new Tables({ config: { traceTopicEnable: true } }).topics.isMadeAtStart('RMQ_SYS_TRACE_TOPIC'), true);
});

test('topics: names of every object are read back as topics of their own', () => {
  const tables = new Tables();
  for (const name of ['__proto__', 'constructor', 'hasOwnProperty']) {
    assert.equal(tables.topics.select(name), undefined);
    assert.ok(create(tables, name, 3));
  }
  const again = new Tables();
  again.topics.load(fileOf(tables.topics));
  assert.deepEqual(again.topics.table, tables.topics.table);
  assert.deepEqual(again.topics.dataVersion, tables.topics.dataVersion);
});

test('topics: a file keeps what an operator changed of the boot topics, and lacks none of them', () => {
  const tables = new Tables();
  tables.topics.load({ topicConfigTable: { TBW102: { perm: 1, readQueueNums: 3, writeQueueNums: 3 } } });
  assert.equal(tables.topics.select('TBW102')?.perm, 1);
  assert.equal(tables.topics.select('BenchmarkTest')?.readQueueNums, 1_024);
  assert.equal(tables.changes.topics, 0, 'loading is no change');
  const empty = new Tables();
  const bytes = empty.budgets.topics.usedBytes;
  empty.topics.load({});
  empty.topics.load(fileOf(empty.topics));
  assert.equal(empty.budgets.topics.usedBytes, bytes, 'what is loaded over itself takes no more room');
  for (const file of [[], 'x', { topicConfigTable: [1] }, { topicConfigTable: { T: 'x' } }]) {
    assert.throws(() => new Tables().topics.load(file), { code: 'REMOTING_BODY_INVALID' }, JSON.stringify(file));
  }
});

test('topics: queues of the store whose topic is not known get one as wide as the highest of them, batch queues as such', () => {
  const tables = new Tables();
  const adopted = tables.topics.adoptStoredQueues(
    new Map([
      ['Gaps', [7, 2]],
      ['Both', [0]],
      ['Empty', []],
      ['Batch', [1]],
    ]),
    (topic) => topic === 'Batch',
  );
  const shown = adopted.map(({ topicName, readQueueNums, writeQueueNums, attributes }) => [
    ...[topicName, readQueueNums, writeQueueNums],
    Object.fromEntries(attributes),
  ]);
  assert.deepEqual(shown.slice(0, 2), [
    ['Gaps', 8, 8, {}],
    ['Both', 1, 1, {}],
  ]);
  assert.deepEqual(shown.at(-1), ['Batch', 2, 2, { 'queue.type': 'BatchCQ' }]);
  assert.equal(tables.topics.select('Empty'), undefined);
  assert.equal(tables.changes.topics, 1, 'all of them are one change');
});

test('topics: a deletion that fails gives its mark back', async () => {
  const { topics } = new Tables();
  await assert.rejects(
    topics.whileDeleting(['T', 'U'], () => {
      assert.deepEqual([topics.isBeingDeleted('T'), topics.isBeingDeleted('U')], [true, true]);
      return Promise.reject(new Error('EIO'));
    }),
    /EIO/,
  );
  assert.deepEqual([topics.isBeingDeleted('T'), topics.isBeingDeleted('U')], [false, false]);
});
