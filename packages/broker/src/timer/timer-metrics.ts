import { asObject, type DataVersion, dataVersionFromJson } from '@vernier/remoting';
import { TableVersion } from '../base/table-version.ts';

interface Metric {
  count: number;
  /** Unix milliseconds of the last change. */
  timeStamp: number;
}

/**
 * How many messages of each topic wait for their time, as RocketMQ keeps it (config/timermetrics). Counted when a message
 * begins to wait and when its time has come, whatever became of it, so that a recall does not count twice. A gauge for
 * operators: after a crash it may be off by what happened since its last save, and is right again when nothing waits.
 *
 * Bounded by the topics that messages wait for; one for which none waits has no row.
 */
export class TimerMetrics {
  readonly #now: () => number;
  readonly #changed: () => void;
  readonly #version: TableVersion;
  readonly #topics = new Map<string, Metric>();
  /** Told of each change: so many more messages wait, or fewer. */
  onChange: (topic: string, value: number) => void = () => {};
  /** Told of each message that begins to wait: milliseconds from its birth to its time. */
  onDelay: (topic: string, ms: number) => void = () => {};

  /** `changed` is called after each change: the table has to be saved. */
  constructor(now: () => number, changed: () => void) {
    this.#now = now;
    this.#changed = changed;
    this.#version = new TableVersion(now);
  }

  get dataVersion(): DataVersion {
    return this.#version.current;
  }

  count(topic: string): number {
    return this.#topics.get(topic)?.count ?? 0;
  }

  add(topic: string, value: number): void {
    this.onChange(topic, value);
    const count = Math.max(0, this.count(topic) + value);
    if (count === 0) this.#topics.delete(topic);
    else this.#topics.set(topic, { count, timeStamp: this.#now() });
    this.#version.changed();
    this.#changed();
  }

  /** Topics that messages wait for, and how many do. */
  *counts(): Iterable<[topic: string, count: number]> {
    for (const [topic, { count }] of this.#topics) yield [topic, count];
  }

  /** Nothing waits. */
  clear(): void {
    if (this.#topics.size === 0) return;
    this.#topics.clear();
    this.#version.changed();
    this.#changed();
  }

  /** Takes over a parsed timermetrics. Throws REMOTING_BODY_INVALID when it is something else. */
  load(file: unknown): void {
    const { timingCount, dataVersion } = asObject(file, 'timermetrics');
    for (const [topic, metric] of Object.entries(asObject(timingCount, 'timingCount'))) {
      const { count, timeStamp } = asObject(metric, topic);
      if (!Number.isSafeInteger(count) || (count as number) <= 0) continue;
      this.#topics.set(topic, {
        count: count as number,
        timeStamp: Number.isSafeInteger(timeStamp) ? (timeStamp as number) : 0,
      });
    }
    this.#version.current = dataVersionFromJson(dataVersion);
  }

  *encode(): Iterable<string> {
    this.#version.writtenOut();
    yield `{"dataVersion":${JSON.stringify(this.dataVersion)},"timingCount":{`;
    let separator = '';
    for (const [topic, metric] of this.#topics) {
      yield `${separator}${JSON.stringify(topic)}:${JSON.stringify(metric)}`;
      separator = ',';
    }
    yield '}}\n';
  }

  /** As GET_TIMER_METRICS answers it. */
  text(): string {
    return [...this.encode()].join('');
  }
}
