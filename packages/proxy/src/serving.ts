import type { Socket } from 'node:net';
import { type ConnectionInjector, ServerCredentials } from '@grpc/grpc-js';
import type { BrokerContext } from '@vernier/broker/internal';
import { AnswerRoom } from './answer-room.ts';
import { createProxyContext } from './create-context.ts';
import type { ProxyLimits } from './limits.ts';
import { type KeyAndCertificate, ownCertificate } from './net/certificate.ts';
import type { Listener } from './net/listener.ts';
import { ProxyServer } from './server.ts';

/** One port is for plaintext and TLS. What of both is undefined: a certificate that is not kept. */
export interface TlsOptions {
  /** The certificate to show; else one is made. */
  readonly own?: KeyAndCertificate | undefined;
  /** Where a certificate that was made is kept. */
  readonly directory?: string | undefined;
}

export interface ServingOptions {
  readonly broker: BrokerContext;
  readonly limits: ProxyLimits;
  readonly address: string;
  readonly listener: Listener;
  readonly tls: TlsOptions;
}

/** Opens the port of a proxy. Everything that only gRPC needs is loaded with this. */
export async function startServing({ broker, limits, address, listener, tls }: ServingOptions) {
  const room = new AnswerRoom(limits.answerBytesMax);
  const disconnect = (peer: string): void => listener.disconnect(peer);
  const proxy = createProxyContext({ broker, limits, address, room, disconnect });
  await proxy.state.load();
  const server = new ProxyServer(proxy);
  const plain = server.grpc.createConnectionInjector(ServerCredentials.createInsecure());
  const encrypted = new LateInjector(server, () => certificateOf(tls, broker));
  listener.open({
    plain: (socket) => plain.injectConnection(socket),
    tls: (socket) => encrypted.inject(socket),
  });
  const report = (): Record<string, string> => ({
    proxyAddress: address,
    proxyConnections: String(listener.connectionCount),
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
  return {
    proxy,
    drain: (graceMs: number): void => {
      plain.drain(graceMs);
      encrypted.drain(graceMs);
    },
    stop: async (): Promise<void> => {
      broker.reports.delete(report);
      await server.stop();
      await proxy.state.close();
      proxy.renewals.stop();
      proxy.clients.stop();
    },
  };
}

async function certificateOf({ own, directory }: TlsOptions, broker: BrokerContext): Promise<KeyAndCertificate> {
  return own ?? ownCertificate(directory, broker.clock.now(), broker.logger);
}

/** Takes connections that want TLS. The certificate is there, or made, when the first one comes. */
class LateInjector {
  readonly #server: ProxyServer;
  readonly #certificate: () => Promise<KeyAndCertificate>;
  #injector: Promise<ConnectionInjector> | undefined;
  #made: ConnectionInjector | undefined;

  constructor(server: ProxyServer, certificate: () => Promise<KeyAndCertificate>) {
    this.#server = server;
    this.#certificate = certificate;
  }

  inject(socket: Socket): void {
    if (this.#made !== undefined) {
      this.#made.injectConnection(socket);
      return;
    }
    this.#injector ??= this.#make();
    this.#injector.then(
      (injector) => {
        if (!socket.destroyed) injector.injectConnection(socket);
      },
      () => socket.destroy(),
    );
  }

  drain(graceMs: number): void {
    this.#made?.drain(graceMs);
  }

  async #make(): Promise<ConnectionInjector> {
    try {
      const { key, certificate } = await this.#certificate();
      const pair = { private_key: Buffer.from(key), cert_chain: Buffer.from(certificate) };
      this.#made = this.#server.grpc.createConnectionInjector(ServerCredentials.createSsl(null, [pair]));
      return this.#made;
    } catch (error) {
      // The next one tries again.
      this.#injector = undefined;
      this.#server.failed(error, 'TLS');
      throw error;
    }
  }
}
