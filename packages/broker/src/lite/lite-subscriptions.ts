import type { Clock } from '@vernier/store';
import { type Budget, textBytes } from '../base/budget.ts';
import { liteNameOf } from '../base/lite-names.ts';
import type { Client } from '../clients/client.ts';
import type { BrokerConfig } from '../config.ts';

/** What a client subscribes to. */
export interface LiteSubscription {
  readonly clientId: string;
  readonly group: string;
  /** The parent. */
  readonly topic: string;
  /** Light queues. Of a group with a wildcard there are none. */
  readonly lmqs: Set<string>;
  /** Who is told that a subscription ended; the client, or a proxy that speaks for it. */
  client: Client | undefined;
  isWildcard: boolean;
  /** Monotonic milliseconds of the last word about it. */
  updatedAt: number;
}

/** Told of changes, in the turn in which they happen. */
export interface LiteSubscriptionListener {
  /** Without `lmq`: to all of the topic. */
  added(subscription: LiteSubscription, lmq: string | undefined): void;
  /** Another client of the group takes it over, or it has expired. */
  ended(subscription: LiteSubscription, lmq: string): void;
  /** The client is gone with all that it subscribed to. */
  gone(subscription: LiteSubscription): void;
}

export interface LiteSubscriptionsDeps {
  readonly config: Pick<BrokerConfig, 'maxLiteSubscriptionCount' | 'liteSubscriptionCheckTimeoutMills'>;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly budget: Budget;
}

const clientBytes = ({ clientId, group, topic }: LiteSubscription): number =>
  800 + textBytes(clientId) + textBytes(group) + textBytes(topic);
/** In the client's set, and the client in that of the light queue. */
const lmqBytes = (lmq: string): number => 400 + textBytes(lmq);

/** Groups of clients, by what they subscribe to. */
type Subscribers = Map<string, Map<string, Set<string>>>;

/**
 * Who subscribes to which lite topics (RocketMQ LiteSubscriptionRegistryImpl). In memory: clients say all of it again every
 * now and then, and who does not is forgotten after liteSubscriptionCheckTimeoutMills.
 */
export class LiteSubscriptions {
  readonly #deps: LiteSubscriptionsDeps;
  readonly #clients = new Map<string, LiteSubscription>();
  readonly #byLmq: Subscribers = new Map();
  /** Of groups with a wildcard, by their topic. */
  readonly #byTopic: Subscribers = new Map();
  #count = 0;
  listener: LiteSubscriptionListener = { added: () => {}, ended: () => {}, gone: () => {} };

  constructor(deps: LiteSubscriptionsDeps) {
    this.#deps = deps;
  }

  /** Pairs of a client and a lite topic. */
  get count(): number {
    return this.#count;
  }

  get(clientId: string): LiteSubscription | undefined {
    return this.#clients.get(clientId);
  }

  clients(): IterableIterator<LiteSubscription> {
    return this.#clients.values();
  }

  /** The subscribers of a light queue by group, those of wildcards among them. */
  *groupsOf(lmq: string): Iterable<readonly [group: string, clientIds: ReadonlySet<string>]> {
    yield* this.#byLmq.get(lmq) ?? [];
    const topic = this.#byTopic.size === 0 ? undefined : liteNameOf(lmq)?.parent;
    if (topic !== undefined) yield* this.#byTopic.get(topic) ?? [];
  }

  subscribersOf(lmq: string, group: string): ReadonlySet<string> {
    const topic = liteNameOf(lmq)?.parent ?? '';
    return this.#byLmq.get(lmq)?.get(group) ?? this.#byTopic.get(topic)?.get(group) ?? NOBODY;
  }

  /** The client's subscription, made when there is none; undefined when there is no room. One of another group ends. */
  touch(clientId: string, group: string, topic: string, client: Client): LiteSubscription | undefined {
    let known = this.#clients.get(clientId);
    if (known !== undefined && (known.group !== group || known.topic !== topic)) {
      this.remove(clientId);
      known = undefined;
    }
    if (known === undefined) {
      const updatedAt = this.#deps.clock.monotonic();
      known = { clientId, group, topic, lmqs: new Set(), client, isWildcard: false, updatedAt };
      if (!this.#deps.budget.take(clientBytes(known))) return undefined;
      this.#clients.set(clientId, known);
    }
    known.client = client;
    known.updatedAt = this.#deps.clock.monotonic();
    return known;
  }

  /** Why the client cannot subscribe to so many more; undefined when it can. */
  fullReason(subscription: LiteSubscription, lmqs: readonly string[], clientQuota: number): string | undefined {
    const { config, budget } = this.#deps;
    const added = lmqs.filter((lmq) => !subscription.lmqs.has(lmq));
    if (added.length === 0) return undefined;
    const most = config.maxLiteSubscriptionCount;
    if (this.#count + added.length > most) {
      return `lite subscription quota exceeded ${most}: there are ${this.#count} (maxLiteSubscriptionCount)`;
    }
    const own = subscription.lmqs.size + added.length;
    if (clientQuota >= 0 && own > clientQuota) {
      return `lite subscription quota exceeded ${clientQuota}: the client would have ${own} (lite.sub.client.quota)`;
    }
    const bytes = added.reduce((sum, lmq) => sum + lmqBytes(lmq), 0);
    return budget.hasRoomFor(bytes) ? undefined : `lite subscription quota exceeded: ${budget.reason}`;
  }

  /** There is room, see `fullReason`. */
  add(subscription: LiteSubscription, lmq: string): void {
    if (subscription.lmqs.has(lmq)) return;
    subscription.lmqs.add(lmq);
    put(this.#byLmq, lmq, subscription);
    this.#count++;
    this.#deps.budget.add(lmqBytes(lmq));
    this.listener.added(subscription, lmq);
  }

  addWildcard(subscription: LiteSubscription): void {
    if (subscription.isWildcard) return;
    subscription.isWildcard = true;
    put(this.#byTopic, subscription.topic, subscription);
    this.listener.added(subscription, undefined);
  }

  /** False when the client did not subscribe to it. */
  drop(subscription: LiteSubscription, lmq: string): boolean {
    if (!subscription.lmqs.delete(lmq)) return false;
    take(this.#byLmq, lmq, subscription);
    this.#count--;
    this.#deps.budget.add(-lmqBytes(lmq));
    return true;
  }

  /** The client subscribes to nothing any more. */
  remove(clientId: string): void {
    const subscription = this.#clients.get(clientId);
    if (subscription === undefined) return;
    for (const lmq of [...subscription.lmqs]) this.drop(subscription, lmq);
    if (subscription.isWildcard) take(this.#byTopic, subscription.topic, subscription);
    this.#clients.delete(clientId);
    this.#deps.budget.add(-clientBytes(subscription));
    this.listener.gone(subscription);
  }

  /** The lite topic has expired. */
  dropAll(lmq: string): void {
    for (const clientIds of [...(this.#byLmq.get(lmq)?.values() ?? [])]) {
      for (const clientId of [...clientIds]) {
        const subscription = this.#clients.get(clientId);
        if (subscription !== undefined && this.drop(subscription, lmq)) this.listener.ended(subscription, lmq);
      }
    }
  }

  /** Forgets clients that have not said for too long what they subscribe to. */
  expire(): void {
    const before = this.#deps.clock.monotonic() - this.#deps.config.liteSubscriptionCheckTimeoutMills;
    for (const { clientId, updatedAt } of [...this.#clients.values()]) if (updatedAt < before) this.remove(clientId);
  }
}

const NOBODY: ReadonlySet<string> = new Set();

function put(subscribers: Subscribers, name: string, { group, clientId }: LiteSubscription): void {
  const groups = subscribers.get(name) ?? new Map<string, Set<string>>();
  const clientIds = groups.get(group) ?? new Set<string>();
  clientIds.add(clientId);
  groups.set(group, clientIds);
  subscribers.set(name, groups);
}

function take(subscribers: Subscribers, name: string, { group, clientId }: LiteSubscription): void {
  const groups = subscribers.get(name);
  const clientIds = groups?.get(group);
  if (groups === undefined || clientIds === undefined) return;
  clientIds.delete(clientId);
  if (clientIds.size === 0) groups.delete(group);
  if (groups.size === 0) subscribers.delete(name);
}
