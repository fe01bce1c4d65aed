/** For Vernier’s own scripts and tests; promises nothing to anybody else. */
export { COMMON_LABELS, type MetricName, type MetricSpec, metricList, prometheusName } from './list.ts';
