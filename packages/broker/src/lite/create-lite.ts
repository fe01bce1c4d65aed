import type { Clock, MessageStore, StoreLogger } from '@vernier/store';
import { isLmq } from '@vernier/store/internal';
import type { Budget } from '../base/budget.ts';
import type { BrokerConfig } from '../config.ts';
import type { HeldFilters } from '../filter/held-filters.ts';
import type { SubscriptionGroupManager } from '../groups/subscription-group-manager.ts';
import type { MetadataFile } from '../metadata/metadata-files.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import type { GroupOffsets } from '../offsets/group-offsets.ts';
import type { QueueBounds } from '../offsets/queue-bounds.ts';
import { isCommitted } from '../pop/order-info.ts';
import { OrderInfos } from '../pop/order-infos.ts';
import { OrderedAcks } from '../pop/ordered-acks.ts';
import { PopPolling } from '../pop/pop-polling.ts';
import { PopStart } from '../pop/pop-start.ts';
import { QueueLocks } from '../pop/queue-locks.ts';
import type { BrokerStats } from '../stats/broker-stats.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import { LiteAcks } from './lite-acks.ts';
import { LiteAdmin } from './lite-admin.ts';
import { LiteEvents } from './lite-events.ts';
import { LiteExpiry } from './lite-expiry.ts';
import { liteGroupOf } from './lite-rules.ts';
import { LiteSubscriptionService } from './lite-subscription-service.ts';
import { LiteSubscriptions } from './lite-subscriptions.ts';
import { LiteWakes } from './lite-wakes.ts';
import { PopLiteService } from './pop-lite-service.ts';

export interface LiteParts {
  readonly config: BrokerConfig;
  readonly hasLmqs: boolean;
  readonly store: MessageStore;
  readonly topics: TopicConfigManager;
  readonly groups: SubscriptionGroupManager;
  readonly offsets: ConsumerOffsetManager;
  readonly groupOffsets: GroupOffsets;
  readonly bounds: QueueBounds;
  readonly offsetsFile: Pick<MetadataFile, 'save' | 'settled'>;
  readonly stats: BrokerStats;
  readonly subscriptionBudget: Budget;
  readonly orderBudget: Budget;
  readonly heldFilters: HeldFilters;
  readonly host: string;
  readonly clock: Clock;
  readonly logger: StoreLogger;
  readonly random: () => number;
}

/** Lite topics: many small ones of one topic, consumed in order by those who subscribe to them. */
export class LiteServices {
  readonly pop: PopLiteService;
  readonly acks: LiteAcks;
  readonly subscribing: LiteSubscriptionService;
  readonly subscriptions: LiteSubscriptions;
  readonly events: LiteEvents;
  readonly admin: LiteAdmin;
  readonly #polling: PopPolling;
  readonly #wakes: LiteWakes;
  readonly #expiry: LiteExpiry;
  readonly #orders: OrderInfos;
  readonly #hasLmqs: boolean;

  constructor(parts: LiteParts) {
    const { config, clock, store, groups, offsets, topics } = parts;
    this.#hasLmqs = parts.hasLmqs;
    const polling = new PopPolling(clock, config, parts.heldFilters);
    const locks = new QueueLocks();
    const orders = new OrderInfos({
      ...{ now: () => clock.now(), changed: () => {}, putsOnDisk: () => Promise.resolve(true) },
      budget: parts.orderBudget,
      isUsed: (topic, group) => topics.select(topic) !== undefined && groups.has(group),
    });
    const subscriptions = new LiteSubscriptions({ config, clock, budget: parts.subscriptionBudget });
    const events: LiteEvents = new LiteEvents({
      ...{ config, subscriptions, store, offsets, clock, random: parts.random },
      groupOf: (group) => liteGroupOf(groups.table.get(group)),
      isBlocked: (group, lmq) => orders.blockedUntil(lmq, group, 0, undefined, 0) > clock.now(),
      wake: (group, clientId) => polling.notify(group, clientId, 0),
    });
    const wakes = new LiteWakes(clock, ({ group, lmq }) => {
      const until = orders.blockedUntil(lmq, group, 0, undefined, 0);
      if (until > clock.now()) wakes.at(group, lmq, until);
      else events.offer(group, lmq);
    });
    subscriptions.listener = {
      added: (subscription, lmq) => {
        if (lmq === undefined) events.fill(subscription);
        else events.offer(subscription.group, lmq);
      },
      ended: ({ clientId }, lmq) => events.forget(clientId, lmq),
      gone: (subscription) => events.gone(subscription),
    };
    const durable = {
      next: (group: string, topic: string, id: number) => offsets.query(group, topic, id),
      forget() {},
    };
    const start = new PopStart({ ...parts, orders, durable });
    const startedAt = clock.now();
    const ordered = new OrderedAcks({
      ...{ store, offsets, orders, locks, offsetsFile: parts.offsetsFile },
      // Batches of an earlier process are unknown: an ack of a later message must not pass over those before it. One of this
      // process that is unknown is acknowledged or was given up, and numbers begin anew in a lite topic that was deleted.
      believes: ({ topic, queueOffset, committed, popTime }) =>
        queueOffset === committed && popTime < startedAt && store.deletedBelow(topic) === 0,
      // Batches are in memory only: what an ack means over a restart is the group's offset.
      ordersFile: parts.offsetsFile,
      polling: { notify: (group, lmq) => this.#freed(group, lmq) },
    });
    const shared = { ...parts, orders, ordered, locks, start, subscriptions, events, wakes, polling };
    this.pop = new PopLiteService(shared);
    this.acks = new LiteAcks(shared);
    this.subscribing = new LiteSubscriptionService(shared);
    this.admin = new LiteAdmin(shared);
    this.#expiry = new LiteExpiry(shared);
    this.subscriptions = subscriptions;
    this.events = events;
    this.#polling = polling;
    this.#wakes = wakes;
    this.#orders = orders;
  }

  /** An ack has freed the queue for the group. */
  #freed(group: string, lmq: string): boolean {
    const info = this.#orders.get(lmq, group, 0);
    // The group's offset is behind the whole batch: nothing more is to be known of it.
    if (info?.queueOffsets.every((_, index) => isCommitted(info, index)) === true) this.#orders.clear(lmq, group, 0);
    this.events.offer(group, lmq);
    return true;
  }

  /** A message can be read. */
  messageArrived(topic: string): void {
    if (this.#hasLmqs && isLmq(topic)) this.events.arrived(topic);
  }

  /** A group was put to another place in a light queue. */
  lowered(group: string, topic: string): void {
    if (isLmq(topic)) this.#orders.clear(topic, group, 0);
  }

  /** All that is known of a group in a light queue is gone. */
  removed(group: string, topic: string): void {
    if (isLmq(topic)) this.#orders.clearAll(topic, group);
  }

  start(): void {
    if (this.#hasLmqs) this.#expiry.start();
  }

  /** Drops what waits; before requests are no longer served. */
  stopPolling(): void {
    this.#polling.stop();
  }

  async stop(): Promise<void> {
    this.#wakes.stop();
    this.events.stop();
    await this.#expiry.stop();
  }
}
