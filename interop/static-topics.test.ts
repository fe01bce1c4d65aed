/**
 * A directory with static topics, which Apache's mqadmin 5.5.0 makes and Java's client 5.5.0 sends to and consumes from, goes
 * from Apache's broker to Vernier and back. What clients are answered of static topics is compared by the conformance run.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { assertAllOnce } from './client-suite.ts';
import type { BrokerPeer } from './peers/broker-peer.ts';
import { askUntil } from './peers/child.ts';
import {
  type ClientPeer,
  type ReceiveReport,
  type SendReport,
  startJavaClient,
  startMqAdmin,
} from './peers/client-peer.ts';
import { javaMissing } from './peers/java.ts';
import { startApacheRocketMQ } from './peers/java-broker.ts';
import { ask, hasRoute } from './peers/remoting-ask.ts';
import { skipUnless, unique } from './peers/suite.ts';
import { startVernier } from './peers/vernier.ts';

const MESSAGES = 400;
const QUEUES = 5;
/** The sizes that the small Java broker has. */
const sizes = {
  mappedFileSizeCommitLog: 64 * 1024 * 1024,
  mappedFileSizeConsumeQueue: 20 * 100_000,
  maxHashSlotNum: 100_000,
  maxIndexNum: 400_000,
};

describe('static topics with mqadmin and Java 5.5.0', {
  skip: skipUnless(javaMissing()),
  timeout: 600_000,
}, () => {
  let admin: ClientPeer;
  let client: ClientPeer;
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'vernier-static-'));
    admin = startMqAdmin();
    client = startJavaClient('5.5.0');
  });
  after(async () => {
    await Promise.all([admin?.stop(), client?.stop()]);
    rmSync(folder, { recursive: true, force: true });
  });

  /** What mqadmin prints; it must not fail. */
  async function command(broker: BrokerPeer, line: string): Promise<string> {
    const { out, err } = await admin.call<{ out: string; err: string }>('mqadmin', {
      line: `${line} -n ${broker.namesrvAddr}`,
    });
    assert.equal(err, '', `mqadmin ${line}: ${out}`);
    return out;
  }

  async function make(broker: BrokerPeer, topic: string, queues: number): Promise<void> {
    const out = await command(broker, `updateStaticTopic -t ${topic} -qn ${queues} -b broker-a`);
    assert.match(out, /The new mapping data is written to file/);
    await askUntil(`route of ${topic}`, 30_000, undefined, async () =>
      (await hasRoute(broker.namesrvAddr, topic)) ? true : undefined,
    );
  }

  async function send(broker: BrokerPeer, topic: string, from: number, mode = 'sync'): Promise<void> {
    const name = unique('producer');
    await client.call('producer.start', { name, group: unique('pgroup'), namesrv: broker.namesrvAddr });
    const values = { name, topic, run: topic, mode, from, count: MESSAGES };
    const { status, errors } = await client.call<SendReport>('producer.send', values);
    assert.deepEqual([status, errors], [{ SEND_OK: MESSAGES }, {}], mode);
    await client.call('producer.stop', { name });
  }

  async function receive(broker: BrokerPeer, topic: string, distinct: number, group = unique('group')) {
    const name = unique('consumer');
    const { namesrvAddr: namesrv } = broker;
    await client.call('consumer.start', { name, group, namesrv, topic, run: topic, tags: '*' });
    await client.call('consumer.await', { name, distinct });
    return await client.call<ReceiveReport>('consumer.stop', { name });
  }

  /** Of the logical queues, by RequestCode 30 GET_MAX_OFFSET. */
  async function ends(broker: BrokerPeer, topic: string, queues: number): Promise<number[]> {
    const answers = await Promise.all(
      Array.from({ length: queues }, (_, id) => ask(broker.brokerAddr, 30, { topic, queueId: String(id) })),
    );
    return answers.map(({ extFields }) => Number(extFields?.offset));
  }

  it('a directory with static topics goes from Apache’s broker to Vernier and back', async (t) => {
    const dir = join(folder, 'exchange');
    const apache = await startApacheRocketMQ({ flushDiskType: 'ASYNC_FLUSH', storeDir: dir });
    t.after(() => apache.stop());
    await make(apache, 'Theirs', QUEUES);
    await send(apache, 'Theirs', 0);
    const before = await ends(apache, 'Theirs', QUEUES);
    await apache.stopBroker();

    const vernier = await startVernier({ flushDiskType: 'SYNC_FLUSH', storeDir: dir, extraConfig: sizes });
    t.after(() => vernier.stop());
    assert.deepEqual(await ends(vernier, 'Theirs', QUEUES), before);
    await send(vernier, 'Theirs', MESSAGES);
    assertAllOnce(await receive(vernier, 'Theirs', 2 * MESSAGES), 2 * MESSAGES);
    await make(vernier, 'Ours', QUEUES);
    await send(vernier, 'Ours', 0);
    await vernier.stopBroker();
    await vernier.startBroker();
    assertAllOnce(await receive(vernier, 'Ours', MESSAGES), MESSAGES);
    await vernier.stopBroker();

    await apache.startBroker();
    assertAllOnce(await receive(apache, 'Theirs', 2 * MESSAGES), 2 * MESSAGES);
    assertAllOnce(await receive(apache, 'Ours', MESSAGES), MESSAGES);
    await apache.stopBroker();
  });
});
