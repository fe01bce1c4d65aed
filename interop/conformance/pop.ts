/** POP in all its requests. */
import { type Bench, changedHandle, pause, said } from './bench.ts';
import { type Chapter, restartCase } from './case.ts';

async function filled(bench: Bench, topic: string, count: number, queues = 1): Promise<void> {
  await bench.topic(topic, queues);
  for (let index = 0; index < count; index += 1)
    await bench.put(topic, { properties: { UNIQ_KEY: `${topic}_${index}` } });
  await bench.until('all of them in the queue', async () =>
    (await bench.maxOffset(topic)) === count ? true : undefined,
  );
}

const INVISIBLE_MS = 3_000;
/** Longer than a broker needs to come back. */
const LONG_MS = 35_000;
/** After the end of the invisible time; RocketMQ takes up to seven seconds, a busy machine longer. */
const AGAIN_MS = 12_000;

/** Everything that a group gets within a time, by key; each is acknowledged. */
async function drained(bench: Bench, topic: string, group: string, ms: number, values = {}): Promise<string[]> {
  const seen: string[] = [];
  for (const end = Date.now() + ms; Date.now() < end; ) {
    const { messages, handles } = await bench.pop(topic, group, { invisibleTime: 60_000, ...values });
    for (const [index, message] of messages.entries()) {
      seen.push(`${message.properties.UNIQ_KEY!.split('_').at(-1)}×${message.reconsumeTimes}`);
      await bench.ack(group, message, handles[index]!);
    }
    if (messages.length === 0) await pause(400);
  }
  return seen.sort();
}

const order = { order: true, queueId: 0, maxMsgNums: 5, invisibleTime: INVISIBLE_MS };
const keys = (messages: readonly { properties: Record<string, string>; reconsumeTimes?: number }[]): string =>
  messages.map(({ properties }) => properties.UNIQ_KEY!.split('_').at(-1)).join(' ') || 'none';

/** BitSet.toByteArray() of these bits, as BATCH_ACK_MESSAGE carries it. */
function bits(...set: number[]): string {
  const bytes = Buffer.alloc(Math.floor(Math.max(...set) / 8) + 1);
  for (const bit of set) bytes[bit >> 3]! |= 1 << (bit & 7);
  return bytes.toString('base64');
}

function batchAck(bench: Bench, topic: string, group: string, handle: string, ...offsets: number[]) {
  const [begin, popTime, invisibleTime, reviveQueueId, retry, , queueId] = handle.split(' ').map(Number);
  const ack = {
    c: group,
    t: topic,
    r: String(retry),
    so: begin,
    q: queueId,
    rq: reviveQueueId,
    pt: popTime,
    it: invisibleTime,
    b: bits(...offsets.map((offset) => offset - begin!)),
  };
  return bench.ask(200151, {}, JSON.stringify({ brokerName: 'broker-a', acks: [ack] }));
}

export const pop: Chapter = {
  title: 'POP',
  cases: [
    {
      behaviour:
        'popped, nobody else gets them; acknowledged, none comes again; the rest comes again once with reconsumeTimes 1',
      client: 'wire',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 3);
        const { messages, handles } = await bench.pop(topic, group, { invisibleTime: INVISIBLE_MS });
        const second = await bench.pop(topic, group);
        const acked = await bench.ack(group, messages[1]!, handles[1]!);
        const again = await drained(bench, topic, group, INVISIBLE_MS + AGAIN_MS);
        return `${keys(messages)}; then ${said(second)}; ack ${said(acked)}; again ${again.join(' ')}`;
      },
    },
    {
      behaviour: 'a push consumer in POP mode: each message fails once, comes again',
      client: 'Java',
      async run(bench, { topic, group }) {
        await bench.routed(topic, 2);
        await bench.group(group);
        const body = { topic, consumerGroup: group, mode: 'POP', popShareQueueNum: 0 };
        const mode = await bench.ask(401, {}, JSON.stringify(body));
        const name = bench.unique('popping');
        await bench.java('wide.consume', { name, topic, group, pop: true, failTimes: 1 });
        await bench.java('wide.send', { topic, count: 6 });
        interface Delivery {
          index: string;
          reconsumeTimes: number;
          properties: Record<string, string>;
        }
        const deliveries = await bench.until('each twice', async () => {
          const now = await bench.java<Delivery[]>('wide.deliveries', { name });
          return now.filter(({ reconsumeTimes }) => reconsumeTimes === 1).length >= 6 ? now : undefined;
        });
        await bench.java('wide.stop', { name });
        const popped = deliveries.every(({ properties }) => properties.POP_CK !== undefined);
        const tries = [0, 1].map((times) => deliveries.filter(({ reconsumeTimes }) => reconsumeTimes === times).length);
        return `mode ${said(mode)}; ${tries.join(' and ')} deliveries, ${popped ? 'popped' : 'pulled'}`;
      },
    },
    {
      behaviour: 'QUERY_ASSIGNMENT of a group in POP mode and of one that pulls',
      client: 'wire',
      async run(bench, { topic, group, other }) {
        await bench.topic(topic, 2);
        const ask = async (consumerGroup: string) => {
          const body = { topic, consumerGroup, clientId: 'c1', strategyName: 'AVG', messageModel: 'CLUSTERING' };
          const answer = await bench.ask(400, {}, JSON.stringify(body));
          const { messageQueueAssignments } = JSON.parse(answer.body.toString() || '{}');
          const queues = (messageQueueAssignments ?? []).map(
            ({ messageQueue, mode }: { messageQueue: { queueId: number }; mode: string }) =>
              `${mode} ${messageQueue.queueId}`,
          );
          return `code ${answer.code}: ${queues.sort().join(' ') || 'none'}`;
        };
        const set = { topic, consumerGroup: group, mode: 'POP', popShareQueueNum: 0 };
        await bench.ask(401, {}, JSON.stringify(set));
        const session = await bench.session();
        for (const each of [group, other('g2')]) {
          const consumer = {
            groupName: each,
            consumeType: 'CONSUME_PASSIVELY',
            messageModel: 'CLUSTERING',
            consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
            subscriptionDataSet: [],
            unitMode: false,
          };
          await bench.heartbeat(session, 'c1', { consumer });
        }
        const answers = [await ask(group), await ask(other('g2'))];
        session.close();
        return answers.join('; ');
      },
    },
    {
      behaviour:
        'refused: more than 32, a topic that is not there, a queue that is not there, a group that may not read',
      client: 'wire',
      async run(bench, { topic, group, other }) {
        await filled(bench, topic, 1);
        await bench.group(other('closed'), { consumeEnable: false });
        const answers = [
          await bench.pop(topic, group, { maxMsgNums: 33 }),
          await bench.pop(other('none'), group),
          await bench.pop(topic, group, { queueId: 9 }),
          await bench.pop(topic, other('closed')),
        ];
        return answers.map(said).join(', ');
      },
    },
    {
      behaviour: 'a pop that waits ends when a message comes; one whose time is over gets its code',
      client: 'wire',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 0);
        const waiting = bench.pop(topic, group, { pollTime: 15_000 });
        await pause(500);
        await bench.put(topic, { properties: { UNIQ_KEY: `${topic}_0` } });
        const woken = await waiting;
        const timedOut = await bench.pop(topic, group, { pollTime: 1_000 });
        return `${said(woken)} ${keys(woken.messages)}; ${said(timedOut)}`;
      },
    },
    {
      behaviour: 'NOTIFICATION: with and without messages; POLLING_INFO; PEEK_MESSAGE takes nothing',
      client: 'wire',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 0);
        const ask = async () => {
          const values = { consumerGroup: group, topic, queueId: -1, pollTime: 0, bornTime: Date.now() };
          const { code, extFields } = await bench.ask(200054, values);
          return `code ${code} ${extFields.hasMsg}`;
        };
        const without = await ask();
        await bench.put(topic, { properties: { UNIQ_KEY: `${topic}_0` } });
        await bench.until('it in its queue', async () => ((await bench.maxOffset(topic)) === 1 ? true : undefined));
        const withOne = await ask();
        const polling = await bench.ask(200055, { consumerGroup: group, topic, queueId: -1 });
        const peeked = await bench.ask(200052, { consumerGroup: group, topic, queueId: -1, maxMsgNums: 8 });
        const { messages } = await bench.pop(topic, group);
        const seen = peeked.code === 0 ? bench.decode(peeked.body).length : 0;
        return `${without}, ${withOne}; ${said(polling)} ${polling.extFields.pollingNum}; ${said(peeked)} ${seen}; ${keys(messages)}`;
      },
    },
    {
      behaviour: 'the whole of a popped batch filtered: tags, SQL92, an expression that is none',
      client: 'wire',
      async run(bench, { topic, group, other }) {
        await bench.topic(topic);
        for (const [index, TAGS] of ['TagA', 'TagB', 'TagA'].entries()) {
          await bench.put(topic, { properties: { TAGS, UNIQ_KEY: `${topic}_${index}`, a: String(index) } });
        }
        await bench.until('all three', async () => ((await bench.maxOffset(topic)) === 3 ? true : undefined));
        const tags = await bench.pop(topic, group, { exp: 'TagB' });
        const sql = await bench.pop(topic, other('g2'), { expType: 'SQL92', exp: 'a >= 1' });
        const none = await bench.pop(topic, other('g3'), { expType: 'SQL92', exp: 'a >' });
        return `${keys(tags.messages)}; ${keys(sql.messages)}; ${said(none)}`;
      },
    },
    {
      behaviour:
        'two members of a group with other filters: each pop has its own, what one skips is gone for the other',
      client: 'wire',
      edge: 'B.21',
      async run(bench, { topic, group }) {
        await bench.topic(topic);
        for (const [index, TAGS] of ['TagA', 'TagB', 'TagA'].entries()) {
          await bench.put(topic, { properties: { TAGS, UNIQ_KEY: `${topic}_${index}` } });
        }
        await bench.until('all three', async () => ((await bench.maxOffset(topic)) === 3 ? true : undefined));
        const one = await bench.pop(topic, group, { exp: 'TagB' });
        const two = await bench.pop(topic, group, { exp: 'TagA' });
        return `${keys(one.messages)}; ${keys(two.messages)}`;
      },
    },
    {
      behaviour: 'acknowledged twice; acknowledged after its time',
      client: 'wire',
      edge: 'B.20',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 1);
        const { messages, handles } = await bench.pop(topic, group, { invisibleTime: INVISIBLE_MS });
        const answers = [
          await bench.ack(group, messages[0]!, handles[0]!),
          await bench.ack(group, messages[0]!, handles[0]!),
        ];
        await pause(INVISIBLE_MS + 1_000);
        answers.push(await bench.ack(group, messages[0]!, handles[0]!));
        return answers.map(said).join(', ');
      },
    },
    {
      behaviour: 'acks of a topic and a queue that are not there, of offsets beyond the end',
      client: 'wire',
      async run(bench, { topic, group, other }) {
        await filled(bench, topic, 2);
        const { messages, handles } = await bench.pop(topic, group);
        const ack = (values: Record<string, string | number>) => bench.ack(group, messages[0]!, handles[0]!, values);
        const answers = [
          await ack({ topic: other('none') }),
          await ack({ queueId: 9 }),
          await ack({ offset: 2 }),
          await ack({ offset: 3 }),
          await ack({ offset: -1 }),
        ];
        return answers.map(said).join(', ');
      },
    },
    {
      behaviour: 'an ack with a handle that is none',
      client: 'wire',
      differs: 'A handle that is none',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 1);
        const { messages, handles } = await bench.pop(topic, group);
        return said(await bench.ack(group, messages[0]!, handles[0]!, { extraInfo: 'no handle' }));
      },
    },
    {
      behaviour: 'BATCH_ACK_MESSAGE of three with one offset beyond the end: 0, and the others are acknowledged',
      client: 'wire',
      edge: 'B.19',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 3);
        const { handles } = await bench.pop(topic, group, { invisibleTime: INVISIBLE_MS });
        const answer = await batchAck(bench, topic, group, handles[0]!, 0, 2, 40);
        const again = await drained(bench, topic, group, INVISIBLE_MS + AGAIN_MS);
        return `${said(answer)}; again ${again.join(' ') || 'none'}`;
      },
    },
    {
      behaviour: 'BATCH_ACK_MESSAGE of none, and of a body that is none',
      client: 'wire',
      async run(bench) {
        const answers = [
          await bench.ask(200151, {}, JSON.stringify({ brokerName: 'broker-a', acks: [] })),
          await bench.ask(200151, {}),
        ];
        return answers.map(said).join(', ');
      },
    },
    {
      behaviour:
        'CHANGE_MESSAGE_INVISIBLETIME to longer: it does not come at its old time, its new handle acknowledges',
      client: 'wire',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 1);
        const { messages, handles } = await bench.pop(topic, group, { invisibleTime: INVISIBLE_MS });
        const changed = await bench.change(group, messages[0]!, handles[0]!, 40_000);
        const before = await drained(bench, topic, group, INVISIBLE_MS + 8_000);
        const acked = await bench.ack(group, messages[0]!, changedHandle(changed, handles[0]!));
        return `${said(changed)}; again ${before.join(' ') || 'none'}; ack ${said(acked)}`;
      },
    },
    {
      behaviour: 'CHANGE_MESSAGE_INVISIBLETIME to shorter: it comes again soon',
      client: 'wire',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 1);
        const { messages, handles } = await bench.pop(topic, group, { invisibleTime: 120_000 });
        const changed = await bench.change(group, messages[0]!, handles[0]!, 1_000);
        const again = await drained(bench, topic, group, AGAIN_MS);
        return `${said(changed)}; again ${again.join(' ') || 'none'}`;
      },
    },
    {
      behaviour: 'CHANGE_MESSAGE_INVISIBLETIME after its time: 0, and how often it comes again',
      client: 'wire',
      edge: 'B.18',
      differs: 'CHANGE_MESSAGE_INVISIBLETIME after the time is over',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 1);
        const { messages, handles } = await bench.pop(topic, group, { invisibleTime: INVISIBLE_MS });
        // Until RocketMQ has looked at it too; before that a change counts as if it came in time.
        await pause(INVISIBLE_MS + 9_000);
        const changed = await bench.change(group, messages[0]!, handles[0]!, 2_000);
        const again = await drained(bench, topic, group, 2 * AGAIN_MS);
        return `${said(changed)}; ${again.length} more ${again.length === 1 ? 'delivery' : 'deliveries'}`;
      },
    },
    {
      behaviour: 'CHANGE_MESSAGE_INVISIBLETIME of offsets beyond the end, of a topic and a queue that are not there',
      client: 'wire',
      async run(bench, { topic, group, other }) {
        await filled(bench, topic, 1);
        const { messages, handles } = await bench.pop(topic, group);
        const change = (values: Record<string, string | number>) =>
          bench.change(group, messages[0]!, handles[0]!, 10_000, values);
        const answers = [
          await change({ offset: 1 }),
          await change({ offset: 9 }),
          await change({ topic: other('none') }),
          await change({ queueId: 9 }),
        ];
        return answers.map(said).join(', ');
      },
    },
    {
      behaviour:
        'in order: 3 of 5 acknowledged, then nothing; at the end of their time 4 and 5 come again, then the rest',
      client: 'wire',
      edge: 'B.16',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 7);
        const first = await bench.pop(topic, group, order);
        for (const index of [0, 1, 2]) await bench.ack(group, first.messages[index]!, first.handles[index]!);
        const blocked = await bench.pop(topic, group, order);
        const again = await bench.until('the rest of the batch', async () => {
          const popped = await bench.pop(topic, group, { ...order, maxMsgNums: 2, invisibleTime: 30_000 });
          return popped.messages.length > 0 ? popped : undefined;
        });
        for (const [index, message] of again.messages.entries()) await bench.ack(group, message, again.handles[index]!);
        const rest = await bench.pop(topic, group, order);
        return `${keys(first.messages)}; ${said(blocked)}; ${keys(again.messages)}; ${keys(rest.messages)}`;
      },
    },
    {
      behaviour: 'in order, the same attemptId after a lost answer: the same batch; another attemptId: nothing',
      client: 'wire',
      edge: 'B.17',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 5);
        const long = { ...order, invisibleTime: 30_000 };
        const first = await bench.pop(topic, group, { ...long, attemptId: 'a' });
        const again = await bench.pop(topic, group, { ...long, attemptId: 'a' });
        const another = await bench.pop(topic, group, { ...long, attemptId: 'b' });
        const counts = again.messages.map(({ reconsumeTimes }) => reconsumeTimes);
        return `${keys(first.messages)}; ${keys(again.messages)}, counts ${counts.join(' ')}; ${said(another)}`;
      },
    },
    {
      behaviour: 'in order: an ack of an older pop, of an offset that is not in the batch, below what is committed',
      client: 'wire',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 6);
        const two = { ...order, maxMsgNums: 2, invisibleTime: 30_000 };
        const first = await bench.pop(topic, group, two);
        for (const [index, message] of first.messages.entries()) await bench.ack(group, message, first.handles[index]!);
        const second = await bench.pop(topic, group, two);
        const ack = (values: Record<string, string | number>) =>
          bench.ack(group, second.messages[0]!, second.handles[0]!, values);
        const stale = second.handles[0]!.split(' ').map((part, at) =>
          at === 1 ? String(Number(part) - 60_000) : part,
        );
        const answers = [await ack({ extraInfo: stale.join(' ') }), await ack({ offset: 5 }), await ack({ offset: 0 })];
        const still = await bench.pop(topic, group, two);
        return `${answers.map(said).join(', ')}; then ${said(still)}`;
      },
    },
    {
      behaviour: 'a blocked queue of a group in order, reset: the next pop starts at the new offset',
      client: 'wire',
      edge: 'B.25',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 6);
        await bench.group(group, { consumeMessageOrderly: true });
        const long = { ...order, maxMsgNums: 3, invisibleTime: 60_000 };
        const first = await bench.pop(topic, group, long);
        const blocked = await bench.pop(topic, group, long);
        const answer = await bench.ask(222, { topic, group, queueId: 0, offset: 1, timestamp: -1, isForce: true });
        const after = await bench.pop(topic, group, long);
        return `${keys(first.messages)}; ${said(blocked)}; reset ${said(answer)}; ${keys(after.messages)}`;
      },
    },
    restartCase({
      behaviour: 'SIGKILL with messages in flight: a handle from before acknowledges, what was not comes again once',
      client: 'wire',
      edge: 'B.24',
      async before(bench, { topic, group }) {
        await filled(bench, topic, 3);
        // RocketMQ writes how far a group popped each five seconds.
        const popped = await bench.pop(topic, group, { invisibleTime: LONG_MS });
        const due = Date.now() + LONG_MS;
        await pause(6_500);
        return { ...popped, due };
      },
      async after(bench, { topic, group }, known) {
        const acked = await bench.ack(group, known.messages[1]!, known.handles[1]!);
        const again = await drained(bench, topic, group, known.due - Date.now() + AGAIN_MS);
        return `ack ${said(acked)}; again ${again.join(' ')}`;
      },
    }),
    restartCase({
      behaviour: 'SIGKILL right after an ack: the message does not come again',
      client: 'wire',
      differs: 'A kill loses the offsets of up to five seconds of pops',
      apacheEither: ['it does', 'it does not'],
      last: true,
      async before(bench, { topic, group }) {
        await filled(bench, topic, 1);
        const { messages, handles } = await bench.pop(topic, group);
        await bench.ack(group, messages[0]!, handles[0]!);
      },
      async after(bench, { topic, group }) {
        const again = await drained(bench, topic, group, AGAIN_MS);
        return again.length === 0 ? 'it does not' : 'it does';
      },
    }),
  ],
};
