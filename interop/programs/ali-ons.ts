/**
 * ali-ons, the RocketMQ client of npm that speaks the remoting protocol, behind the commands of the other clients. It
 * has neither oneway messages nor batches nor an orderly consumer.
 */
import { createRequire } from 'node:module';
import { Received, sample } from './samples.ts';
import { type Arguments, serve } from './serve.ts';

interface OnsMessage {
  topic: string;
  tags: string;
  keys: string;
  body: Buffer;
  flag: number;
  properties: Record<string, string>;
  queueId: number;
  queueOffset: number;
  reconsumeTimes: number;
}

interface OnsSendResult {
  sendStatus: string;
  msgId: string;
  offsetMsgId?: string;
  queueOffset: number;
  messageQueue: { queueId: number };
}

interface OnsClient {
  ready(): Promise<void>;
  close(): Promise<void>;
  on(event: 'error', listener: (error: Error) => void): void;
}

interface OnsProducer extends OnsClient {
  send(message: object): Promise<OnsSendResult>;
}

interface OnsConsumer extends OnsClient {
  readonly processQueueTable: Map<string, { messageQueue: { topic: string } }>;
  subscribe(topic: string, tags: string, handler: (message: OnsMessage) => Promise<unknown>): void;
}

const { Consumer, Message, Producer } = createRequire(import.meta.url)('ali-ons') as {
  Message: new (topic: string, tags: string, body: Buffer) => { keys: string[]; flag: number; properties: object };
  Producer: new (options: object) => OnsProducer;
  Consumer: (new (options: object) => OnsConsumer) & { ACTION_RETRY: unknown };
};

const quiet = { debug() {}, info() {}, warn() {}, error: (error: unknown) => process.stderr.write(`${error}\n`) };

const common = (args: Arguments) => ({
  nameSrv: args.text('namesrv'),
  instanceName: args.text('name'),
  // Asked for even with a fixed nameserver, which it would only look up.
  httpclient: { request: () => Promise.reject(new Error('no HTTP here')) },
  logger: quiet,
  pollNameServerInteval: 1_000,
  rebalanceInterval: 2_000,
});

const producers = new Map<string, OnsProducer>();
const consumers = new Map<string, { client: OnsConsumer; received: Received }>();

function onsMessage(topic: string, run: string, index: number): object {
  const { body, tags, keys, flag, properties } = sample(run, index);
  const message = new Message(topic, tags, body);
  message.keys = keys;
  message.flag = flag;
  Object.assign(message.properties, properties);
  return message;
}

async function send(args: Arguments): Promise<unknown> {
  const producer = producers.get(args.text('name'))!;
  const [topic, run, from] = [args.text('topic'), args.text('run'), args.number('from', 0)];
  const count = args.number('count');
  const status: Record<string, number> = {};
  const errors: Record<string, number> = {};
  const samples: object[] = [];
  const one = async (index: number): Promise<void> => {
    try {
      const result = await producer.send(onsMessage(topic, run, index));
      status[result.sendStatus] = (status[result.sendStatus] ?? 0) + 1;
      if (samples.length < 20) {
        const { msgId, offsetMsgId, queueOffset, messageQueue } = result;
        samples.push({ index, msgId, offsetMsgId, queueOffset, queueId: messageQueue.queueId });
      }
    } catch (error) {
      errors[String(error)] = (errors[String(error)] ?? 0) + 1;
    }
  };
  const began = performance.now();
  // `sync` waits for each message, in as many lanes as asked for; `async` keeps 64 on their way.
  const lanes = args.text('mode') === 'async' ? 64 : args.number('threads', 1);
  await Promise.all(
    Array.from({ length: lanes }, async (_, lane) => {
      for (let index = from + lane; index < from + count; index += lanes) await one(index);
    }),
  );
  return { status, errors, samples, millis: Math.round(performance.now() - began) };
}

async function startConsumer(args: Arguments): Promise<unknown> {
  const received = new Received(args.text('run'));
  const failOnce = args.number('failOnce', -1);
  const client = new Consumer({
    ...common(args),
    consumerGroup: args.text('group'),
    consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
    persistConsumerOffsetInterval: 1_000,
  });
  client.on('error', (error) => process.stderr.write(`${error.stack}\n`));
  client.subscribe(args.text('topic'), args.text('tags', '*'), async (message) => {
    const first = received.add({
      ...message,
      tags: message.tags,
      keys: message.keys,
      queue: String(message.queueId),
      queueOffset: Number(message.queueOffset),
    });
    return first && Number(message.properties.index) === failOnce ? Consumer.ACTION_RETRY : undefined;
  });
  await client.ready();
  consumers.set(args.text('name'), { client, received });
  return 'started';
}

serve({
  'producer.start': async (args) => {
    const producer = new Producer({ ...common(args), producerGroup: args.text('group') });
    producer.on('error', (error) => process.stderr.write(`${error.stack}\n`));
    await producer.ready();
    producers.set(args.text('name'), producer);
    return 'started';
  },
  'producer.send': send,
  'producer.stop': async (args) => {
    await producers.get(args.text('name'))!.close();
    producers.delete(args.text('name'));
    return 'stopped';
  },
  'consumer.start': startConsumer,
  'consumer.await': async (args) => {
    const { received } = consumers.get(args.text('name'))!;
    await received.await(args.number('distinct'), args.number('timeout', 60_000));
    return received.report(args.flag('indexes'));
  },
  'consumer.queues': (args) => {
    const { client } = consumers.get(args.text('name'))!;
    return [...client.processQueueTable.values()].filter((held) => held.messageQueue.topic === args.text('topic'))
      .length;
  },
  'consumer.stop': async (args) => {
    const { client, received } = consumers.get(args.text('name'))!;
    consumers.delete(args.text('name'));
    await client.close();
    return received.report(args.flag('indexes'));
  },
});
