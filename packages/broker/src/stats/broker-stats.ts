import { isLmq, LMQ_PREFIX } from '@vernier/store/internal';

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

interface Sample {
  /** Milliseconds; the totals are those just before. */
  time: number;
  sum: number;
  times: number;
}

/** Totals at intervals, kept for one window. */
class SampleRing {
  readonly #windowMs: number;
  readonly #intervalMs: number;
  readonly #samples: Sample[] = [];
  #next = 0;

  constructor(windowMs: number, intervalMs: number) {
    this.#windowMs = windowMs;
    this.#intervalMs = intervalMs;
  }

  /** Before counting at `now`. */
  before(now: number, sum: number, times: number): void {
    if (now < this.#next - this.#intervalMs) {
      // The clock was set back: a sample of a time to come would stand for the window's start until then.
      while ((this.#samples.at(-1)?.time ?? now) > now) this.#samples.pop();
    } else if (now < this.#next) {
      return;
    }
    this.#next = now + this.#intervalMs;
    this.#samples.push({ time: now, sum, times });
    // One sample older than the window is needed as its start.
    while (this.#samples.length > 1 && (this.#samples[1] as Sample).time <= now - this.#windowMs) this.#samples.shift();
  }

  /** What was counted since `now - window`. `bornAt`: when the counter began. */
  snapshot(now: number, sum: number, times: number, windowMs: number, bornAt: number): RateSnapshot {
    // The first sample after the window's start has the totals of that start: nothing was counted in between.
    const start = this.#samples.find(({ time }) => time > now - windowMs && time <= now) ?? { sum, times };
    const counted = sum - start.sum;
    const countedTimes = times - start.times;
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

  minute = (now: number): RateSnapshot => this.#minute.snapshot(now, this.sum, this.times, MINUTE, this.#bornAt);
  hour = (now: number): RateSnapshot => this.#hour.snapshot(now, this.sum, this.times, HOUR, this.#bornAt);
  day = (now: number): RateSnapshot => this.#day.snapshot(now, this.sum, this.times, DAY, this.#bornAt);
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
  readonly #counts = new Array<number>(PUT_TIME_BOUNDS.length + 1).fill(0);

  add(ms: number): void {
    if (ms > this.max) this.max = ms;
    let index = 0;
    while (index < PUT_TIME_BOUNDS.length && ms > (PUT_TIME_BOUNDS[index] as number)) index++;
    this.#counts[index] = (this.#counts[index] as number) + 1;
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
  /** Longest look at a queue, milliseconds. */
  getTimeMax = 0;
  readonly #cluster: string;
  readonly #counters = new Map<StatsName, Map<string, RateCounter>>();
  #midnight: number;
  #putAtMidnight: DayTotals = { today: 0, yesterday: 0 };
  #getAtMidnight: DayTotals = { today: 0, yesterday: 0 };

  constructor(cluster: string, now: number) {
    this.#cluster = cluster;
    this.put = new TpsCounter(now);
    this.getTransferred = new TpsCounter(now);
    this.getFound = new TpsCounter(now);
    this.getMiss = new TpsCounter(now);
    this.#midnight = nextMidnight(now);
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

  forgetTopic(topic: string): void {
    for (const counters of this.#counters.values()) {
      for (const key of [...counters.keys()]) if (key === topic || key.startsWith(`${topic}@`)) counters.delete(key);
    }
  }

  forgetGroup(group: string): void {
    for (const counters of this.#counters.values()) {
      for (const key of [...counters.keys()]) if (key.endsWith(`@${group}`)) counters.delete(key);
    }
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
      counter = new RateCounter(now);
      counters.set(key, counter);
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

const withoutLmq = (name: string): string => (isLmq(name) ? LMQ_PREFIX : name);

function nextMidnight(now: number): number {
  const date = new Date(now);
  return new Date(date.getFullYear(), date.getMonth(), date.getDate() + 1).getTime();
}
