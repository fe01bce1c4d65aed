/** Topics with batch queues (`queue.type=BatchCQ`): a batch is one record, its messages have numbers of their own. */
import type { Answer } from '../peers/remoting-ask.ts';
import { batchBody, sendBatch } from './batch.ts';
import { type Bench, pause, said, shape, type Values } from './bench.ts';
import { type Chapter, restartCase } from './case.ts';

const batched = (bench: Bench, topic: string): Promise<string> =>
  bench.topic(topic, 1, { attributes: '+queue.type=BatchCQ' });

const textsOf = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`);

/** A batch with a key, which the broker stores as one record. */
const batch = (bench: Bench, topic: string, key: string, count: number, properties = {}, more: Values = {}) =>
  sendBatch(
    bench,
    topic,
    batchBody(textsOf(key, count).map((body) => ({ body, properties: { KEYS: `${topic}_${body}` } }))),
    { UNIQ_KEY: `${topic}_${key}`, ...properties },
    more,
  );

const offsetOf = ({ code, extFields }: Answer): string =>
  code === 0 ? `offset ${extFields.queueOffset}` : `code ${code}`;

const endsAt = (bench: Bench, topic: string, end: number): Promise<true> =>
  bench.until(`${end} messages in ${topic}`, async () => ((await bench.maxOffset(topic)) === end ? true : undefined));

/** A batch of three, a single message, a batch of two. */
async function filled(bench: Bench, topic: string): Promise<string> {
  await batched(bench, topic);
  const answers = [
    await batch(bench, topic, 'a', 3),
    await bench.send(topic, { body: 'single', properties: { UNIQ_KEY: `${topic}_single` } }),
    await batch(bench, topic, 'b', 2),
  ];
  await endsAt(bench, topic, 6);
  return answers.map(offsetOf).join(', ');
}

async function pulled(bench: Bench, topic: string, offset: number, values: Values = {}): Promise<string> {
  const answer = await bench.pull(topic, offset, values);
  const records = answer.code === 0 ? bench.decode(answer.body) : [];
  const numbers = records.map(({ queueOffset, properties }) => `${queueOffset}×${properties.INNER_NUM ?? 1}`).join(' ');
  return `${numbers || said(answer)} next ${answer.extFields.nextBeginOffset}`;
}

export const batchQueues: Chapter = {
  title: 'Batch queues (BatchCQ)',
  cases: [
    {
      behaviour: 'a batch of three, a message, a batch of two: their first offsets, and the end of the queue',
      client: 'wire',
      async run(bench, { topic }) {
        const offsets = await filled(bench, topic);
        return `${offsets}; end ${await bench.maxOffset(topic)}`;
      },
    },
    {
      behaviour: 'what the answer to a batch has, and its record: flags and properties',
      client: 'wire',
      async run(bench, { topic }) {
        await batched(bench, topic);
        const { code, extFields } = await batch(bench, topic, 'a', 3);
        await endsAt(bench, topic, 3);
        const [record] = await bench.records(topic);
        const ids = extFields.msgId!.split(',').length;
        const unique = [extFields.batchUniqId, extFields.transactionId].map((id) =>
          id === `${topic}_a` ? 'its key' : id,
        );
        return `code ${code}, ${ids} id, ${unique.join(' and ')}; sysFlag 0x${record!.sysFlag.toString(16)}; ${shape(record!.properties)}`;
      },
    },
    {
      behaviour: 'a single message in it: flags and properties',
      client: 'wire',
      async run(bench, { topic }) {
        await batched(bench, topic);
        await bench.put(topic);
        await endsAt(bench, topic, 1);
        const [record] = await bench.records(topic);
        return `sysFlag 0x${record!.sysFlag.toString(16)}; ${shape(record!.properties)}`;
      },
    },
    {
      behaviour: 'pulls from 0, from the middle of each batch, of one message, at the end and beyond it',
      client: 'wire',
      async run(bench, { topic }) {
        await filled(bench, topic);
        const results: string[] = [];
        for (const offset of [0, 1, 5, 6, 9]) results.push(await pulled(bench, topic, offset));
        results.push(await pulled(bench, topic, 0, { maxMsgNums: 1 }));
        return results.join('; ');
      },
    },
    {
      behaviour: 'smallest and largest offset',
      client: 'wire',
      async run(bench, { topic }) {
        await filled(bench, topic);
        const place = { topic, queueId: 0 };
        const [min, max] = [await bench.ask(31, place), await bench.ask(30, place)];
        return `${min.extFields.offset} ${max.extFields.offset}`;
      },
    },
    {
      behaviour: 'smallest offset of one that nothing was sent to',
      client: 'wire',
      differs: 'The min offset of a queue without messages',
      async run(bench, { topic }) {
        await batched(bench, topic);
        return (await bench.ask(31, { topic, queueId: 0 })).extFields.offset!;
      },
    },
    {
      behaviour: 'offsets by time: before all, of the second record, behind all',
      client: 'wire',
      async run(bench, { topic }) {
        await filled(bench, topic);
        const records = await bench.records(topic);
        const last = records.at(-1)!.storeTimestamp;
        const search = async (timestamp: number): Promise<string> => {
          const { code, extFields } = await bench.ask(29, { topic, queueId: 0, timestamp });
          return code === 0 ? extFields.offset! : `code ${code}`;
        };
        // Records of one millisecond have one place.
        const first = records.find(({ storeTimestamp }) => storeTimestamp === last)!;
        const found = await search(last);
        return `${await search(0)}, ${Number(found) === first.queueOffset ? 'its own' : found}, ${await search(last + 60_000)}`;
      },
    },
    {
      behaviour: 'the upper offset of a time behind all',
      client: 'wire',
      async run(bench, { topic }) {
        await filled(bench, topic);
        const values = { topic, queueId: 0, timestamp: Date.now() + 60_000, boundaryType: 'UPPER' };
        return (await bench.ask(29, values)).extFields.offset!;
      },
    },
    {
      behaviour: 'the upper offset of a time between two records',
      client: 'wire',
      differs: '`UPPER` of a search by time',
      async run(bench, { topic }) {
        await batched(bench, topic);
        for (const key of ['a', 'b']) {
          await batch(bench, topic, key, 2);
          await pause(200);
        }
        await endsAt(bench, topic, 4);
        const [first] = await bench.records(topic);
        const values = { topic, queueId: 0, timestamp: first!.storeTimestamp + 50, boundaryType: 'UPPER' };
        return (await bench.ask(29, values)).extFields.offset!;
      },
    },
    {
      behaviour: 'Java’s batches and single messages: a push consumer gets each once, with the numbers of the queue',
      client: 'Java',
      async run(bench, { topic, group }) {
        await bench.routed(topic, 1, { attributes: '+queue.type=BatchCQ' });
        const sent = await bench.java<string[]>('wide.send', { topic, count: 6, batch: true });
        await bench.java('wide.send', { topic, count: 2, from: 6 });
        const name = bench.unique('batches');
        await bench.java('wide.consume', { name, topic, group });
        const deliveries = await bench.until('all of them', async () => {
          const now = await bench.java<{ index: string; queueOffset: number }[]>('wide.deliveries', { name });
          return now.length >= 8 ? now : undefined;
        });
        await bench.java('wide.stop', { name });
        const pairs = deliveries.map(({ index, queueOffset }) => `${index}@${queueOffset}`).sort();
        return `${sent.join()}; ${pairs.join(' ')}`;
      },
    },
    {
      behaviour: 'a batch without a unique key: single messages',
      client: 'wire',
      async run(bench, { topic }) {
        await batched(bench, topic);
        const answer = await sendBatch(
          bench,
          topic,
          batchBody(textsOf('a', 3).map((body) => ({ body, properties: {} }))),
        );
        await endsAt(bench, topic, 3);
        const records = await bench.records(topic);
        return `${said(answer)}, ${answer.extFields.msgId!.split(',').length} ids; ${records.length} records`;
      },
    },
    {
      behaviour: 'what a producer says of the batch’s numbers (INNER_NUM, INNER_BASE)',
      client: 'wire',
      async run(bench, { topic }) {
        await batched(bench, topic);
        const first = await batch(bench, topic, 'a', 2, { INNER_NUM: '9', INNER_BASE: '7' });
        await endsAt(bench, topic, 2);
        const second = await batch(bench, topic, 'b', 1);
        await endsAt(bench, topic, 3);
        return `${offsetOf(first)}, ${offsetOf(second)}; ${await pulled(bench, topic, 0)}`;
      },
    },
    {
      behaviour: 'a batch with a delay, a single message with a delay',
      client: 'wire',
      async run(bench, { topic }) {
        await batched(bench, topic);
        const refused = await batch(bench, topic, 'a', 2, { DELAY: '1' });
        const delayed = await bench.send(topic, { properties: { DELAY: '1' } });
        if (delayed.code === 0) await endsAt(bench, topic, 1);
        return `${said(refused)}, ${said(delayed)}; end ${await bench.maxOffset(topic)}`;
      },
    },
    {
      behaviour: 'a compressed batch',
      client: 'wire',
      differs: 'A compressed batch',
      async run(bench, { topic }) {
        // Its own topic: RocketMQ counts what is none of its messages.
        await batched(bench, topic);
        return said(await batch(bench, topic, 'a', 1, {}, { f: 1 }));
      },
    },
    {
      behaviour: 'a tag in a pull: of single messages; a batch has none',
      client: 'wire',
      async run(bench, { topic }) {
        await batched(bench, topic);
        await batch(bench, topic, 'a', 2);
        for (const TAGS of ['TagA', 'TagB']) await bench.put(topic, { properties: { TAGS } });
        await endsAt(bench, topic, 4);
        const offsets = (await bench.records(topic, { subscription: 'TagB' })).map(({ queueOffset }) => queueOffset);
        return `offsets ${offsets.join(' ')}`;
      },
    },
    {
      behaviour: 'a batch is found by its unique key, and not by the keys of its messages',
      client: 'wire',
      async run(bench, { topic }) {
        await batched(bench, topic);
        await batch(bench, topic, 'a', 2);
        const query = (key: string, more = {}) =>
          bench.ask(12, { topic, key, maxNum: 8, beginTimestamp: 0, endTimestamp: Date.now() + 60_000, ...more });
        const unique = () => query(`${topic}_a`, { _UNIQUE_KEY_QUERY: true });
        await bench.until('the index', async () => ((await unique()).code === 0 ? true : undefined));
        return [await unique(), await query(`${topic}_a0`)].map(said).join(', ');
      },
    },
    {
      behaviour: 'a batch is sent back: refused, its client sends the message itself',
      client: 'wire',
      async run(bench, { topic, group }) {
        await batched(bench, topic);
        await bench.group(group);
        await batch(bench, topic, 'a', 2);
        await endsAt(bench, topic, 2);
        const [record] = await bench.records(topic);
        return said(await bench.sendBack(group, record!));
      },
    },
    {
      behaviour:
        'a group’s offset in the middle of a batch, the end as its statistics have it, a reset to the first message',
      client: 'wire',
      async run(bench, { topic, group }) {
        await filled(bench, topic);
        await bench.group(group);
        await bench.commit(group, topic, 4);
        const stats = (await bench.ask(208, { consumerGroup: group, topic })).body.toString();
        const [, brokerOffset, consumerOffset] = /"brokerOffset":(\d+),"consumerOffset":(\d+)/.exec(stats) ?? [];
        const reset = await bench.ask(222, { group, topic, timestamp: 0, offset: 0, isForce: true, queueId: 0 });
        return `${consumerOffset} of ${brokerOffset}; reset ${said(reset)}`;
      },
    },
    {
      behaviour: 'a pop, and an ack of the second message of the first batch',
      client: 'wire',
      differs: 'A pop of a topic with batch queues',
      async run(bench, { topic, group }) {
        await filled(bench, topic);
        const popped = await bench.pop(topic, group, { invisibleTime: 60_000 });
        const [first] = popped.messages;
        if (first === undefined) return said(popped);
        const acked = await bench.ack(group, first, popped.handles[0]!, { offset: 1 });
        return `${popped.messages.length} records; ack ${said(acked)}`;
      },
    },
    {
      behaviour: 'the kind of a topic’s queues is not changed: to SimpleCQ, to BatchCQ',
      client: 'wire',
      async run(bench, { topic, other }) {
        await batched(bench, topic);
        const plain = await bench.topic(other('plain'));
        const change = (name: string, attributes: string) =>
          bench.ask(17, {
            ...{ topic: name, defaultTopic: 'TBW102', readQueueNums: 1, writeQueueNums: 1, perm: 6 },
            ...{ topicFilterType: 'SINGLE_TAG', topicSysFlag: 0, order: false, attributes },
          });
        const answers = [await change(topic, '+queue.type=SimpleCQ'), await change(plain, '+queue.type=BatchCQ')];
        return answers.map(said).join(', ');
      },
    },
    restartCase({
      behaviour: 'SIGKILL: batches are read as before, and numbers go on',
      client: 'wire',
      async before(bench, { topic }) {
        await filled(bench, topic);
      },
      async after(bench, { topic }) {
        const before = await pulled(bench, topic, 1);
        const answer = await batch(bench, topic, 'c', 2);
        await endsAt(bench, topic, 8);
        return `${before}; ${offsetOf(answer)}, end ${await bench.maxOffset(topic)}`;
      },
    }),
  ],
};
