/** What waits and who is told, switches of groups, statistics, members that differ. */
import { type Bench, pause, said } from './bench.ts';
import type { Chapter } from './case.ts';

interface Subscription {
  topic: string;
  subString: string;
}

/** What a heartbeat says of a consumer. */
const consumerOf = (groupName: string, { topic, subString }: Subscription, more: Record<string, unknown> = {}) => ({
  groupName,
  consumeType: 'CONSUME_PASSIVELY',
  messageModel: 'CLUSTERING',
  consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
  subscriptionDataSet: [
    {
      ...{ classFilterMode: false, topic, subString, expressionType: 'TAG', subVersion: 1 },
      ...{ tagsSet: subString === '*' ? [] : [subString], codeSet: [] },
    },
  ],
  unitMode: false,
  ...more,
});

async function filled(bench: Bench, topic: string, count: number): Promise<void> {
  await bench.topic(topic);
  for (let index = 0; index < count; index += 1) {
    await bench.put(topic, { body: `body ${index}`, properties: { UNIQ_KEY: `${topic}_${index}` } });
  }
  await bench.recordsUntil(topic, count);
}

/** Two members of a group that say other things of it, and whether the broker's log names both. */
async function differing(
  bench: Bench,
  topic: string,
  group: string,
  what: { ids?: [string, string]; subString?: string; more?: Record<string, unknown> },
): Promise<string> {
  await bench.topic(topic);
  await bench.group(group);
  const ids = what.ids ?? [`${group}_one`, `${group}_two`];
  const says = [
    consumerOf(group, { topic, subString: 'TagA' }),
    consumerOf(group, { topic, subString: what.subString ?? 'TagA' }, what.more),
  ];
  const warned = (): boolean =>
    bench.broker
      .log()
      .split('\n')
      .some(
        (line) =>
          /"level":40|\bWARN\b/.test(line) && line.includes(`group ${group} `) && ids.every((id) => line.includes(id)),
      );
  const beat = async (): Promise<boolean> => {
    const sessions = [await bench.session(), await bench.session()];
    try {
      for (const [index, session] of sessions.entries()) {
        await bench.heartbeat(session, ids[index]!, { consumer: says[index]! });
      }
      return warned();
    } finally {
      for (const session of sessions) session.close();
    }
  };
  // The log has a line a second at most of such groups; RocketMQ's never has one.
  for (let round = 0; round < 20; round += 1) {
    if (await beat()) return 'a warning with both';
    await pause(bench.broker.kind === 'vernier' ? 500 : 50);
  }
  return 'no warning';
}

export const operating: Chapter = {
  title: 'Waiting, switches, statistics, members that differ',
  cases: [
    {
      behaviour: 'POLLING_INFO while a pop waits, and when it has ended',
      client: 'wire',
      async run(bench, { topic, group }) {
        await bench.topic(topic);
        await bench.group(group);
        const polling = async (count: string): Promise<string> =>
          bench.until(`${count} that wait`, async () => {
            const { extFields } = await bench.ask(200055, { consumerGroup: group, topic, queueId: -1 });
            return extFields.pollingNum === count ? count : undefined;
          });
        const waiting = bench.apart((own) => own.pop(topic, group, { pollTime: 30_000 }));
        const during = await polling('1');
        await bench.put(topic);
        const { code } = await waiting;
        return `${during}; pop code ${code}; ${await polling('0')}`;
      },
    },
    {
      behaviour: 'a NOTIFICATION that waits ends when a message comes',
      client: 'wire',
      async run(bench, { topic, group }) {
        await bench.topic(topic);
        await bench.group(group);
        const values = { consumerGroup: group, topic, queueId: -1, pollTime: 30_000, bornTime: Date.now() };
        const waiting = bench.apart((own) => own.ask(200054, values));
        // POLLING_INFO counts pops alone, so that nothing says when it waits.
        await pause(500);
        await bench.put(topic);
        const answer = await waiting;
        return `${said(answer)} ${answer.extFields.hasMsg}`;
      },
    },
    {
      behaviour: 'PEEK_MESSAGE twice, then a pop: the same messages each time; then a peek of what is left',
      client: 'wire',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 3);
        await bench.group(group);
        const peek = async (): Promise<string> => {
          const answer = await bench.ask(200052, { consumerGroup: group, topic, queueId: -1, maxMsgNums: 8 });
          return answer.code === 0 ? `${bench.decode(answer.body).length} messages` : said(answer);
        };
        const before = [await peek(), await peek()];
        const { messages } = await bench.pop(topic, group, { invisibleTime: 100_000 });
        return `${before.join(', ')}; ${messages.length} popped; ${await peek()}`;
      },
    },
    {
      behaviour: 'LITE_PULL_MESSAGE: what is there, and at the end',
      client: 'wire',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 2);
        await bench.group(group);
        const pull = (queueOffset: number) =>
          bench.ask(361, {
            ...{ consumerGroup: group, topic, queueId: 0, queueOffset, maxMsgNums: 32, sysFlag: 20, commitOffset: 0 },
            ...{ suspendTimeoutMillis: 0, subscription: '*', subVersion: 0, expressionType: 'TAG' },
          });
        const answers = [await pull(0), await pull(2)];
        return answers.map((one) => `${said(one)} next ${one.extFields.nextBeginOffset}`).join(', ');
      },
    },
    {
      behaviour: 'a group with consumeBroadcastEnable=false: a pull of a member that broadcasts',
      client: 'wire',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 1);
        const answers: string[] = [];
        for (const consumeBroadcastEnable of [true, false]) {
          await bench.group(group, { consumeBroadcastEnable });
          const session = await bench.session();
          const consumer = consumerOf(group, { topic, subString: '*' }, { messageModel: 'BROADCASTING' });
          await bench.heartbeat(session, `${group}_1`, { consumer });
          answers.push(said(await bench.pull(topic, 0, { consumerGroup: group, sysFlag: 0, subVersion: 1 })));
          session.close();
        }
        return answers.join(', ');
      },
    },
    {
      behaviour: 'the retry topic of a group with retryQueueNums=3, made by its first heartbeat: queues and permission',
      client: 'wire',
      async run(bench, { topic, group }) {
        await bench.topic(topic);
        await bench.group(group, { retryQueueNums: 3 });
        const session = await bench.session();
        await bench.heartbeat(session, `${group}_1`, { consumer: consumerOf(group, { topic, subString: '*' }) });
        session.close();
        const config = JSON.parse((await bench.ask(351, { topic: `%RETRY%${group}` })).body.toString());
        return `read ${config.readQueueNums}, write ${config.writeQueueNums}, perm ${config.perm}`;
      },
    },
    {
      behaviour: 'GET_CONSUME_STATS and GET_TOPIC_STATS_INFO: what a group has read of its topic, and its ends',
      client: 'wire',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 3);
        await bench.group(group);
        await bench.commit(group, topic, 1);
        const stats = (await bench.ask(208, { consumerGroup: group })).body.toString();
        const [, broker, consumer] = /"brokerOffset":(\d+),"consumerOffset":(\d+)/.exec(stats) ?? [];
        const ends = (await bench.ask(202, { topic })).body.toString();
        const [max, min] = ['maxOffset', 'minOffset'].map((name) => new RegExp(`"${name}":(\\d+)`).exec(ends)?.[1]);
        return `${consumer} of ${broker}; ${min} to ${max}`;
      },
    },
    {
      behaviour: 'who consumes a topic, what a group consumes, its subscription, how far it is behind in time',
      client: 'wire',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 2);
        await bench.group(group);
        await bench.commit(group, topic, 1);
        const session = await bench.session();
        try {
          await bench.heartbeat(session, `${group}_1`, { consumer: consumerOf(group, { topic, subString: 'TagA' }) });
          const json = async (code: number, fields: Record<string, string>) =>
            JSON.parse((await bench.ask(code, fields)).body.toString() || '{}');
          const who = await json(300, { topic });
          const what = await json(343, { group });
          const { subscriptionData } = await json(345, { group, topic });
          const spans = await json(303, { topic, group });
          const topics = (what.topicList as string[]).sort();
          return `${who.groupList}; ${topics.join(' ')}; ${subscriptionData.subString}; ${spans.consumeTimeSpanSet.length} queue`;
        } finally {
          session.close();
        }
      },
    },
    {
      behaviour:
        'counters of a topic after five sends (VIEW_BROKER_STATS_DATA), of one that nothing was sent to, of no such kind',
      client: 'wire',
      async run(bench, { topic, other }) {
        await filled(bench, topic, 5);
        const ask = (statsName: string, statsKey: string) => bench.ask(315, { statsName, statsKey });
        // Counters are looked at each ten seconds.
        const sum = await bench.until('the count', async () => {
          const answer = await ask('TOPIC_PUT_NUMS', topic);
          const minute = answer.code === 0 ? JSON.parse(answer.body.toString()).statsMinute.sum : 0;
          return minute > 0 ? minute : undefined;
        });
        return `${sum}; ${said(await ask('TOPIC_PUT_NUMS', other('none')))}; ${said(await ask('NO_SUCH_KIND', topic))}`;
      },
    },
    {
      behaviour: 'a consumer is asked what it does, and to process a message once more; one that is not there is asked',
      client: 'Java',
      async run(bench, { topic, group }) {
        await bench.routed(topic);
        await bench.group(group);
        await bench.java('wide.send', { topic, count: 1, queueId: 0 });
        const name = bench.unique('asked');
        await bench.java('wide.consume', { name, topic, group });
        const deliveries = (count: number) =>
          bench.until(`${count} deliveries`, async () => {
            const now = await bench.java<object[]>('wide.deliveries', { name });
            return now.length >= count ? now.length : undefined;
          });
        await deliveries(1);
        const list = JSON.parse((await bench.ask(203, { consumerGroup: group })).body.toString());
        const { clientId } = list.connectionSet[0];
        const running = await bench.ask(307, { consumerGroup: group, clientId, jstackEnable: false });
        const [record] = await bench.recordsUntil(topic, 1);
        const msgId = offsetIdOf(bench, record!.commitLogOffset);
        const direct = await bench.ask(309, { consumerGroup: group, clientId, brokerName: 'broker-a', topic, msgId });
        const again = await deliveries(2);
        await bench.java('wide.stop', { name });
        const gone = await bench.ask(307, { consumerGroup: group, clientId: 'nobody', jstackEnable: false });
        const result = JSON.parse(direct.body.toString() || '{}').consumeResult;
        return `${said(running)}${/"properties"/.test(running.body.toString()) ? ', its properties' : ''}; ${said(direct)} ${result}, ${again} deliveries; ${said(gone)}`;
      },
    },
    {
      behaviour: 'two members of a group that want other tags: what the log says',
      client: 'wire',
      differs: 'Members that differ in subscription',
      edge: 'B.28',
      run: (bench, { topic, group }) => differing(bench, topic, group, { subString: 'TagB' }),
    },
    {
      behaviour: 'a member that broadcasts and one that does not: what the log says',
      client: 'wire',
      differs: 'Members that differ in subscription',
      edge: 'B.28',
      run: (bench, { topic, group }) => differing(bench, topic, group, { more: { messageModel: 'BROADCASTING' } }),
    },
    {
      behaviour: 'one client id on two connections of a group: what the log says',
      client: 'wire',
      differs: 'One client id on two connections',
      run: (bench, { topic, group }) => differing(bench, topic, group, { ids: [`${group}_one`, `${group}_one`] }),
    },
  ],
};

/** The id by which VIEW_MESSAGE_BY_ID and CONSUME_MESSAGE_DIRECTLY find a record: address and offset. */
function offsetIdOf(bench: Bench, commitLogOffset: number): string {
  const [host, port] = bench.broker.brokerAddr.split(':');
  const id = Buffer.alloc(16);
  Buffer.from(host!.split('.').map(Number)).copy(id);
  id.writeInt32BE(Number(port), 4);
  id.writeBigInt64BE(BigInt(commitLogOffset), 8);
  return id.toString('hex').toUpperCase();
}
