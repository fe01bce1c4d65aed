import type { BrokerContext } from '@vernier/broker/internal';
import { Collector } from './collector.ts';
import type { MetricsConfig } from './config.ts';
import { commonLabels } from './exporters/otel-data.ts';
import { prometheusExposition } from './exporters/prometheus.ts';
import { startPushing } from './exporters/push.ts';
import type { MetricsServer } from './http-server.ts';
import type { SourceParts } from './source.ts';
import { pairsOf } from './text-forms.ts';

export interface ExportingOptions extends Omit<SourceParts, 'broker'> {
  readonly broker: BrokerContext;
  readonly config: MetricsConfig;
  /** Answers Prometheus. */
  readonly server: MetricsServer | undefined;
}

export interface Exporting {
  /** Resolves when nothing is exported any more; before the broker is stopped. */
  stop(): Promise<void>;
}

/** Everything that OpenTelemetry is needed for is loaded with this; its one caller imports it when the broker is ready. */
export function startExporting(options: ExportingOptions): Exporting {
  const { broker, config, server } = options;
  const collector = new Collector(options);
  const own = pairsOf(config.metricsLabel);
  // What Prometheus gets is never a delta, whatever metricsInDelta says.
  if (config.metricsInDelta && config.metricsExporterType !== 'PROM') own.push(['aggregation', 'delta']);
  const common = commonLabels(broker.config.brokerClusterName, broker.config.brokerName, own);
  const shared = { collector, common, startedAt: broker.startedAt, now: () => broker.clock.now() };
  if (config.metricsExporterType === 'PROM') {
    server?.serveMetrics(prometheusExposition(shared));
    return { stop: async () => collector.close() };
  }
  const stopPushing = startPushing({ ...shared, config, logger: broker.logger });
  return {
    stop: async () => {
      await stopPushing();
      collector.close();
    },
  };
}
