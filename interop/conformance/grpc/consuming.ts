/** ReceiveMessage, and what becomes of a message after it. */
import { deflateSync } from 'node:zlib';
import type { Fields, GrpcMessage, RawGrpc } from '../../peers/grpc-raw.ts';
import { timeOf } from '../../peers/grpc-raw.ts';
import { type Bench, pause, shape as recordShape } from '../bench.ts';
import { type Chapter, type Names, restartCase } from '../case.ts';
import {
  ack,
  ackOf,
  bodies,
  change,
  consumer,
  each,
  given,
  HOUR,
  message,
  put,
  receive,
  receiveOf,
  SECOND,
  said,
  send,
  shape,
  subscription,
} from './asks.ts';

/** The shortest time that a receive may ask for. */
const SHORTEST_MS = 10 * SECOND;
const short: Fields = { invisibleDuration: timeOf(SHORTEST_MS) };

/** Sends bodies a, b, c ..., one after the other. */
async function fill(client: RawGrpc, { topic }: Names, count: number, system: Fields = {}): Promise<void> {
  for (let i = 0; i < count; i++) await put(client, message(topic, String.fromCharCode(97 + i), system));
}

const one = async (client: RawGrpc, names: Names, more: Fields = {}): Promise<GrpcMessage> =>
  (await receive(client, receiveOf(names, more)))[0] as GrpcMessage;

/** A group of one topic that holds one message, received. */
async function received(bench: Bench, names: Names, more: Fields = {}): Promise<[RawGrpc, GrpcMessage]> {
  const client = await consumer(bench, names);
  await fill(client, names, 1);
  return [client, await one(client, names, more)];
}

/** Changes one of the fields of a receipt, which are separated by blanks. */
const withField = (given: GrpcMessage, index: number, value: string): GrpcMessage => {
  const fields = given.systemProperties.receiptHandle.split(' ');
  fields[index] = value;
  return { ...given, systemProperties: { ...given.systemProperties, receiptHandle: fields.join(' ') } };
};

/** After a restart, without a change to the group. */
async function rejoined(bench: Bench, { topic, group }: Names): Promise<RawGrpc> {
  const client = bench.grpc(`${group}@client`);
  await client.settings({ clientType: 'SIMPLE_CONSUMER', subscription: subscription(group, topic) });
  return client;
}

const attempts = (messages: readonly GrpcMessage[]): string =>
  messages.map(({ body, systemProperties: { deliveryAttempt } }) => `${body} attempt ${deliveryAttempt}`).join(', ');

export const consuming: Chapter = {
  title: 'gRPC: receiving and acknowledging',
  cases: [
    {
      behaviour: 'a message with all that it may have, as it is received',
      client: 'wire',
      async run(bench, names) {
        const client = await consumer(bench, names, { queues: 1 });
        const system = { tag: 'blue', keys: ['k1', 'k2'], traceContext: 'trace' };
        await put(client, message(names.topic, 'body', system, { userProperties: { color: 'red' } }));
        return shape(await one(client, names));
      },
    },
    {
      behaviour: 'a message of a remoting producer, as it is received',
      client: 'wire',
      async run(bench, names) {
        const client = await consumer(bench, names);
        await bench.put(names.topic, { properties: { TAGS: 'blue', KEYS: 'k1 k2', color: 'red', UNIQ_KEY: 'id' } });
        return shape(await one(client, names)).replace(/bornHost=[\d.:]+/, 'bornHost=<host>');
      },
    },
    {
      behaviour: 'a body of 8 KiB that a remoting producer compressed by zlib',
      client: 'wire',
      edge: 'B.23',
      differs: 'A body that its producer compressed',
      async run(bench, names) {
        const client = await consumer(bench, names);
        await bench.put(names.topic, { body: deflateSync(Buffer.alloc(8_192, 7)), sysFlag: 1 });
        const { systemProperties, body } = await one(client, names);
        return `${systemProperties.bodyEncoding}; ${body.length === 8_192 ? 'unpacked' : 'as it was'}`;
      },
    },
    {
      behaviour: 'nothing to receive, waiting 1 s: how long it waits',
      client: 'wire',
      async run(bench, names) {
        const client = await consumer(bench, names);
        const began = Date.now();
        const { status } = await client.receive(receiveOf(names, { longPollingTimeout: timeOf(SECOND) }));
        const waited = Date.now() - began;
        return `${status.code} ${waited > 4_500 ? 'after 5 s and more' : `after ${waited} ms`}`;
      },
    },
    {
      behaviour: 'a message that comes while a receive waits',
      client: 'wire',
      async run(bench, names) {
        const client = await consumer(bench, names);
        const waiting = client.receive(receiveOf(names, { longPollingTimeout: timeOf(20 * SECOND) }));
        await pause(500);
        const began = Date.now();
        await fill(client, names, 1);
        const answer = await waiting;
        return `${given(answer)}, ${Date.now() - began < 5_000 ? 'at once' : 'late'}`;
      },
    },
    {
      behaviour: 'a receive of a client that has not said what it is',
      client: 'wire',
      differs: 'ReceiveMessage without settings fails with 50001.',
      async run(bench, names) {
        await consumer(bench, names);
        return given(await bench.grpc('unknown').receive(receiveOf(names)));
      },
    },
    {
      behaviour: 'invisible times: 9,999 ms, 12 hours, more, none with renewal',
      client: 'wire',
      async run(bench, names) {
        const client = await consumer(bench, names);
        const of =
          (ms: number, more: Fields = {}) =>
          async (): Promise<string> => {
            await fill(client, names, 1);
            return given(await client.receive(receiveOf(names, { invisibleDuration: timeOf(ms), ...more })));
          };
        return each({
          '9,999 ms': of(9_999),
          '12 h': of(12 * HOUR),
          more: of(12 * HOUR + 1),
          'with renewal': of(0, { autoRenew: true }),
        });
      },
    },
    {
      behaviour: 'a call that has 4 s left, of a client 5.0.2, of one 5.0.3',
      client: 'wire',
      async run(bench, { topic, other }) {
        const of = (suffix: string, version: string) => async (): Promise<string> => {
          const names = { topic, group: other(suffix), other };
          const client = await consumer(bench, names, { version });
          return given(await client.receive(receiveOf(names), 4 * SECOND));
        };
        return each({ '5.0.2': of('a', '5.0.2'), '5.0.3': of('b', '5.0.3') });
      },
    },
    {
      behaviour: 'names: a bad topic, a bad group, a topic that is not there',
      client: 'wire',
      async run(bench, names) {
        const client = await consumer(bench, names);
        const of = (changes: Partial<Names>) => async (): Promise<string> =>
          given(await client.receive(receiveOf({ ...names, ...changes })));
        return each({ topic: of({ topic: 'a b' }), group: of({ group: 'a b' }), system: of({ topic: 'TBW102' }) });
      },
    },
    {
      behaviour: 'filters: a tag, two tags, no expression, SQL92',
      client: 'wire',
      async run(bench, { topic, other }) {
        const with_ = (suffix: string, type: string, expression: string) => async (): Promise<string> => {
          const names = { topic: `${topic}_${suffix}`, group: other(suffix), other };
          const client = await consumer(bench, names);
          for (const [body, tag] of [
            ['1', 'blue'],
            ['2', 'red'],
            ['3', 'green'],
          ] as const) {
            await put(client, message(names.topic, body, { tag }, { userProperties: { number: body } }));
          }
          const got: GrpcMessage[] = [];
          const request = receiveOf(names, { filterExpression: { type, expression } });
          for (let round = 0; round < 3; round++) {
            const answer = await client.receive(request);
            if (answer.status.code !== 'OK' && got.length === 0) return answer.status.code;
            got.push(...answer.messages);
            if (answer.messages.length === 0) break;
          }
          return bodies(got.sort((a, b) => a.body.compare(b.body)));
        };
        const cases = {
          blue: with_('a', 'TAG', 'blue'),
          'blue || red': with_('b', 'TAG', 'blue || red'),
          'no expression': with_('c', 'TAG', ''),
          'number > 1': with_('d', 'SQL', 'number > 1'),
        };
        return each(cases);
      },
    },
    {
      behaviour: 'a filter of SQL92 that is none',
      client: 'wire',
      differs: 'A receive with an SQL92 expression that cannot be compiled',
      async run(bench, names) {
        const client = await consumer(bench, names);
        await fill(client, names, 1);
        return given(
          await client.receive(receiveOf(names, { filterExpression: { type: 'SQL', expression: 'number >' } })),
        );
      },
    },
    {
      behaviour: 'acknowledged, acknowledged again, and no more of it',
      client: 'wire',
      edge: 'B.20',
      async run(bench, names) {
        const [client, got] = await received(bench, names, short);
        const acks = [await ack(client, names, got), await ack(client, names, got)];
        await pause(SHORTEST_MS + SECOND);
        return `${acks.join(', ')}; ${given(await client.receive(receiveOf(names)))}`;
      },
    },
    {
      behaviour: 'acknowledged after its time; it comes again',
      client: 'wire',
      async run(bench, names) {
        const [client, got] = await received(bench, names, short);
        await pause(SHORTEST_MS + SECOND);
        const late = await ack(client, names, got);
        return `${late}; ${attempts(await receive(client, receiveOf(names)))}`;
      },
    },
    {
      behaviour: 'two entries, one with a receipt that is none; no entry',
      client: 'wire',
      differs: 'A receipt that cannot be read: 50001',
      async run(bench, names) {
        const [client, got] = await received(bench, names);
        const bad = { messageId: 'x', receiptHandle: 'no handle' };
        const request = ackOf(names, got);
        const both = await client.call('AckMessage', { ...request, entries: [...(request.entries as Fields[]), bad] });
        return `${said(both)}; ${said(await client.call('AckMessage', { ...request, entries: [] }))}`;
      },
    },
    {
      behaviour: 'receipts whose time of receiving is no number, or which name another broker',
      client: 'wire',
      differs: 'A receipt that cannot be read: 50001',
      async run(bench, names) {
        const [client, got] = await received(bench, names);
        return each({
          'no number': () => ack(client, names, withField(got, 1, 'x')),
          'another broker': () => ack(client, names, withField(got, 5, 'nobody')),
        });
      },
    },
    {
      behaviour: 'acknowledged in the name of another group; whether it comes again',
      client: 'wire',
      async run(bench, names) {
        const [client, got] = await received(bench, names, short);
        const other = { ...names, group: names.other('g') };
        await bench.group(other.group);
        const acked = await ack(client, other, got);
        await pause(SHORTEST_MS + SECOND);
        return `${acked}; ${given(await client.receive(receiveOf(names)))}`;
      },
    },
    {
      behaviour: 'a changed time: the new receipt, then the old one',
      client: 'wire',
      async run(bench, names) {
        const [client, got] = await received(bench, names);
        const { status, receiptHandle } = await change(client, names, got, 20 * SECOND);
        const renewed = { ...got, systemProperties: { ...got.systemProperties, receiptHandle } };
        return `${status.code}; ${await ack(client, names, renewed)}`;
      },
    },
    {
      behaviour: 'times to change to: none, 12 hours and a millisecond',
      client: 'wire',
      async run(bench, names) {
        const [client, got] = await received(bench, names);
        const refused = said(await change(client, names, got, 12 * HOUR + 1));
        const began = Date.now();
        const now = said(await change(client, names, got, 0));
        const again = attempts(await receive(client, receiveOf(names)));
        return `too long: ${refused}; none: ${now}, ${again} ${Date.now() - began < 15_000 ? 'soon' : 'late'}`;
      },
    },
    {
      behaviour: 'the time changed after its end',
      client: 'wire',
      edge: 'B.18',
      async run(bench, names) {
        const [client, got] = await received(bench, names, short);
        await pause(SHORTEST_MS + SECOND);
        return said(await change(client, names, got, 20 * SECOND));
      },
    },
    {
      behaviour: 'what is not acknowledged comes again, and after its last attempt goes to the dead letters',
      client: 'wire',
      async run(bench, names) {
        const client = await consumer(bench, names, { group: { retryMaxTimes: 1 } });
        await fill(client, names, 1);
        const seen: GrpcMessage[] = [];
        const dead = `%DLQ%${names.group}`;
        await bench.until('the dead letter', async () => {
          seen.push(...(await client.receive(receiveOf(names, short))).messages);
          return (await bench.maxOffset(dead)) > 0 ? true : undefined;
        });
        const [letter] = await bench.records(dead);
        return `${attempts(seen)}; ${letter!.body} in ${dead.slice(0, 5)}`;
      },
    },
    {
      behaviour: 'ForwardMessageToDeadLetterQueue: the dead letter, and no more of it',
      client: 'wire',
      async run(bench, names) {
        const [client, got] = await received(bench, names, short);
        const answer = await client.call('ForwardMessageToDeadLetterQueue', {
          ...{ group: { name: names.group }, topic: { name: names.topic } },
          ...{ messageId: got.systemProperties.messageId, receiptHandle: got.systemProperties.receiptHandle },
          ...{ deliveryAttempt: 1, maxDeliveryAttempts: 17 },
        });
        const [letter] = await bench.recordsUntil(`%DLQ%${names.group}`, 1);
        const { TAGS, KEYS, RETRY_TOPIC, DELAY } = letter!.properties;
        await pause(SHORTEST_MS + SECOND);
        const rest = given(await client.receive(receiveOf(names)));
        return `${said(answer)}; ${[TAGS, KEYS, RETRY_TOPIC, DELAY].map(String).join(' ')}; ${rest}`;
      },
    },
    {
      behaviour: 'what a consumer reads in its dead letters by gRPC',
      client: 'wire',
      differs: 'A dead letter has `RETRY_TOPIC` and `ORIGIN_MESSAGE_ID`.',
      async run(bench, names) {
        const [client, got] = await received(bench, names);
        await client.call('ForwardMessageToDeadLetterQueue', {
          ...{ group: { name: names.group }, topic: { name: names.topic } },
          ...{ messageId: got.systemProperties.messageId, receiptHandle: got.systemProperties.receiptHandle },
          ...{ deliveryAttempt: 1, maxDeliveryAttempts: 17 },
        });
        const topic = `%DLQ%${names.group}`;
        const [letter] = await bench.recordsUntil(topic, 1);
        return recordShape(letter!.properties).replace(/\S*BORNHOST=\S+/, '');
      },
    },
    {
      behaviour: 'a group in order: one batch at a time, the rest after it is acknowledged',
      client: 'wire',
      async run(bench, names) {
        const client = await consumer(bench, names, { type: 'FIFO', group: { consumeMessageOrderly: true } });
        await fill(client, names, 5, { messageGroup: 'g' });
        const request = receiveOf(names, { batchSize: 3, invisibleDuration: timeOf(120 * SECOND) });
        const first = await receive(client, request, 3);
        const blocked = given(await client.receive(request));
        const acks: string[] = [];
        for (const got of first) acks.push(await ack(client, names, got));
        return `${bodies(first)}; ${blocked}; ${acks.join(' ')}; ${bodies(await receive(client, request, 2))}`;
      },
    },
    {
      behaviour: 'a group in order that acknowledges one of three: what comes again, and in which order',
      client: 'wire',
      edge: 'B.16',
      async run(bench, names) {
        const client = await consumer(bench, names, { type: 'FIFO', group: { consumeMessageOrderly: true } });
        await fill(client, names, 3, { messageGroup: 'g' });
        const first = await receive(client, receiveOf(names, short), 3);
        await ack(client, names, first[0]!);
        const again = await receive(client, receiveOf(names, short), 2);
        return attempts(again);
      },
    },
    {
      behaviour: 'a group in order: the same attempt again gives the same messages, another one none',
      client: 'wire',
      edge: 'B.17',
      async run(bench, names) {
        const client = await consumer(bench, names, { type: 'FIFO', group: { consumeMessageOrderly: true } });
        await fill(client, names, 3, { messageGroup: 'g' });
        const of = async (attemptId: string): Promise<string> =>
          given(await client.receive(receiveOf(names, { attemptId })));
        return `${await of('one')}; ${await of('one')}; ${await of('two')}`;
      },
    },
    {
      behaviour: 'a batch of one, of five',
      client: 'wire',
      async run(bench, names) {
        const client = await consumer(bench, names);
        await fill(client, names, 5);
        await bench.recordsUntil(names.topic, 5);
        const first = await client.receive(receiveOf(names, { batchSize: 1 }));
        return `${given(first)}; ${bodies(await receive(client, receiveOf(names), 4))}`;
      },
    },
    {
      behaviour: 'a group that may not consume; a topic that may not be read',
      client: 'wire',
      async run(bench, { topic, group, other }) {
        const names = { topic, group, other };
        const client = await consumer(bench, names, { group: { consumeEnable: false } });
        const first = given(await client.receive(receiveOf(names)));
        const write = { topic: other('w'), group: other('g'), other };
        const second = await consumer(bench, write);
        await bench.topic(write.topic, 1, { perm: 2 });
        return `${first}, ${given(await second.receive(receiveOf(write)))}`;
      },
    },
    restartCase({
      behaviour: 'a receipt from before SIGKILL acknowledges after it; what was not acknowledged comes again once',
      client: 'wire',
      edge: 'B.24',
      apacheEither: ['OK; a attempt 1, b attempt 1; MESSAGE_NOT_FOUND', 'OK; b attempt 2; MESSAGE_NOT_FOUND'],
      last: true,
      async before(bench, names) {
        const client = await consumer(bench, names);
        await fill(client, names, 2);
        const messages = await receive(client, receiveOf(names, { invisibleDuration: timeOf(60 * SECOND) }), 2);
        return messages.sort((a, b) => a.body.compare(b.body));
      },
      async after(bench, names, [first]) {
        const client = await rejoined(bench, names);
        const acked = await ack(client, names, first!);
        const again = await bench.until('the other one', async () => {
          const { messages } = await client.receive(receiveOf(names));
          return messages.length > 0 ? messages : undefined;
        });
        for (const got of again) await ack(client, names, got);
        return `${acked}; ${attempts(again)}; ${given(await client.receive(receiveOf(names)))}`;
      },
    }),
    restartCase({
      behaviour: 'a client from before SIGKILL that has not said anew what it is: its heartbeat, its send',
      client: 'wire',
      differs: 'Clients are unknown after a restart: 40015',
      // What came in the second before the kill may not be saved.
      vernierEither: ['OK, OK', 'UNRECOGNIZED_CLIENT_TYPE, OK'],
      async before(bench, names) {
        await consumer(bench, names);
      },
      async after(bench, names) {
        const client = bench.grpc(`${names.group}@client`);
        const beat = said(
          await client.call('Heartbeat', { clientType: 'SIMPLE_CONSUMER', group: { name: names.group } }),
        );
        return `${beat}, ${said(await send(client, message(names.topic)))}`;
      },
    }),
  ],
};
