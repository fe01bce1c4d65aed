import type { Clock } from '@vernier/store';
import type { Caller } from '../base/caller.ts';
import { popRetryTopicOf } from '../base/names.ts';
import type { BrokerConfig } from '../config.ts';
import type { HeldFilters } from '../filter/held-filters.ts';
import type { SizedFilter } from '../filter/sized-filter.ts';
import { PullRequestHoldService } from '../pull/pull-request-hold-service.ts';

/** A request that found nothing and waits. */
export interface PollingRequest {
  readonly caller: Caller;
  readonly group: string;
  readonly topic: string;
  /** -1: any queue of the topic. */
  readonly queueId: number;
  /** Undefined: every message wakes it. */
  readonly filter: SizedFilter | undefined;
}

export type PollingLimits = Pick<BrokerConfig, 'popPollingSize' | 'maxPopPollingSize'>;

interface Watched {
  readonly topic: string;
  readonly group: string;
}

const keyOf = (topic: string, group: string): string => `${topic}@${group}`;

/** The index of watched topics is looked through when it has grown to twice what is held, and by so many more. */
const SWEEP_MARGIN = 1_000;

/**
 * Pops and notifications that wait for a message (RocketMQ PopLongPollingService). They are held as pulls are. A message wakes
 * one request of each group that waits for its topic: the oldest that wants any queue, else the oldest that wants this one.
 * A message of a retry topic wakes one of the group and the topic that it belongs to.
 */
export class PopPolling {
  readonly #holds: PullRequestHoldService;
  readonly #limits: PollingLimits;
  readonly #filters: HeldFilters;
  /** Topic that messages come to → groups that wait for it, by key. */
  readonly #watched = new Map<string, Map<string, Watched>>();
  #watchedCount = 0;

  constructor(clock: Clock, limits: PollingLimits, filters: HeldFilters) {
    this.#holds = new PullRequestHoldService(clock, filters);
    this.#filters = filters;
    this.#limits = limits;
  }

  /** Requests that wait now. */
  get count(): number {
    return this.#holds.count;
  }

  /** Of one queue, or of those that want any queue (-1). */
  countOf(group: string, topic: string, queueId: number): number {
    return this.#holds.countOf(keyOf(topic, group), queueId);
  }

  /**
   * False: too many wait, or with filters that take too much. Otherwise `run` is called once, when a message has come, `waitMs`
   * have passed (rounded up to a second), or `notify` said so; never when the caller is gone or the broker stops.
   */
  hold(request: PollingRequest, waitMs: number, run: () => void): boolean {
    const { popPollingSize, maxPopPollingSize } = this.#limits;
    const { caller, group, topic, queueId, filter } = request;
    if (this.count >= maxPopPollingSize || this.countOf(group, topic, queueId) > popPollingSize) return false;
    if (!this.#filters.hasRoomFor(filter)) return false;
    const key = keyOf(topic, group);
    this.#watch(key, { topic, group });
    this.#holds.suspend({ caller, topic: key, queueId, offset: 0, filter, run }, waitMs);
    return true;
  }

  #watch(key: string, watched: Watched): void {
    if (this.#watchedCount > 2 * 3 * this.count + SWEEP_MARGIN) this.#sweep();
    const { topic, group } = watched;
    for (const name of [topic, popRetryTopicOf(topic, group, false), popRetryTopicOf(topic, group, true)]) {
      let groups = this.#watched.get(name);
      if (groups === undefined) {
        groups = new Map();
        this.#watched.set(name, groups);
      }
      if (groups.has(key)) continue;
      groups.set(key, watched);
      this.#watchedCount++;
    }
  }

  #sweep(): void {
    for (const [name, groups] of this.#watched) {
      for (const [key, { topic, group }] of groups) if (!this.#isHeld(topic, group)) this.#forget(name, key);
    }
  }

  #isHeld(topic: string, group: string): boolean {
    for (const _ of this.#holds.heldQueues(keyOf(topic, group))) return true;
    return false;
  }

  #forget(name: string, key: string): void {
    const groups = this.#watched.get(name);
    if (groups?.delete(key) !== true) return;
    this.#watchedCount--;
    if (groups.size === 0) this.#watched.delete(name);
  }

  /** A message can be read. Cheap for topics that nobody waits for. */
  messageArrived(topic: string, queueId: number, tagsCode: number): void {
    const groups = this.#watched.get(topic);
    if (groups === undefined) return;
    for (const [key, { topic: wanted, group }] of groups) {
      if (!this.#isHeld(wanted, group)) this.#forget(topic, key);
      else if (wanted === topic) this.notify(group, wanted, queueId, tagsCode);
      else this.notifyAny(group, wanted, tagsCode);
    }
  }

  /** Wakes one that waits for the queue, or for any. True when there was one. */
  notify(group: string, topic: string, queueId: number, tagsCode?: number): boolean {
    const key = keyOf(topic, group);
    return (
      this.#holds.wakeOldest(key, -1, tagsCode) || (queueId >= 0 && this.#holds.wakeOldest(key, queueId, tagsCode))
    );
  }

  /** Wakes one that waits for whatever queue of the topic: retries are for all of them. */
  notifyAny(group: string, topic: string, tagsCode?: number): boolean {
    const key = keyOf(topic, group);
    if (this.#holds.wakeOldest(key, -1, tagsCode)) return true;
    for (const queueId of this.#holds.heldQueues(key)) {
      if (this.#holds.wakeOldest(key, queueId, tagsCode)) return true;
    }
    return false;
  }

  /** Drops what waits, and what comes later. */
  stop(): void {
    this.#holds.stop();
    this.#watched.clear();
    this.#watchedCount = 0;
  }
}
