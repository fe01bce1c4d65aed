import { ValueType } from '@opentelemetry/api';
import { AggregationTemporality, DataPointType, type MetricData } from '@opentelemetry/sdk-metrics';
import { COMMON_LABELS, type MetricName, metricList, prometheusName } from '../list.ts';
import type { HistogramValue, Labels, Point } from '../observation.ts';

export type HrTime = [seconds: number, nanoseconds: number];

export const hrTime = (ms: number): HrTime => [Math.floor(ms / 1_000), Math.floor((ms % 1_000) * 1e6)];

export interface DataOptions {
  /** On every series. */
  readonly common: Labels;
  /** Names with their units, as Prometheus shows them. OTLP gets the unit beside the name. */
  readonly isForPrometheus: boolean;
  /** What came since `startTime`, when not all since the start. */
  readonly isDelta?: boolean;
  /** Since when counters count, and now. */
  readonly startTime: HrTime;
  readonly endTime: HrTime;
}

/**
 * Points of a metric as OpenTelemetry’s SDK has them. The SDK could ask for each of them by a callback, and would then hash
 * the labels of fifty thousand series to find out that each comes once.
 */
export function metricData(name: MetricName, points: readonly Point[], options: DataOptions): MetricData {
  const { kind, unit, description } = metricList[name];
  const { common, isForPrometheus, isDelta = false, startTime, endTime } = options;
  const valueType = kind === 'counter' && unit !== 'seconds' ? ValueType.INT : ValueType.DOUBLE;
  const shownName = isForPrometheus ? prometheusName(name, metricList[name]) : name;
  const shared = {
    descriptor: { name: shownName, description, unit: isForPrometheus ? '' : unit, valueType, advice: {} },
    aggregationTemporality: isDelta ? AggregationTemporality.DELTA : AggregationTemporality.CUMULATIVE,
  };
  const point = ({ labels }: Point) => ({ startTime, endTime, attributes: { ...common, ...labels } });
  switch (kind) {
    case 'counter':
      return {
        ...shared,
        dataPointType: DataPointType.SUM,
        isMonotonic: true,
        dataPoints: points.map((one) => ({ ...point(one), value: one.value as number })),
      };
    case 'gauge':
      return {
        ...shared,
        dataPointType: DataPointType.GAUGE,
        dataPoints: points.map((one) => ({ ...point(one), value: one.value as number })),
      };
    case 'histogram':
      return {
        ...shared,
        dataPointType: DataPointType.HISTOGRAM,
        dataPoints: points.map((one) => ({ ...point(one), value: histogramOf(one.value as HistogramValue) })),
      };
  }
}

function histogramOf({ bounds, counts, sum }: HistogramValue) {
  let count = 0;
  for (const one of counts) count += one;
  return { buckets: { boundaries: [...bounds], counts: [...counts] }, count, sum };
}

/** Labels on every series: who this is, as RocketMQ says it, and those of metricsLabel. */
export function commonLabels(cluster: string, node: string, own: readonly (readonly [string, string])[]): Labels {
  const [type, clusterLabel, id] = COMMON_LABELS;
  return { ...Object.fromEntries(own), [type]: 'broker', [clusterLabel]: cluster, [id]: node };
}
