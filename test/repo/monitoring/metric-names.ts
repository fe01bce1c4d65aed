// Which metrics and labels a query of PromQL names, and whether there are any such.
import {
  COMMON_LABELS,
  type MetricName,
  type MetricSpec,
  metricList,
  prometheusName,
} from '../../../packages/metrics/src/list.ts';

/** Names as Prometheus has them, with their labels. A histogram has three. */
function seriesOf([name, spec]: [MetricName, MetricSpec]): [name: string, labels: readonly string[]][] {
  const shown = prometheusName(name, spec);
  const labels = [...COMMON_LABELS, ...spec.labels, 'job', 'instance'];
  if (spec.kind !== 'histogram') return [[shown, labels]];
  return [
    [`${shown}_bucket`, [...labels, 'le']],
    [`${shown}_sum`, labels],
    [`${shown}_count`, labels],
  ];
}

export const series: ReadonlyMap<string, readonly string[]> = new Map(
  (Object.entries(metricList) as [MetricName, MetricSpec][]).flatMap(seriesOf),
);

/** What is wrong with a query; empty when nothing is. */
export function faultsOf(expr: string): string[] {
  const faults: string[] = [];
  const names = [...expr.matchAll(/\b((?:rocketmq|vernier)_\w+)(?:\{([^}]*)\})?/g)];
  if (names.length === 0 && !/\bup\{/.test(expr)) faults.push(`${expr}: names no metric`);
  const known = new Set<string>();
  for (const [, name, matchers = ''] of names) {
    const labels = series.get(name!);
    if (labels === undefined) {
      faults.push(`${expr}: there is no ${name}`);
      continue;
    }
    for (const label of labels) known.add(label);
    for (const [, label] of matchers.matchAll(/(\w+)\s*[=!]/g)) {
      if (!labels.includes(label!)) faults.push(`${expr}: ${name} has no label ${label}`);
    }
  }
  for (const [, list] of expr.matchAll(/\b(?:by|on)\s*\(([^)]*)\)/g)) {
    for (const label of list!.split(',').map((one) => one.trim())) {
      if (!known.has(label)) faults.push(`${expr}: no metric in it has a label ${label}`);
    }
  }
  return faults;
}
