/** rocketmq-client-nodejs, Apache's client of the gRPC protocol for Node.js, behind the commands of ../grpc-suite.ts. */
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { type Arguments, serve } from './serve.ts';

interface View {
  messageId: string;
  body: Buffer;
  tag?: string;
  keys: string[];
  properties: Map<string, string>;
  deliveryAttempt?: number;
}

interface Life {
  startup(): Promise<void>;
  shutdown(): Promise<void>;
}

interface Receipt {
  messageId: string;
  recallHandle?: string;
}

interface Sender extends Life {
  send(message: object, transaction?: object): Promise<Receipt>;
  recallMessage(topic: string, handle: string): Promise<{ messageId: string }>;
  beginTransaction(): { commit(): Promise<void>; rollback(): Promise<void> };
}

interface Simple extends Life {
  receive(max: number, invisibleMs: number): Promise<View[]>;
  ack(message: View): Promise<void>;
  changeInvisibleDuration(message: View, ms: number): Promise<void>;
}

const { Producer, SimpleConsumer, PushConsumer, FilterExpression, ConsumeResult } = createRequire(import.meta.url)(
  'rocketmq-client-nodejs',
) as {
  Producer: new (options: object) => Sender;
  SimpleConsumer: new (options: object) => Simple;
  PushConsumer: new (options: object) => Life;
  FilterExpression: new (expression: string, type?: number) => object;
  ConsumeResult: { SUCCESS: unknown; FAILURE: unknown };
};

const COMMIT = 1;
const ROLLBACK = 2;
const UNKNOWN = 0;
const [TAG, SQL] = [1, 2];

const say = (...words: unknown[]): void => void process.stderr.write(`${words.join(' ')}\n`);
const logger = { debug() {}, info() {}, warn: say, error: say };

const common = (args: Arguments) => ({
  ...{ endpoints: args.text('endpoints'), namespace: '', logger, sslEnabled: args.flag('tls'), requestTimeout: 10_000 },
});
const filterOf = (args: Arguments): object =>
  args.text('sql', '') === ''
    ? new FilterExpression(args.text('tag', '*'), TAG)
    : new FilterExpression(args.text('sql'), SQL);

const shown = ({ messageId, body, tag, keys, properties, deliveryAttempt }: View) => ({
  ...{ id: messageId, body: body.toString(), tag: tag ?? '', keys: keys.join(' '), attempt: deliveryAttempt ?? 0 },
  digest: createHash('sha256').update(body).digest('hex'),
  properties: Object.fromEntries(properties),
});

const producers = new Map<string, Sender>();
const simples = new Map<string, { consumer: Simple; held: Map<string, View> }>();

interface Pushed {
  consumer: Life;
  received: ReturnType<typeof shown>[];
}
const pushes = new Map<string, Pushed>();

const found = <Value>(map: Map<string, Value>, args: Arguments): Value => {
  const value = map.get(args.text('name'));
  if (value === undefined) throw new Error(`nothing is called ${args.text('name')}`);
  return value;
};

function messageOf(args: Arguments, index: number): object {
  const body = `${args.text('prefix')}-${index}`;
  const group = args.number('groups', 0);
  const delay = args.number('delayMs', 0);
  return {
    ...{ topic: args.text('topic'), body: Buffer.from(body.padEnd(args.number('size', 0), '.')) },
    ...{ keys: [`key-${index}`], properties: new Map([['index', String(index)]]) },
    ...(args.text('tag', '') === '' ? {} : { tag: args.text('tag') }),
    ...(group === 0 ? {} : { messageGroup: `group-${index % group}` }),
    ...(delay === 0 ? {} : { deliveryTimestamp: new Date(Date.now() + delay) }),
  };
}

serve({
  async 'producer.start'(args) {
    const check = args.text('check', '');
    const producer = new Producer({
      ...common(args),
      topics: [args.text('topic')],
      checker: {
        check: async () => (check === 'commit' ? COMMIT : check === 'rollback' ? ROLLBACK : UNKNOWN),
      },
    });
    await producer.startup();
    producers.set(args.text('name'), producer);
  },
  async 'producer.send'(args) {
    const producer = found(producers, args);
    const receipts: { id: string; handle: string }[] = [];
    for (let index = 0; index < args.number('count'); index++) {
      const resolve = args.text('resolve', '');
      const transaction = resolve === '' ? undefined : producer.beginTransaction();
      const { messageId, recallHandle = '' } = await producer.send(messageOf(args, index), transaction);
      if (resolve === 'commit') await transaction!.commit();
      if (resolve === 'rollback') await transaction!.rollback();
      receipts.push({ id: messageId, handle: recallHandle });
    }
    return receipts;
  },
  async 'producer.recall'(args) {
    return (await found(producers, args).recallMessage(args.text('topic'), args.text('handle'))).messageId;
  },
  async 'producer.stop'(args) {
    await found(producers, args).shutdown();
    producers.delete(args.text('name'));
  },
  async 'simple.start'(args) {
    const consumer = new SimpleConsumer({
      ...{ ...common(args), consumerGroup: args.text('group'), awaitDuration: 5_000 },
      subscriptions: new Map([[args.text('topic'), filterOf(args)]]),
    });
    await consumer.startup();
    simples.set(args.text('name'), { consumer, held: new Map() });
  },
  async 'simple.receive'(args) {
    const { consumer, held } = found(simples, args);
    const views = await consumer.receive(args.number('max', 32), args.number('invisibleMs', 15_000));
    for (const view of views) held.set(view.messageId, view);
    return views.map(shown);
  },
  async 'simple.ack'(args) {
    const { consumer, held } = found(simples, args);
    await consumer.ack(held.get(args.text('id'))!);
  },
  async 'simple.change'(args) {
    const { consumer, held } = found(simples, args);
    await consumer.changeInvisibleDuration(held.get(args.text('id'))!, args.number('ms'));
  },
  async 'simple.stop'(args) {
    await found(simples, args).consumer.shutdown();
    simples.delete(args.text('name'));
  },
  async 'push.start'(args) {
    const fail = args.text('fail', '');
    const received: Pushed['received'] = [];
    const consumer = new PushConsumer({
      ...{ ...common(args), consumerGroup: args.text('group') },
      subscriptions: new Map([[args.text('topic'), filterOf(args)]]),
      messageListener: {
        async consume(view: View) {
          const message = shown(view);
          received.push(message);
          const isFailed = fail === 'always' || (fail === 'once' && message.attempt === 1);
          return isFailed ? ConsumeResult.FAILURE : ConsumeResult.SUCCESS;
        },
      },
    });
    await consumer.startup();
    pushes.set(args.text('name'), { consumer, received });
  },
  'push.received': (args) => found(pushes, args).received,
  async 'push.stop'(args) {
    await found(pushes, args).consumer.shutdown();
    pushes.delete(args.text('name'));
  },
});
