import { join } from 'node:path';
import type { Clock, MessageStore, StoreLogger } from '@vernier/store';
import type { FileSystem } from '@vernier/store/internal';
import type { BrokerContext } from './broker-context.ts';
import { BrokerStats } from './broker-stats.ts';
import { BrokerToClient } from './broker-to-client.ts';
import { ClientHousekeeping } from './client-housekeeping.ts';
import type { BrokerConfig } from './config.ts';
import { ConsumerManager } from './consumer-manager.ts';
import { ConsumerOffsetManager } from './consumer-offset-manager.ts';
import type { BrokerHosts } from './hosts.ts';
import { MetadataFiles } from './metadata-files.ts';
import { ProducerManager } from './producer-manager.ts';
import { PullRequestHoldService } from './pull-request-hold-service.ts';
import { refuseDelays, refuseTransactions } from './put-message-hook.ts';
import { RebalanceLockManager } from './rebalance-lock-manager.ts';
import { SubscriptionGroupManager } from './subscription-group-manager.ts';
import { TopicConfigManager } from './topic-config-manager.ts';

export interface BrokerContextParts {
  config: BrokerConfig;
  store: MessageStore;
  hosts: BrokerHosts;
  /** Of the files under config/. */
  fileSystem: FileSystem;
  clock: Clock;
  logger: StoreLogger;
  /** Beside the file, which is written in any case. */
  topicsChanged(): void;
  announce(): Promise<void>;
}

/** Where RocketMQ keeps its tables below the store's root. */
export const metadataDirectory = (storePathRootDir: string): string => join(storePathRootDir, 'config');

/** Puts a broker together around its open store. Nothing is read, and no timer runs yet but the housekeeping's. */
export function createBrokerContext(parts: BrokerContextParts): BrokerContext {
  const { config, store, hosts, fileSystem, clock, logger } = parts;
  const now = (): number => clock.now();
  const clients = new BrokerToClient(config.callClientTimeoutMills);
  const topicsChanged = (): void => {
    metadata.topics.changed();
    parts.topicsChanged();
  };
  const topics = new TopicConfigManager(config, { logger, now, changed: topicsChanged });
  const groups = new SubscriptionGroupManager(config, { logger, now, changed: () => metadata.groups.changed() });
  const offsets = new ConsumerOffsetManager(now, () => metadata.offsets.changed());
  const directory = metadataDirectory(store.config.storePathRootDir);
  const interval = config.flushConsumerOffsetInterval;
  const metadata = new MetadataFiles(directory, { topics, groups, offsets }, interval, fileSystem, clock, logger);
  const consumers = new ConsumerManager({
    logger,
    notifyIdsChanged: (group, members) => clients.notifyConsumerIdsChanged(group, members),
    notifyEnabled: (group) => groups.table.get(group)?.notifyConsumerIdsChangedEnable ?? true,
  });
  const producers = new ProducerManager();
  return {
    config,
    store,
    clock,
    logger,
    topics,
    groups,
    offsets,
    consumers,
    producers,
    housekeeping: new ClientHousekeeping(consumers, producers, config.channelExpiredTimeout, clock, logger),
    locks: new RebalanceLockManager(config.lockMaxLiveTime, () => clock.monotonic()),
    holds: new PullRequestHoldService(clock),
    stats: new BrokerStats(config.brokerClusterName, clock.now()),
    clients,
    hosts,
    metadata,
    putHooks: [refuseTransactions, refuseDelays],
    startedAt: clock.now(),
    announce: parts.announce,
  };
}

/**
 * Reads the tables, and brings topics and store to one opinion: a deletion that a crash interrupted is finished, a topic
 * whose messages are there and whose configuration is not gets one. Rejects with BROKER_METADATA_DAMAGED or
 * STORE_METADATA_DAMAGED.
 */
export async function loadTables({ store, topics, metadata }: BrokerContext, fileSystem: FileSystem): Promise<void> {
  await fileSystem.makeDirectory(metadataDirectory(store.config.storePathRootDir));
  await metadata.load();
  const stored = store.queuesByTopic();
  for (const topic of topics.deletedAmong(stored)) await store.deleteTopic(topic);
  topics.adoptStoredQueues(stored);
  // The first start writes the tables, so that whatever opens the directory next (a Java broker) finds them.
  metadata.topics.changed();
  metadata.groups.changed();
}
