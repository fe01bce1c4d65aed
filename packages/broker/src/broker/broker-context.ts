import type { Clock, MessageStore, StoreLogger } from '@vernier/store';
import type { BrokerStats } from './broker-stats.ts';
import type { BrokerToClient } from './broker-to-client.ts';
import type { ClientHousekeeping } from './client-housekeeping.ts';
import type { BrokerConfig } from './config.ts';
import type { ConsumerManager } from './consumer-manager.ts';
import type { ConsumerOffsetManager } from './consumer-offset-manager.ts';
import type { BrokerHosts } from './hosts.ts';
import type { MetadataFiles } from './metadata-files.ts';
import type { ProducerManager } from './producer-manager.ts';
import type { PullRequestHoldService } from './pull-request-hold-service.ts';
import type { PutMessageHook } from './put-message-hook.ts';
import type { RebalanceLockManager } from './rebalance-lock-manager.ts';
import type { SubscriptionGroupManager } from './subscription-group-manager.ts';
import type { TopicConfigManager } from './topic-config-manager.ts';

/** What the processors of one broker share (the fields of RocketMQ's BrokerController that they use). */
export interface BrokerContext {
  readonly config: BrokerConfig;
  readonly store: MessageStore;
  readonly clock: Clock;
  readonly logger: StoreLogger;
  readonly topics: TopicConfigManager;
  readonly groups: SubscriptionGroupManager;
  readonly offsets: ConsumerOffsetManager;
  readonly consumers: ConsumerManager;
  readonly producers: ProducerManager;
  readonly housekeeping: ClientHousekeeping;
  readonly locks: RebalanceLockManager;
  readonly holds: PullRequestHoldService;
  readonly stats: BrokerStats;
  readonly clients: BrokerToClient;
  readonly hosts: BrokerHosts;
  readonly metadata: MetadataFiles;
  /** Looked at in order for each message that has one of the properties a hook names. */
  readonly putHooks: PutMessageHook[];
  /** Unix milliseconds when the broker was ready. */
  readonly startedAt: number;
  /** Nameservers know of every topic up to now when it resolves; failures are logged and retried at the next period. */
  announce(): Promise<void>;
}
