import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Perm, parseJavaJson } from '@vernier/remoting';
import { silentLogger } from '@vernier/store';
import { defaultBrokerConfig } from '../../src/broker/config.ts';
import { ConsumerOffsetManager } from '../../src/broker/consumer-offset-manager.ts';
import { SubscriptionGroupManager } from '../../src/broker/subscription-group-manager.ts';
import { TopicConfigManager } from '../../src/broker/topic-config-manager.ts';

const now = () => 1_700_000_000_000;

const textOf = (table: { encode(): Iterable<string> }): string => [...table.encode()].join('');

function topics(config = {}) {
  const changed: number[] = [];
  const manager = new TopicConfigManager(
    { ...defaultBrokerConfig, ...config },
    { logger: silentLogger, now, changed: (list) => changed.push(list.length) },
  );
  return { manager, changed };
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
    ['Known', [0, 3]],
    ['Lost', [1, 5]],
    ['Empty', []],
    ['SCHEDULE_TOPIC_XXXX', [17]],
  ]);
  assert.deepEqual(
    manager.adoptStoredQueues(stored).map(({ topicName }) => topicName),
    ['Lost'],
  );
  assert.equal(manager.select('Lost')?.readQueueNums, 6);
  assert.equal(manager.select('Known')?.readQueueNums, 4);
});

test('a deleted topic whose queues recovery built again is not adopted, also after a restart, until it is made again', () => {
  const { manager } = topics();
  manager.createInSendMessage('Gone', 'TBW102', 4, 0, 'x');
  manager.delete('Gone');
  const restarted = topics().manager;
  restarted.load(JSON.parse(textOf(manager)));
  const stored = new Map([['Gone', [0]]]);
  assert.deepEqual(restarted.adoptStoredQueues(stored), []);
  assert.deepEqual(restarted.deletedAmong(stored), ['Gone']);
  restarted.createInSendMessage('Gone', 'TBW102', 4, 0, 'x');
  assert.deepEqual(restarted.deletedAmong(stored), []);
  assert.equal(JSON.parse(textOf(restarted)).deletedTopics, undefined);
});

test('consumerOffset.json with Java’s bare integer keys is read, and what is written is read again', () => {
  let changes = 0;
  const offsets = new ConsumerOffsetManager(now, () => changes++);
  offsets.load(parseJavaJson('{"dataVersion":{"counter":1},"offsetTable":{"T@g":{0:123,1:456},"U@g":{2:7}}}'));
  assert.equal(changes, 0, 'loading is no change');
  assert.equal(offsets.query('g', 'T', 1), 456);
  offsets.commit('g', 'T', 1, 456);
  assert.equal(changes, 0, 'nor is the same offset again');
  offsets.commit('g', 'T', 1, 400);
  assert.equal(changes, 1);
  const again = new ConsumerOffsetManager(now, () => {});
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
  const offsets = new ConsumerOffsetManager(now, () => {});
  offsets.commit('g', 'T', 0, 10);
  offsets.assignReset('g', 'T', 0, 3);
  assert.equal(offsets.hasReset('g', 'T', 0), true);
  assert.equal(offsets.query('g', 'T', 0), 3);
  assert.equal(offsets.takeReset('g', 'T', 0), 3);
  assert.equal(offsets.takeReset('g', 'T', 0), undefined);
  assert.equal(offsets.query('g', 'T', 0), 3);
});

test('groups are made by their first use when allowed; subscriptionGroup.json survives a round', () => {
  let changes = 0;
  const deps = { logger: silentLogger, now, changed: () => changes++ };
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
