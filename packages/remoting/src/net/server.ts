import { EventEmitter, once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type Clock, systemClock, type TimerHandle } from '../clock.ts';
import { MQVersion } from '../codes/mq-version.ts';
import { ResponseCode } from '../codes/response-code.ts';
import { RemotingError, type RemotingErrorCode } from '../errors.ts';
import { PeerLog } from '../line-limit.ts';
import { type RemotingLogger, silentLogger } from '../logger.ts';
import { FrameEncoder } from '../protocol/frame-encoder.ts';
import { HeaderReader } from '../protocol/header-reader.ts';
import { createResponse, type RemotingCommand } from '../protocol/remoting-command.ts';
import { formatAddress, type SocketAddress } from './address.ts';
import { BusyPoll } from './busy-poll.ts';
import { Connection, type ConnectionHost, PauseReason } from './connection.ts';
import { Deadlines } from './deadlines.ts';
import { AcceptedSockets } from './descriptors.ts';
import { IdleWatch } from './idle-watch.ts';
import { Budgets, defaultConnectionLimits, defaultServerLimits, limitsFrom } from './limits.ts';
import { ProcessorTable } from './processor-table.ts';
import { ReadBuffer } from './read-buffer.ts';
import type { RequestTimes } from './request-times.ts';
import { Slices } from './slices.ts';
import { StallWatch } from './stall-watch.ts';
import { TlsFront } from './tls-front.ts';
import { TurnBudget } from './turn-budget.ts';
import type {
  ConnectionLimits,
  HandlerResult,
  ListenOptions,
  ProcessorOptions,
  RemotingConnection,
  RemotingServerOptions,
  RequestGate,
  RequestHandler,
} from './types.ts';

export interface RemotingServerEvents {
  connection: [connection: RemotingConnection];
  /**
   * The connection is gone; its `remoteAddress` and `id` are still readable. When thousands go at once it comes some turns
   * of the event loop later, and before `shutdown` resolves.
   */
  close: [connection: RemotingConnection, reason: string];
}

const LISTEN_ERRORS: Record<string, [RemotingErrorCode, string]> = {
  EADDRINUSE: ['REMOTING_PORT_IN_USE', 'is in use by another process'],
  EACCES: ['REMOTING_PORT_FORBIDDEN', 'may not be bound by this user'],
  EADDRNOTAVAIL: ['REMOTING_ADDRESS_UNAVAILABLE', 'is not an address of this machine'],
  ENOTFOUND: ['REMOTING_ADDRESS_UNAVAILABLE', 'is not a host name that resolves'],
  EAI_AGAIN: ['REMOTING_ADDRESS_UNAVAILABLE', 'is not a host name that resolves'],
};

/** Ends of connections told in one turn of the event loop: who hears of one may have a good deal to forget. */
const CLOSES_A_TURN = 64;

/** One warning about refused connections a minute, with their count. */
const REFUSED_LOG_INTERVAL_MS = 60_000;

/**
 * Serves RocketMQ's remoting protocol (RocketMQ NettyRemotingServer): register processors, `listen`, `shutdown`.
 * A server that shuts down answers new requests of clients newer than V5_3_1 with GO_AWAY and the rest as ever.
 */
export class RemotingServer extends EventEmitter<RemotingServerEvents> implements ConnectionHost {
  readonly limits: ConnectionLimits;
  readonly budgets: Budgets;
  readonly servesPeers = true;
  readonly logger: RemotingLogger;
  readonly peerLog: PeerLog;
  readonly deadlines: Deadlines;
  readonly headerReader: HeaderReader | undefined;
  readonly encoder = new FrameEncoder();
  readonly readBuffer = new ReadBuffer();
  readonly turn: TurnBudget;
  readonly requestTimes: RequestTimes | undefined;
  readonly #busyPoll: BusyPoll;
  readonly #closes = new Slices<[Connection, string]>(CLOSES_A_TURN, ([connection, reason]) => {
    this.emit('close', connection, reason);
  });
  readonly #clock: Clock;
  readonly #processors: ProcessorTable;
  readonly #connections = new Set<Connection>();
  readonly #idleWatch: IdleWatch;
  readonly #stallWatch: StallWatch;
  readonly #connectionsMax: number;
  readonly #accepted: AcceptedSockets;
  readonly #tls: TlsFront;
  readonly #servers: Server[] = [];
  #open = true;
  #shutdown: Promise<void> | undefined;
  #allClosed: (() => void) | undefined;
  #refused = 0;
  #refusedLoggedAt = Number.NEGATIVE_INFINITY;

  constructor(options: RemotingServerOptions = {}) {
    super();
    this.limits = limitsFrom(defaultConnectionLimits, options);
    const serverLimits = limitsFrom(defaultServerLimits(), options);
    this.budgets = new Budgets(serverLimits);
    this.logger = options.logger ?? silentLogger;
    this.requestTimes = options.requestTimes;
    this.#clock = options.clock ?? systemClock;
    this.deadlines = new Deadlines(this.#clock);
    this.turn = new TurnBudget(this.#clock);
    this.#busyPoll = new BusyPoll(options.busyPollMs ?? 0, () => this.budgets.requests.used > 0);
    this.headerReader = options.hotFields ? new HeaderReader() : undefined;
    this.peerLog = new PeerLog(this.logger, this.#clock);
    this.#processors = new ProcessorTable(this.peerLog);
    this.#tls = new TlsFront({ ...options, logger: this.logger, clock: this.#clock });
    this.#accepted = new AcceptedSockets(options.descriptorLimit);
    this.#connectionsMax = Math.min(options.connectionsMax ?? 50_000, this.#accepted.max);
    this.#idleWatch = new IdleWatch(this.#clock, options.idleTimeoutMs ?? 120_000, this.#connections);
    this.#stallWatch = new StallWatch(
      this.#clock,
      serverLimits.stallTimeoutMs,
      this.#connections,
      this.budgets,
      (connection, reason) => this.#onStalled(connection, reason),
    );
  }

  /** What TLS takes here: handshakes that have not ended, bytes held for all connections by TLS, and what it did. */
  get tls(): Pick<TlsFront, 'pending' | 'usedBytes' | 'counts'> {
    return this.#tls;
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
  registerProcessor(code: number, handler: RequestHandler, options?: ProcessorOptions): void {
    this.#processors.register(code, handler, options);
  }

  /** Those with a handler of their own. */
  get requestCodes(): number[] {
    return this.#processors.codes;
  }

  /** Sets what every request passes before its handler; one that was set before goes. */
  setGate(gate: RequestGate | undefined): void {
    this.#processors.gate = gate;
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
    server.on('error', (error: NodeJS.ErrnoException) => {
      const cause = `accept ${error.code}`;
      this.peerLog.write('error', cause, { code: error.code, host }, `accepting on ${host} failed: ${error.message}`);
    });
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
    return this.#accept(socket, remote, local);
  }

  #accept(socket: Duplex, remote: SocketAddress, local: SocketAddress): Connection {
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
    this.#tls.close();
    await Promise.all(unbound);
    this.#closes.finish();
    this.#idleWatch.update();
    this.#stallWatch.close();
    this.deadlines.close();
  }

  #onStalled(connection: Connection, reason: string): void {
    const { remoteAddress, id, outgoingBytes } = connection;
    this.peerLog.write(
      'warn',
      'stalled',
      { remoteAddress, connection: id, outgoingBytes },
      `closing the connection of ${remoteAddress}: ${reason}`,
    );
    connection.destroy(reason);
  }

  #endWhenQuiet(connection: Connection): void {
    const reason = 'the server is shutting down';
    if (connection.isPausedFor(PauseReason.HANDSHAKE)) connection.destroy(reason);
    else if (connection.quiet) connection.end(reason);
  }

  #onSocket(socket: Socket): void {
    const { remoteAddress, remotePort, localAddress, localPort } = socket;
    // A peer that is gone by now has no address any more.
    if (remoteAddress === undefined || localAddress === undefined) {
      socket.destroy();
    } else if (this.#connections.size >= this.#connectionsMax || this.#accepted.isFull) {
      this.#refuse(socket);
    } else {
      // It does not read yet, so the connection is there before any bytes are.
      const onBytes = (chunk: Buffer): void => {
        this.#busyPoll.arrived();
        connection.takeShared(chunk);
      };
      const adopted = this.readBuffer.adopt(socket, onBytes) ?? socket;
      this.#accepted.add();
      adopted.on('close', () => this.#accepted.remove());
      const [remote, local] = [
        { host: remoteAddress, port: remotePort ?? 0 },
        { host: localAddress, port: localPort ?? 0 },
      ];
      const connection = this.#accept(adopted, remote, local);
    }
  }

  #refuse(socket: Socket): void {
    socket.destroy();
    this.#refused++;
    const now = this.#clock.monotonic();
    if (now - this.#refusedLoggedAt < REFUSED_LOG_INTERVAL_MS) return;
    this.#refusedLoggedAt = now;
    this.logger.warn(
      { connectionsMax: this.#connectionsMax, connections: this.#connections.size, refused: this.#refused },
      `${this.#connections.size} connections are open, no more are taken (at most ${this.#connectionsMax}, within the ` +
        `limit of open files); ${this.#refused} refused so far`,
    );
  }

  /** @internal */
  dispatch(request: RemotingCommand, connection: Connection): HandlerResult {
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
    this.#busyPoll.answered();
    if (this.#shutdown !== undefined) this.#endWhenQuiet(connection);
  }

  /** @internal */
  waits(): void {
    this.#stallWatch.start();
  }

  /** @internal */
  takesFirst(connection: Connection, chunk: Buffer): boolean {
    return this.#tls.takesFirst(connection, chunk);
  }

  /** @internal */
  closed(connection: Connection, reason: string): void {
    if (!this.#connections.delete(connection)) return;
    this.#idleWatch.update();
    this.logger.debug(
      { connection: connection.id, remoteAddress: connection.remoteAddress, reason },
      `connection of ${connection.remoteAddress} closed: ${reason}`,
    );
    this.#closes.add([connection, reason]);
    if (this.#connections.size === 0) this.#allClosed?.();
  }
}

/** Why an address cannot be listened on, with the code that says it; `cause` is the error of the system. */
export function listenError(cause: unknown, host: string, port: number): RemotingError {
  const errno = (cause as NodeJS.ErrnoException).code ?? '';
  const [code, reason] = LISTEN_ERRORS[errno] ?? [
    'REMOTING_LISTEN_FAILED',
    `cannot be bound: ${(cause as Error).message}`,
  ];
  const what = code === 'REMOTING_ADDRESS_UNAVAILABLE' ? host : formatAddress(host, port);
  return new RemotingError(code, `${what} ${reason}`, { host, port, errno }, cause);
}
