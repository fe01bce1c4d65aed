import { join } from 'node:path';
import { Broker, defaultBrokerConfig, Namesrv } from '@vernier/broker';
import { GrpcProxy, type KeyAndCertificate } from '@vernier/proxy';
import { formatAddress } from '@vernier/remoting';
import type { StoreError } from '@vernier/store';
import { checkStoreDirectory, NodeFileSystem } from '@vernier/store/internal';
import type { Logger } from 'pino';
import type { Settings } from '../config/settings.ts';
import { listenError } from './listen-error.ts';
import type { ReadyFile } from './ready-file.ts';
import type { StartUpFacts } from './start-up-text.ts';
import type { DiskCall } from './stop.ts';

export interface AllInOneOptions {
  settings: Settings;
  /** Undefined: no nameserver of our own. */
  namesrvPort: number | undefined;
  /** Undefined: clients of gRPC are not served. */
  proxyPort: number | undefined;
  /** The proxy's certificate; undefined: one of its own, kept in the data directory. */
  proxyCertificate?: KeyAndCertificate | undefined;
  logger: Logger;
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
  const { settings, namesrvPort, proxyPort, logger } = options;
  const config = { ...defaultBrokerConfig, ...settings.broker };
  // Before anything in it is read: a file found unreadable would otherwise be blamed for its directory.
  await checkStoreDirectory(new NodeFileSystem(), settings.store.storePathRootDir);
  // Its names and values lie beside the broker's metadata; routes are never kept.
  const directory = join(settings.store.storePathRootDir, 'config');
  const namesrv =
    namesrvPort === undefined
      ? undefined
      : new Namesrv({ host: config.bindAddress, port: namesrvPort, directory, logger });
  try {
    await namesrv?.start({ paused: true });
  } catch (error) {
    throw listenError(error, 'nameserver', config.bindAddress, namesrvPort ?? 0);
  }
  const tls = { own: options.proxyCertificate, directory };
  const proxy =
    proxyPort === undefined
      ? undefined
      : new GrpcProxy({ host: config.bindAddress, port: proxyPort, tls, logger, limits: settings.proxy });
  try {
    await proxy?.listen();
  } catch (error) {
    await namesrv?.shutdown(0);
    throw listenError(error, 'proxy', config.bindAddress, proxyPort ?? 0);
  }
  try {
    options.onListening?.();
    const broker = new Broker(settings.broker, {
      store: settings.store,
      logger,
      ...(namesrv === undefined ? {} : { namesrv }),
      ...(options.onRecoveryProgress === undefined ? {} : { onRecoveryProgress: options.onRecoveryProgress }),
    });
    const bound = await broker.start();
    namesrv?.open();
    return running(broker, namesrv, proxy, formatAddress(bound.host, bound.port));
  } catch (error) {
    await proxy?.stop();
    await namesrv?.shutdown(0);
    throw listenError(error, 'broker', config.bindAddress, config.listenPort);
  }
}

function running(
  broker: Broker,
  namesrv: Namesrv | undefined,
  proxy: GrpcProxy | undefined,
  brokerAddress: string,
): AllInOne {
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
      brokerName,
      clusterName: brokerClusterName,
      dataDir: store.config.storePathRootDir,
      engine: store.engine,
      flushDiskType: store.config.flushDiskType,
    },
    routable: broker.routable,
    serveProxy: async () => proxy?.serve(broker.context),
    onFailure: (told) => {
      if (store.failure !== undefined) told(store.failure);
      else broker.once('failed', told);
    },
    diskCalls: () => store.inFlight().map(({ operation, file, sinceMs }) => ({ operation, file, forMs: sinceMs })),
    progress: () => broker.progress,
    stop: async () => {
      // Its calls end before what they call.
      await proxy?.stop();
      // The broker before the nameserver: it says farewell to the nameserver, and clients ask that for another one.
      try {
        await broker.shutdown();
      } finally {
        // A broker that could not save everything must not leave a nameserver that keeps the process alive.
        await namesrv?.shutdown();
      }
    },
  };
}
