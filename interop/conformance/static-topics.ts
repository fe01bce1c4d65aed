/** Static topics: clients know logical queues, each of which lies in a queue of the broker. */
import type { Answer } from '../peers/remoting-ask.ts';
import { type Bench, said, type Values } from './bench.ts';
import { type Chapter, type Names, restartCase } from './case.ts';
import { command, shown } from './mqadmin-command.ts';

const QUEUES = 3;

/** Where a logical queue lies: in a queue of the broker, whose number 0 is number `logicOffset` of the logical one. */
interface Place {
  queueId: number;
  logicOffset?: number;
}

/** Logical queues 5, 2 and 7 are queues 0, 1 and 2; number n of queue 2 is number n + 100 of logical queue 7. */
const places: Record<number, Place> = { 5: { queueId: 0 }, 2: { queueId: 1 }, 7: { queueId: 2, logicOffset: 100 } };

/** UPDATE_AND_CREATE_STATIC_TOPIC. */
function make(bench: Bench, topic: string, hosted = places, more: Record<string, unknown> = {}, fields: Values = {}) {
  const items = Object.entries(hosted).map(([id, place]) => {
    const item = { bname: 'broker-a', endOffset: -1, gen: 0, startOffset: 0, timeOfEnd: -1, timeOfStart: -1 };
    return [id, [{ ...item, logicOffset: 0, ...place }]];
  });
  const mapping = {
    ...{ bname: 'broker-a', currIdMap: {}, dirty: false, epoch: 1_000, scope: '__global__', topic, totalQueues: 8 },
    ...{ hostedQueues: Object.fromEntries(items), ...more },
  };
  return bench.ask(
    513,
    {
      ...{ topic, defaultTopic: 'TBW102', readQueueNums: QUEUES, writeQueueNums: QUEUES, perm: 6 },
      ...{ topicFilterType: 'SINGLE_TAG', topicSysFlag: 0, order: false, force: false, ...fields },
    },
    JSON.stringify(mapping),
  );
}

async function made(bench: Bench, topic: string): Promise<void> {
  const { code, remark } = await make(bench, topic);
  if (code !== 0) throw new Error(`static topic ${topic}: code ${code} ${remark ?? ''}`);
}

/** Java writes numbers as names of members without quotes. */
const javaJson = (text: string) => JSON.parse(text.replaceAll(/([{,])(\d+):/g, '$1"$2":'));

/** A number that an answer has, or its code. */
const number = ({ code, extFields }: Answer, name = 'offset'): string =>
  code === 0 ? extFields[name]! : `code ${code}`;

/** Two messages in each of the logical queues 5 and 7. */
async function filled(bench: Bench, topic: string): Promise<string> {
  await made(bench, topic);
  const places: string[] = [];
  for (const queueId of [5, 5, 7, 7]) {
    const answer = await bench.send(topic, { queueId });
    places.push(`${number(answer, 'queueId')}@${number(answer, 'queueOffset')}`);
  }
  for (const [queueId, end] of [
    [5, 2],
    [7, 102],
  ] as const) {
    await bench.until(`the messages of ${queueId}`, async () =>
      (await bench.maxOffset(topic, queueId)) === end ? true : undefined,
    );
  }
  return places.join(' ');
}

/** A topic that mqadmin made. */
async function byAdmin(bench: Bench, { topic }: Names) {
  const result = await command(bench, `updateStaticTopic -t ${topic} -qn ${QUEUES} -b broker-a`);
  await bench.until(`a route of ${topic}`, async () =>
    (await command(bench, `topicRoute -t ${topic}`)).err === '' ? true : undefined,
  );
  return result;
}

export const staticTopics: Chapter = {
  title: 'Static topics',
  cases: [
    {
      behaviour: 'sends to logical queues 5 and 7: the queues and numbers that their producer is told',
      client: 'wire',
      run: (bench, { topic }) => filled(bench, topic),
    },
    {
      behaviour: 'smallest and largest offset, and the offset of a time behind all: by the logical queue',
      client: 'wire',
      async run(bench, { topic }) {
        await filled(bench, topic);
        const results: string[] = [];
        for (const queueId of [5, 7, 2]) {
          const place = { topic, queueId };
          const answers = [
            await bench.ask(31, place),
            await bench.ask(30, place),
            await bench.ask(29, { ...place, timestamp: Date.now() + 60_000 }),
          ];
          results.push(`${queueId}: ${answers.map((one) => number(one)).join(' ')}`);
        }
        return results.join('; ');
      },
    },
    {
      behaviour: 'the offset of a time before all messages of logical queue 7, which begins at 100',
      client: 'wire',
      differs: 'The offset of a time before all messages',
      async run(bench, { topic }) {
        await filled(bench, topic);
        return number(await bench.ask(29, { topic, queueId: 7, timestamp: 0 }));
      },
    },
    {
      behaviour: 'when the oldest message of logical queue 5 was stored',
      client: 'wire',
      differs: 'GET_EARLIEST_MSG_STORETIME of a logical queue',
      async run(bench, { topic }) {
        await filled(bench, topic);
        const answer = await bench.ask(32, { topic, queueId: 5 });
        return Number(answer.extFields.timestamp) > 0 ? 'a time' : `${said(answer)}, no time`;
      },
    },
    {
      behaviour: 'the largest offset of queue 2 of the broker itself (lo=false)',
      client: 'wire',
      async run(bench, { topic }) {
        await filled(bench, topic);
        return number(await bench.ask(30, { topic, queueId: 2, lo: false }));
      },
    },
    {
      behaviour:
        'pulls of logical queue 7 at 100, 101 and its end, and before its first: the answer’s offsets and the record’s',
      client: 'wire',
      async run(bench, { topic }) {
        await filled(bench, topic);
        const results: string[] = [];
        for (const offset of [100, 101, 102, 7]) {
          const answer = await bench.pull(topic, offset, { queueId: 7 });
          const { nextBeginOffset, minOffset, maxOffset, offsetDelta } = answer.extFields;
          const numbers = answer.code === 0 ? bench.decode(answer.body).map(({ queueOffset }) => queueOffset) : [];
          const all = [`${nextBeginOffset} of ${minOffset} to ${maxOffset}`, `delta ${offsetDelta}`, numbers.join(' ')];
          results.push(`${said(answer)} ${all.join(', ')}`);
        }
        return results.join('; ');
      },
    },
    {
      behaviour: 'a pull beyond the end of a logical queue',
      client: 'wire',
      differs: 'A pull beyond the end of a logical queue',
      async run(bench, { topic }) {
        await filled(bench, topic);
        const answer = await bench.pull(topic, 500, { queueId: 7 });
        return `${said(answer)} next ${answer.extFields.nextBeginOffset}`;
      },
    },
    {
      behaviour: 'offsets of a group: by the logical queue, and in the list of all as the broker keeps them',
      client: 'wire',
      async run(bench, { topic, group }) {
        await filled(bench, topic);
        await bench.group(group);
        await bench.commit(group, topic, 101, 7);
        const committed = await bench.committed(group, topic, 7);
        const all = javaJson((await bench.ask(43)).body.toString());
        return `${committed}; ${JSON.stringify(all.offsetTable[`${topic}@${group}`])}`;
      },
    },
    {
      behaviour: 'logical queue 0, which is not here: send, pull, offsets, a commit',
      client: 'wire',
      async run(bench, { topic, group }) {
        await made(bench, topic);
        await bench.group(group);
        const place = { topic, queueId: 0 };
        const ofGroup = { consumerGroup: group, ...place };
        const answers = [
          await bench.send(topic, { queueId: 0 }),
          await bench.pull(topic, 0),
          await bench.ask(30, place),
          await bench.ask(31, place),
          await bench.ask(29, { ...place, timestamp: 0 }),
          await bench.ask(14, ofGroup),
          await bench.ask(15, { ...ofGroup, commitOffset: 1 }),
        ];
        return answers.map(said).join(', ');
      },
    },
    {
      behaviour: 'GET_TOPIC_CONFIG: with and without its logical queues',
      client: 'wire',
      async run(bench, { topic }) {
        await made(bench, topic);
        const config = async (lo: boolean) => javaJson((await bench.ask(351, { topic, lo })).body.toString());
        const { mappingDetail, ...plain } = await config(true);
        const hosted = Object.entries(mappingDetail.hostedQueues as Record<string, Place[]>).map(
          ([id, items]) => `${id}→${items[0]!.queueId}+${items[0]!.logicOffset}`,
        );
        const { totalQueues, epoch, scope } = mappingDetail;
        const without = 'mappingDetail' in (await config(false)) ? 'always' : 'when asked for';
        return `${hosted.join(' ')} of ${totalQueues}, epoch ${epoch}, ${scope}, ${without}; write ${plain.writeQueueNums}`;
      },
    },
    {
      behaviour: '513 with an older epoch than the topic has',
      client: 'wire',
      async run(bench, { topic }) {
        await made(bench, topic);
        return said(await make(bench, topic, places, { epoch: 900 }));
      },
    },
    {
      behaviour:
        '513 without a mapping, with that of another topic, with another broker’s, with fewer queues than before',
      client: 'wire',
      differs: 'A mapping that is none',
      async run(bench, { topic, other }) {
        await made(bench, topic);
        const answers = [
          await bench.ask(513, {
            ...{ topic: other('t2'), defaultTopic: 'TBW102', readQueueNums: 1, writeQueueNums: 1, perm: 6 },
            ...{ topicFilterType: 'SINGLE_TAG', topicSysFlag: 0, order: false, force: false },
          }),
          await make(bench, other('t3'), places, { topic: other('t4') }),
          await make(bench, other('t5'), places, { bname: 'broker-b' }),
          await make(bench, topic, places, { epoch: 1_100, totalQueues: 7 }),
        ];
        return answers.map(said).join(', ');
      },
    },
    {
      behaviour: '513 with two logical queues in one queue',
      client: 'wire',
      differs: 'Two logical queues in one queue',
      run: async (bench, { topic }) => said(await make(bench, topic, { 5: { queueId: 0 }, 2: { queueId: 0 } })),
    },
    {
      behaviour: 'a topic with a mapping that grows by a later epoch: the old queues go on, the new one is there',
      client: 'wire',
      async run(bench, { topic }) {
        await filled(bench, topic);
        const grown = { ...places, 3: { queueId: 3 } };
        const fields = { readQueueNums: 4, writeQueueNums: 4 };
        const answer = await make(bench, topic, grown, { epoch: 2_000 }, fields);
        const sends = [await bench.send(topic, { queueId: 7 }), await bench.send(topic, { queueId: 3 })];
        return `${said(answer)}; ${sends.map((one) => `${number(one, 'queueId')}@${number(one, 'queueOffset')}`).join(' ')}`;
      },
    },
    {
      behaviour: 'deleted and made again: empty, with its numbers from the beginning',
      client: 'wire',
      async run(bench, { topic }) {
        await filled(bench, topic);
        const deleted = await bench.ask(215, { topic });
        const again = await make(bench, topic, places, { epoch: 3_000 });
        const ends = [
          number(await bench.ask(30, { topic, queueId: 5 })),
          number(await bench.ask(30, { topic, queueId: 7 })),
        ];
        return `${said(deleted)}, ${said(again)}; ends ${ends.join(' ')}`;
      },
    },
    {
      behaviour: 'a pop counts by the broker’s own queues',
      client: 'wire',
      async run(bench, { topic, group }) {
        await filled(bench, topic);
        await bench.group(group);
        const { messages } = await bench.pop(topic, group);
        return messages
          .map(({ queueId, queueOffset }) => `${queueId}@${queueOffset}`)
          .sort()
          .join(' ');
      },
    },
    {
      behaviour: '`updateStaticTopic -t TOPIC -qn 3 -b broker-a`',
      client: 'mqadmin',
      run: async (bench, names) => shown(await byAdmin(bench, names), (lines) => lines),
    },
    {
      behaviour: '`updateStaticTopic` of a topic that is there: with more queues, with fewer',
      client: 'mqadmin',
      async run(bench, names) {
        await byAdmin(bench, names);
        const results: string[] = [];
        for (const queues of [5, 2]) {
          const { err } = await command(bench, `updateStaticTopic -t ${names.topic} -qn ${queues} -b broker-a`);
          const { body } = await bench.ask(351, { topic: names.topic, lo: true });
          const { totalQueues } = javaJson(body.toString()).mappingDetail;
          results.push(`${err === '' ? 'done' : 'refused'}, ${totalQueues} queues`);
        }
        return results.join('; ');
      },
    },
    {
      behaviour: '`topicRoute` and `topicStatus` of a static topic',
      client: 'mqadmin',
      async run(bench, names) {
        await byAdmin(bench, names);
        const outputs: { out: string; err: string }[] = [];
        for (const line of ['topicRoute', 'topicStatus'])
          outputs.push(await command(bench, `${line} -t ${names.topic}`));
        const all = { out: outputs.map(({ out }) => out).join('\n'), err: outputs.map(({ err }) => err).join('') };
        return shown(all, (lines) => lines.map((line) => line.replace(/"epoch" ?: ?\d+/, '"epoch":<n>')));
      },
    },
    {
      behaviour: 'a producer and a push consumer while mqadmin adds queues: every message, from every logical queue',
      client: 'Java',
      async run(bench, names) {
        const { topic, group } = names;
        await byAdmin(bench, names);
        await bench.java('wide.send', { topic, count: 30 });
        const name = bench.unique('logical');
        await bench.java('wide.consume', { name, topic, group });
        type Delivery = { index: string; queueId: number };
        const received = (count: number): Promise<Delivery[]> =>
          bench.until(`${count} messages`, async () => {
            const now = await bench.java<Delivery[]>('wide.deliveries', { name });
            return new Set(now.map(({ index }) => index)).size >= count ? now : undefined;
          });
        await received(30);
        const { err } = await command(bench, `updateStaticTopic -t ${topic} -qn ${QUEUES + 2} -b broker-a`);
        if (err !== '') throw new Error(err);
        await bench.until('the route of all', async () =>
          (await command(bench, `topicRoute -t ${topic}`)).out.includes(`"totalQueues":${QUEUES + 2}`)
            ? true
            : undefined,
        );
        await bench.java('wide.send', { topic, from: 30, count: 30 });
        const deliveries = await received(60);
        await bench.java('wide.stop', { name });
        const queues = [...new Set(deliveries.map(({ queueId }) => queueId))].sort();
        return `60 messages, queues ${queues.join(' ')}`;
      },
    },
    restartCase({
      behaviour: 'SIGKILL: logical queues and their numbers are known',
      client: 'wire',
      async before(bench, { topic }) {
        await filled(bench, topic);
      },
      async after(bench, { topic }) {
        const ends = [
          number(await bench.ask(30, { topic, queueId: 5 })),
          number(await bench.ask(30, { topic, queueId: 7 })),
        ];
        const answer = await bench.send(topic, { queueId: 7 });
        return `ends ${ends.join(' ')}; ${number(answer, 'queueId')}@${number(answer, 'queueOffset')}`;
      },
    }),
  ],
};
