/** Which broker the suites talk to, and the topics they make on it. */
import type { BrokerPeer } from './broker-peer.ts';
import { askUntil } from './child.ts';
import { startApacheRocketMQ } from './java-broker.ts';
import { type Answer, ask, hasRoute } from './remoting-ask.ts';
import { unique } from './suite.ts';
import { startVernier } from './vernier.ts';

export type FlushDiskType = 'SYNC_FLUSH' | 'ASYNC_FLUSH';

export const flushDiskTypes: readonly FlushDiskType[] = ['SYNC_FLUSH', 'ASYNC_FLUSH'];

/** `npm run interop -- --broker apache` proves the suites against RocketMQ itself. */
export const brokerKind: 'apache' | 'vernier' = process.env.INTEROP_BROKER === 'apache' ? 'apache' : 'vernier';

export function startBroker(
  flushDiskType: FlushDiskType,
  extraConfig: Record<string, string | number | boolean> = {},
  kind: 'apache' | 'vernier' = brokerKind,
  storeDir?: string,
): Promise<BrokerPeer> {
  return kind === 'apache'
    ? startApacheRocketMQ({ flushDiskType, extraConfig, storeDir })
    : startVernier({ flushDiskType, extraConfig, storeDir });
}

/** RocketMQ's keys of TLS are system properties of Java, and settings of ours. */
export function startTlsBroker(keys: Record<string, string>): Promise<BrokerPeer> {
  return brokerKind === 'apache'
    ? startApacheRocketMQ({ flushDiskType: 'SYNC_FLUSH', systemProperties: keys })
    : startVernier({ flushDiskType: 'SYNC_FLUSH', extraConfig: keys });
}

/** A broker that serves the gRPC protocol too, in the same process. */
export const startBrokerWithProxy = (
  extraConfig: Record<string, string | number | boolean> = {},
  kind: 'apache' | 'vernier' = brokerKind,
): Promise<BrokerPeer> => {
  const options = { flushDiskType: 'SYNC_FLUSH', extraConfig, proxy: true } as const;
  return kind === 'apache' ? startApacheRocketMQ(options) : startVernier(options);
};

/** RequestCode 17 UPDATE_AND_CREATE_TOPIC. `attributes` as RocketMQ writes them: `+name=value`. */
export const updateTopic = (broker: BrokerPeer, topic: string, queues: number, attributes?: string): Promise<Answer> =>
  ask(broker.brokerAddr, 17, {
    topic,
    defaultTopic: 'TBW102',
    readQueueNums: String(queues),
    writeQueueNums: String(queues),
    perm: '6',
    topicFilterType: 'SINGLE_TAG',
    topicSysFlag: '0',
    order: 'false',
    ...(attributes === undefined ? {} : { attributes }),
  });

/** Resolves once the nameserver gives a route to the topic. */
export async function createTopic(
  broker: BrokerPeer,
  topic: string,
  queues = 4,
  attributes: string | undefined = undefined,
): Promise<void> {
  const answer = await updateTopic(broker, topic, queues, attributes);
  if (answer.code !== 0) throw new Error(`creating topic ${topic}: code ${answer.code} ${answer.remark ?? ''}`);
  await askUntil(`route of ${topic}`, 30_000, undefined, async () =>
    (await hasRoute(broker.namesrvAddr, topic)) ? true : undefined,
  );
}

/** Makes a group of consumers of a new name. */
export async function createGroup(broker: BrokerPeer, values: object = {}): Promise<string> {
  const groupName = unique('group');
  const group = { groupName, consumeEnable: true, retryQueueNums: 1, retryMaxTimes: 16, ...values };
  const answer = await ask(broker.brokerAddr, 200, {}, Buffer.from(JSON.stringify(group)));
  if (answer.code !== 0) throw new Error(`creating group ${groupName}: code ${answer.code} ${answer.remark ?? ''}`);
  return groupName;
}
