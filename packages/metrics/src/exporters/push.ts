import { credentials, Metadata } from '@grpc/grpc-js';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-grpc';
import { JsonMetricsSerializer } from '@opentelemetry/otlp-transformer';
import {
  AggregationTemporality,
  type CollectionResult,
  MeterProvider,
  type MetricProducer,
  PeriodicExportingMetricReader,
  type PushMetricExporter,
  type ResourceMetrics,
} from '@opentelemetry/sdk-metrics';
import type { StoreLogger } from '@vernier/store';
import type { Collector } from '../collector.ts';
import type { MetricsConfig } from '../config.ts';
import { SCOPE } from '../list.ts';
import type { Labels } from '../observation.ts';
import { pairsOf, urlOf } from '../text-forms.ts';
import { Deltas } from './deltas.ts';
import { hrTime, metricData } from './otel-data.ts';

export interface PushOptions {
  readonly config: MetricsConfig;
  readonly collector: Collector;
  readonly common: Labels;
  /** Unix milliseconds. */
  readonly startedAt: number;
  readonly logger: StoreLogger;
  now(): number;
}

const SUCCESS = 0;

/** Sends metrics at intervals, to a collector or into the log. Gives what ends it; the last export is tried once more then. */
export function startPushing(options: PushOptions): () => Promise<void> {
  const { config } = options;
  const isLog = config.metricsExporterType === 'LOG';
  const exporter = isLog ? new LogExporter(options.logger) : collectorExporter(config);
  const exportIntervalMillis = isLog
    ? config.metricLoggingExporterIntervalInMills
    : config.metricGrpcExporterIntervalInMills;
  const reader = new PeriodicExportingMetricReader({
    exporter,
    exportIntervalMillis,
    exportTimeoutMillis: Math.min(exportIntervalMillis, Math.max(1_000, config.metricGrpcExporterTimeOutInMills)),
    metricProducers: [new CollectedMetrics(options)],
  });
  const provider = new MeterProvider({ readers: [reader] });
  return async () => {
    await provider.shutdown().catch((error: Error) => {
      options.logger.warn({ err: error }, `the last metrics were not sent: ${error.message}`);
    });
  };
}

function collectorExporter(config: MetricsConfig): PushMetricExporter {
  const url = urlOf(config.metricsGrpcExporterTarget)!;
  const metadata = new Metadata();
  for (const [name, value] of pairsOf(config.metricsGrpcExporterHeader)) metadata.set(name, value);
  return new OTLPMetricExporter({
    url: url.origin,
    metadata,
    credentials: url.protocol === 'https:' ? credentials.createSsl() : credentials.createInsecure(),
    timeoutMillis: config.metricGrpcExporterTimeOutInMills,
  });
}

/** What the SDK’s reader gets: the metrics that are collected here, beside those of instruments, of which there are none. */
class CollectedMetrics implements MetricProducer {
  readonly #options: PushOptions;
  readonly #deltas: Deltas | undefined;
  /** Unix milliseconds of the export before. */
  #lastAt: number;

  constructor(options: PushOptions) {
    this.#options = options;
    this.#deltas = options.config.metricsInDelta ? new Deltas() : undefined;
    this.#lastAt = options.startedAt;
  }

  async collect(): Promise<CollectionResult> {
    const { collector, common, startedAt, now } = this.#options;
    const observation = await collector.collect();
    const isDelta = this.#deltas !== undefined;
    const endTime = now();
    const times = { startTime: hrTime(isDelta ? this.#lastAt : startedAt), endTime: hrTime(endTime) };
    this.#lastAt = endTime;
    const all = this.#deltas?.since(observation.metrics()) ?? observation.metrics();
    const metrics = [...all].map(({ name, points }) =>
      metricData(name, points, { common, isForPrometheus: false, isDelta, ...times }),
    );
    const resourceMetrics = {
      resource: { attributes: {} },
      scopeMetrics: [{ scope: { name: SCOPE }, metrics }],
    };
    return { resourceMetrics: resourceMetrics as unknown as ResourceMetrics, errors: [] };
  }
}

/** One line of OTLP’s JSON an export, as RocketMQ logs it. */
class LogExporter implements PushMetricExporter {
  readonly #logger: StoreLogger;

  constructor(logger: StoreLogger) {
    this.#logger = logger;
  }

  export(metrics: ResourceMetrics, done: (result: { code: number; error?: Error }) => void): void {
    const bytes = JsonMetricsSerializer.serializeRequest(metrics);
    const otlp = bytes === undefined ? undefined : JSON.parse(Buffer.from(bytes).toString());
    this.#logger.info({ otlp }, 'metrics');
    done({ code: SUCCESS });
  }

  selectAggregationTemporality(): AggregationTemporality {
    return AggregationTemporality.CUMULATIVE;
  }

  async forceFlush(): Promise<void> {}

  async shutdown(): Promise<void> {}
}
