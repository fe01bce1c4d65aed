/**
 * What every client of the gRPC protocol must find true of the proxy, whatever its language. Each is an official client,
 * unmodified, in a process of its own; see programs/grpc.ts for the commands.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import type { BrokerPeer } from './peers/broker-peer.ts';
import { brokerKind, createGroup, createTopic, startBrokerWithProxy, updateTopic } from './peers/brokers.ts';
import { askUntil } from './peers/child.ts';
import type { ClientPeer, GrpcSent, GrpcShown } from './peers/client-peer.ts';
import { skipUnless, unique } from './peers/suite.ts';
import { vernierBin } from './peers/vernier.ts';

export interface GrpcClientUnderTest {
  name: string;
  missing: string | undefined;
  start: () => ClientPeer;
  /** The client speaks TLS, and trusts any certificate. */
  tls: boolean;
  /** The client can take a message back; default true. */
  recall?: boolean;
  /** Its consumers say anew what they are right after a restart, and not five minutes later; default true. */
  resumes?: boolean;
}

type Values = Record<string, string | number | boolean>;

const DLQ_WAIT_MS = 60_000;

export function grpcSuite(client: GrpcClientUnderTest): void {
  describe(`${client.name} against the proxy of ${brokerKind}`, { skip: skipUnless(client.missing) }, () => {
    let broker: BrokerPeer;
    let peer: ClientPeer;

    before(async () => {
      broker = await startBrokerWithProxy({
        ...{ transactionTimeOut: 2_000, transactionCheckInterval: 1_000 },
        ...{ enablePropertyFilter: true, recallMessageEnable: true },
      });
      peer = client.start();
    });
    after(async () => {
      // Most push consumers end with their process: some clients wait out a poll of 20 seconds when they are stopped.
      await peer?.stop();
      await broker?.stop();
    });

    const call = <Result = unknown>(command: string, values: Values): Promise<Result> =>
      peer.call<Result>(command, { endpoints: broker.proxyAddr, tls: client.tls, ...values });
    const makeTopic = async (type: string, queues = 4): Promise<string> => {
      const topic = unique('topic');
      const answer = await updateTopic(broker, topic, queues, `+message.type=${type}`);
      assert.equal(answer.code, 0, answer.remark);
      return topic;
    };
    /** Sends with a producer of its own. */
    const send = async (topic: string, values: Values): Promise<GrpcSent[]> => {
      const name = unique('producer');
      await call('producer.start', { name, topic });
      const sent = await call<GrpcSent[]>('producer.send', { name, topic, prefix: 'm', count: 1, ...values });
      await call('producer.stop', { name });
      return sent;
    };
    const startSimple = async (topic: string, values: Values = {}): Promise<string> => {
      const name = unique('simple');
      await call('simple.start', { name, topic, group: await createGroup(broker), ...values });
      return name;
    };
    /** Receives and acknowledges until there are so many. */
    const drain = async (name: string, count: number, values: Values = {}): Promise<GrpcShown[]> => {
      const all: GrpcShown[] = [];
      await askUntil(`${count} messages`, 60_000, undefined, async () => {
        const messages = await call<GrpcShown[]>('simple.receive', { name, ...values });
        for (const { id } of messages) await call('simple.ack', { name, id });
        all.push(...messages);
        return all.length >= count ? true : undefined;
      });
      return all;
    };
    const receiveNothing = async (name: string): Promise<void> => {
      assert.deepEqual(await call<GrpcShown[]>('simple.receive', { name }), []);
    };
    const bodies = (messages: readonly GrpcShown[]): string[] => messages.map(({ body }) => body);
    const numbered = (count: number, prefix = 'm'): string[] =>
      Array.from({ length: count }, (_, i) => `${prefix}-${i}`);

    it('messages of a simple consumer are complete, intact, and gone when they are acknowledged', async () => {
      const topic = await makeTopic('NORMAL');
      const name = await startSimple(topic);
      const sent = await send(topic, { count: 100, tag: 'blue' });
      const messages = await drain(name, 100);
      assert.deepEqual(bodies(messages).sort(), numbered(100).sort());
      assert.deepEqual(messages.map(({ id }) => id).sort(), sent.map(({ id }) => id).sort());
      for (const { body, tag, keys, properties, attempt } of messages) {
        const index = body.slice(2);
        assert.deepEqual([tag, keys, properties.index, attempt], ['blue', `key-${index}`, index, 1]);
      }
      await receiveNothing(name);
      await call('simple.stop', { name });
    });

    it('a message that is not acknowledged comes again after its time, or after the time it is given', async () => {
      const topic = await makeTopic('NORMAL', 1);
      const name = await startSimple(topic);
      await send(topic, { count: 2 });
      const first = new Map<string, GrpcShown>();
      while (first.size < 2) {
        for (const message of await call<GrpcShown[]>('simple.receive', { name, invisibleMs: 30_000 })) {
          first.set(message.body, message);
        }
      }
      await call('simple.change', { name, id: first.get('m-0')!.id, ms: 10_000 });
      const began = performance.now();
      const [again] = await drain(name, 1);
      assert.ok(performance.now() - began > 7_000, 'not before its time');
      assert.deepEqual([again!.body, again!.attempt], ['m-0', 2]);
      const [late] = await drain(name, 1);
      assert.deepEqual([late!.body, late!.attempt], ['m-1', 2]);
      await call('simple.stop', { name });
    });

    it('a push consumer gets each message, and once more what it failed', async () => {
      const topic = await makeTopic('NORMAL');
      const policy = { type: 'CUSTOMIZED', customizedRetryPolicy: { next: [1_000, 1_000, 1_000] } };
      const group = await createGroup(broker, { groupRetryPolicy: policy });
      const name = unique('push');
      await call('push.start', { name, topic, group, fail: 'once' });
      await send(topic, { count: 20 });
      const received = await askUntil('40 deliveries', 60_000, undefined, async () => {
        const all = await call<GrpcShown[]>('push.received', { name });
        return all.length >= 40 ? all : undefined;
      });
      assert.deepEqual(bodies(received.filter(({ attempt }) => attempt === 1)).sort(), numbered(20).sort());
      assert.deepEqual(bodies(received.filter(({ attempt }) => attempt === 2)).sort(), numbered(20).sort());
      await call('push.stop', { name });
    });

    it('what a push consumer always fails goes to the dead letters of its group', async () => {
      const topic = await makeTopic('NORMAL', 1);
      const policy = { type: 'CUSTOMIZED', customizedRetryPolicy: { next: [1_000, 1_000, 1_000] } };
      const group = await createGroup(broker, { retryMaxTimes: 1, groupRetryPolicy: policy });
      const name = unique('push');
      await call('push.start', { name, topic, group, fail: 'always' });
      await send(topic, { count: 1, prefix: 'dead' });
      const consumed = await askUntil('the dead letter', DLQ_WAIT_MS, undefined, async () => {
        const args = ['consume', `%DLQ%${group}`, '--namesrv', broker.namesrvAddr];
        const { stdout } = spawnSync(process.execPath, [vernierBin, ...args], { encoding: 'utf8', timeout: 20_000 });
        return stdout.includes('dead-0') ? stdout : undefined;
      });
      assert.equal(consumed, 'dead-0\n');
      assert.deepEqual(
        (await call<GrpcShown[]>('push.received', { name })).map(({ attempt }) => attempt),
        [1, 2],
      );
    });

    it('messages of a group come in their order to a consumer in order', async () => {
      const topic = await makeTopic('FIFO');
      const group = await createGroup(broker, { consumeMessageOrderly: true });
      const name = unique('push');
      await call('push.start', { name, topic, group });
      await send(topic, { count: 60, groups: 3 });
      const received = await askUntil('60 messages', 60_000, undefined, async () => {
        const all = await call<GrpcShown[]>('push.received', { name });
        return all.length >= 60 ? all : undefined;
      });
      for (let one = 0; one < 3; one++) {
        const indexes = received.map(({ properties }) => Number(properties.index)).filter((index) => index % 3 === one);
        assert.deepEqual(
          indexes,
          indexes.toSorted((a, b) => a - b),
          `group ${one}`,
        );
        assert.equal(indexes.length, 20);
      }
    });

    it('a message with a time comes at it, and not when it is recalled', async () => {
      const topic = await makeTopic('DELAY', 1);
      const name = await startSimple(topic);
      const began = Date.now();
      const [kept] = await send(topic, { count: 1, prefix: 'kept', delayMs: 5_000 });
      if (client.recall !== false) {
        const [recalled] = await send(topic, { count: 1, prefix: 'recalled', delayMs: 5_000 });
        assert.ok(kept!.handle.length > 0);
        const producer = unique('producer');
        await call('producer.start', { name: producer, topic });
        const id = await call('producer.recall', { name: producer, topic, handle: recalled!.handle });
        assert.equal(id, recalled!.id);
        await call('producer.stop', { name: producer });
      }
      const messages = await drain(name, 1);
      assert.deepEqual(bodies(messages), ['kept-0']);
      assert.ok(Date.now() - began >= 5_000, 'not before its time');
      await receiveNothing(name);
      await call('simple.stop', { name });
    });

    it('a transaction is delivered when it is committed, and never when it is rolled back', async () => {
      const topic = await makeTopic('TRANSACTION', 1);
      const name = await startSimple(topic);
      await send(topic, { count: 5, prefix: 'committed', resolve: 'commit' });
      await send(topic, { count: 5, prefix: 'rolled', resolve: 'rollback' });
      assert.deepEqual(bodies(await drain(name, 5)).sort(), numbered(5, 'committed').sort());
      await receiveNothing(name);
      await call('simple.stop', { name });
    });

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

    it('filters: by tag, and by SQL92', async () => {
      const topic = await makeTopic('NORMAL', 1);
      const byTag = await startSimple(topic, { tag: 'green' });
      const bySql = await startSimple(topic, { sql: 'index = 3' });
      await send(topic, { count: 5, prefix: 'red', tag: 'red' });
      await send(topic, { count: 5, prefix: 'green', tag: 'green' });
      assert.deepEqual(bodies(await drain(byTag, 5)).sort(), numbered(5, 'green'));
      assert.deepEqual(bodies(await drain(bySql, 2)).sort(), ['green-3', 'red-3']);
      for (const name of [byTag, bySql]) await call('simple.stop', { name });
    });

    it('the other protocol: what either sends the other receives', async () => {
      const topic = unique('topic');
      await createTopic(broker, topic, 1);
      const vernier = (...args: string[]): string => {
        const all = [vernierBin, ...args, '--namesrv', broker.namesrvAddr];
        const { stdout, status, stderr } = spawnSync(process.execPath, all, { encoding: 'utf8', timeout: 20_000 });
        assert.equal(status, 0, stderr);
        return stdout;
      };
      const name = await startSimple(topic);
      vernier('produce', topic, '--body', 'from remoting', '--tags', 'blue', '--keys', 'k1 k2');
      const [message] = await drain(name, 1);
      assert.deepEqual([message!.body, message!.tag, message!.keys], ['from remoting', 'blue', 'k1 k2']);
      await send(topic, { count: 1, prefix: 'from-grpc' });
      assert.equal(vernier('consume', topic), 'from remoting\nfrom-grpc-0\n');
      await call('simple.stop', { name });
    });

    it('a client goes on when the broker is killed and started again, and nothing acknowledged is lost', async () => {
      const topic = await makeTopic('NORMAL', 1);
      const producer = unique('producer');
      const first = unique('push');
      const consumers = [first];
      const seen = new Set<string>();
      const received = async (): Promise<void> => {
        for (const name of consumers) {
          for (const body of bodies(await call<GrpcShown[]>('push.received', { name }))) seen.add(body);
        }
      };
      const group = await createGroup(broker);
      await call('producer.start', { name: producer, topic });
      await call('push.start', { name: first, topic, group });
      await call('producer.send', { name: producer, topic, prefix: 'before', count: 10 });
      await broker.killBroker();
      await broker.startBroker();
      if (client.resumes === false) {
        // The first one may get messages too: a broker may know it still.
        const second = unique('push');
        consumers.push(second);
        await call('push.start', { name: second, topic, group });
      }
      await askUntil('a send after the restart', 60_000, undefined, async () =>
        call<GrpcSent[]>('producer.send', { name: producer, topic, prefix: 'after', count: 10 }).catch(() => undefined),
      );
      const wanted = new Set([...numbered(10, 'before'), ...numbered(10, 'after')]);
      await askUntil('all messages', 120_000, undefined, async () => {
        await received();
        return [...wanted].every((body) => seen.has(body)) ? true : undefined;
      });
      await call('producer.stop', { name: producer });
    });
  });
}
