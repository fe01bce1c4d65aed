import type { Clock, DataVersion, RemotingConnection, TimerHandle } from '@vernier/remoting';

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
  /** Monotonic milliseconds of the last sign of life. */
  lastSeen: number;
}

/**
 * The brokers that are alive, by cluster and address (RocketMQ RouteInfoManager.brokerLiveTable). It looks for silent
 * ones every `scanIntervalMs`, and only while there are brokers that can fall silent.
 */
export class BrokerLiveTable {
  readonly #clock: Clock;
  readonly #scanIntervalMs: number;
  readonly #onExpired: (live: BrokerLive) => void;
  readonly #table = new Map<string, BrokerLive>();
  #remoteCount = 0;
  #timer: TimerHandle | undefined;

  constructor(clock: Clock, scanIntervalMs: number, onExpired: (live: BrokerLive) => void) {
    this.#clock = clock;
    this.#scanIntervalMs = scanIntervalMs;
    this.#onExpired = onExpired;
  }

  get(clusterName: string, brokerAddr: string): BrokerLive | undefined {
    return this.#table.get(key(clusterName, brokerAddr));
  }

  put(live: Omit<BrokerLive, 'lastSeen'>): void {
    this.delete(live.clusterName, live.brokerAddr);
    this.#table.set(key(live.clusterName, live.brokerAddr), { ...live, lastSeen: this.#clock.monotonic() });
    if (live.connection !== undefined) this.#remoteCount++;
    this.#update();
  }

  delete(clusterName: string, brokerAddr: string): BrokerLive | undefined {
    const live = this.get(clusterName, brokerAddr);
    if (live === undefined) return undefined;
    this.#table.delete(key(clusterName, brokerAddr));
    if (live.connection !== undefined) this.#remoteCount--;
    this.#update();
    return live;
  }

  /** Notes a sign of life. */
  touch(clusterName: string, brokerAddr: string): void {
    const live = this.get(clusterName, brokerAddr);
    if (live !== undefined) live.lastSeen = this.#clock.monotonic();
  }

  /** Brokers that registered on a connection. */
  onConnection(connection: RemotingConnection): BrokerLive[] {
    return [...this.#table.values()].filter((live) => live.connection === connection);
  }

  close(): void {
    this.#table.clear();
    this.#remoteCount = 0;
    this.#update();
  }

  #update(): void {
    const wanted = this.#remoteCount > 0;
    if (wanted === (this.#timer !== undefined)) return;
    if (wanted) {
      this.#timer = this.#clock.setTimer(() => this.#scan(), this.#scanIntervalMs);
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
