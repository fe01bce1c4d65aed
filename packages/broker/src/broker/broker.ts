import { EventEmitter } from 'node:events';
import { RemotingError, RemotingServer, type SocketAddress, type TopicConfig } from '@vernier/remoting';
import {
  type Clock,
  MessageStore,
  type MessageStoreOptions,
  type OpenOptions,
  type StoreError,
  type StoreLogger,
  silentLogger,
  systemClock,
} from '@vernier/store';
import { type FileSystem, NodeFileSystem } from '@vernier/store/internal';
import type { BrokerContext } from './broker-context.ts';
import { rememberedPort, rememberPort } from './broker-port-file.ts';
import { type BrokerConfig, type BrokerOptions, defaultBrokerConfig } from './config.ts';
import { createBrokerContext, loadTables, metadataDirectory } from './create-broker-context.ts';
import { BrokerError } from './errors.ts';
import { BrokerHosts } from './hosts.ts';
import { topicNameFault } from './names.ts';
import { type LocalNamesrv, limitedByBroker, NamesrvRegistrar } from './namesrv-registrar.ts';
import { allProcessors } from './processors/index.ts';

/** How long a shutdown lets requests in flight finish before it closes their connections. */
const SHUTDOWN_GRACE_MS = 1_000;

export interface BrokerDeps {
  /** Settings of the store the broker opens and owns. */
  store: MessageStoreOptions;
  /** A nameserver in this process; it hears of a new topic before the send that made it is answered. */
  namesrv?: LocalNamesrv;
  logger?: StoreLogger;
  /** Time of the broker's own services. */
  clock?: Clock;
  /** Bytes done of bytes to do, while the store recovers. */
  onRecoveryProgress?: (doneBytes: number, totalBytes: number) => void;
  /** Opens the store; default MessageStore.open. */
  openMessageStore?: (options: MessageStoreOptions, more: OpenOptions) => Promise<MessageStore>;
  /** Of the files under config/; default the real one. */
  fileSystem?: FileSystem;
}

export interface BrokerEvents {
  /** Clients can find the broker: a nameserver knows it. */
  routable: [];
  /** The store failed and is read-only from here on; sends are refused with the cause, pulls go on. */
  failed: [cause: StoreError];
}

/**
 * A RocketMQ broker in this process (RocketMQ BrokerController): opens the store, serves clients, tells nameservers.
 *
 * start: listen (nobody is answered yet) → store opened and recovered → tables loaded → serving → registered.
 * shutdown, the other way round: out of the routes → held pulls dropped → requests in flight answered → tables saved →
 * store shut down.
 */
export class Broker extends EventEmitter<BrokerEvents> {
  readonly config: BrokerConfig;
  /** Resolves when clients can find the broker; rejects when it is shut down before. */
  readonly routable: Promise<void>;
  readonly #deps: BrokerDeps;
  readonly #logger: StoreLogger;
  readonly #clock: Clock;
  readonly #fileSystem: FileSystem;
  readonly #server: RemotingServer;
  #context: BrokerContext | undefined;
  #registration: NamesrvRegistrar | undefined;
  #started: Promise<SocketAddress> | undefined;
  #shutdown: Promise<void> | undefined;
  #routable = false;
  #becameRoutable: () => void = () => {};
  #neverRoutable: (error: Error) => void = () => {};

  /** Throws BROKER_CONFIG_INVALID for a value that cannot work. Nothing is opened. */
  constructor(options: BrokerOptions, deps: BrokerDeps) {
    super();
    this.config = { ...defaultBrokerConfig, ...withoutUndefined(options) };
    checkConfig(this.config);
    this.#deps = deps;
    this.#logger = deps.logger ?? silentLogger;
    this.#clock = deps.clock ?? systemClock;
    this.#fileSystem = deps.fileSystem ?? new NodeFileSystem();
    this.#server = new RemotingServer({ logger: this.#logger });
    this.routable = new Promise((resolve, reject) => {
      this.#becameRoutable = resolve;
      this.#neverRoutable = reject;
    });
    // Whoever does not wait for it is not to be told of a shutdown by an unhandled rejection.
    this.routable.catch(() => {});
  }

  /** The open store. Throws before start. */
  get store(): MessageStore {
    return this.context.store;
  }

  /** Everything the processors share, for tools and tests in this process. Throws before start. */
  get context(): BrokerContext {
    if (this.#context === undefined) throw new Error('the broker is not started');
    return this.#context;
  }

  /** `host:port` that nameservers elsewhere are told. */
  get address(): string {
    return this.context.hosts.address;
  }

  /** Connections of clients now. */
  get connectionCount(): number {
    return this.#server.connections.size;
  }

  /**
   * Resolves when requests are served, with the bound address. Rejects with the RemotingError of a port that cannot be
   * had, the StoreError of a store that cannot be opened, or BROKER_METADATA_DAMAGED; nothing stays open then.
   */
  start(): Promise<SocketAddress> {
    this.#started ??= this.#start();
    return this.#started;
  }

  /**
   * Resolves when every request taken has been answered, everything appended is on disk and the store is closed. A second
   * call waits for the first. No error of one step keeps the later ones from being done; the first is thrown at the end.
   */
  shutdown(): Promise<void> {
    this.#shutdown ??= this.#stop();
    return this.#shutdown;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  async #start(): Promise<SocketAddress> {
    const directory = metadataDirectory(this.#deps.store.storePathRootDir);
    const remembered =
      this.config.listenPort === 0 ? await rememberedPort(this.#fileSystem, directory, this.#logger) : undefined;
    const bound = await this.#listen(remembered);
    let store: MessageStore | undefined;
    try {
      store = await this.#openStore();
      const hosts = new BrokerHosts({
        configuredHost: this.config.brokerIP1,
        bindAddress: this.config.bindAddress,
        port: bound.port,
        storePort: remembered ?? bound.port,
      });
      this.#context = createBrokerContext({
        config: this.config,
        store,
        hosts,
        fileSystem: this.#fileSystem,
        clock: this.#clock,
        logger: this.#logger,
        topicsChanged: () => this.#registration?.register(),
        announce: () => this.#registration?.register() ?? Promise.resolve(),
      });
      await loadTables(this.#context, this.#fileSystem);
      if (this.config.listenPort === 0 && remembered === undefined) {
        await rememberPort(this.#fileSystem, directory, bound.port);
      }
    } catch (error) {
      await this.#server.shutdown(0);
      await this.#context?.metadata.close().catch(() => {});
      await store?.shutdown();
      throw error;
    }
    this.#serve(this.#context);
    await this.#register(this.#context);
    return bound;
  }

  /** The configured port; the one message ids carry if it is free; any. */
  async #listen(remembered: number | undefined): Promise<SocketAddress> {
    const { bindAddress: host, listenPort } = this.config;
    if (remembered !== undefined) {
      try {
        return await this.#server.listen({ host, port: remembered, paused: true });
      } catch (error) {
        if (!(error instanceof RemotingError) || error.code !== 'REMOTING_PORT_IN_USE') throw error;
        this.#logger.warn({ port: remembered }, 'the port that message ids carry is in use; another one is taken');
      }
    }
    return this.#server.listen({ host, port: listenPort, paused: true });
  }

  #openStore(): Promise<MessageStore> {
    const more: OpenOptions = { logger: this.#logger };
    if (this.#deps.onRecoveryProgress !== undefined) more.onRecoveryProgress = this.#deps.onRecoveryProgress;
    const open = this.#deps.openMessageStore ?? ((options, openOptions) => MessageStore.open(options, openOptions));
    return open(this.#deps.store, more);
  }

  #serve(context: BrokerContext): void {
    for (const [code, handler] of allProcessors(context)) this.#server.registerProcessor(code, handler);
    this.#server.on('close', (connection) => {
      context.holds.connectionClosed(connection);
      context.housekeeping.connectionClosed(connection);
    });
    context.store.on('arrived', (arrival) => {
      context.holds.messageArrived(arrival.topic, arrival.queueId, arrival.maxOffset, arrival.tagsCode);
    });
    context.store.on('failed', (cause) => {
      this.#logger.error({ err: cause }, `the store is read-only from here on: ${cause.message}`);
      this.emit('failed', cause);
    });
    this.#server.open();
  }

  async #register(context: BrokerContext): Promise<void> {
    const { topics, hosts } = context;
    const { config } = this;
    const limited = (topic: TopicConfig): TopicConfig => limitedByBroker(topic, config.brokerPermission);
    this.#registration = new NamesrvRegistrar({
      namesrv: this.#deps.namesrv,
      addresses: config.namesrvAddr.split(/[;,\s]+/).filter((address) => address !== ''),
      config,
      hosts,
      topics: () => ({
        dataVersion: topics.dataVersion,
        topicConfigTable: new Map([...topics.table].map(([name, topic]) => [name, limited(topic)])),
      }),
      clock: this.#clock,
      logger: this.#logger,
      registered: (count) => {
        if (count > 0) this.#isRoutable();
      },
    });
    await this.#registration.register();
  }

  #isRoutable(): void {
    if (this.#routable) return;
    this.#routable = true;
    this.#becameRoutable();
    this.emit('routable');
  }

  async #stop(): Promise<void> {
    this.#neverRoutable(new Error('the broker was shut down'));
    // A start that is under way is let finish: half of it cannot be undone in order.
    const started = await this.#started?.then(
      () => true,
      () => false,
    );
    const context = this.#context;
    if (started !== true || context === undefined) return;
    const failures: unknown[] = [];
    const step = async (act: () => unknown): Promise<void> => {
      try {
        await act();
      } catch (error) {
        failures.push(error);
      }
    };
    await step(() => this.#registration?.stop());
    context.holds.stop();
    await step(() => this.#server.shutdown(SHUTDOWN_GRACE_MS));
    context.housekeeping.stop();
    await step(() => context.metadata.close());
    await step(() => context.store.shutdown());
    if (failures.length > 0) throw failures[0];
  }
}

function withoutUndefined(options: BrokerOptions): BrokerOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function checkConfig(config: BrokerConfig): void {
  const invalid = (key: keyof BrokerConfig, why: string): BrokerError =>
    new BrokerError('BROKER_CONFIG_INVALID', `${key}=${config[key]}: ${why}`, { key, value: config[key] });
  for (const key of ['brokerName', 'brokerClusterName'] as const) {
    const fault = topicNameFault(config[key]);
    if (fault !== undefined) throw invalid(key, `it is a topic's name as well. ${fault}`);
  }
  if (!Number.isInteger(config.listenPort) || config.listenPort < 0 || config.listenPort > 65_535) {
    throw invalid('listenPort', 'a port lies between 0 and 65535');
  }
  for (const [key, value] of Object.entries(config)) {
    if (typeof value !== typeof defaultBrokerConfig[key as keyof BrokerConfig]) {
      if (!(key in defaultBrokerConfig)) continue;
      throw invalid(key as keyof BrokerConfig, `it is a ${typeof defaultBrokerConfig[key as keyof BrokerConfig]}`);
    }
    if (typeof value === 'number' && (!Number.isSafeInteger(value) || value < 0)) {
      throw invalid(key as keyof BrokerConfig, 'it is a whole number, 0 or more');
    }
  }
}
