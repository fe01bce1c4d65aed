/** SendMessage, and what is stored of it. */
import { deflateSync, gzipSync } from 'node:zlib';
import type { Fields } from '../../peers/grpc-raw.ts';
import { timeOf } from '../../peers/grpc-raw.ts';
import { type Bench, shape as recordShape, type Stored } from '../bench.ts';
import type { Chapter } from '../case.ts';
import { each, HOUR, message, put, SECOND, said, send, typed } from './asks.ts';

/** What the record has, without what is another in each run. */
const stored = ({ queueId, sysFlag, bodyLength, properties }: Stored): string =>
  `queue ${queueId}, sysFlag ${sysFlag}, ${bodyLength} bytes; ${recordShape(properties)}`;

/** What each message is answered, by its name. */
async function codes(bench: Bench, topic: string, messages: Record<string, Fields>): Promise<string> {
  const client = bench.grpc(`${topic}@sender`);
  const calls = Object.entries(messages).map(
    ([what, one]) => [what, async () => said(await send(client, one))] as const,
  );
  return each(Object.fromEntries(calls));
}

const system = (topic: string, values: Fields): Fields => message(topic, 'body', values);
const owned = (topic: string, userProperties: Record<string, string>): Fields =>
  message(topic, 'body', {}, { userProperties });

const manyProperties = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`p${i}`, 'v']));

export const sending: Chapter = {
  title: 'gRPC: sending',
  cases: [
    {
      behaviour: 'a message with all that it may have: the answer, and the record',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic, 1, typed('NORMAL'));
        const values = { tag: 'blue', keys: ['k1', 'k2'], traceContext: 'trace', deliveryAttempt: 2 };
        const one = message(topic, 'body', values, { userProperties: { color: 'red', size: '5' } });
        const { status, entries } = await put(bench.grpc('sender'), one);
        const [{ messageId, transactionId, offset, recallHandle }] = entries as [(typeof entries)[0]];
        const isOwn = messageId === (one.systemProperties as Fields).messageId;
        const [record] = await bench.recordsUntil(topic, 1);
        const answer = `${status.code}, ${isOwn ? 'its id' : messageId}`;
        const transaction = transactionId === messageId ? 'the same as transaction' : transactionId;
        return `${answer}, ${transaction}, offset ${offset}, ${recallHandle || 'no recall'}; ${stored(record!)}`;
      },
    },
    {
      behaviour: 'bodies: empty, 1 byte, 4 MiB, 4 MiB and 1 byte',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic, 1, typed('NORMAL'));
        return codes(bench, topic, {
          empty: message(topic, ''),
          one: message(topic, 'b'),
          'four MiB': message(topic, Buffer.alloc(4 * 1024 * 1024, 1)),
          more: message(topic, Buffer.alloc(4 * 1024 * 1024 + 1, 1)),
        });
      },
    },
    {
      behaviour: 'properties: 128, 129, 16 KiB in all, one byte more, a name of the system, control characters',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic, 1, typed('NORMAL'));
        return codes(bench, topic, {
          '128': owned(topic, manyProperties(128)),
          '129': owned(topic, manyProperties(129)),
          '16 KiB': owned(topic, { p: 'v'.repeat(16 * 1024 - 1) }),
          more: owned(topic, { p: 'v'.repeat(16 * 1024) }),
          'of the system': owned(topic, { UNIQ_KEY: 'x' }),
          'control in a name': owned(topic, { 'a\u0001b': 'x' }),
          'control in a value': owned(topic, { a: 'x\u0002y' }),
        });
      },
    },
    {
      behaviour: 'tags and keys: blank, with `|`, with control characters',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic, 1, typed('NORMAL'));
        return codes(bench, topic, {
          'blank tag': system(topic, { tag: ' ' }),
          'tag with |': system(topic, { tag: 'a|b' }),
          'control in a tag': system(topic, { tag: 'a\u0001' }),
          'blank key': system(topic, { keys: ['a', ' '] }),
          'control in a key': system(topic, { keys: ['a\u0002'] }),
        });
      },
    },
    {
      behaviour: 'message ids: empty, blank',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic, 1, typed('NORMAL'));
        return codes(bench, topic, {
          empty: system(topic, { messageId: '' }),
          blank: system(topic, { messageId: ' ' }),
          none: { topic: { name: topic }, body: Buffer.from('body') },
        });
      },
    },
    {
      behaviour: 'a message id, and a trace context, with a control character',
      client: 'wire',
      differs: 'The message id may hold control characters.',
      async run(bench, { topic }) {
        await bench.topic(topic, 1, typed('NORMAL'));
        return codes(bench, topic, {
          id: system(topic, { messageId: 'a\u0001b' }),
          trace: system(topic, { traceContext: 'a\u0002b' }),
        });
      },
    },
    {
      behaviour: 'message groups: blank, 63 bytes, 64 bytes, 63 characters of two bytes, a control character',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic, 1, typed('FIFO'));
        const of = (messageGroup: string): Fields => system(topic, { messageGroup, messageType: 'FIFO' });
        return codes(bench, topic, {
          blank: of(' '),
          '63': of('g'.repeat(63)),
          '64': of('g'.repeat(64)),
          wide: of('ü'.repeat(63)),
          control: of('g\u0001'),
        });
      },
    },
    {
      behaviour: 'messages of a type to topics of each type',
      client: 'wire',
      async run(bench, { other }) {
        const client = bench.grpc('typed-sender');
        const messages: Record<string, Fields> = {
          NORMAL: {},
          FIFO: { messageGroup: 'g', messageType: 'FIFO' },
          DELAY: { deliveryTimestamp: timeOf(Date.now() + 2 * SECOND), messageType: 'DELAY' },
          TRANSACTION: { messageType: 'TRANSACTION' },
          PRIORITY: { priority: 1, messageType: 'PRIORITY' },
        };
        const rows: Record<string, () => Promise<string>> = {};
        for (const type of ['NORMAL', 'FIFO', 'DELAY', 'TRANSACTION', 'PRIORITY', 'none']) {
          rows[type] = async () => {
            const topic = other(type);
            await bench.topic(topic, 1, type === 'none' ? {} : typed(type));
            const taken: string[] = [];
            const refused = new Set<string>();
            for (const [name, values] of Object.entries(messages)) {
              const code = said(await send(client, system(topic, values)));
              if (code === 'OK') taken.push(name);
              else refused.add(code);
            }
            return `${taken.join(' ') || 'none'}${refused.size === 0 ? '' : `, else ${[...refused].join(' ')}`}`;
          };
        }
        return (await each(rows)).replaceAll(/, (?=\w+: )/g, '; ');
      },
    },
    {
      behaviour: 'the type that a message says, which is not what it is',
      client: 'wire',
      async run(bench, { topic, other }) {
        await bench.topic(topic, 1, typed('NORMAL'));
        await bench.topic(other('fifo'), 1, typed('FIFO'));
        return codes(bench, topic, {
          'FIFO without a group': system(topic, { messageType: 'FIFO' }),
          'NORMAL with a group': system(other('fifo'), { messageGroup: 'g' }),
          'none said': system(topic, { messageType: 'MESSAGE_TYPE_UNSPECIFIED' }),
        });
      },
    },
    {
      behaviour: 'delivery times: 24 hours on, 25 hours on, an hour ago',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic, 1, typed('DELAY'));
        const at = (ms: number): Fields =>
          system(topic, { deliveryTimestamp: timeOf(Date.now() + ms), messageType: 'DELAY' });
        return codes(bench, topic, { 'in 24 h': at(24 * HOUR - SECOND), 'in 25 h': at(25 * HOUR), past: at(-HOUR) });
      },
    },
    {
      behaviour: 'recovery times of a transaction: an hour, a second more',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic, 1, typed('TRANSACTION'));
        const of = (ms: number): Fields =>
          system(topic, { orphanedTransactionRecoveryDuration: timeOf(ms), messageType: 'TRANSACTION' });
        return codes(bench, topic, { hour: of(HOUR), more: of(HOUR + SECOND) });
      },
    },
    {
      behaviour: 'no message; messages of two topics',
      client: 'wire',
      async run(bench, { topic, other }) {
        await bench.topic(topic, 1, typed('NORMAL'));
        await bench.topic(other('b'), 1, typed('NORMAL'));
        const client = bench.grpc('sender');
        return `${said(await send(client))}, ${said(await send(client, message(topic), message(other('b'))))}`;
      },
    },
    {
      behaviour: 'three messages at once: the answer, and the records',
      client: 'wire',
      differs: 'Of several messages in one request',
      async run(bench, { topic }) {
        await bench.topic(topic, 1, typed('NORMAL'));
        const answer = await put(bench.grpc('sender'), ...['a', 'b', 'c'].map((body) => message(topic, body)));
        const records = await bench.recordsUntil(topic, 3);
        const entries = answer.entries.map(({ status, offset }) => `${status.code} ${offset}`);
        return `${entries.join(', ')}; ${records.map(({ body }) => body.toString()).join(' ')}`;
      },
    },
    {
      behaviour: 'three messages of one group at once, to a topic of eight queues',
      client: 'wire',
      edge: 'B.22',
      differs: 'Of several messages in one request',
      async run(bench, { topic }) {
        await bench.topic(topic, 8, typed('FIFO'));
        const client = bench.grpc('sender');
        const of = (messageGroup: string) => message(topic, 'b', { messageGroup, messageType: 'FIFO' });
        // Ten times: which queue a batch gets without its group is chance.
        for (let i = 0; i < 10; i++) await put(client, of('g'), of('g'), of('g'));
        let used = 0;
        for (let queueId = 0; queueId < 8; queueId++) used += (await bench.maxOffset(topic, queueId)) > 0 ? 1 : 0;
        return used === 1 ? 'all in one queue' : 'in several queues';
      },
    },
    {
      behaviour: 'the queue of 40 message groups among seven',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic, 7, typed('FIFO'));
        const client = bench.grpc('sender');
        const groups = Array.from({ length: 40 }, (_, i) => `group-${i * i}-ä`);
        for (const messageGroup of groups) await put(client, message(topic, messageGroup, { messageGroup }));
        const places = new Map<string, number>();
        for (let queueId = 0; queueId < 7; queueId++) {
          for (const { body } of await bench.records(topic, { queueId })) places.set(body.toString(), queueId);
        }
        return groups.map((group) => places.get(group)).join('');
      },
    },
    {
      behaviour: 'a body of 8 KiB sent as GZIP, which is gzip: what is stored',
      client: 'wire',
      differs: 'A body that is sent as GZIP is stored as zlib',
      async run(bench, { topic }) {
        await bench.topic(topic, 1, typed('NORMAL'));
        await put(bench.grpc('sender'), message(topic, gzipSync(Buffer.alloc(8_192, 7)), { bodyEncoding: 'GZIP' }));
        const [record] = await bench.recordsUntil(topic, 1);
        return `sysFlag ${record!.sysFlag}, ${record!.bodyLength === 8_192 ? 'unpacked' : 'as it came'}`;
      },
    },
    {
      behaviour: 'a body of 8 KiB sent as GZIP, which is zlib, as the C++ client does: what is stored',
      client: 'wire',
      differs: 'A body that is sent as GZIP is stored as zlib',
      async run(bench, { topic }) {
        await bench.topic(topic, 1, typed('NORMAL'));
        const packed = deflateSync(Buffer.alloc(8_192, 7));
        await put(bench.grpc('sender'), message(topic, packed, { bodyEncoding: 'GZIP' }));
        const [record] = await bench.recordsUntil(topic, 1);
        return `sysFlag ${record!.sysFlag}, ${record!.body.equals(packed) ? 'as it came' : 'another'}`;
      },
    },
    {
      behaviour: 'topics: of the system, a bad name, one that may not be written',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic, 1, { ...typed('NORMAL'), perm: 4 });
        return codes(bench, topic, {
          system: message('SCHEDULE_TOPIC_XXXX'),
          half: message('RMQ_SYS_TRANS_HALF_TOPIC'),
          name: message('a b'),
          'read only': message(topic),
        });
      },
    },
    {
      behaviour: 'to a topic that is not there',
      client: 'wire',
      differs: 'A topic that is not there: 40402',
      run: async (bench, { topic }) => said(await send(bench.grpc('sender'), message(topic))),
    },
    {
      behaviour: 'a message of the rank 5 to a topic of ranks with eight queues',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic, 8, typed('PRIORITY'));
        await put(bench.grpc('sender'), message(topic, 'body', { priority: 5, messageType: 'PRIORITY' }));
        for (let queueId = 0; queueId < 8; queueId++) {
          const [record] = await bench.records(topic, { queueId });
          if (record !== undefined) return stored(record);
        }
        return 'not stored';
      },
    },
  ],
};
