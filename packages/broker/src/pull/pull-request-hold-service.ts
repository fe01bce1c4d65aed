import { Slices } from '@vernier/remoting';
import type { Clock } from '@vernier/store';
import type { Caller } from '../base/caller.ts';
import type { HeldFilters } from '../filter/held-filters.ts';
import type { SizedFilter } from '../filter/sized-filter.ts';

/** A pull that found nothing and waits for a message (RocketMQ PullRequest). */
export interface HeldPull {
  readonly caller: Caller;
  readonly topic: string;
  readonly queueId: number;
  /** The offset it wants; a message at this offset or after it may wake it. */
  readonly offset: number;
  /** Undefined: every message wakes it. */
  readonly filter: SizedFilter | undefined;
  /** Runs the pull again and answers it, whatever it finds. */
  run(): void;
}

interface Entry {
  readonly pull: HeldPull;
  readonly bucket: number;
}

/** Expiry is rounded up to this, so that a thousand requests of one second share one wake of the timer. */
const BUCKET_MS = 1_000;
const SUSPEND_MS_MAX = 3_600_000;
/** Pulls run again in one turn of the event loop: one message may wake thousands, and thousands may expire at once. */
export const RUNS_A_TURN = 256;

/**
 * Pulls that wait for a message (RocketMQ PullRequestHoldService). A message of the queue wakes those it matches; one
 * timer, armed only for the expiry of something held, answers the rest. Each of the three ways out (woken,
 * expired, caller gone) removes a request from all three tables in constant time: ten thousand cost their objects.
 */
export class PullRequestHoldService {
  /** topic → queue id → the requests held for it. Two maps, so that an arriving message builds no key. */
  readonly #held = new Map<string, Map<number, Set<Entry>>>();
  /** A caller keeps its set, and the listener on its signal, until it is gone. */
  #byCaller = new WeakMap<Caller, Set<Entry>>();
  /** End of the bucket in monotonic milliseconds → what expires then. */
  readonly #buckets = new Map<number, Set<Entry>>();
  #woken: Entry[] = [];
  readonly #runs = new Slices<HeldPull>(RUNS_A_TURN, (pull) => this.#run(pull));
  #count = 0;
  #timer: unknown;
  #timerBucket = 0;
  #stopped = false;
  readonly #clock: Clock;
  readonly #filters: HeldFilters;

  constructor(clock: Clock, filters: HeldFilters) {
    this.#clock = clock;
    this.#filters = filters;
  }

  /** Requests held now. */
  get count(): number {
    return this.#count;
  }

  /** Holds a pull for at most `suspendMs` (rounded up to a second). After stop() it is dropped. */
  suspend(pull: HeldPull, suspendMs: number): void {
    // Requests are served while a broker stops, and what comes then would keep the process alive by its timer for an hour.
    if (this.#stopped) return;
    const until = this.#clock.monotonic() + Math.min(Math.max(suspendMs, 0), SUSPEND_MS_MAX);
    const bucket = Math.ceil(until / BUCKET_MS) * BUCKET_MS;
    const entry: Entry = { pull, bucket };
    let queues = this.#held.get(pull.topic);
    if (queues === undefined) {
      queues = new Map();
      this.#held.set(pull.topic, queues);
    }
    addTo(queues, pull.queueId, entry);
    this.#heldFor(pull.caller).add(entry);
    addTo(this.#buckets, bucket, entry);
    this.#filters.add(pull.filter);
    this.#count++;
    this.#arm(bucket);
  }

  /** A message is readable: wakes the requests of its queue that it matches. `maxOffset` is exclusive. */
  messageArrived(topic: string, queueId: number, maxOffset: number, tagsCode: number): void {
    if (this.#count === 0) return;
    const entries = this.#held.get(topic)?.get(queueId);
    if (entries === undefined) return;
    for (const entry of entries) {
      const { offset, filter } = entry.pull;
      if (offset < maxOffset && (filter === undefined || filter.isMatchedByConsumeQueue(tagsCode))) this.#wake(entry);
    }
  }

  /** Wakes the requests of a queue whose offset lies before `maxOffset`, whatever the messages are. */
  wake(topic: string, queueId: number, maxOffset: number): void {
    for (const entry of this.#held.get(topic)?.get(queueId) ?? []) {
      if (entry.pull.offset < maxOffset) this.#wake(entry);
    }
  }

  /** Wakes the oldest request of a queue that the message matches; true when there was one. For POP, where one gets it. */
  wakeOldest(topic: string, queueId: number, tagsCode?: number): boolean {
    for (const entry of this.#held.get(topic)?.get(queueId) ?? []) {
      const { filter } = entry.pull;
      if (tagsCode !== undefined && filter !== undefined && !filter.isMatchedByConsumeQueue(tagsCode)) continue;
      this.#wake(entry);
      return true;
    }
    return false;
  }

  /** Queues of the topic that requests are held for. */
  heldQueues(topic: string): Iterable<number> {
    return this.#held.get(topic)?.keys() ?? [];
  }

  /** Requests held for a queue. */
  countOf(topic: string, queueId: number): number {
    return this.#held.get(topic)?.get(queueId)?.size ?? 0;
  }

  /** Runs the pull after this turn's other arrivals, which it then takes along. */
  #wake(entry: Entry): void {
    this.#remove(entry);
    if (this.#woken.length === 0) queueMicrotask(() => this.#runWoken());
    this.#woken.push(entry);
  }

  #heldFor(caller: Caller): Set<Entry> {
    let entries = this.#byCaller.get(caller);
    if (entries === undefined) {
      entries = new Set();
      this.#byCaller.set(caller, entries);
      caller.signal.addEventListener('abort', () => this.#callerGone(caller), { once: true });
    }
    return entries;
  }

  #callerGone(caller: Caller): void {
    for (const entry of this.#byCaller.get(caller) ?? []) this.#remove(entry);
  }

  #run(pull: HeldPull): void {
    if (!this.#stopped && !pull.caller.isGone) pull.run();
  }

  /** Drops everything held and the timer, and whatever comes later, for a shutdown. */
  stop(): void {
    this.#stopped = true;
    this.#woken = [];
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
    this.#held.clear();
    this.#byCaller = new WeakMap();
    this.#buckets.clear();
    this.#count = 0;
  }

  #runWoken(): void {
    const woken = this.#woken;
    this.#woken = [];
    for (const entry of woken) this.#runs.add(entry.pull);
  }

  #remove(entry: Entry): void {
    const { pull } = entry;
    const queues = this.#held.get(pull.topic);
    if (queues !== undefined) {
      removeFrom(queues, pull.queueId, entry);
      if (queues.size === 0) this.#held.delete(pull.topic);
    }
    this.#byCaller.get(pull.caller)?.delete(entry);
    removeFrom(this.#buckets, entry.bucket, entry);
    this.#filters.remove(pull.filter);
    // The timer stays as it is: a busy consumer is held and woken thousands of times a second, and a timer that finds
    // nothing to do when it fires is not armed again.
    this.#count--;
  }

  #arm(bucket: number): void {
    if (this.#timer !== undefined) {
      if (this.#timerBucket <= bucket) return;
      this.#clock.clearTimer(this.#timer);
    }
    this.#timerBucket = bucket;
    this.#timer = this.#clock.setTimer(() => this.#expire(), Math.max(bucket - this.#clock.monotonic(), 0));
  }

  #expire(): void {
    this.#timer = undefined;
    const now = this.#clock.monotonic();
    const expired: Entry[] = [];
    let next = Number.POSITIVE_INFINITY;
    for (const [bucket, entries] of this.#buckets) {
      // A timer may fire a fraction of a millisecond early.
      if (bucket <= now + 1) expired.push(...entries);
      else if (bucket < next) next = bucket;
    }
    for (const entry of expired) this.#remove(entry);
    if (next !== Number.POSITIVE_INFINITY) this.#arm(next);
    for (const entry of expired) this.#runs.add(entry.pull);
  }
}

function addTo<Key>(table: Map<Key, Set<Entry>>, key: Key, entry: Entry): void {
  const entries = table.get(key);
  if (entries === undefined) table.set(key, new Set([entry]));
  else entries.add(entry);
}

function removeFrom<Key>(table: Map<Key, Set<Entry>>, key: Key, entry: Entry): void {
  const entries = table.get(key);
  if (entries === undefined) return;
  entries.delete(entry);
  if (entries.size === 0) table.delete(key);
}
