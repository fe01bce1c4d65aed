import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createRequest, RemotingServer, RequestCode, ResponseCode } from '@vernier/remoting';
import { StoreError } from '@vernier/store';
import { ManualClock } from '@vernier/torture';
import { cleanUp, temporaryFolder } from '../../../test/support/clean-up.ts';
import { Broker, type BrokerOptions } from '../src/index.ts';
import { freePort, heartbeat, pullFields, send, sendFields, smallStore, startBroker, withStore } from './harness.ts';

test('settings that cannot work are refused by name before anything is opened', async (t) => {
  const directory = join(await temporaryFolder(t, 'broker'), 'not-made');
  const cases: [BrokerOptions, RegExp][] = [
    [{ listenPort: 70_000 }, /listenPort=70000/],
    [{ listenPort: -1 }, /listenPort=-1/],
    [{ brokerName: 'a b' }, /brokerName=a b.*illegal/],
    [{ brokerClusterName: '' }, /brokerClusterName=.*blank/],
    [{ flushConsumerOffsetInterval: 1.5 }, /flushConsumerOffsetInterval=1.5/],
    [{ heldPullRequestsMax: 'many' as never }, /heldPullRequestsMax=many.*number/],
    [{ defaultTopicQueueNums: 0 }, /defaultTopicQueueNums=0: allowed are whole numbers from 1 to 1024/],
    [{ registerNameServerPeriod: 0 }, /registerNameServerPeriod=0: allowed are/],
    [{ channelExpiredTimeout: 2 ** 31 }, /channelExpiredTimeout=2147483648: allowed are/],
    [{ brokerIP1: '10.1.2.3 # host' }, /brokerIP1=10.1.2.3 # host: allowed is a host name/],
    [{ brokerIP1: 'http://10.1.2.3' }, /brokerIP1=http:/],
    [{ namesrvAddr: 'http://a:9876' }, /namesrvAddr=http:\/\/a:9876: allowed is host:port/],
    [{ namesrvAddr: 'somewhere' }, /namesrvAddr=somewhere/],
    [{ regionId: 'a\u0001b' }, /regionId=a\\u0001b.*control character/],
    [{ bindAddress: '' }, /bindAddress=/],
    [{ constructor: 'x' } as never, /constructor=x: it is no key of the broker/],
    [{ brokername: 'x' } as never, /brokername=x: it is no key of the broker/],
  ];
  for (const [options, message] of cases) {
    assert.throws(() => new Broker(options, { store: smallStore(directory) }), {
      code: 'BROKER_CONFIG_INVALID',
      message,
    });
  }
  await assert.rejects(readdir(directory));
});

test('a port in use is said by its number, and the directory is as it was', async (t) => {
  const other = await startBroker(t);
  const directory = await temporaryFolder(t, 'broker');
  const port = Number(other.address.split(':')[1]);
  const broker = new Broker({ listenPort: port }, { store: smallStore(directory) });
  await assert.rejects(broker.start(), { code: 'REMOTING_PORT_IN_USE', message: new RegExp(String(port)) });
  assert.deepEqual(await readdir(directory), []);
  await broker.shutdown();
});

test('Java clients 4.0 to 4.5.0 find the broker two ports below: the same requests, the same answers', async (t) => {
  const port = await freePort();
  const broker = await startBroker(t, { broker: { listenPort: port } });
  assert.deepEqual(broker.broker.vipAddress, { host: '127.0.0.1', port: port - 2 });
  const vip = (code: number, fields: Record<string, string>, body?: string) =>
    broker.client.invoke(
      `127.0.0.1:${port - 2}`,
      createRequest(code, fields, body === undefined ? undefined : Buffer.from(body)),
      5_000,
    );
  const sent = await vip(RequestCode.SEND_MESSAGE, oldSendFields('T'), 'x');
  assert.deepEqual([sent.code, sent.extFields?.queueOffset], [ResponseCode.SUCCESS, '0']);
  assert.equal((await send(broker, 'T', 'x')).extFields?.queueOffset, '1');
  const pulled = await vip(RequestCode.PULL_MESSAGE, pullFields('T', 0) as Record<string, string>);
  assert.equal(pulled.extFields?.maxOffset, '2');
  const { address } = broker;
  await broker.broker.shutdown();
  await assert.rejects(vip(RequestCode.GET_MAX_OFFSET, { topic: 'T', queueId: '0' }), `${address} is closed on both`);
});

/** SendMessageRequestHeader, with its long names. */
const oldSendFields = (topic: string) => ({
  producerGroup: 'p',
  topic,
  defaultTopic: 'TBW102',
  defaultTopicQueueNums: '4',
  queueId: '0',
  sysFlag: '0',
  bornTimestamp: '1',
  flag: '0',
  properties: '',
  reconsumeTimes: '0',
  unitMode: 'false',
});

test('a taken port of old clients, or none, is a line and no failed start', async (t) => {
  const lines: string[] = [];
  const note = (_: object, message: string) => lines.push(message);
  const logger = { debug() {}, info: note, warn: note, error: note };
  const port = await freePort();
  const other = new RemotingServer();
  await other.listen({ port: port - 2 });
  cleanUp(t, () => other.shutdown(0));
  const broker = await startBroker(t, { broker: { listenPort: port }, deps: { logger } });
  assert.equal(broker.broker.vipAddress, undefined);
  assert.equal((await send(broker, 'T', 'x')).code, ResponseCode.SUCCESS);
  const told = lines.filter((line) => line.includes('4.5.0'));
  assert.equal(told.length, 1);
  assert.match(told[0] ?? '', new RegExp(`the others are served: 127.0.0.1:${port - 2} is in use`));
  lines.length = 0;
  const anyPort = await startBroker(t, { deps: { logger } });
  assert.equal(anyPort.broker.vipAddress, undefined);
  assert.equal(lines.filter((line) => line.includes('and listenPort is 0')).length, 1);
});

test('a locked directory is refused; the port is free again and the owner goes on', async (t) => {
  const owner = await startBroker(t);
  const second = new Broker({ listenPort: 0 }, { store: smallStore(owner.directory) });
  await assert.rejects(second.start(), { code: 'STORE_LOCKED' });
  await second.shutdown();
  assert.equal((await send(owner, 'T', 'x')).code, ResponseCode.SUCCESS);
});

test('a directory that is moved under the broker: it refuses, and puts nothing into what has its place, its tables neither', async (t) => {
  const directory = join(await temporaryFolder(t, 'broker'), 'data');
  const broker = new Broker({ listenPort: 0 }, { store: { ...smallStore(directory), cleanResourceInterval: 20 } });
  await broker.start();
  cleanUp(t, () => broker.shutdown().catch(() => {}));
  const failed = new Promise<StoreError>((resolve) => broker.once('failed', resolve));
  await rename(directory, `${directory}.moved`);
  await mkdir(join(directory, 'config'), { recursive: true });
  assert.equal((await failed).code, 'STORE_DIRECTORY_MOVED');
  // What it would write when it stops.
  broker.context.metadata.topics.changed();
  await broker.shutdown().catch(() => {});
  assert.deepEqual(await readdir(directory), ['config']);
  assert.deepEqual(await readdir(join(directory, 'config')), []);
});

test('damaged metadata stops the start and releases the store', async (t) => {
  const directory = await temporaryFolder(t, 'broker');
  await mkdir(join(directory, 'config'), { recursive: true });
  await writeFile(join(directory, 'config', 'topics.json'), '{"topicConfigTable":');
  const broker = new Broker({ listenPort: 0 }, { store: smallStore(directory) });
  await assert.rejects(broker.start(), { code: 'STORE_METADATA_DAMAGED', message: /topics\.json/ });
  await writeFile(join(directory, 'config', 'topics.json'), '{"topicConfigTable":{}}');
  const again = await startBroker(t, { directory });
  assert.equal((await send(again, 'T', 'x')).code, ResponseCode.SUCCESS);
});

test('the directories and names of a Java broker: topics.json of the first start holds the boot topics', async (t) => {
  const broker = await startBroker(t);
  await broker.broker.shutdown();
  const files = await readdir(join(broker.directory, 'config'));
  for (const name of ['topics.json', 'subscriptionGroup.json', 'brokerPort.json'])
    assert.ok(files.includes(name), name);
});

test('an idle broker has no timer of its own; one client makes it one', async (t) => {
  const clock = new ManualClock();
  const { invoke, client } = await startBroker(t, { deps: { clock } });
  while (clock.timerCount > 0) await clock.advance(1_000);
  await clock.advance(600_000);
  assert.equal(clock.timerCount, 0);
  await invoke(RequestCode.HEART_BEAT, undefined, heartbeat('c', { producers: ['p'] }));
  assert.equal(clock.timerCount, 1);
  await client.close();
  while (clock.timerCount > 0) await clock.advance(10_000);
});

test('offsets are saved each flushConsumerOffsetInterval, only when there are new ones', async (t) => {
  const clock = new ManualClock();
  const { invoke, broker } = await startBroker(t, { deps: { clock } });
  await clock.advance(1_000);
  const { offsets } = broker.context.metadata;
  let saves = 0;
  const save = offsets.save.bind(offsets);
  offsets.save = () => {
    saves++;
    return save();
  };
  await clock.advance(20_000);
  assert.equal(saves, 0);
  const update = { consumerGroup: 'TOOLS_CONSUMER', topic: 'BenchmarkTest', queueId: '0', commitOffset: '1' };
  await invoke(RequestCode.UPDATE_CONSUMER_OFFSET, update);
  await clock.advance(4_000);
  assert.equal(saves, 0);
  await clock.advance(1_000);
  assert.equal(saves, 1);
});

test('the store’s failure is told on, once', async (t) => {
  const { broker } = await startBroker(t);
  const told: string[] = [];
  broker.on('failed', (cause) => told.push(cause.code));
  broker.store.emit('failed', new StoreError('STORE_FLUSH_FAILED', 'EIO'));
  assert.deepEqual(told, ['STORE_FLUSH_FAILED']);
});

test('shutdown: before start, twice, and while pulls are held', async (t) => {
  const directory = await temporaryFolder(t, 'broker');
  const never = new Broker({ listenPort: 0 }, { store: smallStore(directory) });
  await never.shutdown();
  await assert.rejects(never.routable, /shut down/);

  const running = await startBroker(t);
  await running.broker.routable;
  await send(running, 'T', 'x');
  const held = assert.rejects(
    running.invoke(RequestCode.PULL_MESSAGE, pullFields('T', 1, { sysFlag: '6', suspendTimeoutMillis: '60000' })),
    { code: 'REMOTING_CONNECTION_CLOSED' },
  );
  while (running.broker.context.holds.count === 0) await new Promise((resolve) => setImmediate(resolve));
  await Promise.all([running.broker.shutdown(), running.broker.shutdown()]);
  await held;
});

test('shutdown: a pull that arrives while a request in flight is waited for leaves nothing behind that keeps the process', async (t) => {
  const clock = new ManualClock();
  let letPut = (): void => {};
  const putAllowed = new Promise<void>((resolve) => {
    letPut = resolve;
  });
  let entered = (): void => {};
  const putEntered = new Promise<void>((resolve) => {
    entered = resolve;
  });
  const { broker, client, address } = await startBroker(t, {
    deps: {
      clock,
      ...withStore((store) => {
        const real = store.asyncPutMessage.bind(store);
        store.asyncPutMessage = async (message, durability) => {
          entered();
          await putAllowed;
          return real(message, durability);
        };
      }),
    },
  });
  const { holds } = broker.context;
  const stopped = new Promise<void>((resolve) => {
    const stop = holds.stop.bind(holds);
    holds.stop = () => {
      stop();
      resolve();
    };
  });
  const sent = client.invoke(
    address,
    createRequest(RequestCode.SEND_MESSAGE_V2, sendFields('BenchmarkTest'), Buffer.from('x')),
    10_000,
  );
  await putEntered;
  const shutdown = broker.shutdown();
  await stopped;
  const pull = createRequest(
    RequestCode.PULL_MESSAGE,
    pullFields('BenchmarkTest', 0, { sysFlag: '6', suspendTimeoutMillis: '3600000' }),
  );
  // What clients of today send is answered GO_AWAY by then.
  pull.version = 0;
  const pulled = client.invoke(address, pull, 10_000).then(
    () => 'answered',
    () => 'gone',
  );
  await client.invoke(
    address,
    Object.assign(createRequest(RequestCode.GET_BROKER_RUNTIME_INFO), { version: 0 }),
    10_000,
  );
  letPut();
  assert.equal((await sent).code, 0);
  await shutdown;
  assert.equal(await pulled, 'gone');
  assert.equal(holds.count, 0);
  assert.equal(clock.timerCount, 0);
});

test('a broker that is stopped while it starts is stopped in the end', async (t) => {
  const directory = await temporaryFolder(t, 'broker');
  const broker = new Broker({ listenPort: 0 }, { store: smallStore(directory) });
  const starting = broker.start();
  await broker.shutdown();
  await starting;
  const again = new Broker({ listenPort: 0 }, { store: smallStore(directory) });
  cleanUp(t, () => again.shutdown());
  await again.start();
});

test('what follows a queue is told of messages, and goes on after a restart where it was', async (t) => {
  const directory = await temporaryFolder(t, 'broker');
  const given: string[] = [];
  const start = async (
    until: string,
  ): Promise<{ broker: Awaited<ReturnType<typeof startBroker>>; seen: Promise<void> }> => {
    const broker = await startBroker(t, { directory });
    const seen = new Promise<void>((resolve) => {
      broker.broker.context.follow.follow({
        name: 'test',
        topic: 'T',
        queueId: 0,
        act: async (messages) => {
          for (const { body } of messages) given.push(body.toString());
          if (given.includes(until)) resolve();
          return { done: messages.length };
        },
      });
    });
    return { broker, seen };
  };
  const first = await start('b');
  const places = await readFile(join(directory, 'config', 'followOffset.json'), 'utf8');
  assert.ok(!places.includes('"test"'), 'not before there is a place');
  await send(first.broker, 'T', 'a');
  await send(first.broker, 'T', 'b');
  await first.seen;
  await first.broker.broker.shutdown();
  const second = await start('c');
  await send(second.broker, 'T', 'c');
  await second.seen;
  assert.deepEqual(given, ['a', 'b', 'c']);
});
