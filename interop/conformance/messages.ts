/** Request and reply, batches, compression, limits at the byte, lite pull consumers, the topic of traces. */
import { deflateSync } from 'node:zlib';
import { batchBody, sendBatch } from './batch.ts';
import { type Bench, encodeProperties, said, shape, type Values } from './bench.ts';
import type { Chapter, Names } from './case.ts';

/** What a broker stores of a body that Java compressed, byte by byte. */
async function compressed(bench: Bench, { topic }: Names, compress: string): Promise<string> {
  await bench.routed(topic);
  await bench.java('wide.send', { topic, count: 1, size: 8_192, compress });
  const [record] = await bench.recordsUntil(topic, 1);
  const magic = record!.body.subarray(0, 4).toString('hex');
  const name = bench.unique('unpacking');
  await bench.java('wide.consume', { name, topic, group: `${topic}_g` });
  const [got] = await bench.until('the message', async () => {
    const now = await bench.java<{ body: number }[]>('wide.deliveries', { name });
    return now.length > 0 ? now : undefined;
  });
  await bench.java('wide.stop', { name });
  const begins = compress === 'ZLIB' ? magic.slice(0, 2) : magic;
  return `sysFlag 0x${record!.sysFlag.toString(16)}, stored body begins ${begins}; read with ${got!.body} bytes`;
}

/** What a client other than Java reads of a compressed body. */
async function readsCompressed(bench: Bench, { topic, group }: Names, kind: 'Go' | 'Node'): Promise<string> {
  await bench.routed(topic);
  // Number 0 of the samples is long enough to be compressed by Java.
  await bench.java('delay.send', { group: `${group}_p`, topic, run: topic, level: 0, count: 1 });
  const [record] = await bench.recordsUntil(topic, 1);
  const client = bench.client(kind);
  const [name, { namesrv }] = [bench.unique('unpacking'), bench];
  await client.call('consumer.start', { name, group, namesrv, topic, run: topic });
  await client.call('consumer.await', { name, distinct: 1 });
  const report = await client.call<{ distinct: number; faulty: number }>('consumer.stop', { name });
  return `sysFlag 0x${record!.sysFlag.toString(16)}; ${report.distinct} message, ${report.faulty} faulty`;
}

async function produced(bench: Bench, { topic }: Names, kind: 'Java' | 'Go' | 'Node', mode: string): Promise<string> {
  await bench.routed(topic, 1);
  const client = bench.client(kind);
  const name = bench.unique('producer');
  await client.call('producer.start', { name, group: `${topic}_p`, namesrv: bench.namesrv });
  const { status, errors } = await client.call<{ status: object; errors: object }>('producer.send', {
    ...{ name, topic, run: topic, mode, count: 32, threads: 1 },
  });
  await client.call('producer.stop', { name });
  const records = await bench.recordsUntil(topic, 32);
  // What comes oneway is stored by several threads at once.
  const inOrder = mode !== 'oneway' && records.every(({ properties }, index) => properties.index === String(index));
  const names = Object.keys(records[1]!.properties).sort().join(' ');
  return `${JSON.stringify({ ...status, ...errors })}, ${records.length} records${inOrder ? ' in order' : ''}; ${names}`;
}

const sized = (bytes: number): string => 'x'.repeat(bytes);

export const messages: Chapter = {
  title: 'Messages: replies, batches, compression, limits',
  cases: [
    {
      behaviour: 'a request and its reply; a request that nobody answers',
      client: 'Java',
      async run(bench, { topic, group, other }) {
        await bench.routed(topic);
        const name = bench.unique('answering');
        await bench.java('wide.consume', { name, topic, group, answers: true });
        const reply = await bench.java<string>('wide.request', { topic, group: other('p1') });
        await bench.java('wide.stop', { name });
        const none = await bench.java<string>('wide.request', { topic, group: other('p2'), timeout: 1_500 });
        return `${reply}; ${none}`;
      },
    },
    {
      behaviour: 'a reply to a client that is not there: the code, and what is stored',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic);
        const properties = { CORRELATION_ID: 'c1', REPLY_TO_CLIENT: 'nobody', MSG_TYPE: 'reply', TTL: '3000' };
        const answer = await bench.ask(325, {
          ...{ a: 'p', b: topic, c: 'TBW102', d: 4, e: 0, f: 0, g: Date.now(), h: 0, j: 0, k: false, m: false },
          i: encodeProperties(properties),
        });
        const records = await bench.records(topic);
        return `${said(answer)}; ${records.length} stored`;
      },
    },
    ...(['sync', 'oneway', 'batch'] as const).map((mode) => ({
      behaviour: `32 messages ${mode}: their order, with these properties`,
      client: 'Java' as const,
      run: (bench: Bench, names: Names) => produced(bench, names, 'Java', mode),
    })),
    ...(['sync', 'batch'] as const).map((mode) => ({
      behaviour: `32 messages ${mode}: in order, with these properties`,
      client: 'Go' as const,
      run: (bench: Bench, names: Names) => produced(bench, names, 'Go', mode),
    })),
    {
      behaviour: '32 messages sync: in order, with these properties',
      client: 'Node',
      run: (bench, names) => produced(bench, names, 'Node', 'sync'),
    },
    {
      behaviour: 'a batch of messages with other tags: its ids, and what a pull of one tag gets',
      client: 'Java',
      async run(bench, { topic }) {
        await bench.routed(topic);
        const sent = await bench.java<string[]>('wide.send', { topic, count: 6, tags: 'TagA,TagB', batch: true });
        const offsets = (await bench.records(topic, { subscription: 'TagB' })).map(({ queueOffset }) => queueOffset);
        const all = await bench.recordsUntil(topic, 6);
        return `${sent.join()}; TagB at ${offsets.join(' ')}; ${shape(all[1]!.properties)}`;
      },
    },
    {
      behaviour: 'batches that are refused: with a delay level, to a retry topic, with a body that is cut',
      client: 'wire',
      differs: 'A message without a body',
      async run(bench, { topic, group }) {
        await bench.topic(topic);
        await bench.group(group);
        await bench.topic(`%RETRY%${group}`);
        const good = [{ body: 'one', properties: { UNIQ_KEY: 'k1' } }];
        const delayed = [{ body: 'one', properties: { DELAY: '1' } }];
        const answers = [
          await sendBatch(bench, topic, batchBody(delayed), { DELAY: '1' }),
          await sendBatch(bench, `%RETRY%${group}`, batchBody(good)),
          await sendBatch(bench, topic, batchBody(good).subarray(0, 12)),
        ];
        return `${answers.map(said).join(', ')}; ${await bench.maxOffset(topic)} stored`;
      },
    },
    ...(['ZLIB', 'LZ4', 'ZSTD'] as const).map((compress) => ({
      behaviour: `a body compressed by ${compress} is stored as it came and read again`,
      client: 'Java' as const,
      run: (bench: Bench, names: Names) => compressed(bench, names, compress),
    })),
    ...(['Go', 'Node'] as const).map((kind) => ({
      behaviour: 'a long body of Java’s client is read',
      client: kind,
      edge: 'B.23',
      run: (bench: Bench, names: Names) => readsCompressed(bench, names, kind),
    })),
    {
      behaviour: 'a body that is compressed and one that only says so are stored byte by byte',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic);
        const bodies = [deflateSync(Buffer.from('text '.repeat(100))), Buffer.from('no zlib')];
        for (const body of bodies) await bench.put(topic, { body, sysFlag: 0x301 });
        const records = await bench.recordsUntil(topic, 2);
        const same = records.map(
          ({ body, sysFlag }, index) => `${body.equals(bodies[index]!)} 0x${sysFlag.toString(16)}`,
        );
        return same.join(', ');
      },
    },
    {
      behaviour: 'a body of 4 MiB, and of a byte more',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic);
        const answers = [
          await bench.send(topic, { body: sized(4_194_304) }),
          await bench.send(topic, { body: sized(4_194_305) }),
        ];
        return `${answers.map(said).join(', ')}; ${await bench.maxOffset(topic)} stored`;
      },
    },
    {
      behaviour: 'an empty body',
      client: 'wire',
      differs: 'A message without a body',
      async run(bench, { topic }) {
        await bench.topic(topic);
        return said(await bench.send(topic, { body: '' }));
      },
    },
    {
      behaviour: 'properties of 32,767 bytes as they are stored, and of a byte more',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic);
        // The broker adds its own; what fits is found, and the next byte does not.
        const fits = async (bytes: number) => (await bench.send(topic, { properties: { p: sized(bytes) } })).code;
        let [low, high] = [32_000, 32_768];
        while (high - low > 1) {
          const middle = (low + high) >> 1;
          if ((await fits(middle)) === 0) low = middle;
          else high = middle;
        }
        const code = await fits(high);
        const records = await bench.recordsUntil(topic, 1);
        const lengths = records.map(({ properties }) => Buffer.byteLength(encodeProperties(properties)));
        return `stored at most ${Math.max(...lengths)}; then code ${code}`;
      },
    },
    {
      behaviour: 'topics of 127 and 128 bytes',
      client: 'wire',
      async run(bench, { topic }) {
        const answers: string[] = [];
        for (const bytes of [127, 128]) {
          const name = topic.padEnd(bytes, 'x');
          const made = await bench.ask(17, {
            ...{ topic: name, defaultTopic: 'TBW102', readQueueNums: 1, writeQueueNums: 1, perm: 6 },
            ...{ topicFilterType: 'SINGLE_TAG', topicSysFlag: 0, order: false },
          });
          answers.push(`${said(made)} and ${said(await bench.send(name))}`);
        }
        return answers.join('; ');
      },
    },
    {
      behaviour: 'sends to a topic with a name that none may have, to a system topic, to a queue that is not there',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic, 2);
        const answers = [
          await bench.send('no/name'),
          await bench.send('SCHEDULE_TOPIC_XXXX'),
          await bench.send('RMQ_SYS_TRANS_HALF_TOPIC'),
          await bench.send(topic, { queueId: 2 }),
          await bench.send(topic, { queueId: -1 }),
        ];
        return answers.map(said).join(', ');
      },
    },
    {
      behaviour: 'a topic that is made by its first send: queues and permission',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.put(topic);
        const config = JSON.parse((await bench.ask(351, { topic })).body.toString());
        return `read ${config.readQueueNums}, write ${config.writeQueueNums}, perm ${config.perm}`;
      },
    },
    ...[true, false].map((assign) => ({
      behaviour: assign
        ? 'lite pull consumer: assign, seek to 2, poll'
        : 'lite pull consumer: subscribe to a tag, poll, commit',
      client: 'Java' as const,
      async run(bench: Bench, { topic, group }: Names) {
        await bench.routed(topic);
        await bench.java('wide.send', { topic, count: 6, tags: 'TagA,TagB' });
        const values: Values = assign ? { assign, seek: 2, count: 4 } : { expression: 'TagB', count: 3 };
        const { indexes } = await bench.java<{ indexes: number[] }>('wide.lite', { topic, group, ...values });
        return `messages ${indexes.join(' ')}`;
      },
    })),
    {
      behaviour: 'a producer with traces: a trace of each send in RMQ_SYS_TRACE_TOPIC',
      client: 'Java',
      async run(bench, { topic, other }) {
        await bench.routed(topic);
        await bench.java('wide.send', { topic, group: other('traced'), count: 2, trace: true });
        const traces = await bench.until('its traces', async () => {
          const records = await bench.records('RMQ_SYS_TRACE_TOPIC');
          const mine = records
            .flatMap(({ body }) => body.toString().split('\u0002'))
            .filter((line) => line.includes(topic));
          return mine.length >= 2 ? mine : undefined;
        });
        return `${traces.length} traces: ${[...new Set(traces.map((line) => line.split('\u0001')[0]))].join(' ')}`;
      },
    },
    {
      behaviour: 'a message is found by its offset id, its unique key and its key; not by a key it has not',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic);
        const { extFields } = await bench.put(topic, {
          properties: { KEYS: `${topic}k1 ${topic}k2`, UNIQ_KEY: `${topic}u` },
        });
        const [record] = await bench.recordsUntil(topic, 1);
        const view = await bench.ask(33, { offset: record!.commitLogOffset });
        const query = (key: string, more = {}) =>
          bench.ask(12, { topic, key, maxNum: 8, beginTimestamp: 0, endTimestamp: Date.now() + 60_000, ...more });
        await bench.until('the index', async () => ((await query(`${topic}k1`)).code === 0 ? true : undefined));
        const answers = [
          view,
          await query(`${topic}k2`),
          await query(`${topic}u`, { _UNIQUE_KEY_QUERY: true }),
          await query(`${topic}none`),
        ];
        return `${extFields.msgId!.length} digits; ${answers.map(said).join(', ')}`;
      },
    },
  ],
};
