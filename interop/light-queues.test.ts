/**
 * A directory with light queues (LMQ), written by Apache's broker 5.5.0 and by ours in turn, closed and killed: numbers go on,
 * both give the same messages from each queue, and the doctor finds nothing.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { findingText } from '../packages/doctor/src/finding.ts';
import { readLayout } from '../packages/doctor/src/store-layout.ts';
import { verifyStore } from '../packages/doctor/src/verify.ts';
import type { BrokerPeer } from './peers/broker-peer.ts';
import { createTopic } from './peers/brokers.ts';
import { askUntil } from './peers/child.ts';
import { javaMissing } from './peers/java.ts';
import { startApacheRocketMQ } from './peers/java-broker.ts';
import { readRecord } from './peers/record.ts';
import { ask } from './peers/remoting-ask.ts';
import { note, skipUnless } from './peers/suite.ts';
import { startVernier } from './peers/vernier.ts';

const QUEUES = ['%LMQ%a', '%LMQ%$parent$b', '%LMQ%c'] as const;
const GROUP = '%LMQ%consumers';
const lmq = { enableLmq: true, enableMultiDispatch: true };
/** The sizes that the small Java broker has. */
const sizes = {
  mappedFileSizeCommitLog: 64 * 1024 * 1024,
  mappedFileSizeConsumeQueue: 20 * 100_000,
  maxHashSlotNum: 100_000,
  maxIndexNum: 400_000,
};

describe('light queues of RocketMQ 5.5.0', { skip: skipUnless(javaMissing()), timeout: 600_000 }, () => {
  let folder: string;
  /** What each queue has to give, in order. */
  const expected = new Map<string, string[]>(QUEUES.map((name) => [name, []]));
  let sentCount = 0;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'vernier-lmq-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** The first queue gets each message, the second every second one, the third every third one; to two topics in turn. */
  async function send(broker: BrokerPeer, count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const at = sentCount++;
      const names = QUEUES.filter((_, index) => at % (index + 1) === 0);
      const text = `${broker.kind}-${at}`;
      const fields = {
        ...{ producerGroup: 'p', topic: at % 2 === 0 ? 'Even' : 'Odd', defaultTopic: 'TBW102', queueId: '0' },
        ...{ defaultTopicQueueNums: '4', sysFlag: '0', bornTimestamp: '1700000000000', flag: '0', batch: 'false' },
        properties: `INNER_MULTI_DISPATCH\u0001${names.join(',')}\u0002UNIQ_KEY\u0001${text}\u0002`,
      };
      const { code, remark } = await ask(broker.brokerAddr, 10, fields, Buffer.from(text));
      assert.equal(code, 0, remark);
      for (const name of names) expected.get(name)!.push(text);
    }
  }

  /** RequestCode 11 PULL_MESSAGE, until there are no more. */
  async function pull(broker: BrokerPeer, topic: string): Promise<string[]> {
    const texts: string[] = [];
    for (;;) {
      const answer = await ask(broker.brokerAddr, 11, {
        ...{ consumerGroup: GROUP, topic, queueId: '0', queueOffset: String(texts.length), maxMsgNums: '32' },
        ...{ sysFlag: '4', commitOffset: '0', suspendTimeoutMillis: '0', subscription: '*', subVersion: '0' },
        expressionType: 'TAG',
      });
      if (answer.code !== 0) return texts;
      for (let at = 0; at < answer.body.length; ) {
        const size = answer.body.readInt32BE(at);
        texts.push(readRecord(answer.body.subarray(at, at + size)).properties.UNIQ_KEY ?? '');
        at += size;
      }
    }
  }

  async function assertComplete(broker: BrokerPeer, what: string): Promise<void> {
    for (const [name, texts] of expected) {
      await askUntil(`${texts.length} messages of ${name}`, 20_000, undefined, async () =>
        (await pull(broker, name)).length >= texts.length ? true : undefined,
      );
      assert.deepEqual(await pull(broker, name), texts, `${what}: ${name}`);
    }
  }

  async function assertSilent(t: TestContext, dir: string, what: string): Promise<void> {
    const layout = await readLayout(dir);
    const { findings, records } = await verifyStore(layout, { depth: 'full' });
    assert.deepEqual(findings.list.filter(({ severity }) => severity === 'fault').map(findingText), [], what);
    note(t, `${what}: ${layout.state}, ${records} records, nothing found`);
  }

  it('Apache, Vernier, Apache and Vernier again, closed and killed: every message in its queues, numbers go on', async (t) => {
    const dir = join(folder, 'store');
    const apache = await startApacheRocketMQ({ flushDiskType: 'SYNC_FLUSH', storeDir: dir, extraConfig: lmq });
    t.after(() => apache.stop());
    for (const topic of ['Even', 'Odd']) await createTopic(apache, topic);
    await send(apache, 60);
    await assertComplete(apache, 'in Apache');
    // RequestCode 15 UPDATE_CONSUMER_OFFSET, 14 QUERY_CONSUMER_OFFSET.
    const place = { consumerGroup: GROUP, topic: QUEUES[0], queueId: '0' };
    await ask(apache.brokerAddr, 15, { ...place, commitOffset: '41' });
    await apache.stopBroker();
    await assertSilent(t, dir, 'as Apache left it');

    const extraConfig = { ...sizes, ...lmq };
    const vernier = await startVernier({ flushDiskType: 'SYNC_FLUSH', storeDir: dir, extraConfig });
    t.after(() => vernier.stop());
    assert.equal((await ask(vernier.brokerAddr, 14, place)).extFields.offset, '41');
    await assertComplete(vernier, 'of Apache in Vernier');
    await send(vernier, 60);
    await assertComplete(vernier, 'in Vernier');
    await ask(vernier.brokerAddr, 15, { ...place, commitOffset: '97' });
    await vernier.stopBroker();
    await assertSilent(t, dir, 'as Vernier left it');

    await apache.startBroker();
    assert.equal((await ask(apache.brokerAddr, 14, place)).extFields.offset, '97');
    await assertComplete(apache, 'of Vernier in Apache');
    await send(apache, 60);
    await apache.killBroker();

    await vernier.startBroker();
    await assertComplete(vernier, 'of a killed Apache in Vernier');
    await send(vernier, 60);
    await vernier.killBroker();

    await apache.startBroker();
    await assertComplete(apache, 'of a killed Vernier in Apache');
    await send(apache, 30);
    await assertComplete(apache, 'at last');
    await apache.stopBroker();
    await assertSilent(t, dir, 'at last');
  });
});
