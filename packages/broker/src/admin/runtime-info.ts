import { statfs } from 'node:fs/promises';
import { CURRENT_VERSION, versionDescription } from '@vernier/remoting';
import type { Clock, MessageStore } from '@vernier/store';
import type { BudgetState } from '../base/budget.ts';
import type { BrokerConfig } from '../config.ts';
import type { BrokerStats } from '../stats/broker-stats.ts';

export interface RuntimeInfoParts {
  readonly config: BrokerConfig;
  readonly store: MessageStore;
  readonly stats: BrokerStats;
  readonly clock: Clock;
  /** Unix milliseconds when the broker was ready. */
  readonly startedAt: number;
  /** Pulls that wait for a message. */
  heldPulls(): number;
  /** Memory of the tables whose names clients invent. */
  readonly budgets: readonly BudgetState[];
  /** What other services report of themselves. */
  more(): Record<string, string>;
}

/**
 * The table that brokerStatus, clusterList and the dashboard read (E.13). There are no thread pools here: their queues
 * are reported as empty, and their capacity as RocketMQ's. That of sends has the messages that wait for room in the log.
 */
export async function runtimeInfo(parts: RuntimeInfoParts): Promise<Record<string, string>> {
  const { store, stats, clock, config, startedAt } = parts;
  const now = clock.now();
  const metrics = store.metrics;
  const table: Record<string, string> = {
    bootTimestamp: String(startedAt),
    // A clock that was set back since stands before the start.
    runtime: duration(Math.max(0, now - startedAt)),
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
    earliestMessageTimeStamp: String(await earliestMessageTime(store)),
    ...(await diskInfo(store.config.storePathRootDir)),
    EndTransactionQueueSize: '0',
    EndTransactionThreadPoolQueueCapacity: '100000',
    timerReadBehind: '0',
    timerOffsetBehind: '0',
    timerCongestNum: '0',
    timerEnqueueTps: '0.0',
    timerDequeueTps: '0.0',
    ...stats.runtimeInfo(now),
    ...parts.more(),
  };
  for (const pool of ['send', 'pull', 'litePull', 'query', 'ack']) {
    table[`${pool}ThreadPoolQueueSize`] = '0';
    table[`${pool}ThreadPoolQueueCapacity`] = '100000';
    table[`${pool}ThreadPoolQueueHeadWaitTimeMills`] = '0';
  }
  table.sendThreadPoolQueueSize = String(metrics.stalledCount);
  table.sendThreadPoolQueueCapacity = String(store.config.maxAsyncPutMessageRequests);
  table.sendThreadPoolQueueHeadWaitTimeMills = metrics.oldestStalledMs.toFixed(0);
  table.heldPullRequests = String(parts.heldPulls());
  for (const { name, usedBytes, refusedCount } of parts.budgets) {
    const metric = name.replace(/Max$/, '');
    table[metric] = String(usedBytes);
    table[`${metric}Refused`] = String(refusedCount);
  }
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
async function earliestMessageTime(store: MessageStore): Promise<number> {
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
