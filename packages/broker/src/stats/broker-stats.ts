import type { Clock } from '@vernier/store';
import { isLmq, LMQ_PREFIX } from '@vernier/store/internal';
import { type BudgetState, textBytes } from '../base/budget.ts';
import { isRetryOrDlqTopic } from '../base/names.ts';
import type { MessageMeters } from './message-meters.ts';

/**
 * Counters with rates over the last minute, hour and day (RocketMQ StatsItem, StatsItemSet). RocketMQ samples each
 * counter by timers; here a counter samples itself when it counts, so that an idle broker has nothing to do.
 */

export interface RateSnapshot {
  /** Counted in the window. */
  sum: number;
  /** `sum` by the window's seconds (fewer when the counter is younger). */
  tps: number;
  /** Average of what was counted at once. */
  avgpt: number;
}

/** Numbers of a sample: milliseconds, then sum and times as they were just before. */
const SAMPLE = 3;

/** Totals at intervals, kept for one window. */
class SampleRing {
  readonly #windowMs: number;
  readonly #intervalMs: number;
  /** Flat, for there may be tens of thousands of counters with fifty samples each. */
  readonly #samples: number[] = [];
  #next = 0;

  constructor(windowMs: number, intervalMs: number) {
    this.#windowMs = windowMs;
    this.#intervalMs = intervalMs;
  }

  /** Before counting at `now`. */
  before(now: number, sum: number, times: number): void {
    if (now < this.#next - this.#intervalMs) {
      // The clock was set back: a sample of a time to come would stand for the window's start until then.
      while ((this.#samples.at(-SAMPLE) ?? now) > now) this.#samples.length -= SAMPLE;
    } else if (now < this.#next) {
      return;
    }
    this.#next = now + this.#intervalMs;
    this.#samples.push(now, sum, times);
    // One sample older than the window is needed as its start.
    let gone = 0;
    while ((this.#samples[gone + SAMPLE] ?? now) <= now - this.#windowMs) gone += SAMPLE;
    if (gone > 0) this.#samples.splice(0, gone);
  }

  /** What was counted since `now - window`. `bornAt`: when the counter began. */
  snapshot(now: number, sum: number, times: number, windowMs: number, bornAt: number): RateSnapshot {
    // The first sample after the window's start has the totals of that start: nothing was counted in between.
    const samples = this.#samples;
    let start = 0;
    while (start < samples.length && !(samples[start]! > now - windowMs && samples[start]! <= now)) start += SAMPLE;
    const counted = sum - (samples[start + 1] ?? sum);
    const countedTimes = times - (samples[start + 2] ?? times);
    // Born after `now`, by a clock that was set back since: older than any window.
    const ageMs = now < bornAt ? windowMs : now - bornAt;
    const seconds = Math.max(1, Math.min(windowMs, ageMs) / 1_000);
    return { sum: counted, tps: counted / seconds, avgpt: countedTimes === 0 ? 0 : counted / countedTimes };
  }
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** Between two samples of the shortest window. */
const SAMPLE_MS = 5_000;
/** More than the longest day of a year has. */
const LONGEST_DAY = 26 * HOUR;

export class RateCounter {
  /** Everything counted since the broker started. */
  sum = 0;
  /** How often something was counted. */
  times = 0;
  readonly #bornAt: number;
  readonly #minute = new SampleRing(MINUTE, SAMPLE_MS);
  readonly #hour = new SampleRing(HOUR, 5 * MINUTE);
  readonly #day = new SampleRing(DAY, HOUR);
  #nextSample = 0;

  constructor(now: number) {
    this.#bornAt = now;
  }

  add(now: number, value: number): void {
    if (now >= this.#nextSample || now < this.#nextSample - SAMPLE_MS) {
      this.#minute.before(now, this.sum, this.times);
      this.#hour.before(now, this.sum, this.times);
      this.#day.before(now, this.sum, this.times);
      this.#nextSample = now + SAMPLE_MS;
    }
    this.sum += value;
    this.times += 1;
  }

  /** Something was counted since `time`, or within the five seconds before. */
  hasCountedSince(time: number): boolean {
    return this.#nextSample > time;
  }

  minute(now: number): RateSnapshot {
    return this.#minute.snapshot(now, this.sum, this.times, MINUTE, this.#bornAt);
  }

  hour(now: number): RateSnapshot {
    return this.#hour.snapshot(now, this.sum, this.times, HOUR, this.#bornAt);
  }

  day(now: number): RateSnapshot {
    return this.#day.snapshot(now, this.sum, this.times, DAY, this.#bornAt);
  }
}

/** Totals each second for ten minutes: the three figures of GET_BROKER_RUNTIME_INFO. */
export class TpsCounter {
  sum = 0;
  readonly #bornAt: number;
  readonly #samples = new SampleRing(10 * MINUTE, 1_000);

  constructor(now: number) {
    this.#bornAt = now;
  }

  add(now: number, value: number): void {
    this.#samples.before(now, this.sum, 0);
    this.sum += value;
  }

  tps(now: number, windowMs: number): number {
    return this.#samples.snapshot(now, this.sum, 0, windowMs, this.#bornAt).tps;
  }

  /** Over 10 s, 60 s and 600 s, separated by blanks, as RocketMQ's StoreStatsService prints them. */
  print(now: number): string {
    return [10_000, MINUTE, 10 * MINUTE].map((windowMs) => this.tps(now, windowMs)).join(' ');
  }
}

/** Upper bounds in milliseconds of the classes that RocketMQ's StoreStatsService counts puts in; the last has none. */
const PUT_TIME_BOUNDS = [0, 10, 50, 100, 200, 500, 1_000, 2_000, 3_000, 4_000, 5_000, 10_000] as const;

/** How long puts took, in classes. */
export class PutTimes {
  max = 0;
  #sum = 0;
  readonly #counts = new Array<number>(PUT_TIME_BOUNDS.length + 1).fill(0);

  add(ms: number): void {
    if (ms > this.max) this.max = ms;
    this.#sum += ms;
    let index = 0;
    while (index < PUT_TIME_BOUNDS.length && ms > (PUT_TIME_BOUNDS[index] as number)) index++;
    this.#counts[index] = (this.#counts[index] as number) + 1;
  }

  /** For metrics: `counts` has one more than `bounds`, for what is above the last. */
  get histogram(): { bounds: readonly number[]; counts: readonly number[]; sum: number } {
    return { bounds: PUT_TIME_BOUNDS, counts: [...this.#counts], sum: this.#sum };
  }

  /** `[<=0ms]:5 [0~10ms]:3 … [10000ms~]:0` */
  print(): string {
    return this.#counts
      .map((count, index) => {
        if (index === 0) return `[<=0ms]:${count}`;
        const to = PUT_TIME_BOUNDS[index];
        return `[${PUT_TIME_BOUNDS[index - 1]}~${to === undefined ? '' : to}ms]:${count}`;
      })
      .join(' ');
  }
}

/** Names that VIEW_BROKER_STATS_DATA asks for (RocketMQ Stats). */
export type StatsName =
  | 'TOPIC_PUT_NUMS'
  | 'TOPIC_PUT_SIZE'
  | 'GROUP_GET_NUMS'
  | 'GROUP_GET_SIZE'
  | 'SNDBCK_PUT_NUMS'
  | 'BROKER_PUT_NUMS'
  | 'BROKER_GET_NUMS';

/** These two count for the whole broker. */
const isOfBroker = (name: StatsName): boolean => name === 'BROKER_PUT_NUMS' || name === 'BROKER_GET_NUMS';

/** A counter with the samples of a day. */
const COUNTER_BYTES = 2_400;
/** What stays when the oldest counters have to go. */
const SHARE_LEFT = 0.9;

interface DayTotals {
  today: number;
  yesterday: number;
}

/** What the broker counts (RocketMQ BrokerStatsManager, BrokerStats). Times are Unix milliseconds of the caller's clock. */
export class BrokerStats {
  readonly put: TpsCounter;
  readonly getTransferred: TpsCounter;
  readonly getFound: TpsCounter;
  readonly getMiss: TpsCounter;
  /** Sends that failed. */
  putFailed = 0;
  /** From the append to the answer. */
  readonly putTimes = new PutTimes();
  /** Told of every message that passes; undefined when nobody exports metrics. */
  meters: MessageMeters | undefined;
  /** Longest look at a queue, milliseconds. */
  getTimeMax = 0;
  readonly #cluster: string;
  readonly #counters = new Map<StatsName, Map<string, RateCounter>>();
  readonly #bytesMax: () => number;
  #usedBytes = 0;
  #forgottenCount = 0;
  #midnight: number;
  #putAtMidnight: DayTotals = { today: 0, yesterday: 0 };
  #getAtMidnight: DayTotals = { today: 0, yesterday: 0 };

  /**
   * `bytesMax`: for the counters, asked each time. There is one of each topic and of each group in a topic, and clients invent
   * both. Beyond it those go that have counted nothing for an hour, then the oldest ones; who counts again begins anew.
   */
  constructor(cluster: string, now: number, bytesMax: () => number = () => Number.POSITIVE_INFINITY) {
    this.#cluster = cluster;
    this.#bytesMax = bytesMax;
    this.put = new TpsCounter(now);
    this.getTransferred = new TpsCounter(now);
    this.getFound = new TpsCounter(now);
    this.getMiss = new TpsCounter(now);
    this.#midnight = nextMidnight(now);
  }

  /** Of the counters; `refusedCount`: those that went. */
  get budget(): BudgetState {
    const bytesMax = this.#bytesMax();
    return { name: 'statsBytesMax', usedBytes: this.#usedBytes, bytesMax, refusedCount: this.#forgottenCount };
  }

  countPut(now: number, topic: string, messages: number, bytes: number): void {
    this.#passMidnight(now);
    this.put.add(now, messages);
    this.#counter('TOPIC_PUT_NUMS', topic, now).add(now, messages);
    this.#counter('TOPIC_PUT_SIZE', topic, now).add(now, bytes);
    this.#counter('BROKER_PUT_NUMS', this.#cluster, now).add(now, messages);
  }

  countGet(now: number, group: string, topic: string, messages: number, bytes: number): void {
    this.#passMidnight(now);
    this.getTransferred.add(now, messages);
    this.getFound.add(now, 1);
    if (this.meters !== undefined && !isRetryOrDlqTopic(topic)) this.meters.countOut(topic, group, messages, bytes);
    // Clients invent light queues; one counter stands for all of them.
    const key = `${withoutLmq(topic)}@${withoutLmq(group)}`;
    this.#counter('GROUP_GET_NUMS', key, now).add(now, messages);
    this.#counter('GROUP_GET_SIZE', key, now).add(now, bytes);
    this.#counter('BROKER_GET_NUMS', this.#cluster, now).add(now, messages);
  }

  countGetMiss(now: number): void {
    this.getMiss.add(now, 1);
  }

  countSendBack(now: number, group: string, topic: string): void {
    this.#counter('SNDBCK_PUT_NUMS', `${topic}@${group}`, now).add(now, 1);
  }

  find(name: string, key: string): RateCounter | undefined {
    return this.#counters.get(name as StatsName)?.get(key);
  }

  /** Messages a second over the last minute. */
  tps(name: StatsName, key: string, now: number): number {
    return this.find(name, key)?.minute(now).tps ?? 0;
  }

  /** Does what an operator wants of topics or groups, and counts how long it took and whether it was done. */
  async timeCreation<Outcome>(
    kind: 'topic' | 'group',
    isSystem: boolean,
    clock: Pick<Clock, 'monotonic'>,
    create: () => Promise<Outcome | undefined>,
  ): Promise<Outcome | undefined> {
    const began = clock.monotonic();
    let isSuccess = false;
    try {
      const refusal = await create();
      isSuccess = refusal === undefined;
      return refusal;
    } finally {
      this.meters?.noteCreation(kind, isSuccess, isSystem, clock.monotonic() - began);
    }
  }

  forgetTopic(topic: string): void {
    this.meters?.forgetTopic(topic);
    this.#forget((name, key) => !isOfBroker(name) && (key === topic || key.startsWith(`${topic}@`)));
  }

  forgetGroup(group: string): void {
    this.meters?.forgetGroup(group);
    this.#forget((name, key) => !isOfBroker(name) && key.endsWith(`@${group}`));
  }

  #forget(isGone: (name: StatsName, key: string, counter: RateCounter) => boolean): void {
    for (const [name, counters] of this.#counters) {
      for (const [key, counter] of counters) {
        if (!isGone(name, key, counter)) continue;
        counters.delete(key);
        this.#usedBytes -= counterBytes(key);
      }
    }
  }

  #makeRoom(now: number, bytes: number): void {
    const most = this.#bytesMax();
    if (this.#usedBytes + bytes <= most) return;
    const before = this.#count;
    this.#forget((name, _key, counter) => !isOfBroker(name) && !counter.hasCountedSince(now - HOUR));
    if (this.#usedBytes + bytes > most) {
      // Not one by one: the next that is made would look at all of them again.
      const left = most * SHARE_LEFT;
      this.#forget((name) => !isOfBroker(name) && this.#usedBytes + bytes > left);
    }
    this.#forgottenCount += before - this.#count;
  }

  get #count(): number {
    let count = 0;
    for (const counters of this.#counters.values()) count += counters.size;
    return count;
  }

  /** The keys of GET_BROKER_RUNTIME_INFO that come from here. */
  runtimeInfo(now: number): Record<string, string> {
    this.#passMidnight(now);
    const total = [10_000, 60_000, 600_000].map((ms) => this.getFound.tps(now, ms) + this.getMiss.tps(now, ms));
    return {
      putTps: this.put.print(now),
      getTransferredTps: this.getTransferred.print(now),
      getFoundTps: this.getFound.print(now),
      getMissTps: this.getMiss.print(now),
      getTotalTps: total.join(' '),
      putMessageEntireTimeMax: String(this.putTimes.max),
      putMessageDistributeTime: this.putTimes.print(),
      getMessageEntireTimeMax: String(this.getTimeMax),
      msgPutTotalTodayNow: String(this.put.sum),
      msgPutTotalTodayMorning: String(this.#putAtMidnight.today),
      msgPutTotalYesterdayMorning: String(this.#putAtMidnight.yesterday),
      msgGetTotalTodayNow: String(this.getTransferred.sum),
      msgGetTotalTodayMorning: String(this.#getAtMidnight.today),
      msgGetTotalYesterdayMorning: String(this.#getAtMidnight.yesterday),
    };
  }

  #counter(name: StatsName, key: string, now: number): RateCounter {
    let counters = this.#counters.get(name);
    if (counters === undefined) {
      counters = new Map();
      this.#counters.set(name, counters);
    }
    let counter = counters.get(key);
    if (counter === undefined) {
      this.#makeRoom(now, counterBytes(key));
      counter = new RateCounter(now);
      counters.set(key, counter);
      this.#usedBytes += counterBytes(key);
    }
    return counter;
  }

  #passMidnight(now: number): void {
    if (now >= this.#midnight) this.#dayBreak(now);
    // The clock was set back by days: the next midnight comes sooner than it was thought.
    else if (now < this.#midnight - LONGEST_DAY) this.#midnight = nextMidnight(now);
  }

  /** A new day: what was counted so far is what there was this morning. Days without traffic count as well. */
  #dayBreak(now: number): void {
    const skipped = now >= nextMidnight(this.#midnight);
    const { sum: put } = this.put;
    const { sum: get } = this.getTransferred;
    this.#putAtMidnight = { today: put, yesterday: skipped ? put : this.#putAtMidnight.today };
    this.#getAtMidnight = { today: get, yesterday: skipped ? get : this.#getAtMidnight.today };
    this.#midnight = nextMidnight(now);
  }
}

const counterBytes = (key: string): number => COUNTER_BYTES + textBytes(key);

const withoutLmq = (name: string): string => (isLmq(name) ? LMQ_PREFIX : name);

function nextMidnight(now: number): number {
  const date = new Date(now);
  return new Date(date.getFullYear(), date.getMonth(), date.getDate() + 1).getTime();
}
