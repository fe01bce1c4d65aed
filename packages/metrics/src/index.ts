/**
 * Metrics and health of a Vernier broker in the same process.
 *
 * `BrokerMetrics` takes a port for /metrics, /healthz and /readyz, and exports by RocketMQ’s keys: to Prometheus (which
 * asks), to a collector by OTLP over gRPC, or into the log. Names, labels and units are RocketMQ’s; what RocketMQ does not
 * have begins with `vernier_`. `metricsKeys` are the settings; `metricList` is every metric there is.
 *
 * Caveats:
 * - OpenTelemetry is loaded by `serve`, and only then; nothing else in Vernier knows it.
 * - A broker counts messages by topic and group only if it was told so when it was made (`BrokerDeps.meters`).
 * - /healthz answers 200 as long as the process does; /readyz is for those who send.
 * - The port has neither TLS nor access control: keep it where only monitoring comes.
 */
export { defaultMetricsConfig, resolveMetricsConfig } from './check-config.ts';
export { type MetricsConfig, metricsKeys } from './config.ts';
export { METRICS_ERROR_CODES, MetricsError, type MetricsErrorCode } from './errors.ts';
export { type Health, HealthState, type HealthStatus, type RecoveryProgress } from './health.ts';
export { BrokerMetrics, type BrokerMetricsOptions } from './metrics.ts';
