import { EventEmitter, once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type Clock, systemClock, type TimerHandle } from '../clock.ts';
import { MQVersion } from '../codes/mq-version.ts';
import { ResponseCode } from '../codes/response-code.ts';
import { RemotingError, type RemotingErrorCode } from '../errors.ts';
import { type RemotingLogger, silentLogger } from '../logger.ts';
import { createResponse, type RemotingCommand } from '../protocol/remoting-command.ts';
import { formatAddress, type SocketAddress } from './address.ts';
import { Connection, type ConnectionHost, defaultConnectionLimits, PauseReason } from './connection.ts';
import { Deadlines } from './deadlines.ts';
import { IdleWatch } from './idle-watch.ts';
import { ProcessorTable } from './processor-table.ts';
import type {
  ConnectionLimits,
  HandlerResult,
  ListenOptions,
  RemotingConnection,
  RemotingServerOptions,
  RequestHandler,
} from './types.ts';

export interface RemotingServerEvents {
  connection: [connection: RemotingConnection];
  /** The connection is gone; its `remoteAddress` and `id` are still readable. */
  close: [connection: RemotingConnection, reason: string];
}

const LISTEN_ERRORS: Record<string, [RemotingErrorCode, string]> = {
  EADDRINUSE: ['REMOTING_PORT_IN_USE', 'is in use by another process'],
  EACCES: ['REMOTING_PORT_FORBIDDEN', 'may not be bound by this user'],
  EADDRNOTAVAIL: ['REMOTING_ADDRESS_UNAVAILABLE', 'is not an address of this machine'],
  ENOTFOUND: ['REMOTING_ADDRESS_UNAVAILABLE', 'is not a host name that resolves'],
  EAI_AGAIN: ['REMOTING_ADDRESS_UNAVAILABLE', 'is not a host name that resolves'],
};

/** One warning about refused connections a minute, with their count. */
const REFUSED_LOG_INTERVAL_MS = 60_000;

/**
 * Serves RocketMQ's remoting protocol (RocketMQ NettyRemotingServer): register processors, `listen`, `shutdown`.
 * A server that shuts down answers new requests of clients newer than V5_3_1 with GO_AWAY and the rest as ever.
 */
export class RemotingServer extends EventEmitter<RemotingServerEvents> implements ConnectionHost {
  readonly limits: ConnectionLimits;
  readonly logger: RemotingLogger;
  readonly deadlines: Deadlines;
  readonly #clock: Clock;
  readonly #processors: ProcessorTable;
  readonly #connections = new Set<Connection>();
  readonly #idleWatch: IdleWatch;
  readonly #connectionsMax: number;
  readonly #servers: Server[] = [];
  #open = true;
  #shutdown: Promise<void> | undefined;
  #allClosed: (() => void) | undefined;
  #refused = 0;
  #refusedLoggedAt = Number.NEGATIVE_INFINITY;

  constructor(options: RemotingServerOptions = {}) {
    super();
    this.limits = { ...defaultConnectionLimits, ...definedLimits(options) };
    this.logger = options.logger ?? silentLogger;
    this.#clock = options.clock ?? systemClock;
    this.deadlines = new Deadlines(this.#clock);
    this.#processors = new ProcessorTable(this.logger);
    this.#connectionsMax = options.connectionsMax ?? 50_000;
    this.#idleWatch = new IdleWatch(this.#clock, options.idleTimeoutMs ?? 120_000, this.#connections);
  }

  /** Live connections. */
  get connections(): ReadonlySet<RemotingConnection> {
    return this.#connections;
  }

  /** Requests whose handler has not finished, over all connections. Held requests (answered later) do not count. */
  get inFlightRequests(): number {
    let count = 0;
    for (const connection of this.#connections) count += connection.inFlight;
    return count;
  }

  /** Sets the handler of a request code; the last one set counts. */
  registerProcessor(code: number, handler: RequestHandler): void {
    this.#processors.register(code, handler);
  }

  /** Sets the handler of every code without one of its own. Without it they get REQUEST_CODE_NOT_SUPPORTED. */
  registerDefaultProcessor(handler: RequestHandler): void {
    this.#processors.registerDefault(handler);
  }

  /**
   * Binds and accepts; may be called for several addresses. Resolves with the bound address (port 0 resolved).
   * Rejects with REMOTING_PORT_IN_USE, REMOTING_PORT_FORBIDDEN, REMOTING_ADDRESS_UNAVAILABLE or REMOTING_LISTEN_FAILED.
   */
  async listen(options: ListenOptions): Promise<SocketAddress> {
    if (this.#shutdown !== undefined) throw new RemotingError('REMOTING_CLOSED', 'the server is shut down');
    if (options.paused === true) this.#open = false;
    const host = options.host ?? '127.0.0.1';
    const server = createServer({ noDelay: true, pauseOnConnect: true }, (socket) => this.#onSocket(socket));
    try {
      server.listen({ host, port: options.port, backlog: 1024 });
      await once(server, 'listening');
    } catch (cause) {
      throw listenError(cause, host, options.port);
    }
    server.on('error', (error) =>
      this.logger.error({ err: error, host }, `accepting on ${host} failed: ${error.message}`),
    );
    this.#servers.push(server);
    const bound = server.address();
    if (bound === null || typeof bound === 'string') {
      throw new RemotingError('REMOTING_LISTEN_FAILED', `${host} has no address after binding`, { host });
    }
    return { host: bound.address, port: bound.port };
  }

  /** Begins to read from connections that were accepted while listening paused. */
  open(): void {
    if (this.#open) return;
    this.#open = true;
    for (const connection of this.#connections) connection.resumeReading(PauseReason.NOT_OPEN);
  }

  /** Serves a stream that something else accepted: an in-memory pair, or a socket whose first bytes were looked at. */
  accept(socket: Duplex, remote: SocketAddress, local: SocketAddress): RemotingConnection {
    const connection = new Connection(this, socket, remote, local, !this.#open);
    this.#connections.add(connection);
    this.#idleWatch.update();
    this.emit('connection', connection);
    return connection;
  }

  /**
   * Stops accepting, lets requests in flight finish and their answers leave, then closes; what is not done after
   * `graceMs` (d=3,000) is cut off. Requests that are held for a later answer are not waited for: answer them first.
   */
  shutdown(graceMs = 3000): Promise<void> {
    this.#shutdown ??= this.#close(graceMs);
    return this.#shutdown;
  }

  async #close(graceMs: number): Promise<void> {
    const unbound = this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    const connectionsGone = new Promise<void>((resolve) => {
      this.#allClosed = resolve;
    });
    let timer: TimerHandle;
    if (this.#connections.size > 0) {
      timer = this.#clock.setTimer(() => {
        for (const connection of [...this.#connections]) connection.destroy('the server is shutting down');
      }, graceMs);
      for (const connection of [...this.#connections]) this.#endWhenQuiet(connection);
      await connectionsGone;
      this.#clock.clearTimer(timer);
    }
    await Promise.all(unbound);
    this.#idleWatch.update();
    this.deadlines.close();
  }

  #endWhenQuiet(connection: Connection): void {
    if (connection.quiet) connection.end('the server is shutting down');
  }

  #onSocket(socket: Socket): void {
    const { remoteAddress, remotePort, localAddress, localPort } = socket;
    // A peer that is gone by now has no address any more.
    if (remoteAddress === undefined || localAddress === undefined) {
      socket.destroy();
    } else if (this.#connections.size >= this.#connectionsMax) {
      this.#refuse(socket);
    } else {
      this.accept(socket, { host: remoteAddress, port: remotePort ?? 0 }, { host: localAddress, port: localPort ?? 0 });
    }
  }

  #refuse(socket: Socket): void {
    socket.destroy();
    this.#refused++;
    const now = this.#clock.monotonic();
    if (now - this.#refusedLoggedAt < REFUSED_LOG_INTERVAL_MS) return;
    this.#refusedLoggedAt = now;
    this.logger.warn(
      { connectionsMax: this.#connectionsMax, refused: this.#refused },
      `${this.#connectionsMax} connections are open, ${this.#refused} refused so far`,
    );
  }

  /** @internal */
  dispatch(request: RemotingCommand, connection: RemotingConnection): HandlerResult {
    if (this.#shutdown !== undefined && request.version > MQVersion.V5_3_1) {
      return createResponse(request, ResponseCode.GO_AWAY, 'please go away');
    }
    return this.#processors.dispatch(request, connection);
  }

  /** @internal */
  failed(request: RemotingCommand, connection: RemotingConnection, cause: unknown): RemotingCommand {
    return this.#processors.failed(request, connection, cause);
  }

  /** @internal */
  settled(connection: Connection): void {
    if (this.#shutdown !== undefined) this.#endWhenQuiet(connection);
  }

  /** @internal */
  closed(connection: Connection, reason: string): void {
    if (!this.#connections.delete(connection)) return;
    this.#idleWatch.update();
    this.logger.debug(
      { connection: connection.id, remoteAddress: connection.remoteAddress, reason },
      `connection of ${connection.remoteAddress} closed: ${reason}`,
    );
    this.emit('close', connection, reason);
    if (this.#connections.size === 0) this.#allClosed?.();
  }
}

/** The limits among a server's or client's options, without the undefined ones. */
export function definedLimits(options: Partial<ConnectionLimits>): Partial<ConnectionLimits> {
  const limits: Partial<ConnectionLimits> = {};
  for (const name of Object.keys(defaultConnectionLimits) as (keyof ConnectionLimits)[]) {
    const value = options[name];
    if (value !== undefined) limits[name] = value;
  }
  return limits;
}

function listenError(cause: unknown, host: string, port: number): RemotingError {
  const errno = (cause as NodeJS.ErrnoException).code ?? '';
  const [code, reason] = LISTEN_ERRORS[errno] ?? [
    'REMOTING_LISTEN_FAILED',
    `cannot be bound: ${(cause as Error).message}`,
  ];
  const what = code === 'REMOTING_ADDRESS_UNAVAILABLE' ? host : formatAddress(host, port);
  return new RemotingError(code, `${what} ${reason}`, { host, port, errno }, cause);
}
