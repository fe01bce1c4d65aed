import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Perm, parseJavaJson } from '@vernier/remoting';
import { silentLogger } from '@vernier/store';
import { defaultBrokerConfig } from '../src/config.ts';
import { SubscriptionGroupManager } from '../src/groups/subscription-group-manager.ts';
import { ConsumerOffsetManager } from '../src/offsets/consumer-offset-manager.ts';
import { TopicConfigManager } from '../src/topics/topic-config-manager.ts';
import { roomy, tight } from './budgets.ts';

const now = () => 1_700_000_000_000;

const textOf = (table: { encode(): Iterable<string> }): string => [...table.encode()].join('');

function topics(config = {}, bytes = Number.POSITIVE_INFINITY) {
  const changed: number[] = [];
  const budget = tight(bytes);
  const manager = new TopicConfigManager(
    { ...defaultBrokerConfig, ...config },
    { logger: silentLogger, now, changed: (list) => changed.push(list.length), budget },
  );
  return { manager, changed, budget };
}

test('auto-creation takes at most the template’s queues and its permissions without the inherit bit', () => {
  const { manager, changed } = topics();
  assert.equal(manager.createInSendMessage('A', 'TBW102', 100, 0, 'x')?.writeQueueNums, 8);
  assert.equal(manager.createInSendMessage('B', 'TBW102', 2, 1, 'x')?.writeQueueNums, 2);
  assert.equal(manager.select('B')?.perm, Perm.READ | Perm.WRITE);
  assert.equal(manager.select('B')?.topicSysFlag, 1);
  assert.equal(manager.createInSendMessage('A', 'TBW102', 1, 0, 'x')?.writeQueueNums, 8, 'a known one stays');
  assert.equal(manager.createInSendMessage('C', 'none', 4, 0, 'x'), undefined);
  assert.deepEqual(changed, [1, 1]);
  assert.equal(manager.dataVersion.counter, 2);
});

test('autoCreateTopicEnable=false: no TBW102, and one left in a file is no template', () => {
  const { manager } = topics({ autoCreateTopicEnable: false });
  assert.equal(manager.select('TBW102'), undefined);
  manager.load({ topicConfigTable: { TBW102: { perm: 7, readQueueNums: 8, writeQueueNums: 8 } } });
  assert.equal(manager.createInSendMessage('A', 'TBW102', 4, 0, 'x'), undefined);
});

test('topics.json as Java writes it is read, and what is written is read again', () => {
  const { manager } = topics();
  manager.load(
    parseJavaJson(`{
	"dataVersion":{"counter":7,"stateVersion":0,"timestamp":1690000000000},
	"topicConfigTable":{"Old":{"attributes":{"message.type":"FIFO"},"order":true,"perm":6,"readQueueNums":3,
	"topicFilterType":"MULTI_TAG","topicName":"Old","topicSysFlag":0,"writeQueueNums":2,"unknown":1}}}`),
  );
  const other = topics().manager;
  other.load(JSON.parse(textOf(manager)));
  assert.deepEqual(other.select('Old'), {
    topicName: 'Old',
    readQueueNums: 3,
    writeQueueNums: 2,
    perm: 6,
    topicFilterType: 'MULTI_TAG',
    topicSysFlag: 0,
    order: true,
    attributes: new Map([['message.type', 'FIFO']]),
  });
  assert.deepEqual(other.dataVersion, { counter: 7, stateVersion: 0, timestamp: 1_690_000_000_000 });
  assert.throws(() => manager.load({ topicConfigTable: 'nonsense' }));
});

test('queues of the store that the table does not know are adopted, the rest is left alone', () => {
  const { manager } = topics();
  manager.createInSendMessage('Known', 'TBW102', 4, 0, 'x');
  const stored = new Map([
    ['Known', [0, 3, 7]],
    ['Lost', [1, 5]],
    ['Empty', []],
    ['SCHEDULE_TOPIC_XXXX', [17]],
  ]);
  assert.deepEqual(
    manager.adoptStoredQueues(stored).map(({ topicName }) => topicName),
    ['Lost'],
  );
  assert.equal(manager.select('Lost')?.readQueueNums, 6);
  assert.equal(manager.select('Known')?.readQueueNums, 4, 'an operator may have taken the others away');
  assert.equal(manager.select('SCHEDULE_TOPIC_XXXX')?.readQueueNums, 18);
});

test('a list of deleted topics, as it once stood in topics.json, keeps nobody from the topic’s messages', () => {
  const { manager } = topics();
  const file = JSON.parse(textOf(manager));
  manager.load({ ...file, deletedTopics: ['Remade'] });
  assert.deepEqual(
    manager.adoptStoredQueues(new Map([['Remade', [0]]])).map(({ topicName }) => topicName),
    ['Remade'],
  );
  assert.equal(JSON.parse(textOf(manager)).deletedTopics, undefined);
});

test('consumerOffset.json with Java’s bare integer keys is read, and what is written is read again', () => {
  let changes = 0;
  const offsets = new ConsumerOffsetManager(now, () => changes++, roomy());
  offsets.load(parseJavaJson('{"dataVersion":{"counter":1},"offsetTable":{"T@g":{0:123,1:456},"U@g":{2:7}}}'));
  assert.equal(changes, 0, 'loading is no change');
  assert.equal(offsets.query('g', 'T', 1), 456);
  offsets.commit('g', 'T', 1, 456);
  assert.equal(changes, 0, 'nor is the same offset again');
  offsets.commit('g', 'T', 1, 400);
  assert.equal(changes, 1);
  const again = new ConsumerOffsetManager(now, () => {}, roomy());
  again.load(JSON.parse(textOf(offsets)));
  assert.deepEqual([again.query('g', 'T', 0), again.query('g', 'T', 1), again.query('g', 'U', 2)], [123, 400, 7]);
  assert.deepEqual(again.topicsOfGroup('g').sort(), ['T', 'U']);
  assert.deepEqual(again.groupsOfTopic('T'), ['g']);
  again.removeTopic('T');
  assert.equal(again.query('g', 'T', 0), -1);
  again.removeGroup('g');
  assert.equal(again.query('g', 'U', 2), -1);
});

test('a reset is committed, seen by queries, and taken once', () => {
  const offsets = new ConsumerOffsetManager(now, () => {}, roomy());
  offsets.commit('g', 'T', 0, 10);
  offsets.assignResets('g', 'T', new Map([[0, 3]]));
  assert.equal(offsets.hasReset('g', 'T', 0), true);
  assert.equal(offsets.query('g', 'T', 0), 3);
  assert.equal(offsets.takeReset('g', 'T', 0), 3);
  assert.equal(offsets.takeReset('g', 'T', 0), undefined);
  assert.equal(offsets.query('g', 'T', 0), 3);
});

test('groups are made by their first use when allowed; subscriptionGroup.json survives a round', () => {
  let changes = 0;
  const deps = { logger: silentLogger, now, changed: () => changes++, budget: roomy() };
  const groups = new SubscriptionGroupManager(defaultBrokerConfig, deps);
  assert.equal(groups.find('g')?.retryMaxTimes, 16);
  assert.equal(changes, 1);
  assert.equal(groups.find('bad name'), undefined);
  const text = textOf(groups);
  const closed = new SubscriptionGroupManager({ ...defaultBrokerConfig, autoCreateSubscriptionGroup: false }, deps);
  closed.load(JSON.parse(text));
  assert.ok(closed.find('g'));
  assert.equal(closed.find('h'), undefined);
  assert.ok(closed.find('TOOLS_CONSUMER'));
});

test('offsets beyond the room for them are refused, and room comes back with what goes', () => {
  const budget = tight(2_000);
  const offsets = new ConsumerOffsetManager(now, () => {}, budget);
  let kept = 0;
  while (offsets.commit('g', `T${kept}`, 0, 1)) kept++;
  assert.ok(kept > 3 && kept < 10, `${kept} kept`);
  assert.equal(budget.refusedCount, 1);
  assert.equal(offsets.query('g', `T${kept}`, 0), -1);
  assert.equal(offsets.commit('g', 'T0', 0, 2), true, 'what is there goes on');
  assert.equal(offsets.query('g', 'T0', 0), 2);
  for (let i = 0; i < 50; i++) offsets.commitPull('g', `T${i}`, 0, 1);
  assert.ok(budget.usedBytes <= 2_000);
  offsets.removeTopic('T1');
  assert.equal(offsets.commit('g', 'T1', 0, 1), true);
  offsets.removeGroup('g');
  assert.equal(budget.usedBytes, 0);
  assert.equal(offsets.assignResets('g', 'T', new Map([[0, 5]])), true);
  offsets.takeReset('g', 'T', 0);
  offsets.removeGroup('g');
  assert.equal(budget.usedBytes, 0);
  const many = { offsetTable: Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`T${i}@g`, { 0: 1 }])) };
  offsets.load(many);
  assert.equal(offsets.query('g', 'T99', 0), 1, 'what is on disk is loaded whatever it takes');
  assert.equal(offsets.commit('g', 'U', 0, 1), false);
});

test('groups and topics beyond the room for them are refused, and what goes makes room', () => {
  const budget = tight(30_000);
  const groups = new SubscriptionGroupManager(defaultBrokerConfig, {
    ...{ logger: silentLogger, now, budget },
    changed: () => {},
  });
  const before = budget.usedBytes;
  let made = 0;
  while (groups.find(`g${made}`) !== undefined) made++;
  assert.ok(made > 1 && made < 30, `${made} made`);
  assert.equal(groups.has(`g${made}`), false);
  for (let i = 0; i < made; i++) groups.delete(`g${i}`);
  assert.equal(budget.usedBytes, before);
  assert.ok(groups.find('again'));

  const { manager, budget: topicBudget } = topics({}, 30_000);
  const bytes = topicBudget.usedBytes;
  let count = 0;
  while (manager.hasRoomFor([{ ...manager.select('TBW102')!, topicName: `T${count}` }])) {
    manager.createInSendMessage(`T${count}`, 'TBW102', 4, 0, 'x');
    count++;
  }
  assert.ok(count > 1 && count < 40, `${count} topics`);
  for (let i = 0; i < count; i++) manager.delete(`T${i}`);
  assert.equal(topicBudget.usedBytes, bytes);
});
