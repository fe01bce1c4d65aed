import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HeartbeatData, ResponseCode, tagSubscription } from '@vernier/remoting';
import { silentLogger } from '@vernier/store';
import { ClientHousekeeping } from '../../src/clients/client-housekeeping.ts';
import { ConsumerManager } from '../../src/clients/consumer-manager.ts';
import { HeartbeatService } from '../../src/clients/heartbeat-service.ts';
import { ProducerManager } from '../../src/clients/producer-manager.ts';
import { tight } from '../budgets.ts';
import { FakeClient } from '../fake-client.ts';
import { Tables, type TablesOptions } from '../table-fixtures.ts';

function open(options: TablesOptions & { clientBytes?: number } = {}) {
  const tables = new Tables(options);
  const { topics, groups, clock } = tables;
  const budget = tight(options.clientBytes ?? Number.POSITIVE_INFINITY);
  const consumers = new ConsumerManager({ logger: silentLogger, budget, notifyEnabled: () => false, clock });
  const producers = new ProducerManager(budget);
  const housekeeping = new ClientHousekeeping(consumers, producers, 120_000, clock, silentLogger);
  const heartbeats = new HeartbeatService({ topics, groups, consumers, producers, housekeeping, clock, budget });
  return { tables, budget, consumers, producers, heartbeats, clock, topics };
}

const consumer = (groupName: string, ...topics: string[]): HeartbeatData['consumers'][number] => ({
  groupName,
  ...({ consumeType: 'CONSUME_PASSIVELY', messageModel: 'CLUSTERING', unitMode: false } as const),
  consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
  subscriptionDataSet: topics.map((topic) => tagSubscription(topic, '*', 1)),
});

const beatOf = (more: Partial<HeartbeatData> = {}): HeartbeatData => ({
  ...{ clientID: 'c', producerGroups: [], consumers: [], heartbeatFingerprint: 0, withoutSub: false },
  ...more,
});

test('heartbeat: a client id of 1,024 characters is taken, a longer one is refused before anything is stored', () => {
  const { tables, heartbeats, budget } = open();
  const before = tables.shown();
  assert.equal(heartbeats.check(beatOf({ clientID: 'c'.repeat(1_024) })), undefined);
  assert.equal(heartbeats.check(beatOf({ clientID: '' })), undefined);
  const refusal = heartbeats.check(beatOf({ clientID: 'c'.repeat(1_025), producerGroups: ['p'] }));
  assert.equal(refusal?.code, ResponseCode.INVALID_PARAMETER);
  assert.equal(refusal?.remark, 'clientID has 1025 characters, at most 1024');
  assert.deepEqual(tables.shown(), before);
  assert.equal(budget.usedBytes, 0);
});

test('heartbeat: a client that is gone already joins nothing and leaves no timer', () => {
  const { tables, heartbeats, consumers, producers, clock, budget } = open();
  const before = tables.shown();
  const client = new FakeClient('c');
  client.end();
  const beat = beatOf({ producerGroups: ['p'], consumers: [consumer('g', 'T')] });
  assert.equal(heartbeats.beat(beat, client), undefined);
  assert.deepEqual([consumers.groupCount, producers.groupCount, clock.timerCount, budget.usedBytes], [0, 0, 0, 0]);
  assert.deepEqual(tables.shown(), before, 'no group and no retry topic is made for it');
});

test('heartbeat: groups that may not be, and names that are none, are passed over; the others join', () => {
  const { tables, heartbeats, consumers, producers, topics } = open({ config: { autoCreateSubscriptionGroup: false } });
  tables.groups.update({ ...tables.groups.preview('TOOLS_CONSUMER')!, groupName: 'known' });
  const beat = beatOf({
    producerGroups: ['', 'p'],
    consumers: ['', 'a b', 'unknown', 'known', '../x'].map((group) => consumer(group, 'T')),
  });
  assert.equal(heartbeats.beat(beat, new FakeClient('c')), undefined);
  assert.deepEqual(consumers.groups(), ['known']);
  assert.deepEqual(producers.groups(), ['p']);
  assert.ok(topics.select('%RETRY%known'));
  assert.equal(topics.select('%RETRY%unknown'), undefined);
  assert.equal(topics.select('%RETRY%'), undefined);
});

test('heartbeat: an empty topic is no subscription', () => {
  const { heartbeats, consumers } = open();
  heartbeats.beat(beatOf({ consumers: [consumer('g', '', 'T')] }), new FakeClient('c'));
  assert.deepEqual([...(consumers.group('g')?.subscriptionTable.keys() ?? [])], ['T']);
});

test('heartbeat: one without subscriptions keeps those that are known; for an unknown group it says that it has none', () => {
  const { heartbeats, consumers } = open();
  const client = new FakeClient('c');
  const topicsOf = (group: string): string[] => [...(consumers.group(group)?.subscriptionTable.keys() ?? [])];
  heartbeats.beat(beatOf({ consumers: [consumer('g', 'T')] }), client);
  heartbeats.beat(beatOf({ consumers: [consumer('g'), consumer('h')], withoutSub: true }), client);
  assert.deepEqual([topicsOf('g'), topicsOf('h')], [['T'], []]);
  heartbeats.beat(beatOf({ consumers: [consumer('g')] }), client);
  assert.deepEqual(topicsOf('g'), []);
});

test('heartbeat: without room it is refused with the numbers, and its end gives back all that it took', () => {
  const { heartbeats, consumers, producers, budget } = open({ clientBytes: 3_000 });
  const client = new FakeClient('c');
  const many = Array.from({ length: 20 }, (_, i) => `p${i}`);
  const refusal = heartbeats.beat(beatOf({ producerGroups: many }), client);
  assert.equal(refusal?.code, ResponseCode.SYSTEM_BUSY);
  assert.match(refusal?.remark ?? '', /^heartbeat: there is no room for more of it: \d+ bytes are taken/);
  assert.ok(producers.groupCount > 0 && producers.groupCount < 20);
  const late = heartbeats.beat(beatOf({ consumers: [consumer('g', 'T')] }), client);
  assert.equal(late?.code, ResponseCode.SYSTEM_BUSY);
  assert.equal(consumers.group('g'), undefined);
  assert.equal(heartbeats.beat(beatOf({ producerGroups: ['p0'] }), client), undefined, 'who is there may stay');
  client.end();
  assert.equal(budget.usedBytes, 0);
  assert.equal(producers.groupCount, 0);
});

test('heartbeat: refused ones are watched as taken ones are: what did join falls silent', async () => {
  const { heartbeats, producers, clock } = open({ clientBytes: 700 });
  const client = new FakeClient('c');
  assert.equal(heartbeats.beat(beatOf({ producerGroups: ['p', 'q'] }), client)?.code, ResponseCode.SYSTEM_BUSY);
  assert.deepEqual(producers.groups(), ['p']);
  assert.equal(clock.timerCount, 1);
  await clock.advance(140_000);
  assert.match(client.disconnectedFor ?? '', /no heartbeat/);
  assert.deepEqual([producers.groupCount, clock.timerCount], [0, 0]);
});

test('heartbeat: who leaves one group stays in the others; who leaves what he is not in changes nothing', () => {
  const { heartbeats, consumers, producers } = open();
  const [client, other] = [new FakeClient('c'), new FakeClient('d')];
  heartbeats.beat(beatOf({ producerGroups: ['p'], consumers: [consumer('g', 'T'), consumer('h', 'T')] }), client);
  heartbeats.leave(other, 'p', 'g');
  heartbeats.leave(client, undefined, undefined);
  heartbeats.leave(client, 'none', 'none');
  assert.deepEqual([consumers.groups(), producers.groups()], [['g', 'h'], ['p']]);
  heartbeats.leave(client, undefined, 'g');
  assert.deepEqual([consumers.groups(), producers.groups()], [['h'], ['p']]);
  heartbeats.leave(client, 'p', 'h');
  assert.deepEqual([consumers.groups(), producers.groups()], [[], []]);
});
