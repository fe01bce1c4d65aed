import { isLmq, LMQ_PREFIX } from '@vernier/store/internal';
import { type Budget, textBytes } from '../base/budget.ts';

/**
 * What an exporter of metrics says of messages, by topic and by group: totals since the start, added up where messages pass
 * (RocketMQ BrokerMetricsManager counts at the same places). Nothing here knows who exports them, and without an exporter
 * there is no such object. Topics and groups are invented by clients: a table takes `seriesMax` rows and, with the others,
 * the bytes of `budget`. What finds no row is added to one row that stands for all of them, so that sums stay true.
 */

/** RocketMQ TopicMessageType, as far as a message's properties say it. */
export const MESSAGE_TYPES = ['normal', 'fifo', 'delay', 'transaction'] as const;
/** Index in MESSAGE_TYPES. */
export const MessageTypeIndex = { NORMAL: 0, FIFO: 1, DELAY: 2, TRANSACTION: 3 } as const;

/** Upper bounds in bytes of the classes of a message's size; the last class has none. */
export const MESSAGE_SIZE_BOUNDS = [1_024, 4_096, 524_288, 1_048_576, 2_097_152, 4_194_304] as const;
/** Upper bounds in seconds between a half's birth and its commit. */
export const FINISH_LATENCY_BOUNDS_S = [5, 60, 600, 3_600, 43_200, 86_400] as const;
/** Upper bounds in seconds of how long timed messages are to wait. */
export const DELAY_BOUNDS_S = [60, 600, 3_600, 43_200, 86_400, 259_200] as const;

/** Upper bounds in milliseconds of how long an operator's change of topics or groups takes. */
export const CREATION_BOUNDS_MS = [10, 100, 1_000, 3_000, 5_000] as const;

/** Counts of classes, one more than there are bounds, and the sum of what was counted. */
export class MeterHistogram {
  readonly bounds: readonly number[];
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  add(value: number): void {
    let index = 0;
    while (index < this.bounds.length && value > this.bounds[index]!) index++;
    this.counts[index]!++;
    this.sum += value;
  }
}

/** Messages of a type that came into a topic. */
export interface InMeter {
  /** Undefined: the row for all that found none. */
  readonly topic: string | undefined;
  readonly type: number;
  messages: number;
  bytes: number;
  readonly sizes: MeterHistogram;
}

/** Messages of a topic that a group got. */
export interface OutMeter {
  readonly topic: string | undefined;
  readonly group: string;
  messages: number;
  bytes: number;
}

/** What is counted one by one and rarely. */
const EVENT_NAMES = [
  ...(['deadLetters', 'commits', 'rollbacks', 'timerEnqueued', 'timerDequeued'] as const),
  ...(['reviveIn', 'reviveOut', 'reviveRetries'] as const),
] as const;
export type EventName = (typeof EVENT_NAMES)[number];

export interface EventMeter {
  readonly topic: string | undefined;
  /** Empty where the event has no group. */
  readonly group: string;
  /** What else tells rows apart; empty where nothing does. */
  readonly detail: string;
  count: number;
  /** Of commits: seconds since the half's birth; of timed messages: seconds from their birth to their time. */
  latency: MeterHistogram | undefined;
}

/** What operators made or changed, by its outcome. */
export interface CreationMeter {
  readonly isTopic: boolean;
  readonly isSuccess: boolean;
  readonly isSystem: boolean;
  readonly times: MeterHistogram;
}

const IN_BYTES = 480;
const OUT_BYTES = 240;
const EVENT_BYTES = 320;

const inRow = (topic: string | undefined, type: number): InMeter => ({
  ...{ topic, type, messages: 0, bytes: 0 },
  sizes: new MeterHistogram(MESSAGE_SIZE_BOUNDS),
});

class EventTable {
  readonly rows = new Map<string, EventMeter>();
  readonly overflow: EventMeter = { topic: undefined, group: '', detail: '', count: 0, latency: undefined };
}

export class MessageMeters {
  readonly #seriesMax: number;
  readonly #budget: Budget;
  /** By topic, and there by type. */
  readonly #in = new Map<string, (InMeter | undefined)[]>();
  #inCount = 0;
  readonly #inOverflow = MESSAGE_TYPES.map((_, type) => inRow(undefined, type));
  /** By topic, and there by group. */
  readonly #out = new Map<string, Map<string, OutMeter>>();
  #outCount = 0;
  readonly #outOverflow: OutMeter = { topic: undefined, group: '', messages: 0, bytes: 0 };
  /** At most one for each combination. */
  readonly #creations = new Map<string, CreationMeter>();
  readonly #events = new Map<EventName, EventTable>(EVENT_NAMES.map((name) => [name, new EventTable()]));

  /** `seriesMax`: rows of one table. */
  constructor(seriesMax: number, budget: Budget) {
    this.#seriesMax = seriesMax;
    this.#budget = budget;
  }

  /** Messages of one put, stored. On the way of every message. */
  countIn(topic: string, type: number, messages: number, bytes: number): void {
    const row = this.#in.get(topic)?.[type] ?? this.#newIn(topic, type);
    row.messages += messages;
    row.bytes += bytes;
    // RocketMQ takes a batch for one message of the average size.
    row.sizes.add(messages > 1 ? Math.floor(bytes / messages) : bytes);
  }

  /** Messages of one answer. */
  countOut(topic: string, group: string, messages: number, bytes: number): void {
    const row = this.#out.get(topic)?.get(group) ?? this.#newOut(topic, group);
    row.messages += messages;
    row.bytes += bytes;
  }

  /** `detail`: one of few, whatever clients do. */
  countEvent(name: EventName, topic: string, group = '', count = 1, detail = ''): void {
    this.#eventRow(name, topic, group, detail).count += count;
  }

  /** An operator made or changed topics or groups, or was refused, after so many milliseconds. */
  noteCreation(kind: 'topic' | 'group', isSuccess: boolean, isSystem: boolean, ms: number): void {
    const key = `${kind} ${isSuccess} ${isSystem}`;
    let row = this.#creations.get(key);
    if (row === undefined) {
      row = { isTopic: kind === 'topic', isSuccess, isSystem, times: new MeterHistogram(CREATION_BOUNDS_MS) };
      this.#creations.set(key, row);
    }
    row.times.add(Math.max(0, Math.floor(ms)));
  }

  creations(): Iterable<CreationMeter> {
    return this.#creations.values();
  }

  /** A commit, so many seconds after the half's birth. */
  countCommit(topic: string, latencySeconds: number): void {
    const row = this.#eventRow('commits', topic, '');
    row.count++;
    row.latency ??= new MeterHistogram(FINISH_LATENCY_BOUNDS_S);
    row.latency.add(wholeSeconds(latencySeconds));
  }

  /** A message that begins to wait, and for how long from its birth. It is counted by `countEvent`. */
  noteDelay(topic: string, seconds: number): void {
    const row = this.#eventRow('timerEnqueued', topic, '');
    row.latency ??= new MeterHistogram(DELAY_BOUNDS_S);
    row.latency.add(wholeSeconds(seconds));
  }

  *in(): Iterable<InMeter> {
    for (const types of this.#in.values()) for (const row of types) if (row !== undefined) yield row;
    for (const row of this.#inOverflow) if (row.messages > 0) yield row;
  }

  *out(): Iterable<OutMeter> {
    for (const groups of this.#out.values()) yield* groups.values();
    if (this.#outOverflow.messages > 0) yield this.#outOverflow;
  }

  *events(name: EventName): Iterable<EventMeter> {
    const table = this.#events.get(name)!;
    yield* table.rows.values();
    if (table.overflow.count > 0) yield table.overflow;
  }

  forgetTopic(topic: string): void {
    const types = this.#in.get(topic);
    if (types !== undefined) this.#forgetIn(topic, types);
    const groups = this.#out.get(topic);
    if (groups !== undefined) for (const row of [...groups.values()]) this.#forgetOut(topic, row);
    this.#forgetEvents((row) => row.topic === topic);
  }

  forgetGroup(group: string): void {
    for (const [topic, groups] of [...this.#out]) {
      const row = groups.get(group);
      if (row !== undefined) this.#forgetOut(topic, row);
    }
    this.#forgetEvents((row) => row.group === group);
  }

  #newIn(topic: string, type: number): InMeter {
    if (isLmq(topic) && topic !== LMQ_PREFIX) return this.#in.get(LMQ_PREFIX)?.[type] ?? this.#newIn(LMQ_PREFIX, type);
    if (this.#inCount >= this.#seriesMax || !this.#budget.take(IN_BYTES + textBytes(topic))) {
      return this.#inOverflow[type]!;
    }
    let types = this.#in.get(topic);
    if (types === undefined) {
      types = new Array<InMeter | undefined>(MESSAGE_TYPES.length).fill(undefined);
      this.#in.set(topic, types);
    }
    const row = inRow(topic, type);
    types[type] = row;
    this.#inCount++;
    return row;
  }

  #newOut(topic: string, group: string): OutMeter {
    // Clients invent light queues; one row stands for all of them.
    const named = isLmq(topic) ? LMQ_PREFIX : topic;
    const asked = isLmq(group) ? LMQ_PREFIX : group;
    const known = this.#out.get(named)?.get(asked);
    if (known !== undefined) return known;
    if (this.#outCount >= this.#seriesMax || !this.#budget.take(outBytes(named, asked))) return this.#outOverflow;
    let groups = this.#out.get(named);
    if (groups === undefined) {
      groups = new Map();
      this.#out.set(named, groups);
    }
    const row: OutMeter = { topic: named, group: asked, messages: 0, bytes: 0 };
    groups.set(asked, row);
    this.#outCount++;
    return row;
  }

  #eventRow(name: EventName, topic: string, group: string, detail = ''): EventMeter {
    const table = this.#events.get(name)!;
    const key = `${topic}\u0000${group}\u0000${detail}`;
    const known = table.rows.get(key);
    if (known !== undefined) return known;
    if (table.rows.size >= this.#seriesMax || !this.#budget.take(eventBytes(topic, group))) return table.overflow;
    const row: EventMeter = { topic, group, detail, count: 0, latency: undefined };
    table.rows.set(key, row);
    return row;
  }

  #forgetIn(topic: string, types: readonly (InMeter | undefined)[]): void {
    for (const row of types) {
      if (row === undefined) continue;
      this.#budget.give(IN_BYTES + textBytes(topic));
      this.#inCount--;
    }
    this.#in.delete(topic);
  }

  #forgetOut(topic: string, row: OutMeter): void {
    const groups = this.#out.get(topic)!;
    groups.delete(row.group);
    if (groups.size === 0) this.#out.delete(topic);
    this.#budget.give(outBytes(topic, row.group));
    this.#outCount--;
  }

  #forgetEvents(isGone: (row: EventMeter) => boolean): void {
    for (const { rows } of this.#events.values()) {
      for (const [key, row] of rows) {
        if (!isGone(row)) continue;
        rows.delete(key);
        this.#budget.give(eventBytes(row.topic!, row.group));
      }
    }
  }
}

/** A producer's clock may be ahead. */
const wholeSeconds = (seconds: number): number => Math.max(0, Math.floor(seconds));

const outBytes = (topic: string, group: string): number => OUT_BYTES + textBytes(topic) + textBytes(group);
const eventBytes = (topic: string, group: string): number => EVENT_BYTES + 2 * textBytes(topic) + 2 * textBytes(group);
