import type { TopicRouteData } from '@vernier/remoting';
import type { Clock, MessageStore, StoreLogger } from '@vernier/store';
import type { Budget } from '../base/budget.ts';
import type { Caller } from '../base/caller.ts';
import { REVIVE_GROUP } from '../base/names.ts';
import type { ConsumerManager } from '../clients/consumer-manager.ts';
import type { BrokerConfig } from '../config.ts';
import type { HeldFilters } from '../filter/held-filters.ts';
import type { SqlFilters } from '../filter/sql-filters.ts';
import type { PlaceTable } from '../follow/follow-places.ts';
import type { FollowService } from '../follow/follow-service.ts';
import type { SubscriptionGroupManager } from '../groups/subscription-group-manager.ts';
import type { MetadataFile } from '../metadata/metadata-files.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import type { GroupOffsets } from '../offsets/group-offsets.ts';
import type { QueueBounds } from '../offsets/queue-bounds.ts';
import type { PutService } from '../put/put-service.ts';
import type { BrokerStats } from '../stats/broker-stats.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import { AckService } from './ack-service.ts';
import { AssignmentService } from './assignment-service.ts';
import { ChangeInvisibleService } from './change-invisible-service.ts';
import { DurableOffsets } from './durable-offsets.ts';
import { InFlightTable } from './in-flight.ts';
import { NotificationService } from './notification-service.ts';
import type { OrderInfos } from './order-infos.ts';
import { OrderedAcks } from './ordered-acks.ts';
import { PeekService } from './peek-service.ts';
import { PopPermission } from './pop-permission.ts';
import { PopPolling } from './pop-polling.ts';
import { PopQueues } from './pop-queues.ts';
import { PopService } from './pop-service.ts';
import { PopStart } from './pop-start.ts';
import { PoppedOffsets } from './popped-offsets.ts';
import { QueueLocks } from './queue-locks.ts';
import type { RequestModes } from './request-modes.ts';
import { ReviveLog } from './revive-log.ts';
import type { TimedMessages } from './revive-queue.ts';
import { ReviveRetries } from './revive-retries.ts';
import { ReviveService } from './revive-service.ts';

export interface PopParts {
  readonly config: BrokerConfig;
  readonly store: MessageStore;
  readonly topics: TopicConfigManager;
  readonly groups: SubscriptionGroupManager;
  readonly consumers: ConsumerManager;
  readonly offsets: ConsumerOffsetManager;
  readonly groupOffsets: GroupOffsets;
  readonly bounds: QueueBounds;
  readonly sqlFilters: SqlFilters;
  readonly heldFilters: HeldFilters;
  readonly follow: FollowService;
  readonly put: PutService;
  readonly places: PlaceTable;
  readonly stats: BrokerStats;
  readonly orders: OrderInfos;
  readonly modes: RequestModes;
  readonly ordersFile: Pick<MetadataFile, 'save' | 'settled'>;
  readonly offsetsFile: Pick<MetadataFile, 'save' | 'settled'>;
  readonly modesFile: Pick<MetadataFile, 'save'>;
  readonly placesFile: Pick<MetadataFile, 'save'>;
  /** Of checkpoints in memory. */
  readonly budget: Budget;
  readonly timed: TimedMessages;
  /** In whose name the broker puts. */
  readonly caller: Caller;
  /** The broker's address as refusals name it. */
  readonly host: string;
  readonly clock: Clock;
  readonly logger: StoreLogger;
  readonly random: () => number;
  routeOf(topic: string): Promise<TopicRouteData | undefined>;
}

/** POP: consumption by messages that are invisible for a time, rather than by offsets. */
export class PopServices {
  readonly pop: PopService;
  readonly acks: AckService;
  readonly changes: ChangeInvisibleService;
  readonly notifications: NotificationService;
  readonly peeks: PeekService;
  readonly assignments: AssignmentService;
  readonly permission: PopPermission;
  /** Pops that wait, and notifications. */
  readonly polling: PopPolling;
  readonly notificationPolling: PopPolling;
  readonly revive: ReviveService;
  /** Told of each save of the offsets' table. */
  readonly popped: PoppedOffsets;
  readonly #durable: DurableOffsets;
  readonly #queues: PopQueues;
  readonly #parts: PopParts;
  #hasLostBatches = false;

  constructor(parts: PopParts) {
    const { config, clock, offsets, store, logger, orders, budget } = parts;
    this.#parts = parts;
    const durable = new DurableOffsets(offsets, store, logger);
    const inFlight = new InFlightTable(budget, () => clock.monotonic());
    const locks = new QueueLocks();
    const log = new ReviveLog(parts);
    const start = new PopStart({ ...parts, durable });
    const popped = new PoppedOffsets({ ...parts, log });
    this.popped = popped;
    this.#durable = durable;
    this.permission = new PopPermission(parts);
    this.polling = new PopPolling(clock, config, parts.heldFilters);
    this.notificationPolling = new PopPolling(clock, config, parts.heldFilters);
    const { permission, polling, notificationPolling } = this;
    const shared = { ...parts, permission, start, durable, popped, inFlight, locks, log, polling, orders };
    this.#queues = new PopQueues(shared);
    this.pop = new PopService({ ...shared, queues: this.#queues });
    this.acks = new AckService({ ...shared, ordered: new OrderedAcks(shared) });
    this.changes = new ChangeInvisibleService({ ...shared, acks: this.acks });
    this.notifications = new NotificationService({ ...shared, polling: notificationPolling });
    this.peeks = new PeekService(shared);
    this.assignments = new AssignmentService(parts);
    this.revive = new ReviveService({ ...shared, retries: new ReviveRetries(shared) });
  }

  /**
   * When the tables were read, and before there are messages that they do not know: takes in what the log knows better. Resolves
   * when that is on disk. Rejects STORE_READ_FAILED, BROKER_METADATA_WRITE_FAILED.
   *
   * A kill in the deletion of a topic leaves its batches in the file, and a power cut under ASYNC_FLUSH leaves batches and
   * offsets of messages that are lost. Other messages get their numbers, and the group would never have them.
   */
  async recover(): Promise<void> {
    const { orders, ordersFile, offsets, offsetsFile, placesFile, store, topics, logger } = this.#parts;
    if (await this.popped.recover()) await placesFile.save();
    const end = store.maxPhyOffset;
    const hasDead = orders.dropDead((topic, logOffset) => {
      const deletedBelow = store.deletedBelow(topic);
      return logOffset === undefined ? deletedBelow === 0 : logOffset >= deletedBelow && logOffset < end;
    });
    const hasLost = offsets.lowerTo((group, topic, queueId) => {
      if (queueId >= (topics.select(topic)?.readQueueNums ?? 0)) return Number.POSITIVE_INFINITY;
      // The offset of redelivery is the last entry that is done with, not the next one.
      return store.getMaxOffsetInQueue(topic, queueId) - (group === REVIVE_GROUP ? 1 : 0);
    });
    if (hasDead) await ordersFile.save();
    if (!hasLost && !this.popped.isOld) return;
    try {
      await offsetsFile.save();
      await placesFile.save();
    } catch (error) {
      if (hasLost) throw error;
      // A full disk is no reason not to start: what is there can be consumed.
      logger.warn({ err: error }, `the offsets are not saved at the start: ${(error as Error).message}`);
    }
  }

  /** When the tables were read: puts offsets behind the acks that are on disk, and begins to give messages again. */
  start(): void {
    const { orders, offsets } = this.#parts;
    for (const { topic, group, queueId, next } of orders.recoveredOffsets()) {
      const committed = offsets.query(group, topic, queueId);
      if (committed < next) offsets.commit(group, topic, queueId, next);
    }
    this.revive.start();
  }

  /** The group's offsets in a topic are gone: one of them was deleted. Its next pop is its first one. */
  forget(group: string, topic: string): void {
    this.#durable.forgetAll(group, topic);
    this.#queues.forget(group, topic);
    if (this.#parts.orders.clearAll(topic, group)) this.#hasLostBatches = true;
  }

  /**
   * Saves offsets that an operator has set or deleted. When it resolves they are on disk, and no start puts them where a
   * checkpoint or a batch from before says. Rejects BROKER_METADATA_WRITE_FAILED, STORE_CLOSED, and with the store's
   * failure: places are not saved any more then, and the next start would go by the one before.
   */
  async saveOffsets(): Promise<void> {
    const { ordersFile, offsetsFile, placesFile, store } = this.#parts;
    await this.popped.settled();
    if (this.#hasLostBatches) await ordersFile.save();
    this.#hasLostBatches = false;
    await offsetsFile.save();
    await placesFile.save();
    if (store.failure !== undefined) throw store.failure;
  }

  /**
   * Before a topic is deleted: when it resolves, no table of offsets on disk counts as younger than the deletion until the
   * function that it gives is called, which is when the offsets of the topic are gone. Rejects as `saveOffsets` does.
   */
  async holdOffsets(): Promise<() => void> {
    const { offsetsFile, placesFile } = this.#parts;
    const { release, isBehind } = this.popped.hold();
    try {
      if (!isBehind) {
        await offsetsFile.save();
        await placesFile.save();
      }
    } catch (error) {
      release();
      throw error;
    }
    return release;
  }

  /** A message can be read. */
  messageArrived(topic: string, queueId: number, tagsCode: number): void {
    this.polling.messageArrived(topic, queueId, tagsCode);
    this.notificationPolling.messageArrived(topic, queueId, tagsCode);
  }

  /** Drops what waits; before requests are no longer served. */
  stopPolling(): void {
    this.polling.stop();
    this.notificationPolling.stop();
  }

  /** Resolves when nothing is given again any more and its offsets are in their table; before the followers are stopped. */
  async stop(): Promise<void> {
    await this.revive.stop();
    await this.#durable.stop();
  }
}
