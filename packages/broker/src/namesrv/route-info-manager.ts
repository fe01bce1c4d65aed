import {
  type BrokerData,
  type BrokerMemberGroup,
  type Clock,
  type ClusterInfo,
  type DataVersion,
  Perm,
  type QueueData,
  type RemotingConnection,
  type RemotingLogger,
  sameDataVersion,
  type TopicConfig,
  type TopicConfigTable,
  type TopicList,
  type TopicRouteData,
} from '@vernier/remoting';
import { type BrokerLive, BrokerLiveTable } from './broker-live-table.ts';
import type { NamesrvConfig } from './namesrv-config.ts';
import { TopicQueueTable } from './topic-queue-table.ts';

const MASTER_ID = 0;

/** What a broker says of itself when it registers (RocketMQ RegisterBrokerRequestHeader and its body). */
export interface BrokerRegistration {
  clusterName: string;
  brokerName: string;
  /** 0 = master. */
  brokerId: number;
  /** `host:port` */
  brokerAddr: string;
  haServerAddr: string;
  zoneName?: string | undefined;
  /** d=120,000 */
  heartbeatTimeoutMs?: number | undefined;
  /** Undefined: a broker before 5.0, which does not know the notion. */
  enableActingMaster?: boolean | undefined;
  topicConfig: TopicConfigTable;
  /** Of a broker in this process: the user set its address (brokerIP1), and clients get that one. */
  fixedAddress?: boolean;
  topicQueueMappingInfo?: ReadonlyMap<string, unknown>;
  filterServerList?: readonly string[];
}

/** For a slave: whom to follow. */
export interface RegisterBrokerResult {
  haServerAddr?: string | undefined;
  masterAddr?: string | undefined;
}

/**
 * The address under which a broker of this process is given to the client that asks on `connection`; see design of
 * routes in docs/architecture.md. Brokers that registered over the wire are given out as they registered.
 */
export type ResolveBrokerAddress = (brokerAddr: string, connection: RemotingConnection) => string;

export interface RouteInfoManagerOptions {
  config: NamesrvConfig;
  clock: Clock;
  logger: RemotingLogger;
  resolveBrokerAddress: ResolveBrokerAddress;
}

/** Silence after which a broker counts as gone when it does not say otherwise. */
const HEARTBEAT_TIMEOUT_MS = 120_000;

/**
 * Topics, brokers and clusters as the name server knows them (RocketMQ RouteInfoManager). Nothing of it is persisted:
 * brokers register again.
 *
 *   clusterAddrTable   cluster → broker names
 *   brokerAddrTable    broker name → broker id → address
 *   brokerLiveTable    cluster, address → last sign of life, data version, connection
 *   topicQueueTable    topic → broker name → queues
 */
export class RouteInfoManager {
  readonly #config: NamesrvConfig;
  readonly #logger: RemotingLogger;
  readonly #resolve: ResolveBrokerAddress;
  readonly #clusters = new Map<string, Set<string>>();
  readonly #brokers = new Map<string, BrokerData>();
  readonly #live: BrokerLiveTable;
  readonly #topics = new TopicQueueTable();
  readonly #filterServers = new Map<string, readonly string[]>();
  readonly #topicQueueMappings = new Map<string, Map<string, unknown>>();

  constructor(options: RouteInfoManagerOptions) {
    this.#config = options.config;
    this.#logger = options.logger;
    this.#resolve = options.resolveBrokerAddress;
    this.#live = new BrokerLiveTable(options.clock, options.config.scanNotActiveBrokerInterval, (live) =>
      this.#expire(live),
    );
  }

  /** Topics, for listing, deleting and changing permissions. */
  get topics(): TopicQueueTable {
    return this.#topics;
  }

  /**
   * Takes a registration in, over a connection or (undefined) of a broker in this process. Undefined = refused: a first
   * registration with exactly one topic is taken for an update of that topic by a broker that is not known yet.
   */
  registerBroker(
    registration: BrokerRegistration,
    connection: RemotingConnection | undefined,
  ): RegisterBrokerResult | undefined {
    const { clusterName, brokerName, brokerId, brokerAddr } = registration;
    const known = this.#brokers.get(brokerName);
    const addresses = new Map(known?.brokerAddrs);
    // A broker that changed its role registers the same address under another id.
    for (const [id, address] of addresses) if (address === brokerAddr && id !== brokerId) addresses.delete(id);
    const previousAddr = addresses.get(brokerId);
    if (
      previousAddr !== undefined &&
      previousAddr !== brokerAddr &&
      this.#isNewer(clusterName, previousAddr, registration)
    ) {
      this.#logger.warn(
        { clusterName, brokerName, brokerId, brokerAddr, previousAddr },
        `registration of ${brokerAddr} as ${brokerName}:${brokerId} ignored: ${previousAddr} has a higher state version`,
      );
      this.#live.delete(clusterName, brokerAddr);
      return {};
    }
    const topics = registration.topicConfig.topicConfigTable;
    if (connection !== undefined && previousAddr === undefined && topics.size === 1) return undefined;

    addresses.set(brokerId, brokerAddr);
    const broker: BrokerData = {
      cluster: clusterName,
      brokerName,
      brokerAddrs: addresses,
      enableActingMaster: registration.enableActingMaster ?? false,
      zoneName: registration.zoneName,
    };
    this.#brokers.set(brokerName, broker);
    this.#addToCluster(clusterName, brokerName);
    this.#updateTopics(
      registration,
      broker,
      known === undefined || previousAddr === undefined,
      connection === undefined,
    );
    this.#recordLive(registration, connection);
    return brokerId === MASTER_ID ? {} : this.#masterOf(broker);
  }

  /** Forgets a broker; nothing happens when it is not known. */
  unregisterBroker(clusterName: string, brokerName: string, brokerAddr: string): void {
    this.#live.delete(clusterName, brokerAddr);
    this.#filterServers.delete(brokerAddr);
    const broker = this.#brokers.get(brokerName);
    if (broker === undefined) return;
    for (const [id, address] of broker.brokerAddrs) if (address === brokerAddr) broker.brokerAddrs.delete(id);
    if (broker.brokerAddrs.size > 0) {
      if (broker.enableActingMaster && !broker.brokerAddrs.has(MASTER_ID)) this.#topics.wipeWritePerm(brokerName);
      return;
    }
    this.#brokers.delete(brokerName);
    this.#topics.removeBroker(brokerName);
    for (const mappings of this.#topicQueueMappings.values()) mappings.delete(brokerName);
    const names = this.#clusters.get(clusterName);
    names?.delete(brokerName);
    if (names?.size === 0) this.#clusters.delete(clusterName);
    this.#logger.info({ clusterName, brokerName, brokerAddr }, `broker ${brokerName} at ${brokerAddr} is gone`);
  }

  /** Forgets the brokers that registered on a connection that is closed now. */
  connectionClosed(connection: RemotingConnection): void {
    for (const live of this.#live.onConnection(connection)) {
      this.unregisterBroker(live.clusterName, live.brokerName, live.brokerAddr);
    }
  }

  /** Notes a sign of life of a broker. */
  touch(clusterName: string, brokerAddr: string): void {
    this.#live.touch(clusterName, brokerAddr);
  }

  /** Version of the topics a broker registered last; undefined for an unknown broker. */
  dataVersion(clusterName: string, brokerAddr: string): DataVersion | undefined {
    return this.#live.get(clusterName, brokerAddr)?.dataVersion;
  }

  /** Route of a topic as `connection` can use it; undefined when no live broker has the topic. */
  pickupTopicRouteData(topic: string, connection?: RemotingConnection): TopicRouteData | undefined {
    const queues = this.#topics.queues(topic);
    if (queues === undefined) return undefined;
    const brokerDatas: BrokerData[] = [];
    const filterServerTable = new Map<string, string[]>();
    for (const brokerName of queues.keys()) {
      const broker = this.#brokers.get(brokerName);
      if (broker === undefined) continue;
      for (const address of broker.brokerAddrs.values()) {
        const servers = this.#filterServers.get(address);
        if (servers !== undefined) filterServerTable.set(address, [...servers]);
      }
      brokerDatas.push(this.#brokerFor(broker, connection));
    }
    if (brokerDatas.length === 0) return undefined;
    const queueDatas = [...queues.values()].map((queue) => ({ ...queue }));
    if (this.#config.supportActingMaster) actingMasters(brokerDatas, queueDatas);
    return {
      brokerDatas,
      queueDatas,
      filterServerTable,
      topicQueueMappingByBroker: this.#topicQueueMappings.get(topic),
    };
  }

  clusterInfo(connection?: RemotingConnection): ClusterInfo {
    const brokerAddrTable = new Map<string, BrokerData>();
    for (const [name, broker] of this.#brokers) brokerAddrTable.set(name, this.#brokerFor(broker, connection));
    const clusterAddrTable = new Map<string, string[]>();
    for (const [cluster, names] of this.#clusters) clusterAddrTable.set(cluster, [...names]);
    return { brokerAddrTable, clusterAddrTable };
  }

  /** All brokers of a name; without addresses when there are none. */
  brokerMemberGroup(cluster: string, brokerName: string, connection?: RemotingConnection): BrokerMemberGroup {
    const broker = this.#brokers.get(brokerName);
    const brokerAddrs = broker === undefined ? new Map() : this.#brokerFor(broker, connection).brokerAddrs;
    return { cluster, brokerName, brokerAddrs };
  }

  /** Clusters and broker names, which are topics too, and a broker to ask for its own system topics. */
  systemTopicList(connection?: RemotingConnection): TopicList {
    const topicList = [...this.#clusters].flatMap(([cluster, names]) => [cluster, ...names]);
    const [broker] = this.#brokers.values();
    const brokerAddr =
      broker === undefined ? undefined : this.#brokerFor(broker, connection).brokerAddrs.values().next().value;
    return { topicList, brokerAddr };
  }

  topicsByCluster(cluster: string): string[] {
    return this.#topics.topicsOf(this.#clusters.get(cluster) ?? new Set());
  }

  /** Removes a topic from the brokers of a cluster, or from all. */
  deleteTopic(topic: string, cluster?: string): void {
    this.#topics.remove(topic, cluster === undefined ? undefined : (this.#clusters.get(cluster) ?? []));
  }

  /** Adds queues of a topic on known brokers. False, and nothing added, when one of the brokers is unknown. */
  registerTopic(topic: string, queues: readonly QueueData[]): boolean {
    if (!queues.every((queue) => this.#brokers.has(queue.brokerName))) return false;
    for (const queue of queues) this.#topics.put(topic, queue);
    return true;
  }

  /** Stops looking for silent brokers and forgets which are alive. */
  close(): void {
    this.#live.close();
  }

  #isNewer(clusterName: string, previousAddr: string, registration: BrokerRegistration): boolean {
    const previous = this.#live.get(clusterName, previousAddr);
    return (
      previous !== undefined && previous.dataVersion.stateVersion > registration.topicConfig.dataVersion.stateVersion
    );
  }

  #addToCluster(clusterName: string, brokerName: string): void {
    const names = this.#clusters.get(clusterName);
    if (names === undefined) this.#clusters.set(clusterName, new Set([brokerName]));
    else names.add(brokerName);
  }

  /** The master's topics count; without a master those of the smallest slave id, of brokers that know acting masters. */
  #updateTopics(registration: BrokerRegistration, broker: BrokerData, first: boolean, local: boolean): void {
    const { clusterName, brokerName, brokerId, brokerAddr, topicConfig } = registration;
    const master = brokerId === MASTER_ID;
    const primeSlave =
      !master && registration.enableActingMaster !== undefined && brokerId === Math.min(...broker.brokerAddrs.keys());
    if (!master && !primeSlave) return;
    const topics = topicConfig.topicConfigTable;
    const mappings = registration.topicQueueMappingInfo ?? new Map<string, unknown>();
    // A broker of this process always registers all it has; one on the wire may register the one topic it has changed.
    if (local || (this.#config.deleteTopicWithBrokerRegistration && mappings.size === 0)) {
      this.#topics.removeBroker(brokerName, topics);
    }
    const before = this.dataVersion(clusterName, brokerAddr);
    const changed = before === undefined || !sameDataVersion(before, topicConfig.dataVersion);
    for (const topic of topics.values()) {
      // Unchanged topics are left alone, so that a wiped write permission stays wiped.
      if (!first && !changed && this.#topics.has(topic.topicName, brokerName)) continue;
      this.#topics.putConfig(brokerName, topic, permOf(topic, primeSlave && broker.enableActingMaster));
    }
    if (!first && !changed) return;
    for (const [topic, mapping] of mappings) {
      const byBroker = this.#topicQueueMappings.get(topic);
      if (byBroker === undefined) this.#topicQueueMappings.set(topic, new Map([[brokerName, mapping]]));
      else byBroker.set(brokerName, mapping);
    }
  }

  #recordLive(registration: BrokerRegistration, connection: RemotingConnection | undefined): void {
    const { clusterName, brokerName, brokerId, brokerAddr, haServerAddr } = registration;
    if (this.#live.get(clusterName, brokerAddr) === undefined) {
      this.#logger.info(
        { clusterName, brokerName, brokerId, brokerAddr, haServerAddr },
        `broker ${brokerName}:${brokerId} of ${clusterName} registered at ${brokerAddr}`,
      );
    }
    this.#live.put({
      clusterName,
      brokerName,
      brokerId,
      brokerAddr,
      haServerAddr,
      dataVersion: registration.topicConfig.dataVersion,
      connection,
      fixedAddress: connection !== undefined || registration.fixedAddress === true,
      heartbeatTimeoutMs: registration.heartbeatTimeoutMs ?? HEARTBEAT_TIMEOUT_MS,
    });
    const servers = registration.filterServerList ?? [];
    if (servers.length === 0) this.#filterServers.delete(brokerAddr);
    else this.#filterServers.set(brokerAddr, servers);
  }

  #masterOf(broker: BrokerData): RegisterBrokerResult {
    const masterAddr = broker.brokerAddrs.get(MASTER_ID);
    const live = masterAddr === undefined ? undefined : this.#live.get(broker.cluster, masterAddr);
    return live === undefined ? {} : { masterAddr, haServerAddr: live.haServerAddr };
  }

  #expire(live: BrokerLive): void {
    this.#logger.warn(
      { brokerName: live.brokerName, brokerAddr: live.brokerAddr, heartbeatTimeoutMs: live.heartbeatTimeoutMs },
      `broker ${live.brokerName} at ${live.brokerAddr} was silent for more than ${live.heartbeatTimeoutMs} ms`,
    );
    live.connection?.destroy(`silent for more than ${live.heartbeatTimeoutMs} ms`);
    this.unregisterBroker(live.clusterName, live.brokerName, live.brokerAddr);
  }

  /** A copy of the broker data with addresses that the asking client can use. */
  #brokerFor(broker: BrokerData, connection: RemotingConnection | undefined): BrokerData {
    const brokerAddrs = new Map<number, string>();
    for (const id of [...broker.brokerAddrs.keys()].sort((a, b) => a - b)) {
      const address = broker.brokerAddrs.get(id) as string;
      const resolved = connection !== undefined && this.#live.get(broker.cluster, address)?.fixedAddress === false;
      brokerAddrs.set(id, resolved ? this.#resolve(address, connection) : address);
    }
    return { ...broker, brokerAddrs };
  }
}

function permOf(topic: TopicConfig, readOnly: boolean): number {
  return readOnly ? topic.perm & ~Perm.WRITE : topic.perm;
}

/** Where the master is gone and the topic is read-only, the smallest slave is given out as the master. */
function actingMasters(brokers: readonly BrokerData[], queues: readonly QueueData[]): void {
  for (const broker of brokers) {
    if (!broker.enableActingMaster || broker.brokerAddrs.size === 0 || broker.brokerAddrs.has(MASTER_ID)) continue;
    const queue = queues.find((item) => item.brokerName === broker.brokerName);
    if (queue === undefined || (queue.perm & Perm.WRITE) !== 0) continue;
    const smallest = Math.min(...broker.brokerAddrs.keys());
    const address = broker.brokerAddrs.get(smallest) as string;
    broker.brokerAddrs.delete(smallest);
    broker.brokerAddrs.set(MASTER_ID, address);
  }
}
