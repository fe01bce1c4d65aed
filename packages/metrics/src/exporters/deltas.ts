import { type MetricName, metricList } from '../list.ts';
import type { HistogramValue, Labels, Observation, Point } from '../observation.ts';

type Value = Point['value'];

/**
 * What counters and histograms say since the export before (metricsInDelta, OpenTelemetry's delta temporality). Gauges stay as
 * they are; a series that has not changed is left out. It remembers the last value of each series of the last export, and so
 * is as large as that.
 */
export class Deltas {
  #before = new Map<MetricName, Map<string, Value>>();

  *since(metrics: ReturnType<Observation['metrics']>): Iterable<{ name: MetricName; points: readonly Point[] }> {
    const last = this.#before;
    this.#before = new Map();
    for (const { name, points } of metrics) {
      if (metricList[name].kind === 'gauge') {
        yield { name, points };
        continue;
      }
      const values = new Map<string, Value>();
      this.#before.set(name, values);
      const changed: Point[] = [];
      for (const { labels, value } of points) {
        const key = keyOf(labels);
        values.set(key, copyOf(value));
        const delta = difference(value, last.get(name)?.get(key));
        if (delta !== undefined) changed.push({ labels, value: delta });
      }
      if (changed.length > 0) yield { name, points: changed };
    }
  }
}

const keyOf = (labels: Labels): string => Object.entries(labels).flat().join('\u0000');

const copyOf = (value: Value): Value => (typeof value === 'number' ? value : { ...value, counts: [...value.counts] });

/** Undefined: nothing came since. A value below the one before was counted anew: its topic was deleted and made again. */
function difference(value: Value, before: Value | undefined): Value | undefined {
  if (typeof value === 'number') {
    const delta = typeof before === 'number' && before <= value ? value - before : value;
    return delta === 0 ? undefined : delta;
  }
  const past = before as HistogramValue | undefined;
  const isLater = past?.counts.length === value.counts.length && past.counts.every((one, i) => one <= value.counts[i]!);
  const counts = value.counts.map((count, index) => (isLater ? count - past.counts[index]! : count));
  if (counts.every((count) => count === 0)) return undefined;
  return { bounds: value.bounds, counts, sum: isLater ? value.sum - past.sum : value.sum };
}
