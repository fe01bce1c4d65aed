/**
 * POP with Java's client 5.5.0: push consumers whose broker shares the queues, and pop, ack and change by themselves. Then one
 * directory with messages in flight, which Apache's broker and ours open in turn.
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

interface Delivery {
  index: string;
  fault: string | null;
  topic: string;
  queueId: number;
  queueOffset: number;
  reconsumeTimes: number;
  storeTimestamp: number;
  properties: Record<string, string>;
}

interface Popped {
  status: string;
  restNum: number;
  messages: Delivery[];
}

const skip = skipUnless(javaMissing());
/** As the Java broker of these suites has them. */
const sizes = { mappedFileSizeCommitLog: 64 * 1024 * 1024, mappedFileSizeConsumeQueue: 20 * 100_000 };

/** Pops of one group from one topic. */
class Popper {
  readonly group = unique('group');
  readonly #client: ClientPeer;
  readonly #broker: BrokerPeer;
  readonly #topic: string;
  readonly #run: string;

  constructor(client: ClientPeer, broker: BrokerPeer, topic: string, run: string, group?: string) {
    this.#client = client;
    this.#broker = broker;
    this.#topic = topic;
    this.#run = run;
    if (group !== undefined) this.group = group;
  }

  get #values() {
    const { namesrvAddr, brokerAddr } = this.#broker;
    return { namesrv: namesrvAddr, broker: brokerAddr, topic: this.#topic, group: this.group, run: this.#run };
  }

  async send(count: number, from = 0): Promise<void> {
    const sent = await this.#client.call<string[]>('pop.send', { ...this.#values, count, from });
    assert.deepEqual([...new Set(sent)], ['SEND_OK']);
  }

  pop(more: Record<string, number | boolean> = {}): Promise<Popped> {
    return this.#client.call<Popped>('pop.pop', { ...this.#values, ...more });
  }

  ack(message: Delivery | undefined, handle = message?.properties.POP_CK): Promise<string> {
    return this.#client.call<string>('pop.ack', { ...this.#values, handle: handle! });
  }

  change(message: Delivery | undefined, invisible: number): Promise<string> {
    return this.#client.call<string>('pop.change', { ...this.#values, handle: message!.properties.POP_CK!, invisible });
  }

  /** Everything that comes until `count` are here; each is acknowledged. */
  drain(count: number, what: string): Promise<Delivery[]> {
    const all: Delivery[] = [];
    return askUntil(what, 60_000, undefined, async () => {
      const { messages } = await this.pop({ poll: 2_000, invisible: 30_000 });
      for (const message of messages) assert.equal(await this.ack(message), 'OK');
      all.push(...messages);
      return all.length >= count ? all : undefined;
    });
  }

  forget(): Promise<unknown> {
    return this.#client.call('pop.forget', this.#values);
  }
}

const indexes = (messages: readonly Delivery[]): number[] =>
  messages.map(({ index }) => Number(index)).sort((a, b) => a - b);

describe(`POP with ${brokerKind}`, { skip, timeout: 400_000 }, () => {
  let client: ClientPeer;
  let broker: BrokerPeer;
  before(async () => {
    broker = await startBroker('SYNC_FLUSH');
    client = startJavaClient('5.5.0');
  });
  after(async () => {
    await client?.stop();
    await broker?.stop();
  });

  const popper = async (queues = 1): Promise<Popper> => {
    const topic = unique('topic');
    await createTopic(broker, topic, queues);
    return new Popper(client, broker, topic, unique('run'));
  };

  it('pop, ack, and what was not acknowledged comes again', async (t) => {
    const one = await popper();
    await one.send(4);
    const popped = await one.pop();
    assert.equal(popped.status, 'FOUND');
    assert.deepEqual(indexes(popped.messages), [0, 1, 2, 3]);
    for (const { fault, reconsumeTimes } of popped.messages) assert.deepEqual([fault, reconsumeTimes], [null, 0]);
    assert.equal((await one.pop()).status, 'POLLING_NOT_FOUND');
    for (const index of [0, 2]) assert.equal(await one.ack(popped.messages[index]), 'OK');
    const end = Number(popped.messages[0]!.properties['1ST_POP_TIME']) + 10_000;
    const again = await one.drain(2, 'what was not acknowledged');
    assert.deepEqual(indexes(again), [1, 3]);
    for (const { fault, reconsumeTimes, properties, storeTimestamp } of again) {
      assert.deepEqual([fault, reconsumeTimes], [null, 1]);
      assert.ok(storeTimestamp >= end, `${end - storeTimestamp} ms before its time`);
      assert.match(properties.POP_CK ?? '', / 1 broker-a 0 \d+$/);
    }
    const latest = Math.max(...again.map(({ storeTimestamp }) => storeTimestamp)) - end;
    note(t, `${brokerKind}: given again ${latest} ms after its time`);
    if (brokerKind === 'vernier') assert.ok(latest <= 1_000, `${latest} ms late`);
    assert.deepEqual((await one.pop({ poll: 3_000 })).messages, [], 'nothing comes a third time');
  });

  it('another time: longer, and now', async () => {
    const one = await popper();
    await one.send(2);
    const { messages } = await one.pop({ invisible: 15_000 });
    const changed = await one.change(messages[0], 40_000);
    await one.change(messages[1], 1_000);
    const again = await one.drain(1, 'what is visible now');
    assert.deepEqual(indexes(again), [1]);
    assert.deepEqual((await one.pop({ poll: 15_000 })).messages, [], 'the old time does not count');
    assert.equal(await one.ack(messages[0], changed), 'OK');
  });

  it('in order: nobody gets more before the batch is acknowledged', async () => {
    const one = await popper();
    await one.send(5);
    const inOrder = { order: true, count: 2, queueId: 0 };
    const first = await one.pop(inOrder);
    assert.deepEqual(indexes(first.messages), [0, 1]);
    assert.deepEqual((await one.pop(inOrder)).messages, []);
    assert.equal(await one.ack(first.messages[0]), 'OK');
    assert.deepEqual((await one.pop(inOrder)).messages, []);
    assert.equal(await one.ack(first.messages[1]), 'OK');
    const second = await one.pop(inOrder);
    assert.deepEqual(indexes(second.messages), [2, 3]);
    const again = await askUntil('the same batch at its end', 60_000, undefined, async () => {
      const { messages } = await one.pop(inOrder);
      return messages.length > 0 ? messages : undefined;
    });
    assert.deepEqual(
      again.map(({ index, reconsumeTimes }) => [index, reconsumeTimes]),
      [
        ['2', 1],
        ['3', 1],
      ],
    );
  });

  it('push consumers in POP mode share a topic, and what fails comes again', async () => {
    const [topic, run, group] = [unique('topic'), unique('run'), unique('group')];
    await createTopic(broker, topic, 2);
    const body = JSON.stringify({ topic, consumerGroup: group, mode: 'POP', popShareQueueNum: 0 });
    const known = JSON.stringify({ groupName: group, consumeEnable: true, retryQueueNums: 1, retryMaxTimes: 16 });
    assert.equal((await ask(broker.brokerAddr, 200, {}, Buffer.from(known))).code, 0);
    assert.equal((await ask(broker.brokerAddr, 401, {}, Buffer.from(body))).code, 0);
    const one = new Popper(client, broker, topic, run, group);
    const names = [unique('consumer'), unique('consumer')];
    const namesrv = broker.namesrvAddr;
    for (const name of names) await client.call('pop.consume', { name, group, topic, namesrv, failTimes: 1 });
    await one.send(20);
    const deliveries = await askUntil('two deliveries of each', 90_000, undefined, async () => {
      const all = await Promise.all(names.map((name) => client.call<Delivery[]>('pop.deliveries', { name })));
      const done = all.flat().filter(({ reconsumeTimes }) => reconsumeTimes === 1);
      return done.length >= 20 ? all.flat() : undefined;
    });
    for (const name of names) await client.call('pop.stop', { name });
    for (const times of [0, 1]) {
      const of = deliveries.filter(({ reconsumeTimes }) => reconsumeTimes === times);
      assert.deepEqual(
        indexes(of),
        Array.from({ length: 20 }, (_, i) => i),
        `try ${times}`,
      );
      for (const { fault, topic: from, properties } of of) {
        assert.deepEqual([fault, from], [null, topic]);
        assert.ok(properties.POP_CK !== undefined, 'it was popped, not pulled');
      }
    }
  });
});

for (const [first, second] of [
  ['apache', 'vernier'],
  ['vernier', 'apache'],
] as const) {
  const title = `a directory with messages in flight: ${first}, ${second}`;
  describe(title, { skip: skip || brokerKind === 'apache', timeout: 400_000 }, () => {
    it('what was popped and not acknowledged comes again from the other broker, what was acknowledged does not', async () => {
      const storeDir = mkdtempSync(join(tmpdir(), 'vernier-pop-'));
      const [topic, run, group] = [unique('topic'), unique('run'), unique('group')];
      const client = startJavaClient('5.5.0');
      const open = (kind: 'apache' | 'vernier'): Promise<BrokerPeer> =>
        startBroker('SYNC_FLUSH', kind === 'vernier' ? sizes : {}, kind, storeDir);
      let broker: BrokerPeer | undefined;
      try {
        broker = await open(first);
        await createTopic(broker, topic, 1);
        let one = new Popper(client, broker, topic, run, group);
        await one.send(6);
        const popped = await one.pop({ count: 4, invisible: 40_000 });
        assert.deepEqual(indexes(popped.messages), [0, 1, 2, 3]);
        assert.equal(await one.ack(popped.messages[1]), 'OK');
        const inOrder = new Popper(client, broker, topic, run);
        const ordered = await inOrder.pop({ order: true, count: 2, queueId: 0, invisible: 600_000 });
        assert.equal(await inOrder.ack(ordered.messages[0]), 'OK');
        await one.forget();
        await broker.stop();

        broker = await open(second);
        one = new Popper(client, broker, topic, run, group);
        assert.equal(await one.ack(popped.messages[3]), 'OK', 'a handle of the first broker');
        const again = await one.drain(4, 'what the first broker left');
        assert.deepEqual(indexes(again), [0, 2, 4, 5]);
        const times = new Map(again.map(({ index, reconsumeTimes }) => [index, reconsumeTimes]));
        assert.deepEqual([times.get('0'), times.get('4')], [1, 0]);
        assert.deepEqual((await one.pop({ poll: 5_000 })).messages, []);
        const blocked = new Popper(client, broker, topic, run, inOrder.group);
        const wanted = { order: true, count: 2, queueId: 0 };
        assert.deepEqual((await blocked.pop(wanted)).messages, [], 'the batch of the first broker is not done');
        assert.equal(await blocked.ack(ordered.messages[1]), 'OK');
        assert.deepEqual(indexes((await blocked.pop(wanted)).messages), [2, 3]);
      } finally {
        await client.stop();
        await broker?.stop();
        rmSync(storeDir, { recursive: true, force: true });
      }
    });
  });
}
