import { dirname, join } from 'node:path';
import {
  type Clock,
  formatAddress,
  type ListenOptions,
  type RemotingConnection,
  type RemotingLogger,
  RemotingServer,
  type RemotingServerOptions,
  type RequestGate,
  ServerIdentity,
  type SocketAddress,
  silentLogger,
  systemClock,
  type TopicRouteData,
} from '@vernier/remoting';
import { NodeFileSystem } from '@vernier/store/internal';
import { LongAnswers } from '../long-answers/long-answers.ts';
import { MetadataFile } from '../metadata/metadata-files.ts';
import type { RunningSettings } from '../settings/running-settings.ts';
import { SettingsAdmin } from '../settings/settings-admin.ts';
import { KVConfigManager } from './kv-config-manager.ts';
import { type NamesrvConfig, namesrvSettings, resolveNamesrvConfig } from './namesrv-config.ts';
import { brokerRegistrationProcessors } from './processors/broker-registration.ts';
import type { NamesrvContext } from './processors/context.ts';
import { kvConfigProcessors } from './processors/kv-config.ts';
import { namesrvConfigProcessors } from './processors/namesrv-config.ts';
import { routeProcessors } from './processors/route.ts';
import { topicProcessors } from './processors/topics.ts';
import { reachableAddress } from './reachable-address.ts';
import {
  type BrokerRegistration,
  type RegisterBrokerResult,
  type ResolveBrokerAddress,
  RouteInfoManager,
} from './route-info-manager.ts';

export interface NamesrvOptions {
  /** Address to bind, d=127.0.0.1. */
  host?: string;
  /** d=9876; 0 = any free port. */
  port?: number;
  config?: Partial<NamesrvConfig>;
  /** Directory of kvConfig.json and namesrvSettings.json; without one both are kept in memory alone. */
  directory?: string;
  logger?: RemotingLogger;
  clock?: Clock;
  /** For brokers of this process whose address the user did not set; d=`reachableAddress()`. */
  resolveBrokerAddress?: ResolveBrokerAddress;
  /** Limits of the server. */
  server?: RemotingServerOptions;
  /** Who it is to those that connect by TLS; as that of a broker. */
  tls?: ServerIdentity | undefined;
}

const DEFAULT_PORT = 9876;

/**
 * A name server (RocketMQ NamesrvController): serves brokers and clients over the wire, and brokers of this process by
 * `registerLocal`.
 */
export class Namesrv {
  /** Routes, for callers in this process. */
  readonly routes: RouteInfoManager;
  readonly kv: KVConfigManager;
  readonly server: RemotingServer;
  readonly #clock: Clock;
  readonly #config: NamesrvConfig;
  readonly #settings: RunningSettings;
  /** Without a directory changes last until the end of the process. */
  readonly #settingsFile: MetadataFile | undefined;
  readonly #fileSystem = new NodeFileSystem();
  readonly #logger: RemotingLogger;
  readonly #startedAt: number;
  readonly #listen: ListenOptions;
  readonly #tls: ServerIdentity;
  #address: SocketAddress | undefined;

  constructor(options: NamesrvOptions = {}) {
    const logger = options.logger ?? silentLogger;
    this.#clock = options.clock ?? systemClock;
    this.#startedAt = this.#clock.monotonic();
    this.#listen = { host: options.host ?? '127.0.0.1', port: options.port ?? DEFAULT_PORT };
    this.#config = resolveNamesrvConfig(options.config);
    this.#logger = logger;
    this.#settings = namesrvSettings({
      config: this.#config,
      logger,
      // Keys of RocketMQ's NettyServerConfig that operators look for.
      shown: () => {
        const { host, port } = this.#address ?? this.#listen;
        return { bindAddress: host, listenPort: port };
      },
      changed: () => {},
    });
    if (options.directory !== undefined) {
      const path = join(options.directory, 'namesrvSettings.json');
      this.#settingsFile = new MetadataFile(path, this.#settings, 0, this.#fileSystem, this.#clock, logger);
    }
    this.kv = new KVConfigManager(options.directory, logger);
    this.routes = new RouteInfoManager({
      config: this.#config,
      clock: this.#clock,
      logger,
      resolveBrokerAddress: options.resolveBrokerAddress ?? reachableAddress(),
    });
    this.#tls = options.tls ?? new ServerIdentity({ ownDirectory: options.directory, logger });
    this.server = new RemotingServer({ logger, clock: this.#clock, tls: this.#tls, ...options.server });
    this.#registerProcessors();
    this.server.on('close', (connection: RemotingConnection) => this.routes.connectionClosed(connection));
  }

  /**
   * Loads the KV configuration and the settings changed while it ran, and listens, on the address given here or to the constructor. Resolves with the bound
   * address once requests are answered, or accepted and held back when `paused`. Rejects with REMOTING_PORT_IN_USE and
   * its kin.
   */
  async start(listen: Partial<ListenOptions> = {}): Promise<SocketAddress> {
    await this.#tls.open();
    await this.kv.load();
    await this.#settingsFile?.load();
    this.#address = await this.server.listen({ ...this.#listen, ...listen });
    return this.#address;
  }

  /** `host:port` it is bound to; empty before `start`. */
  get address(): string {
    return this.#address === undefined ? '' : formatAddress(this.#address.host, this.#address.port);
  }

  /** Begins to serve connections accepted while paused. */
  open(): void {
    this.server.open();
  }

  /** The route of a topic as a client in this process gets it; undefined for a topic that no broker has. */
  routeOf(topic: string): TopicRouteData | undefined {
    return this.routes.pickupTopicRouteData(topic);
  }

  /**
   * Registers a broker of this process with all topics it has, again whenever they change. It stays until
   * `unregisterLocal`; when somebody takes one of its topics out of the routes, `onTopicLost` is called.
   */
  registerLocal(registration: BrokerRegistration): RegisterBrokerResult {
    return this.routes.registerBroker(registration, undefined);
  }

  unregisterLocal(registration: Pick<BrokerRegistration, 'clusterName' | 'brokerName' | 'brokerAddr'>): void {
    this.routes.unregisterLocal(registration.clusterName, registration.brokerName, registration.brokerAddr);
  }

  /** What every request passes before it is handled: a broker of this process that knows users sets it. */
  guard(gate: RequestGate): void {
    this.server.setGate(gate);
  }

  /** Closes the listener and every connection; requests in flight get up to `graceMs` (d=3,000). */
  async shutdown(graceMs?: number): Promise<void> {
    await this.server.shutdown(graceMs);
    this.routes.close();
  }

  async #saveSettings(): Promise<void> {
    const file = this.#settingsFile;
    if (file === undefined) return;
    await this.#fileSystem.makeDirectory(dirname(file.path));
    await file.save();
  }

  #registerProcessors(): void {
    const context: NamesrvContext = {
      config: this.#config,
      settingsAdmin: new SettingsAdmin(this.#settings, { save: () => this.#saveSettings() }, this.#logger),
      routes: this.routes,
      kv: this.kv,
      longAnswers: new LongAnswers(this.#clock),
      ready: () =>
        !this.#config.needWaitForService ||
        this.#clock.monotonic() - this.#startedAt >= this.#config.waitSecondsForService * 1000,
    };
    for (const processors of [
      brokerRegistrationProcessors(context),
      routeProcessors(context),
      topicProcessors(context),
      kvConfigProcessors(context),
      namesrvConfigProcessors(context),
    ]) {
      for (const [code, handler] of processors) this.server.registerProcessor(code, handler);
    }
  }
}
