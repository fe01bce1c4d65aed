import type { Socket } from 'node:net';
import { ServerCredentials } from '@grpc/grpc-js';
import { type ServerIdentity, SourceLog, TlsDoor } from '@vernier/remoting';
import { AnswerRoom } from './answer-room.ts';
import type { Backend } from './backend/backend.ts';
import { createProxyContext } from './create-context.ts';
import type { ProxyLimits } from './limits.ts';
import type { Listener } from './net/listener.ts';
import { ProxyServer } from './server.ts';

export interface ServingOptions {
  readonly broker: Backend;
  readonly limits: ProxyLimits;
  readonly address: string;
  readonly listener: Listener;
  readonly tls: ServerIdentity;
}

/** Opens the port of a proxy. Everything that only gRPC needs is loaded with this. */
export async function startServing({ broker, limits, address, listener, tls }: ServingOptions) {
  const room = new AnswerRoom(limits.answerBytesMax);
  const disconnect = (peer: string): void => listener.disconnect(peer);
  const proxy = createProxyContext({ broker, limits, address, room, disconnect });
  await proxy.state?.load();
  const server = new ProxyServer(proxy);
  // Of a connection by TLS it gets what has been decrypted.
  const connections = server.grpc.createConnectionInjector(ServerCredentials.createInsecure());
  const door = new TlsDoor(tls, { alpn: ['h2'], clock: broker.clock });
  const log = new SourceLog(broker.logger, broker.clock);
  const refuse = (socket: Socket, reason: string): void => {
    const { remoteAddress = '', remotePort } = socket;
    const text = `proxy: closing the connection of ${remoteAddress}:${remotePort}: ${reason}`;
    log.warn(remoteAddress, { remoteAddress, remotePort }, text);
    socket.destroy();
  };
  listener.open({
    plain(socket) {
      if (tls.mode === 'enforcing')
        refuse(socket, 'it does not begin with TLS, which tls.server.mode=enforcing asks for');
      else connections.injectConnection(socket);
    },
    tls(socket) {
      if (tls.mode === 'disabled') return refuse(socket, 'it wants TLS, which is off here (tls.server.mode=disabled)');
      door.accept(socket, {
        secured(stream) {
          // The library looks at it only once it is a session.
          stream.on('error', () => {});
          connections.injectConnection(stream);
        },
        failed: (reason) => refuse(socket, `TLS: ${reason}`),
      });
    },
  });
  const report = (): Record<string, string> => ({
    proxyAddress: address,
    proxyConnections: String(listener.connectionCount),
    proxyHandshakes: String(door.pending),
    proxyTlsBytes: String(door.usedBytes),
    proxyClients: String(proxy.clients.count),
    proxyClientBytes: String(proxy.clients.usedBytes),
    proxyCalls: String(server.callCount),
    proxyAnswerBytes: String(room.usedBytes),
    proxyAnswersWaiting: String(room.waitingCount),
    proxyRenewals: String(proxy.renewals.count),
    proxyReceiptBytes: String(proxy.renewals.usedBytes + proxy.halves.usedBytes),
    ...server.metrics.runtimeInfo(),
  });
  broker.reports.add(report);
  broker.tlsPorts.set('grpc', () => door.counts);
  return {
    proxy,
    drain: (graceMs: number): void => connections.drain(graceMs),
    stop: async (): Promise<void> => {
      broker.reports.delete(report);
      broker.tlsPorts.delete('grpc');
      door.close();
      await server.stop();
      await proxy.state?.close();
      proxy.renewals.stop();
      proxy.clients.stop();
    },
  };
}
