/**
 * Messages that wait, with Java's client 5.5.0: delay levels, the ladder of retries, dead letters. Then one directory with
 * messages that still wait, which Apache's broker and ours open in turn.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { BrokerPeer } from './peers/broker-peer.ts';
import { brokerKind, createTopic, startBroker } from './peers/brokers.ts';
import { type ClientPeer, startJavaClient } from './peers/client-peer.ts';
import { javaMissing } from './peers/java.ts';
import { ask } from './peers/remoting-ask.ts';
import { note, skipUnless, unique } from './peers/suite.ts';
import { WaitingConsumers } from './peers/waiting-consumers.ts';

interface Sent {
  status: string;
  topic: string;
  queueId: number;
  msgId: string;
}

/** The first retry waits as long as level 3, the second as long as 4. */
const messageDelayLevel = '1s 3s 1s 2s 1s 15s';
/** As the Java broker of these suites has them. */
const sizes = { mappedFileSizeCommitLog: 64 * 1024 * 1024, mappedFileSizeConsumeQueue: 20 * 100_000 };
const skip = skipUnless(javaMissing());

class Peer extends WaitingConsumers {
  async send(topic: string, run: string, level: number, count: number, from = 0): Promise<Sent[]> {
    const values = { group: unique('pgroup'), namesrv: this.broker.namesrvAddr, topic, run, level, count, from };
    const sent = await this.client.call<Sent[]>('delay.send', values);
    assert.deepEqual([...new Set(sent.map(({ status }) => status))], ['SEND_OK']);
    return sent;
  }
}

describe(`waiting messages with ${brokerKind}`, { skip, timeout: 400_000 }, () => {
  let client: ClientPeer;
  let broker: BrokerPeer;
  let peer: Peer;
  before(async () => {
    broker = await startBroker('SYNC_FLUSH', { messageDelayLevel });
    client = startJavaClient('5.5.0');
    peer = new Peer(client, broker);
  });
  after(async () => {
    await client?.stop();
    await broker?.stop();
  });

  it('a delayed message comes at its level’s time and not before, once, intact, with what RocketMQ leaves in it', async (t) => {
    const [topic, run] = [unique('topic'), unique('run')];
    await createTopic(broker, topic, 2);
    const name = await peer.consume(topic, unique('group'));
    const sent = await peer.send(topic, run, 2, 6);
    assert.deepEqual(
      sent.map((one) => [one.topic, one.queueId < 2]),
      Array(6).fill([topic, true]),
      'the producer is told its own topic and queue',
    );
    await peer.send(topic, run, 1, 4, 6);
    const deliveries = await peer.until(name, 10, 'all ten messages');
    await peer.stop(name);
    assert.equal(deliveries.length, 10);
    let latest = 0;
    for (const { index, fault, properties, bornTimestamp, storeTimestamp, topic: from, queueId } of deliveries) {
      assert.equal(fault, null);
      const level = Number(index) < 6 ? 2 : 1;
      assert.deepEqual(
        [from, properties.DELAY, properties.REAL_TOPIC, properties.REAL_QID],
        [topic, String(level), topic, String(queueId)],
      );
      const waited = storeTimestamp - bornTimestamp;
      assert.ok(waited >= (level === 2 ? 3_000 : 1_000), `${index} waited ${waited} ms`);
      latest = Math.max(latest, waited - (level === 2 ? 3_000 : 1_000));
    }
    note(t, `${brokerKind}: the last one came ${latest} ms after its time, the way to the broker included`);
  });

  it('what fails comes again, later each time, and is a dead letter after the last try', async (t) => {
    const [topic, run, group] = [unique('topic'), unique('run'), unique('group')];
    await createTopic(broker, topic, 1);
    const name = await peer.consume(topic, group, { failTimes: 99, maxReconsume: 2 });
    const [sent] = await peer.send(topic, run, 0, 1);
    const tries = await peer.until(name, 3, 'three tries');
    const dead = await peer.consume(`%DLQ%${group}`, unique('dlq'));
    const [letter] = await peer.until(dead, 1, 'the dead letter');
    await peer.stop(name);
    await peer.stop(dead);
    assert.deepEqual(
      tries.map(({ reconsumeTimes, topic: from, fault }) => [reconsumeTimes, from, fault]),
      [0, 1, 2].map((times) => [times, topic, null]),
    );
    const [first, second, third] = tries.map(({ storeTimestamp }) => storeTimestamp) as [number, number, number];
    assert.ok(second - first >= 1_000 && third - second >= 2_000, `${second - first} ms, ${third - second} ms`);
    note(t, `${brokerKind}: tried again after ${second - first} and ${third - second} ms`);
    assert.equal(letter?.fault, null);
    assert.equal(letter?.reconsumeTimes, 3);
    const { properties } = letter!;
    assert.equal(properties.RETRY_TOPIC, topic);
    assert.equal(properties.UNIQ_KEY, sent!.msgId);
    assert.match(properties.ORIGIN_MESSAGE_ID ?? '', /^[0-9A-F]{32}$/);
    if (brokerKind === 'apache') return;
    // What only the proxy reads, and Apache's own broker does not write.
    assert.equal(properties.DLQ_ORIGIN_TOPIC, topic);
    assert.equal(properties.DLQ_ORIGIN_MESSAGE_ID, properties.ORIGIN_MESSAGE_ID);
  });

  it('an orderly consumer that gave up: a dead letter at once', async () => {
    const [topic, run, group] = [unique('topic'), unique('run'), unique('group')];
    await createTopic(broker, topic, 1);
    const name = await peer.consume(topic, group, { failTimes: 99, maxReconsume: 1, orderly: true });
    await peer.send(topic, run, 0, 1);
    const dead = await peer.consume(`%DLQ%${group}`, unique('dlq'));
    const [letter] = await peer.until(dead, 1, 'the dead letter');
    await peer.stop(name);
    await peer.stop(dead);
    assert.equal(letter?.fault, null);
    assert.equal(letter?.properties.RETRY_TOPIC, topic);
  });

  it('how far the levels are: GET_ALL_DELAY_OFFSET, and in the runtime information', async () => {
    const { code, body } = await ask(broker.brokerAddr, 45);
    assert.equal(code, 0);
    const offsets = /"offsetTable"\s*:\s*\{([^}]*)\}/.exec(body.toString())?.[1] ?? '';
    const runtime = (await ask(broker.brokerAddr, 28)).body.toString();
    const shown = /"scheduleMessageOffset_2"\s*:\s*"(\d+),(\d+)"/.exec(runtime);
    assert.match(offsets, /"?2"?\s*:\s*\d+/);
    assert.deepEqual(shown?.slice(1), ['6', '6'], 'the six of the first test');
  });
});

/** Level 6. */
const WAIT_MS = 15_000;

for (const [first, second] of [
  ['apache', 'vernier'],
  ['vernier', 'apache'],
] as const) {
  const title = `a directory with messages that wait: ${first}, ${second}, ${first}`;
  describe(title, { skip: skip || brokerKind === 'apache', timeout: 400_000 }, () => {
    it('each is delivered once, at its time, by whichever has the directory then', async (t) => {
      const storeDir = mkdtempSync(join(tmpdir(), 'vernier-delay-'));
      const [topic, run, group] = [unique('topic'), unique('run'), unique('group')];
      const client = startJavaClient('5.5.0');
      const open = (kind: 'apache' | 'vernier'): Promise<BrokerPeer> =>
        startBroker('SYNC_FLUSH', { messageDelayLevel, ...(kind === 'vernier' ? sizes : {}) }, kind, storeDir);
      const savedOffset = (level: number): string | undefined => {
        const file = readFileSync(join(storeDir, 'config', 'delayOffset.json'), 'utf8');
        return new RegExp(`[{,]\\s*"?${level}"?\\s*:\\s*(\\d+)`).exec(file.slice(file.indexOf('offsetTable')))?.[1];
      };
      let broker: BrokerPeer | undefined;
      try {
        broker = await open(first);
        await createTopic(broker, topic, 1);
        let peer = new Peer(client, broker);
        let name = await peer.consume(topic, group);
        await peer.send(topic, run, 1, 5);
        await peer.until(name, 5, 'what was due with the first broker');
        const sentAt = Date.now();
        await peer.stop(name);
        await peer.send(topic, run, 6, 5, 5);
        await broker.stop();
        assert.equal(savedOffset(1), '5');

        broker = await open(second);
        peer = new Peer(client, broker);
        name = await peer.consume(topic, group);
        const opened = Date.now() - sentAt;
        const waiting = await peer.until(name, 5, 'what the first broker left waiting');
        for (const { fault, index, storeTimestamp, bornTimestamp, properties } of waiting) {
          assert.deepEqual([fault, properties.DELAY, Number(index) >= 5], [null, '6', true], `message ${index}`);
          assert.ok(
            storeTimestamp - bornTimestamp >= WAIT_MS,
            `${index} came after ${storeTimestamp - bornTimestamp} ms`,
          );
        }
        note(t, `${second} was open ${opened} ms after the sends; the wait is ${WAIT_MS} ms`);
        await peer.send(topic, run, 1, 3, 10);
        const all = await peer.until(name, 8, 'what came new with the second broker');
        assert.deepEqual(
          all.map(({ index }) => Number(index)).sort((a, b) => a - b),
          [5, 6, 7, 8, 9, 10, 11, 12],
        );
        // Before they are sent: on a busy machine they would come to this consumer.
        await peer.stop(name);
        await peer.send(topic, run, 2, 2, 20);
        await broker.stop();
        assert.deepEqual([savedOffset(1), savedOffset(6)], ['8', '5']);

        broker = await open(first);
        peer = new Peer(client, broker);
        name = await peer.consume(topic, group);
        const last = await peer.until(name, 2, 'what the second broker left waiting');
        // A message behind them in the level that was done shows that nothing was in front of it.
        await peer.send(topic, run, 1, 1, 30);
        const rest = await peer.until(name, last.length + 1, 'the end');
        await peer.stop(name);
        assert.deepEqual(
          rest.map(({ index }) => Number(index)).sort((a, b) => a - b),
          [20, 21, 30],
        );
      } finally {
        await client.stop();
        await broker?.stop();
        rmSync(storeDir, { recursive: true, force: true });
      }
    });
  });
}
