import { isIP, type TcpNetConnectOpts } from 'node:net';
import { type ConnectionOptions, checkServerIdentity, connect, type TLSSocket } from 'node:tls';
import { RemotingError } from '../errors.ts';
import { certificateOf, trustFault } from './certificate.ts';
import type { TlsClientOptions } from './client-identity.ts';
import { readPem } from './tls-files.ts';

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
  const { trustCertPath, certPath, keyPath, keyPassword } = options;
  const ca = trustCertPath === undefined ? undefined : await readPem(trustCertPath);
  const fault = ca === undefined ? undefined : trustFault(ca);
  if (fault !== undefined)
    throw new RemotingError('REMOTING_TLS_INVALID', `${trustCertPath}: ${fault}`, { trustCertPath });
  const trusted = ca === undefined ? {} : { ca };
  if (certPath === undefined && keyPath === undefined) return trusted;
  if (certPath === undefined || keyPath === undefined) {
    const text = 'a certificate and its key are given together';
    throw new RemotingError('REMOTING_TLS_INVALID', text, { certPath, keyPath });
  }
  const [certificate, key] = [await readPem(certPath), await readPem(keyPath)];
  try {
    certificateOf({ certificate, key, passphrase: keyPassword });
  } catch (error) {
    const text = `${certPath} with ${keyPath}: ${(error as Error).message}`;
    throw new RemotingError('REMOTING_TLS_INVALID', text, { certPath, keyPath }, error);
  }
  return { ...trusted, cert: certificate, key, ...(keyPassword === undefined ? {} : { passphrase: keyPassword }) };
}
