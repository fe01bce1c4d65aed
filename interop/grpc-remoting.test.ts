/**
 * Both protocols on one broker: what a remoting producer sends a gRPC consumer receives, and the other way round, byte for
 * byte; and what both see of a client, a proxy and a broker that end in the middle.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { BrokerPeer } from './peers/broker-peer.ts';
import { brokerKind, createGroup, createTopic, startBrokerWithProxy, updateTopic } from './peers/brokers.ts';
import { askUntil } from './peers/child.ts';
import {
  type ClientPeer,
  type GrpcShown,
  startJavaClient,
  startJavaGrpcClient,
  startNodeProgram,
} from './peers/client-peer.ts';
import { javaMissing } from './peers/java.ts';
import { pythonMissing, startPythonGrpcClient } from './peers/python.ts';
import { skipUnless, unique } from './peers/suite.ts';

interface Shown extends GrpcShown {
  digest: string;
}

interface RemotingShown {
  index: string;
  text: string;
  storeTimestamp: number;
  queueId: number;
  properties: Record<string, string>;
}

type Values = Record<string, string | number | boolean>;

const WAIT_MS = 90_000;
const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex');
/** As wide.send makes them. */
const remotingBody = (index: number, size: number): string => {
  let body = `body-${index}`;
  while (body.length < size) body += ' again';
  return body;
};
const numbered = (count: number, prefix: string): string[] => Array.from({ length: count }, (_, i) => `${prefix}-${i}`);

const skip = skipUnless(javaMissing() ?? pythonMissing());

describe(`remoting and gRPC on the broker of ${brokerKind}`, { skip }, () => {
  let broker: BrokerPeer;
  let remoting: ClientPeer;
  const grpc: Record<'Node' | 'Java' | 'Python', ClientPeer> = {} as typeof grpc;
  const kinds = ['Node', 'Java', 'Python'] as const;

  before(async () => {
    broker = await startBrokerWithProxy({ transactionTimeOut: 2_000, transactionCheckInterval: 1_000 });
    remoting = startJavaClient('5.5.0');
    grpc.Node = startNodeProgram('grpc');
    grpc.Java = startJavaGrpcClient();
    grpc.Python = startPythonGrpcClient();
  });
  after(async () => {
    for (const peer of [remoting, ...Object.values(grpc)]) await peer?.stop();
    await broker?.stop();
  });

  const call = <Result = unknown>(kind: (typeof kinds)[number], command: string, values: Values): Promise<Result> =>
    grpc[kind].call<Result>(command, { endpoints: broker.proxyAddr, tls: kind === 'Java', ...values });
  const asked = <Result = unknown>(command: string, values: Values): Promise<Result> =>
    remoting.call<Result>(command, { namesrv: broker.namesrvAddr, ...values });
  const makeTopic = async (type: string, queues = 1): Promise<string> => {
    const topic = unique('topic');
    await createTopic(broker, topic, queues);
    assert.equal((await updateTopic(broker, topic, queues, `+message.type=${type}`)).code, 0);
    return topic;
  };
  const startSimple = async (kind: (typeof kinds)[number], topic: string): Promise<string> => {
    const name = unique('simple');
    await call(kind, 'simple.start', { name, topic, group: await createGroup(broker) });
    return name;
  };
  const drain = async (kind: (typeof kinds)[number], name: string, count: number): Promise<Shown[]> => {
    const all: Shown[] = [];
    await askUntil(`${count} messages`, WAIT_MS, undefined, async () => {
      const messages = await call<Shown[]>(kind, 'simple.receive', { name });
      for (const { id } of messages) await call(kind, 'simple.ack', { name, id });
      all.push(...messages);
      return all.length >= count ? true : undefined;
    });
    await call(kind, 'simple.stop', { name });
    return all;
  };
  const startRemoting = async (topic: string, values: Values = {}): Promise<string> => {
    const name = unique('remoting');
    await asked('wide.consume', { name, topic, group: unique('group'), ...values });
    return name;
  };
  const remotingGot = (name: string, count: number): Promise<RemotingShown[]> =>
    askUntil(`${count} deliveries`, WAIT_MS, undefined, async () => {
      const all = await asked<RemotingShown[]>('wide.deliveries', { name });
      return all.length >= count ? all : undefined;
    });
  const send = async (kind: (typeof kinds)[number], topic: string, values: Values): Promise<void> => {
    const name = unique('producer');
    await call(kind, 'producer.start', { name, topic });
    await call(kind, 'producer.send', { name, topic, prefix: 'm', count: 1, ...values });
    await call(kind, 'producer.stop', { name });
  };

  // With RocketMQ these are called GZIP, which Node's and Python's clients take at its word.
  const unpacked = brokerKind === 'apache' && 'RocketMQ gives bodies as they are stored';
  for (const compress of ['ZLIB', 'LZ4', 'ZSTD']) {
    it(`8 KiB that a remoting producer packed by ${compress}: equal bytes in every gRPC client`, {
      skip: unpacked,
    }, async () => {
      const topic = await makeTopic('NORMAL');
      const names = await Promise.all(kinds.map((kind) => startSimple(kind, topic)));
      await asked('wide.send', { topic, count: 3, size: 8_192, compress });
      const wanted = [0, 1, 2].map((index) => digestOf(remotingBody(index, 8_192))).sort();
      for (const [at, kind] of kinds.entries()) {
        const messages = await drain(kind, names[at]!, 3);
        assert.deepEqual(messages.map(({ digest }) => digest).sort(), wanted, kind);
      }
    });
  }

  it('8 KiB of each gRPC client: equal bytes in the remoting consumer and in the others', async () => {
    const topic = await makeTopic('NORMAL');
    const names = await Promise.all(kinds.map((kind) => startSimple(kind, topic)));
    const consumer = await startRemoting(topic);
    for (const kind of kinds) await send(kind, topic, { prefix: kind, count: 3, size: 8_192 });
    const wanted = kinds.flatMap((kind) => numbered(3, kind).map((body) => body.padEnd(8_192, '.'))).sort();
    assert.deepEqual((await remotingGot(consumer, 9)).map(({ text }) => text).sort(), wanted);
    await asked('wide.stop', { name: consumer });
    for (const [at, kind] of kinds.entries()) {
      const messages = await drain(kind, names[at]!, 9);
      assert.deepEqual(messages.map(({ digest }) => digest).sort(), wanted.map(digestOf).sort(), kind);
    }
  });

  it('in order: a remoting producer with gRPC consumers, gRPC producers with a remoting consumer', async () => {
    const topic = await makeTopic('FIFO');
    const pushes = new Map<(typeof kinds)[number], string>();
    for (const kind of kinds) {
      const name = unique('push');
      await call(kind, 'push.start', {
        name,
        topic,
        group: await createGroup(broker, { consumeMessageOrderly: true }),
      });
      pushes.set(kind, name);
    }
    await asked('wide.send', { topic, count: 40, queueId: 0 });
    for (const [kind, name] of pushes) {
      const received = await askUntil(`40 messages in ${kind}`, WAIT_MS, undefined, async () => {
        const all = await call<Shown[]>(kind, 'push.received', { name });
        return all.length >= 40 ? all : undefined;
      });
      assert.deepEqual(
        received.map(({ body }) => body),
        numbered(40, 'body'),
        kind,
      );
      await call(kind, 'push.stop', { name });
    }

    const many = await makeTopic('FIFO', 4);
    const consumer = await startRemoting(many, { orderly: true });
    for (const kind of kinds) await send(kind, many, { prefix: kind, count: 30, groups: 3 });
    const all = await remotingGot(consumer, 90);
    await asked('wide.stop', { name: consumer });
    for (const kind of kinds) {
      for (const group of [0, 1, 2]) {
        const own = all.filter(({ text, index }) => text.startsWith(`${kind}-`) && Number(index) % 3 === group);
        const wanted = Array.from({ length: 10 }, (_, i) => String(group + 3 * i));
        assert.deepEqual(
          own.map(({ index }) => index),
          wanted,
          `${kind}, group ${group}`,
        );
        assert.equal(new Set(own.map(({ queueId }) => queueId)).size, 1, 'one queue');
      }
    }
  });

  it('messages with a time come to the other protocol at it', async () => {
    const topic = await makeTopic('DELAY');
    const name = await startSimple('Node', topic);
    const consumer = await startRemoting(topic);
    const began = Date.now();
    await asked('timer.send', { topic, group: unique('pgroup'), run: 'r', count: 1, way: 'deliver', delayMs: 4_000 });
    await send('Node', topic, { prefix: 'later', delayMs: 4_000 });
    assert.ok(Date.now() - began < 4_000, 'sent in time for the test');
    assert.deepEqual(
      (await asked<RemotingShown[]>('wide.deliveries', { name: consumer })).length,
      0,
      'not before its time',
    );
    const remotingTexts = (await remotingGot(consumer, 2)).map(({ text }) => text.split(':')[0]);
    assert.ok(Date.now() - began >= 4_000, 'not before its time');
    assert.deepEqual(remotingTexts.sort(), ['later-0', 'r']);
    await asked('wide.stop', { name: consumer });
    const grpcTexts = (await drain('Node', name, 2)).map(({ body }) => body.split(':')[0]);
    assert.deepEqual(grpcTexts.sort(), ['later-0', 'r']);
  });

  it('transactions of either protocol come to the other when they are committed, and only then', async () => {
    const topic = await makeTopic('TRANSACTION');
    const names = await Promise.all(kinds.map((kind) => startSimple(kind, topic)));
    const consumer = await startRemoting(topic);
    const producer = unique('transactions');
    await asked('transaction.start', { name: producer, group: unique('pgroup') });
    for (const state of ['commit', 'rollback']) {
      await asked('transaction.send', { name: producer, topic, run: state, count: 3, state });
    }
    await asked('transaction.stop', { name: producer });
    for (const kind of kinds) {
      await send(kind, topic, { prefix: `${kind}-rollback`, count: 2, resolve: 'rollback' });
      await send(kind, topic, { prefix: `${kind}-commit`, count: 2, resolve: 'commit' });
    }
    const own = [0, 1, 2].map((index) => `commit:${index}`);
    const wanted = [...own, ...kinds.flatMap((kind) => numbered(2, `${kind}-commit`))].sort();
    const shown = (text: string): string => text.split(':').slice(0, 2).join(':');
    assert.deepEqual((await remotingGot(consumer, 9)).map(({ text }) => shown(text)).sort(), wanted);
    await asked('wide.stop', { name: consumer });
    for (const [at, kind] of kinds.entries()) {
      assert.deepEqual((await drain(kind, names[at]!, 9)).map(({ body }) => shown(body)).sort(), wanted, kind);
    }
  });

  it('nothing acknowledged is lost when a client, the proxy and the broker end in the middle', async () => {
    const topic = await makeTopic('NORMAL', 2);
    const group = await createGroup(broker);
    const producer = unique('producer');
    await call('Java', 'producer.start', { name: producer, topic });
    const consumer = await startRemoting(topic);
    const push = unique('push');
    const got = new Set<string>();
    const receiving = async (): Promise<void> => {
      for (const { body } of await call<Shown[]>('Node', 'push.received', { name: push })) got.add(body);
    };
    await call('Node', 'push.start', { name: push, topic, group });

    const acknowledged: string[] = [];
    const sending = async (prefix: string): Promise<void> => {
      await askUntil(`ten of ${prefix}`, WAIT_MS, undefined, async () => {
        await call('Java', 'producer.send', { name: producer, topic, prefix, count: 10 });
        acknowledged.push(...numbered(10, prefix));
        return true;
      });
    };
    await sending('before');
    await receiving();
    // The consumer dies with messages that it has and that it has not acknowledged.
    await grpc.Node.kill();
    await sending('without-consumer');
    grpc.Node = startNodeProgram('grpc');
    await call('Node', 'push.start', { name: push, topic, group });
    await sending('new-consumer');
    await broker.stopBroker();
    await broker.startBroker();
    await sending('new-proxy');
    await broker.killBroker();
    await broker.startBroker();
    await sending('after-kill');

    await askUntil('all at the gRPC consumer', WAIT_MS, undefined, async () => {
      await receiving();
      return acknowledged.every((body) => got.has(body)) ? true : undefined;
    });
    await askUntil('all at the remoting consumer', WAIT_MS, undefined, async () => {
      const all = await asked<RemotingShown[]>('wide.deliveries', { name: consumer });
      const texts = new Set(all.map(({ text }) => text));
      return acknowledged.every((body) => texts.has(body)) ? true : undefined;
    });
    await call('Node', 'push.stop', { name: push });
    await call('Java', 'producer.stop', { name: producer });
    await asked('wide.stop', { name: consumer });
  });
});
