/** Lite topics: subscriptions of clients, lite POP, and what operators ask. */
import type { Answer } from '../peers/remoting-ask.ts';
import { type Bench, pause, said, type Values } from './bench.ts';
import { type Chapter, type Names, restartCase } from './case.ts';
import { command, type Look, shown } from './mqadmin-command.ts';

/** A client is of one group. */
const clientOf = (group: string): string => `client_${group}`;
/** Longer than a busy machine needs for a case. */
const LONG_MS = 100_000;
/** Of a new subscription: from the first message on. */
const FROM_FIRST = { type: 'POLICY', value: 1 };

async function liteTopic(bench: Bench, topic: string, group: string, attributes: Record<string, string> = {}) {
  await bench.topic(topic, 4, { attributes: '+message.type=LITE' });
  await bench.group(group, { attributes: { '+lite.bind.topic': topic, ...attributes } });
}

interface Subscription {
  action: string;
  lites: string[];
  clientId?: string;
  group: string;
  topic: string;
  offsetOption?: object;
}

/** LITE_SUBSCRIPTION_CTL. */
function subscribe(bench: Bench, { lites, ...more }: Subscription): Promise<Answer> {
  const entry = { clientId: clientOf(more.group), liteTopicSet: lites, ...more };
  return bench.ask(200071, {}, JSON.stringify({ subscriptionSet: [entry] }));
}

async function put(bench: Bench, topic: string, lite: string, ...texts: string[]): Promise<void> {
  for (const text of texts) {
    await bench.put(topic, { body: text, properties: { __LITE_TOPIC: lite, UNIQ_KEY: `${topic}_${text}` } });
  }
  await bench.until(`${texts.at(-1)} in its lite topic`, async () => {
    const records = await bench.records(`%LMQ%$${topic}$${lite}`);
    return records.at(-1)?.body.toString() === texts.at(-1) ? true : undefined;
  });
}

interface LitePopped {
  code: number;
  texts: string;
  count: number;
  answer: Answer;
}

/** POP_LITE_MESSAGE. */
async function pop(bench: Bench, topic: string, group: string, values: Values = {}): Promise<LitePopped> {
  const answer = await bench.ask(200070, {
    ...{ topic, consumerGroup: group, clientId: clientOf(group), maxMsgNum: 32, invisibleTime: LONG_MS },
    ...{ pollTime: 0, bornTime: Date.now(), ...values },
  });
  const messages = answer.code === 0 ? bench.decode(answer.body) : [];
  const texts = messages.map(({ body }) => body.toString()).join(' ') || said(answer);
  return { code: answer.code, texts, count: messages.length, answer };
}

/** Asks until a pop has messages; whom they are for may be found out a moment later than they are stored. */
const popUntil = (bench: Bench, topic: string, group: string, values: Values = {}): Promise<LitePopped> =>
  bench.until('messages of lite topics', async () => {
    const popped = await pop(bench, topic, group, { pollTime: 2_000, ...values });
    return popped.count > 0 ? popped : undefined;
  });

/** ACK_MESSAGE of the message with this number in its lite topic. */
function ack(bench: Bench, topic: string, group: string, lite: string, offset: number, popped: LitePopped) {
  const extraInfo = `0 ${popped.answer.extFields.popTime} ${LONG_MS} 999 0 broker-a 0 ${offset}`;
  return bench.ask(200051, { topic, consumerGroup: group, queueId: 0, offset, liteTopic: lite, extraInfo });
}

/** How often each message was given before, as Java's client reads it: a number, or `0 qo0%17 1`. */
const countsIn = ({ extFields }: Answer): string =>
  (extFields.orderCountInfo ?? '')
    .split(';')
    .map((part) => part.split(' ').at(-1))
    .join(' ');

const bodyOf = (answer: Answer): Record<string, unknown> => JSON.parse(answer.body.toString() || '{}');

/** Three messages of lite topic a, which a client subscribes to from the first on. */
async function filled(bench: Bench, { topic, group }: Names): Promise<void> {
  await liteTopic(bench, topic, group);
  await put(bench, topic, 'a', 'a0', 'a1', 'a2');
  await subscribe(bench, { action: 'PARTIAL_ADD', lites: ['a'], topic, group, offsetOption: FROM_FIRST });
}

const admin = (
  behaviour: string,
  line: (names: Names) => string,
  { of = (lines: string[]) => lines, differs }: Look = {},
) => ({
  behaviour: `\`${behaviour}\``,
  client: 'mqadmin' as const,
  ...(differs === undefined ? {} : { differs }),
  async run(bench: Bench, names: Names) {
    await filled(bench, names);
    const popped = await popUntil(bench, names.topic, names.group, { maxMsgNum: 1 });
    await ack(bench, names.topic, names.group, 'a', 0, popped);
    await bench.until('a route', async () =>
      (await command(bench, `topicRoute -t ${names.topic}`)).err === '' ? true : undefined,
    );
    return shown(await command(bench, line(names)), of);
  },
});

export const liteTopics: Chapter = {
  title: 'Lite topics and lite POP',
  cases: [
    {
      behaviour: 'a message of a lite topic: what its record has, and where it lies',
      client: 'wire',
      async run(bench, { topic, group }) {
        await liteTopic(bench, topic, group);
        await put(bench, topic, 'a', 'a0', 'a1');
        const [, second] = await bench.records(`%LMQ%$${topic}$a`);
        const { properties } = second!;
        const names = ['__LITE_TOPIC', 'INNER_MULTI_DISPATCH', 'INNER_MULTI_QUEUE_OFFSET'];
        return `of ${second!.topic}; ${names.map((name) => `${name}=${properties[name]}`).join(' ')}`;
      },
    },
    {
      behaviour: 'subscribed to a and b, messages of a and of another one: popped in order, once, until acknowledged',
      client: 'wire',
      async run(bench, { topic, group }) {
        await liteTopic(bench, topic, group);
        await subscribe(bench, { action: 'COMPLETE_ADD', lites: ['a', 'b'], topic, group });
        await put(bench, topic, 'a', 'a0', 'a1', 'a2');
        await put(bench, topic, 'other', 'nobody');
        const first = await popUntil(bench, topic, group, { maxMsgNum: 2 });
        const blocked = await pop(bench, topic, group);
        for (const offset of [0, 1]) await ack(bench, topic, group, 'a', offset, first);
        const second = await popUntil(bench, topic, group);
        return `${first.texts}; ${blocked.texts}; ${second.texts}`;
      },
    },
    {
      behaviour: 'what the answer to a lite pop has beside its messages',
      client: 'wire',
      async run(bench, names) {
        await filled(bench, names);
        const { answer } = await popUntil(bench, names.topic, names.group);
        const { popTime, invisibleTime, reviveQid, ...more } = answer.extFields;
        return `${popTime === undefined ? 'no time' : 'a time'}, ${invisibleTime} ms, queue ${reviveQid}; ${JSON.stringify(more)}`;
      },
    },
    {
      behaviour: 'a lite pop that waits ends when a message comes; one whose time is over gets its code',
      client: 'wire',
      async run(bench, { topic, group }) {
        await liteTopic(bench, topic, group);
        await subscribe(bench, { action: 'COMPLETE_ADD', lites: ['a'], topic, group });
        const none = await pop(bench, topic, group, { pollTime: 1_000 });
        const waiting = bench.apart((own) => pop(own, topic, group, { pollTime: 30_000 }));
        await pause(300);
        await put(bench, topic, 'a', 'a0');
        return `${none.texts}; ${(await waiting).texts}`;
      },
    },
    {
      behaviour: 'acks: of an offset beyond the batch, twice, of a lite topic that is not there',
      client: 'wire',
      async run(bench, names) {
        const { topic, group } = names;
        await filled(bench, names);
        const popped = await popUntil(bench, topic, group, { maxMsgNum: 2 });
        const answers = [
          await ack(bench, topic, group, 'a', 9, popped),
          await ack(bench, topic, group, 'a', 0, popped),
          await ack(bench, topic, group, 'a', 0, popped),
          await ack(bench, topic, group, 'a', 1, popped),
          await ack(bench, topic, group, 'none', 0, popped),
        ];
        return `${answers.map(said).join(', ')}; then ${(await popUntil(bench, topic, group)).texts}`;
      },
    },
    {
      behaviour: 'a batch whose time is over comes again, its count 1',
      client: 'wire',
      async run(bench, names) {
        const { topic, group } = names;
        await filled(bench, names);
        const first = await popUntil(bench, topic, group, { maxMsgNum: 2, invisibleTime: 10_000 });
        const again = await popUntil(bench, topic, group, { maxMsgNum: 2 });
        return `${first.texts}; ${again.texts}, counts ${countsIn(again.answer)}`;
      },
    },
    {
      behaviour: 'CHANGE_MESSAGE_INVISIBLETIME of a popped message of a lite topic: it comes again soon',
      client: 'wire',
      async run(bench, names) {
        const { topic, group } = names;
        await filled(bench, names);
        const popped = await popUntil(bench, topic, group, { maxMsgNum: 1 });
        const extraInfo = `0 ${popped.answer.extFields.popTime} ${LONG_MS} 999 0 broker-a 0 0`;
        const fields = { topic, consumerGroup: group, queueId: 0, offset: 0, liteTopic: 'a', extraInfo };
        const changed = await bench.ask(200053, { ...fields, invisibleTime: 1_000 });
        return `${said(changed)}; ${(await popUntil(bench, topic, group, { maxMsgNum: 1 })).texts}`;
      },
    },
    {
      behaviour:
        'a new subscription of a new group to a lite topic with messages: without an option, from the first, the last two, offset 1',
      client: 'wire',
      async run(bench, { topic, group, other }) {
        await liteTopic(bench, topic, group);
        await put(bench, topic, 'a', 'a0', 'a1', 'a2');
        const options = [undefined, FROM_FIRST, { type: 'TAIL_N', value: 2 }, { type: 'OFFSET', value: 1 }];
        const results: string[] = [];
        for (const [index, offsetOption] of options.entries()) {
          const own = other(`g${index}`);
          await liteTopic(bench, topic, own);
          const answer = await subscribe(bench, {
            action: 'PARTIAL_ADD',
            lites: ['a'],
            topic,
            group: own,
            offsetOption,
          });
          const popped = offsetOption === undefined ? said(answer) : (await popUntil(bench, topic, own)).texts;
          results.push(popped);
        }
        return results.join('; ');
      },
    },
    {
      behaviour:
        'unsubscribed from a lite topic that was read: nothing of it; subscribed again from the first: all of it',
      client: 'wire',
      async run(bench, names) {
        const { topic, group } = names;
        await filled(bench, names);
        const first = await popUntil(bench, topic, group);
        for (const offset of [0, 1, 2]) await ack(bench, topic, group, 'a', offset, first);
        const removed = await subscribe(bench, { action: 'PARTIAL_REMOVE', lites: ['a'], topic, group });
        const none = await pop(bench, topic, group);
        const one = { action: 'PARTIAL_ADD', lites: ['a'], topic, group, offsetOption: FROM_FIRST };
        const added = await subscribe(bench, one);
        const again = await popUntil(bench, topic, group);
        const gone = await subscribe(bench, { action: 'COMPLETE_REMOVE', lites: [], topic, group });
        return `${said(removed)}, ${none.texts}; ${said(added)}, ${again.texts}; ${said(gone)}`;
      },
    },
    {
      behaviour: 'LITE_SUBSCRIPTION_CTL without a body, with no entry',
      client: 'wire',
      async run(bench, { topic, group }) {
        await liteTopic(bench, topic, group);
        const answers = [await bench.ask(200071), await bench.ask(200071, {}, '{"subscriptionSet":[]}')];
        return answers.map(said).join(', ');
      },
    },
    {
      behaviour: 'LITE_SUBSCRIPTION_CTL of a group that is bound to another topic, and of one that is not there',
      client: 'wire',
      differs: 'A subscription to a topic of another type',
      async run(bench, { topic, group, other }) {
        await liteTopic(bench, topic, group);
        await liteTopic(bench, other('t2'), other('g2'));
        const one = { action: 'COMPLETE_ADD', lites: ['a'], topic: other('t2') };
        const groups = [group, other('none')];
        const answers: string[] = [];
        for (const each of groups) answers.push(said(await subscribe(bench, { ...one, group: each })));
        return answers.join(', ');
      },
    },
    {
      behaviour: 'more than 2,000 lite topics of a client (lite.sub.client.quota)',
      client: 'wire',
      differs: '`lite.sub.client.quota` is for the proxy',
      async run(bench, { topic, group }) {
        await liteTopic(bench, topic, group);
        const lites = Array.from({ length: 2_001 }, (_, index) => `l${index}`);
        return said(await subscribe(bench, { action: 'COMPLETE_ADD', lites, topic, group }));
      },
    },
    {
      behaviour:
        'lite pops that are refused: of a topic that is none of them, that is not there, of a group that is not there, of 33',
      client: 'wire',
      async run(bench, { topic, group, other }) {
        await liteTopic(bench, topic, group);
        const results = [
          await pop(bench, 'TBW102', group),
          await pop(bench, other('none'), group),
          await pop(bench, topic, other('none')),
          await pop(bench, topic, 'TOOLS_CONSUMER'),
          await pop(bench, topic, group, { maxMsgNum: 33 }),
        ];
        return results.map(({ texts }) => texts).join(', ');
      },
    },
    {
      behaviour: 'an exclusive group: the second client that subscribes gets the messages, the first none',
      client: 'wire',
      async run(bench, { topic, group }) {
        await liteTopic(bench, topic, group, { '+lite.sub.model': 'Exclusive' });
        const one = { action: 'PARTIAL_ADD', lites: ['a'], topic, group };
        const [first, second] = [`${group}_1`, `${group}_2`];
        for (const clientId of [first, second]) await subscribe(bench, { ...one, clientId });
        await put(bench, topic, 'a', 'a0');
        const taken = await popUntil(bench, topic, group, { clientId: second });
        const left = await pop(bench, topic, group, { clientId: first });
        return `second ${taken.texts}; first ${left.texts}`;
      },
    },
    {
      behaviour: 'the client that loses a lite topic of an exclusive group is told so: the request’s code and fields',
      client: 'wire',
      async run(bench, { topic, group }) {
        await liteTopic(bench, topic, group, { '+lite.sub.model': 'Exclusive' });
        const session = await bench.session();
        try {
          const entry = { action: 'PARTIAL_ADD', clientId: `${group}_1`, group, topic, liteTopicSet: ['a'] };
          await session.ask(200071, {}, Buffer.from(JSON.stringify({ subscriptionSet: [entry] })));
          await subscribe(bench, { action: 'PARTIAL_ADD', lites: ['a'], topic, group, clientId: `${group}_2` });
          const request = await bench.until('the word of it', async () =>
            session.asked.find(({ code }) => code >= 200_000),
          );
          const fields = Object.entries(request.extFields).sort();
          return `${request.code} ${fields.map(([name, value]) => `${name}=${value}`).join(' ')}`;
        } finally {
          session.close();
        }
      },
    },
    {
      behaviour: 'a wildcard group: messages of any lite topic',
      client: 'wire',
      async run(bench, { topic, group }) {
        await liteTopic(bench, topic, group, { '+lite.sub.wildcard': 'true' });
        const answer = await subscribe(bench, { action: 'COMPLETE_ADD', lites: [], topic, group });
        await put(bench, topic, 'a', 'a0');
        const popped = await popUntil(bench, topic, group);
        return `${said(answer)}; ${popped.texts}`;
      },
    },
    {
      behaviour: 'GET_PARENT_TOPIC_INFO, GET_LITE_TOPIC_INFO and GET_LITE_CLIENT_INFO',
      client: 'wire',
      async run(bench, names) {
        const { topic, group } = names;
        await filled(bench, names);
        const parent = bodyOf(await bench.ask(200075, { topic }));
        const lite = bodyOf(await bench.ask(200076, { parentTopic: topic, liteTopic: 'a' }));
        const client = bodyOf(
          await bench.ask(200077, { parentTopic: topic, group, clientId: clientOf(group), maxCount: 8 }),
        );
        const { minOffset, maxOffset } = lite.topicOffset as { minOffset: number; maxOffset: number };
        return [
          `ttl ${parent.ttl}, groups ${JSON.stringify(parent.groups)}, ${parent.liteTopicCount} lite topic`,
          `${minOffset} to ${maxOffset}, ${JSON.stringify(lite.subscriber)}, ${lite.shardingToBroker}`,
          `${client.liteTopicCount} lite topic ${JSON.stringify(client.liteTopicSet)}`,
        ].join('; ');
      },
    },
    {
      behaviour: 'GET_LITE_GROUP_INFO: of one lite topic, of all',
      client: 'wire',
      async run(bench, names) {
        const { topic, group } = names;
        await filled(bench, names);
        const popped = await popUntil(bench, topic, group, { maxMsgNum: 1 });
        await ack(bench, topic, group, 'a', 0, popped);
        const one = bodyOf(await bench.ask(200078, { group, liteTopic: 'a', topK: 4 }));
        const all = bodyOf(await bench.ask(200078, { group, topK: 4 }));
        const { brokerOffset, consumerOffset } = (one.liteTopicOffsetWrapper ?? {}) as Record<string, number>;
        const most = all.lagCountTopK as { liteTopic: string; lagCount: number }[];
        return [
          `${one.totalLagCount} behind, ${consumerOffset} of ${brokerOffset}`,
          `${all.totalLagCount} behind: ${most.map(({ liteTopic, lagCount }) => `${liteTopic} ${lagCount}`).join(' ')}`,
        ].join('; ');
      },
    },
    {
      behaviour: 'GET_BROKER_LITE_INFO: its members',
      client: 'wire',
      async run(bench, names) {
        await filled(bench, names);
        const info = bodyOf(await bench.ask(200074));
        const { topicMeta, groupMeta, ...more } = info as Record<string, Record<string, unknown>>;
        const about = `${topicMeta![names.topic]}, ${JSON.stringify(groupMeta![names.topic])}`;
        return `${Object.keys(more).sort().join(' ')}; ${about}`;
      },
    },
    {
      behaviour: 'what operators ask of topics and groups that are not there or no lite ones; TRIGGER_LITE_DISPATCH',
      client: 'wire',
      async run(bench, { topic, group, other }) {
        await liteTopic(bench, topic, group);
        await bench.group(other('plain'));
        const client = { parentTopic: topic, clientId: clientOf(group), maxCount: 8 };
        const answers = [
          await bench.ask(200075, { topic: other('none') }),
          await bench.ask(200075, { topic: 'TBW102' }),
          await bench.ask(200076, { parentTopic: other('none'), liteTopic: 'a' }),
          await bench.ask(200077, { ...client, group: other('none') }),
          await bench.ask(200077, { ...client, group: other('plain') }),
          await bench.ask(200078, { group: other('none'), topK: 4 }),
          await bench.ask(200078, { group: other('plain'), topK: 4 }),
          await bench.ask(200079, { group }),
          await bench.ask(200079, { group: other('none') }),
        ];
        return answers.map(said).join(', ');
      },
    },
    admin('getParentTopicInfo -p TOPIC', ({ topic }) => `getParentTopicInfo -p ${topic}`, {
      // How many light queues the whole broker has.
      of: (lines) => lines.map((line) => line.replace(/^(broker-a -?\d+ \d+) \d+/, '$1 <n>')),
    }),
    admin('getLiteTopicInfo -p TOPIC -l a -s', ({ topic }) => `getLiteTopicInfo -p ${topic} -l a -s`),
    admin(
      'getLiteClientInfo -p TOPIC -g GROUP -c CLIENT -s',
      ({ topic, group }) => `getLiteClientInfo -p ${topic} -g ${group} -c ${clientOf(group)} -s`,
      { differs: 'GET_LITE_CLIENT_INFO does not say' },
    ),
    admin(
      'getLiteGroupInfo -p TOPIC -g GROUP -k 4',
      ({ topic, group }) => `getLiteGroupInfo -p ${topic} -g ${group} -k 4`,
      {
        of: (lines) => lines.map((line) => line.replace(/\(\d+ s ago\)/, '(<n> s ago)')),
        differs: 'GET_LITE_GROUP_INFO has no lite topics by time',
      },
    ),
    admin('triggerLiteDispatch -p TOPIC -g GROUP', ({ topic, group }) => `triggerLiteDispatch -p ${topic} -g ${group}`),
    restartCase({
      behaviour: 'SIGKILL: a lite topic’s messages and what was acknowledged are known; a client subscribes anew',
      client: 'wire',
      async before(bench, names) {
        const { topic, group } = names;
        await filled(bench, names);
        const popped = await popUntil(bench, topic, group, { maxMsgNum: 1 });
        await ack(bench, topic, group, 'a', 0, popped);
        // RocketMQ saves offsets each five seconds.
        await pause(6_000);
      },
      async after(bench, { topic, group }) {
        await subscribe(bench, { action: 'COMPLETE_ADD', lites: ['a'], topic, group });
        const popped = await popUntil(bench, topic, group);
        return popped.texts;
      },
    }),
  ],
};
