import type { BrokerContext } from '@vernier/broker/internal';
import { formatAddress, ServerIdentity } from '@vernier/remoting';
import { type StoreLogger, silentLogger } from '@vernier/store';
import type { Backend } from './backend/backend.ts';
import type { RemoteBackend, RemoteBackendOptions } from './backend/remote/remote.ts';
import { defaultLimits, PING_ANSWER_MS, type ProxyLimits } from './limits.ts';
import { Listener } from './net/listener.ts';

export interface ProxyOptions {
  /** Address to listen on; default 127.0.0.1. */
  readonly host?: string;
  /** 0: any. Default 8081, RocketMQ's. */
  readonly port?: number;
  /** Default: a certificate of its own, made at the first connection that wants TLS and forgotten at the stop. */
  readonly tls?: ServerIdentity | undefined;
  readonly limits?: Partial<ProxyLimits>;
  readonly logger?: StoreLogger;
}

export const DEFAULT_PROXY_PORT = 8081;

interface Serving {
  /** Connections are told to end. */
  drain(graceMs: number): void;
  stop(): Promise<void>;
}

/**
 * RocketMQ's gRPC protocol on a broker of this process, or in front of others.
 *
 * listen: the port is taken, and clients that connect wait. serve, serveRemote: they are answered. stop, before the broker's: calls under
 * way end, calls that wait for messages are told that there is none, then connections are closed.
 */
export class GrpcProxy {
  readonly #limits: ProxyLimits;
  readonly #host: string;
  readonly #port: number;
  readonly #listener: Listener;
  readonly #tls: ServerIdentity;
  #address: string | undefined;
  #serving: Promise<Serving> | undefined;
  #remote: RemoteBackend | undefined;

  constructor(options: ProxyOptions = {}) {
    const { host = '127.0.0.1', port = DEFAULT_PROXY_PORT, limits, logger = silentLogger } = options;
    this.#tls = options.tls ?? new ServerIdentity({ logger });
    this.#limits = { ...defaultLimits, ...limits };
    this.#host = host;
    this.#port = port;
    const { connectionsMax, firstByteMs, pingMs } = this.#limits;
    const silentMs = 2 * pingMs + PING_ANSWER_MS;
    this.#listener = new Listener({ connectionsMax, firstByteMs, silentMs, logger });
  }

  /** `host:port`; undefined before `listen`. */
  get address(): string | undefined {
    return this.#address;
  }

  /** Connections of clients now. */
  get connectionCount(): number {
    return this.#listener.connectionCount;
  }

  /**
   * Resolves with the address. Rejects REMOTING_PORT_IN_USE, REMOTING_PORT_FORBIDDEN, REMOTING_ADDRESS_UNAVAILABLE or
   * REMOTING_LISTEN_FAILED.
   */
  async listen(): Promise<string> {
    const port = await this.#listener.listen(this.#host, this.#port);
    this.#address = formatAddress(this.#host, port);
    return this.#address;
  }

  /** Loads what serves the protocol, and serves. The broker has to be started. */
  async serve(broker: BrokerContext): Promise<void> {
    this.#serving ??= this.#serve(async () => new (await import('./backend/local.ts')).LocalBackend(broker));
    await this.#serving;
  }

  /**
   * The same in front of the brokers behind nameservers. They need not be there yet: calls are answered with errors until they
   * are. Rejects REMOTING_ADDRESS_INVALID.
   */
  async serveRemote(options: RemoteBackendOptions): Promise<void> {
    this.#serving ??= this.#serve(async () => {
      const { RemoteBackend: Made } = await import('./backend/remote/remote.ts');
      this.#remote = new Made({ popsMax: this.#limits.callsMax, ...options });
      return this.#remote;
    });
    await this.#serving;
  }

  /**
   * Resolves when no call is under way and every connection is closed; in front of brokers elsewhere also when what was found
   * for nobody is given back. All of it takes little more than `stopMs`, whatever others do.
   */
  async stop(): Promise<void> {
    const endsAt = performance.now() + this.#limits.stopMs;
    const closed = this.#listener.stopListening();
    const serving = await this.#serving?.catch(() => undefined);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#limits.stopMs);
    });
    const ended = async (): Promise<void> => {
      await serving?.stop();
      // Connections close when their last answer is written.
      serving?.drain(this.#limits.stopMs);
      await closed;
    };
    await Promise.race([ended(), late]);
    clearTimeout(timer);
    this.#listener.destroy();
    await this.#remote?.close(Math.max(0, endsAt - performance.now()));
  }

  async #serve(backend: () => Promise<Backend>): Promise<Serving> {
    const [{ startServing }, broker] = await Promise.all([import('./serving.ts'), backend()]);
    return startServing({
      broker,
      limits: this.#limits,
      address: this.#address ?? formatAddress(this.#host, this.#port),
      listener: this.#listener,
      tls: this.#tls,
    });
  }
}
