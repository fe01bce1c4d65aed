import { RequestCode } from '../codes/request-code.ts';
import { ResponseCode } from '../codes/response-code.ts';
import { RemotingError } from '../errors.ts';
import type { RemotingClient } from '../net/client.ts';
import type { MessageQueue } from '../protocol/message-queue.ts';
import { createRequest, type RemotingCommand } from '../protocol/remoting-command.ts';
import {
  type ClusterInfo,
  decodeClusterInfo,
  decodeTopicRouteData,
  selectBrokerAddr,
  type TopicRouteData,
} from '../protocol/route.ts';
import { decodeTopicList } from '../protocol/tables.ts';
import { Perm } from '../protocol/topic-config.ts';
import { expectSuccess, responseError } from './response.ts';

/** A queue and the broker to ask for it. */
export interface RoutedQueue extends MessageQueue {
  brokerAddr: string;
}

/**
 * Route of a topic from the first name server that answers; undefined when it knows no such topic. Rejects with the
 * last REMOTING_* error when none answers.
 */
export async function fetchTopicRoute(
  client: RemotingClient,
  nameServers: readonly string[],
  topic: string,
  timeoutMs = 3000,
): Promise<TopicRouteData | undefined> {
  const { address, response } = await askNameServer(client, nameServers, timeoutMs, () =>
    createRequest(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic, acceptStandardJsonOnly: 'true' }),
  );
  if (response.code === ResponseCode.TOPIC_NOT_EXIST) return undefined;
  if (response.code !== ResponseCode.SUCCESS) throw responseError(response, address, `route of ${topic}`);
  return decodeTopicRouteData(response.body);
}

/** Clusters and brokers that a name server knows. Rejects as `fetchTopicRoute`. */
export async function fetchClusterInfo(
  client: RemotingClient,
  nameServers: readonly string[],
  timeoutMs = 3000,
): Promise<ClusterInfo> {
  const { address, response } = await askNameServer(client, nameServers, timeoutMs, () =>
    createRequest(RequestCode.GET_BROKER_CLUSTER_INFO),
  );
  return decodeClusterInfo(expectSuccess(response, address, 'cluster info').body);
}

/** Names of all topics that a name server knows. Rejects as `fetchTopicRoute`. */
export async function fetchTopicList(
  client: RemotingClient,
  nameServers: readonly string[],
  timeoutMs = 3000,
): Promise<string[]> {
  const { address, response } = await askNameServer(client, nameServers, timeoutMs, () =>
    createRequest(RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER),
  );
  return decodeTopicList(expectSuccess(response, address, 'topic list').body).topicList;
}

/** Queues that may be written to, in the order of broker name and queue id; on masters only. */
export function writableQueues(route: TopicRouteData, topic: string): RoutedQueue[] {
  return routedQueues(route, topic, Perm.WRITE);
}

/** Queues that may be read from, in the order of broker name and queue id. */
export function readableQueues(route: TopicRouteData, topic: string): RoutedQueue[] {
  return routedQueues(route, topic, Perm.READ);
}

function routedQueues(route: TopicRouteData, topic: string, perm: number): RoutedQueue[] {
  const queues: RoutedQueue[] = [];
  const brokers = new Map(route.brokerDatas.map((broker) => [broker.brokerName, broker]));
  const byName = [...route.queueDatas].sort((a, b) => (a.brokerName < b.brokerName ? -1 : 1));
  for (const queue of byName) {
    const broker = brokers.get(queue.brokerName);
    if (broker === undefined || (queue.perm & perm) === 0) continue;
    const brokerAddr = perm === Perm.WRITE ? broker.brokerAddrs.get(0) : selectBrokerAddr(broker);
    if (brokerAddr === undefined) continue;
    const count = perm === Perm.WRITE ? queue.writeQueueNums : queue.readQueueNums;
    for (let queueId = 0; queueId < count; queueId++) {
      queues.push({ topic, brokerName: queue.brokerName, queueId, brokerAddr });
    }
  }
  return queues;
}

async function askNameServer(
  client: RemotingClient,
  nameServers: readonly string[],
  timeoutMs: number,
  request: () => RemotingCommand,
): Promise<{ address: string; response: RemotingCommand }> {
  let failure: unknown = new RemotingError('REMOTING_ADDRESS_INVALID', 'no name server address was given');
  for (const address of nameServers) {
    try {
      return { address, response: await client.invoke(address, request(), timeoutMs) };
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}
