/** Topics and groups: attributes, permissions, what is refused. */
import { type Bench, said } from './bench.ts';
import { type Chapter, restartCase } from './case.ts';
import { member, subscriptionOf } from './filters.ts';

const make = (bench: Bench, topic: string, values: Record<string, string | number | boolean> = {}) =>
  bench.ask(17, {
    ...{ topic, defaultTopic: 'TBW102', readQueueNums: 1, writeQueueNums: 1, perm: 6, topicFilterType: 'SINGLE_TAG' },
    ...{ topicSysFlag: 0, order: false },
    ...values,
  });

/** A table’s entry without its times and versions, its keys in order. */
async function entry(bench: Bench, code: 351 | 352, values: Record<string, string>): Promise<string> {
  const answer = await bench.ask(code, values);
  if (answer.code !== 0) return said(answer);
  const all = JSON.parse(answer.body.toString());
  const wanted =
    code === 351
      ? ['readQueueNums', 'writeQueueNums', 'perm', 'order', 'topicFilterType', 'topicSysFlag', 'attributes']
      : Object.keys(all).sort();
  return JSON.stringify(Object.fromEntries(wanted.map((name) => [name, all[name]])));
}

export const tables: Chapter = {
  title: 'Topics and groups',
  cases: [
    {
      behaviour: 'a topic with each message type, and with one that is none',
      client: 'wire',
      async run(bench, { other }) {
        const answers: string[] = [];
        for (const type of ['NORMAL', 'FIFO', 'DELAY', 'TRANSACTION', 'MIXED', 'PRIORITY', 'LITE', 'NONE']) {
          answers.push(said(await make(bench, other(type), { attributes: `+message.type=${type}` })));
        }
        return answers.join(', ');
      },
    },
    {
      behaviour:
        'attributes that are none: a name, a value, without a sign, of a topic that is there and may not change it',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic);
        const answers: string[] = [];
        for (const attributes of [
          '+no.such=1',
          '+cleanup.policy=SHRED',
          'message.type=FIFO',
          '+queue.type=BatchCQ',
          '-message.type',
        ]) {
          answers.push(said(await make(bench, topic, { attributes })));
        }
        return answers.join(', ');
      },
    },
    {
      behaviour: 'a topic as GET_TOPIC_CONFIG gives it',
      client: 'wire',
      async run(bench, { topic }) {
        await make(bench, topic, { readQueueNums: 3, writeQueueNums: 2, attributes: '+message.type=FIFO' });
        return entry(bench, 351, { topic });
      },
    },
    {
      behaviour:
        'a topic with fewer queues to write than to read: a send to one that is only read, and what is read there',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic, 3);
        await bench.put(topic, { queueId: 2 });
        await bench.until('it', async () => ((await bench.maxOffset(topic, 2)) === 1 ? true : undefined));
        await make(bench, topic, { readQueueNums: 3, writeQueueNums: 1 });
        return `${said(await bench.send(topic, { queueId: 2 }))}, ${(await bench.records(topic, { queueId: 2 })).length} read`;
      },
    },
    {
      behaviour: 'topics that may only be read, only be written, neither: send and pull',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic);
        await bench.put(topic);
        await bench.recordsUntil(topic, 1);
        const seen: string[] = [];
        for (const perm of [4, 2, 0]) {
          await make(bench, topic, { perm });
          seen.push(`perm ${perm}: ${said(await bench.send(topic))} and ${said(await bench.pull(topic, 0))}`);
        }
        return seen.join('; ');
      },
    },
    {
      behaviour: 'topics that cannot be made: no name, a name that none may have, a system’s, 0 queues',
      client: 'wire',
      async run(bench, { other }) {
        const answers = [
          await make(bench, ''),
          await make(bench, 'no/name'),
          await make(bench, 'SCHEDULE_TOPIC_XXXX'),
          await make(bench, other('zero'), { readQueueNums: 0, writeQueueNums: 0 }),
        ];
        return answers.map(said).join(', ');
      },
    },
    {
      behaviour: 'a topic that was deleted and made again is empty, and its groups have no offset',
      client: 'wire',
      async run(bench, { topic, group }) {
        await bench.topic(topic);
        await bench.put(topic);
        await bench.recordsUntil(topic, 1);
        await bench.group(group);
        await bench.commit(group, topic, 1);
        const deleted = await bench.ask(215, { topic });
        const without = await bench.pull(topic, 0);
        await bench.topic(topic);
        await bench.put(topic);
        await bench.recordsUntil(topic, 1);
        return `${said(deleted)}; ${said(without)}; then ${(await bench.records(topic)).length} record, ${await bench.committed(group, topic)}`;
      },
    },
    {
      behaviour: 'a group as GET_SUBSCRIPTIONGROUP_CONFIG gives it, made with nothing but a name',
      client: 'wire',
      async run(bench, { group }) {
        await bench.ask(200, {}, JSON.stringify({ groupName: group }));
        return entry(bench, 352, { group });
      },
    },
    {
      behaviour: 'a group’s attributes: of a known name, of an unknown one',
      client: 'wire',
      async run(bench, { group, other }) {
        const answers: string[] = [];
        for (const [name, attributes] of [
          [group, { '+priority.factor': '50' }],
          [other('g2'), { '+no.such': '1' }],
          [other('g3'), { '+priority.factor': '500' }],
        ] as const) {
          answers.push(said(await bench.ask(200, {}, JSON.stringify({ groupName: name, attributes }))));
        }
        return answers.join(', ');
      },
    },
    {
      behaviour: 'a group that may not consume: pull',
      client: 'wire',
      async run(bench, { topic, group }) {
        await bench.topic(topic);
        await bench.group(group, { consumeEnable: false });
        return said(await bench.pull(topic, 0, { consumerGroup: group }));
      },
    },
    {
      behaviour: 'a group that is forbidden one topic: pull of it and of another, allowed again',
      client: 'wire',
      async run(bench, { topic, group, other }) {
        for (const each of [topic, other('t2')]) {
          await bench.topic(each);
          await bench.put(each);
          await bench.recordsUntil(each, 1);
        }
        await bench.group(group);
        const session = await bench.session();
        const subscriptions = [topic, other('t2')].map((each) => subscriptionOf(each, '*', 'TAG', 1));
        await bench.heartbeat(session, 'forbidden', { consumer: member(group, subscriptions) });
        const forbid = (readable: boolean) => bench.ask(353, { group, topic, readable });
        const values = { consumerGroup: group, sysFlag: 0, subVersion: 1, subscription: '' };
        const pull = async (each: string) => said(await bench.pull(each, 0, values));
        const answer = await forbid(false);
        const seen = [said(answer), await pull(topic), await pull(other('t2'))];
        await forbid(true);
        seen.push(await pull(topic));
        session.close();
        return seen.join(', ');
      },
    },
    {
      behaviour: 'groups with a name that none may have: none, a blank in it, too long',
      client: 'wire',
      async run(bench, { group }) {
        const answers: string[] = [];
        for (const groupName of ['', 'a b', group.padEnd(256, 'x')]) {
          answers.push(said(await bench.ask(200, {}, JSON.stringify({ groupName }))));
        }
        return answers.join(', ');
      },
    },
    {
      behaviour: 'a group that was deleted: its config, and its offsets with cleanOffset',
      client: 'wire',
      async run(bench, { topic, group }) {
        await bench.topic(topic);
        await bench.put(topic);
        await bench.recordsUntil(topic, 1);
        await bench.group(group);
        await bench.commit(group, topic, 1);
        const answer = await bench.ask(207, { groupName: group, cleanOffset: true });
        return `${said(answer)}; ${await bench.committed(group, topic)}`;
      },
    },
    {
      behaviour: 'a request code that nobody has',
      client: 'wire',
      async run(bench) {
        return said(await bench.ask(9_999));
      },
    },
    restartCase({
      behaviour: 'topics and groups, answered, are there after SIGKILL',
      client: 'wire',
      last: true,
      async before(bench, { topic, group }) {
        await make(bench, topic, { readQueueNums: 5, writeQueueNums: 4, attributes: '+message.type=DELAY' });
        await bench.group(group, { retryMaxTimes: 7 });
      },
      async after(bench, { topic, group }) {
        const config = JSON.parse((await bench.ask(352, { group })).body.toString());
        return `${await entry(bench, 351, { topic })}; retryMaxTimes ${config.retryMaxTimes}`;
      },
    }),
  ],
};
