import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { formatAddress, hostBytes, hostHex, type RemotingConnection } from '@vernier/remoting';
import type { StoreHost } from '@vernier/store';

/** The address bytes of an IP literal; loopback's for a name, which records cannot hold. */
const addressBytes = (host: string): Uint8Array => (isIP(host) === 0 ? Uint8Array.of(127, 0, 0, 1) : hostBytes(host));

const anyAddresses: ReadonlySet<string> = new Set(['', '0.0.0.0', '::', '*']);

/** The first address of this machine that others can reach; loopback when it has none. */
export function firstExternalAddress(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const address of addresses ?? []) if (!address.internal && address.family === 'IPv4') return address.address;
  }
  return '127.0.0.1';
}

/**
 * Which address the broker goes by: records and message ids carry one that stays the same over restarts (RocketMQ
 * storeHost), registrations the one it listens on now. Routes answered in this process carry the one the asking client
 * can reach, which is the nameserver's doing (ResolveBrokerAddress).
 */
export class BrokerHosts {
  /** Host of message ids and of registrations with nameservers elsewhere. */
  readonly host: string;
  /** The port listened on. */
  readonly port: number;
  readonly storeHost: StoreHost;
  /** First part of every offset message id. */
  readonly messageIdPrefix: string;
  readonly #bornHosts = new WeakMap<RemotingConnection, StoreHost>();

  constructor(options: {
    /** brokerIP1, or empty. */
    configuredHost: string;
    /** The address listened on. */
    bindAddress: string;
    /** The port listened on. */
    port: number;
    /** The port that message ids carry: the configured or remembered one. */
    storePort: number;
  }) {
    const { configuredHost, bindAddress, port, storePort } = options;
    this.host = configuredHost || (anyAddresses.has(bindAddress) ? firstExternalAddress() : bindAddress);
    this.port = port;
    this.storeHost = { address: addressBytes(this.host), port: storePort };
    this.messageIdPrefix = hostHex(this.storeHost.address, storePort);
  }

  /** `host:port` for registrations with nameservers elsewhere. */
  get address(): string {
    return formatAddress(this.host, this.port);
  }

  /** Where replication will listen; registrations name it. */
  get haAddress(): string {
    return formatAddress(this.host, this.port + 1);
  }

  /** The peer's address as records store it, one object a connection. */
  bornHost(connection: RemotingConnection): StoreHost {
    let host = this.#bornHosts.get(connection);
    if (host === undefined) {
      host = { address: addressBytes(connection.remoteHost), port: connection.remotePort };
      this.#bornHosts.set(connection, host);
    }
    return host;
  }
}
