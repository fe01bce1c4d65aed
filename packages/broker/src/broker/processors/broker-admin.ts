import { statfs } from 'node:fs/promises';
import {
  CURRENT_VERSION,
  createResponse,
  decodeProperties,
  encodeKVTable,
  encodeProperties,
  type RemotingCommand,
  RequestCode,
  type RequestHandler,
  ResponseCode,
  versionDescription,
} from '@vernier/remoting';
import type { BrokerContext } from '../broker-context.ts';
import { type BrokerConfig, updatableBrokerKeys } from '../config.ts';
import { guarded, RequestFault, success } from '../requests.ts';

/** GET_BROKER_RUNTIME_INFO, GET_BROKER_CONFIG, UPDATE_BROKER_CONFIG (RocketMQ AdminBrokerProcessor). */
export function brokerAdmin(broker: BrokerContext): [number, RequestHandler][] {
  return [
    [
      RequestCode.GET_BROKER_RUNTIME_INFO,
      guarded(async (request) => {
        const table = await runtimeInfo(broker);
        return success(request, undefined, encodeKVTable(new Map(Object.entries(table))));
      }),
    ],
    [RequestCode.GET_BROKER_CONFIG, guarded((request) => getConfig(broker, request))],
    [RequestCode.UPDATE_BROKER_CONFIG, guarded((request) => updateConfig(broker, request))],
  ];
}

/**
 * The table that brokerStatus, clusterList and the dashboard read (E.13). There are no thread pools here: their queues
 * are reported as empty, and their capacity as what one connection may have in flight.
 */
export async function runtimeInfo(broker: BrokerContext): Promise<Record<string, string>> {
  const { store, stats, clock, config } = broker;
  const now = clock.now();
  const metrics = store.metrics;
  const table: Record<string, string> = {
    bootTimestamp: String(broker.startedAt),
    runtime: duration(now - broker.startedAt),
    brokerName: config.brokerName,
    brokerActive: 'true',
    brokerVersionDesc: versionDescription(CURRENT_VERSION),
    brokerVersion: String(CURRENT_VERSION),
    startAcceptSendRequestTimeStamp: String(config.startAcceptSendRequestTimeStamp),
    commitLogMinOffset: String(store.minPhyOffset),
    commitLogMaxOffset: String(store.maxPhyOffset),
    dispatchBehindBytes: String(metrics.dispatchBehindBytes),
    dispatchMaxBuffer: '0',
    putMessageTimesTotal: String(metrics.putMessageTimesTotal),
    putMessageFailedTimes: String(metrics.putMessageFailedTimes),
    putMessageSizeTotal: String(metrics.putMessageSizeTotal),
    putMessageAverageSize: String(average(metrics.putMessageSizeTotal, metrics.putMessageTimesTotal)),
    remainHowManyDataToFlush: humanReadableByteCount(metrics.flushBehindBytes),
    remainHowManyDataToCommit: humanReadableByteCount(metrics.commitBehindBytes),
    remainTransientStoreBufferNumbs: '0',
    pageCacheLockTimeMills: '0',
    earliestMessageTimeStamp: String(await earliestMessageTime(broker)),
    ...(await diskInfo(store.config.storePathRootDir)),
    EndTransactionQueueSize: '0',
    EndTransactionThreadPoolQueueCapacity: '100000',
    timerReadBehind: '0',
    timerOffsetBehind: '0',
    timerCongestNum: '0',
    timerEnqueueTps: '0.0',
    timerDequeueTps: '0.0',
    ...stats.runtimeInfo(now),
  };
  for (const pool of ['send', 'pull', 'litePull', 'query', 'ack']) {
    table[`${pool}ThreadPoolQueueSize`] = '0';
    table[`${pool}ThreadPoolQueueCapacity`] = pool === 'send' ? '10000' : '100000';
    table[`${pool}ThreadPoolQueueHeadWaitTimeMills`] = '0';
  }
  table.heldPullRequests = String(broker.holds.count);
  // The store knows better about whatever it reports.
  return { ...table, ...store.runtimeInfo() };
}

const average = (sum: number, count: number): number => (count === 0 ? 0 : sum / count);

/** RocketMQ prints `[ 0 days, 1 hours, 2 minutes, 3 seconds ]`, and dashboards show it as it is. */
function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const days = Math.floor(seconds / 86_400);
  const hours = Math.floor(seconds / 3600) % 24;
  const minutes = Math.floor(seconds / 60) % 60;
  return `[ ${days} days, ${hours} hours, ${minutes} minutes, ${seconds % 60} seconds ]`;
}

/** Binary units with one decimal, as RocketMQ's MixAll.humanReadableByteCount prints them. */
export function humanReadableByteCount(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const power = Math.min(6, Math.floor(Math.log(bytes) / Math.log(1024)));
  return `${(bytes / 1024 ** power).toFixed(1)} ${'KMGTPE'[power - 1]}iB`;
}

/** storeTimestamp of the oldest record in the log; -1 without one. */
async function earliestMessageTime({ store }: BrokerContext): Promise<number> {
  if (store.minPhyOffset >= store.maxPhyOffset) return -1;
  return (await store.lookMessageByOffset(store.minPhyOffset))?.storeTimestamp ?? -1;
}

async function diskInfo(directory: string): Promise<Record<string, string>> {
  try {
    const { bsize, blocks, bavail } = await statfs(directory);
    const ratio = String(blocks === 0 ? 0 : 1 - bavail / blocks);
    const total = humanReadableByteCount(blocks * bsize);
    return {
      commitLogDiskRatio: ratio,
      consumeQueueDiskRatio: ratio,
      commitLogDirCapacity: `Total : ${total}, Free : ${humanReadableByteCount(bavail * bsize)}.`,
    };
  } catch (error) {
    // A negative ratio is RocketMQ's word for a disk it cannot look at.
    const reason = error instanceof Error ? error.message : String(error);
    return { commitLogDiskRatio: '-1', consumeQueueDiskRatio: '-1', commitLogDirCapacity: reason };
  }
}

function getConfig(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const values = Object.entries({ ...broker.store.config, ...broker.config }).map(([key, value]): [string, string] => [
    key,
    String(value),
  ]);
  const version = JSON.stringify({ counter: 0, stateVersion: 0, timestamp: broker.startedAt });
  return success(request, { version }, Buffer.from(encodeProperties(new Map(values))));
}

/** All of the request's keys or none. What needs a restart is refused by name instead of being taken and ignored. */
function updateConfig(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const changes: [keyof BrokerConfig, BrokerConfig[keyof BrokerConfig]][] = [];
  for (const [key, text] of decodeProperties(request.body?.toString('utf8') ?? '')) {
    const known = key in broker.config || key in broker.store.config;
    if (!updatableBrokerKeys.has(key as keyof BrokerConfig)) {
      const why = known ? 'can only be set at start' : 'is no key of this broker';
      throw new RequestFault(ResponseCode.NO_PERMISSION, `${key} ${why}; nothing was changed`);
    }
    changes.push([key as keyof BrokerConfig, valueLike(broker.config[key as keyof BrokerConfig], key, text)]);
  }
  for (const [key, value] of changes) (broker.config as unknown as Record<string, unknown>)[key] = value;
  if (changes.length === 0) return createResponse(request, ResponseCode.SYSTEM_ERROR, 'the body holds no properties');
  broker.logger.warn({ changes: Object.fromEntries(changes) }, 'configuration changed by an operator');
  if (changes.some(([key]) => key === 'brokerPermission')) broker.topics.touch();
  return success(request);
}

/** The text as a value of the type the key has. */
function valueLike(current: unknown, key: string, text: string): string | number | boolean {
  if (typeof current === 'boolean') {
    if (text === 'true' || text === 'false') return text === 'true';
    throw new RequestFault(ResponseCode.INVALID_PARAMETER, `${key} is true or false, not ${text}; nothing was changed`);
  }
  if (typeof current === 'number') {
    const value = text === '' ? Number.NaN : Number(text);
    if (Number.isSafeInteger(value) && value >= 0) return value;
    throw new RequestFault(
      ResponseCode.INVALID_PARAMETER,
      `${key} is a whole number, not ${text}; nothing was changed`,
    );
  }
  return text;
}
