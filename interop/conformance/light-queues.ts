/** Light queues (LMQ): one record in several queues. */
import { batchBody, sendBatch } from './batch.ts';
import { type Bench, said, shape } from './bench.ts';
import { type Chapter, restartCase } from './case.ts';

const DISPATCH = 'INNER_MULTI_DISPATCH';
const NUMBERS = 'INNER_MULTI_QUEUE_OFFSET';

const lightOf = (topic: string, name: string): string => `%LMQ%${topic}_${name}`;

/** Sends what goes into these light queues too, one after the other. */
async function put(bench: Bench, topic: string, key: string, ...queues: string[]): Promise<void> {
  await bench.put(topic, { body: key, properties: { UNIQ_KEY: key, [DISPATCH]: queues.join(',') } });
}

const bodies = (records: readonly { body: Buffer }[]): string =>
  records.map(({ body }) => body.toString()).join(' ') || 'none';

export const lightQueues: Chapter = {
  title: 'Light queues (LMQ)',
  cases: [
    {
      behaviour: 'a message for two light queues: what its record has, and what each of the three queues gives',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic);
        const [a, b] = [lightOf(topic, 'a'), lightOf(topic, 'b')];
        await put(bench, topic, 'm', a, b);
        const [record] = await bench.recordsUntil(a, 1);
        const same = [...(await bench.recordsUntil(b, 1)), ...(await bench.recordsUntil(topic, 1))].every(
          ({ commitLogOffset }) => commitLogOffset === record!.commitLogOffset,
        );
        return `${shape(record!.properties)}; ${same ? 'one record' : 'several records'} of ${record!.topic}`;
      },
    },
    {
      behaviour: 'messages for a, for a and b, for b: their numbers in the light queues',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic);
        const [a, b] = [lightOf(topic, 'a'), lightOf(topic, 'b')];
        await put(bench, topic, 'm0', a);
        await put(bench, topic, 'm1', a, b);
        await put(bench, topic, 'm2', b);
        const records = await bench.recordsUntil(topic, 3);
        const [ofA, ofB] = [await bench.recordsUntil(a, 2), await bench.recordsUntil(b, 2)];
        return `${records.map(({ properties }) => properties[NUMBERS]).join(' | ')}; ${bodies(ofA)}; ${bodies(ofB)}`;
      },
    },
    {
      behaviour: 'a light queue of messages of two topics: all of them, in the order in which they were stored',
      client: 'wire',
      async run(bench, { topic, other }) {
        const second = await bench.topic(other('second'));
        await bench.topic(topic);
        const a = lightOf(topic, 'a');
        for (let index = 0; index < 6; index += 1) await put(bench, index % 2 === 0 ? topic : second, `m${index}`, a);
        return bodies(await bench.recordsUntil(a, 6));
      },
    },
    {
      behaviour: 'smallest and largest offset of a light queue and of one that nothing was sent to; an offset by time',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic);
        const a = lightOf(topic, 'a');
        for (const key of ['m0', 'm1']) await put(bench, topic, key, a);
        await bench.recordsUntil(a, 2);
        const said: string[] = [];
        for (const name of [a, lightOf(topic, 'none')]) {
          const place = { topic: name, queueId: 0 };
          const answers = [
            await bench.ask(31, place),
            await bench.ask(30, place),
            await bench.ask(29, { ...place, timestamp: 0 }),
          ];
          said.push(answers.map(({ code, extFields }) => (code === 0 ? extFields.offset : `code ${code}`)).join(' '));
        }
        return said.join('; ');
      },
    },
    {
      behaviour: 'pulls of a light queue at its end, beyond it, of another number than 0, of one that is not there',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic);
        const a = lightOf(topic, 'a');
        await put(bench, topic, 'm', a);
        await bench.recordsUntil(a, 1);
        const answers = [
          await bench.pull(a, 1),
          await bench.pull(a, 5),
          await bench.pull(a, 0, { queueId: 3 }),
          await bench.pull(lightOf(topic, 'none'), 0),
        ];
        return answers
          .map(({ code, extFields }) => `code ${code} next ${extFields.nextBeginOffset ?? 'none'}`)
          .join(', ');
      },
    },
    {
      behaviour: 'a pull of a light queue that waits ends when a message comes',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic);
        const a = lightOf(topic, 'a');
        await put(bench, topic, 'm0', a);
        await bench.recordsUntil(a, 1);
        const began = Date.now();
        const waiting = bench.apart((own) => own.pull(a, 1, { sysFlag: 6, suspendTimeoutMillis: 30_000 }));
        await put(bench, topic, 'm1', a);
        const answer = await waiting;
        // RocketMQ looks again each five seconds by itself.
        const late = Date.now() - began > 29_000 ? ', at the end of its time' : '';
        return `${said(answer)}: ${bodies(answer.code === 0 ? bench.decode(answer.body) : [])}${late}`;
      },
    },
    {
      behaviour: 'a tag in a pull of a light queue',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic);
        const a = lightOf(topic, 'a');
        for (const TAGS of ['TagA', 'TagB', 'TagA']) {
          await bench.put(topic, { body: TAGS, properties: { TAGS, [DISPATCH]: a } });
        }
        await bench.recordsUntil(a, 3);
        return bodies(await bench.records(a, { subscription: 'TagA' }));
      },
    },
    {
      behaviour: 'offsets of a group named %LMQ%… and of another group in a light queue; offsets of none',
      client: 'wire',
      async run(bench, { topic, group }) {
        await bench.topic(topic);
        await bench.group(group);
        const [a, light] = [lightOf(topic, 'a'), `%LMQ%${group}`];
        await put(bench, topic, 'm', a);
        await bench.recordsUntil(a, 1);
        for (const each of [light, group]) await bench.commit(each, a, 1);
        return `${await bench.committed(light, a)}, ${await bench.committed(group, a)}, ${await bench.committed(`${light}2`, a)}`;
      },
    },
    {
      behaviour: 'a light queue is popped and acknowledged: its messages have its numbers',
      client: 'wire',
      async run(bench, { topic, group }) {
        await bench.topic(topic);
        await bench.group(group);
        const a = lightOf(topic, 'a');
        for (const key of ['m0', 'm1']) await put(bench, topic, key, a);
        await bench.recordsUntil(a, 2);
        const popped = await bench.pop(a, group, { queueId: 0, invisibleTime: 60_000 });
        const again = await bench.pop(a, group, { queueId: 0 });
        return `${said(popped)}: ${bodies(popped.messages)}; then ${said(again)}`;
      },
    },
    {
      behaviour: 'a delayed message with a light queue: it is there once it is delivered',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic);
        const a = lightOf(topic, 'a');
        await bench.put(topic, { properties: { DELAY: '1', [DISPATCH]: a } });
        await bench.recordsUntil(topic, 1);
        return bodies(await bench.recordsUntil(a, 1));
      },
    },
    {
      behaviour: 'a batch whose properties name a light queue: in none',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic);
        const a = lightOf(topic, 'a');
        const body = batchBody(['x', 'y'].map((text) => ({ body: text, properties: {} })));
        const answer = await sendBatch(bench, topic, body, { [DISPATCH]: a });
        await bench.recordsUntil(topic, 2);
        await put(bench, topic, 'behind', a);
        return `${said(answer)}; ${bodies(await bench.recordsUntil(a, 1))}`;
      },
    },
    {
      behaviour: 'a light queue that stands twice in INNER_MULTI_DISPATCH',
      client: 'wire',
      differs: 'A name in `INNER_MULTI_DISPATCH`',
      async run(bench, { topic }) {
        await bench.topic(topic);
        const a = lightOf(topic, 'a');
        return said(await bench.send(topic, { properties: { [DISPATCH]: `${a},${a}` } }));
      },
    },
    {
      behaviour: 'INNER_MULTI_QUEUE_OFFSET of a producer: whether the record has it',
      client: 'wire',
      differs: '`INNER_MULTI_QUEUE_OFFSET` from a producer',
      async run(bench, { topic }) {
        await bench.topic(topic);
        await bench.put(topic, { properties: { [NUMBERS]: '7' } });
        const [record] = await bench.recordsUntil(topic, 1);
        return NUMBERS in record!.properties ? 'it has' : 'it has not';
      },
    },
    {
      behaviour: 'a topic that was deleted: its messages stay in their light queue',
      client: 'wire',
      async run(bench, { topic, other }) {
        await bench.topic(topic);
        const second = await bench.topic(other('second'));
        const a = lightOf(topic, 'a');
        await put(bench, topic, 'm0', a);
        await bench.recordsUntil(a, 1);
        const deleted = await bench.ask(215, { topic });
        await put(bench, second, 'm1', a);
        return `${said(deleted)}; ${bodies(await bench.recordsUntil(a, 2))}`;
      },
    },
    restartCase({
      behaviour: 'SIGKILL: light queues give what they gave, and their numbers go on',
      client: 'wire',
      async before(bench, { topic }) {
        await bench.topic(topic);
        const [a, b] = [lightOf(topic, 'a'), lightOf(topic, 'b')];
        for (const key of ['m0', 'm1', 'm2']) await put(bench, topic, key, a, b);
        await bench.recordsUntil(b, 3);
      },
      async after(bench, { topic }) {
        const [a, b] = [lightOf(topic, 'a'), lightOf(topic, 'b')];
        await put(bench, topic, 'm3', b);
        const records = await bench.recordsUntil(b, 4);
        return `${bodies(await bench.recordsUntil(a, 3))}; ${bodies(records)}, number ${records[3]!.properties[NUMBERS]}`;
      },
    }),
  ],
};
