import { isIP, type TcpNetConnectOpts } from 'node:net';
import { type ConnectionOptions, checkServerIdentity, connect, type TLSSocket } from 'node:tls';
import { readPair, readTrust } from './checked-files.ts';
import type { TlsClientOptions } from './client-identity.ts';

/** Reads the files as they are now. Resolves with what begins a connection. Rejects REMOTING_TLS_INVALID. */
export async function secureConnect(options: TlsClientOptions): Promise<(target: TcpNetConnectOpts) => TLSSocket> {
  const { trust = 'host', serverName } = options;
  const files = await readFiles(options);
  return (target) => {
    const host = target.host ?? 'localhost';
    const name = serverName ?? host;
    return connect({
      ...target,
      ...files,
      host,
      minVersion: 'TLSv1.2',
      rejectUnauthorized: trust !== 'any',
      // An address is no name that a server chooses its certificate by.
      ...(isIP(name) === 0 ? { servername: name } : {}),
      checkServerIdentity: (_, certificate) => (trust === 'host' ? checkServerIdentity(name, certificate) : undefined),
    });
  };
}

async function readFiles(
  options: TlsClientOptions,
): Promise<Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'passphrase'>> {
  const { trustCertPath } = options;
  const trusted = trustCertPath === undefined ? {} : { ca: await readTrust(trustCertPath) };
  const pair = await readPair(options);
  if (pair === undefined) return trusted;
  const { certificate: cert, key, passphrase } = pair;
  return { ...trusted, cert, key, ...(passphrase === undefined ? {} : { passphrase }) };
}
