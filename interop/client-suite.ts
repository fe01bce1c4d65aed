/**
 * What every client must find true of the broker, whatever its language: 20,000 messages sent in each way the client
 * knows, received complete and intact, offsets that survive a restart, a second consumer that joins. Run for both flush
 * types; the parts that only some clients can do are switched by `abilities`.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { BrokerPeer } from './peers/broker-peer.ts';
import { brokerKind, createTopic, type FlushDiskType, flushDiskTypes, startBroker } from './peers/brokers.ts';
import { askUntil } from './peers/child.ts';
import type { ClientPeer, ReceiveReport, SendReport } from './peers/client-peer.ts';
import { note, skipUnless, unique } from './peers/suite.ts';

export interface ClientUnderTest {
  name: string;
  missing: string | undefined;
  start: () => ClientPeer;
  /** How the 20,000 messages are sent; a way that the client lacks is left out and said in the name. */
  modes: Record<'sync' | 'async' | 'oneway' | 'batch', number>;
  abilities: {
    /** Can consume each queue in order. */
    orderly: boolean;
    /** Answers how many queues a consumer holds, so that a suite can wait for a rebalance. */
    queues: boolean;
    /** Hashes a tag as Java does when it is not ASCII; without that no broker of RocketMQ finds the messages. */
    unicodeTags: boolean;
  };
  /** More tests for this client, within the suite of one flush type. */
  more?: (context: SuiteContext) => void;
}

export interface SuiteContext {
  readonly peer: ClientPeer;
  readonly broker: BrokerPeer;
  /** The topic that holds the 20,000 messages of run `run`. */
  readonly topic: string;
  readonly run: string;
  readonly sent: Partial<Record<string, SendReport>>;
  readonly messageCount: number;
}

const queueCount = 4;

/** Messages of 0 ≤ index < count with this tag; the tags take turns. */
export function taggedCount(count: number, ...tags: number[]): number {
  return tags.reduce((sum, tag) => sum + Math.floor((count + 2 - tag) / 3), 0);
}

/** Complete, intact and each once: what a consumer reports that missed nothing. */
export function assertAllOnce(report: ReceiveReport, count: number): void {
  assert.deepEqual(report.faults, []);
  assert.equal(report.faulty, 0);
  assert.equal(report.distinct, count, 'distinct messages received');
  assert.equal(report.duplicates, 0, 'duplicates');
  assert.equal(report.foreign, 0, 'messages of an earlier run');
}

/**
 * A second consumer joins a group under load and leaves it again. Asserts that the two together miss nothing, and
 * answers how many messages were delivered more than once. `canAskQueues`: the client tells how many queues it holds.
 */
export async function joinAndLeave(peer: ClientPeer, broker: BrokerPeer, canAskQueues: boolean): Promise<number> {
  const [topic, run, group, name] = [unique('topic'), unique('run'), unique('group'), unique('producer')];
  const consumers = [unique('consumer'), unique('consumer')] as const;
  const namesrv = broker.namesrvAddr;
  const count = 4_000;
  const send = async (from: number, to: number, threads: number): Promise<void> => {
    const values = { name, topic, run, mode: 'sync', from, count: to - from, threads };
    const report = await peer.call<SendReport>('producer.send', values);
    assert.deepEqual([report.status, report.errors], [{ SEND_OK: to - from }, {}]);
  };
  const join = (consumer: string): Promise<unknown> =>
    peer.call('consumer.start', { name: consumer, group, namesrv, topic, run });

  await createTopic(broker, topic, queueCount);
  await join(consumers[0]);
  await peer.call('producer.start', { name, group: unique('pgroup'), namesrv });
  await send(0, count / 4, 2);
  const sending = send(count / 4, (count / 4) * 3, 1);
  await join(consumers[1]);
  if (canAskQueues) {
    await askUntil('rebalance to two consumers', 60_000, undefined, async () => {
      const held = await Promise.all(
        consumers.map((one) => peer.call<number>('consumer.queues', { name: one, topic })),
      );
      return held.every((queues) => queues === queueCount / 2) ? true : undefined;
    });
  }
  await sending;
  const left = await peer.call<ReceiveReport>('consumer.stop', { name: consumers[1], indexes: true });
  await send((count / 4) * 3, count, 2);
  await peer.call('producer.stop', { name });
  const stayed = await askUntil('all messages at either consumer', 60_000, undefined, async () => {
    const now = await peer.call<ReceiveReport>('consumer.await', { name: consumers[0], distinct: 0, indexes: true });
    return new Set([...left.indexes!, ...now.indexes!]).size === count ? now : undefined;
  });
  await peer.call('consumer.stop', { name: consumers[0] });
  assert.equal(stayed.faulty + left.faulty, 0);
  return stayed.total + left.total - count;
}

function suite(client: ClientUnderTest, flushDiskType: FlushDiskType): void {
  let peer: ClientPeer;
  let broker: BrokerPeer;
  const topic = unique('topic');
  const run = unique('run');
  const sent: Partial<Record<string, SendReport>> = {};
  const messageCount = Object.values(client.modes).reduce((sum, count) => sum + count, 0);
  const mainGroup = unique('group');

  before(async () => {
    broker = await startBroker(flushDiskType);
    peer = client.start();
    await createTopic(broker, topic, queueCount);
  });
  after(async () => {
    await peer?.stop();
    await broker?.stop();
  });

  const consumer = async (values: Record<string, string | number | boolean>): Promise<string> => {
    const name = unique('consumer');
    await peer.call('consumer.start', { name, namesrv: broker.namesrvAddr, topic, run, ...values });
    return name;
  };
  const awaitDistinct = (name: string, distinct: number, timeout = 60_000): Promise<ReceiveReport> =>
    peer.call<ReceiveReport>('consumer.await', { name, distinct, timeout });
  const stopConsumer = (name: string): Promise<ReceiveReport> => peer.call<ReceiveReport>('consumer.stop', { name });
  const producer = async (): Promise<string> => {
    const name = unique('producer');
    await peer.call('producer.start', { name, group: unique('pgroup'), namesrv: broker.namesrvAddr });
    return name;
  };
  /** Sends and asserts that everything was acknowledged as stored. */
  const send = async (values: Record<string, string | number>): Promise<SendReport> => {
    const report = await peer.call<SendReport>('producer.send', { topic, run, ...values });
    assert.deepEqual(report.errors, {}, 'errors while sending');
    const acknowledged = values.mode === 'oneway' ? {} : { SEND_OK: values.count };
    assert.deepEqual(report.status, acknowledged);
    return report;
  };

  it(`a push consumer receives ${messageCount} messages (${Object.entries(client.modes)
    .filter(([, count]) => count > 0)
    .map(([mode, count]) => `${count} ${mode}`)
    .join(', ')}) complete, intact and each once`, async (t) => {
    const receiver = await consumer({ group: mainGroup });
    const sender = await producer();
    let from = 0;
    for (const [mode, count] of Object.entries(client.modes)) {
      if (count === 0) continue;
      sent[mode] = await send({ name: sender, mode, from, count, threads: mode === 'oneway' ? 1 : 4 });
      from += count;
    }
    note(
      t,
      `sent in ${Object.entries(sent)
        .map(([mode, report]) => `${mode} ${report!.millis} ms`)
        .join(', ')}`,
    );
    await awaitDistinct(receiver, messageCount, 90_000);
    await peer.call('producer.stop', { name: sender });
    const report = await stopConsumer(receiver);
    assertAllOnce(report, messageCount);
    assert.equal(report.gaps, 0, 'queue offsets missing');
    assert.equal(Object.keys(report.queues).length, queueCount);
  });

  it('offsets survive an orderly restart of the broker: the group continues where it was', async () => {
    await broker.stopBroker();
    await broker.startBroker();
    const next = unique('run');
    const receiver = await consumer({ group: mainGroup, run: next });
    const sender = await producer();
    await send({ name: sender, mode: 'sync', run: next, count: 400, threads: 2 });
    await awaitDistinct(receiver, 400);
    await peer.call('producer.stop', { name: sender });
    assertAllOnce(await stopConsumer(receiver), 400);
  });

  it('a new group reads everything from the start after the restart', async () => {
    const { orderly } = client.abilities;
    const receiver = await consumer({ group: unique('group'), orderly, batch: 16 });
    await awaitDistinct(receiver, messageCount, 90_000);
    const report = await stopConsumer(receiver);
    if (orderly) assert.equal(report.disordered, 0, 'messages out of order within a queue');
    // The 400 messages of the test before are in the topic too.
    assert.equal(report.foreign <= 400, true);
    assertAllOnce({ ...report, foreign: 0 }, messageCount);
  });

  it('a tag expression is filtered by the broker', async () => {
    const { unicodeTags } = client.abilities;
    const receiver = await consumer({ group: unique('group'), tags: unicodeTags ? 'TagA || 标签' : 'TagA || TagB' });
    const wanted = taggedCount(messageCount, 0, unicodeTags ? 2 : 1);
    await awaitDistinct(receiver, wanted);
    const report = await stopConsumer(receiver);
    assertAllOnce({ ...report, foreign: 0 }, wanted);
    assert.deepEqual(Object.keys(report.tags).sort(), ['TagA', unicodeTags ? '标签' : 'TagB'].sort());
  });

  it('a second consumer joins and leaves under load: nothing is missed', async (t) => {
    const duplicates = await joinAndLeave(peer, broker, client.abilities.queues);
    note(t, `${brokerKind}: ${duplicates} duplicates while a consumer joined and left`);
  });

  it('a message that a listener fails once comes again', async () => {
    const retried = unique('topic');
    const load = unique('run');
    await createTopic(broker, retried, 1);
    const receiver = await consumer({ group: unique('group'), topic: retried, run: load, failOnce: 7 });
    const sender = await producer();
    await send({ name: sender, topic: retried, mode: 'sync', run: load, count: 20, threads: 1 });
    await peer.call('producer.stop', { name: sender });
    const report = await askUntil('the failed message again', 60_000, undefined, async () => {
      const now = await awaitDistinct(receiver, 20);
      return now.total > 20 ? now : undefined;
    });
    await stopConsumer(receiver);
    assert.deepEqual([report.distinct, report.total, report.faulty], [20, 21, 0]);
  });

  client.more?.({
    get peer() {
      return peer;
    },
    get broker() {
      return broker;
    },
    topic,
    run,
    sent,
    messageCount,
  });
}

/** Declares the suites of one client, one for each flush type. */
export function clientSuite(client: ClientUnderTest): void {
  for (const flushDiskType of flushDiskTypes) {
    describe(
      `${client.name} with ${brokerKind}, ${flushDiskType}`,
      { skip: skipUnless(client.missing), timeout: 400_000 },
      () => suite(client, flushDiskType),
    );
  }
}
