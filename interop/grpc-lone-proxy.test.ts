/** `vernier proxy` in front of Apache's broker, and of Vernier's: what RocketMQ's client for Node.js finds true of it. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { BrokerPeer } from './peers/broker-peer.ts';
import { createGroup, createTopic, startBroker } from './peers/brokers.ts';
import { askUntil } from './peers/child.ts';
import { type ClientPeer, type GrpcSent, type GrpcShown, startNodeProgram } from './peers/client-peer.ts';
import { javaMissing } from './peers/java.ts';
import { skipUnless, unique } from './peers/suite.ts';
import { startLoneProxy } from './peers/vernier.ts';

type Values = Record<string, string | number | boolean>;

for (const kind of ['apache', 'vernier'] as const) {
  const skip = kind === 'apache' && skipUnless(javaMissing());
  describe(`the lone proxy in front of the broker of ${kind}`, { skip }, () => {
    let broker: BrokerPeer;
    let proxy: Awaited<ReturnType<typeof startLoneProxy>>;
    let peer: ClientPeer;

    before(async () => {
      const config = { transactionTimeOut: 2_000, transactionCheckInterval: 1_000, recallMessageEnable: true };
      broker = await startBroker('SYNC_FLUSH', config, kind);
      proxy = await startLoneProxy(broker.namesrvAddr);
      peer = startNodeProgram('grpc');
    });
    after(async () => {
      await peer?.stop();
      await proxy?.stop();
      await broker?.stop();
    });

    const call = <Result = unknown>(command: string, values: Values): Promise<Result> =>
      peer.call<Result>(command, { endpoints: proxy.address, tls: false, ...values });
    const makeTopic = async (type: string, queues = 4): Promise<string> => {
      const topic = unique('topic');
      await createTopic(broker, topic, queues, `+message.type=${type}`);
      return topic;
    };
    const send = async (topic: string, values: Values): Promise<GrpcSent[]> => {
      const name = unique('producer');
      await call('producer.start', { name, topic });
      const sent = await call<GrpcSent[]>('producer.send', { name, topic, prefix: 'm', ...values });
      await call('producer.stop', { name });
      return sent;
    };
    const startSimple = async (topic: string): Promise<string> => {
      const name = unique('simple');
      await call('simple.start', { name, topic, group: await createGroup(broker) });
      return name;
    };
    const drain = async (name: string, count: number): Promise<GrpcShown[]> => {
      const all: GrpcShown[] = [];
      await askUntil(`${count} messages`, 60_000, undefined, async () => {
        const messages = await call<GrpcShown[]>('simple.receive', { name });
        for (const { id } of messages) await call('simple.ack', { name, id });
        all.push(...messages);
        return all.length >= count ? true : undefined;
      });
      return all;
    };
    const bodies = (messages: readonly GrpcShown[]): string[] => messages.map(({ body }) => body).sort();
    const numbered = (count: number, prefix = 'm'): string[] =>
      Array.from({ length: count }, (_, i) => `${prefix}-${i}`).sort();

    it('messages are sent, received once and gone when they are acknowledged', async () => {
      const topic = await makeTopic('NORMAL');
      const name = await startSimple(topic);
      const sent = await send(topic, { count: 50, tag: 'blue' });
      const messages = await drain(name, 50);
      assert.deepEqual(bodies(messages), numbered(50));
      assert.deepEqual(messages.map(({ id }) => id).sort(), sent.map(({ id }) => id).sort());
      assert.deepEqual(await call<GrpcShown[]>('simple.receive', { name }), []);
      await call('simple.stop', { name });
    });

    it('a delivery comes again after the time that it is given, with its attempt', async () => {
      const topic = await makeTopic('NORMAL', 1);
      const name = await startSimple(topic);
      await send(topic, { count: 1 });
      const [first] = await call<GrpcShown[]>('simple.receive', { name, invisibleMs: 60_000 });
      await call('simple.change', { name, id: first!.id, ms: 10_000 });
      const [again] = await drain(name, 1);
      assert.deepEqual([again!.body, again!.attempt], ['m-0', 2]);
      await call('simple.stop', { name });
    });

    it('a push consumer in order gets each group in its order', async () => {
      const topic = await makeTopic('FIFO');
      const name = unique('push');
      await call('push.start', { name, topic, group: await createGroup(broker, { consumeMessageOrderly: true }) });
      await send(topic, { count: 30, groups: 3 });
      const received = await askUntil('30 messages', 60_000, undefined, async () => {
        const all = await call<GrpcShown[]>('push.received', { name });
        return all.length >= 30 ? all : undefined;
      });
      for (let one = 0; one < 3; one++) {
        const indexes = received.map(({ properties }) => Number(properties.index)).filter((index) => index % 3 === one);
        const sorted = indexes.toSorted((a, b) => a - b);
        assert.deepEqual(indexes, sorted, `group ${one}`);
      }
    });

    it('transactions are ended as their producers say', async () => {
      const topic = await makeTopic('TRANSACTION', 1);
      const name = await startSimple(topic);
      await send(topic, { count: 3, prefix: 'committed', resolve: 'commit' });
      await send(topic, { count: 3, prefix: 'rolled', resolve: 'rollback' });
      assert.deepEqual(bodies(await drain(name, 3)), numbered(3, 'committed'));
      await call('simple.stop', { name });
    });

    // A topic of its own: RocketMQ may ask about what was committed moments ago, and deliver it twice.
    it('a producer is asked about a transaction that it did not end', async () => {
      const topic = await makeTopic('TRANSACTION', 1);
      const name = await startSimple(topic);
      const producer = unique('producer');
      await call('producer.start', { name: producer, topic, check: 'commit' });
      await call('producer.send', { name: producer, topic, prefix: 'orphan', count: 1, resolve: 'none' });
      assert.deepEqual(bodies(await drain(name, 1)), ['orphan-0']);
      await call('producer.stop', { name: producer });
      await call('simple.stop', { name });
    });

    it('a message that waits for its time comes at it, or never when it is recalled', async () => {
      const topic = await makeTopic('DELAY', 1);
      const name = await startSimple(topic);
      const producer = unique('producer');
      await call('producer.start', { name: producer, topic });
      const [kept] = await call<GrpcSent[]>('producer.send', {
        ...{ name: producer, topic, prefix: 'kept', count: 1, delayMs: 5_000 },
      });
      const [gone] = await call<GrpcSent[]>('producer.send', {
        ...{ name: producer, topic, prefix: 'gone', count: 1, delayMs: 8_000 },
      });
      await call('producer.recall', { name: producer, topic, handle: gone!.handle });
      const [message] = await drain(name, 1);
      assert.deepEqual([message!.id, message!.body], [kept!.id, 'kept-0']);
      await call('simple.receive', { name }).then((more) => assert.deepEqual(more, []));
      await call('producer.stop', { name: producer });
      await call('simple.stop', { name });
    });
  });
}
