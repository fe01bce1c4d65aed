import type { BrokerData, Clock, RemotingConnection, RemotingLogger } from '@vernier/remoting';
import { LineRate } from '@vernier/store/internal';
import { BROKERS_MAX, type BrokerLive, BrokerLiveTable, HEARTBEAT_TIMEOUT_MS } from './broker-live-table.ts';
import type { BrokerRegistration } from './route-info-manager.ts';

export const MASTER_ID = 0;

export interface BrokerTableOptions {
  clock: Clock;
  logger: RemotingLogger;
  /** Milliseconds between two looks for silent brokers. */
  scanIntervalMs: () => number;
  /** One address of a name is gone, and others are left. */
  onAddressGone(broker: BrokerData): void;
  /** The last address of a name is gone, and the name with it. */
  onNameGone(brokerName: string): void;
}

/**
 * Who is there: clusters, broker names, addresses (RocketMQ RouteInfoManager clusterAddrTable, brokerAddrTable,
 * brokerLiveTable).
 *
 *   cluster → broker names              a broker name is in one cluster; no cluster without a name
 *   broker name → broker id → address   no name without an address
 *   cluster, address → sign of life     one for each address of a name, and no other
 *
 * A broker of this process is alive while it says so itself: nobody on the wire can take its name, its address or its
 * registration away.
 */
export class BrokerTable {
  readonly #logger: RemotingLogger;
  readonly #options: BrokerTableOptions;
  readonly #clusters = new Map<string, Set<string>>();
  readonly #brokers = new Map<string, BrokerData>();
  readonly #live: BrokerLiveTable;
  readonly #refusals: LineRate;

  constructor(options: BrokerTableOptions) {
    this.#logger = options.logger;
    this.#options = options;
    this.#refusals = new LineRate(options.clock);
    this.#live = new BrokerLiveTable(options.clock, options.scanIntervalMs, (live) => this.#expire(live));
  }

  /** Cluster → broker names. */
  get clusters(): ReadonlyMap<string, ReadonlySet<string>> {
    return this.#clusters;
  }

  /** Broker name → addresses. */
  get brokers(): ReadonlyMap<string, BrokerData> {
    return this.#brokers;
  }

  /** Addresses that are alive. */
  get size(): number {
    return this.#live.size;
  }

  live(clusterName: string, brokerAddr: string): BrokerLive | undefined {
    return this.#live.get(clusterName, brokerAddr);
  }

  isLocal(clusterName: string, brokerAddr: string): boolean {
    const live = this.#live.get(clusterName, brokerAddr);
    return live !== undefined && live.connection === undefined;
  }

  /** The broker of this process with that name. */
  localOf(brokerName: string): BrokerLive | undefined {
    const broker = this.#brokers.get(brokerName);
    for (const address of broker?.brokerAddrs.values() ?? []) {
      const live = this.#live.get(broker?.cluster ?? '', address);
      if (live !== undefined && live.connection === undefined) return live;
    }
    return undefined;
  }

  /** Notes a sign of life. */
  touch(clusterName: string, brokerAddr: string): void {
    this.#live.touch(clusterName, brokerAddr);
  }

  /** Why a broker elsewhere cannot register as it wants to, over this connection; undefined when it can. */
  refusal(registration: BrokerRegistration, connection: RemotingConnection): string | undefined {
    return (
      this.#takenByLocal(registration) ??
      this.#inOtherCluster(registration) ??
      this.#takenByLive(registration, connection) ??
      this.#noRoom(registration)
    );
  }

  /** Whether the known broker of this name and id is another one, and farther (RocketMQ stateVersion). */
  isStale({ clusterName, brokerName, brokerId, brokerAddr, topicConfig }: BrokerRegistration): boolean {
    const previousAddr = this.#brokers.get(brokerName)?.brokerAddrs.get(brokerId);
    if (previousAddr === undefined || previousAddr === brokerAddr) return false;
    const previous = this.#live.get(clusterName, previousAddr);
    if (previous === undefined || previous.dataVersion.stateVersion <= topicConfig.dataVersion.stateVersion) {
      return false;
    }
    this.#logger.warn(
      { clusterName, brokerName, brokerId, brokerAddr, previousAddr },
      `registration of ${brokerAddr} as ${brokerName}:${brokerId} ignored: ${previousAddr} has a higher state version`,
    );
    // What it was before is not true any more either.
    this.forget(clusterName, brokerName, brokerAddr);
    return true;
  }

  /** Makes the registration's name, id and address known; whatever stood in their place is gone. */
  put(registration: BrokerRegistration): BrokerData {
    const { clusterName, brokerName, brokerId, brokerAddr } = registration;
    this.#makeWay(registration);
    const broker: BrokerData = {
      cluster: clusterName,
      brokerName,
      brokerAddrs: new Map(this.#brokers.get(brokerName)?.brokerAddrs).set(brokerId, brokerAddr),
      enableActingMaster: registration.enableActingMaster ?? false,
      zoneName: registration.zoneName,
    };
    this.#brokers.set(brokerName, broker);
    const names = this.#clusters.get(clusterName);
    if (names === undefined) this.#clusters.set(clusterName, new Set([brokerName]));
    else names.add(brokerName);
    return broker;
  }

  /** Notes that the broker registered, over a connection or (undefined) in this process, and what was left out of it. */
  putLive(
    registration: BrokerRegistration,
    connection: RemotingConnection | undefined,
    leftOut: string | undefined,
  ): void {
    const { clusterName, brokerName, brokerId, brokerAddr, haServerAddr } = registration;
    const before = this.#live.get(clusterName, brokerAddr);
    if (before === undefined) {
      this.#logger.info(
        { clusterName, brokerName, brokerId, brokerAddr, haServerAddr },
        `broker ${brokerName}:${brokerId} of ${clusterName} registered at ${brokerAddr}`,
      );
    }
    // It comes again each 30 s.
    if (leftOut !== undefined && leftOut !== before?.leftOut) {
      this.#logger.warn({ clusterName, brokerName, brokerAddr }, `registration of ${brokerName}: ${leftOut}`);
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
      leftOut,
      refusedAddr: before?.refusedAddr,
      onTopicLost: registration.onTopicLost,
    });
  }

  /** Forgets one address of a name; nothing happens when it is not known. */
  forget(clusterName: string, brokerName: string, brokerAddr: string): void {
    const live = this.#live.get(clusterName, brokerAddr);
    if (live?.brokerName === brokerName) this.#live.delete(clusterName, brokerAddr);
    const broker = this.#brokers.get(brokerName);
    if (broker === undefined || broker.cluster !== clusterName) return;
    let isGone = false;
    for (const [id, address] of broker.brokerAddrs) if (address === brokerAddr) isGone = broker.brokerAddrs.delete(id);
    if (!isGone) return;
    if (broker.brokerAddrs.size > 0) {
      this.#options.onAddressGone(broker);
      return;
    }
    this.#brokers.delete(brokerName);
    const names = this.#clusters.get(clusterName);
    names?.delete(brokerName);
    if (names?.size === 0) this.#clusters.delete(clusterName);
    this.#options.onNameGone(brokerName);
    this.#logger.info({ clusterName, brokerName, brokerAddr }, `broker ${brokerName} at ${brokerAddr} is gone`);
  }

  /** Forgets the brokers that registered on a connection that is closed now. */
  connectionClosed(connection: RemotingConnection): void {
    for (const live of this.#live.onConnection(connection)) {
      this.forget(live.clusterName, live.brokerName, live.brokerAddr);
    }
  }

  /** Stops looking for silent brokers and forgets which are alive. */
  close(): void {
    this.#live.close();
  }

  #takenByLocal({ clusterName, brokerName, brokerId, brokerAddr }: BrokerRegistration): string | undefined {
    const here = 'the broker in the process of this nameserver';
    const known = this.#brokers.get(brokerName);
    for (const [id, address] of known?.brokerAddrs ?? []) {
      if (!this.isLocal(known?.cluster ?? '', address)) continue;
      if (id === brokerId) return `${here} is ${brokerName}:${id} at ${address}; give this one another brokerName`;
    }
    if (!this.isLocal(clusterName, brokerAddr)) return undefined;
    return `${here} has the address ${brokerAddr}; give this one a brokerIP1 that others reach it by`;
  }

  /**
   * Another broker has this name and id and is alive. RocketMQ lets the last one that registers have them, and then clients
   * are sent to the one and the other in turn. One that a controller has made the master has a higher state version, and takes
   * the place; so does one whose registrations come over the same connection, which has changed its address.
   */
  #takenByLive(
    { clusterName, brokerName, brokerId, brokerAddr, topicConfig }: BrokerRegistration,
    connection: RemotingConnection,
  ): string | undefined {
    const address = this.#brokers.get(brokerName)?.brokerAddrs.get(brokerId);
    if (address === undefined || address === brokerAddr) return undefined;
    const live = this.#live.get(clusterName, address);
    if (live === undefined || live.connection === connection || !this.#live.isHeard(live)) return undefined;
    if (live.dataVersion.stateVersion !== topicConfig.dataVersion.stateVersion) return undefined;
    const refused = `the broker name ${brokerName}:${brokerId} is taken by the broker at ${address}, which is alive`;
    this.#noteRefused(live, brokerAddr, `registration of ${brokerAddr} refused: ${refused}`);
    return `${refused}; give this one another brokerName`;
  }

  /** It comes again each 30 s. */
  #noteRefused(live: BrokerLive, brokerAddr: string, line: string): void {
    if (live.refusedAddr === brokerAddr) return;
    live.refusedAddr = brokerAddr;
    const refusedBefore = this.#refusals.admit();
    if (refusedBefore === undefined) return;
    const { clusterName, brokerName, brokerId, brokerAddr: address } = live;
    this.#logger.warn({ clusterName, brokerName, brokerId, address, brokerAddr, refusedBefore }, line);
  }

  /** A name is in one cluster; a broker that is alone there takes its name along when it moves. */
  #inOtherCluster({ clusterName, brokerName, brokerAddr }: BrokerRegistration): string | undefined {
    const known = this.#brokers.get(brokerName);
    if (known === undefined || known.cluster === clusterName) return undefined;
    for (const address of known.brokerAddrs.values()) {
      if (address !== brokerAddr || this.isLocal(known.cluster, address)) {
        return `the broker name ${brokerName} is in the cluster ${known.cluster}, at ${address}`;
      }
    }
    return undefined;
  }

  #noRoom({ clusterName, brokerAddr }: BrokerRegistration): string | undefined {
    if (this.#live.size < BROKERS_MAX || this.#live.get(clusterName, brokerAddr) !== undefined) return undefined;
    return `${this.#live.size} brokers are registered, and no more are taken`;
  }

  /** Takes away what this address was before (another id, another name), and who had this name and id before. */
  #makeWay({ clusterName, brokerName, brokerId, brokerAddr }: BrokerRegistration): void {
    const before = this.#live.get(clusterName, brokerAddr);
    if (before !== undefined && before.brokerName !== brokerName) {
      this.forget(clusterName, before.brokerName, brokerAddr);
    }
    const known = this.#brokers.get(brokerName);
    if (known === undefined) return;
    for (const [id, address] of [...known.brokerAddrs]) {
      if (known.cluster !== clusterName) this.forget(known.cluster, brokerName, address);
      else if (address === brokerAddr && id !== brokerId) known.brokerAddrs.delete(id);
      else if (address !== brokerAddr && id === brokerId) this.#live.delete(clusterName, address);
    }
  }

  #expire(live: BrokerLive): void {
    this.#logger.warn(
      { brokerName: live.brokerName, brokerAddr: live.brokerAddr, heartbeatTimeoutMs: live.heartbeatTimeoutMs },
      `broker ${live.brokerName} at ${live.brokerAddr} was silent for more than ${live.heartbeatTimeoutMs} ms`,
    );
    live.connection?.destroy(`silent for more than ${live.heartbeatTimeoutMs} ms`);
    this.forget(live.clusterName, live.brokerName, live.brokerAddr);
  }
}
