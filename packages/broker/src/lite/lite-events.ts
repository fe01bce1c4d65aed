import type { Clock, MessageStore } from '@vernier/store';
import { prefixOf } from '../base/lite-names.ts';
import type { BrokerConfig } from '../config.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import type { LiteGroup } from './lite-rules.ts';
import type { LiteSubscription, LiteSubscriptions } from './lite-subscriptions.ts';

/** Lite topics of one client that have messages for it, the oldest first. */
interface ClientEvents {
  readonly group: string;
  readonly lmqs: Set<string>;
  /** There was no room for all of them: the client's lite topics are looked through when these are taken. */
  lacksSome: boolean;
  /** Others of the group were told to look for what is lacking, since the client asked last. */
  isLeftToOthers: boolean;
  /** The lite topic that was found last when they were looked through; the next look begins behind it. */
  foundLast: string | undefined;
  /** Monotonic milliseconds. */
  accessedAt: number;
  consumedAt: number;
}

export interface LiteEventsParts {
  readonly config: Pick<BrokerConfig, 'liteEventCheckInterval'>;
  readonly subscriptions: LiteSubscriptions;
  readonly store: Pick<MessageStore, 'getMaxOffsetInQueue' | 'queuesByTopic'>;
  readonly offsets: Pick<ConsumerOffsetManager, 'query'>;
  readonly clock: Pick<Clock, 'monotonic' | 'now' | 'setTimer' | 'clearTimer'>;
  readonly random: () => number;
  groupOf(group: string): LiteGroup | undefined;
  /** A batch of the queue is out. */
  isBlocked(group: string, lmq: string): boolean;
  /** A pop of the client waits: it looks again. */
  wake(group: string, clientId: string): void;
}

/** A client that has not asked for so long leaves its lite topics to other subscribers of its group. */
const INACTIVE_MS = 10_000;
/** Of many subscribers one of the first so many is drawn. */
const DRAWN_FROM = 16;

/**
 * Which lite topics have messages for whom (RocketMQ LiteEventDispatcher). Of each group one subscriber of the lite topic is
 * told; the client's next pop looks at what it was told of. What does not fit is not remembered one by one: the client's
 * subscriptions are looked through once it has taken the others.
 *
 * Nothing depends on an event alone: who takes one looks at the queue again afterwards, an ack that frees a queue makes one,
 * and so does the end of a batch's time.
 */
export class LiteEvents {
  readonly #parts: LiteEventsParts;
  readonly #clients = new Map<string, ClientEvents>();
  /** Groups whose clients look through what they subscribe to: one of them is gone, or silent, and lacked some. */
  readonly #searching = new Set<string>();
  #timer: unknown;

  constructor(parts: LiteEventsParts) {
    this.#parts = parts;
  }

  /** Clients of which something is remembered. */
  get size(): number {
    return this.#clients.size;
  }

  accessOf(clientId: string): { accessedMsAgo: number; consumedMsAgo: number } | undefined {
    const events = this.#clients.get(clientId);
    if (events === undefined) return undefined;
    const now = this.#parts.clock.monotonic();
    return { accessedMsAgo: now - events.accessedAt, consumedMsAgo: now - events.consumedAt };
  }

  /** A message of the light queue can be read. */
  arrived(lmq: string): void {
    for (const [group, clientIds] of this.#parts.subscriptions.groupsOf(lmq)) this.#offer(group, clientIds, lmq);
  }

  /** The queue may have messages for the group. `except`: whom it was taken from. */
  offer(group: string, lmq: string, except?: string): void {
    if (!this.hasMessages(group, lmq) || this.#parts.isBlocked(group, lmq)) return;
    this.#offer(group, this.#parts.subscriptions.subscribersOf(lmq, group), lmq, except);
  }

  hasMessages(group: string, lmq: string): boolean {
    const end = this.#parts.store.getMaxOffsetInQueue(lmq, 0);
    return end > 0 && this.#parts.offsets.query(group, lmq, 0) < end;
  }

  #offer(group: string, clientIds: ReadonlySet<string>, lmq: string, except?: string): void {
    const clientId = this.#choose(group, clientIds, except);
    if (clientId === undefined) return;
    this.#add(clientId, group, lmq);
    this.#parts.wake(group, clientId);
  }

  /** One who has asked lately and has room, else one who has room, else any. */
  #choose(group: string, clientIds: ReadonlySet<string>, except: string | undefined): string | undefined {
    if (clientIds.size <= 1) return clientIds.values().next().value;
    let skip = Math.floor(this.#parts.random() * Math.min(clientIds.size, DRAWN_FROM));
    let active: string | undefined;
    let roomy: string | undefined;
    let any: string | undefined;
    for (const clientId of clientIds) {
      if (clientId === except) {
        any ??= clientId;
        continue;
      }
      any = clientId;
      if (!this.#hasRoom(clientId, group)) continue;
      roomy = clientId;
      if (!this.#isActive(clientId)) continue;
      active = clientId;
      if (skip-- <= 0) break;
    }
    return active ?? roomy ?? any;
  }

  #isActive(clientId: string): boolean {
    const events = this.#clients.get(clientId);
    return events !== undefined && this.#parts.clock.monotonic() - events.accessedAt <= INACTIVE_MS;
  }

  #hasRoom(clientId: string, group: string): boolean {
    const events = this.#clients.get(clientId);
    if (events === undefined) return true;
    // What comes meanwhile is found in its turn, or lite topics that always have messages would keep out the others.
    return !events.lacksSome && events.lmqs.size < (this.#parts.groupOf(group)?.eventsMax ?? 1);
  }

  #add(clientId: string, group: string, lmq: string): boolean {
    const events = this.#eventsOf(clientId, group);
    if (events.lmqs.has(lmq)) return true;
    if (!this.#hasRoom(clientId, group)) {
      events.lacksSome = true;
      return false;
    }
    events.lmqs.add(lmq);
    this.#arm();
    return true;
  }

  #arm(): void {
    this.#timer ??= this.#parts.clock.setTimer(this.#tick, this.#parts.config.liteEventCheckInterval);
  }

  #eventsOf(clientId: string, group: string): ClientEvents {
    let events = this.#clients.get(clientId);
    if (events === undefined) {
      const now = this.#parts.clock.monotonic();
      const nothing = { lmqs: new Set<string>(), lacksSome: false, isLeftToOthers: false, foundLast: undefined };
      events = { group, ...nothing, accessedAt: now, consumedAt: now };
      this.#clients.set(clientId, events);
    }
    return events;
  }

  /** A lite topic that the client is to look at; undefined when there is none. */
  next(clientId: string): string | undefined {
    const subscription = this.#parts.subscriptions.get(clientId);
    if (subscription === undefined) return undefined;
    const events = this.#eventsOf(clientId, subscription.group);
    events.accessedAt = this.#parts.clock.monotonic();
    events.isLeftToOthers = false;
    if (events.lmqs.size === 0 && events.lacksSome) this.fill(subscription);
    for (const lmq of events.lmqs) {
      events.lmqs.delete(lmq);
      events.consumedAt = events.accessedAt;
      return lmq;
    }
    return undefined;
  }

  /** Something was offered since `next` had nothing. */
  hasAny(clientId: string): boolean {
    const events = this.#clients.get(clientId);
    return events !== undefined && (events.lmqs.size > 0 || events.lacksSome);
  }

  /** Looks through all that the client subscribes to. */
  fill(subscription: LiteSubscription): void {
    const { clientId, group } = subscription;
    const events = this.#eventsOf(clientId, group);
    events.lacksSome = false;
    const lmqs = [...this.#lmqsOf(subscription)];
    const from = events.foundLast === undefined ? 0 : lmqs.indexOf(events.foundLast) + 1;
    for (let i = 0; i < lmqs.length; i++) {
      const lmq = lmqs[(from + i) % lmqs.length]!;
      if (!this.hasMessages(group, lmq) || this.#parts.isBlocked(group, lmq)) continue;
      if (!this.#add(clientId, group, lmq)) break;
      events.foundLast = lmq;
    }
    if (events.lmqs.size > 0) this.#parts.wake(group, clientId);
  }

  *#lmqsOf({ topic, lmqs, isWildcard }: LiteSubscription): Iterable<string> {
    yield* lmqs;
    if (!isWildcard) return;
    const prefix = prefixOf(topic);
    for (const name of this.#parts.store.queuesByTopic().keys()) if (name.startsWith(prefix)) yield name;
  }

  /** The client subscribes to it no more. */
  forget(clientId: string, lmq: string): void {
    this.#clients.get(clientId)?.lmqs.delete(lmq);
  }

  /** The client is gone: other subscribers of its group get what it was told of. */
  gone({ clientId }: LiteSubscription): void {
    const events = this.#clients.get(clientId);
    if (events === undefined) return;
    this.#clients.delete(clientId);
    for (const lmq of events.lmqs) this.offer(events.group, lmq, clientId);
    if (!events.lacksSome) return;
    this.#searching.add(events.group);
    this.#arm();
  }

  stop(): void {
    if (this.#timer !== undefined) this.#parts.clock.clearTimer(this.#timer);
    this.#timer = undefined;
    this.#clients.clear();
    this.#searching.clear();
  }

  readonly #tick = (): void => {
    this.#timer = undefined;
    let isAnyLeft = false;
    for (const [clientId, events] of [...this.#clients]) {
      if (!this.#isActive(clientId)) this.#leave(clientId, events);
      if (events.lmqs.size > 0 || (events.lacksSome && !events.isLeftToOthers)) isAnyLeft = true;
    }
    this.#search();
    if (isAnyLeft) this.#arm();
  };

  #search(): void {
    if (this.#searching.size === 0) return;
    for (const { clientId, group } of this.#parts.subscriptions.clients()) {
      if (!this.#searching.has(group)) continue;
      this.#eventsOf(clientId, group).lacksSome = true;
      this.#parts.wake(group, clientId);
    }
    this.#searching.clear();
  }

  /** To others of the group, where there are some. */
  #leave(clientId: string, events: ClientEvents): void {
    const { group, lmqs } = events;
    if (events.lacksSome && !events.isLeftToOthers) {
      events.isLeftToOthers = true;
      this.#searching.add(group);
    }
    for (const lmq of [...lmqs]) {
      const clientIds = this.#parts.subscriptions.subscribersOf(lmq, group);
      if (clientIds.size === 0) lmqs.delete(lmq);
      if (clientIds.size < 2) continue;
      lmqs.delete(lmq);
      this.#offer(group, clientIds, lmq, clientId);
    }
  }
}
