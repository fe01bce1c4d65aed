/** A running broker that clients can be pointed at, of either kind. */
export interface BrokerPeer {
  readonly kind: 'apache' | 'vernier';
  /** host:port */
  readonly namesrvAddr: string;
  /** host:port */
  readonly brokerAddr: string;
  /** host:port for clients of gRPC; empty without a proxy. */
  readonly proxyAddr: string;
  /** storePathRootDir */
  readonly storeDir: string;
  /** Process id of the broker, the one to measure or to signal; changes with startBroker(). */
  readonly pid: number;
  readonly exited: boolean;
  /** What the broker has logged; of a long log the end. */
  log(): string;
  /** Ends the broker in an orderly way; its store and its ports are kept for startBroker(). */
  stopBroker(): Promise<void>;
  /** Ends the broker by SIGKILL. */
  killBroker(): Promise<void>;
  /** Starts it again on the same store and the same ports; resolves when it is routable. */
  startBroker(): Promise<void>;
  /** Ends everything that belongs to this peer and removes its temporary files. */
  stop(): Promise<void>;
}
