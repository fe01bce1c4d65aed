import type { Duplex } from 'node:stream';
import { ResponseCode } from '../codes/response-code.ts';
import { connectionFault, errorText } from '../error-text.ts';
import { RemotingError } from '../errors.ts';
import type { PeerLog } from '../line-limit.ts';
import type { RemotingLogger } from '../logger.ts';
import { FrameDecoder } from '../protocol/frame-decoder.ts';
import type { FrameEncoder } from '../protocol/frame-encoder.ts';
import type { HeaderReader } from '../protocol/header-reader.ts';
import { keepFields } from '../protocol/hot-fields.ts';
import {
  createResponse,
  FLAG_ONEWAY,
  FLAG_RESPONSE,
  isOneway,
  isResponse,
  type RemotingCommand,
} from '../protocol/remoting-command.ts';
import { formatAddress, plainHost, type SocketAddress } from './address.ts';
import type { Deadlines } from './deadlines.ts';
import { Invocations } from './invocations.ts';
import type { Budgets } from './limits.ts';
import { Outgoing, type OutgoingOwner } from './outgoing.ts';
import type { ReadBuffer } from './read-buffer.ts';
import type { RequestTimes } from './request-times.ts';
import type { TurnBudget } from './turn-budget.ts';
import type { ConnectionLimits, HandlerResult, RemotingConnection } from './types.ts';

/** What a connection needs from the server or client it belongs to. */
export interface ConnectionHost {
  readonly limits: ConnectionLimits;
  readonly budgets: Budgets;
  readonly logger: RemotingLogger;
  readonly peerLog: PeerLog;
  readonly deadlines: Deadlines;
  /** Reads the hottest requests from their bytes; for a side that gets requests. */
  readonly headerReader?: HeaderReader | undefined;
  /** What its sockets read into, when they share it. */
  readonly readBuffer?: ReadBuffer | undefined;
  /** Told how long requests took. */
  readonly requestTimes?: RequestTimes | undefined;
  /** How many requests of all connections are handled in one turn of the event loop. */
  readonly turn?: TurnBudget | undefined;
  /** Lays out what one connection writes in one go. One for all connections of a side. */
  readonly encoder: FrameEncoder;
  /**
   * Whether a peer that does not read what it is sent is not read from either. A server has to; a client that did would
   * not see the answers that let its server read on.
   */
  readonly servesPeers: boolean;
  /** Calls the handler, and sets the connection's `answerBytes` to what its answer may take. */
  dispatch(request: RemotingCommand, connection: Connection): HandlerResult;
  failed(request: RemotingCommand, connection: RemotingConnection, cause: unknown): RemotingCommand;
  /** A request's handler has finished or the connection's queue has been written: for whoever waits for quiet. */
  settled(connection: Connection): void;
  /** The connection waits for its peer, or for room that others have: somebody has to look whether it goes on. */
  waits(): void;
  /** Whether the bytes that a connection begins with are not for the decoder: it is to be TLS, or is closed. */
  takesFirst?(connection: Connection, chunk: Buffer): boolean;
  closed(connection: Connection, reason: string): void;
}

/** Why a connection is not read from; it is read again when no reason is left. */
export const PauseReason = {
  NOT_OPEN: 1,
  IN_FLIGHT: 2,
  OUTGOING: 4,
  REQUEST_BYTES: 8,
  RECEIVING: 16,
  TURN: 32,
  HANDSHAKE: 64,
} as const;

/** A request's header as objects, its promise and its place in the tables: what it counts for beside its frame. */
const REQUEST_BYTES = 2048;
/** What a connection may have in flight however full the budget is. */
const REQUEST_BYTES_ALWAYS = 64 * 1024;

let lastId = 0;

/** Both ends' implementation of a connection, over any duplex stream. */
export class Connection implements RemotingConnection, OutgoingOwner {
  readonly id: number = ++lastId;
  readonly remoteHost: string;
  readonly remotePort: number;
  readonly remoteAddress: string;
  readonly localHost: string;
  readonly localPort: number;
  readonly localAddress: string;
  /** Set to 0 by traffic, counted up by the idle watch. */
  idleTicks = 0;
  /** Requests whose handler has not finished. */
  inFlight = 0;
  /** Bytes that the answer of the request being dispatched may take; set by the host. */
  answerBytes = 0;
  /** Bytes that have come from the peer. */
  receivedBytes = 0;
  /** What it carries goes through TLS. */
  isSecure = false;

  readonly #host: ConnectionHost;
  #socket: Duplex;
  readonly #decoder: FrameDecoder;
  readonly #invocations: Invocations;
  readonly #outgoing: Outgoing;
  #closed = false;
  #ending = false;
  #closeReason = 'closed by the peer';
  #paused = 0;
  #draining = false;
  /** What requests that are handled now have taken of their budget. */
  #requestBytes = 0;
  /** Taken of the receiving budget for the large frame that is arriving. */
  #receivingBytes = 0;
  /** Takes the connection out of the queue for a budget. */
  #leaveQueue: (() => void) | undefined;

  constructor(host: ConnectionHost, socket: Duplex, remote: SocketAddress, local: SocketAddress, paused: boolean) {
    this.#host = host;
    this.#socket = socket;
    this.remoteHost = plainHost(remote.host);
    this.remotePort = remote.port;
    this.remoteAddress = formatAddress(this.remoteHost, remote.port);
    this.localHost = plainHost(local.host);
    this.localPort = local.port;
    this.localAddress = formatAddress(this.localHost, local.port);
    const { limits, budgets } = host;
    this.#decoder = new FrameDecoder(limits.frameBytesMax, host.headerReader, limits.headerBytesMax);
    this.#invocations = new Invocations(host.deadlines, limits.pendingInvocationsMax);
    this.#outgoing = new Outgoing(this, socket, host.encoder, limits, budgets.answers);
    this.#listen(socket);
    // Adding the listeners alone would not start a socket that its server accepted paused.
    if (paused) this.pauseReading(PauseReason.NOT_OPEN);
    else socket.resume();
  }

  #listen(socket: Duplex): void {
    socket.on('drain', () => this.#outgoing.drained());
    socket.on('error', (error) => {
      this.#closeReason = connectionFault(error);
    });
    socket.on('close', () => this.#onClose());
    socket.on('data', this.#onChunk);
  }

  get closed(): boolean {
    return this.#closed;
  }

  get outgoingBytes(): number {
    return this.#outgoing.bytes;
  }

  /** Bytes that the peer's side has taken. */
  get takenBytes(): number {
    return this.#outgoing.takenBytes;
  }

  /** A large frame has begun to arrive and has its room. */
  get isReceiving(): boolean {
    return this.#receivingBytes > 0;
  }

  /** Own requests that wait for their response. */
  get pendingInvocations(): number {
    return this.#invocations.count;
  }

  /** Nothing is being handled and nothing waits to be sent. */
  get quiet(): boolean {
    return this.inFlight === 0 && this.outgoingBytes === 0;
  }

  send(command: RemotingCommand): boolean {
    if (this.#closed || this.#ending) return false;
    this.#keepBody(command);
    this.#outgoing.send(command);
    return true;
  }

  reserve(bytes: number): Promise<void> | undefined {
    return this.#outgoing.reserve(bytes);
  }

  unreserve(bytes: number): void {
    this.#outgoing.unreserve(bytes);
  }

  invoke(request: RemotingCommand, timeoutMs: number): Promise<RemotingCommand> {
    if (this.#isFull) {
      const text = `${this.outgoingBytes} bytes wait for ${this.remoteAddress} to read; it is not asked anything`;
      const details = { address: this.remoteAddress, outgoingBytes: this.outgoingBytes };
      return Promise.reject(new RemotingError('REMOTING_TOO_MANY_REQUESTS', text, details));
    }
    return this.#invocations.wait(request, timeoutMs, this.remoteAddress, () => this.send(request));
  }

  invokeOneway(request: RemotingCommand): boolean {
    request.flag |= FLAG_ONEWAY;
    return !this.#isFull && this.send(request);
  }

  /** A peer that does not read its answers gets no requests of ours on top. */
  get #isFull(): boolean {
    return this.#host.servesPeers && this.#outgoing.isAboveMark;
  }

  destroy(reason: string): void {
    if (this.#closed) return;
    this.#closeReason = reason;
    this.#socket.destroy();
    this.#onClose();
  }

  /** Writes what is queued, then closes. */
  end(reason: string): void {
    if (this.#closed || this.#ending) return;
    this.#outgoing.finish();
    this.#ending = true;
    this.#closeReason = reason;
    this.#socket.end(() => this.#socket.destroy());
  }

  /** It is not read from, for any reason. */
  get isPaused(): boolean {
    return this.#paused !== 0;
  }

  isPausedFor(reason: number): boolean {
    return (this.#paused & reason) !== 0;
  }

  pauseReading(reason: number): void {
    if (this.#paused === 0) this.#socket.pause();
    this.#paused |= reason;
  }

  resumeReading(reason: number): void {
    if ((this.#paused & reason) === 0) return;
    this.#paused &= ~reason;
    if (this.#paused !== 0 || this.#closed) return;
    this.#drainDecoder();
    if (this.#paused === 0 && !this.#closed) this.#socket.resume();
  }

  /**
   * Gives away its socket, not read from, with the first bytes of it put back, for a TLS handshake that ends with `secure`
   * or `destroy`. Nothing has been decoded or sent.
   */
  handOver(chunk: Buffer): Duplex {
    const socket = this.#socket;
    this.pauseReading(PauseReason.HANDSHAKE);
    socket.off('data', this.#onChunk);
    socket.unshift(Buffer.from(chunk));
    return socket;
  }

  /** Goes on with what the handshake made of the socket. */
  secure(stream: Duplex): void {
    if (this.#closed) return void stream.destroy();
    this.isSecure = true;
    this.#socket = stream;
    this.#outgoing.use(stream);
    stream.pause();
    this.#listen(stream);
    this.resumeReading(PauseReason.HANDSHAKE);
  }

  /** Takes bytes of the read buffer, which the next read overwrites. */
  takeShared(chunk: Buffer): void {
    this.#onData(chunk);
    this.#decoder.keepPushed();
  }

  /** What is there when this turn is over must not lie in the read buffer. */
  #keepBody(command: RemotingCommand): void {
    const { readBuffer } = this.#host;
    if (readBuffer === undefined) return;
    const { body, bodyParts } = command;
    if (body !== undefined) command.body = readBuffer.kept(body);
    if (bodyParts !== undefined) command.bodyParts = bodyParts.map((part) => readBuffer.kept(part));
  }

  readonly #onChunk = (chunk: Buffer): void => this.#onData(chunk);

  #onData(chunk: Buffer): void {
    this.idleTicks = 0;
    if (this.receivedBytes === 0 && this.#host.takesFirst?.(this, chunk) === true) return;
    this.receivedBytes += chunk.length;
    this.#decoder.push(chunk);
    this.#drainDecoder();
  }

  #drainDecoder(): void {
    if (this.#draining) return;
    this.#draining = true;
    try {
      const { turn } = this.#host;
      while (this.#paused === 0 && !this.#closed) {
        if (turn !== undefined && this.#decoder.hasBytes && !turn.take()) {
          this.#waitForTurn(turn);
          break;
        }
        const command = this.#decoder.next();
        if (command === undefined) {
          this.#awaitFrame();
          break;
        }
        if (isResponse(command)) {
          this.#endReceiving();
          this.#onResponse(command);
          continue;
        }
        const bytes = this.#decoder.frameBytes + REQUEST_BYTES;
        if (this.#mayBegin(bytes)) {
          this.#endReceiving();
          this.#onRequest(command, bytes, false);
        } else {
          this.#holdBack(command, bytes);
        }
      }
    } catch (error) {
      this.failed(error);
    } finally {
      this.#draining = false;
    }
  }

  /**
   * A request may be handled now: at most half of what is left of the budget is one connection's, so that nobody uses it
   * up. A few small requests of each connection may in any case: who pulls and sends heartbeats is not to wait for those
   * who fill the budget.
   */
  #mayBegin(bytes: number): boolean {
    const { requests } = this.#host.budgets;
    const own = this.#requestBytes + bytes;
    if (own <= REQUEST_BYTES_ALWAYS && requests.used <= 2 * requests.max) return true;
    return requests.used === 0 || (requests.waiting === 0 && own <= (requests.max - requests.used) / 2);
  }

  /** What it has sent is handled in a later turn of the event loop, and it is not read from until then. */
  #waitForTurn(turn: TurnBudget): void {
    this.pauseReading(PauseReason.TURN);
    turn.wait(() => this.resumeReading(PauseReason.TURN));
  }

  /** The request, and all that follows it on this connection, waits until others have finished. */
  #holdBack(request: RemotingCommand, bytes: number): void {
    keepFields(request);
    this.#keepBody(request);
    this.pauseReading(PauseReason.REQUEST_BYTES);
    this.#leaveQueue = this.#host.budgets.requests.wait(bytes, () => {
      this.#leaveQueue = undefined;
      this.#endReceiving();
      this.#onRequest(request, bytes, true);
      this.resumeReading(PauseReason.REQUEST_BYTES);
    });
  }

  /** A large frame goes on arriving when there is room for all of it. */
  #awaitFrame(): void {
    const bytes = this.#decoder.largeFrameBytes;
    if (bytes === 0 || this.#receivingBytes > 0) return;
    const { receiving } = this.#host.budgets;
    if (receiving.waiting === 0 && receiving.fits(bytes)) {
      receiving.take(bytes);
      this.#receivingBytes = bytes;
      return;
    }
    this.pauseReading(PauseReason.RECEIVING);
    this.#leaveQueue = receiving.wait(bytes, () => {
      this.#leaveQueue = undefined;
      this.#receivingBytes = bytes;
      this.resumeReading(PauseReason.RECEIVING);
    });
    this.#host.waits();
  }

  #endReceiving(): void {
    const bytes = this.#receivingBytes;
    if (bytes === 0) return;
    this.#receivingBytes = 0;
    this.#host.budgets.receiving.give(bytes);
  }

  /**
   * Closes the connection over an error while its bytes were read or written, whatever the error is: a peer must not be
   * able to end the process with what it sends. A fault of ours has its stack in the line; a peer's mistake has none.
   */
  failed(cause: unknown): void {
    const known = cause instanceof RemotingError;
    const reason = errorText(cause);
    const fields = { remoteAddress: this.remoteAddress, connection: this.id };
    this.#host.peerLog.write(
      known ? 'warn' : 'error',
      known ? cause.code : 'fault',
      known ? { code: cause.code, ...cause.details, ...fields } : { err: cause, ...fields },
      `closing the connection of ${this.remoteAddress}: ${reason}`,
    );
    this.destroy(reason);
  }

  #onResponse(response: RemotingCommand): void {
    this.#keepBody(response);
    if (this.#invocations.settle(response)) return;
    this.#host.logger.debug(
      { opaque: response.opaque, responseCode: response.code, remoteAddress: this.remoteAddress },
      `response from ${this.remoteAddress} that nobody waits for`,
    );
  }

  /** `isCounted`: its bytes are taken of the budget already. */
  #onRequest(request: RemotingCommand, bytes: number, isCounted: boolean): void {
    this.answerBytes = 0;
    const beganAt = this.#host.requestTimes?.now() ?? 0;
    let result: HandlerResult;
    try {
      result = this.#host.dispatch(request, this);
    } catch (cause) {
      result = this.#host.failed(request, this, cause);
    }
    const { requests } = this.#host.budgets;
    if (!(result instanceof Promise)) {
      if (isCounted) requests.give(bytes);
      if (result !== undefined) this.#answer(request, result, beganAt);
      return;
    }
    const { answerBytes } = this;
    // It is a view of what the socket delivered, which somebody else's bytes overwrite from here on.
    request.body = undefined;
    this.inFlight++;
    this.#requestBytes += bytes;
    if (!isCounted) requests.take(bytes);
    if (this.inFlight >= this.#host.limits.inFlightRequestsMax) this.pauseReading(PauseReason.IN_FLIGHT);
    if (answerBytes > 0) this.#outgoing.promise(answerBytes);
    result.then(
      (response) => this.#finish(request, response, bytes, answerBytes, beganAt),
      (cause: unknown) => this.#finish(request, this.#host.failed(request, this, cause), bytes, answerBytes, beganAt),
    );
  }

  #finish(
    request: RemotingCommand,
    response: RemotingCommand | undefined,
    bytes: number,
    answerBytes: number,
    beganAt: number,
  ): void {
    this.inFlight--;
    if (response !== undefined) this.#answer(request, response, beganAt);
    if (answerBytes > 0) this.#outgoing.promise(-answerBytes);
    this.#requestBytes -= bytes;
    // Not before, not even when the connection is closed: what the handler holds is held until it has finished.
    this.#host.budgets.requests.give(bytes);
    if (this.inFlight < this.#host.limits.inFlightRequestsMax) this.resumeReading(PauseReason.IN_FLIGHT);
    this.#host.settled(this);
  }

  #answer(request: RemotingCommand, response: RemotingCommand, beganAt: number): void {
    const times = this.#host.requestTimes;
    times?.record(request.code, response.code, isOneway(request), times.now() - beganAt);
    if (isOneway(request)) {
      this.#outgoing.unreserve(response.reservedBytes ?? 0);
      return;
    }
    response.opaque = request.opaque;
    response.flag |= FLAG_RESPONSE;
    this.send(response);
  }

  cannotEncode(command: RemotingCommand, error: RemotingError): void {
    this.#host.peerLog.write(
      'error',
      error.code,
      { code: error.code, ...error.details, opaque: command.opaque, remoteAddress: this.remoteAddress },
      `a command for ${this.remoteAddress} cannot be sent: ${error.message}`,
    );
    if (isResponse(command)) {
      const refusal = createResponse(command, ResponseCode.SYSTEM_ERROR, error.message);
      this.#host.encoder.append(refusal, this.#host.limits.frameBytesMax);
    } else {
      this.#invocations.failOne(command.opaque, error);
    }
  }

  outgoingChanged(): void {
    const outgoing = this.#outgoing;
    if (this.isPausedFor(PauseReason.OUTGOING)) {
      if (outgoing.isBelowHalfMark) this.resumeReading(PauseReason.OUTGOING);
    } else if (this.#host.servesPeers && outgoing.isAboveMark) {
      this.pauseReading(PauseReason.OUTGOING);
      this.#host.waits();
    }
    if (outgoing.bytes === 0) {
      this.idleTicks = 0;
      this.#host.settled(this);
    }
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#outgoing.close();
    this.#leaveQueue?.();
    this.#leaveQueue = undefined;
    this.#decoder.clear();
    this.#endReceiving();
    this.#invocations.failAll(this.#closeReason, this.remoteAddress);
    this.#host.closed(this, this.#closeReason);
  }
}
