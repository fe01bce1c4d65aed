import { type MetricName, metricList } from './list.ts';

export type Labels = Readonly<Record<string, string>>;

/** Counts of classes: `counts` has one more than `bounds`, for what is above the last. */
export interface HistogramValue {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
}

export interface Point {
  readonly labels: Labels;
  readonly value: number | HistogramValue;
}

/** What one export says: the points of each metric, in the order in which metrics were first observed. */
export class Observation {
  readonly #seriesMax: number;
  readonly #isLeftOut: (name: MetricName) => boolean;
  readonly #points = new Map<MetricName, Point[]>();
  #leftOutCount = 0;
  #seriesCount = 0;

  /** `seriesMax`: of one metric. Names in labels are a client's. `isLeftOut`: nobody wants this metric. */
  constructor(seriesMax: number, isLeftOut: (name: MetricName) => boolean = () => false) {
    this.#seriesMax = seriesMax;
    this.#isLeftOut = isLeftOut;
  }

  observe(name: MetricName, value: number | HistogramValue, labels: Labels = {}): void {
    if (this.#isLeftOut(name)) return;
    let points = this.#points.get(name);
    if (points === undefined) {
      points = [];
      this.#points.set(name, points);
    }
    // Beyond the limit there is room for the series that stands for all others.
    if (points.length >= this.#seriesMax && labels.otel_metric_overflow === undefined) {
      this.#leftOutCount++;
      return;
    }
    points.push({ labels, value });
    this.#seriesCount++;
  }

  get seriesCount(): number {
    return this.#seriesCount;
  }

  /** Series that did not fit. */
  get leftOutCount(): number {
    return this.#leftOutCount;
  }

  *metrics(): Iterable<{ name: MetricName; points: readonly Point[] }> {
    // In the order of the list: an export reads the same each time.
    for (const name of Object.keys(metricList) as MetricName[]) {
      const points = this.#points.get(name);
      if (points !== undefined) yield { name, points };
    }
  }
}
