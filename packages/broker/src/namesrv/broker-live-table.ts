import type { Clock, DataVersion, RemotingConnection, TimerHandle } from '@vernier/remoting';

/** Brokers elsewhere that are known at once; each takes about a kilobyte in all tables. */
export const BROKERS_MAX = 10_000;

/** Silence after which a broker counts as gone that names no other, ms. */
export const HEARTBEAT_TIMEOUT_MS = 120_000;

/** A broker that registered (RocketMQ BrokerLiveInfo). */
export interface BrokerLive {
  readonly clusterName: string;
  readonly brokerName: string;
  readonly brokerId: number;
  readonly brokerAddr: string;
  readonly haServerAddr: string;
  readonly dataVersion: DataVersion;
  /** Undefined for a broker in this process: it does not expire, it unregisters. */
  readonly connection: RemotingConnection | undefined;
  /** Give the address out as it is registered, to every client. */
  readonly fixedAddress: boolean;
  /** Silence after which the broker counts as gone, ms. */
  readonly heartbeatTimeoutMs: number;
  /** What of its last registration was left out, as it was logged; undefined when nothing was. */
  readonly leftOut: string | undefined;
  /** Of a broker in this process: tells it that a topic of its was taken out of the routes. */
  readonly onTopicLost: (() => void) | undefined;
  /** Monotonic milliseconds of the last sign of life. */
  lastSeen: number;
  /** The address of another broker that wanted its name last, and was refused; undefined when none did. */
  refusedAddr?: string | undefined;
}

/**
 * The brokers that are alive, by cluster and address (RocketMQ RouteInfoManager.brokerLiveTable). It looks for silent
 * ones at intervals, and only while there are brokers that can fall silent.
 */
export class BrokerLiveTable {
  readonly #clock: Clock;
  /** Milliseconds between two looks, asked for at each. */
  readonly #scanIntervalMs: () => number;
  readonly #onExpired: (live: BrokerLive) => void;
  readonly #table = new Map<string, BrokerLive>();
  /** No connection without a broker. */
  readonly #byConnection = new Map<RemotingConnection, Set<BrokerLive>>();
  #timer: TimerHandle | undefined;

  constructor(clock: Clock, scanIntervalMs: () => number, onExpired: (live: BrokerLive) => void) {
    this.#clock = clock;
    this.#scanIntervalMs = scanIntervalMs;
    this.#onExpired = onExpired;
  }

  /** Brokers of all kinds. */
  get size(): number {
    return this.#table.size;
  }

  get(clusterName: string, brokerAddr: string): BrokerLive | undefined {
    return this.#table.get(key(clusterName, brokerAddr));
  }

  put(broker: Omit<BrokerLive, 'lastSeen'>): void {
    this.delete(broker.clusterName, broker.brokerAddr);
    const live = { ...broker, lastSeen: this.#clock.monotonic() };
    this.#table.set(key(live.clusterName, live.brokerAddr), live);
    if (live.connection !== undefined) {
      const others = this.#byConnection.get(live.connection);
      if (others === undefined) this.#byConnection.set(live.connection, new Set([live]));
      else others.add(live);
    }
    this.#update();
  }

  delete(clusterName: string, brokerAddr: string): BrokerLive | undefined {
    const live = this.get(clusterName, brokerAddr);
    if (live === undefined) return undefined;
    this.#table.delete(key(clusterName, brokerAddr));
    if (live.connection !== undefined) {
      const others = this.#byConnection.get(live.connection);
      others?.delete(live);
      if (others?.size === 0) this.#byConnection.delete(live.connection);
    }
    this.#update();
    return live;
  }

  /**
   * It is connected, and was not silent for longer than it said, or the table has for all: its machine may be gone. How often
   * it registers, nobody says (RocketMQ registerNameServerPeriod).
   */
  isHeard({ connection, lastSeen, heartbeatTimeoutMs }: BrokerLive): boolean {
    if (connection === undefined) return true;
    const silentMs = this.#clock.monotonic() - lastSeen;
    return !connection.closed && silentMs <= Math.max(HEARTBEAT_TIMEOUT_MS, heartbeatTimeoutMs);
  }

  /** Notes a sign of life. */
  touch(clusterName: string, brokerAddr: string): void {
    const live = this.get(clusterName, brokerAddr);
    if (live !== undefined) live.lastSeen = this.#clock.monotonic();
  }

  /** Brokers that registered on a connection. */
  onConnection(connection: RemotingConnection): BrokerLive[] {
    return [...(this.#byConnection.get(connection) ?? [])];
  }

  close(): void {
    this.#table.clear();
    this.#byConnection.clear();
    this.#update();
  }

  #update(): void {
    const wanted = this.#byConnection.size > 0;
    if (wanted === (this.#timer !== undefined)) return;
    if (wanted) {
      this.#timer = this.#clock.setTimer(() => this.#scan(), this.#scanIntervalMs());
    } else {
      this.#clock.clearTimer(this.#timer);
      this.#timer = undefined;
    }
  }

  #scan(): void {
    this.#timer = undefined;
    const now = this.#clock.monotonic();
    for (const live of [...this.#table.values()]) {
      if (live.connection !== undefined && live.lastSeen + live.heartbeatTimeoutMs < now) this.#onExpired(live);
    }
    this.#update();
  }
}

function key(clusterName: string, brokerAddr: string): string {
  return `${clusterName}\n${brokerAddr}`;
}
