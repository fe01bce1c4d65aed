import { type MetricName, type MetricSwitch, metricSwitches } from './list.ts';
import { Observation } from './observation.ts';
import { inSeconds, Slices, type Source, type SourceParts } from './source.ts';
import { accessSource } from './sources/access.ts';
import { brokerSource } from './sources/broker.ts';
import { lagSource } from './sources/lag.ts';
import { messageSource } from './sources/messages.ts';
import { processSource } from './sources/process.ts';
import { storeSource } from './sources/store.ts';
import { timerSource } from './sources/timer.ts';

/** Asks everything that has something to say. Who asks while it is being asked gets the same answer. */
export class Collector {
  readonly #parts: SourceParts;
  readonly #lag: Source | undefined;
  readonly #sources: readonly Source[];
  readonly #leftOut: ReadonlySet<MetricName>;
  #running: Promise<Observation> | undefined;
  #usedMs = 0;
  #textMs = 0;

  constructor(parts: SourceParts) {
    this.#parts = parts;
    const { config } = parts;
    const off = (Object.keys(metricSwitches) as MetricSwitch[]).filter((key) => !config[key]);
    this.#leftOut = new Set(off.flatMap((key): readonly MetricName[] => metricSwitches[key]));
    // It costs more than all others.
    this.#lag = config.enableLagAndDlqMetrics ? lagSource(parts.broker) : undefined;
    this.#sources = [
      ...[storeSource(parts), messageSource(parts), brokerSource(parts), accessSource(parts)],
      ...(config.enableMessageStoreMetrics ? [timerSource(parts)] : []),
      ...(this.#lag === undefined ? [] : [this.#lag]),
      processSource(),
    ];
  }

  collect(): Promise<Observation> {
    this.#running ??= this.#collect().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Milliseconds that the text of the last export took. */
  noteText(ms: number): void {
    this.#textMs = ms;
  }

  close(): void {
    for (const source of this.#sources) source.close?.();
  }

  async #collect(): Promise<Observation> {
    const { config, broker } = this.#parts;
    const observation = new Observation(config.metricsOtelCardinalityLimit, (name) => this.#leftOut.has(name));
    const slices = new Slices();
    for (const source of this.#sources) {
      try {
        // The time that a source waits, or lets others go on, is not its own.
        const observed = source.observe(observation);
        if (observed !== undefined) await slices.outside(observed);
      } catch (error) {
        // One that fails must not hide the others: it is the broken store that is looked at.
        broker.logger.warn({ err: error }, `a part of the metrics is missing: ${(error as Error).message}`);
      }
      await slices.pause();
    }
    observation.observe('vernier_metrics_collect_time', inSeconds(this.#usedMs + this.#textMs), { what: 'all' });
    observation.observe('vernier_metrics_collect_time', inSeconds(this.#lag?.usedMs ?? 0), { what: 'lag' });
    observation.observe('vernier_metrics_series_left_out', observation.leftOutCount);
    observation.observe('vernier_metrics_series', observation.seriesCount);
    this.#usedMs = slices.usedMs;
    for (const { usedMs = 0 } of this.#sources) this.#usedMs += usedMs;
    return observation;
  }
}
