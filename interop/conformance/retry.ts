/** Retries and dead letters. */
import { type Bench, said, shape } from './bench.ts';
import type { Chapter, Names } from './case.ts';

/** One message in a topic of its own, and its record. */
async function one(bench: Bench, { topic }: Names, properties: Record<string, string> = {}) {
  await bench.topic(topic);
  await bench.put(topic, { body: 'order', properties: { UNIQ_KEY: '7F000001AAAA', TAGS: 'TagA', ...properties } });
  const [record] = await bench.recordsUntil(topic, 1);
  return record!;
}

interface Delivery {
  index: string;
  topic: string;
  reconsumeTimes: number;
  storeTimestamp: number;
  properties: Record<string, string>;
}

/** Fails each message of a topic until it is a dead letter; the tries and the letter. */
async function untilDead(bench: Bench, names: Names, values: Record<string, number | boolean>): Promise<string> {
  const { topic, group } = names;
  await bench.routed(topic);
  const name = bench.unique('failing');
  await bench.java('wide.consume', { name, group, topic, failTimes: 99, ...values });
  await bench.java('wide.send', { topic, count: 1 });
  const [letter] = await bench.recordsUntil(`%DLQ%${group}`, 1);
  const tries = await bench.java<Delivery[]>('wide.deliveries', { name });
  await bench.java('wide.stop', { name });
  const { RETRY_TOPIC, DELAY } = letter!.properties;
  const times = tries.map(({ reconsumeTimes }) => reconsumeTimes).join(',');
  return `tries ${times}; letter of ${RETRY_TOPIC}, DELAY ${DELAY}, reconsumeTimes ${letter!.reconsumeTimes}`;
}

export const retry: Chapter = {
  title: 'Retry and dead letters',
  cases: [
    {
      behaviour: 'a listener that always fails: the tries, and the dead letter after maxReconsumeTimes=2',
      client: 'Java',
      run: (bench, names) => untilDead(bench, names, { maxReconsume: 2 }),
    },
    {
      behaviour: 'an orderly listener that always fails, with maxReconsumeTimes=2',
      client: 'Java',
      run: (bench, names) => untilDead(bench, names, { maxReconsume: 2, orderly: true }),
    },
    {
      behaviour: 'a message that a listener fails once comes again, and not a third time',
      client: 'Go',
      run: (bench, names) => failOnce(bench, names, 'Go'),
    },
    {
      behaviour: 'a message that a listener fails once comes again, and not a third time',
      client: 'Node',
      run: (bench, names) => failOnce(bench, names, 'Node'),
    },
    {
      behaviour: 'a message sent back with delayLevel 0: what its copy in the retry topic has',
      client: 'wire',
      differs: 'The copy of a message that was sent back',
      async run(bench, names) {
        const record = await one(bench, names);
        await bench.group(names.group);
        const answer = await bench.sendBack(names.group, record);
        const [copy] = await bench.recordsUntil(`%RETRY%${names.group}`, 1);
        return `${said(answer)}; reconsumeTimes ${copy!.reconsumeTimes}; ${shape(copy!.properties)}`;
      },
    },
    {
      behaviour: 'a retry sent back again: topic and id stay those of the original, the level is 3 + n',
      client: 'wire',
      edge: 'B.15',
      async run(bench, names) {
        const record = await one(bench, names);
        await bench.group(names.group);
        await bench.sendBack(names.group, record);
        const [first] = await bench.recordsUntil(`%RETRY%${names.group}`, 1);
        await bench.sendBack(names.group, first!);
        const [, second] = await bench.recordsUntil(`%RETRY%${names.group}`, 2);
        const same = first!.properties.ORIGIN_MESSAGE_ID === second!.properties.ORIGIN_MESSAGE_ID;
        const { RETRY_TOPIC, DELAY } = second!.properties;
        return `${RETRY_TOPIC}, ${same ? 'same' : 'another'} id, DELAY ${DELAY}, reconsumeTimes ${second!.reconsumeTimes}`;
      },
    },
    {
      behaviour: 'a message sent back with delayLevel −1 is a dead letter at once: what it has',
      client: 'wire',
      differs: 'A dead letter has',
      async run(bench, names) {
        const record = await one(bench, names);
        await bench.group(names.group);
        await bench.sendBack(names.group, record, { delayLevel: -1 });
        const [letter] = await bench.recordsUntil(`%DLQ%${names.group}`, 1);
        return `reconsumeTimes ${letter!.reconsumeTimes}; ${shape(letter!.properties)}`;
      },
    },
    {
      behaviour: 'the topic of dead letters: queues and permission',
      client: 'wire',
      async run(bench, names) {
        const record = await one(bench, names);
        await bench.group(names.group);
        await bench.sendBack(names.group, record, { delayLevel: -1 });
        await bench.recordsUntil(`%DLQ%${names.group}`, 1);
        const answer = await bench.ask(351, { topic: `%DLQ%${names.group}` });
        const { readQueueNums, writeQueueNums, perm } = JSON.parse(answer.body.toString());
        return `read ${readQueueNums}, write ${writeQueueNums}, perm ${perm}`;
      },
    },
    {
      behaviour: 'a group with retryMaxTimes=1: the second failure makes a dead letter',
      client: 'wire',
      async run(bench, names) {
        const record = await one(bench, names);
        await bench.group(names.group, { retryMaxTimes: 1 });
        await bench.sendBack(names.group, record);
        const [first] = await bench.recordsUntil(`%RETRY%${names.group}`, 1);
        await bench.sendBack(names.group, first!);
        const [letter] = await bench.recordsUntil(`%DLQ%${names.group}`, 1);
        const retries = await bench.records(`%RETRY%${names.group}`);
        return `${retries.length} retry, dead letter of ${letter!.properties.RETRY_TOPIC}`;
      },
    },
    {
      behaviour: 'a group with retryMaxTimes=−1',
      client: 'wire',
      differs: "A group's `retryMaxTimes=-1`",
      async run(bench, names) {
        const record = await one(bench, names);
        await bench.group(names.group, { retryMaxTimes: -1 });
        await bench.sendBack(names.group, record);
        return bench.until('a retry or a dead letter', async () => {
          if ((await bench.records(`%RETRY%${names.group}`)).length > 0) return 'a retry';
          return (await bench.records(`%DLQ%${names.group}`)).length > 0 ? 'a dead letter' : undefined;
        });
      },
    },
    {
      behaviour: 'a request’s maxReconsumeTimes goes before the group’s',
      client: 'wire',
      async run(bench, names) {
        const record = await one(bench, names);
        await bench.group(names.group);
        await bench.sendBack(names.group, record, { maxReconsumeTimes: 0 });
        const letters = await bench.recordsUntil(`%DLQ%${names.group}`, 1);
        return `${letters.length} dead letter, ${(await bench.records(`%RETRY%${names.group}`)).length} retries`;
      },
    },
    {
      behaviour: 'sent back twice, by a handler that took longer than its time: two copies',
      client: 'wire',
      async run(bench, names) {
        const record = await one(bench, names);
        await bench.group(names.group);
        for (let time = 0; time < 2; time += 1) await bench.sendBack(names.group, record, { delayLevel: 1 });
        const copies = await bench.recordsUntil(`%RETRY%${names.group}`, 2);
        return `${copies.length} copies, ${new Set(copies.map(({ properties }) => properties.UNIQ_KEY)).size} UNIQ_KEY`;
      },
    },
    {
      behaviour: 'sent back to a group that there is not, to one without retry queues, and an offset without a message',
      client: 'wire',
      async run(bench, names) {
        const record = await one(bench, names);
        await bench.group(names.group, { retryQueueNums: 0 });
        await bench.group(names.other('g2'));
        const nobody = await bench.sendBack(names.other('nobody'), record);
        const none = await bench.sendBack(names.group, record);
        const nothing = await bench.sendBack(names.other('g2'), record, { offset: 1_000_000_000 });
        return [nobody, none, nothing].map(said).join(', ');
      },
    },
    {
      behaviour: 'what a client sends to its retry topic beyond maxReconsumeTimes goes to the dead letters',
      client: 'wire',
      differs: 'A dead letter has',
      async run(bench, names) {
        await bench.group(names.group);
        const properties = { RETRY_TOPIC: names.topic, RECONSUME_TIME: '4', MAX_RECONSUME_TIMES: '3' };
        const retryTopic = `%RETRY%${names.group}`;
        await bench.topic(retryTopic);
        const answer = await bench.send(retryTopic, { properties, reconsumeTimes: 4, maxReconsumeTimes: 3 });
        const [letter] = await bench.recordsUntil(`%DLQ%${names.group}`, 1);
        return `${said(answer)}; ${shape(letter!.properties)}; ${(await bench.records(retryTopic)).length} retries`;
      },
    },
    {
      behaviour: 'the same at its maximum is a retry',
      client: 'wire',
      async run(bench, names) {
        await bench.group(names.group);
        const retryTopic = `%RETRY%${names.group}`;
        await bench.topic(retryTopic);
        await bench.send(retryTopic, { properties: { DELAY: '1' }, reconsumeTimes: 3, maxReconsumeTimes: 3 });
        const copies = await bench.recordsUntil(retryTopic, 1);
        return `${copies.length} retry, ${(await bench.records(`%DLQ%${names.group}`)).length} dead letters`;
      },
    },
  ],
};

interface Received {
  distinct: number;
  total: number;
  faulty: number;
}

async function failOnce(bench: Bench, { topic, group }: Names, kind: 'Go' | 'Node'): Promise<string> {
  await bench.routed(topic);
  const client = bench.client(kind);
  const { namesrv } = bench;
  const [consumer, producer] = [bench.unique('consumer'), bench.unique('producer')];
  await client.call('consumer.start', { name: consumer, group, namesrv, topic, run: 'once', failOnce: 3 });
  await client.call('producer.start', { name: producer, group: `${group}_p`, namesrv });
  await client.call('producer.send', { name: producer, topic, mode: 'sync', run: 'once', count: 8 });
  await client.call('producer.stop', { name: producer });
  const { distinct, total, faulty } = await bench.until('the failed message again', async () => {
    const now = await client.call<Received>('consumer.await', { name: consumer, distinct: 8 });
    return now.total > 8 ? now : undefined;
  });
  await client.call('consumer.stop', { name: consumer });
  return `${distinct} messages in ${total} deliveries, ${faulty} faulty`;
}
