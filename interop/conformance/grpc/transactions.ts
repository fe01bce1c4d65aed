/** Transactions, and messages with a time. */
import type { Answer, Fields, GrpcMessage, RawGrpc, Telemetry } from '../../peers/grpc-raw.ts';
import { timeOf } from '../../peers/grpc-raw.ts';
import { type Bench, pause } from '../bench.ts';
import type { Chapter, Names } from '../case.ts';
import { ack, consumer, each, given, message, put, receive, receiveOf, SECOND, said, send, shape } from './asks.ts';

const TRANSACTION: Fields = { messageType: 'TRANSACTION' };

interface Half {
  messageId: string;
  transactionId: string;
}

const end = async (client: RawGrpc, { topic }: Names, half: Half, resolution: string, more: Fields = {}) =>
  said(
    await client.call('EndTransaction', {
      ...{ topic: { name: topic }, ...half, resolution, source: 'SOURCE_CLIENT' },
      ...more,
    }),
  );

async function half(client: RawGrpc, { topic }: Names, body = 'half', system: Fields = {}): Promise<Half> {
  const { entries } = await put(client, message(topic, body, { ...TRANSACTION, ...system }));
  const { messageId, transactionId } = entries[0] as Answer['entries'][0];
  return { messageId, transactionId };
}

/** A producer of the topic that can be asked. */
async function producer(bench: Bench, { topic }: Names): Promise<{ client: RawGrpc; stream: Telemetry }> {
  const client = bench.grpc(`${topic}@producer`);
  const publishing = { topics: [{ name: topic }] };
  const { stream } = await client.settings({ clientType: 'PRODUCER', publishing });
  return { client, stream };
}

export const grpcTransactions: Chapter = {
  title: 'gRPC: transactions, and messages with a time',
  cases: [
    {
      behaviour: 'committed: the message as it is received; rolled back: none',
      client: 'wire',
      async run(bench, names) {
        const client = await consumer(bench, names, { type: 'TRANSACTION' });
        const { client: sender } = await producer(bench, names);
        const rolled = await end(sender, names, await half(sender, names, 'rolled'), 'ROLLBACK');
        const committed = await end(sender, names, await half(sender, names, 'committed'), 'COMMIT');
        const [got] = await receive(client, receiveOf(names));
        await ack(client, names, got as GrpcMessage);
        const rest = given(await client.receive(receiveOf(names)));
        const shown = shape(got as GrpcMessage).replace(/M\d{6}/, '<id>');
        return `${committed}, ${rolled}; ${got!.body}; ${shown}; then ${rest}`;
      },
    },
    {
      behaviour: 'the ids of a half',
      client: 'wire',
      async run(bench, names) {
        await bench.topic(names.topic, 1, { attributes: '+message.type=TRANSACTION' });
        const { client } = await producer(bench, names);
        const { transactionId, messageId } = await half(client, names);
        return transactionId === messageId ? 'the transaction has the id of the message' : 'another id';
      },
    },
    {
      behaviour: 'ends: no transaction id, no topic, a bad topic',
      client: 'wire',
      async run(bench, names) {
        await bench.topic(names.topic, 1, { attributes: '+message.type=TRANSACTION' });
        const { client } = await producer(bench, names);
        const known = await half(client, names);
        return each({
          'no transaction id': () => end(client, names, { ...known, transactionId: '' }, 'COMMIT'),
          'no topic': () => end(client, { ...names, topic: '' }, known, 'COMMIT'),
          'a bad topic': () => end(client, { ...names, topic: 'a b' }, known, 'COMMIT'),
        });
      },
    },
    {
      behaviour: 'an end of a transaction that nobody began',
      client: 'wire',
      async run(bench, names) {
        await bench.topic(names.topic, 1, { attributes: '+message.type=TRANSACTION' });
        const { client } = await producer(bench, names);
        return end(client, names, { messageId: 'x', transactionId: 'y' }, 'COMMIT');
      },
    },
    {
      behaviour: 'committed twice: one message',
      client: 'wire',
      differs: 'EndTransaction more than 30 seconds after the send',
      async run(bench, names) {
        await bench.topic(names.topic, 1, { attributes: '+message.type=TRANSACTION' });
        const { client } = await producer(bench, names);
        const known = await half(client, names);
        const ends = [await end(client, names, known, 'COMMIT'), await end(client, names, known, 'COMMIT')];
        await bench.recordsUntil(names.topic, 1);
        await pause(SECOND);
        return `${ends.join(', ')}; ${(await bench.records(names.topic)).length} message`;
      },
    },
    {
      behaviour: 'a half that is not ended: its producer is asked; its answer commits it',
      client: 'wire',
      async run(bench, names) {
        await bench.topic(names.topic, 1, { attributes: '+message.type=TRANSACTION' });
        const { client, stream } = await producer(bench, names);
        const known = await half(client, names);
        const asked = await bench.until('the question', async () => {
          const command = stream.commands.find((one) => one.command === 'recoverOrphanedTransactionCommand');
          return command?.recoverOrphanedTransactionCommand as
            | { message: GrpcMessage; transactionId: string }
            | undefined;
        });
        const { transactionId, message: of } = asked;
        const same = transactionId === known.transactionId ? 'its transaction' : 'another transaction id';
        const named = of.systemProperties.messageId === known.messageId ? 'its message' : 'another message id';
        const code = await end(client, names, { transactionId, messageId: of.systemProperties.messageId }, 'COMMIT', {
          source: 'SOURCE_SERVER_CHECK',
        });
        await bench.recordsUntil(names.topic, 1);
        return `${same}, ${named}, ${of.body}; ${code}; 1 message`;
      },
    },
    {
      behaviour: 'a transactional message with a delivery time',
      client: 'wire',
      differs: 'A transactional message with a delivery time',
      async run(bench, { topic }) {
        await bench.topic(topic, 1, { attributes: '+message.type=TRANSACTION' });
        const system = { ...TRANSACTION, deliveryTimestamp: timeOf(Date.now() + 2 * SECOND) };
        return said(await send(bench.grpc('sender'), message(topic, 'half', system)));
      },
    },
    {
      behaviour: 'a message with a time: not before it, then as it is received',
      client: 'wire',
      async run(bench, names) {
        const client = await consumer(bench, names, { type: 'DELAY' });
        const due = Date.now() + 3 * SECOND;
        const { entries } = await put(
          client,
          message(names.topic, 'later', { deliveryTimestamp: timeOf(due), messageType: 'DELAY' }),
        );
        const [got] = await receive(client, receiveOf(names));
        const handle = entries[0]!.recallHandle === '' ? 'no handle' : 'a handle to recall it';
        return `${handle}; ${Date.now() >= due ? 'not before its time' : 'too early'}; ${shape(got as GrpcMessage)}`;
      },
    },
    {
      behaviour: 'recalled: it does not come; recalled again; with handles that are none',
      client: 'wire',
      async run(bench, names) {
        const client = await consumer(bench, names, { type: 'DELAY' });
        const later = message(names.topic, 'later', {
          ...{ deliveryTimestamp: timeOf(Date.now() + 6 * SECOND), messageType: 'DELAY' },
        });
        const { entries } = await put(client, later);
        const recall = async (recallHandle: string, topic = names.topic): Promise<Answer> =>
          client.call('RecallMessage', { topic: { name: topic }, recallHandle });
        const handle = entries[0]!.recallHandle;
        const first = await recall(handle);
        const own = first.messageId === entries[0]!.messageId ? 'its id' : 'another id';
        const codes = await each({
          again: async () => said(await recall(handle)),
          empty: async () => said(await recall('')),
          'none of ours': async () => said(await recall('nothing')),
          'another topic': async () => said(await recall(handle, names.other('t'))),
          'a bad topic': async () => said(await recall(handle, 'a b')),
        });
        await pause(7 * SECOND);
        return `${said(first)}, ${own}; ${codes}; ${given(await client.receive(receiveOf(names)))}`;
      },
    },
  ],
};
