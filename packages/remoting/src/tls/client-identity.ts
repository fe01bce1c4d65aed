/** How a client connects by TLS, and which servers it believes. */
export interface TlsClientOptions {
  /**
   * What a server's certificate has to be, d=host. any: whatever it is (RocketMQ's default). chain: vouched for. host:
   * vouched for, and with the name or the address that was connected to.
   */
  trust?: 'any' | 'chain' | 'host';
  /** Certificates that vouch for servers, a file in PEM; without it those that node trusts. */
  trustCertPath?: string | undefined;
  /** The name that servers' certificates carry, instead of the host that was connected to. */
  serverName?: string | undefined;
  /** What the client shows a server that asks for it, files in PEM, both or none. */
  certPath?: string | undefined;
  keyPath?: string | undefined;
  /** Of an encrypted key. */
  keyPassword?: string | undefined;
}
