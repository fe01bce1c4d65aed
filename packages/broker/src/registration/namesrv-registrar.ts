import {
  bodyCrc32,
  createRequest,
  decodeTopicRouteData,
  encodeRegisterBrokerBody,
  RemotingClient,
  RequestCode,
  ResponseCode,
  type TlsClientOptions,
  type TopicConfig,
  type TopicConfigTable,
  type TopicRouteData,
} from '@vernier/remoting';
import type { Clock, StoreLogger } from '@vernier/store';
import { type BrokerConfig, innerCredentials } from '../config.ts';
import type { Namesrv } from '../namesrv/namesrv.ts';
import type { BrokerHosts } from './hosts.ts';

/** What a broker needs of a nameserver in its own process. */
export type LocalNamesrv = Pick<Namesrv, 'registerLocal' | 'unregisterLocal'> &
  Partial<Pick<Namesrv, 'routeOf' | 'guard'>>;

/** A nameserver that does not take a farewell in this time learns of the broker's end by the closed connection. */
const UNREGISTER_TIMEOUT_MS = 1_000;
/** A consumer that asks for its queues waits for it. */
const ROUTE_TIMEOUT_MS = 3_000;
/** All members of a group ask within seconds of each other. */
const ROUTE_MS = 5_000;
const ROUTES_MAX = 1_000;

/** A topic with the permissions left that the broker as a whole gives (RocketMQ BrokerController.registerBrokerAll). */
export const limitedByBroker = (topic: TopicConfig, brokerPermission: number): TopicConfig =>
  (brokerPermission & 6) === 6 ? topic : { ...topic, perm: topic.perm & brokerPermission };

/**
 * Registers the broker with nameservers (RocketMQ BrokerOuterAPI): whenever a topic changed, and each
 * registerNameServerPeriod too while a nameserver may have lost what it knew: one of another process always, the one of
 * this process when somebody took a topic out of its routes. Changes of one turn go together. Registrations over the wire never
 * overlap; a change that comes while one is under way is in the next, which follows at once.
 */
export class NamesrvRegistrar {
  readonly #namesrv: LocalNamesrv | undefined;
  readonly #addresses: readonly string[];
  readonly #client: RemotingClient;
  readonly #config: BrokerConfig;
  readonly #hosts: BrokerHosts;
  readonly #topics: () => TopicConfigTable;
  /** Of static topics, which queues are here. */
  readonly #mappings: () => Map<string, object>;
  readonly #clock: Clock;
  readonly #logger: StoreLogger;
  /** Called after each round with the number of nameservers that took the registration. */
  readonly #registered: (count: number) => void;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #timer: unknown;
  #stopped = false;
  /** By nameserver: why it refused the registration last, as it was logged. */
  readonly #refusals = new Map<string, string>();
  readonly #routes = new Map<string, { route: Promise<TopicRouteData | undefined>; until: number }>();

  constructor(options: {
    namesrv: LocalNamesrv | undefined;
    addresses: readonly string[];
    config: BrokerConfig;
    hosts: BrokerHosts;
    topics: () => TopicConfigTable;
    mappings?: () => Map<string, object>;
    clock: Clock;
    logger: StoreLogger;
    tls?: TlsClientOptions | undefined;
    registered: (count: number) => void;
  }) {
    this.#namesrv = options.namesrv;
    this.#addresses = options.addresses;
    this.#config = options.config;
    this.#hosts = options.hosts;
    this.#topics = options.topics;
    this.#mappings = options.mappings ?? (() => new Map());
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#registered = options.registered;
    const { logger, tls, config } = options;
    const credentials = innerCredentials(config.innerClientAuthenticationCredentials);
    this.#client = new RemotingClient({ logger, tls, credentials });
  }

  /** Resolves when a registration that began after the call has been tried everywhere. Failures are logged. */
  register(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    this.#next ??= (this.#running ?? turn()).then(() => this.#start());
    return this.#next;
  }

  /**
   * Which brokers have a topic, as the nameserver in this process says, else the first other one that answers; undefined when
   * none knows.
   */
  async routeOf(topic: string): Promise<TopicRouteData | undefined> {
    const local = this.#namesrv?.routeOf?.(topic);
    if (local !== undefined || this.#addresses.length === 0) return local;
    const now = this.#clock.monotonic();
    const known = this.#routes.get(topic);
    if (known !== undefined && known.until > now) return known.route;
    if (this.#routes.size >= ROUTES_MAX) this.#routes.clear();
    const route = this.#askForRoute(topic);
    this.#routes.set(topic, { route, until: now + ROUTE_MS });
    return route;
  }

  async #askForRoute(topic: string): Promise<TopicRouteData | undefined> {
    const fields = { topic, acceptStandardJsonOnly: 'true' };
    for (const address of this.#stopped ? [] : this.#addresses) {
      try {
        const request = createRequest(RequestCode.GET_ROUTEINFO_BY_TOPIC, fields);
        const response = await this.#client.invoke(address, request, ROUTE_TIMEOUT_MS);
        if (response.code === ResponseCode.SUCCESS) return decodeTopicRouteData(response.body);
        if (response.code === ResponseCode.TOPIC_NOT_EXIST) return undefined;
      } catch (error) {
        this.#logger.debug({ address, topic }, `no route from the nameserver: ${(error as Error).message}`);
      }
    }
    return undefined;
  }

  /** Takes the broker out of the nameservers' routes and closes the connections to them. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
    this.#namesrv?.unregisterLocal(this.#self());
    const farewells = this.#addresses.map((address) =>
      this.#client
        .invoke(address, createRequest(RequestCode.UNREGISTER_BROKER, this.#identity()), UNREGISTER_TIMEOUT_MS)
        .catch((error: Error) => this.#logger.debug({ address }, `nameserver not told of the end: ${error.message}`)),
    );
    await Promise.all(farewells);
    await this.#client.close();
    await this.#running;
  }

  #start(): Promise<void> {
    this.#next = undefined;
    this.#running = this.#registerAll().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #registerAll(): Promise<void> {
    if (this.#stopped) return;
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
    const topicConfig = this.#topics();
    if (this.#registerLocally(topicConfig)) this.#registered(1);
    if (this.#addresses.length === 0) return;
    // A nameserver that hangs does not delay the next one.
    this.#registerLater();
    await this.#registerElsewhere(topicConfig);
  }

  #registerLater(): void {
    if (this.#stopped || this.#timer !== undefined) return;
    this.#timer = this.#clock.setTimer(() => {
      this.#timer = undefined;
      this.register();
    }, this.#config.registerNameServerPeriod);
  }

  #registerLocally(topicConfig: TopicConfigTable): boolean {
    if (this.#namesrv === undefined) return false;
    const { refused } = this.#namesrv.registerLocal({
      ...this.#self(),
      fixedAddress: this.#config.brokerIP1 !== '',
      topicConfig,
      topicQueueMappingInfo: this.#mappings(),
      onTopicLost: () => this.#registerLater(),
    });
    if (refused !== undefined) this.#logger.warn({ refused }, `nameserver refused the registration: ${refused}`);
    return refused === undefined;
  }

  async #registerElsewhere(topicConfig: TopicConfigTable): Promise<void> {
    const body = encodeRegisterBrokerBody({
      topicConfig,
      filterServerList: [],
      topicQueueMappingInfo: this.#mappings(),
    });
    const fields = { ...this.#identity(), bodyCrc32: String(bodyCrc32(body)), compressed: 'false' };
    const outcomes = await Promise.all(this.#addresses.map((address) => this.#registerWith(address, fields, body)));
    if (!this.#stopped) this.#registered(outcomes.filter((outcome) => outcome).length);
  }

  async #registerWith(address: string, fields: Record<string, string>, body: Buffer): Promise<boolean> {
    try {
      const request = createRequest(RequestCode.REGISTER_BROKER, fields, body);
      const response = await this.#client.invoke(address, request, this.#config.registerBrokerTimeoutMills);
      if (response.code === ResponseCode.SUCCESS) {
        this.#refusals.delete(address);
        return true;
      }
      this.#noteRefusal(address, response.code, response.remark ?? '');
    } catch (error) {
      if (!this.#stopped) {
        this.#logger.warn({ address }, `not registered with the nameserver: ${(error as Error).message}`);
      }
    }
    return false;
  }

  /** It is tried again each period, and mostly comes to the same. */
  #noteRefusal(address: string, code: number, remark: string): void {
    if (this.#refusals.get(address) === remark) return;
    this.#refusals.set(address, remark);
    this.#logger.warn({ address, code }, `nameserver refused the registration: ${remark}`);
  }

  #self() {
    const { brokerName, brokerClusterName: clusterName, brokerId } = this.#config;
    return { brokerName, clusterName, brokerId, brokerAddr: this.#hosts.address, haServerAddr: this.#hosts.haAddress };
  }

  #identity(): Record<string, string> {
    const self = this.#self();
    return { ...self, brokerId: String(self.brokerId) };
  }
}

/** The end of this turn, when the topics it makes are made. */
const turn = (): Promise<void> => Promise.resolve();
