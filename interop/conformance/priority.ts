/** Messages with a priority: the queue of each, and the order in which they are popped. */
import type { Answer } from '../peers/remoting-ask.ts';
import { batchBody, sendBatch } from './batch.ts';
import { type Bench, said } from './bench.ts';
import type { Chapter } from './case.ts';

const QUEUES = 4;
const PRIORITY = '_SYS_MSG_PRIORITY_';

const ranked = (bench: Bench, topic: string): Promise<string> =>
  bench.topic(topic, QUEUES, { attributes: '+message.type=PRIORITY' });

/** The queue that an answer names. */
const queueIn = ({ code, extFields }: Answer): string => (code === 0 ? extFields.queueId! : `code ${code}`);

/** Sends to queue 1, so that another one is the broker's choice. */
const send = (bench: Bench, topic: string, priority: string, more: Record<string, string> = {}): Promise<Answer> =>
  bench.send(topic, { queueId: 1, body: priority, properties: { UNIQ_KEY: priority, [PRIORITY]: priority, ...more } });

async function total(bench: Bench, topic: string): Promise<number> {
  const ends = await Promise.all(Array.from({ length: QUEUES }, (_, queue) => bench.maxOffset(topic, queue)));
  return ends.reduce((sum, end) => sum + end, 0);
}

export const priority: Chapter = {
  title: 'Priority messages',
  cases: [
    {
      behaviour: 'priorities 0, 3, 1, +2, 9, −1, no number and one beyond an int, sent to queue 1 of 4: their queues',
      client: 'wire',
      async run(bench, { topic }) {
        await ranked(bench, topic);
        const queues: string[] = [];
        for (const each of ['0', '3', '1', '+2', '9', '-1', 'x', '2147483648']) {
          queues.push(queueIn(await send(bench, topic, each)));
        }
        return `queues ${queues.join(' ')}`;
      },
    },
    {
      behaviour: 'a priority in a topic that says nothing of priorities, and in one that is made by the send',
      client: 'wire',
      async run(bench, { topic, other }) {
        await bench.topic(topic, QUEUES);
        return `queues ${queueIn(await send(bench, topic, '2'))} ${queueIn(await send(bench, other('new'), '2'))}`;
      },
    },
    {
      behaviour: 'a priority beside a sharding key, and beside a delay: the queue, and whether the property stays',
      client: 'wire',
      async run(bench, { topic, other }) {
        const results: string[] = [];
        for (const [name, more] of [
          [topic, { __SHARDINGKEY: 'k' }],
          [other('delayed'), { DELAY: '1' }],
        ] as const) {
          await ranked(bench, name);
          const answer = await send(bench, name, '3', more);
          const queueId = 1;
          const record = await bench.until('the message', async () => (await bench.records(name, { queueId }))[0]);
          results.push(`queue ${queueIn(answer)}, ${PRIORITY in record.properties ? 'stays' : 'is gone'}`);
        }
        return results.join('; ');
      },
    },
    {
      behaviour: 'a batch whose messages have priorities goes to the queue that its producer chose',
      client: 'wire',
      async run(bench, { topic }) {
        await ranked(bench, topic);
        const body = batchBody(['0', '3'].map((text) => ({ body: text, properties: { [PRIORITY]: text } })));
        const answer = await sendBatch(bench, topic, body, {}, { e: 1 });
        const there = await bench.until('both messages', async () => {
          const records = await bench.records(topic, { queueId: 1 });
          return records.length === 2 ? records.length : undefined;
        });
        return `${said(answer)}, queue ${queueIn(answer)}; ${there} there`;
      },
    },
    {
      behaviour: 'a topic with four queues to write and two to read: the queue of priority 3',
      client: 'wire',
      differs: 'A message with `_SYS_MSG_PRIORITY_` goes',
      async run(bench, { topic }) {
        await ranked(bench, topic);
        await bench.topic(topic, QUEUES, { readQueueNums: 2 });
        return `queue ${queueIn(await send(bench, topic, '3'))}`;
      },
    },
    {
      behaviour: 'popped one by one: the highest first, in one queue in order',
      client: 'wire',
      async run(bench, { topic, group }) {
        await ranked(bench, topic);
        await bench.group(group);
        const sent = ['0', '3', '1', '2', '9'];
        for (const each of sent)
          await bench.put(topic, { body: each, properties: { UNIQ_KEY: each, [PRIORITY]: each } });
        await bench.until('all in their queues', async () =>
          (await total(bench, topic)) === sent.length ? true : undefined,
        );
        const popped: string[] = [];
        for (let pops = 0; pops < 30 && popped.length < sent.length; pops += 1) {
          const { messages } = await bench.pop(topic, group, { maxMsgNums: 1, invisibleTime: 120_000 });
          popped.push(...messages.map(({ body }) => body.toString()));
        }
        return `priorities ${popped.join(' ')}`;
      },
    },
    {
      behaviour: 'popped by a group with priority.factor=0: all of them, in any order',
      client: 'wire',
      async run(bench, { topic, group }) {
        await ranked(bench, topic);
        await bench.group(group, { attributes: { '+priority.factor': '0' } });
        for (const each of ['0', '1', '2', '3']) await send(bench, topic, each);
        await bench.until('all in their queues', async () => ((await total(bench, topic)) === 4 ? true : undefined));
        const popped = new Set<string>();
        await bench.until('all of them', async () => {
          const { messages } = await bench.pop(topic, group, { maxMsgNums: 1, invisibleTime: 120_000 });
          for (const { body } of messages) popped.add(body.toString());
          return popped.size === 4 ? true : undefined;
        });
        return `priorities ${[...popped].sort().join(' ')}`;
      },
    },
    {
      behaviour: 'a group’s priority.factor: 100, 101, −1, no number',
      client: 'wire',
      async run(bench, { other }) {
        const answers: string[] = [];
        for (const [index, factor] of ['100', '101', '-1', 'x'].entries()) {
          const config = { groupName: other(`g${index}`), attributes: { '+priority.factor': factor } };
          answers.push(said(await bench.ask(200, {}, JSON.stringify(config))));
        }
        return answers.join(', ');
      },
    },
  ],
};
