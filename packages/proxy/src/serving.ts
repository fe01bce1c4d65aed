import { ServerCredentials } from '@grpc/grpc-js';
import type { BrokerContext } from '@vernier/broker/internal';
import { AnswerRoom } from './answer-room.ts';
import { createProxyContext } from './create-context.ts';
import type { ProxyLimits } from './limits.ts';
import type { Listener } from './net/listener.ts';
import { ProxyServer } from './server.ts';

export interface ServingOptions {
  readonly broker: BrokerContext;
  readonly limits: ProxyLimits;
  readonly address: string;
  readonly listener: Listener;
}

/** Opens the port of a proxy. Everything that only gRPC needs is loaded with this. */
export function startServing({ broker, limits, address, listener }: ServingOptions) {
  const room = new AnswerRoom(limits.answerBytesMax);
  const disconnect = (peer: string): void => listener.disconnect(peer);
  const proxy = createProxyContext({ broker, limits, address, room, disconnect });
  const server = new ProxyServer(proxy);
  const plain = server.grpc.createConnectionInjector(ServerCredentials.createInsecure());
  listener.open({ plain: (socket) => plain.injectConnection(socket), tls: undefined });
  return {
    proxy,
    drain: (graceMs: number): void => plain.drain(graceMs),
    stop: async (): Promise<void> => {
      await server.stop();
      proxy.renewals.stop();
      proxy.clients.stop();
    },
  };
}
