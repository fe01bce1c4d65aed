import { RemotingError } from '../errors.ts';
import { shortened } from '../shortened.ts';

export interface SocketAddress {
  host: string;
  port: number;
}

/** `host:port`, IPv6 hosts in brackets. */
export function formatAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** An IPv4 address that a dual-stack socket shows as `::ffff:a.b.c.d` in its plain form; others as they are. */
export function plainHost(host: string): string {
  return host.startsWith('::ffff:') && host.includes('.') ? host.slice(7) : host;
}

/** Takes `host:port` or `[v6]:port` apart. Throws REMOTING_ADDRESS_INVALID. */
export function parseAddress(address: string): SocketAddress {
  const colon = address.lastIndexOf(':');
  let host = address.slice(0, Math.max(colon, 0));
  if (host.startsWith('[') && host.endsWith(']')) host = host.slice(1, -1);
  const digits = address.slice(colon + 1);
  const port = /^\d{1,5}$/.test(digits) ? Number(digits) : 0;
  if (host === '' || port < 1 || port > 65535) {
    const shown = shortened(address);
    throw new RemotingError('REMOTING_ADDRESS_INVALID', `'${shown}' is not HOST:PORT`, { address: shown });
  }
  return { host, port };
}
