import { join } from 'node:path';
import { Broker, defaultBrokerConfig, Namesrv } from '@vernier/broker';
import { BrokerMetrics } from '@vernier/metrics';
import { GrpcProxy } from '@vernier/proxy';
import { formatAddress, ServerIdentity } from '@vernier/remoting';
import type { StoreError } from '@vernier/store';
import { checkStoreDirectory, NodeFileSystem } from '@vernier/store/internal';
import type { Logger } from 'pino';
import type { Settings } from '../config/settings.ts';
import { version } from '../version.ts';
import { listenError } from './listen-error.ts';
import type { ReadyFile } from './ready-file.ts';
import type { StartUpFacts } from './start-up-text.ts';
import type { DiskCall } from './stop.ts';

/** Files in PEM. */
export interface ProxyCertificate {
  certPath: string;
  keyPath: string;
}

export interface AllInOneOptions {
  settings: Settings;
  /** Undefined: no nameserver of our own. */
  namesrvPort: number | undefined;
  /** Undefined: clients of gRPC are not served. */
  proxyPort: number | undefined;
  /** The proxy's certificate; undefined: that of broker and nameserver. */
  proxyCertificate?: ProxyCertificate | undefined;
  logger: Logger;
  /** Log lines that could not be written since the start. */
  droppedLogLines?: () => number;
  /** Called when the ports of nameserver and proxy are ours and before anything on disk is touched. */
  onListening?: () => void;
  onRecoveryProgress?: (doneBytes: number, totalBytes: number) => void;
}

/** Broker, nameserver and proxy in one process, running. */
export interface AllInOne {
  /** What the start-up says; the caller adds what it measured. */
  startUp: Omit<StartUpFacts, 'version' | 'flushTime' | 'readyMs'>;
  /** Where the commit log lies. */
  commitLogDirectory: string;
  ready: Omit<ReadyFile, 'pid' | 'version' | 'readyMs'>;
  /** Resolves when clients can find the broker. */
  routable: Promise<void>;
  /** Loads what serves gRPC, and serves; to be called when clients can find the broker. Without a proxy it does nothing. */
  serveProxy(): Promise<void>;
  /** Loads what exports metrics, and exports them; when clients can find the broker. Without an exporter it does nothing. */
  serveMetrics(): Promise<void>;
  /** A stop was asked for: probes hear of it. */
  stopping(): void;
  /** Calls `told` once, when the store failed. */
  onFailure(told: (cause: StoreError) => void): void;
  /** The disk calls that have not returned. */
  diskCalls(): DiskCall[];
  /** Grows as long as a stop gets on. */
  progress(): number;
  /** Everything answered, flushed and closed when it resolves. */
  stop(): Promise<void>;
}

/**
 * Starts them. Their ports are taken before the store is opened, so that a start that fails for a port leaves the data
 * directory as it was; clients that connect meanwhile are held back until the broker can answer them.
 */
export async function startAllInOne(options: AllInOneOptions): Promise<AllInOne> {
  const identities = new Identities(options);
  try {
    await identities.open();
    return await startWith(options, identities);
  } catch (error) {
    identities.close();
    throw error;
  }
}

/** Who the ports are to clients by TLS: one for all, unless the proxy has a certificate of its own. */
class Identities {
  readonly own: ServerIdentity;
  readonly proxy: ServerIdentity;

  constructor({ settings, proxyCertificate, logger }: AllInOneOptions) {
    const { server } = settings.tls;
    const ownDirectory = configDirectory(settings);
    this.own = new ServerIdentity({ ...server, ownDirectory, logger });
    this.proxy =
      proxyCertificate === undefined
        ? this.own
        : new ServerIdentity({ ...server, ...proxyCertificate, keyPassword: undefined, logger });
  }

  /** Rejects REMOTING_TLS_INVALID. */
  async open(): Promise<void> {
    await this.own.open();
    await this.proxy.open();
  }

  close(): void {
    this.own.close();
    this.proxy.close();
  }
}

/** Names, values and a certificate of the nameserver lie beside the broker's metadata; routes are never kept. */
const configDirectory = ({ store }: Settings): string => join(store.storePathRootDir, 'config');

async function startWith(options: AllInOneOptions, identities: Identities): Promise<AllInOne> {
  const { settings, namesrvPort, proxyPort, logger } = options;
  const config = { ...defaultBrokerConfig, ...settings.broker };
  // Before anything in it is read: a file found unreadable would otherwise be blamed for its directory.
  await checkStoreDirectory(new NodeFileSystem(), settings.store.storePathRootDir);
  const directory = configDirectory(settings);
  const tls = identities.own;
  const namesrv =
    namesrvPort === undefined
      ? undefined
      : new Namesrv({ host: config.bindAddress, port: namesrvPort, directory, logger, tls });
  try {
    await namesrv?.start({ paused: true });
  } catch (error) {
    throw listenError(error, 'nameserver', config.bindAddress, namesrvPort ?? 0);
  }
  const { droppedLogLines } = options;
  const metrics = new BrokerMetrics({
    ...{ config: settings.metrics, host: config.bindAddress, version },
    ...(droppedLogLines === undefined ? {} : { droppedLogLines }),
  });
  const proxy =
    proxyPort === undefined
      ? undefined
      : new GrpcProxy({
          ...{ host: config.bindAddress, port: proxyPort, tls: identities.proxy, logger },
          limits: settings.proxy,
        });
  try {
    await proxy?.listen();
  } catch (error) {
    await namesrv?.shutdown(0);
    throw listenError(error, 'proxy', config.bindAddress, proxyPort ?? 0);
  }
  try {
    await metrics.listen();
  } catch (error) {
    await proxy?.stop();
    await namesrv?.shutdown(0);
    const { metricsPromExporterHost: host, metricsPromExporterPort: port } = metrics.config;
    throw listenError(error, 'metrics port', host || config.bindAddress, port);
  }
  try {
    options.onListening?.();
    const broker = new Broker(settings.broker, {
      store: settings.store,
      logger,
      tls,
      clientTls: settings.tls.client,
      ...(namesrv === undefined ? {} : { namesrv }),
      onRecoveryProgress: (doneBytes, totalBytes) => {
        metrics.health.recovering(doneBytes, totalBytes);
        options.onRecoveryProgress?.(doneBytes, totalBytes);
      },
      meters: metrics.meters,
    });
    const bound = await broker.start();
    metrics.health.opened(broker.store);
    broker.routable.then(
      () => metrics.health.routable(),
      () => {},
    );
    namesrv?.open();
    return running({ broker, namesrv, proxy, metrics, identities }, formatAddress(bound.host, bound.port));
  } catch (error) {
    await metrics.stop();
    await proxy?.stop();
    await namesrv?.shutdown(0);
    throw listenError(error, 'broker', config.bindAddress, config.listenPort);
  }
}

/** What the start-up says of it. */
function metricsAddress({ address, config }: BrokerMetrics): string | undefined {
  if (address === undefined) return undefined;
  return config.metricsExporterType === 'PROM' ? `http://${address}/metrics` : `http://${address}/healthz`;
}

/** What runs in one process. */
interface Parts {
  readonly broker: Broker;
  readonly namesrv: Namesrv | undefined;
  readonly proxy: GrpcProxy | undefined;
  readonly metrics: BrokerMetrics;
  readonly identities: Identities;
}

function running({ broker, namesrv, proxy, metrics, identities }: Parts, brokerAddress: string): AllInOne {
  const { store } = broker;
  const { brokerName, brokerClusterName, namesrvAddr } = broker.config;
  const vip = broker.vipAddress && formatAddress(broker.vipAddress.host, broker.vipAddress.port);
  return {
    startUp: {
      dataDir: store.config.storePathRootDir,
      namesrv: namesrv?.address,
      namesrvAddr,
      broker: brokerAddress,
      brokerVip: vip,
      proxy: proxy?.address,
      metrics: metricsAddress(metrics),
      brokerName,
      clusterName: brokerClusterName,
      engine: store.engine,
      config: store.config,
    },
    commitLogDirectory: store.config.storePathCommitLog,
    ready: {
      ...(namesrv === undefined ? {} : { namesrv: namesrv.address }),
      broker: brokerAddress,
      ...(vip === undefined ? {} : { brokerVip: vip }),
      ...(proxy?.address === undefined ? {} : { proxy: proxy.address }),
      ...(metrics.address === undefined ? {} : { metrics: metrics.address }),
      brokerName,
      clusterName: brokerClusterName,
      dataDir: store.config.storePathRootDir,
      engine: store.engine,
      flushDiskType: store.config.flushDiskType,
    },
    routable: broker.routable,
    serveProxy: async () => proxy?.serve(broker.context),
    serveMetrics: () => metrics.serve(broker),
    stopping: () => metrics.health.stopping(),
    onFailure: (told) => {
      if (store.failure !== undefined) told(store.failure);
      else broker.once('failed', told);
    },
    diskCalls: () => store.inFlight().map(({ operation, file, sinceMs }) => ({ operation, file, forMs: sinceMs })),
    progress: () => broker.progress,
    stop: async () => {
      // Its calls end before what they call.
      await proxy?.stop();
      await metrics.stopExporting();
      // The broker before the nameserver: it says farewell to the nameserver, and clients ask that for another one.
      try {
        await broker.shutdown();
      } finally {
        // A broker that could not save everything must not leave a nameserver that keeps the process alive.
        identities.close();
        await namesrv?.shutdown();
        // Until here probes hear that it stops.
        await metrics.stop();
      }
    },
  };
}
