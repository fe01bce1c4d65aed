import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createTopicConfig,
  decodeTopicRouteData,
  encodeTopicRouteData,
  type RemotingConnection,
  silentLogger,
  type TopicConfig,
} from '@vernier/remoting';
import { ManualClock } from '@vernier/torture';
import { BROKERS_MAX } from '../../src/namesrv/broker-live-table.ts';
import { defaultNamesrvConfig } from '../../src/namesrv/namesrv-config.ts';
import { type BrokerRegistration, RouteInfoManager } from '../../src/namesrv/route-info-manager.ts';
import { TOPIC_ENTRIES_MAX } from '../../src/namesrv/topic-queue-table.ts';

/** Stands for a connection: only its identity counts here. */
const connection = (): RemotingConnection => ({ destroy: () => {} }) as unknown as RemotingConnection;

function manager() {
  const clock = new ManualClock();
  const warnings: string[] = [];
  const logger = { ...silentLogger, warn: (_: object, message: string) => warnings.push(message) };
  const config = { ...defaultNamesrvConfig };
  const routes = new RouteInfoManager({ config, clock, logger, resolveBrokerAddress: (address) => address });
  return { routes, clock, warnings, config };
}

const topicsOf = (...configs: TopicConfig[]): Map<string, TopicConfig> =>
  new Map(configs.map((config) => [config.topicName, config]));

const registration = (more: Partial<BrokerRegistration> = {}, ...configs: TopicConfig[]): BrokerRegistration => ({
  clusterName: 'C',
  brokerName: 'b',
  brokerId: 0,
  brokerAddr: '10.0.0.1:10911',
  haServerAddr: '',
  topicConfig: {
    dataVersion: { stateVersion: 0, timestamp: 1, counter: 1 },
    topicConfigTable: topicsOf(
      ...(configs.length === 0 ? [createTopicConfig('T1'), createTopicConfig('T2')] : configs),
    ),
  },
  ...more,
});

test('a broker without a usable name or address is refused, and leaves nothing behind', () => {
  const { routes } = manager();
  const wrong: [Partial<BrokerRegistration>, RegExp][] = [
    [{ clusterName: '' }, /the name of the cluster is empty/],
    [{ brokerName: 'x'.repeat(256) }, /the name of the broker has 256 bytes, at most 255/],
    [{ brokerName: 'ä'.repeat(128) }, /the name of the broker has 256 bytes/],
    [{ brokerName: 'a\nb' }, /the name of the broker has a control character at 1/],
    [{ zoneName: '' }, /the name of the zone is empty/],
    [{ brokerAddr: '10.0.0.1' }, /brokerAddr is '10\.0\.0\.1', which is no host:port/],
    [{ brokerAddr: `${'x'.repeat(300)}:1` }, /brokerAddr has 302 bytes, at most 261/],
    [{ haServerAddr: 'nowhere' }, /haServerAddr is 'nowhere'/],
    [{ brokerId: -1 }, /brokerId is -1/],
    [{ heartbeatTimeoutMs: -1 }, /heartbeatTimeoutMillis is -1/],
  ];
  for (const [more, reason] of wrong) {
    assert.match(routes.registerBroker(registration(more), connection()).refused ?? '', reason);
  }
  assert.deepEqual([routes.topics.size, routes.table.size, routes.table.clusters.size], [0, 0, 0]);
  // What brokers are named by default: a host name with dots.
  assert.equal(
    routes.registerBroker(registration({ brokerName: 'host-1.example.org' }), connection()).refused,
    undefined,
  );
});

test('topics that cannot be are left out with one line, the others are routable', () => {
  const { routes, warnings } = manager();
  const many = registration(
    {},
    createTopicConfig('Good'),
    createTopicConfig('Wide', { readQueueNums: 4_000_000 }),
    createTopicConfig('Negative', { writeQueueNums: -1 }),
    createTopicConfig('Half', { readQueueNums: 1.5 }),
    createTopicConfig('Perm', { perm: 99 }),
    createTopicConfig('x'.repeat(256)),
    createTopicConfig(''),
    createTopicConfig('Most', { readQueueNums: 65_536, writeQueueNums: 65_536, perm: 15 }),
  );
  const from = connection();
  assert.equal(routes.registerBroker(many, from).refused, undefined);
  assert.deepEqual(routes.topics.topics.sort(), ['Good', 'Most']);
  assert.deepEqual(warnings, [
    'registration of b: 6 topics left out; the first: readQueueNums of the topic Wide is 4000000; allowed are 0 to 65536',
  ]);
  // It comes again each 30 s.
  routes.registerBroker(many, from);
  assert.equal(warnings.length, 1);
});

test('a broker of this process is no exception: a topic that no client could use is left out', () => {
  const { routes, warnings } = manager();
  routes.registerBroker(registration({}, createTopicConfig('Wide', { readQueueNums: 4_000_001 })), undefined);
  assert.equal(routes.pickupTopicRouteData('Wide'), undefined);
  assert.equal(warnings.length, 1);
});

test('a mapping nested 100,000 deep does not take the topic’s route along', () => {
  const { routes } = manager();
  let deep: unknown = 1;
  for (let depth = 0; depth < 100_000; depth++) deep = [deep];
  const mapping = {
    bname: 'b',
    currIdMap: { 0: 0, 1: 1, x: 2, 2: 'y', 3: deep },
    dirty: false,
    epoch: 7,
    scope: '__global__',
    topic: 'T1',
    totalQueues: 2,
    more: deep,
  };
  const topicQueueMappingInfo = new Map<string, unknown>([
    ['T1', mapping],
    ['T2', deep],
  ]);
  routes.registerBroker(registration({ topicQueueMappingInfo }), connection());
  const encoded = encodeTopicRouteData(routes.pickupTopicRouteData('T1') ?? assert.fail('no route'));
  const kept = decodeTopicRouteData(encoded).topicQueueMappingByBroker?.get('b');
  assert.deepEqual(kept, {
    bname: 'b',
    currIdMap: { 0: 0, 1: 1 },
    dirty: false,
    epoch: 7,
    scope: '__global__',
    topic: 'T1',
    totalQueues: 2,
  });
  const other = routes.pickupTopicRouteData('T2') ?? assert.fail('no route');
  assert.equal(other.topicQueueMappingByBroker, undefined);
  encodeTopicRouteData(other);
});

test('mappings are of bounded size and go with their broker', () => {
  const { routes, warnings } = manager();
  const currIdMap = Object.fromEntries(Array.from({ length: 10_000 }, (_, id) => [id, id]));
  const huge = { topic: 'T1', bname: 'b', currIdMap };
  const small = { topic: 'T2', bname: 'b', currIdMap: { 0: 0 } };
  const topicQueueMappingInfo = new Map<string, unknown>([
    ['T1', huge],
    ['T2', small],
  ]);
  routes.registerBroker(registration({ topicQueueMappingInfo }), connection());
  assert.equal(routes.pickupTopicRouteData('T1')?.topicQueueMappingByBroker, undefined);
  assert.match(warnings[0] ?? '', /the mapping of the static topic T1 has \d+ bytes, at most 65536 are allowed/);
  assert.equal(routes.pickupTopicRouteData('T2')?.topicQueueMappingByBroker?.size, 1);
  routes.unregisterBroker('C', 'b', '10.0.0.1:10911');
  routes.registerBroker(registration(), connection());
  assert.equal(routes.pickupTopicRouteData('T2')?.topicQueueMappingByBroker, undefined);
});

test('filter servers: few, and only what is an address', () => {
  const { routes } = manager();
  const filterServerList = ['nothing', ...Array.from({ length: 100 }, (_, index) => `10.0.0.1:${index + 1}`)];
  routes.registerBroker(registration({ filterServerList }), connection());
  const kept = routes.pickupTopicRouteData('T1')?.filterServerTable.get('10.0.0.1:10911');
  assert.deepEqual(kept?.length, 16);
  assert.ok(!kept?.includes('nothing'));
});

test('brokers and topics beyond the bounds are not taken; those that are known stay as they are', () => {
  const { routes, warnings } = manager();
  const one = connection();
  const addressOf = (index: number): string => `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}:1`;
  const broker = (index: number): BrokerRegistration =>
    registration({ brokerName: `b${index}`, brokerAddr: addressOf(index) });
  for (let index = 0; index < BROKERS_MAX; index++) {
    assert.equal(routes.registerBroker(broker(index), one).refused, undefined);
  }
  assert.match(routes.registerBroker(broker(BROKERS_MAX), one).refused ?? '', /10000 brokers are registered/);
  assert.equal(routes.registerBroker(broker(0), one).refused, undefined, 'a known one');
  // One of this process is always taken.
  assert.equal(routes.registerBroker(registration(), undefined).refused, undefined);

  const entries = routes.topics.entryCount;
  const wide = broker(0);
  for (let index = 0; index < TOPIC_ENTRIES_MAX; index++) {
    wide.topicConfig.topicConfigTable.set(`N${index}`, createTopicConfig(`N${index}`));
  }
  wide.topicConfig.dataVersion.counter = 2;
  assert.equal(routes.registerBroker(wide, one).refused, undefined);
  assert.equal(routes.topics.entryCount, TOPIC_ENTRIES_MAX);
  assert.match(
    warnings.at(-1) ?? '',
    new RegExp(`^registration of b0: ${entries} topics left out; the first: the nameserver`),
  );
  assert.ok(routes.pickupTopicRouteData('N0'));
  assert.equal(routes.pickupTopicRouteData(`N${TOPIC_ENTRIES_MAX - 1}`), undefined);
  const queue = { readQueueNums: 1, writeQueueNums: 1, perm: 6, topicSysFlag: 0 };
  assert.equal(routes.registerTopic('New', [{ brokerName: 'b1', ...queue }]), false);
  assert.equal(routes.registerTopic('T1', [{ brokerName: 'b1', ...queue }]), true, 'a known one');
  const own = registration({}, createTopicConfig('Own'));
  own.topicConfig.dataVersion.counter = 2;
  routes.registerBroker(own, undefined);
  assert.ok(routes.pickupTopicRouteData('Own'), 'one of this process');
  routes.connectionClosed(one);
  assert.deepEqual(routes.topics.topics.sort(), ['Own', 'T1', 'T2']);
});

test('a broker that moves to another cluster, changes its name or its id leaves nothing behind', () => {
  const { routes } = manager();
  const from = connection();
  routes.registerBroker(registration(), from);
  routes.registerBroker(registration({ clusterName: 'D' }), from);
  assert.deepEqual([...routes.table.clusters.keys()], ['D']);
  routes.registerBroker(registration({ clusterName: 'D', brokerName: 'renamed' }), from);
  assert.deepEqual([...routes.table.brokers.keys()], ['renamed']);
  routes.registerBroker(registration({ clusterName: 'D', brokerName: 'renamed', brokerId: 3 }), from);
  assert.deepEqual([...(routes.table.brokers.get('renamed')?.brokerAddrs ?? [])], [[3, '10.0.0.1:10911']]);
  assert.equal(routes.table.size, 1);
  routes.connectionClosed(from);
  assert.deepEqual(
    [routes.topics.size, routes.table.size, routes.table.brokers.size, routes.table.clusters.size],
    [0, 0, 0, 0],
  );
});

test('a name is in one cluster: another broker cannot take it elsewhere', () => {
  const { routes } = manager();
  routes.registerBroker(registration(), connection());
  const other = registration({ clusterName: 'D', brokerAddr: '10.0.0.2:1' });
  assert.match(routes.registerBroker(other, connection()).refused ?? '', /is in the cluster C, at 10\.0\.0\.1:10911/);
});

test('the interval of the look for silent brokers changes with the setting', async () => {
  const { routes, clock, config } = manager();
  routes.registerBroker(registration({ heartbeatTimeoutMs: 1 }), connection());
  config.scanNotActiveBrokerInterval = 60_000;
  await clock.advance(5_000);
  assert.equal(routes.table.size, 0, 'the look under way was set for five seconds');
  routes.registerBroker(registration({ heartbeatTimeoutMs: 1 }), connection());
  await clock.advance(59_999);
  assert.equal(routes.table.size, 1);
  await clock.advance(1);
  assert.equal(routes.table.size, 0);
});

test('whatever registers, unregisters, closes and deletes: the tables agree, and the own broker’s topic has its route', () => {
  const seed = Number(process.env.VERNIER_SEED ?? Math.floor(Math.random() * 2 ** 31));
  let state = seed;
  // xorshift32
  const random = (below: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  const pick = <T>(values: readonly T[]): T => values[random(values.length)] as T;
  const { routes } = manager();
  let lost = 0;
  const own = registration({ brokerName: 'own', brokerAddr: '127.0.0.1:1', onTopicLost: () => lost++ });
  const registerOwn = (): void => assert.equal(routes.registerBroker(own, undefined).refused, undefined);
  registerOwn();
  const connections = Array.from({ length: 4 }, connection);
  const clusters = ['C', 'D'];
  const names = ['own', 'a', 'b'];
  const addresses = ['127.0.0.1:1', '10.0.0.1:1', '10.0.0.2:1', '10.0.0.3:1'];
  const topics = ['T1', 'T2', 'T3'];
  for (let step = 0; step < 20_000; step++) {
    const clusterName = pick(clusters);
    const brokerName = pick(names);
    const brokerAddr = pick(addresses);
    switch (random(8)) {
      case 0:
        routes.unregisterBroker(clusterName, brokerName, brokerAddr);
        break;
      case 1:
        routes.connectionClosed(pick(connections));
        break;
      case 2:
        lost = 0;
        routes.deleteTopic(pick(topics), pick([undefined, ...clusters]));
        // What the registrar does a while later.
        if (lost > 0) registerOwn();
        break;
      case 3: {
        const queue = { brokerName, readQueueNums: random(3), writeQueueNums: random(3), perm: 6, topicSysFlag: 0 };
        routes.registerTopic(pick(topics), [queue]);
        break;
      }
      default: {
        const sent = registration(
          {
            clusterName,
            brokerName,
            brokerAddr,
            brokerId: random(3),
            enableActingMaster: pick([undefined, true, false]),
          },
          ...topics.filter(() => random(2) === 0).map((name) => createTopicConfig(name)),
        );
        sent.topicConfig.dataVersion.stateVersion = random(3);
        sent.topicConfig.dataVersion.counter = random(3);
        routes.registerBroker(sent, pick(connections));
      }
    }
    const at = `seed ${seed}, step ${step}`;
    let addressCount = 0;
    for (const [name, broker] of routes.table.brokers) {
      assert.ok(broker.brokerAddrs.size > 0, `${at}: ${name} has no address`);
      assert.equal(routes.table.clusters.get(broker.cluster)?.has(name), true, `${at}: ${name} is in its cluster`);
      addressCount += broker.brokerAddrs.size;
      for (const address of broker.brokerAddrs.values()) {
        assert.equal(
          routes.table.live(broker.cluster, address)?.brokerName,
          name,
          `${at}: ${address} of ${name} lives`,
        );
      }
    }
    assert.equal(routes.table.size, addressCount, `${at}: who lives is known`);
    const clustered = [...routes.table.clusters.values()].reduce((sum, members) => sum + members.size, 0);
    assert.equal(clustered, routes.table.brokers.size, `${at}: each name is in one cluster`);
    let entries = 0;
    for (const topic of routes.topics.topics) {
      for (const name of routes.topics.queues(topic)?.keys() ?? []) {
        assert.ok(routes.table.brokers.has(name), `${at}: ${topic} is on ${name}, which is not there`);
        entries++;
      }
    }
    assert.equal(routes.topics.entryCount, entries, at);
    assert.equal(routes.table.brokers.get('own')?.brokerAddrs.get(0), '127.0.0.1:1', at);
    const ownQueue = routes.topics.queues('T1')?.get('own');
    assert.deepEqual([ownQueue?.readQueueNums, ownQueue?.perm], [16, 6], `${at}: the own broker’s route`);
  }
});
