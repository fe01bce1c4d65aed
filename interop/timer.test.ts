/**
 * Messages with a time, and their recall, with Java's client 5.5.0. Then one directory with messages that wait, which
 * Apache's broker and ours open in turn, closed and killed.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { BrokerPeer } from './peers/broker-peer.ts';
import { brokerKind, createTopic, startBroker } from './peers/brokers.ts';
import { askUntil } from './peers/child.ts';
import { type ClientPeer, startJavaClient } from './peers/client-peer.ts';
import { javaMissing } from './peers/java.ts';
import { ask } from './peers/remoting-ask.ts';
import { note, skipUnless, unique } from './peers/suite.ts';
import { type Delivery, WaitingConsumers } from './peers/waiting-consumers.ts';

interface Sent {
  status: string;
  topic: string;
  queueId: number;
  msgId: string;
  handle: string;
  wanted: number;
}

const sizes = { mappedFileSizeCommitLog: 64 * 1024 * 1024, mappedFileSizeConsumeQueue: 20 * 100_000 };
const config = { recallMessageEnable: true };
const PRECISION_MS = 1_000;
const skip = skipUnless(javaMissing());

class Peer extends WaitingConsumers {
  async send(topic: string, run: string, way: string, delayMs: number, count: number, from = 0): Promise<Sent[]> {
    const values = {
      group: unique('pgroup'),
      namesrv: this.broker.namesrvAddr,
      topic,
      run,
      way,
      delayMs,
      count,
      from,
    };
    const sent = await this.client.call<Sent[]>('timer.send', values);
    assert.deepEqual([...new Set(sent.map(({ status }) => status))], ['SEND_OK']);
    return sent;
  }

  recall(topic: string, handle: string): Promise<string> {
    const values = { group: unique('pgroup'), namesrv: this.broker.namesrvAddr, topic, handle };
    return this.client.call<string>('timer.recall', values);
  }
}

const roundedUp = (time: number): number => Math.ceil(time / PRECISION_MS) * PRECISION_MS;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe(`timed messages with ${brokerKind}`, { skip, timeout: 400_000 }, () => {
  let client: ClientPeer;
  let broker: BrokerPeer;
  let peer: Peer;
  before(async () => {
    broker = await startBroker('SYNC_FLUSH', config);
    client = startJavaClient('5.5.0');
    peer = new Peer(client, broker);
  });
  after(async () => {
    await client?.stop();
    await broker?.stop();
  });

  it('each of the three ways to say a time: there at it and not before, once, intact', async (t) => {
    const [topic, run] = [unique('topic'), unique('run')];
    await createTopic(broker, topic, 2);
    const name = await peer.consume(topic, unique('group'));
    const sent = [
      ...(await peer.send(topic, run, 'deliver', 3_333, 4)),
      ...(await peer.send(topic, run, 'ms', 2_500, 4, 4)),
      ...(await peer.send(topic, run, 'sec', 2_000, 4, 8)),
    ];
    assert.deepEqual([...new Set(sent.map((one) => one.topic))], [topic], 'the producer is told its own topic');
    const deliveries = await peer.until(name, 12, 'all twelve messages');
    await peer.stop(name);
    assert.equal(deliveries.length, 12);
    let latest = 0;
    for (const { index, fault, topic: from, storeTimestamp, queueId, properties } of deliveries) {
      assert.equal(fault, null);
      assert.equal(from, topic);
      const { wanted } = sent[Number(index)]!;
      assert.ok(storeTimestamp >= wanted, `${index} came ${wanted - storeTimestamp} ms early`);
      latest = Math.max(latest, storeTimestamp - roundedUp(wanted));
      assert.deepEqual([properties.REAL_TOPIC, properties.REAL_QID], [topic, String(queueId)]);
      for (const property of ['TIMER_OUT_MS', 'TIMER_ENQUEUE_MS', 'TIMER_DEQUEUE_MS']) {
        assert.match(properties[property] ?? '', /^\d+$/, property);
      }
    }
    note(t, `${brokerKind}: the last one came ${latest} ms after its rounded time`);
  });

  it('a recalled message does not come; what is too late or nobody’s is refused', async () => {
    const [topic, run] = [unique('topic'), unique('run')];
    await createTopic(broker, topic, 1);
    const name = await peer.consume(topic, unique('group'));
    const sent = await peer.send(topic, run, 'deliver', 8_000, 3);
    assert.equal(Buffer.from(sent[0]!.handle, 'base64url').toString().split(' ').slice(0, 2).join(' '), `v1 ${topic}`);
    assert.equal(await peer.recall(topic, sent[1]!.handle), sent[1]!.msgId);
    assert.equal(await peer.recall(topic, sent[1]!.handle), sent[1]!.msgId, 'twice');
    await peer.until(name, 2, 'the other two');
    await pause(3_000);
    const indexes = (await peer.deliveries(name)).map(({ index }) => Number(index));
    assert.deepEqual(indexes.sort(), [0, 2]);
    assert.equal(await peer.recall(topic, sent[0]!.handle), 'code 604');
    await peer.stop(name);
  });

  it('GET_TIMER_CHECK_POINT and GET_TIMER_METRICS', async () => {
    const [topic, run] = [unique('topic'), unique('run')];
    await createTopic(broker, topic, 1);
    await peer.send(topic, run, 'deliver', 100_000, 3);
    const check = await ask(broker.brokerAddr, 60);
    assert.deepEqual([check.code, check.body.length], [0, 56]);
    assert.ok(Math.abs(Number(check.body.readBigInt64BE(0)) - Date.now()) < 60_000, 'lastReadTimeMs');
    await askUntil('the metrics', 20_000, undefined, async () => {
      const metrics = await ask(broker.brokerAddr, 61);
      const found = new RegExp(`"${topic}"\\s*:\\s*\\{[^}]*"count"\\s*:\\s*3`).test(metrics.body.toString());
      return metrics.code === 0 && found ? true : undefined;
    });
  });
});

/** Until then the directory has changed hands. */
const WAIT_MS = 25_000;

// Most of their time passes in waiting for a broker to start or a message to be due, so two run side by side.
describe('a directory with timed messages', { concurrency: 2 }, () => {
  for (const [first, second, ending] of [
    ['apache', 'vernier', 'stop'],
    ['vernier', 'apache', 'stop'],
    ['apache', 'vernier', 'kill'],
    ['vernier', 'apache', 'kill'],
  ] as const) {
    const title = `${first}, ${ending}, ${second}`;
    describe(title, { skip: skip || brokerKind === 'apache', timeout: 400_000 }, () => {
      it('each comes at its time, by whichever has the directory then, and the recalled one does not', async (t) => {
        const storeDir = mkdtempSync(join(tmpdir(), 'vernier-timer-'));
        const [topic, run, group] = [unique('topic'), unique('run'), unique('group')];
        const client = startJavaClient('5.5.0');
        const open = (kind: 'apache' | 'vernier'): Promise<BrokerPeer> =>
          startBroker('SYNC_FLUSH', { ...config, ...(kind === 'vernier' ? sizes : {}) }, kind, storeDir);
        let broker: BrokerPeer | undefined;
        try {
          broker = await open(first);
          await createTopic(broker, topic, 1);
          let peer = new Peer(client, broker);
          let name = await peer.consume(topic, group);
          await peer.send(topic, run, 'deliver', 1_000, 3);
          await peer.until(name, 3, 'what was due with the first broker');
          await peer.stop(name);
          const sent = await peer.send(topic, run, 'deliver', WAIT_MS, 5, 3);
          assert.equal(await peer.recall(topic, sent[4]!.handle), sent[4]!.msgId);
          // Taken up and saved.
          await pause(3_000);
          if (ending === 'kill') await broker.killBroker();
          await broker.stop();

          broker = await open(second);
          const opened = Date.now();
          peer = new Peer(client, broker);
          name = await peer.consume(topic, group);
          // A kill costs the consumers' last offsets too: what was due before comes again to them.
          const waited = async (): Promise<Delivery[]> =>
            (await peer.deliveries(name)).filter(({ index }) => Number(index) >= 3);
          await askUntil('what the first broker left waiting', 60_000, undefined, async () => {
            const indexes = new Set((await waited()).map(({ index }) => index));
            return indexes.size >= 4 ? true : undefined;
          });
          await pause(2_000);
          const all = await waited();
          await peer.stop(name);
          assert.deepEqual(
            [...new Set(all.map(({ index }) => Number(index)))].sort(),
            [3, 4, 5, 6],
            'without the recalled one',
          );
          if (ending === 'stop') assert.equal(all.length, 4, 'each once');
          for (const { index, fault, storeTimestamp } of all) {
            assert.equal(fault, null);
            const { wanted } = sent[Number(index) - 3]!;
            assert.ok(storeTimestamp >= wanted, `${index} came ${wanted - storeTimestamp} ms early`);
          }
          const left = sent[0]!.wanted - opened;
          note(t, `${second} was open ${left} ms before the time`);
        } finally {
          await client.stop();
          await broker?.stop();
          rmSync(storeDir, { recursive: true, force: true });
        }
      });
    });
  }
});
