/**
 * Directories of Apache's broker 5.5.0 with settings that Vernier does not have, and with a topic that an operator made
 * smaller: batch queues, extensions of queue entries, fewer queues than there were. The doctor finds nothing in them,
 * Vernier serves what it can and says what it cannot, and Apache's broker starts again on what Vernier left.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { findingText } from '../packages/doctor/src/finding.ts';
import { readLayout } from '../packages/doctor/src/store-layout.ts';
import { verifyStore } from '../packages/doctor/src/verify.ts';
import { assertAllOnce, taggedCount } from './client-suite.ts';
import type { BrokerPeer } from './peers/broker-peer.ts';
import { createTopic, updateTopic } from './peers/brokers.ts';
import { askUntil } from './peers/child.ts';
import { type ClientPeer, type ReceiveReport, type SendReport, startJavaClient } from './peers/client-peer.ts';
import { javaMissing } from './peers/java.ts';
import { startApacheRocketMQ } from './peers/java-broker.ts';
import { ask, hasRoute } from './peers/remoting-ask.ts';
import { note, skipUnless, unique } from './peers/suite.ts';
import { startVernier } from './peers/vernier.ts';

const MESSAGES = 300;
/** The sizes that the small Java broker has. */
const sizes = {
  mappedFileSizeCommitLog: 64 * 1024 * 1024,
  mappedFileSizeConsumeQueue: 20 * 100_000,
  maxHashSlotNum: 100_000,
  maxIndexNum: 400_000,
};

/** RequestCode 351 GET_TOPIC_CONFIG: [readQueueNums, writeQueueNums]. */
async function queuesOf(broker: BrokerPeer, topic: string): Promise<[number, number]> {
  const text = (await ask(broker.brokerAddr, 351, { topic })).body.toString();
  const number = (name: string): number => Number(new RegExp(`"${name}":(\\d+)`).exec(text)?.[1]);
  return [number('readQueueNums'), number('writeQueueNums')];
}

async function assertSilent(t: TestContext, dir: string, what: string): Promise<void> {
  const layout = await readLayout(dir);
  const { findings, records } = await verifyStore(layout, { depth: 'full' });
  assert.deepEqual(findings.list.map(findingText), [], what);
  note(t, `${what}: ${layout.state}, ${records} records, nothing found`);
}

describe('directories of RocketMQ 5.5.0 with other settings', {
  skip: skipUnless(javaMissing()),
  timeout: 900_000,
  concurrency: 2,
}, () => {
  let folder: string;
  let client: ClientPeer;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'vernier-kinds-'));
    client = startJavaClient('5.5.0');
  });
  after(async () => {
    await client?.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  async function send(broker: BrokerPeer, topic: string, modes: readonly string[], first = 0): Promise<void> {
    const name = unique('producer');
    await client.call('producer.start', { name, group: unique('pgroup'), namesrv: broker.namesrvAddr });
    const count = MESSAGES / modes.length;
    for (const [at, mode] of modes.entries()) {
      const values = { name, topic, run: topic, mode, from: first + at * count, count };
      assert.deepEqual((await client.call<SendReport>('producer.send', values)).errors, {}, mode);
    }
    await client.call('producer.stop', { name });
  }

  async function receive(broker: BrokerPeer, topic: string, distinct: number, tags = '*'): Promise<ReceiveReport> {
    const name = unique('consumer');
    const { namesrvAddr: namesrv } = broker;
    await client.call('consumer.start', { name, group: unique('group'), namesrv, topic, run: topic, tags });
    await client.call('consumer.await', { name, distinct });
    return await client.call<ReceiveReport>('consumer.stop', { name });
  }

  it('batch queues: each broker goes on in the directory of the other, and gives every message once', async (t) => {
    const dir = join(folder, 'batch');
    const apache = await startApacheRocketMQ({ flushDiskType: 'ASYNC_FLUSH', storeDir: dir });
    t.after(() => apache.stop());
    const made = await updateTopic(apache, 'Batch', 2, '+queue.type=BatchCQ');
    assert.equal(made.code, 0, made.remark);
    await askUntil('route of Batch', 30_000, undefined, async () =>
      (await hasRoute(apache.namesrvAddr, 'Batch')) ? true : undefined,
    );
    await send(apache, 'Batch', ['sync', 'batch']);
    await apache.stopBroker();
    assert.equal(existsSync(join(dir, 'consumequeue', 'Batch')), false);
    await assertSilent(t, dir, 'as Apache left it');

    const vernier = await startVernier({ flushDiskType: 'SYNC_FLUSH', storeDir: dir, extraConfig: sizes });
    t.after(() => vernier.stop());
    assertAllOnce(await receive(vernier, 'Batch', MESSAGES), MESSAGES);
    // RequestCode 30 GET_MAX_OFFSET: messages and not records.
    const ends = await Promise.all(
      ['0', '1'].map((queueId) => ask(vernier.brokerAddr, 30, { topic: 'Batch', queueId })),
    );
    assert.equal(
      ends.reduce((sum, { extFields }) => sum + Number(extFields?.offset), 0),
      MESSAGES,
    );
    await send(vernier, 'Batch', ['batch', 'sync'], MESSAGES);
    assertAllOnce(await receive(vernier, 'Batch', 2 * MESSAGES), 2 * MESSAGES);
    // A topic with batch queues from Vernier itself.
    const own = await updateTopic(vernier, 'Own', 2, '+queue.type=BatchCQ');
    assert.equal(own.code, 0, own.remark);
    await send(vernier, 'Own', ['batch']);
    await vernier.stopBroker();
    assert.equal(existsSync(join(dir, 'consumequeue', 'Batch')), false, 'Apache would not start');
    await assertSilent(t, dir, 'as Vernier left it');

    await apache.startBroker();
    assertAllOnce(await receive(apache, 'Batch', 2 * MESSAGES), 2 * MESSAGES);
    assertAllOnce(await receive(apache, 'Own', MESSAGES), MESSAGES);
    await send(apache, 'Own', ['batch'], MESSAGES);
    assertAllOnce(await receive(apache, 'Own', 2 * MESSAGES), 2 * MESSAGES);
    await apache.stopBroker();
    await assertSilent(t, dir, 'as Apache left it again');
  });

  it('extensions of entries, and a topic made smaller: tags are found in both brokers, and the topic stays small', async (t) => {
    const dir = join(folder, 'ext');
    const extraConfig = { enableConsumeQueueExt: true, bitMapLengthConsumeQueueExt: 64 };
    const apache = await startApacheRocketMQ({ flushDiskType: 'ASYNC_FLUSH', storeDir: dir, extraConfig });
    t.after(() => apache.stop());
    await createTopic(apache, 'Ext', 8);
    await send(apache, 'Ext', ['sync']);
    await createTopic(apache, 'Shrunk', 8);
    await send(apache, 'Shrunk', ['sync']);
    const smaller = await updateTopic(apache, 'Shrunk', 2);
    assert.equal(smaller.code, 0, smaller.remark);
    await apache.stopBroker();
    assert.equal(readdirSync(join(dir, 'consumequeue_ext', 'Ext')).length, 8, 'Java has written extensions');
    assert.equal(readdirSync(join(dir, 'consumequeue', 'Shrunk')).length, 8);
    await assertSilent(t, dir, 'as Apache left it');

    const vernier = await startVernier({ flushDiskType: 'SYNC_FLUSH', storeDir: dir, extraConfig: sizes });
    t.after(() => vernier.stop());
    assert.deepEqual(await queuesOf(vernier, 'Shrunk'), [2, 2]);
    const tagged = taggedCount(MESSAGES, 0);
    const report = await receive(vernier, 'Ext', tagged, 'TagA');
    assertAllOnce(report, tagged);
    assert.deepEqual(Object.keys(report.tags), ['TagA']);
    await createTopic(vernier, 'Ours');
    await send(vernier, 'Ours', ['sync']);
    await vernier.stopBroker();
    await assertSilent(t, dir, 'as Vernier left it');

    await apache.startBroker();
    assert.deepEqual(await queuesOf(apache, 'Shrunk'), [2, 2]);
    for (const topic of ['Ext', 'Ours']) {
      const again = await receive(apache, topic, tagged, 'TagA');
      assertAllOnce(again, tagged);
      assert.deepEqual(Object.keys(again.tags), ['TagA'], topic);
    }
    await apache.stopBroker();
    await assertSilent(t, dir, 'as Apache left it again');
  });
});
