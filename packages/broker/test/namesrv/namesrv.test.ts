import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import {
  bodyCrc32,
  createRequest,
  createTopicConfig,
  decodeClusterInfo,
  decodeKVTable,
  decodeTopicList,
  decodeTopicRouteData,
  type ExtFields,
  encodeRegisterBrokerBody,
  encodeTopicRouteData,
  type RegisterBrokerBody,
  RemotingClient,
  type RemotingCommand,
  RequestCode,
  silentLogger,
  type TopicConfig,
} from '@vernier/remoting';
import { ManualClock } from '@vernier/torture';
import { cleanUp, temporaryFolder } from '../../../../test/support/clean-up.ts';
import { Namesrv, type NamesrvOptions } from '../../src/namesrv/namesrv.ts';
import { fetchTopicRoute } from '../requests.ts';

interface Fixture {
  namesrv: Namesrv;
  address: string;
  client: RemotingClient;
  call: (code: number, fields?: ExtFields, body?: Buffer, version?: number) => Promise<RemotingCommand>;
  /** A connection of its own, as a broker or client elsewhere has. */
  newClient: () => RemotingClient;
}

async function start(t: TestContext, options: NamesrvOptions = {}): Promise<Fixture> {
  const namesrv = new Namesrv(options);
  await namesrv.start({ port: 0 });
  const clients: RemotingClient[] = [];
  const newClient = (): RemotingClient => {
    const client = new RemotingClient();
    clients.push(client);
    return client;
  };
  const client = newClient();
  cleanUp(t, async () => {
    await Promise.all(clients.map((each) => each.close()));
    await namesrv.shutdown(0);
  });
  const { address } = namesrv;
  const call = (code: number, fields?: ExtFields, body?: Buffer, version = 513): Promise<RemotingCommand> =>
    client.invoke(address, { ...createRequest(code, fields, body), version }, 5000);
  return { namesrv, address, client, call, newClient };
}

const identity = {
  clusterName: 'C',
  brokerName: 'b',
  brokerAddr: '10.0.0.1:10911',
  brokerId: '0',
  haServerAddr: '10.0.0.1:10912',
};
const topics = (...names: string[]): TopicConfig[] =>
  names.map((name) => createTopicConfig(name, { readQueueNums: 4, writeQueueNums: 4 }));

function body(configs: readonly TopicConfig[], counter = 1, stateVersion = 0): RegisterBrokerBody {
  return {
    topicConfig: {
      dataVersion: { stateVersion, timestamp: 1, counter },
      topicConfigTable: new Map(configs.map((config) => [config.topicName, config])),
    },
    filterServerList: [],
    topicQueueMappingInfo: new Map(),
  };
}

/** Registers over the wire; returns the response. */
function register(
  { client, address }: Pick<Fixture, 'client' | 'address'>,
  configs: readonly TopicConfig[],
  fields: ExtFields = {},
  counter = 1,
  stateVersion = 0,
): Promise<RemotingCommand> {
  const encoded = encodeRegisterBrokerBody(body(configs, counter, stateVersion), fields.compressed === 'true');
  return client.invoke(address, createRequest(RequestCode.REGISTER_BROKER, { ...identity, ...fields }, encoded), 5000);
}

async function addresses({ call }: Fixture, topic = 'T1'): Promise<[number, string][] | undefined> {
  const response = await call(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic });
  if (response.code === 17) return undefined;
  return decodeTopicRouteData(response.body).brokerDatas.flatMap((broker) => [...broker.brokerAddrs]);
}

describe('REGISTER_BROKER', () => {
  for (const compressed of ['false', 'true']) {
    it(`makes topics routable, compressed=${compressed}`, async (t) => {
      const fixture = await start(t);
      assert.equal((await register(fixture, topics('T1', 'T2'), { compressed })).code, 0);
      const route = await fetchTopicRoute(fixture.client, fixture.address, 'T1');
      assert.ok(route);
      assert.equal(route.queueDatas[0]?.writeQueueNums, 4);
      assert.equal(route.brokerDatas[0]?.brokerAddrs.get(0), '10.0.0.1:10911');
    });
  }

  it('takes registrations of one connection in their order, each with the body it came with', async (t) => {
    const fixture = await start(t);
    const lists = [topics('A1', 'A2'), topics('B1', 'B2'), topics('C1', 'C2')];
    const answers = await Promise.all(
      lists.map((list, i) => register(fixture, list, { compressed: String(i !== 1) }, i + 1)),
    );
    for (const answer of answers) assert.equal(answer.code, 0, answer.remark);
    assert.deepEqual(await addresses(fixture, 'C1'), [[0, '10.0.0.1:10911']]);
  });

  it('refuses a first registration with exactly one topic and keeps nothing of it; zero and later single ones pass', async (t) => {
    const fixture = await start(t);
    const refused = await register(fixture, topics('T1'));
    assert.deepEqual([refused.code, refused.remark, refused.body], [1, 'register broker failed', undefined]);
    assert.equal(await addresses(fixture), undefined);
    const info = decodeClusterInfo((await fixture.call(RequestCode.GET_BROKER_CLUSTER_INFO)).body);
    assert.equal(info.brokerAddrTable.size, 0);
    assert.equal((await register(fixture, [])).code, 0);
    assert.equal((await register(fixture, topics('T1'), {}, 2)).code, 0);
    assert.deepEqual(await addresses(fixture), [[0, '10.0.0.1:10911']]);
  });

  it('checks bodyCrc32 when it is there', async (t) => {
    const fixture = await start(t);
    const encoded = encodeRegisterBrokerBody(body(topics('T1', 'T2')));
    const wrong = await register(fixture, topics('T1', 'T2'), { bodyCrc32: '1' });
    assert.deepEqual([wrong.code, wrong.remark], [1, 'crc32 not match']);
    assert.equal(await addresses(fixture), undefined);
    assert.equal((await register(fixture, topics('T1', 'T2'), { bodyCrc32: String(bodyCrc32(encoded)) })).code, 0);
  });

  it('a body that cannot be read is code 1 and changes nothing', async (t) => {
    const fixture = await start(t);
    for (const [fields, bytes] of [
      [{}, Buffer.from('{')],
      [{ compressed: 'true' }, Buffer.from('no zlib')],
      [{ brokerId: 'x' }, encodeRegisterBrokerBody(body(topics('T1', 'T2')))],
    ] as const) {
      const response = await fixture.call(RequestCode.REGISTER_BROKER, { ...identity, ...fields }, bytes);
      assert.equal(response.code, 1);
    }
    const withoutName = { ...identity, brokerName: undefined };
    assert.equal(
      (await fixture.call(RequestCode.REGISTER_BROKER, withoutName, encodeRegisterBrokerBody(body([])))).code,
      1,
    );
    assert.equal((await fixture.call(RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER)).code, 0);
  });

  it('a slave learns its master; its own topics do not count', async (t) => {
    const fixture = await start(t);
    await register(fixture, topics('T1', 'T2'));
    const slave = {
      brokerId: '1',
      brokerAddr: '10.0.0.2:10911',
      haServerAddr: '10.0.0.2:10912',
      enableActingMaster: 'false',
    };
    const response = await register(
      { client: fixture.newClient(), address: fixture.address },
      topics('T1', 'Own'),
      slave,
    );
    assert.deepEqual({ ...response.extFields }, { haServerAddr: '10.0.0.1:10912', masterAddr: '10.0.0.1:10911' });
    assert.deepEqual(await addresses(fixture), [
      [0, '10.0.0.1:10911'],
      [1, '10.0.0.2:10911'],
    ]);
    assert.equal(await addresses(fixture, 'Own'), undefined);
  });

  it('the same address under another id replaces its old role', async (t) => {
    const fixture = await start(t);
    await register(fixture, topics('T1', 'T2'), { brokerId: '1', enableActingMaster: 'false' });
    await register(fixture, topics('T1', 'T2'), { brokerId: '0' }, 2);
    assert.deepEqual(await addresses(fixture), [[0, '10.0.0.1:10911']]);
  });

  it('the same id from another address: ignored with a lower state version, and takes the place with a higher one', async (t) => {
    const fixture = await start(t);
    await register(fixture, topics('T1', 'T2'), {}, 1, 5);
    const other = { brokerAddr: '10.0.0.9:10911' };
    const stale = await register(
      { client: fixture.newClient(), address: fixture.address },
      topics('T1', 'T2'),
      other,
      1,
      4,
    );
    assert.equal(stale.code, 0);
    assert.deepEqual(await addresses(fixture), [[0, '10.0.0.1:10911']]);
    await register({ client: fixture.newClient(), address: fixture.address }, topics('T1', 'T2'), other, 1, 6);
    assert.deepEqual(await addresses(fixture), [[0, '10.0.0.9:10911']]);
  });

  it('the same id from another address is refused while the one that has it is connected, and taken when it is not', async (t) => {
    const lines: string[] = [];
    const logger = { ...silentLogger, warn: (_: object, line: string) => void lines.push(line) };
    const fixture = await start(t, { logger });
    const first = fixture.newClient();
    await register({ client: first, address: fixture.address }, topics('T1', 'T2'));
    const second = { client: fixture.newClient(), address: fixture.address };
    const other = { brokerAddr: '10.0.0.9:10911' };
    for (let time = 0; time < 3; time++) {
      const answer = await register(second, topics('T1', 'T2', 'T3'), other, time + 2);
      assert.equal(answer.code, 1);
      assert.equal(
        answer.remark,
        'the broker name b:0 is taken by the broker at 10.0.0.1:10911, which is alive; give this one another brokerName',
      );
    }
    assert.deepEqual(await addresses(fixture), [[0, '10.0.0.1:10911']]);
    assert.equal(await addresses(fixture, 'T3'), undefined, 'nothing of it was taken');
    assert.deepEqual(lines, [
      'registration of 10.0.0.9:10911 refused: the broker name b:0 is taken by the broker at 10.0.0.1:10911, which is alive',
    ]);
    await register({ client: first, address: fixture.address }, topics('T1', 'T2'));
    assert.equal((await register(second, topics('T1', 'T2'), other)).code, 1);
    assert.equal(lines.length, 1, 'one line, however often each of them comes');
    await first.close();
    while ((await addresses(fixture)) !== undefined);
    assert.equal((await register(second, topics('T1', 'T2'), other)).code, 0);
    assert.deepEqual(await addresses(fixture), [[0, '10.0.0.9:10911']]);
    // It has moved itself, and says so on its own connection.
    assert.equal((await register(second, topics('T1', 'T2'), { brokerAddr: '10.0.0.8:10911' })).code, 0);
    assert.deepEqual(await addresses(fixture), [[0, '10.0.0.8:10911']]);
  });

  it('the same id from another address has it when the other one was silent for longer than a broker may be', async (t) => {
    const clock = new ManualClock();
    // No look for silent ones comes between.
    const fixture = await start(t, { clock, config: { scanNotActiveBrokerInterval: 3_600_000 } });
    await register(fixture, topics('T1', 'T2'));
    const second = { client: fixture.newClient(), address: fixture.address };
    const other = { brokerAddr: '10.0.0.9:10911' };
    // It registers each minute, and a nameserver that hangs delays that.
    await clock.advance(84_000);
    assert.equal((await register(second, topics('T1', 'T2'), other)).code, 1);
    const { clusterName, brokerAddr } = identity;
    await fixture.call(RequestCode.BROKER_HEARTBEAT, { clusterName, brokerAddr });
    await clock.advance(120_000);
    assert.equal((await register(second, topics('T1', 'T2'), other)).code, 1, 'a heartbeat counts');
    await clock.advance(1);
    assert.equal((await register(second, topics('T1', 'T2'), other)).code, 0, 'its machine may be gone');
    assert.deepEqual(await addresses(fixture), [[0, '10.0.0.9:10911']]);
  });

  it('a newer data version changes queues; the same one leaves them', async (t) => {
    const fixture = await start(t);
    await register(fixture, topics('T1', 'T2'));
    const wider = [createTopicConfig('T1', { readQueueNums: 8 }), ...topics('T2')];
    const queues = async (): Promise<number | undefined> =>
      (await fetchTopicRoute(fixture.client, fixture.address, 'T1'))?.queueDatas[0]?.readQueueNums;
    await register(fixture, wider, {}, 1);
    assert.equal(await queues(), 4);
    await register(fixture, wider, {}, 2);
    assert.equal(await queues(), 8);
  });

  it('returns the order configuration', async (t) => {
    const fixture = await start(t);
    assert.equal((await register(fixture, topics('T1', 'T2'))).body, undefined);
    await fixture.call(RequestCode.PUT_KV_CONFIG, { namespace: 'ORDER_TOPIC_CONFIG', key: 'T1', value: 'b:4' });
    assert.deepEqual(decodeKVTable((await register(fixture, topics('T1', 'T2'))).body), new Map([['T1', 'b:4']]));
  });
});

describe('brokers that go', () => {
  it('UNREGISTER_BROKER takes broker, topics and cluster out', async (t) => {
    const fixture = await start(t);
    await register(fixture, topics('T1', 'T2'));
    assert.equal((await fixture.call(RequestCode.UNREGISTER_BROKER, identity)).code, 0);
    assert.equal(await addresses(fixture), undefined);
    const info = decodeClusterInfo((await fixture.call(RequestCode.GET_BROKER_CLUSTER_INFO)).body);
    assert.deepEqual([info.brokerAddrTable.size, info.clusterAddrTable.size], [0, 0]);
    assert.deepEqual(
      decodeTopicList((await fixture.call(RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER)).body).topicList,
      [],
    );
  });

  it('a closed connection takes its broker out at once and no other', async (t) => {
    const fixture = await start(t);
    const first = fixture.newClient();
    await register({ client: first, address: fixture.address }, topics('T1', 'T2'));
    await register(fixture, topics('T1', 'T2'), { brokerName: 'c', brokerAddr: '10.0.0.3:10911' });
    assert.equal((await addresses(fixture))?.length, 2);
    const gone = new Promise((resolve) => fixture.namesrv.server.once('close', resolve));
    await first.close();
    await gone;
    assert.deepEqual(await addresses(fixture), [[0, '10.0.0.3:10911']]);
  });

  it('a silent one goes after 120 s or its own timeout; signs of life keep it; no timer without brokers', async (t) => {
    const clock = new ManualClock();
    const fixture = await start(t, { clock, server: { idleTimeoutMs: 0 } });
    assert.equal(clock.timerCount, 0);
    const brokers: [string, ExtFields][] = [
      ['short', { heartbeatTimeoutMillis: '10000' }],
      ['plain', {}],
      ['beating', {}],
      ['asking', {}],
    ];
    for (const [name, fields] of brokers) {
      const client = fixture.newClient();
      await register({ client, address: fixture.address }, topics('T1', 'T2'), {
        brokerName: name,
        brokerAddr: `${name}:1`,
        ...fields,
      });
    }
    const alive = async (): Promise<string[]> =>
      ((await addresses(fixture)) ?? []).map(([, address]) => address).sort();
    await clock.advance(10_000);
    assert.deepEqual(await alive(), ['asking:1', 'beating:1', 'plain:1', 'short:1']);
    await clock.advance(5000);
    assert.deepEqual(await alive(), ['asking:1', 'beating:1', 'plain:1']);
    await clock.advance(100_000);
    assert.equal(
      (
        await fixture.call(RequestCode.BROKER_HEARTBEAT, {
          ...identity,
          brokerName: 'beating',
          brokerAddr: 'beating:1',
        })
      ).code,
      0,
    );
    const version = Buffer.from(JSON.stringify({ counter: 1, stateVersion: 0, timestamp: 1 }));
    await fixture.call(RequestCode.QUERY_DATA_VERSION, { ...identity, brokerAddr: 'asking:1' }, version);
    await clock.advance(15_000);
    assert.deepEqual(await alive(), ['asking:1', 'beating:1']);
    await clock.advance(130_000);
    assert.deepEqual(await alive(), []);
    assert.equal(clock.timerCount, 0);
  });

  it('a slave that is left takes writing away when it may act as master', async (t) => {
    const fixture = await start(t, { config: { supportActingMaster: true } });
    const acting = { enableActingMaster: 'true' };
    await register(fixture, topics('T1', 'T2'), acting);
    const slave = { brokerId: '2', brokerAddr: '10.0.0.2:10911', ...acting };
    await register({ client: fixture.newClient(), address: fixture.address }, topics('T1', 'T2'), slave);
    await fixture.call(RequestCode.UNREGISTER_BROKER, identity);
    const route = await fetchTopicRoute(fixture.client, fixture.address, 'T1');
    assert.equal(route?.queueDatas[0]?.perm, 4);
    assert.deepEqual(await addresses(fixture), [[0, '10.0.0.2:10911']]);
  });
});

describe('QUERY_DATA_VERSION', () => {
  it('says whether to register again, and what is known', async (t) => {
    const fixture = await start(t);
    const ask = (counter: number): Promise<RemotingCommand> =>
      fixture.call(
        RequestCode.QUERY_DATA_VERSION,
        identity,
        Buffer.from(JSON.stringify({ counter, stateVersion: 0, timestamp: 1 })),
      );
    const unknown = await ask(1);
    assert.deepEqual([unknown.extFields?.changed, unknown.body], ['true', undefined]);
    await register(fixture, topics('T1', 'T2'), {}, 3);
    const same = await ask(3);
    assert.equal(same.extFields?.changed, 'false');
    assert.deepEqual(JSON.parse(same.body?.toString() ?? ''), { counter: 3, stateVersion: 0, timestamp: 1 });
    assert.equal((await ask(4)).extFields?.changed, 'true');
  });
});

describe('GET_ROUTEINFO_BY_TOPIC', () => {
  it('bare broker ids for clients before V4_9_4, quoted ones from there on or when asked for', async (t) => {
    const fixture = await start(t);
    await register(fixture, topics('T1', 'T2'));
    const text = async (version: number, acceptStandardJsonOnly?: string): Promise<string> =>
      (
        await fixture.call(
          RequestCode.GET_ROUTEINFO_BY_TOPIC,
          { topic: 'T1', acceptStandardJsonOnly },
          undefined,
          version,
        )
      ).body?.toString() ?? '';
    assert.match(await text(400), /"brokerAddrs":\{0:"10/);
    assert.match(await text(401), /"brokerAddrs":\{"0":"10/);
    assert.match(await text(0, 'true'), /"brokerAddrs":\{"0":"10/);
    assert.match(await text(0, 'false'), /"brokerAddrs":\{0:"10/);
  });

  it('an unknown topic is code 17 with RocketMQ’s remark, a missing name code 1', async (t) => {
    const { call } = await start(t);
    const response = await call(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic: 'Nope' });
    assert.equal(response.code, 17);
    assert.match(response.remark ?? '', /^No topic route info in name server for the topic: Nope/);
    assert.equal((await call(RequestCode.GET_ROUTEINFO_BY_TOPIC)).code, 1);
  });

  it('carries the order configuration when orderMessageEnable', async (t) => {
    const fixture = await start(t);
    await register(fixture, topics('T1', 'T2'));
    await fixture.call(RequestCode.PUT_KV_CONFIG, { namespace: 'ORDER_TOPIC_CONFIG', key: 'T1', value: 'b:4' });
    const order = async () => (await fetchTopicRoute(fixture.client, fixture.address, 'T1'))?.orderTopicConf;
    assert.equal(await order(), undefined);
    await fixture.call(RequestCode.UPDATE_NAMESRV_CONFIG, undefined, Buffer.from('orderMessageEnable=true\n'));
    assert.equal(await order(), 'b:4');
  });

  it('waits for brokers with needWaitForService', async (t) => {
    const clock = new ManualClock();
    const { call } = await start(t, { clock, config: { needWaitForService: true, waitSecondsForService: 45 } });
    const early = await call(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic: 'T1' });
    assert.deepEqual([early.code, early.remark], [1, 'name server not ready']);
    await clock.advance(45_000);
    assert.equal((await call(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic: 'T1' })).code, 17);
  });
});

describe('topics', () => {
  const list = async (fixture: Fixture, code: number, fields?: ExtFields): Promise<string[]> =>
    decodeTopicList((await fixture.call(code, fields)).body).topicList.sort();

  it('lists: all, of a cluster, system, by unit flags', async (t) => {
    const fixture = await start(t);
    await register(fixture, [
      ...topics('T1'),
      createTopicConfig('U', { topicSysFlag: 1 }),
      createTopicConfig('S', { topicSysFlag: 2 }),
    ]);
    await register(fixture, topics('X1', 'X2'), { clusterName: 'D', brokerName: 'x', brokerAddr: '10.0.0.4:1' });
    assert.deepEqual(await list(fixture, RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER), ['S', 'T1', 'U', 'X1', 'X2']);
    assert.deepEqual(await list(fixture, RequestCode.GET_TOPICS_BY_CLUSTER, { cluster: 'D' }), ['X1', 'X2']);
    assert.deepEqual(await list(fixture, RequestCode.GET_TOPICS_BY_CLUSTER, { cluster: 'none' }), []);
    assert.deepEqual(await list(fixture, RequestCode.GET_UNIT_TOPIC_LIST), ['U']);
    assert.deepEqual(await list(fixture, RequestCode.GET_HAS_UNIT_SUB_TOPIC_LIST), ['S']);
    assert.deepEqual(await list(fixture, RequestCode.GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST), ['S']);
    const system = decodeTopicList((await fixture.call(RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_NS)).body);
    assert.deepEqual([system.topicList.sort(), system.brokerAddr], [['C', 'D', 'b', 'x'], '10.0.0.1:10911']);
  });

  it('lists can be switched off', async (t) => {
    const { call } = await start(t, { config: { enableAllTopicList: false, enableTopicList: false } });
    for (const code of [
      RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER,
      RequestCode.GET_TOPICS_BY_CLUSTER,
      RequestCode.GET_UNIT_TOPIC_LIST,
    ]) {
      const response = await call(code, { cluster: 'C' });
      assert.deepEqual([response.code, response.remark], [1, 'disable']);
    }
  });

  it('DELETE_TOPIC_IN_NAMESRV: of one cluster, or of all', async (t) => {
    const fixture = await start(t);
    await register(fixture, topics('T1', 'T2'));
    await register(fixture, topics('T1', 'T2'), { clusterName: 'D', brokerName: 'x', brokerAddr: '10.0.0.4:1' });
    await fixture.call(RequestCode.DELETE_TOPIC_IN_NAMESRV, { topic: 'T1', clusterName: 'none' });
    assert.equal((await addresses(fixture))?.length, 2);
    await fixture.call(RequestCode.DELETE_TOPIC_IN_NAMESRV, { topic: 'T1', clusterName: 'D' });
    assert.deepEqual(await addresses(fixture), [[0, '10.0.0.1:10911']]);
    await fixture.call(RequestCode.DELETE_TOPIC_IN_NAMESRV, { topic: 'T2' });
    assert.equal(await addresses(fixture, 'T2'), undefined);
  });

  it('REGISTER_TOPIC_IN_NAMESRV: on known brokers only', async (t) => {
    const fixture = await start(t);
    await register(fixture, topics('T1', 'T2'));
    const queue = (brokerName: string) => ({
      brokerName,
      readQueueNums: 1,
      writeQueueNums: 1,
      perm: 6,
      topicSysFlag: 0,
    });
    const encode = (...names: string[]) =>
      encodeTopicRouteData({ queueDatas: names.map(queue), brokerDatas: [], filterServerTable: new Map() });
    await fixture.call(RequestCode.REGISTER_TOPIC_IN_NAMESRV, { topic: 'New' }, encode('b', 'stranger'));
    assert.equal(await addresses(fixture, 'New'), undefined);
    await fixture.call(RequestCode.REGISTER_TOPIC_IN_NAMESRV, { topic: 'New' }, encode('b'));
    assert.deepEqual(await addresses(fixture, 'New'), [[0, '10.0.0.1:10911']]);
  });

  it('a wiped write permission stays wiped over registrations without changes, and can be given back', async (t) => {
    const fixture = await start(t);
    await register(fixture, topics('T1', 'T2'));
    const perm = async () => (await fetchTopicRoute(fixture.client, fixture.address, 'T1'))?.queueDatas[0]?.perm;
    const wiped = await fixture.call(RequestCode.WIPE_WRITE_PERM_OF_BROKER, { brokerName: 'b' });
    assert.equal(wiped.extFields?.wipeTopicCount, '2');
    await register(fixture, topics('T1', 'T2'));
    assert.equal(await perm(), 4);
    const given = await fixture.call(RequestCode.ADD_WRITE_PERM_OF_BROKER, { brokerName: 'b' });
    assert.equal(given.extFields?.addTopicCount, '2');
    assert.equal(await perm(), 6);
    assert.equal(
      (await fixture.call(RequestCode.WIPE_WRITE_PERM_OF_BROKER, { brokerName: 'none' })).extFields?.wipeTopicCount,
      '0',
    );
  });

  it('deleteTopicWithBrokerRegistration: what a registration lacks is gone', async (t) => {
    const fixture = await start(t, { config: { deleteTopicWithBrokerRegistration: true } });
    await register(fixture, topics('T1', 'T2'));
    await register(fixture, topics('T2', 'T3'), {}, 2);
    assert.deepEqual(await list(fixture, RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER), ['T2', 'T3']);
  });
});

describe('cluster and member group', () => {
  it('GET_BROKER_CLUSTER_INFO and GET_BROKER_MEMBER_GROUP', async (t) => {
    const fixture = await start(t);
    await register(fixture, topics('T1', 'T2'));
    const info = decodeClusterInfo((await fixture.call(RequestCode.GET_BROKER_CLUSTER_INFO)).body);
    assert.deepEqual(info.clusterAddrTable, new Map([['C', ['b']]]));
    assert.deepEqual(info.brokerAddrTable.get('b')?.brokerAddrs, new Map([[0, '10.0.0.1:10911']]));
    const group = async (brokerName: string) =>
      JSON.parse(
        (await fixture.call(RequestCode.GET_BROKER_MEMBER_GROUP, { clusterName: 'C', brokerName })).body?.toString() ??
          '',
      );
    assert.deepEqual((await group('b')).brokerMemberGroup.brokerAddrs, { 0: '10.0.0.1:10911' });
    assert.deepEqual((await group('none')).brokerMemberGroup.brokerAddrs, {});
  });
});

describe('settings over the wire', () => {
  it('name the port and the address that are listened on', async (t) => {
    const { call, address } = await start(t);
    const text = (await call(RequestCode.GET_NAMESRV_CONFIG)).body?.toString() ?? '';
    assert.match(text, new RegExp(`^listenPort=${address.split(':')[1]}$`, 'm'));
    assert.match(text, /^bindAddress=127\.0\.0\.1$/m);
  });

  it('that cannot work are refused at the start', () => {
    for (const config of [{ scanNotActiveBrokerInterval: 0 }, { scanNotActiveBrokerInterval: 2 ** 31 }]) {
      assert.throws(() => new Namesrv({ config }), { code: 'BROKER_CONFIG_INVALID' });
    }
  });

  it('are read and changed; black-listed and wrong ones are refused and nothing of the request is applied', async (t) => {
    const { call } = await start(t);
    const update = (text: string) => call(RequestCode.UPDATE_NAMESRV_CONFIG, undefined, Buffer.from(text));
    const read = async () => (await call(RequestCode.GET_NAMESRV_CONFIG)).body?.toString() ?? '';
    assert.match(await read(), /^orderMessageEnable=false$/m);
    // Those that would be taken and do nothing until the next start are refused as well.
    for (const name of [
      'configBlackList',
      'kvConfigPath',
      'configStorePath',
      'rocketmqHome',
      'listenPort',
      'bindAddress',
    ]) {
      const response = await update(`orderMessageEnable=true\n${name}=/tmp/x\n`);
      assert.deepEqual([response.code, response.remark], [16, 'Can not update config in black list.'], name);
    }
    for (const wrong of [
      'waitSecondsForService=soon',
      'waitSecondsForService=-1',
      'scanNotActiveBrokerInterval=0',
      'scanNotActiveBrokerInterval=2147483648',
    ]) {
      assert.equal((await update(`orderMessageEnable=true\n${wrong}\n`)).code, 29, wrong);
    }
    assert.match(await read(), /^orderMessageEnable=false$/m);
    const beside = await update('orderMessageEnable=true\nunknown=1\n');
    assert.deepEqual([beside.code, beside.remark], [0, 'there is no such key here: unknown']);
    assert.match(await read(), /^orderMessageEnable=true$/m);
    assert.equal((await update('unknown=1\n')).code, 16);
    assert.match(await read(), /^orderMessageEnable=true$/m);
  });

  it('hold over a restart where there is a directory', async (t) => {
    const root = await temporaryFolder(t, 'namesrv');
    const directory = join(root, 'made', 'config');
    const first = await start(t, { directory });
    const change = Buffer.from('orderMessageEnable=true\nwaitSecondsForService=5');
    assert.equal((await first.call(RequestCode.UPDATE_NAMESRV_CONFIG, undefined, change)).code, 0);
    const text = async ({ call }: Fixture) =>
      (await call(RequestCode.GET_NAMESRV_CONFIG)).body?.toString().replace(/^listenPort=.*$/m, '');
    const shown = await text(first);
    const second = await start(t, { directory });
    assert.equal(await text(second), shown);
    assert.match(shown ?? '', /^waitSecondsForService=5$/m);
    const third = await start(t, { directory, config: { waitSecondsForService: 9 } });
    assert.match((await text(third)) ?? '', /^waitSecondsForService=9$/m, 'a start with another value goes before it');
  });
});

describe('brokers of this process', () => {
  const local = { clusterName: 'C', brokerName: 'me', brokerId: 0, brokerAddr: '0.0.0.0:10911', haServerAddr: '' };

  it('are routable with a single topic, do not expire and leave when told', async (t) => {
    const clock = new ManualClock();
    const fixture = await start(t, { clock, server: { idleTimeoutMs: 0 } });
    fixture.namesrv.registerLocal({ ...local, topicConfig: body(topics('T1')).topicConfig });
    assert.equal(clock.timerCount, 0);
    await clock.advance(1_000_000);
    assert.deepEqual(await addresses(fixture), [[0, '127.0.0.1:10911']]);
    fixture.namesrv.registerLocal({ ...local, topicConfig: body(topics('T2'), 2).topicConfig });
    // As with a broker elsewhere: a topic leaves the routes by DELETE_TOPIC_IN_NAMESRV.
    assert.equal((await addresses(fixture))?.length, 1);
    assert.equal((await addresses(fixture, 'T2'))?.length, 1);
    fixture.namesrv.unregisterLocal(local);
    assert.equal(await addresses(fixture), undefined);
    assert.equal(await addresses(fixture, 'T2'), undefined);
  });

  it('are given out as the asking connection can reach them, everywhere an address is given out', async (t) => {
    const fixture = await start(t, {
      resolveBrokerAddress: (address, connection) => `${connection.remoteHost}/${address}`,
    });
    fixture.namesrv.registerLocal({ ...local, topicConfig: body(topics('T1')).topicConfig });
    const expected = '127.0.0.1/0.0.0.0:10911';
    assert.deepEqual(await addresses(fixture), [[0, expected]]);
    const info = decodeClusterInfo((await fixture.call(RequestCode.GET_BROKER_CLUSTER_INFO)).body);
    assert.equal(info.brokerAddrTable.get('me')?.brokerAddrs.get(0), expected);
    assert.equal(
      decodeTopicList((await fixture.call(RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_NS)).body).brokerAddr,
      expected,
    );
    assert.equal(fixture.namesrv.routes.clusterInfo().brokerAddrTable.get('me')?.brokerAddrs.get(0), '0.0.0.0:10911');
  });

  it('with an address the user set are given out under it; so are brokers that registered over the wire', async (t) => {
    const fixture = await start(t);
    fixture.namesrv.registerLocal({
      ...local,
      brokerAddr: '192.0.2.7:1',
      fixedAddress: true,
      topicConfig: body(topics('T1')).topicConfig,
    });
    await register(fixture, topics('T1', 'T2'));
    assert.deepEqual(await addresses(fixture), [
      [0, '192.0.2.7:1'],
      [0, '10.0.0.1:10911'],
    ]);
  });
});

describe('a broker of this process keeps its routes, whoever else registers', () => {
  const local = {
    clusterName: 'C',
    brokerName: 'broker-a',
    brokerId: 0,
    brokerAddr: '127.0.0.1:10911',
    haServerAddr: '',
    fixedAddress: true,
  };
  const withLocal = async (t: TestContext): Promise<Fixture> => {
    const fixture = await start(t);
    fixture.namesrv.registerLocal({ ...local, topicConfig: body(topics('T1'), 1, 0).topicConfig });
    return fixture;
  };
  const mine: [number, string][] = [[0, '127.0.0.1:10911']];

  it('over a second broker with its name, which is refused, told why, and goes', async (t) => {
    const fixture = await withLocal(t);
    const client = fixture.newClient();
    const fields = { brokerName: 'broker-a', brokerAddr: '10.0.0.9:10911' };
    const refused = await register({ client, address: fixture.address }, topics('T1', 'T2'), fields, 9, 9);
    assert.equal(refused.code, 1);
    assert.match(refused.remark ?? '', /is broker-a:0 at 127\.0\.0\.1:10911; give this one another brokerName/);
    assert.deepEqual(await addresses(fixture), mine);
    assert.equal(await addresses(fixture, 'T2'), undefined);
    const farewell = { ...identity, ...fields };
    await client.invoke(fixture.address, createRequest(RequestCode.UNREGISTER_BROKER, farewell), 5000);
    const gone = new Promise((resolve) => fixture.namesrv.server.once('close', resolve));
    await client.close();
    await gone;
    assert.deepEqual(await addresses(fixture), mine);
  });

  it('over one with its address, its name in another cluster, or its name as a slave elsewhere that leaves', async (t) => {
    const fixture = await withLocal(t);
    const sameAddress = await register(fixture, topics('T1', 'T2'), { brokerName: 'x', brokerAddr: local.brokerAddr });
    assert.match(sameAddress.remark ?? '', /has the address 127\.0\.0\.1:10911; give this one a brokerIP1/);
    const slave = { brokerName: 'broker-a', brokerAddr: '10.0.0.9:1', brokerId: '1' };
    const elsewhere = await register(fixture, topics('T1', 'T2'), { ...slave, clusterName: 'D' });
    assert.match(elsewhere.remark ?? '', /the broker name broker-a is in the cluster C, at 127\.0\.0\.1:10911/);
    assert.equal((await register(fixture, topics('T1', 'T2'), slave)).code, 0);
    assert.deepEqual(await addresses(fixture), [...mine, [1, '10.0.0.9:1']]);
    await fixture.call(RequestCode.UNREGISTER_BROKER, { ...identity, ...slave });
    assert.deepEqual(await addresses(fixture), mine);
  });

  it('over UNREGISTER_BROKER in its name', async (t) => {
    const fixture = await withLocal(t);
    for (const more of [{}, { brokerName: 'another' }]) {
      const fields = { ...identity, brokerName: 'broker-a', brokerAddr: local.brokerAddr, ...more };
      const refused = await fixture.call(RequestCode.UNREGISTER_BROKER, fields);
      assert.equal(refused.code, 1);
      assert.match(refused.remark ?? '', /is in the process of this nameserver and unregisters by itself/);
      assert.deepEqual(await addresses(fixture), mine);
    }
  });

  it('over REGISTER_TOPIC_IN_NAMESRV with other numbers of queues', async (t) => {
    const fixture = await withLocal(t);
    const queue = { brokerName: 'broker-a', readQueueNums: 0, writeQueueNums: 0, perm: 0, topicSysFlag: 0 };
    const route = encodeTopicRouteData({ queueDatas: [queue], brokerDatas: [], filterServerTable: new Map() });
    await fixture.call(RequestCode.REGISTER_TOPIC_IN_NAMESRV, { topic: 'T1' }, route);
    const found = await fetchTopicRoute(fixture.client, fixture.address, 'T1');
    assert.deepEqual([found?.queueDatas[0]?.readQueueNums, found?.queueDatas[0]?.perm], [4, 6]);
  });

  it('takes its name back from one that registered before it', async (t) => {
    const fixture = await start(t);
    const stranger = fixture.newClient();
    const fields = { brokerName: 'broker-a', brokerAddr: '10.0.0.9:10911', clusterName: 'D' };
    await register({ client: stranger, address: fixture.address }, topics('T1', 'T2'), fields, 9, 9);
    fixture.namesrv.registerLocal({ ...local, topicConfig: body(topics('T1'), 1, 0).topicConfig });
    assert.deepEqual(await addresses(fixture), mine);
    const gone = new Promise((resolve) => fixture.namesrv.server.once('close', resolve));
    await stranger.close();
    await gone;
    assert.deepEqual(await addresses(fixture), mine);
    const info = decodeClusterInfo((await fixture.call(RequestCode.GET_BROKER_CLUSTER_INFO)).body);
    assert.deepEqual(info.clusterAddrTable, new Map([['C', ['broker-a']]]));
  });
});

it('an unknown request code is code 3', async (t) => {
  const { call } = await start(t);
  const response = await call(RequestCode.SEND_MESSAGE_V2);
  assert.deepEqual([response.code, response.remark], [3, ' request type 310 not supported']);
});
