import { choice, flag, hostOrNothing, integer, type KeyTable, milliseconds, text } from '@vernier/store/internal';
import { grpcTarget, headers, labels } from './text-forms.ts';

/**
 * Keys of metrics and health, RocketMQ's BrokerConfig unless marked `own`. They are no part of what GET_BROKER_CONFIG
 * answers: a header for a collector is a secret.
 */
export interface MetricsConfig {
  metricsExporterType: 'DISABLE' | 'OTLP_GRPC' | 'PROM' | 'LOG';
  metricsPromExporterPort: number;
  metricsPromExporterHost: string;
  /** own. */
  healthEnable: boolean;
  metricsGrpcExporterTarget: string;
  metricsGrpcExporterHeader: string;
  metricGrpcExporterTimeOutInMills: number;
  metricGrpcExporterIntervalInMills: number;
  metricLoggingExporterIntervalInMills: number;
  metricsLabel: string;
  metricsInDelta: boolean;
  enableStatsMetrics: boolean;
  enableRequestMetrics: boolean;
  enableConnectionMetrics: boolean;
  enableLagAndDlqMetrics: boolean;
  enableTransactionMetrics: boolean;
  enableRemotingMetrics: boolean;
  enableMessageStoreMetrics: boolean;
  enablePopMetrics: boolean;
  metricsOtelCardinalityLimit: number;
  /** own. */
  metricsBytesMax: number;
}

const OWN = { own: true } as const;
const MiB = 1024 * 1024;

export const metricsKeys: KeyTable<MetricsConfig> = {
  metricsExporterType: choice(
    ['DISABLE', 'OTLP_GRPC', 'PROM', 'LOG'],
    'DISABLE',
    'Who gets metrics: nobody, a collector by OTLP over gRPC, Prometheus (which asks), the log.',
  ),
  metricsPromExporterPort: integer(
    [0, 65_535],
    '',
    5_557,
    'Port of /metrics, /healthz and /readyz; 0 takes any free one.',
  ),
  metricsPromExporterHost: text(
    hostOrNothing,
    '',
    'Address of that port. Empty: the broker’s (`bindAddress`, `--listen`).',
    { rocketmqDefault: 'empty, which is `brokerIP1`' },
  ),
  healthEnable: flag(false, 'Serve /healthz and /readyz although `metricsExporterType` is not PROM.', OWN),
  metricsGrpcExporterTarget: text(
    grpcTarget,
    '',
    'Where a collector listens for OTLP over gRPC: `http://host:port`, or `host:port` for TLS. OTLP_GRPC needs it.',
  ),
  metricsGrpcExporterHeader: text(headers, '', 'Headers for the collector, `name:value`, `,` between them.'),
  metricGrpcExporterTimeOutInMills: milliseconds([1], 3_000, 'OTLP_GRPC: how long the collector may take.'),
  metricGrpcExporterIntervalInMills: milliseconds([100], 60_000, 'OTLP_GRPC: time between two exports.'),
  metricLoggingExporterIntervalInMills: milliseconds([100], 10_000, 'LOG: time between two lines.'),
  metricsLabel: text(labels, '', 'Labels that every series gets, `name:value`, `,` between them.'),
  metricsInDelta: flag(
    false,
    'OTLP_GRPC and LOG: counters and histograms say what came since the export before, and series have `aggregation` `delta`. PROM always has sums since the start.',
  ),
  enableStatsMetrics: flag(true, 'Metrics of tables and permissions.'),
  enableRequestMetrics: flag(
    true,
    'Metrics of messages that come in and go out, and of topics and groups that are made.',
  ),
  enableConnectionMetrics: flag(true, 'Metrics of producers and consumers.'),
  enableLagAndDlqMetrics: flag(true, 'Metrics of how far groups are behind, and of dead letters.'),
  enableTransactionMetrics: flag(true, 'Metrics of transactions.'),
  enableRemotingMetrics: flag(true, 'Metrics of how long requests take.'),
  enableMessageStoreMetrics: flag(true, 'RocketMQ’s metrics of the store and of timed messages.'),
  enablePopMetrics: flag(true, 'RocketMQ’s metrics of POP.'),
  metricsOtelCardinalityLimit: integer(
    [10, 1_000_000],
    'series',
    50_000,
    'Most series of one metric. What comes in and goes out beyond it is added to one series; other metrics leave the rest out.',
  ),
  metricsBytesMax: integer(
    [64 * 1024, Number.MAX_SAFE_INTEGER],
    'bytes',
    16 * MiB,
    'Most memory for: Counters of messages by topic and group. More are refused.',
    OWN,
  ),
};
