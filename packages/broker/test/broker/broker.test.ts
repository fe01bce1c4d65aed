import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { RequestCode, ResponseCode } from '@vernier/remoting';
import { StoreError } from '@vernier/store';
import { ManualClock } from '@vernier/store/testing';
import { Broker, type BrokerOptions } from '../../src/index.ts';
import { atEnd, heartbeat, pullFields, send, smallStore, startBroker, temporaryDirectory } from './harness.ts';

test('settings that cannot work are refused by name before anything is opened', async (t) => {
  const directory = join(await temporaryDirectory(t), 'not-made');
  const cases: [BrokerOptions, RegExp][] = [
    [{ listenPort: 70_000 }, /listenPort=70000/],
    [{ listenPort: -1 }, /listenPort=-1/],
    [{ brokerName: 'a b' }, /brokerName=a b.*illegal/],
    [{ brokerClusterName: '' }, /brokerClusterName=.*blank/],
    [{ flushConsumerOffsetInterval: 1.5 }, /flushConsumerOffsetInterval=1.5/],
    [{ heldPullRequestsMax: 'many' as never }, /heldPullRequestsMax=many.*number/],
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
  const directory = await temporaryDirectory(t);
  const port = Number(other.address.split(':')[1]);
  const broker = new Broker({ listenPort: port }, { store: smallStore(directory) });
  await assert.rejects(broker.start(), { code: 'REMOTING_PORT_IN_USE', message: new RegExp(String(port)) });
  assert.deepEqual(await readdir(directory), []);
  await broker.shutdown();
});

test('a locked directory is refused; the port is free again and the owner goes on', async (t) => {
  const owner = await startBroker(t);
  const second = new Broker({ listenPort: 0 }, { store: smallStore(owner.directory) });
  await assert.rejects(second.start(), { code: 'STORE_LOCKED' });
  await second.shutdown();
  assert.equal((await send(owner, 'T', 'x')).code, ResponseCode.SUCCESS);
});

test('damaged metadata stops the start and releases the store', async (t) => {
  const directory = await temporaryDirectory(t);
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
  const directory = await temporaryDirectory(t);
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

test('a broker that is stopped while it starts is stopped in the end', async (t) => {
  const directory = await temporaryDirectory(t);
  const broker = new Broker({ listenPort: 0 }, { store: smallStore(directory) });
  const starting = broker.start();
  await broker.shutdown();
  await starting;
  const again = new Broker({ listenPort: 0 }, { store: smallStore(directory) });
  atEnd(t, () => again.shutdown());
  await again.start();
});
