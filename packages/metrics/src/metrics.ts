import type { Broker } from '@vernier/broker';
import { resolveMetricsConfig } from './check-config.ts';
import type { MetricsConfig } from './config.ts';
import type { Exporting } from './exporting.ts';
import { HealthState } from './health.ts';
import type { MetricsServer } from './http-server.ts';

export interface BrokerMetricsOptions {
  readonly config?: Partial<MetricsConfig>;
  /** Where metricsPromExporterHost is empty; default 127.0.0.1. */
  readonly host?: string;
  /** Of the program, for vernier_info. */
  readonly version?: string;
  /** Log lines that could not be written since the start. */
  droppedLogLines?(): number;
}

/**
 * Metrics and health of one broker.
 *
 * listen: with PROM or healthEnable the port is taken and probes are answered. `health` is told what happens. serve, when the
 * broker is ready: OpenTelemetry is loaded, and metrics are exported. stopping, then stop before the broker’s.
 */
export class BrokerMetrics {
  readonly config: MetricsConfig;
  readonly health = new HealthState();
  readonly #options: BrokerMetricsOptions;
  #server: MetricsServer | undefined;
  #exporting: Promise<Exporting> | undefined;
  #listenedAt = performance.now();

  /** Throws METRICS_CONFIG_INVALID. Nothing is opened. */
  constructor(options: BrokerMetricsOptions = {}) {
    this.config = resolveMetricsConfig(options.config ?? {});
    this.#options = options;
  }

  /** Metrics go somewhere. */
  get isExporting(): boolean {
    return this.config.metricsExporterType !== 'DISABLE';
  }

  /** What the broker is to count for them; see BrokerDeps.meters. */
  get meters(): { seriesMax: number; bytesMax: number } | undefined {
    const { metricsOtelCardinalityLimit: seriesMax, metricsBytesMax: bytesMax } = this.config;
    return this.isExporting ? { seriesMax, bytesMax } : undefined;
  }

  /** `host:port` of /metrics, /healthz, /readyz; undefined where nothing listens. */
  get address(): string | undefined {
    return this.#server?.address;
  }

  /** Rejects as RemotingServer.listen does. */
  async listen(): Promise<void> {
    this.#listenedAt = performance.now();
    const { metricsExporterType, metricsPromExporterHost, metricsPromExporterPort: port, healthEnable } = this.config;
    const hasMetrics = metricsExporterType === 'PROM';
    if (!hasMetrics && !healthEnable) return;
    const host = metricsPromExporterHost || this.#options.host || '127.0.0.1';
    const { MetricsServer } = await import('./http-server.ts');
    this.#server = new MetricsServer({ host, port, health: this.health, hasMetrics });
    await this.#server.listen();
  }

  /** The broker is ready: loads the exporter, and exports. Without one it does nothing. */
  async serve(broker: Broker): Promise<void> {
    if (!this.isExporting) return;
    const recoveryMs = performance.now() - this.#listenedAt;
    const { version = '', droppedLogLines = () => 0 } = this.#options;
    this.#exporting ??= import('./exporting.ts').then(({ startExporting }) =>
      startExporting({
        ...{ broker: broker.context, config: this.config, server: this.#server, version, recoveryMs },
        ...{ connectionCount: () => broker.connectionCount, requestTimes: broker.requestTimes, droppedLogLines },
      }),
    );
    await this.#exporting;
  }

  /** Resolves when nothing is exported any more; probes are still answered. Before the broker is stopped. */
  async stopExporting(): Promise<void> {
    this.health.stopping();
    const exporting = await this.#exporting?.catch(() => undefined);
    await exporting?.stop();
  }

  /** Resolves when the port is free. After the broker was stopped. */
  async stop(): Promise<void> {
    await this.stopExporting();
    await this.#server?.stop();
  }
}
