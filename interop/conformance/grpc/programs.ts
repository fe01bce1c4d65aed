/** What programs with the official clients of the gRPC protocol see, the same programs in Node.js and in Java. */

import type { GrpcSent, GrpcShown } from '../../peers/client-peer.ts';
import { type Bench, pause, type Values } from '../bench.ts';
import type { Case, Chapter, Names } from '../case.ts';
import { typed } from './asks.ts';

type Client = 'Node gRPC' | 'Java gRPC';

/** One of the clients, with what the case calls its producer and its consumer. */
class Program {
  readonly #bench: Bench;
  readonly #client: Client;
  readonly #names: Names;

  constructor(bench: Bench, client: Client, names: Names) {
    this.#bench = bench;
    this.#client = client;
    this.#names = names;
  }

  call<Result = unknown>(command: string, values: Values): Promise<Result> {
    // Java's client trusts any certificate; Node's asks whether the machine trusts it.
    const common = { endpoints: this.#bench.broker.proxyAddr, tls: this.#client === 'Java gRPC' };
    const { topic, group } = this.#names;
    return this.#bench.client(this.#client).call<Result>(command, { ...common, name: topic, topic, group, ...values });
  }

  async prepare(type: string, queues: number, group: Record<string, unknown> = {}): Promise<void> {
    const { topic, group: groupName } = this.#names;
    await this.#bench.routed(topic, queues, typed(type));
    await this.#bench.group(groupName, group);
    for (let queueId = 0; queueId < queues; queueId++) await this.#bench.commit(groupName, topic, 0, queueId);
  }

  async send(values: Values): Promise<GrpcSent[]> {
    await this.call('producer.start', {});
    const sent = await this.call<GrpcSent[]>('producer.send', { prefix: 'm', count: 1, ...values });
    await this.call('producer.stop', {});
    return sent;
  }

  /** Receives until there are so many, and then once more; acknowledges each. */
  async drain(count: number, values: Values = {}): Promise<GrpcShown[]> {
    const all: GrpcShown[] = [];
    const more = async (): Promise<number> => {
      const messages = await this.call<GrpcShown[]>('simple.receive', values);
      for (const { id } of messages) await this.call('simple.ack', { ...values, id });
      all.push(...messages);
      return messages.length;
    };
    await this.#bench.until(`${count} messages`, async () => {
      await more();
      return all.length >= count ? true : undefined;
    });
    await more();
    return all;
  }

  /** What a push consumer has got when there are so many deliveries, and a moment after. */
  async pushed(count: number): Promise<GrpcShown[]> {
    const got = (): Promise<GrpcShown[]> => this.call<GrpcShown[]>('push.received', {});
    await this.#bench.until(`${count} deliveries`, async () => ((await got()).length >= count ? true : undefined));
    await pause(2_000);
    return got();
  }
}

const sorted = (messages: readonly GrpcShown[]): string =>
  messages.length === 0
    ? 'none'
    : messages
        .map(({ body }) => body)
        .sort()
        .join(' ');

const retries = (seconds: number): Record<string, unknown> => ({
  groupRetryPolicy: { type: 'CUSTOMIZED', customizedRetryPolicy: { next: [seconds * 1_000] } },
});

type Run = (program: Program, bench: Bench, names: Names) => Promise<string>;

const runs: readonly (readonly [behaviour: string, run: Run])[] = [
  [
    'ten messages through a simple consumer: bodies, tags, keys, properties, ids',
    async (program) => {
      await program.prepare('NORMAL', 4);
      await program.call('simple.start', {});
      const sent = await program.send({ count: 10, tag: 'blue' });
      const messages = await program.drain(10);
      await program.call('simple.stop', {});
      const ids = new Set(sent.map(({ id }) => id));
      const same = messages.every(({ id }) => ids.has(id)) ? 'their ids' : 'other ids';
      const [{ tag, keys, attempt, properties }] = messages.filter(({ body }) => body === 'm-3') as [GrpcShown];
      return `${sorted(messages)}; ${same}; ${tag} ${keys} attempt ${attempt} ${JSON.stringify(properties)}`;
    },
  ],
  [
    'a message whose time is changed to ten seconds comes again then',
    async (program) => {
      await program.prepare('NORMAL', 1);
      await program.call('simple.start', {});
      await program.send({});
      const [got] = await program.call<GrpcShown[]>('simple.receive', { invisibleMs: 30_000 });
      await program.call('simple.change', { id: got!.id, ms: 10_000 });
      const began = Date.now();
      const again = await program.drain(1);
      await program.call('simple.stop', {});
      const early = Date.now() - began < 8_000;
      return `${again.map(({ body, attempt }) => `${body} attempt ${attempt}`)}; ${early ? 'too early' : 'not before'}`;
    },
  ],
  [
    'a push consumer that fails each of ten messages once',
    async (program) => {
      await program.prepare('NORMAL', 2, retries(1));
      await program.call('push.start', { fail: 'once' });
      await program.send({ count: 10 });
      const messages = await program.pushed(20);
      await program.call('push.stop', {});
      const of = (wanted: number): string => sorted(messages.filter(({ attempt }) => attempt === wanted));
      return `first: ${of(1)}; again: ${of(2)}`;
    },
  ],
  [
    'a push consumer that always fails: attempts, dead letters',
    async (program, bench, { group }) => {
      await program.prepare('NORMAL', 1, { ...retries(1), retryMaxTimes: 1 });
      await program.call('push.start', { fail: 'always' });
      await program.send({});
      const letters = await bench.recordsUntil(`%DLQ%${group}`, 1);
      const attempts = (await program.call<GrpcShown[]>('push.received', {})).map(({ attempt }) => attempt);
      await program.call('push.stop', {});
      return `attempts ${attempts.join(' ')}; dead: ${letters.map(({ body }) => body.toString()).join(' ')}`;
    },
  ],
  [
    '30 messages of three groups, consumed in order',
    async (program) => {
      await program.prepare('FIFO', 4, { consumeMessageOrderly: true });
      await program.call('push.start', {});
      await program.send({ count: 30, groups: 3 });
      const messages = await program.pushed(30);
      await program.call('push.stop', {});
      const indexes = messages.map(({ properties }) => Number(properties.index));
      return [0, 1, 2].map((group) => indexes.filter((index) => index % 3 === group).join(' ')).join('; ');
    },
  ],
  [
    'messages with a time, one of them recalled',
    async (program) => {
      await program.prepare('DELAY', 1);
      await program.call('simple.start', {});
      await program.send({ prefix: 'kept', delayMs: 8_000 });
      const began = Date.now();
      const [recalled] = await program.send({ prefix: 'recalled', delayMs: 8_000 });
      await program.call('producer.start', {});
      await program.call('producer.recall', { handle: recalled!.handle });
      await program.call('producer.stop', {});
      const messages = await program.drain(1);
      await program.call('simple.stop', {});
      return `${sorted(messages)}; ${Date.now() - began < 7_000 ? 'too early' : 'not before'}`;
    },
  ],
  [
    'transactions: committed, rolled back, not ended by a producer that answers ROLLBACK',
    async (program) => {
      await program.prepare('TRANSACTION', 1);
      await program.call('simple.start', {});
      await program.call('producer.start', { check: 'rollback' });
      await program.call('producer.send', { prefix: 'committed', count: 2, resolve: 'commit' });
      await program.call('producer.send', { prefix: 'rolled', count: 2, resolve: 'rollback' });
      await program.call('producer.send', { prefix: 'forgotten', count: 2, resolve: 'none' });
      const messages = await program.drain(2);
      await program.call('producer.stop', {});
      await program.call('simple.stop', {});
      return sorted(messages);
    },
  ],
  [
    'filters: a tag; SQL92',
    async (program, bench, { other }) => {
      await program.prepare('NORMAL', 1);
      for (const kind of ['tag', 'sql']) await bench.group(other(kind));
      await program.call('simple.start', { name: other('tag'), group: other('tag'), tag: 'green' });
      await program.call('simple.start', { name: other('sql'), group: other('sql'), sql: 'index = 1' });
      await program.send({ count: 3, prefix: 'red', tag: 'red' });
      await program.send({ count: 3, prefix: 'green', tag: 'green' });
      const lines: string[] = [];
      for (const [kind, count] of [
        ['tag', 3],
        ['sql', 2],
      ] as const) {
        lines.push(`${kind}: ${sorted(await program.drain(count, { name: other(kind) }))}`);
        await program.call('simple.stop', { name: other(kind) });
      }
      return lines.join('; ');
    },
  ],
];

const cases = runs.flatMap(([behaviour, run]) =>
  (['Node gRPC', 'Java gRPC'] as const).map(
    (client): Case => ({
      behaviour,
      client,
      run: (bench, names) => run(new Program(bench, client, names), bench, names),
    }),
  ),
);

export const programs: Chapter = { title: 'gRPC: programs with the official clients', cases };
