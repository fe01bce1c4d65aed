import { join } from 'node:path';
import type { ServerIdentity, TopicRouteData } from '@vernier/remoting';
import type { Clock, MessageStore, StoreLogger } from '@vernier/store';
import { DelayLevels, type FileSystem } from '@vernier/store/internal';
import { ConsumeProgress } from './admin/consume-progress.ts';
import { GroupAdmin } from './admin/group-admin.ts';
import { MemberOffsets } from './admin/member-offsets.ts';
import { MessageQuery } from './admin/message-query.ts';
import { OffsetReset } from './admin/offset-reset.ts';
import { OffsetTransfer } from './admin/offset-transfer.ts';
import { OperatorQuestions } from './admin/operator-questions.ts';
import { QueueInspection } from './admin/queue-inspection.ts';
import { runtimeInfo } from './admin/runtime-info.ts';
import { TopicAdmin } from './admin/topic-admin.ts';
import { createAccess, ensureConfiguredUsers } from './auth/create-access.ts';
import { Budget, type BudgetState } from './base/budget.ts';
import { CallerSession } from './base/caller.ts';
import { ClientHousekeeping } from './clients/client-housekeeping.ts';
import { ConsumerManager } from './clients/consumer-manager.ts';
import { HeartbeatService } from './clients/heartbeat-service.ts';
import { ProducerManager } from './clients/producer-manager.ts';
import { RebalanceLockManager } from './clients/rebalance-lock-manager.ts';
import type { BrokerConfig } from './config.ts';
import type { BrokerContext } from './context.ts';
import { DelayLevelHook } from './delay/delay-level-hook.ts';
import { DelayOffsets } from './delay/delay-offsets.ts';
import { DelayService } from './delay/delay-service.ts';
import { DueDeliveries } from './delay/due-deliveries.ts';
import { HeldFilters } from './filter/held-filters.ts';
import { SqlFilters } from './filter/sql-filters.ts';
import { FollowPlaces } from './follow/follow-places.ts';
import { FollowService } from './follow/follow-service.ts';
import { SubscriptionGroupManager } from './groups/subscription-group-manager.ts';
import { LiteServices } from './lite/create-lite.ts';
import { LongAnswers } from './long-answers/long-answers.ts';
import { MetadataFiles, type SavedTable } from './metadata/metadata-files.ts';
import { ConsumerOffsetManager } from './offsets/consumer-offset-manager.ts';
import { GroupOffsets } from './offsets/group-offsets.ts';
import { QueueBounds } from './offsets/queue-bounds.ts';
import { PopServices } from './pop/create-pop.ts';
import { OrderInfos } from './pop/order-infos.ts';
import { RequestModes } from './pop/request-modes.ts';
import type { TimedMessages } from './pop/revive-queue.ts';
import { PullPermission } from './pull/pull-permission.ts';
import { PullRequestHoldService } from './pull/pull-request-hold-service.ts';
import { PullService } from './pull/pull-service.ts';
import { Admission } from './put/admission.ts';
import { HalfMessages } from './put/half-message.ts';
import { PutService } from './put/put-service.ts';
import { RetryLimit } from './put/retry-limit.ts';
import type { BrokerHosts } from './registration/hosts.ts';
import { ReplyService } from './reply/reply-service.ts';
import { SendBackService } from './retry/send-back-service.ts';
import { brokerSettings } from './settings/broker-settings.ts';
import { SettingsAdmin } from './settings/settings-admin.ts';
import { BrokerStats } from './stats/broker-stats.ts';
import { MessageMeters } from './stats/message-meters.ts';
import { RecallService } from './timer/recall-service.ts';
import { TimerHook } from './timer/timer-hook.ts';
import { TimerMetrics } from './timer/timer-metrics.ts';
import { TimerService } from './timer/timer-service.ts';
import { Destinations } from './topics/destinations.ts';
import { StaticTopics } from './topics/static-topics.ts';
import { TopicConfigManager } from './topics/topic-config-manager.ts';
import { OpenHalves } from './transaction/open-halves.ts';
import { TransactionService } from './transaction/transaction-service.ts';

export interface BrokerContextParts {
  config: BrokerConfig;
  store: MessageStore;
  hosts: BrokerHosts;
  /** Of the files under config/. */
  fileSystem: FileSystem;
  clock: Clock;
  logger: StoreLogger;
  /** Draws lots, from 0 up to 1; default Math.random. */
  random?: (() => number) | undefined;
  /** Slots of the timer wheel, when not RocketMQ's; for tests. */
  timerSlots?: number | undefined;
  /** Beside the file, which is written in any case. */
  topicsChanged(): void;
  announce(): Promise<void>;
  /** Which brokers have a topic; undefined when no nameserver knows. Default: no nameserver. */
  routeOf?(topic: string): Promise<TopicRouteData | undefined>;
  /** Counts messages for an exporter of metrics: rows of one table, and bytes of all of them. Undefined: nobody asks. */
  meters?: MeterLimits | undefined;
  /** Who the broker is to clients that connect by TLS; for reports. */
  tls?: Pick<ServerIdentity, 'certificateEnd'> | undefined;
  /** How far timed messages are, when not as the broker's own; for tests. */
  timed?: TimedMessages;
}

export interface MeterLimits {
  readonly seriesMax: number;
  readonly bytesMax: number;
}

type BudgetKey = Extract<keyof BrokerConfig, `${string}BytesMax`>;

/** Where RocketMQ keeps its tables below the store's root. */
export const metadataDirectory = (storePathRootDir: string): string => join(storePathRootDir, 'config');

/** Puts a broker together around its open store. Nothing is read, and no timer runs yet but the housekeeping's. */
export function createBrokerContext(parts: BrokerContextParts): BrokerContext {
  const { config, store, hosts, fileSystem, clock, logger, random = Math.random } = parts;
  const now = (): number => clock.now();
  const topicsChanged = (): void => {
    metadata.topics.changed();
    parts.topicsChanged();
  };
  const budgetOf = (key: BudgetKey): Budget => new Budget(key, () => config[key], logger);
  const budgets = {
    topics: budgetOf('topicTableBytesMax'),
    groups: budgetOf('subscriptionGroupBytesMax'),
    offsets: budgetOf('consumerOffsetBytesMax'),
    clients: budgetOf('clientTableBytesMax'),
    filters: budgetOf('heldFilterBytesMax'),
    locks: budgetOf('queueLockBytesMax'),
    transactions: budgetOf('openTransactionBytesMax'),
    pops: budgetOf('popInFlightBytesMax'),
    orders: budgetOf('popOrderBytesMax'),
    modes: budgetOf('requestModeBytesMax'),
    liteSubscriptions: budgetOf('liteSubscriptionBytesMax'),
    access: budgetOf('accessTableBytesMax'),
  };
  const hasLmqs = store.config.enableLmq && store.config.enableMultiDispatch;
  const tableDeps = { logger, now, hasLmqs };
  const topics = new TopicConfigManager(config, { ...tableDeps, changed: topicsChanged, budget: budgets.topics });
  const staticTopics = new StaticTopics(config.brokerName, {
    ...{ now, budget: budgets.topics, changed: () => metadata.mappings.changed() },
  });
  const groupsChanged = (): void => metadata.groups.changed();
  const groups = new SubscriptionGroupManager(config, { ...tableDeps, changed: groupsChanged, budget: budgets.groups });
  const offsets = new ConsumerOffsetManager(now, () => metadata.offsets.changed(), budgets.offsets, hasLmqs);
  const directory = metadataDirectory(store.config.storePathRootDir);
  const settings = brokerSettings({
    config,
    store,
    logger,
    changed: (keys) => {
      metadata.settings.changed();
      // What every topic's announcement depends on.
      if (keys.includes('brokerPermission')) topics.touch();
    },
  });
  const putsOnDisk = (): Promise<boolean> => areOnDisk(store);
  const places: FollowPlaces = new FollowPlaces(() => metadata.places.changed(), putsOnDisk);
  const delays: DelayOffsets = new DelayOffsets(now, () => metadata.delays.changed(), putsOnDisk);
  const orders: OrderInfos = new OrderInfos({
    ...{ now, putsOnDisk, budget: budgets.orders, changed: () => metadata.orders.changed() },
    // A deletion that a kill comes into leaves the topic, with the acks that were answered meanwhile. A group that is not known
    // may have been made by the pop, and not have been saved: batches of deleted ones go with their offsets, or after a day.
    isUsed: (topic, _group, queueId) =>
      topics.isBeingDeleted(topic) || queueId < (topics.select(topic)?.readQueueNums ?? 0),
  });
  const modes: RequestModes = new RequestModes(() => metadata.modes.changed(), budgets.modes);
  const offsetsTable: SavedTable = {
    prepareSave: async () => {
      pop.popped.prepareSave();
      return true;
    },
    encode: () => offsets.encode(),
    saved: () => pop.popped.saved(),
    load: (file) => offsets.load(file),
  };
  const timers: TimerMetrics = new TimerMetrics(now, () => metadata.timers.changed());
  const accessParts = { config, budget: budgets.access, clock, logger };
  const users = createAccess({ ...accessParts, save: () => metadata.access.save() });
  const tables = {
    topics,
    groups,
    offsets: offsetsTable,
    settings,
    places,
    delays,
    timers,
    orders,
    modes,
    mappings: staticTopics,
    access: users.table,
  };
  const metadata = new MetadataFiles(directory, tables, config, fileSystem, clock, logger, hasLmqs);
  const consumers = new ConsumerManager({
    ...{ logger, clock },
    budget: budgets.clients,
    notifyEnabled: (group) =>
      config.notifyConsumerIdsChangedEnable && (groups.table.get(group)?.notifyConsumerIdsChangedEnable ?? true),
  });
  const producers = new ProducerManager(budgets.clients);
  const locks = new RebalanceLockManager(config.lockMaxLiveTime, () => clock.monotonic(), budgets.locks);
  const stats = new BrokerStats(config.brokerClusterName, clock.now(), () => config.statsBytesMax);
  const meterBudget = parts.meters && new Budget('metricsBytesMax', () => parts.meters!.bytesMax, logger);
  if (meterBudget !== undefined) stats.meters = new MessageMeters(parts.meters!.seriesMax, meterBudget);
  timers.onChange = (topic, value) =>
    stats.meters?.countEvent(value > 0 ? 'timerEnqueued' : 'timerDequeued', topic, '', Math.abs(value));
  timers.onDelay = (topic, ms) => stats.meters?.noteDelay(topic, ms / 1_000);
  const levels = new DelayLevels(store.config.messageDelayLevel);
  const putHooks = [new DelayLevelHook(levels, store, logger), new TimerHook(config, store, clock)];
  const { host, storeHost, address } = hosts;
  const admission = new Admission(config, topics, clock, host);
  const retryLimit = new RetryLimit(topics, groups, locks);
  const shared = { config, store, topics, stats, clock, random };
  const openHalves = new OpenHalves(budgets.transactions);
  const halves = new HalfMessages(config, openHalves, host);
  const { topics: topicsFile, groups: groupsFile, offsets: offsetsFile } = metadata;
  const put = new PutService({
    ...shared,
    hasLmqs,
    admission,
    retryLimit,
    halves,
    hooks: putHooks,
    storeHost,
    topicsFile,
  });
  const sendBack = new SendBackService({ ...shared, groups, put, host });
  const reply = new ReplyService({ config, producers, admission, put, address, clock });
  const housekeeping = new ClientHousekeeping(consumers, producers, config.channelExpiredTimeout, clock, logger);
  const heldFilters = new HeldFilters(budgets.filters);
  const holds = new PullRequestHoldService(clock, heldFilters);
  const sqlFilters = new SqlFilters(config, logger, clock);
  const permission = new PullPermission({ config, topics, groups, consumers, sqlFilters, host });
  const clients = { consumers, producers, housekeeping, budget: budgets.clients };
  const heartbeats = new HeartbeatService({ ...clients, topics, groups, clock });
  const pull = new PullService({ config, store, permission, offsets, holds, heldFilters, stats, clock, logger });
  const follow = new FollowService({ store, places, clock, logger });
  const announce = (): Promise<void> => parts.announce();
  const caller = new CallerSession(hosts.host, storeHost);
  const destinations = new Destinations({ config, topics, logger });
  const dueParts = { store, destinations, put, caller, logger };
  const delayParts = { store, levels, offsets: delays, follow, clock, logger };
  const delay = new DelayService({ ...delayParts, deliveries: new DueDeliveries(dueParts, 'delay') });
  const timer = new TimerService({
    ...{ config, store, fileSystem, follow, metrics: timers, putsOnDisk, clock, logger, slots: parts.timerSlots },
    deliveries: new DueDeliveries(dueParts, 'timer'),
  });
  const transactions = new TransactionService({
    ...{ config, store, topics, producers, offsets, follow, put, stats, clock, logger, hosts },
    ...{ destinations, halves: openHalves },
  });
  const hasDelayed = (): boolean => delay.hasPending || timer.hasPending || transactions.hasPending;
  const topicParts = { config, store, topics, offsets, stats, clock, logger, topicsFile, hasDelayed, announce };
  const groupOffsets = new GroupOffsets({ config, store, topics, groups, offsets });
  const queueBounds = new QueueBounds(store);
  const pop: PopServices = new PopServices({
    ...{
      ...shared,
      groups,
      consumers,
      offsets,
      groupOffsets,
      bounds: queueBounds,
      sqlFilters,
      heldFilters,
      follow,
      put,
      places,
      orders,
      modes,
    },
    ...{
      ordersFile: metadata.orders,
      offsetsFile,
      modesFile: metadata.modes,
      placesFile: metadata.places,
      budget: budgets.pops,
      timed: parts.timed ?? timer,
    },
    ...{ caller, host, logger, routeOf: (topic: string) => parts.routeOf?.(topic) ?? Promise.resolve(undefined) },
  });
  const lite = new LiteServices({
    ...{
      ...shared,
      hasLmqs,
      groups,
      offsets,
      groupOffsets,
      bounds: queueBounds,
      offsetsFile,
      host,
      logger,
      heldFilters,
    },
    ...{ subscriptionBudget: budgets.liteSubscriptions, orderBudget: budgets.orders },
  });
  offsets.onLowered = (group, topic, queueId) => {
    orders.clear(topic, group, queueId);
    lite.lowered(group, topic);
  };
  offsets.onRemoved = (group, topic) => {
    pop.forget(group, topic);
    lite.removed(group, topic);
  };
  const operatorsOffsets = { save: () => pop.saveOffsets() };
  const startedAt = clock.now();
  const reports = new Set<() => Record<string, string>>();
  const budgetStates = (): readonly BudgetState[] => [
    ...Object.values(budgets),
    stats.budget,
    ...(meterBudget === undefined ? [] : [meterBudget]),
  ];
  return {
    config,
    store,
    clock,
    logger,
    hosts,
    stats,
    random,
    startedAt,
    topics,
    staticTopics,
    groups,
    offsets,
    consumers,
    producers,
    locks,
    metadata,
    settings,
    tls: { ports: new Map(), certificateEnd: () => parts.tls?.certificateEnd },
    access: users.access,
    accessAdmin: users.admin,
    put,
    putHooks,
    sendBack,
    reply,
    pull,
    sqlFilters,
    holds,
    heartbeats,
    housekeeping,
    pop,
    lite,
    groupOffsets,
    queueBounds,
    transactions,
    follow,
    delay,
    timer,
    recall: new RecallService({ config, topics, put, clock }),
    topicAdmin: new TopicAdmin({
      ...{ ...topicParts, offsetsFile: operatorsOffsets, staticTopics, mappingsFile: metadata.mappings },
      whenPopsEnd: () => pop.popped.settled(),
      holdOffsets: () => pop.holdOffsets(),
    }),
    groupAdmin: new GroupAdmin({ groups, offsets, stats, clock, groupsFile, offsetsFile: operatorsOffsets }),
    settingsAdmin: new SettingsAdmin(settings, metadata.settings, logger),
    offsetReset: new OffsetReset({
      ...{ store, topics, groups, offsets, file: operatorsOffsets, batchesFile: metadata.orders, logger },
      hasBatch: (group, topic, ids) => ids.some((queueId) => orders.get(topic, group, queueId) !== undefined),
    }),
    offsetTransfer: new OffsetTransfer({
      ...{ store, topics, groups, offsets, consumers, logger },
      ...{ file: operatorsOffsets, groupsFile },
    }),
    memberOffsets: new MemberOffsets({ store, topics, offsets, consumers, clock, logger }),
    progress: new ConsumeProgress({ store, topics, groups, offsets, consumers, stats, clock }),
    messages: new MessageQuery(config, store),
    queues: new QueueInspection(store),
    questions: new OperatorQuestions(consumers, store),
    longAnswers: new LongAnswers(clock),
    reports,
    budgets: budgetStates,
    runtimeInfo: () => {
      const heldPulls = (): number => holds.count;
      const more = (): Record<string, string> => ({
        ...delay.runtimeInfo(),
        ...timer.runtimeInfo(),
        ...pop.revive.runtimeInfo(),
        ...users.access.runtimeInfo(),
        ...Object.assign({}, ...[...reports].map((report) => report())),
      });
      return runtimeInfo({
        config,
        store,
        stats,
        clock,
        startedAt,
        heldPulls,
        budgets: budgetStates(),
        more,
      });
    },
    announce,
  };
}

/**
 * Reads the tables, and brings topics and store to one opinion: a topic whose messages are there and whose configuration is
 * not gets one. Rejects with BROKER_METADATA_DAMAGED, STORE_METADATA_DAMAGED,
 * STORE_TIMER_PRECISION_MISMATCH, or BROKER_CONFIG_INVALID for a user that it names and that cannot be.
 */
export async function loadTables(
  { config, store, topics, staticTopics, metadata, accessAdmin, pop, timer, logger }: BrokerContext,
  fileSystem: FileSystem,
): Promise<void> {
  const root = store.config.storePathRootDir;
  await fileSystem.makeDirectory(metadataDirectory(root));
  // A table that is saved durably would go with the name of its directory.
  await fileSystem.syncDirectory(root);
  // A process that was killed may have left a table's name in the cache alone: what is read here has to be there after a power
  // cut too.
  await fileSystem.syncDirectory(metadataDirectory(root));
  await metadata.load();
  await ensureConfiguredUsers(config, accessAdmin, logger);
  await timer.load();
  topics.adoptStoredQueues(store.queuesByTopic(), (topic) => store.hasBatchQueues(topic));
  for (const topic of staticTopics.keepOnly((name) => topics.select(name) !== undefined)) {
    logger.warn({ topic }, `topicQueueMapping.json names a topic that there is not: ${topic}; it is left out`);
  }
  await pop.recover();
  // The first start writes the tables, so that whatever opens the directory next (a Java broker) finds them.
  metadata.topics.changed();
  metadata.groups.changed();
}

/** See PutsOnDisk. */
async function areOnDisk(store: MessageStore): Promise<boolean> {
  if (store.failure !== undefined || store.isClosed) return false;
  try {
    await store.flush();
    return true;
  } catch (error) {
    if (store.failure !== undefined) return false;
    throw error;
  }
}

/**
 * Begins what the broker does by itself, when its tables are read: the delay levels, the timed messages. Messages that
 * arrive wake who waits for them from here on.
 */
export function startServices({ store, follow, holds, delay, pop, lite, timer }: BrokerContext): void {
  store.on('arrived', ({ topic, queueId, maxOffset, tagsCode }) => {
    follow.messageArrived(topic, queueId);
    holds.messageArrived(topic, queueId, maxOffset, tagsCode);
    pop.messageArrived(topic, queueId, tagsCode);
    lite.messageArrived(topic);
  });
  delay.start();
  timer.start();
  pop.start();
  lite.start();
}
