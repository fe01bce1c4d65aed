import type { TestContext } from 'node:test';
import {
  createRequest,
  type ExtFields,
  encodeHeartbeatData,
  RemotingClient,
  type RemotingCommand,
  RemotingServer,
  RequestCode,
  tagSubscription,
} from '@vernier/remoting';
import type { MessageStore, MessageStoreOptions } from '@vernier/store';
import { cleanUp, temporaryFolder } from '../../../test/support/clean-up.ts';
import { overwriteReads } from '../../../test/support/overwritten-reads.ts';
import { Broker, type BrokerDeps, type BrokerOptions, Namesrv } from '../src/index.ts';

// Every broker under test is one whose handlers keep nothing of what they were given.
overwriteReads();

const MiB = 1024 * 1024;

/** A store small enough to be made and thrown away a hundred times a run. */
export const smallStore = (storePathRootDir: string): MessageStoreOptions => ({
  storePathRootDir,
  flushDiskType: 'ASYNC_FLUSH',
  mappedFileSizeCommitLog: 16 * MiB,
  mappedFileSizeConsumeQueue: 300 * 20,
  maxHashSlotNum: 1_000,
  maxIndexNum: 4_000,
  maxMessageSize: 1 * MiB,
  diskFreeBytesMin: 0,
});

export interface TestBroker {
  broker: Broker;
  namesrv: Namesrv;
  client: RemotingClient;
  /** `host:port` of the broker. */
  address: string;
  directory: string;
  invoke(code: number, fields?: ExtFields, body?: Buffer | string): Promise<RemotingCommand>;
}

export interface TestBrokerOptions {
  broker?: BrokerOptions;
  store?: Partial<MessageStoreOptions>;
  deps?: Partial<BrokerDeps>;
  directory?: string;
}

/** A broker on a free port with a nameserver beside it and one client; all gone at the test's end. */
export async function startBroker(t: TestContext, options: TestBrokerOptions = {}): Promise<TestBroker> {
  const directory = options.directory ?? (await temporaryFolder(t, 'broker'));
  const namesrv = new Namesrv({ port: 0 });
  await namesrv.start();
  const broker = new Broker(
    { listenPort: 0, ...options.broker },
    { store: { ...smallStore(directory), ...options.store }, namesrv, ...options.deps },
  );
  const client = new RemotingClient();
  cleanUp(t, async () => {
    await client.close();
    await broker.shutdown();
    await namesrv.shutdown(0);
  });
  await broker.start();
  const { address } = broker;
  const invoke = (code: number, fields?: ExtFields, body?: Buffer | string): Promise<RemotingCommand> => {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    return client.invoke(address, createRequest(code, fields, bytes), 10_000);
  };
  return { broker, namesrv, client, address, directory, invoke };
}

/** Deps that open the real store and change some of its methods. */
export function withStore(change: (store: MessageStore) => void): Pick<BrokerDeps, 'openMessageStore'> {
  return {
    openMessageStore: async (options, more) => {
      const { MessageStore } = await import('@vernier/store');
      const store = await MessageStore.open(options, more);
      change(store);
      return store;
    },
  };
}

export const sendFields = (topic: string, queueId = 0, more: ExtFields = {}): ExtFields => ({
  a: 'producers',
  b: topic,
  c: 'TBW102',
  d: '4',
  e: String(queueId),
  f: '0',
  g: '1700000000000',
  h: '0',
  i: '',
  j: '0',
  k: 'false',
  m: 'false',
  ...more,
});

/** Sends with SEND_MESSAGE_V2; the raw answer. */
export const send = (
  { invoke }: Pick<TestBroker, 'invoke'>,
  topic: string,
  body: string,
  properties = '',
  queueId = 0,
): Promise<RemotingCommand> => invoke(RequestCode.SEND_MESSAGE_V2, sendFields(topic, queueId, { i: properties }), body);

export const pullFields = (topic: string, queueOffset: number, more: ExtFields = {}): ExtFields => ({
  consumerGroup: 'consumers',
  topic,
  queueId: '0',
  queueOffset: String(queueOffset),
  maxMsgNums: '32',
  sysFlag: '4',
  commitOffset: '0',
  suspendTimeoutMillis: '0',
  subscription: '*',
  subVersion: '0',
  expressionType: 'TAG',
  ...more,
});

export const heartbeat = (
  clientID: string,
  options: {
    producers?: string[];
    group?: string;
    topic?: string;
    tags?: string;
    /** SQL92, instead of tags. */
    sql?: string;
    model?: 'CLUSTERING' | 'BROADCASTING';
    subVersion?: number;
  } = {},
): Buffer =>
  encodeHeartbeatData({
    clientID,
    producerGroups: options.producers ?? [],
    consumers:
      options.group === undefined
        ? []
        : [
            {
              groupName: options.group,
              consumeType: 'CONSUME_PASSIVELY',
              messageModel: options.model ?? 'CLUSTERING',
              consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
              subscriptionDataSet: [
                {
                  ...tagSubscription(options.topic ?? 'T', options.tags ?? '*', options.subVersion ?? 1),
                  ...(options.sql === undefined ? {} : { subString: options.sql, expressionType: 'SQL92' }),
                },
              ],
              unitMode: false,
            },
          ],
    heartbeatFingerprint: 0,
    withoutSub: false,
  });

export const property = (name: string, value: string): string => `${name}\u0001${value}\u0002`;

/** A port that is free, as is the one two below it; somebody else may take them before the test does. */
export async function freePort(): Promise<number> {
  for (;;) {
    const server = new RemotingServer();
    const { port } = await server.listen({ port: 0 });
    const isFree =
      port > 1_026 &&
      (await server.listen({ port: port - 2 }).then(
        () => true,
        () => false,
      ));
    await server.shutdown(0);
    if (isFree) return port;
  }
}
