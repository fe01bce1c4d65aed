import { constants } from 'node:crypto';
import { createServer, type SecureContextOptions, type Server, type TLSSocket } from 'node:tls';
import type { ServerIdentity, TlsMaterial } from './server-identity.ts';

/** Node would end a handshake by itself; the door does, and sooner. It is the time without a byte there, no bound. */
const NEVER_MS = 0x7fff_ffff;

/** TLS 1.2 and 1.3, and no second handshake on a connection. */
function contextOptions({ key, certificate, passphrase, trust }: TlsMaterial): SecureContextOptions {
  return {
    key,
    cert: certificate,
    minVersion: 'TLSv1.2',
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    ...(passphrase === undefined ? {} : { passphrase }),
    ...(trust === undefined ? {} : { ca: trust }),
  };
}

/** Node's TLS server. It listens nowhere: sockets are given to it as `connection`. */
export interface SecureServer {
  readonly server: Server;
  /** Takes no renewed files any more. */
  close(): void;
}

/** `alpn`: protocols to agree on with clients that name some. Rejects REMOTING_TLS_INVALID. */
export async function secureServer(identity: ServerIdentity, alpn: readonly string[]): Promise<SecureServer> {
  const material = await identity.material();
  const server = createServer({
    ...contextOptions(material),
    requestCert: identity.clientAuth !== 'none',
    // Of a client that has none. One that is not vouched for is refused by clientFault.
    rejectUnauthorized: identity.clientAuth === 'require' && identity.verifiesClients,
    handshakeTimeout: NEVER_MS,
    ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
  });
  const close = identity.onRenewed((renewed) => server.setSecureContext(contextOptions(renewed)));
  return { server, close };
}

/** Why a client is not let in although the handshake has gone well; undefined when it is. */
export function clientFault(stream: TLSSocket, { clientAuth, verifiesClients }: ServerIdentity): string | undefined {
  if (clientAuth === 'none') return undefined;
  if (stream.getPeerX509Certificate() === undefined) {
    return clientAuth === 'require' ? 'it has shown no certificate' : undefined;
  }
  if (!verifiesClients || stream.authorized) return undefined;
  return `its certificate is not accepted: ${stream.authorizationError}`;
}

/** What OpenSSL or the system says of a handshake that failed, in one line. */
export function handshakeFault(error: Error & { reason?: unknown; code?: unknown }, stream: TLSSocket): string {
  // Set when a certificate was refused and the connection closed over it, which is all that the error knows.
  if (stream.authorizationError) return `its certificate is not accepted: ${stream.authorizationError}`;
  return String(error.reason ?? (error.code === 'ECONNRESET' ? 'closed by the peer' : error.message)).slice(0, 200);
}
