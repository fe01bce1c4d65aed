import { existsSync, readFileSync } from 'node:fs';
import { formatAddress, parseAddress, type RemotingConnection } from '@vernier/remoting';
import type { ResolveBrokerAddress } from './route-info-manager.ts';

export interface ReachableAddressOptions {
  /** Address of the container's gateway; found out when not given, undefined outside containers. */
  containerGateway?: string | undefined;
}

/**
 * Under which address a client can reach a broker of this process: the local address of the socket on which it asked,
 * because it got through there. A client that asks through the container's gateway
 * sits on the container's host and reached a published port, so it gets loopback: the host publishes ports there, and
 * the container's own address need not be routed from it.
 */
export function reachableAddress(options: ReachableAddressOptions = {}): ResolveBrokerAddress {
  const gateway = 'containerGateway' in options ? options.containerGateway : containerGateway();
  return (brokerAddr: string, connection: RemotingConnection): string => {
    const { port } = parseAddress(brokerAddr);
    if (gateway !== undefined && connection.remoteHost === gateway) return formatAddress('127.0.0.1', port);
    return formatAddress(connection.localHost, port);
  };
}

/** Default gateway when this process runs in a container; undefined elsewhere. */
export function containerGateway(): string | undefined {
  if (!existsSync('/.dockerenv') && !existsSync('/run/.containerenv')) return undefined;
  try {
    return defaultGateway(readFileSync('/proc/net/route', 'utf8'));
  } catch {
    return undefined;
  }
}

/**
 * Gateway of the default route in the text of /proc/net/route (columns: interface, destination, gateway, …; addresses as
 * hex of the 32-bit number in the machine's byte order, which is little-endian wherever Node runs).
 */
export function defaultGateway(table: string): string | undefined {
  for (const line of table.split('\n').slice(1)) {
    const [, destination, gateway = ''] = line.trim().split(/\s+/);
    if (destination !== '00000000' || !/^[0-9A-F]{8}$/i.test(gateway) || gateway === '00000000') continue;
    return [...Buffer.from(gateway, 'hex')].reverse().join('.');
  }
  return undefined;
}
