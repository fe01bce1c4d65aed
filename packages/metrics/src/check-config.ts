import { defaultsOf, shownValue, specOf, valueProblem } from '@vernier/store/internal';
import { type MetricsConfig, metricsKeys } from './config.ts';
import { MetricsError } from './errors.ts';

export const defaultMetricsConfig: MetricsConfig = defaultsOf<MetricsConfig>(metricsKeys);

/** Completes the options with defaults. Throws METRICS_CONFIG_INVALID for the first that cannot work. */
export function resolveMetricsConfig(options: Partial<MetricsConfig>): MetricsConfig {
  for (const [key, value] of Object.entries(options)) {
    const spec = specOf(metricsKeys, key);
    const problem = spec === undefined ? 'it is no key of metrics' : valueProblem(spec, value);
    if (problem === undefined) continue;
    throw invalid(key, value, problem);
  }
  const config = { ...defaultMetricsConfig, ...options };
  if (config.metricsExporterType === 'OTLP_GRPC' && config.metricsGrpcExporterTarget === '') {
    const why = 'metricsExporterType=OTLP_GRPC needs metricsGrpcExporterTarget=host:port';
    throw invalid('metricsGrpcExporterTarget', '', why);
  }
  return config;
}

function invalid(key: string, value: unknown, problem: string): MetricsError {
  const found = shownValue(value);
  const details = { key, value: found };
  return new MetricsError('METRICS_CONFIG_INVALID', `${shownValue(key)}=${found}: ${problem}`, details);
}
