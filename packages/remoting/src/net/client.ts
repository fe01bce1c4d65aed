import { connect, type Socket } from 'node:net';
import { type Clock, systemClock } from '../clock.ts';
import { connectionFault } from '../error-text.ts';
import { RemotingError } from '../errors.ts';
import { PeerLog } from '../line-limit.ts';
import { type RemotingLogger, silentLogger } from '../logger.ts';
import { FrameEncoder } from '../protocol/frame-encoder.ts';
import type { RemotingCommand } from '../protocol/remoting-command.ts';
import { type Credentials, sign } from '../protocol/signature.ts';
import type { TlsClientOptions } from '../tls/client-identity.ts';
import { parseAddress } from './address.ts';
import { Connection, type ConnectionHost } from './connection.ts';
import { type Deadline, Deadlines } from './deadlines.ts';
import { IdleWatch } from './idle-watch.ts';
import { Budgets, defaultConnectionLimits, defaultServerLimits, limitsFrom } from './limits.ts';
import { ProcessorTable } from './processor-table.ts';
import type {
  ConnectionLimits,
  HandlerResult,
  RemotingClientOptions,
  RemotingConnection,
  RequestHandler,
} from './types.ts';

/**
 * Calls RocketMQ servers (RocketMQ NettyRemotingClient): one connection an address, made when first needed and again
 * when a call finds it gone; any number of calls in flight on it.
 */
export class RemotingClient implements ConnectionHost {
  readonly limits: ConnectionLimits;
  readonly budgets: Budgets;
  readonly servesPeers = false;
  readonly logger: RemotingLogger;
  readonly peerLog: PeerLog;
  readonly deadlines: Deadlines;
  readonly encoder = new FrameEncoder();
  readonly #processors: ProcessorTable;
  readonly #connectTimeoutMs: number;
  readonly #localHost: string | undefined;
  readonly #tls: TlsClientOptions | undefined;
  readonly #credentials: Credentials | undefined;
  readonly #connections = new Set<Connection>();
  readonly #byAddress = new Map<string, Connection>();
  readonly #connecting = new Map<string, Promise<Connection>>();
  readonly #idleWatch: IdleWatch;
  readonly #abandon = new Set<(error: RemotingError) => void>();
  #closed = false;
  #allClosed: (() => void) | undefined;

  constructor(options: RemotingClientOptions = {}) {
    // What a server answers is not for us to choose.
    this.limits = limitsFrom({ ...defaultConnectionLimits, headerBytesMax: 0xffffff }, options);
    this.budgets = new Budgets(defaultServerLimits());
    this.logger = options.logger ?? silentLogger;
    const clock: Clock = options.clock ?? systemClock;
    this.deadlines = new Deadlines(clock);
    this.peerLog = new PeerLog(this.logger, clock);
    this.#processors = new ProcessorTable(this.peerLog);
    this.#connectTimeoutMs = options.connectTimeoutMs ?? 3000;
    this.#localHost = options.localHost;
    this.#tls = options.tls;
    this.#credentials = options.credentials;
    this.#idleWatch = new IdleWatch(clock, options.idleTimeoutMs ?? 120_000, this.#connections);
  }

  /** Sets the handler of a request code that servers send to this client (NOTIFY_CONSUMER_IDS_CHANGED …). */
  registerProcessor(code: number, handler: RequestHandler): void {
    this.#processors.register(code, handler);
  }

  /**
   * Sends a request to `address` (`host:port`) and resolves with its response, whatever its code. The timeout covers
   * connecting too. Rejects with REMOTING_ADDRESS_INVALID, REMOTING_CONNECT_FAILED, REMOTING_CONNECTION_CLOSED,
   * REMOTING_TIMEOUT, REMOTING_TOO_MANY_REQUESTS, REMOTING_TLS_INVALID or REMOTING_CLOSED.
   */
  invoke(address: string, request: RemotingCommand, timeoutMs: number): Promise<RemotingCommand> {
    if (this.#credentials !== undefined) sign(request, this.#credentials);
    const connection = this.#byAddress.get(address);
    if (connection !== undefined) return connection.invoke(request, timeoutMs);
    return this.#connectAndInvoke(address, request, timeoutMs);
  }

  /** Sends a request without an answer. Resolves once it is queued on a live connection; delivery is not confirmed. */
  async invokeOneway(address: string, request: RemotingCommand): Promise<void> {
    if (this.#credentials !== undefined) sign(request, this.#credentials);
    const connection = this.#byAddress.get(address) ?? (await this.#connect(address, this.#connectTimeoutMs));
    if (!connection.invokeOneway(request)) {
      throw new RemotingError('REMOTING_CONNECTION_CLOSED', `connection to ${address} is closed`, { address });
    }
  }

  /** The live connection to an address, made when there is none. Rejects as `invoke` does. */
  async connection(address: string): Promise<RemotingConnection> {
    return this.#byAddress.get(address) ?? (await this.#connect(address, this.#connectTimeoutMs));
  }

  /**
   * Closes every connection; waiting calls reject with REMOTING_CONNECTION_CLOSED, later ones with REMOTING_CLOSED. What is
   * queued is written first, however long a server takes to read it; with `graceMs`, what is not read in so many milliseconds
   * is dropped.
   */
  async close(graceMs?: number): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      for (const abandon of [...this.#abandon]) abandon(this.#closedError());
      for (const connection of [...this.#connections]) connection.end('the client was closed');
    }
    if (this.#connections.size > 0) {
      let late: Deadline | undefined;
      if (graceMs !== undefined) {
        late = this.deadlines.add(graceMs, () => {
          for (const connection of [...this.#connections]) connection.destroy('the client was closed');
        });
      }
      await new Promise<void>((resolve) => {
        this.#allClosed = resolve;
      });
      if (late !== undefined) this.deadlines.remove(late);
    }
    this.deadlines.close();
  }

  async #connectAndInvoke(address: string, request: RemotingCommand, timeoutMs: number): Promise<RemotingCommand> {
    const started = performance.now();
    const connection = await this.#connect(address, Math.min(timeoutMs, this.#connectTimeoutMs));
    return connection.invoke(request, Math.max(1, Math.ceil(timeoutMs - (performance.now() - started))));
  }

  #connect(address: string, timeoutMs: number): Promise<Connection> {
    if (this.#closed) return Promise.reject(this.#closedError());
    let connecting = this.#connecting.get(address);
    if (connecting === undefined) {
      connecting = this.#dial(address, timeoutMs).finally(() => this.#connecting.delete(address));
      this.#connecting.set(address, connecting);
    }
    return connecting;
  }

  async #dial(address: string, timeoutMs: number): Promise<Connection> {
    const { host, port } = parseAddress(address);
    const target = { host, port, noDelay: true, localAddress: this.#localHost };
    let socket: Socket;
    if (this.#tls === undefined) {
      socket = connect(target);
    } else {
      const { secureConnect } = await import('../tls/secure-connect.ts');
      const begin = await secureConnect(this.#tls);
      if (this.#closed) throw this.#closedError();
      socket = begin(target);
    }
    await this.#connected(socket, address, timeoutMs);
    const connection = new Connection(
      this,
      socket,
      { host: socket.remoteAddress ?? host, port: socket.remotePort ?? port },
      { host: socket.localAddress ?? '', port: socket.localPort ?? 0 },
      false,
    );
    connection.isSecure = this.#tls !== undefined;
    this.#connections.add(connection);
    this.#byAddress.set(address, connection);
    this.#idleWatch.update();
    return connection;
  }

  #connected(socket: Socket, address: string, timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let deadline: Deadline | undefined;
      const done = (error?: RemotingError): void => {
        this.#abandon.delete(done);
        if (deadline !== undefined) this.deadlines.remove(deadline);
        if (error === undefined) {
          socket.off('error', onError);
          resolve();
        } else {
          socket.destroy();
          reject(error);
        }
      };
      const fail = (reason: string, cause?: unknown): void =>
        done(
          new RemotingError('REMOTING_CONNECT_FAILED', `cannot connect to ${address}: ${reason}`, { address }, cause),
        );
      const onError = (cause: Error): void => fail(connectionFault(cause), cause);
      deadline = this.deadlines.add(timeoutMs, () => fail(`no answer in ${timeoutMs} ms`));
      this.#abandon.add(done);
      socket.on('error', onError);
      socket.once(this.#tls === undefined ? 'connect' : 'secureConnect', () => done());
    });
  }

  #closedError(): RemotingError {
    return new RemotingError('REMOTING_CLOSED', 'the client was closed');
  }

  /** @internal */
  dispatch(request: RemotingCommand, connection: Connection): HandlerResult {
    return this.#processors.dispatch(request, connection);
  }

  /** @internal */
  failed(request: RemotingCommand, connection: RemotingConnection, cause: unknown): RemotingCommand {
    return this.#processors.failed(request, connection, cause);
  }

  /** @internal */
  settled(): void {}

  /** @internal */
  waits(): void {}

  /** @internal */
  closed(connection: Connection, reason: string): void {
    if (!this.#connections.delete(connection)) return;
    for (const [address, known] of this.#byAddress) {
      if (known === connection) this.#byAddress.delete(address);
    }
    this.#idleWatch.update();
    this.logger.debug({ remoteAddress: connection.remoteAddress, reason }, `connection closed: ${reason}`);
    if (this.#connections.size === 0) this.#allClosed?.();
  }
}
