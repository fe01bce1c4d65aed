import { EventEmitter } from 'node:events';
import { availableParallelism } from 'node:os';
import {
  type RemotingConnection,
  RemotingError,
  RemotingServer,
  RequestTimes,
  ServerIdentity,
  type SocketAddress,
  type TlsClientOptions,
  type TopicConfig,
} from '@vernier/remoting';
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
import { type FileSystem, NodeFileSystem, PlacedFileSystem, splitAddresses } from '@vernier/store/internal';
import type { Identity } from './base/identity.ts';
import { type BrokerConfig, type BrokerOptions, resolveBrokerConfig } from './config.ts';
import type { BrokerContext } from './context.ts';
import { createBrokerContext, loadTables, metadataDirectory, startServices } from './create-context.ts';
import { accessGate } from './gate/access-gate.ts';
import { ConnectionCallers } from './processors/connection-callers.ts';
import { allProcessors, answerBytesOf } from './processors/index.ts';
import { rememberedPort, rememberPort } from './registration/broker-port-file.ts';
import { BrokerHosts } from './registration/hosts.ts';
import { type LocalNamesrv, limitedByBroker, NamesrvRegistrar } from './registration/namesrv-registrar.ts';

/** Java clients 4.0 to 4.5.0 send to the port that much below the broker's (RocketMQ VIP channel, fastRemotingServer). */
const VIP_PORT_DISTANCE = 2;

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
  /** Draws lots, from 0 up to 1; default Math.random. */
  random?: () => number;
  /** Counts messages by topic and group for an exporter of metrics: rows of one table, and bytes of all of them. */
  meters?: { readonly seriesMax: number; readonly bytesMax: number } | undefined;
  /**
   * Who the broker is to clients that connect by TLS. Whoever made it closes it. Default: a self-signed certificate, made for
   * the first of them and kept beside the tables; plaintext shares the port.
   */
  tls?: ServerIdentity | undefined;
  /** How it connects to nameservers of other processes; default in plaintext. */
  clientTls?: TlsClientOptions | undefined;
}

export interface BrokerEvents {
  /** Clients can find the broker: a nameserver knows it. */
  routable: [];
  /** The store failed and is read-only from here on; sends are refused with the cause, pulls go on. */
  failed: [cause: StoreError];
}

/**
 * A RocketMQ broker in this process (RocketMQ BrokerController): opens the store, serves clients, registers with
 * nameservers.
 *
 * start: listen (no request is answered yet) → store opened and recovered → tables loaded → serving → registered.
 * shutdown, the other way round: out of the routes → held pulls dropped → requests in flight answered → ends of transactions written →
 * deliveries and followers stopped → timer files and tables saved → store shut down.
 */
export class Broker extends EventEmitter<BrokerEvents> {
  readonly config: BrokerConfig;
  /** Resolves when clients can find the broker; rejects when it is shut down before. */
  readonly routable: Promise<void>;
  /** How long requests took; undefined when nobody exports metrics (BrokerDeps.meters). */
  readonly requestTimes: RequestTimes | undefined;
  readonly #deps: BrokerDeps;
  readonly #logger: StoreLogger;
  readonly #clock: Clock;
  readonly #fileSystem: FileSystem;
  readonly #tls: ServerIdentity;
  readonly #server: RemotingServer;
  #vipAddress: SocketAddress | undefined;
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
    this.config = resolveBrokerConfig(options);
    this.#deps = deps;
    this.#logger = deps.logger ?? silentLogger;
    this.#clock = deps.clock ?? systemClock;
    this.#fileSystem = deps.fileSystem ?? new NodeFileSystem();
    this.requestTimes = deps.meters === undefined ? undefined : new RequestTimes();
    const ownDirectory = metadataDirectory(deps.store.storePathRootDir);
    this.#tls = deps.tls ?? new ServerIdentity({ ownDirectory, logger: this.#logger });
    this.#server = new RemotingServer({
      logger: this.#logger,
      // A signature is made of all fields as text.
      hotFields: !this.config.authenticationEnabled,
      requestTimes: this.requestTimes,
      tls: this.#tls,
      // With one core the loop would keep the client from it.
      busyPollMs: availableParallelism() > 1 ? this.config.busyPollMicros / 1_000 : 0,
    });
    this.routable = new Promise((resolve, reject) => {
      this.#becameRoutable = resolve;
      this.#neverRoutable = reject;
    });
    // When no caller waits for it, a shutdown must not become an unhandled rejection.
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

  /** `host:port` in registrations with nameservers of other processes. */
  get address(): string {
    return this.context.hosts.address;
  }

  /** Where Java clients 4.0 to 4.5.0 send to; undefined when it is not listened on. */
  get vipAddress(): SocketAddress | undefined {
    return this.#vipAddress;
  }

  /** Grows as long as a shutdown gets on: disk calls that have come back, of the store and of the tables. */
  get progress(): number {
    return (this.#context?.store.doneCalls ?? 0) + (this.#fileSystem.doneCount ?? 0);
  }

  /** Codes of the requests that are served. */
  get requestCodes(): number[] {
    return this.#server.requestCodes;
  }

  /** Connections of clients now. */
  get connectionCount(): number {
    return this.#server.connections.size;
  }

  /**
   * Resolves when requests are served, with the bound address. Rejects with the RemotingError of a port that cannot be
   * had, the StoreError of a store that cannot be opened, REMOTING_TLS_INVALID, or BROKER_METADATA_DAMAGED; nothing stays
   * open then.
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
    await this.#tls.open();
    const directory = metadataDirectory(this.#deps.store.storePathRootDir);
    const remembered =
      this.config.listenPort === 0 ? await rememberedPort(this.#fileSystem, directory, this.#logger) : undefined;
    const bound = await this.#listen(remembered);
    await this.#listenForOldClients();
    let store: MessageStore | undefined;
    try {
      const opened = await this.#openStore();
      store = opened;
      // Its tables lie in the store's directory, and go nowhere else when that was moved.
      const fileSystem = new PlacedFileSystem(this.#fileSystem, { check: (path) => opened.checkPlace(path) });
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
        fileSystem,
        clock: this.#clock,
        logger: this.#logger,
        random: this.#deps.random,
        meters: this.#deps.meters,
        tls: this.#tls,
        topicsChanged: () => this.#registration?.register(),
        announce: () => this.#registration?.register() ?? Promise.resolve(),
        routeOf: (topic) => this.#registration?.routeOf(topic) ?? Promise.resolve(undefined),
      });
      await loadTables(this.#context, fileSystem);
      if (this.config.listenPort === 0 && remembered === undefined) {
        await rememberPort(fileSystem, directory, bound.port, this.#logger);
      }
    } catch (error) {
      await this.#server.shutdown(0);
      await this.#context?.timer.close().catch(() => {});
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

  /** The same requests are answered there. Without the port the broker starts all the same: few clients need it. */
  async #listenForOldClients(): Promise<void> {
    const { bindAddress: host, listenPort } = this.config;
    const port = listenPort - VIP_PORT_DISTANCE;
    if (port < 1) {
      const why = `not listening for Java clients 4.0 to 4.5.0: they send to listenPort - 2, and listenPort is ${listenPort}`;
      this.#logger.info({ listenPort }, why);
      return;
    }
    try {
      this.#vipAddress = await this.#server.listen({ host, port, paused: true });
    } catch (error) {
      if (!(error instanceof RemotingError)) throw error;
      this.#logger.warn(
        { port },
        `not listening for Java clients 4.0 to 4.5.0, the others are served: ${error.message}`,
      );
    }
  }

  #openStore(): Promise<MessageStore> {
    const more: OpenOptions = { logger: this.#logger };
    if (this.#deps.onRecoveryProgress !== undefined) more.onRecoveryProgress = this.#deps.onRecoveryProgress;
    const open = this.#deps.openMessageStore ?? ((options, openOptions) => MessageStore.open(options, openOptions));
    return open(this.#deps.store, more);
  }

  #serve(context: BrokerContext): void {
    const callers = new ConnectionCallers(this.config.callClientTimeoutMills);
    for (const [code, handler] of allProcessors(context, callers)) {
      this.#server.registerProcessor(code, handler, { answerBytes: answerBytesOf(code) });
    }
    this.#server.on('close', (connection) => callers.closed(connection));
    this.#guard(context, callers);
    context.tls.ports.set('remoting', () => this.#server.tls.counts!);
    context.reports.add(() => ({
      tlsHandshakes: String(this.#server.tls.pending),
      tlsBytes: String(this.#server.tls.usedBytes),
    }));
    startServices(context);
    context.store.on('failed', (cause) => {
      this.#logger.error({ err: cause }, `the store is read-only from here on: ${cause.message}`);
      this.emit('failed', cause);
    });
    context.transactions.start();
    this.#server.open();
  }

  /** A nameserver of this process asks the same users as the broker. */
  #guard({ access, groups }: BrokerContext, callers: ConnectionCallers): void {
    if (!access.isOn) return;
    const isGroup = (name: string): boolean => groups.table.has(name);
    const passed = (connection: RemotingConnection, identity: Identity | undefined): void => {
      callers.of(connection).identity = identity;
    };
    this.#server.setGate(accessGate({ access, isGroup, passed }));
    this.#deps.namesrv?.guard?.(accessGate({ access, isGroup, passed: () => {} }));
  }

  async #register(context: BrokerContext): Promise<void> {
    const { topics, hosts } = context;
    const { config } = this;
    const limited = (topic: TopicConfig): TopicConfig => limitedByBroker(topic, config.brokerPermission);
    this.#registration = new NamesrvRegistrar({
      namesrv: this.#deps.namesrv,
      addresses: splitAddresses(config.namesrvAddr),
      config,
      hosts,
      topics: () => ({
        dataVersion: topics.dataVersion,
        topicConfigTable: new Map([...topics.table].map(([name, topic]) => [name, limited(topic)])),
      }),
      mappings: () => context.staticTopics.infos(),
      clock: this.#clock,
      logger: this.#logger,
      tls: this.#deps.clientTls,
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
    context.pop.stopPolling();
    context.lite.stopPolling();
    await step(() => this.#server.shutdown(SHUTDOWN_GRACE_MS));
    await step(() => context.transactions.stop());
    await step(() => context.lite.stop());
    await step(() => context.pop.stop());
    await step(() => context.timer.stop());
    await step(() => context.follow.stop());
    await step(() => context.timer.close());
    context.housekeeping.stop();
    await step(() => context.metadata.close());
    await step(() => context.store.shutdown());
    if (failures.length > 0) throw failures[0];
  }
}
