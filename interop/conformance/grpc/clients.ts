/** Who a client says that it is, and what it asks before it sends or receives. */
import type { Answer, Fields, Queue, RawGrpc } from '../../peers/grpc-raw.ts';
import { millisecondsOf, type Time } from '../../peers/grpc-raw.ts';
import type { Bench } from '../bench.ts';
import type { Chapter, Names } from '../case.ts';
import { consumer, each, said, subscription, typed } from './asks.ts';

const route = (client: RawGrpc, name: string, endpoints: Fields = local): Promise<Answer> =>
  client.call('QueryRoute', { topic: { name }, endpoints });
const assignment = (client: RawGrpc, topic: string, group: string): Promise<Answer> =>
  client.call('QueryAssignment', { topic: { name: topic }, group: { name: group }, endpoints: local });

const local: Fields = { scheme: 'IPv4', addresses: [{ host: '127.0.0.1', port: 1 }] };

const typesOf = ({ status, messageQueues }: Answer): string => {
  const [queue] = messageQueues ?? [];
  return queue === undefined ? status.code : queue.acceptMessageTypes.join('+');
};

const shownQueues = (queues: readonly Queue[]): string =>
  queues.map(({ id, permission }) => `${id} ${permission}`).join(', ');

/** Times of a retry policy, in seconds. */
function shownPolicy(policy: Fields | null | undefined): string {
  if (policy === null || policy === undefined) return 'no policy';
  const seconds = (time: unknown): string => String(millisecondsOf(time as Time) / 1_000);
  const { maxAttempts, strategy, exponentialBackoff, customizedBackoff } = policy as Record<string, Fields>;
  if (String(strategy) === 'customizedBackoff') {
    return `${maxAttempts} attempts, after ${(customizedBackoff!.next as Time[]).map(seconds).join(' ')} s`;
  }
  const { initial, max, multiplier } = exponentialBackoff!;
  return `${maxAttempts} attempts, after ${seconds(initial)} s times ${multiplier} up to ${seconds(max)} s`;
}

function shownSubscription({ backoffPolicy, subscription: own }: Fields): string {
  const { fifo, receiveBatchSize, longPollingTimeout } = own as Fields;
  const poll = millisecondsOf(longPollingTimeout as Time);
  return `${shownPolicy(backoffPolicy as Fields)}; fifo ${fifo}, ${receiveBatchSize} at once, polls ${poll} ms`;
}

async function consumerSettings(bench: Bench, names: Names, clientType: string, group: Fields): Promise<string> {
  await bench.topic(names.topic, 1, typed('NORMAL'));
  await bench.group(names.group, group);
  const client = bench.grpc(`${names.group}@client`);
  const { settings } = await client.settings({ clientType, subscription: subscription(names.group, names.topic) });
  return settings === undefined ? 'no settings' : shownSubscription(settings);
}

/** How a stream of settings ends that are not taken. */
async function refusal(bench: Bench, id: string, settings: Fields): Promise<string> {
  const { stream, settings: taken } = await bench.grpc(id).settings(settings);
  if (taken !== undefined) return 'taken';
  await bench.until('the end of the stream', async () => stream.ended);
  return stream.ended!.code;
}

const heartbeat = async (client: RawGrpc, clientType: string, group?: string): Promise<string> =>
  said(await client.call('Heartbeat', { clientType, ...(group === undefined ? {} : { group: { name: group } }) }));

/** Ids of clients of the group, as the other protocol is told (GET_CONSUMER_LIST_BY_GROUP). */
async function members(bench: Bench, consumerGroup: string): Promise<string> {
  const { code, body } = await bench.ask(38, { consumerGroup });
  if (code !== 0) return `code ${code}`;
  return (JSON.parse(body.toString()) as { consumerIdList: string[] }).consumerIdList.join(' ');
}

export const clients: Chapter = {
  title: 'Clients of gRPC: settings, heartbeats, routes',
  cases: [
    {
      behaviour: 'the route of a topic: queues, permissions, broker',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic, 3, typed('NORMAL'));
        const { status, messageQueues } = await route(bench.grpc('router'), topic);
        const [{ broker }] = messageQueues as [Queue];
        const { scheme, addresses } = broker.endpoints;
        return `${status.code}; ${shownQueues(messageQueues)}; ${broker.name} ${broker.id}; ${scheme} ${addresses[0]?.host}`;
      },
    },
    {
      behaviour: 'the port in the route, asked with port 1',
      client: 'wire',
      differs: "The route names the proxy's own port.",
      async run(bench, { topic }) {
        await bench.topic(topic, 1, typed('NORMAL'));
        const { messageQueues } = await route(bench.grpc('router'), topic);
        const port = messageQueues[0]?.broker.endpoints.addresses[0]?.port;
        return port === 1 ? 'the one that was asked with' : 'the one of the proxy';
      },
    },
    {
      behaviour: 'queues of topics to read only, to write only, and neither',
      client: 'wire',
      async run(bench, { other }) {
        const client = bench.grpc('router');
        const shown = async (name: string, values: Record<string, number>): Promise<string> => {
          await bench.topic(name, 1, { ...typed('NORMAL'), ...values });
          return shownQueues((await route(client, name)).messageQueues ?? []) || 'no queues';
        };
        return each({
          read: () => shown(other('b'), { perm: 4 }),
          write: () => shown(other('c'), { perm: 2 }),
          neither: () => shown(other('d'), { perm: 0 }),
        });
      },
    },
    {
      behaviour: 'queues of a topic with four to read and two to write',
      client: 'wire',
      differs: 'The first numbers of a route are those of queues that are only read,',
      async run(bench, { topic }) {
        await bench.topic(topic, 1, { ...typed('NORMAL'), readQueueNums: 4, writeQueueNums: 2 });
        return shownQueues((await route(bench.grpc('router'), topic)).messageQueues);
      },
    },
    {
      behaviour: 'types of messages that topics take',
      client: 'wire',
      async run(bench, { other }) {
        const client = bench.grpc('router');
        const taken = async (type: string): Promise<string> => {
          await bench.topic(other(type), 1, type === 'none' ? {} : typed(type));
          return typesOf(await route(client, other(type)));
        };
        return each(
          Object.fromEntries(
            ['none', 'NORMAL', 'FIFO', 'DELAY', 'TRANSACTION'].map((type) => [type, () => taken(type)]),
          ),
        );
      },
    },
    {
      behaviour: 'a topic that is not there',
      client: 'wire',
      differs: 'A topic that is not there: 40402',
      run: async (bench, { topic }) => said(await route(bench.grpc('router'), topic)),
    },
    {
      behaviour: 'names of topics: empty, blank, `a b`, `a.b`, of 128 characters, of the system, a retry topic',
      client: 'wire',
      async run(bench, { group }) {
        const client = bench.grpc('router');
        const asked = [
          '',
          ' ',
          'a b',
          'a.b',
          'x'.repeat(128),
          'TBW102',
          'SCHEDULE_TOPIC_XXXX',
          'RMQ_SYS_TRANS_HALF_TOPIC',
        ];
        const names = asked.map((name) => [name === '' ? 'empty' : name.slice(0, 24), name] as const);
        await bench.topic(`%RETRY%${group}`);
        const all = [...names, ['retry', `%RETRY%${group}`] as const];
        return each(Object.fromEntries(all.map(([what, name]) => [what, async () => said(await route(client, name))])));
      },
    },
    {
      behaviour: 'calls without the id of a client',
      client: 'wire',
      async run(bench, { topic, group }) {
        await bench.topic(topic, 1, typed('NORMAL'));
        const client = bench.grpc('');
        return each({
          QueryRoute: async () => said(await route(client, topic)),
          Heartbeat: () => heartbeat(client, 'PRODUCER'),
          AckMessage: async () =>
            said(await client.call('AckMessage', { topic: { name: topic }, group: { name: group } })),
        });
      },
    },
    {
      behaviour: 'settings of a producer',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic, 1, typed('NORMAL'));
        const publishing = { topics: [{ name: topic }], maxBodySize: 1, validateMessageType: false };
        const { settings } = await bench.grpc(topic).settings({ clientType: 'PRODUCER', publishing });
        if (settings === undefined) return 'no settings';
        const { maxBodySize, validateMessageType, topics } = settings.publishing as Fields;
        const named = (topics as { name: string }[]).map(({ name }) => name).join(' ');
        const rest = `bodies of ${maxBodySize}, types checked ${validateMessageType}, ${named}`;
        return `${shownPolicy(settings.backoffPolicy as Fields)}; ${rest}; ${settings.clientType}`;
      },
    },
    {
      behaviour: 'settings of a push consumer, of a group as it is made',
      client: 'wire',
      run: (bench, names) => consumerSettings(bench, names, 'PUSH_CONSUMER', {}),
    },
    {
      behaviour: 'of a simple consumer in order, with three retries',
      client: 'wire',
      run: (bench, names) =>
        consumerSettings(bench, names, 'SIMPLE_CONSUMER', { consumeMessageOrderly: true, retryMaxTimes: 3 }),
    },
    {
      behaviour: 'of groups with retries of their own: customized, exponential',
      client: 'wire',
      async run(bench, names) {
        const of = (suffix: string, groupRetryPolicy: Fields) =>
          consumerSettings(bench, { ...names, group: names.other(suffix) }, 'PUSH_CONSUMER', { groupRetryPolicy });
        const exponentialRetryPolicy = { initial: 2_000, max: 60_000, multiplier: 3 };
        const one = await of('a', { type: 'CUSTOMIZED', customizedRetryPolicy: { next: [1_000, 2_500] } });
        return `${one}; ${await of('b', { type: 'EXPONENTIAL', exponentialRetryPolicy })}`;
      },
    },
    {
      behaviour: 'settings of a consumer whose group is not there',
      client: 'wire',
      differs: 'A consumer whose group is not there is refused,',
      async run(bench, { topic, group }) {
        await bench.topic(topic, 1, typed('NORMAL'));
        const settings = { clientType: 'SIMPLE_CONSUMER', subscription: subscription(group, topic) };
        return refusal(bench, `${group}@client`, settings);
      },
    },
    {
      behaviour: 'settings that are neither of a producer nor of a consumer; of a bad topic; of a bad group',
      client: 'wire',
      async run(bench, { topic }) {
        const producer = { clientType: 'PRODUCER', publishing: { topics: [{ name: 'a b' }] } };
        return each({
          neither: () => refusal(bench, 'neither', { clientType: 'PRODUCER' }),
          topic: () => refusal(bench, 'bad-topic', producer),
          group: () =>
            refusal(bench, 'bad-group', { clientType: 'PUSH_CONSUMER', subscription: subscription('a b', topic) }),
        });
      },
    },
    {
      behaviour: 'heartbeats: before settings, of a producer, of a consumer',
      client: 'wire',
      async run(bench, names) {
        const before = bench.grpc('before');
        const client = await consumer(bench, names);
        const producer = bench.grpc(`${names.topic}@producer`);
        await producer.settings({ clientType: 'PRODUCER', publishing: { topics: [{ name: names.topic }] } });
        return each({
          before: () => heartbeat(before, 'PRODUCER'),
          producer: () => heartbeat(producer, 'PRODUCER'),
          consumer: () => heartbeat(client, 'SIMPLE_CONSUMER', names.group),
        });
      },
    },
    {
      behaviour: 'heartbeats of a consumer that do not say its group, and that say a bad one',
      client: 'wire',
      differs: 'A heartbeat of a consumer has to say its group.',
      async run(bench, names) {
        const client = await consumer(bench, names);
        return `${await heartbeat(client, 'SIMPLE_CONSUMER')}, ${await heartbeat(client, 'SIMPLE_CONSUMER', 'a b')}`;
      },
    },
    {
      behaviour: 'a consumer is in the list of its group until it says that it goes',
      client: 'wire',
      async run(bench, names) {
        const client = await consumer(bench, names);
        const there = await members(bench, names.group);
        const gone = said(await client.call('NotifyClientTermination', { group: { name: names.group } }));
        const again = said(await client.call('NotifyClientTermination', { group: { name: names.group } }));
        return `${there}; ${gone}, ${again}; ${(await members(bench, names.group)) || 'nobody'}`;
      },
    },
    {
      behaviour: 'assignments: of a group, of one in order, of a topic that nobody may read, of bad names',
      client: 'wire',
      async run(bench, { topic, group, other }) {
        await bench.topic(topic, 3, typed('NORMAL'));
        await bench.topic(other('w'), 1, { ...typed('NORMAL'), perm: 2 });
        await bench.group(group);
        await bench.group(other('o'), { consumeMessageOrderly: true });
        const client = bench.grpc('asker');
        const asked = async (name: string, of: string): Promise<string> => {
          const { status, assignments } = await assignment(client, name, of);
          return status.code === 'OK' ? shownQueues(assignments.map(({ messageQueue }) => messageQueue)) : status.code;
        };
        return each({
          group: () => asked(topic, group),
          'in order': () => asked(topic, other('o')),
          'not there': () => asked(topic, other('n')),
          'write only': () => asked(other('w'), group),
          'bad topic': () => asked('a b', group),
          'bad group': () => asked(topic, 'a b'),
          'long group': () => asked(topic, 'g'.repeat(256)),
          'system group': () => asked(topic, 'CID_RMQ_SYS_TRANS'),
        });
      },
    },
  ],
};
