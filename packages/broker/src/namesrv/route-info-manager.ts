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
import { BrokerTable, MASTER_ID } from './broker-table.ts';
import type { NamesrvConfig } from './namesrv-config.ts';
import { checkRegistration, type LeftOut, topicFault } from './registration-check.ts';
import { StaticTopicTable } from './static-topic-table.ts';
import { TopicQueueTable } from './topic-queue-table.ts';

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
  /** Of a broker in this process: called when somebody takes one of its topics out of the routes. */
  onTopicLost?: (() => void) | undefined;
  topicQueueMappingInfo?: ReadonlyMap<string, unknown>;
  filterServerList?: readonly string[];
}

export interface RegisterBrokerResult {
  /** Why the registration was not taken; undefined when it was. */
  refused?: string | undefined;
  /** For a slave: whom to follow. */
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

/**
 * Topics, brokers and clusters as the name server knows them (RocketMQ RouteInfoManager): who is there (BrokerTable),
 * which topics it has (TopicQueueTable), and the mappings of static topics. Nothing of it is persisted: brokers register
 * again. Everything is of bounded size, whatever brokers register.
 */
export class RouteInfoManager {
  readonly #config: NamesrvConfig;
  readonly #resolve: ResolveBrokerAddress;
  readonly #table: BrokerTable;
  readonly #topics = new TopicQueueTable();
  readonly #staticTopics = new StaticTopicTable();
  /** Broker name → broker address → filter servers; no longer filled by anything current. */
  readonly #filterServers = new Map<string, Map<string, readonly string[]>>();

  constructor(options: RouteInfoManagerOptions) {
    this.#config = options.config;
    this.#resolve = options.resolveBrokerAddress;
    this.#table = new BrokerTable({
      clock: options.clock,
      logger: options.logger,
      scanIntervalMs: () => this.#config.scanNotActiveBrokerInterval,
      onAddressGone: ({ brokerName, brokerAddrs, enableActingMaster }) => {
        if (enableActingMaster && !brokerAddrs.has(MASTER_ID)) this.#topics.wipeWritePerm(brokerName);
        const left = new Set(brokerAddrs.values());
        const servers = this.#filterServers.get(brokerName);
        for (const address of servers?.keys() ?? []) if (!left.has(address)) servers?.delete(address);
      },
      onNameGone: (brokerName) => {
        this.#topics.removeBroker(brokerName);
        this.#staticTopics.removeBroker(brokerName);
        this.#filterServers.delete(brokerName);
      },
    });
  }

  /** Who is there. */
  get table(): BrokerTable {
    return this.#table;
  }

  /** Topics, for listing, deleting and changing permissions. */
  get topics(): TopicQueueTable {
    return this.#topics;
  }

  /** Takes a registration in, over a connection or (undefined) of a broker in this process. */
  registerBroker(sent: BrokerRegistration, connection: RemotingConnection | undefined): RegisterBrokerResult {
    const checked = checkRegistration(sent);
    if (checked.fault !== undefined) return { refused: checked.fault };
    const { registration, leftOut } = checked;
    const { brokerName, brokerId } = registration;
    const first = this.#table.brokers.get(brokerName)?.brokerAddrs.get(brokerId) === undefined;
    if (connection !== undefined) {
      const refused = this.#table.refusal(registration, connection);
      if (refused !== undefined) return { refused };
      if (this.#table.isStale(registration)) return {};
      // A broker that is not known yet and has one topic: RocketMQ takes it for the update of that topic, and so it comes
      // again with all of them.
      if (first && sent.topicConfig.topicConfigTable.size === 1) return { refused: 'register broker failed' };
    }
    const broker = this.#table.put(registration);
    this.#updateTopics(registration, broker, first, connection === undefined, leftOut);
    this.#updateFilterServers(registration);
    this.#table.putLive(registration, connection, leftOut.text);
    return brokerId === MASTER_ID ? {} : this.#masterOf(broker);
  }

  /**
   * Forgets a broker elsewhere; nothing happens when it is not known. False, and nothing happens, for a broker of this
   * process.
   */
  unregisterBroker(clusterName: string, brokerName: string, brokerAddr: string): boolean {
    if (this.#table.isLocal(clusterName, brokerAddr)) return false;
    this.#table.forget(clusterName, brokerName, brokerAddr);
    return true;
  }

  /** Forgets a broker of this process. */
  unregisterLocal(clusterName: string, brokerName: string, brokerAddr: string): void {
    if (this.#table.isLocal(clusterName, brokerAddr)) this.#table.forget(clusterName, brokerName, brokerAddr);
  }

  /** Forgets the brokers that registered on a connection that is closed now. */
  connectionClosed(connection: RemotingConnection): void {
    this.#table.connectionClosed(connection);
  }

  /** Notes a sign of life of a broker. */
  touch(clusterName: string, brokerAddr: string): void {
    this.#table.touch(clusterName, brokerAddr);
  }

  /** Version of the topics a broker registered last; undefined for an unknown broker. */
  dataVersion(clusterName: string, brokerAddr: string): DataVersion | undefined {
    return this.#table.live(clusterName, brokerAddr)?.dataVersion;
  }

  /** Route of a topic as `connection` can use it; undefined when no live broker has the topic. */
  pickupTopicRouteData(topic: string, connection?: RemotingConnection): TopicRouteData | undefined {
    const queues = this.#topics.queues(topic);
    if (queues === undefined) return undefined;
    const brokerDatas: BrokerData[] = [];
    const filterServerTable = new Map<string, string[]>();
    for (const brokerName of queues.keys()) {
      const broker = this.#table.brokers.get(brokerName);
      if (broker === undefined) continue;
      for (const address of broker.brokerAddrs.values()) {
        const servers = this.#filterServers.get(brokerName)?.get(address);
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
      topicQueueMappingByBroker: this.#staticTopics.of(topic),
    };
  }

  clusterInfo(connection?: RemotingConnection): ClusterInfo {
    const brokerAddrTable = new Map<string, BrokerData>();
    for (const [name, broker] of this.#table.brokers) brokerAddrTable.set(name, this.#brokerFor(broker, connection));
    const clusterAddrTable = new Map<string, string[]>();
    for (const [cluster, names] of this.#table.clusters) clusterAddrTable.set(cluster, [...names]);
    return { brokerAddrTable, clusterAddrTable };
  }

  /** All brokers of a name; without addresses when there are none. */
  brokerMemberGroup(cluster: string, brokerName: string, connection?: RemotingConnection): BrokerMemberGroup {
    const broker = this.#table.brokers.get(brokerName);
    const brokerAddrs = broker === undefined ? new Map() : this.#brokerFor(broker, connection).brokerAddrs;
    return { cluster, brokerName, brokerAddrs };
  }

  /** Clusters and broker names, which are topics too, and a broker to ask for its own system topics. */
  systemTopicList(connection?: RemotingConnection): TopicList {
    const topicList = [...this.#table.clusters].flatMap(([cluster, names]) => [cluster, ...names]);
    const [broker] = this.#table.brokers.values();
    const brokerAddr =
      broker === undefined ? undefined : this.#brokerFor(broker, connection).brokerAddrs.values().next().value;
    return { topicList, brokerAddr };
  }

  topicsByCluster(cluster: string): Set<string> {
    return this.#topics.topicsOf(this.#table.clusters.get(cluster) ?? []);
  }

  /**
   * Removes a topic from the brokers of a cluster, or from all. A broker that still has it brings it back with its next
   * registration.
   */
  deleteTopic(topic: string, cluster?: string): void {
    const having = [...(this.#topics.queues(topic)?.keys() ?? [])];
    const brokerNames =
      cluster === undefined ? having : having.filter((name) => this.#table.clusters.get(cluster)?.has(name));
    this.#topics.remove(topic, brokerNames);
    for (const brokerName of brokerNames) this.#table.localOf(brokerName)?.onTopicLost?.();
  }

  /**
   * Adds queues of a topic on known brokers. False, and nothing added, when one of the brokers is unknown, is of this
   * process and has the topic, a number cannot be, or there is no room.
   */
  registerTopic(topic: string, queues: readonly QueueData[]): boolean {
    const takes = (queue: QueueData): boolean =>
      this.#table.brokers.has(queue.brokerName) &&
      !(this.#topics.has(topic, queue.brokerName) && this.#table.localOf(queue.brokerName) !== undefined) &&
      topicFault(topic, queue) === undefined &&
      this.#topics.hasRoom(topic, queue.brokerName);
    if (!queues.every(takes)) return false;
    for (const queue of queues) this.#topics.put(topic, queue);
    return true;
  }

  /** Stops looking for silent brokers and forgets which are alive. */
  close(): void {
    this.#table.close();
  }

  /**
   * The master's topics count; without a master those of the smallest slave id, of brokers that know acting masters.
   * `leftOut` learns what the tables have no room for.
   */
  #updateTopics(
    registration: BrokerRegistration,
    broker: BrokerData,
    first: boolean,
    local: boolean,
    leftOut: LeftOut,
  ): void {
    const { clusterName, brokerName, brokerId, brokerAddr, topicConfig } = registration;
    const master = brokerId === MASTER_ID;
    const primeSlave =
      !master && registration.enableActingMaster !== undefined && brokerId === smallest(broker.brokerAddrs.keys());
    if (!master && !primeSlave) return;
    const topics = topicConfig.topicConfigTable;
    const mappings = registration.topicQueueMappingInfo ?? new Map<string, unknown>();
    if (this.#config.deleteTopicWithBrokerRegistration && mappings.size === 0) {
      this.#topics.removeBroker(brokerName, topics);
    }
    const before = this.dataVersion(clusterName, brokerAddr);
    const changed = before === undefined || !sameDataVersion(before, topicConfig.dataVersion);
    for (const topic of topics.values()) {
      // Unchanged topics are left alone, so that a wiped write permission stays wiped.
      if (!first && !changed && this.#topics.has(topic.topicName, brokerName)) continue;
      if (!local && !this.#topics.hasRoom(topic.topicName, brokerName)) {
        leftOut.add(`the nameserver has ${this.#topics.entryCount} entries of topics, and no more are taken`);
        continue;
      }
      this.#topics.putConfig(brokerName, topic, permOf(topic, primeSlave && broker.enableActingMaster));
    }
    if (!first && !changed) return;
    // A registration may be of some topics alone; of these it says all. A static topic that was made anew as an ordinary one
    // would be sent to by numbers that its broker does not have.
    for (const topic of topics.keys()) if (!mappings.has(topic)) this.#staticTopics.remove(topic, brokerName);
    for (const [topic, mapping] of mappings) {
      const fault = this.#staticTopics.put(topic, brokerName, mapping);
      if (fault !== undefined) leftOut.add(fault);
    }
  }

  #updateFilterServers({ brokerName, brokerAddr, filterServerList = [] }: BrokerRegistration): void {
    const known = this.#filterServers.get(brokerName);
    if (filterServerList.length === 0) known?.delete(brokerAddr);
    else if (known === undefined) this.#filterServers.set(brokerName, new Map([[brokerAddr, filterServerList]]));
    else known.set(brokerAddr, filterServerList);
  }

  #masterOf(broker: BrokerData): RegisterBrokerResult {
    const masterAddr = broker.brokerAddrs.get(MASTER_ID);
    const live = masterAddr === undefined ? undefined : this.#table.live(broker.cluster, masterAddr);
    return live === undefined ? {} : { masterAddr, haServerAddr: live.haServerAddr };
  }

  /** A copy of the broker data with addresses that the asking client can use. */
  #brokerFor(broker: BrokerData, connection: RemotingConnection | undefined): BrokerData {
    const brokerAddrs = new Map<number, string>();
    for (const id of [...broker.brokerAddrs.keys()].sort((a, b) => a - b)) {
      const address = broker.brokerAddrs.get(id) as string;
      const resolved = connection !== undefined && this.#table.live(broker.cluster, address)?.fixedAddress === false;
      brokerAddrs.set(id, resolved ? this.#resolve(address, connection) : address);
    }
    return { ...broker, brokerAddrs };
  }
}

function smallest(ids: Iterable<number>): number {
  let found = Number.POSITIVE_INFINITY;
  for (const id of ids) found = Math.min(found, id);
  return found;
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
    const acting = smallest(broker.brokerAddrs.keys());
    const address = broker.brokerAddrs.get(acting) as string;
    broker.brokerAddrs.delete(acting);
    broker.brokerAddrs.set(MASTER_ID, address);
  }
}
