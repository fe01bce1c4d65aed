import type { TlsCounts } from '@vernier/remoting';
import type { Clock, MessageStore, StoreLogger } from '@vernier/store';
import type { ConsumeProgress } from './admin/consume-progress.ts';
import type { GroupAdmin } from './admin/group-admin.ts';
import type { MemberOffsets } from './admin/member-offsets.ts';
import type { MessageQuery } from './admin/message-query.ts';
import type { OffsetReset } from './admin/offset-reset.ts';
import type { OffsetTransfer } from './admin/offset-transfer.ts';
import type { OperatorQuestions } from './admin/operator-questions.ts';
import type { QueueInspection } from './admin/queue-inspection.ts';
import type { TopicAdmin } from './admin/topic-admin.ts';
import type { AccessAdmin } from './auth/access-admin.ts';
import type { AccessService } from './auth/access-service.ts';
import type { BudgetState } from './base/budget.ts';
import type { ClientHousekeeping } from './clients/client-housekeeping.ts';
import type { ConsumerManager } from './clients/consumer-manager.ts';
import type { HeartbeatService } from './clients/heartbeat-service.ts';
import type { ProducerManager } from './clients/producer-manager.ts';
import type { RebalanceLockManager } from './clients/rebalance-lock-manager.ts';
import type { BrokerConfig } from './config.ts';
import type { DelayService } from './delay/delay-service.ts';
import type { SqlFilters } from './filter/sql-filters.ts';
import type { FollowService } from './follow/follow-service.ts';
import type { SubscriptionGroupManager } from './groups/subscription-group-manager.ts';
import type { LiteServices } from './lite/create-lite.ts';
import type { LongAnswers } from './long-answers/long-answers.ts';
import type { MetadataFiles } from './metadata/metadata-files.ts';
import type { ConsumerOffsetManager } from './offsets/consumer-offset-manager.ts';
import type { GroupOffsets } from './offsets/group-offsets.ts';
import type { QueueBounds } from './offsets/queue-bounds.ts';
import type { PopServices } from './pop/create-pop.ts';
import type { PullRequestHoldService } from './pull/pull-request-hold-service.ts';
import type { PullService } from './pull/pull-service.ts';
import type { PutMessageHook } from './put/put-message-hook.ts';
import type { PutService } from './put/put-service.ts';
import type { BrokerHosts } from './registration/hosts.ts';
import type { ReplyService } from './reply/reply-service.ts';
import type { SendBackService } from './retry/send-back-service.ts';
import type { RunningSettings } from './settings/running-settings.ts';
import type { SettingsAdmin } from './settings/settings-admin.ts';
import type { BrokerStats } from './stats/broker-stats.ts';
import type { RecallService } from './timer/recall-service.ts';
import type { TimerService } from './timer/timer-service.ts';
import type { StaticTopics } from './topics/static-topics.ts';
import type { TopicConfigManager } from './topics/topic-config-manager.ts';
import type { TransactionService } from './transaction/transaction-service.ts';

/**
 * One broker: its tables, and the services on them that every front calls (the parts of RocketMQ's BrokerController). A
 * service gets what it needs when it is made and knows nothing of this; processors and the broker itself do.
 */
export interface BrokerContext {
  readonly config: BrokerConfig;
  readonly store: MessageStore;
  readonly clock: Clock;
  readonly logger: StoreLogger;
  readonly hosts: BrokerHosts;
  readonly stats: BrokerStats;
  /** Draws lots, from 0 up to 1. */
  random(): number;
  /** Unix milliseconds when the broker was ready. */
  readonly startedAt: number;

  // Tables, and their files.
  readonly topics: TopicConfigManager;
  /** Which logical queues of static topics are here. */
  readonly staticTopics: StaticTopics;
  readonly groups: SubscriptionGroupManager;
  readonly offsets: ConsumerOffsetManager;
  readonly consumers: ConsumerManager;
  readonly producers: ProducerManager;
  readonly locks: RebalanceLockManager;
  readonly metadata: MetadataFiles;
  /** What an operator changed in the configuration while running. */
  readonly settings: RunningSettings;

  /** What TLS did at the broker's ports, as whoever listens there says, and when what it shows ends (Unix milliseconds). */
  readonly tls: {
    readonly ports: Map<'remoting' | 'grpc', () => TlsCounts>;
    certificateEnd(): number | undefined;
  };

  /** Who is who, and who may do what. */
  readonly access: AccessService;
  readonly accessAdmin: AccessAdmin;

  // What producers and consumers call.
  /** The one way in for every message that the broker stores. */
  readonly put: PutService;
  /** Looked at in order for each message that has one of the properties a hook names. */
  readonly putHooks: PutMessageHook[];
  readonly sendBack: SendBackService;
  /** Takes timed messages back. */
  readonly recall: RecallService;
  readonly reply: ReplyService;
  readonly pull: PullService;
  readonly sqlFilters: SqlFilters;
  readonly pop: PopServices;
  readonly lite: LiteServices;
  readonly holds: PullRequestHoldService;
  readonly heartbeats: HeartbeatService;
  readonly housekeeping: ClientHousekeeping;
  readonly groupOffsets: GroupOffsets;
  readonly queueBounds: QueueBounds;

  // What the broker does by itself.
  readonly transactions: TransactionService;
  /** Who follows the queues of system topics. */
  readonly follow: FollowService;
  /** Messages that wait at a delay level, and those that wait for a time. */
  readonly delay: DelayService;
  readonly timer: TimerService;

  // What operators call.
  readonly topicAdmin: TopicAdmin;
  readonly groupAdmin: GroupAdmin;
  readonly settingsAdmin: SettingsAdmin;
  readonly offsetReset: OffsetReset;
  readonly offsetTransfer: OffsetTransfer;
  readonly memberOffsets: MemberOffsets;
  readonly progress: ConsumeProgress;
  readonly messages: MessageQuery;
  readonly queues: QueueInspection;
  readonly questions: OperatorQuestions;
  readonly longAnswers: LongAnswers;
  /** What fronts beside the remoting one report of themselves, for the table of `runtimeInfo`. */
  readonly reports: Set<() => Record<string, string>>;
  /** Memory of the tables whose names clients invent. */
  budgets(): readonly BudgetState[];
  /** The table that brokerStatus, clusterList and the dashboard read. */
  runtimeInfo(): Promise<Record<string, string>>;

  /** Nameservers know of every topic up to now when it resolves; failures are logged and retried at the next period. */
  announce(): Promise<void>;
}
