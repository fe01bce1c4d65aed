import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect as connectPlain, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { Authority, type IssueOptions, writeIssued } from '../../../../test/support/certificates.ts';
import { cleanUp, temporaryFolder } from '../../../../test/support/clean-up.ts';
import { RemotingClient } from '../../src/net/client.ts';
import { RemotingServer } from '../../src/net/server.ts';
import type { RemotingServerOptions } from '../../src/net/types.ts';
import { createResponse } from '../../src/protocol/remoting-command.ts';
import type { TlsClientOptions } from '../../src/tls/client-identity.ts';
import { ServerIdentity, type ServerIdentityOptions } from '../../src/tls/server-identity.ts';
import { RecordingLogger } from './recording-logger.ts';

export const ECHO = 1;

/** An authority, and a folder with a certificate of it for this machine. */
export class Papers {
  readonly folder: string;
  readonly authority: Authority;
  readonly trustCertPath: string;

  private constructor(folder: string, authority: Authority) {
    this.folder = folder;
    this.authority = authority;
    this.trustCertPath = join(folder, 'authority.pem');
    writeFileSync(this.trustCertPath, authority.certificate);
  }

  static async create(t: TestContext): Promise<Papers> {
    return new Papers(await temporaryFolder(t, 'tls'), await Authority.create());
  }

  /** Issued and written. */
  async issue(name: string, options: IssueOptions = {}): Promise<{ certPath: string; keyPath: string }> {
    return writeIssued(this.folder, name, await this.authority.issue(name, options));
  }
}

export interface TlsFixture {
  server: RemotingServer;
  identity: ServerIdentity;
  port: number;
  address: string;
  logger: RecordingLogger;
}

/** Whether something comes about within so many turns of the event loop: what never does is to fail a test, and not hang it. */
export async function soon(look: () => boolean, turns = 5_000): Promise<boolean> {
  for (let turn = 0; turn < turns && !look(); turn++) await new Promise((resolve) => setImmediate(resolve));
  return look();
}

/** A server that answers ECHO, by TLS as `identity` says. */
export async function serveTls(
  t: TestContext,
  identityOptions: ServerIdentityOptions,
  options: RemotingServerOptions = {},
): Promise<TlsFixture> {
  const logger = new RecordingLogger();
  const identity = new ServerIdentity({ logger, ...identityOptions });
  await identity.open();
  const server = new RemotingServer({ logger, tls: identity, ...options });
  server.registerProcessor(ECHO, (request) => createResponse(request, 0, undefined, request.extFields, request.body));
  const { port } = await server.listen({ port: 0 });
  cleanUp(t, async () => {
    identity.close();
    await server.shutdown(0);
  });
  return { server, identity, port, address: `127.0.0.1:${port}`, logger };
}

export function clientOf(t: TestContext, tls?: TlsClientOptions): RemotingClient {
  const client = new RemotingClient({ tls });
  cleanUp(t, () => client.close());
  return client;
}

/** A bare TCP connection, whose fate does not matter. */
export async function connectRaw(t: TestContext, port: number): Promise<Socket> {
  const socket = connectPlain({ host: '127.0.0.1', port, noDelay: true });
  socket.on('error', () => {});
  await once(socket, 'connect');
  cleanUp(t, () => socket.destroy());
  return socket;
}

/** A bare TLS connection that believes anybody; rejects when the handshake fails. */
export async function connectTls(t: TestContext, port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options });
  cleanUp(t, () => socket.destroy());
  await once(socket, 'secureConnect');
  socket.on('error', () => {});
  return socket;
}

/** Passes on, to and from `port`, a byte at a time until so many have gone to the server. Resolves with its own port. */
export async function drip(t: TestContext, port: number, bytes: number): Promise<number> {
  const sockets: Socket[] = [];
  const server = createServer({ noDelay: true }, (near) => {
    const far = connectPlain({ host: '127.0.0.1', port, noDelay: true });
    sockets.push(near, far);
    for (const socket of [near, far]) socket.on('error', () => {});
    let left = bytes;
    let passed = Promise.resolve();
    const pass = async (chunk: Buffer): Promise<void> => {
      for (; left > 0 && chunk.length > 0; left--) {
        await new Promise((resolve) => far.write(chunk.subarray(0, 1), resolve));
        await new Promise((resolve) => setImmediate(resolve));
        chunk = chunk.subarray(1);
      }
      far.write(chunk);
    };
    near.on('data', (chunk: Buffer) => {
      passed = passed.then(() => pass(chunk));
    });
    far.pipe(near);
    near.on('close', () => far.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp(t, () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as { port: number }).port;
}
