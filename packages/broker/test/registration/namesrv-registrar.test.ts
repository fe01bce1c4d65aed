import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  bodyCrc32,
  createResponse,
  createTopicConfig,
  decodeRegisterBrokerBody,
  initialDataVersion,
  type RemotingCommand,
  RemotingServer,
  RequestCode,
  ResponseCode,
  type TopicConfig,
} from '@vernier/remoting';
import { silentLogger } from '@vernier/store';
import { ManualClock } from '@vernier/torture';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { defaultBrokerConfig } from '../../src/config.ts';
import { Namesrv } from '../../src/namesrv/namesrv.ts';
import { BrokerHosts } from '../../src/registration/hosts.ts';
import { limitedByBroker, NamesrvRegistrar } from '../../src/registration/namesrv-registrar.ts';

async function fixture(t: TestContext, answer: number = ResponseCode.SUCCESS) {
  const server = new RemotingServer();
  const requests: RemotingCommand[] = [];
  for (const code of [RequestCode.REGISTER_BROKER, RequestCode.UNREGISTER_BROKER]) {
    server.registerProcessor(code, (request) => {
      requests.push({ ...request, body: request.body && Buffer.from(request.body) });
      return createResponse(request, answer, 'as told');
    });
  }
  const { port } = await server.listen({ port: 0 });
  const clock = new ManualClock();
  const topics = new Map<string, TopicConfig>([['T', createTopicConfig('T')]]);
  const rounds: number[] = [];
  const registrar = new NamesrvRegistrar({
    namesrv: undefined,
    addresses: [`127.0.0.1:${port}`],
    config: { ...defaultBrokerConfig, registerBrokerTimeoutMills: 2_000 },
    hosts: new BrokerHosts({ configuredHost: '10.1.2.3', bindAddress: '0.0.0.0', port: 10911, storePort: 10911 }),
    topics: () => ({ dataVersion: initialDataVersion(1), topicConfigTable: new Map(topics) }),
    clock,
    logger: silentLogger,
    registered: (count) => rounds.push(count),
  });
  cleanUp(t, async () => {
    await registrar.stop();
    await server.shutdown(0);
  });
  return { registrar, requests, rounds, clock, topics, server };
}

test('a registration says who the broker is and all its topics, with a checksum', async (t) => {
  const { registrar, requests, rounds } = await fixture(t);
  await registrar.register();
  const [request] = requests;
  const { bodyCrc32: crc, ...fields } = request?.extFields ?? {};
  assert.deepEqual(fields, {
    brokerName: 'broker-a',
    brokerAddr: '10.1.2.3:10911',
    clusterName: 'DefaultCluster',
    haServerAddr: '10.1.2.3:10912',
    brokerId: '0',
    compressed: 'false',
  });
  assert.equal(crc, String(bodyCrc32(request?.body as Buffer)));
  const body = await decodeRegisterBrokerBody(request?.body, false);
  assert.deepEqual([...body.topicConfig.topicConfigTable.keys()], ['T']);
  assert.deepEqual(rounds, [1]);
});

test('it is repeated each period; changes of one turn are one registration, and one under way is followed by another', async (t) => {
  const { registrar, requests, clock, topics } = await fixture(t);
  const both = [registrar.register(), registrar.register()];
  await Promise.all(both);
  assert.equal(requests.length, 1);
  const first = registrar.register();
  await Promise.resolve();
  await Promise.resolve();
  topics.set('U', createTopicConfig('U'));
  const second = registrar.register();
  await Promise.all([first, second]);
  const { topicConfig } = await decodeRegisterBrokerBody(requests.at(-1)?.body, false);
  const names = [...topicConfig.topicConfigTable.keys()];
  assert.deepEqual(names, ['T', 'U']);
  const before = requests.length;
  assert.equal(clock.timerCount, 1);
  await clock.advance(30_000);
  await registrar.register();
  assert.ok(requests.length > before);
  assert.equal(clock.timerCount, 1);
});

test('the period counts from the beginning of a round: a nameserver that does not answer does not make it longer', async (t) => {
  const { registrar, requests, clock, server } = await fixture(t);
  let answer = (): void => {};
  let arrived = (): void => {};
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const asked = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  server.registerProcessor(RequestCode.REGISTER_BROKER, async (request) => {
    requests.push(request);
    arrived();
    await answered;
    return createResponse(request, ResponseCode.SUCCESS);
  });
  const first = registrar.register();
  await asked;
  assert.equal(clock.timerCount, 1, 'the next round is set while this one waits');
  await clock.advance(30_000);
  assert.equal(requests.length, 1, 'rounds do not overlap');
  const next = registrar.register();
  answer();
  await Promise.all([first, next]);
  assert.equal(requests.length, 2, 'the one that was due meanwhile follows');
  assert.equal(clock.timerCount, 1);
});

test('a nameserver that refuses or is gone counts as none, and is asked again', async (t) => {
  const { registrar, rounds, clock, server } = await fixture(t, ResponseCode.SYSTEM_ERROR);
  await registrar.register();
  await server.shutdown(0);
  await registrar.register();
  assert.deepEqual(rounds, [0, 0]);
  assert.equal(clock.timerCount, 1);
});

test('a refusal is logged once, and again when it is another one or comes after a registration that went well', async (t) => {
  const lines: string[] = [];
  const answers = ['taken', 'taken', 'full', undefined, 'taken', 'taken'];
  const server = new RemotingServer();
  server.registerProcessor(RequestCode.REGISTER_BROKER, (request) => {
    const remark = answers.shift();
    return createResponse(request, remark === undefined ? ResponseCode.SUCCESS : ResponseCode.SYSTEM_ERROR, remark);
  });
  server.registerProcessor(RequestCode.UNREGISTER_BROKER, (request) => createResponse(request, ResponseCode.SUCCESS));
  const { port } = await server.listen({ port: 0 });
  const registrar = new NamesrvRegistrar({
    ...{ namesrv: undefined, addresses: [`127.0.0.1:${port}`], config: defaultBrokerConfig },
    hosts: new BrokerHosts({ configuredHost: '10.1.2.3', bindAddress: '0.0.0.0', port: 10911, storePort: 10911 }),
    topics: () => ({ dataVersion: initialDataVersion(1), topicConfigTable: new Map() }),
    ...{ clock: new ManualClock(), registered: () => {} },
    logger: { ...silentLogger, warn: (_: object, line: string) => void lines.push(line) },
  });
  cleanUp(t, async () => {
    await registrar.stop();
    await server.shutdown(0);
  });
  while (answers.length > 0) await registrar.register();
  const line = (remark: string): string => `nameserver refused the registration: ${remark}`;
  assert.deepEqual(lines, ['taken', 'full', 'taken'].map(line));
});

test('a broker that goes says so', async (t) => {
  const { registrar, requests, clock } = await fixture(t);
  await registrar.register();
  await registrar.stop();
  assert.equal(requests.at(-1)?.code, RequestCode.UNREGISTER_BROKER);
  assert.equal(requests.at(-1)?.extFields?.brokerAddr, '10.1.2.3:10911');
  assert.equal(clock.timerCount, 0);
  await registrar.register();
  assert.equal(requests.length, 2, 'nothing after the farewell');
});

test('a topic that somebody took out of the own nameserver’s routes is back after a period, and no timer runs before', async (t) => {
  const clock = new ManualClock();
  const namesrv = new Namesrv({ clock, server: { idleTimeoutMs: 0 } });
  const registrar = new NamesrvRegistrar({
    namesrv,
    addresses: [],
    config: defaultBrokerConfig,
    hosts: new BrokerHosts({ configuredHost: '10.1.2.3', bindAddress: '0.0.0.0', port: 10911, storePort: 10911 }),
    topics: () => ({ dataVersion: initialDataVersion(1), topicConfigTable: new Map([['T', createTopicConfig('T')]]) }),
    clock,
    logger: silentLogger,
    registered: () => {},
  });
  cleanUp(t, () => registrar.stop());
  await registrar.register();
  assert.equal(clock.timerCount, 0);
  for (let round = 0; round < 2; round++) {
    namesrv.routes.deleteTopic('T', 'another cluster');
    assert.equal(clock.timerCount, 0);
    namesrv.routes.deleteTopic('T');
    namesrv.routes.deleteTopic('T');
    assert.equal(namesrv.routes.pickupTopicRouteData('T'), undefined);
    assert.equal(clock.timerCount, 1);
    await clock.advance(defaultBrokerConfig.registerNameServerPeriod - 1);
    assert.equal(namesrv.routes.pickupTopicRouteData('T'), undefined);
    await clock.advance(1);
    assert.equal(namesrv.routes.pickupTopicRouteData('T')?.queueDatas.length, 1);
    assert.equal(clock.timerCount, 0);
  }
  namesrv.routes.deleteTopic('T');
  await registrar.stop();
  assert.equal(clock.timerCount, 0);
});

test('topics are given no more than the broker as a whole allows', () => {
  const topic = createTopicConfig('T', { perm: 7 });
  assert.equal(limitedByBroker(topic, 6), topic);
  assert.equal(limitedByBroker(topic, 4).perm, 4);
  assert.equal(topic.perm, 7);
});
