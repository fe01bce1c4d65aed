/**
 * Nameserver and broker of different houses: `vernier namesrv` alone serves a Java broker and Java clients, and our
 * broker registers with Java's nameserver.
 */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { assertAllOnce } from './client-suite.ts';
import type { BrokerPeer } from './peers/broker-peer.ts';
import { createTopic } from './peers/brokers.ts';
import { askUntil } from './peers/child.ts';
import {
  type ClientPeer,
  type ReceiveReport,
  type SendReport,
  startJavaClient,
  startMqAdmin,
} from './peers/client-peer.ts';
import { javaMissing } from './peers/java.ts';
import { startApacheNamesrv, startApacheRocketMQ } from './peers/java-broker.ts';
import { hasRoute } from './peers/remoting-ask.ts';
import { skipUnless, unique } from './peers/suite.ts';
import { startVernier, startVernierNamesrv } from './peers/vernier.ts';

const messageCount = 500;

/** A producer that creates its topic by sending, and a consumer that gets everything. */
async function exchange(client: ClientPeer, namesrv: string): Promise<string> {
  const [name, topic, run] = [unique('client'), unique('created_by_sending'), unique('run')];
  await client.call('producer.start', { name, group: unique('pgroup'), namesrv });
  const first = await client.call<SendReport>('producer.send', { name, topic, run, mode: 'sync', count: 1 });
  assert.deepEqual([first.status, first.errors], [{ SEND_OK: 1 }, {}]);
  await client.call('consumer.start', { name: `${name}-consumer`, group: unique('group'), namesrv, topic, run });
  const rest = await client.call<SendReport>('producer.send', {
    ...{ name, topic, run, mode: 'async', from: 1, count: messageCount - 1 },
  });
  assert.deepEqual([rest.status, rest.errors], [{ SEND_OK: messageCount - 1 }, {}]);
  await client.call('consumer.await', { name: `${name}-consumer`, distinct: messageCount });
  assertAllOnce(await client.call<ReceiveReport>('consumer.stop', { name: `${name}-consumer` }), messageCount);
  await client.call('producer.stop', { name });
  return topic;
}

/** The broker's route goes with the broker. */
async function assertRouteGoes(broker: BrokerPeer, namesrv: string, topic: string): Promise<void> {
  assert.equal(await hasRoute(namesrv, topic), true);
  await broker.stop();
  await askUntil('the route gone', 15_000, undefined, async () =>
    (await hasRoute(namesrv, topic)) ? undefined : true,
  );
}

function startClient(t: TestContext): ClientPeer {
  const client = startJavaClient('5.5.0');
  t.after(() => client.stop());
  return client;
}

describe('nameserver and broker of different houses', { skip: skipUnless(javaMissing()), timeout: 180_000 }, () => {
  it('vernier namesrv alone serves a Java broker, Java clients and mqadmin', async (t) => {
    const namesrv = await startVernierNamesrv();
    t.after(() => namesrv.stop());
    const broker = await startApacheRocketMQ({ flushDiskType: 'ASYNC_FLUSH', namesrvAddr: namesrv.address });
    t.after(() => broker.stop());
    const topic = await exchange(startClient(t), namesrv.address);

    const admin = startMqAdmin();
    t.after(() => admin.stop());
    const run = async (line: string): Promise<string> => {
      const { out, err } = await admin.call<{ out: string; err: string }>('mqadmin', {
        line: `${line} -n ${namesrv.address}`,
      });
      assert.equal(err, '', `mqadmin ${line}`);
      return out;
    };
    assert.match(await run('clusterList'), new RegExp(`broker-a\\s+0\\s+${broker.brokerAddr}\\s+V5_5_0`));
    assert.ok((await run('topicList')).includes(topic));
    assert.ok((await run(`topicRoute -t ${topic}`)).includes(broker.brokerAddr));
    await run('updateTopic -c DefaultCluster -t through_vernier -r 3 -w 3');
    await askUntil('the new topic’s route', 15_000, undefined, async () =>
      (await hasRoute(namesrv.address, 'through_vernier')) ? true : undefined,
    );
    await assertRouteGoes(broker, namesrv.address, topic);
    assert.equal(await namesrv.stop(), 0, 'exit code on SIGTERM');
  });

  it('Vernier’s broker registers with Java’s nameserver and serves Java clients by it', async (t) => {
    const namesrv = await startApacheNamesrv();
    t.after(() => namesrv.stop());
    const broker = await startVernier({ flushDiskType: 'SYNC_FLUSH', namesrvAddr: namesrv.address });
    t.after(() => broker.stop());
    await createTopic(broker, unique('topic'));
    const topic = await exchange(startClient(t), namesrv.address);
    await assertRouteGoes(broker, namesrv.address, topic);
  });
});
