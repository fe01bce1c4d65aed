import type { Duplex } from 'node:stream';
import { ResponseCode } from '../codes/response-code.ts';
import { RemotingError } from '../errors.ts';
import type { RemotingLogger } from '../logger.ts';
import { FrameDecoder } from '../protocol/frame-decoder.ts';
import { bodyBytes, FrameEncoder } from '../protocol/frame-encoder.ts';
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
import type { ConnectionLimits, HandlerResult, RemotingConnection } from './types.ts';
import { flushAtEndOfTurn, type Writer } from './write-scheduler.ts';

export const defaultConnectionLimits: ConnectionLimits = {
  frameBytesMax: 16_777_216,
  inFlightRequestsMax: 8192,
  outgoingBytesPause: 8 * 1024 * 1024,
  outgoingBytesMax: 64 * 1024 * 1024,
  pendingInvocationsMax: 65_535,
};

/** What a connection needs from the server or client it belongs to. */
export interface ConnectionHost {
  readonly limits: ConnectionLimits;
  readonly logger: RemotingLogger;
  readonly deadlines: Deadlines;
  dispatch(request: RemotingCommand, connection: RemotingConnection): HandlerResult;
  failed(request: RemotingCommand, connection: RemotingConnection, cause: unknown): RemotingCommand;
  /** A request's handler has finished or the connection's queue has been written: for whoever waits for quiet. */
  settled(connection: Connection): void;
  closed(connection: Connection, reason: string): void;
}

/** Why a connection is not read from; it is read again when no reason is left. */
export const PauseReason = { NOT_OPEN: 1, IN_FLIGHT: 2, OUTGOING: 4 } as const;

/** A command's header and bookkeeping, roughly: what a queued command without a body counts for. */
const COMMAND_BYTES = 256;

/** One encoder for all connections: a connection's frames are encoded and handed to its socket in one go. */
const encoder = new FrameEncoder();

let lastId = 0;

/** Both ends' implementation of a connection, over any duplex stream. */
export class Connection implements RemotingConnection, Writer {
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

  readonly #host: ConnectionHost;
  readonly #socket: Duplex;
  readonly #decoder: FrameDecoder;
  readonly #invocations: Invocations;
  #closed = false;
  #ending = false;
  #closeReason = 'closed by the peer';
  #paused = 0;
  #draining = false;
  #queue: RemotingCommand[] = [];
  #queuedBytes = 0;

  constructor(host: ConnectionHost, socket: Duplex, remote: SocketAddress, local: SocketAddress, paused: boolean) {
    this.#host = host;
    this.#socket = socket;
    this.remoteHost = plainHost(remote.host);
    this.remotePort = remote.port;
    this.remoteAddress = formatAddress(this.remoteHost, remote.port);
    this.localHost = plainHost(local.host);
    this.localPort = local.port;
    this.localAddress = formatAddress(this.localHost, local.port);
    this.#decoder = new FrameDecoder(host.limits.frameBytesMax);
    this.#invocations = new Invocations(host.deadlines, host.limits.pendingInvocationsMax);
    socket.on('drain', () => this.#onDrain());
    socket.on('error', (error) => {
      this.#closeReason = error.message;
    });
    socket.on('close', () => this.#onClose());
    // Adding the listener alone would not start a socket that its server accepted paused.
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    if (paused) this.pauseReading(PauseReason.NOT_OPEN);
    else socket.resume();
  }

  get closed(): boolean {
    return this.#closed;
  }

  get outgoingBytes(): number {
    return this.#queuedBytes + this.#socket.writableLength;
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
    if (this.#queue.length === 0) flushAtEndOfTurn(this);
    this.#queue.push(command);
    this.#queuedBytes += COMMAND_BYTES + bodyBytes(command);
    const limits = this.#host.limits;
    if (this.#queuedBytes > limits.outgoingBytesPause / 4) this.#watchOutgoing(limits);
    return true;
  }

  invoke(request: RemotingCommand, timeoutMs: number): Promise<RemotingCommand> {
    return this.#invocations.wait(request, timeoutMs, this.remoteAddress, () => this.send(request));
  }

  invokeOneway(request: RemotingCommand): boolean {
    request.flag |= FLAG_ONEWAY;
    return this.send(request);
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
    this.flush();
    this.#ending = true;
    this.#closeReason = reason;
    this.#socket.end(() => this.#socket.destroy());
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

  #onData(chunk: Buffer): void {
    this.idleTicks = 0;
    this.#decoder.push(chunk);
    this.#drainDecoder();
  }

  #drainDecoder(): void {
    if (this.#draining) return;
    this.#draining = true;
    try {
      while (this.#paused === 0 && !this.#closed) {
        const command = this.#decoder.next();
        if (command === undefined) break;
        if (isResponse(command)) this.#onResponse(command);
        else this.#onRequest(command);
      }
    } catch (error) {
      if (!(error instanceof RemotingError)) throw error;
      this.#host.logger.warn(
        { code: error.code, ...error.details, remoteAddress: this.remoteAddress, connection: this.id },
        `closing the connection of ${this.remoteAddress}: ${error.message}`,
      );
      this.destroy(error.message);
    } finally {
      this.#draining = false;
    }
  }

  #onResponse(response: RemotingCommand): void {
    if (this.#invocations.settle(response)) return;
    this.#host.logger.debug(
      { opaque: response.opaque, responseCode: response.code, remoteAddress: this.remoteAddress },
      `response from ${this.remoteAddress} that nobody waits for`,
    );
  }

  #onRequest(request: RemotingCommand): void {
    let result: HandlerResult;
    try {
      result = this.#host.dispatch(request, this);
    } catch (cause) {
      result = this.#host.failed(request, this, cause);
    }
    if (result === undefined) return;
    if (!(result instanceof Promise)) {
      this.#answer(request, result);
      return;
    }
    this.inFlight++;
    if (this.inFlight >= this.#host.limits.inFlightRequestsMax) this.pauseReading(PauseReason.IN_FLIGHT);
    result.then(
      (response) => this.#finish(request, response),
      (cause: unknown) => this.#finish(request, this.#host.failed(request, this, cause)),
    );
  }

  #finish(request: RemotingCommand, response: RemotingCommand | undefined): void {
    this.inFlight--;
    if (response !== undefined) this.#answer(request, response);
    if (this.inFlight < this.#host.limits.inFlightRequestsMax) this.resumeReading(PauseReason.IN_FLIGHT);
    this.#host.settled(this);
  }

  #answer(request: RemotingCommand, response: RemotingCommand): void {
    if (isOneway(request)) return;
    response.opaque = request.opaque;
    response.flag |= FLAG_RESPONSE;
    this.send(response);
  }

  /** Encodes everything queued and hands it to the socket as one write. */
  flush(): void {
    const queue = this.#queue;
    if (queue.length === 0) return;
    this.#queue = [];
    this.#queuedBytes = 0;
    if (this.#closed) return;
    for (const command of queue) this.#encode(command);
    const pieces = encoder.take();
    const socket = this.#socket;
    if (pieces.length === 1) {
      socket.write(pieces[0]);
    } else if (pieces.length > 1) {
      socket.cork();
      for (const piece of pieces) socket.write(piece);
      socket.uncork();
    }
    // With nothing left in the stream the kernel has taken all of it, and the slab is free again.
    if (socket.writableLength === 0) {
      this.idleTicks = 0;
      encoder.recycle();
      for (const command of queue) command.release?.();
      this.#onDrain();
    } else {
      this.#watchOutgoing(this.#host.limits);
    }
  }

  #encode(command: RemotingCommand): void {
    const { frameBytesMax } = this.#host.limits;
    try {
      encoder.append(command, frameBytesMax);
    } catch (error) {
      if (!(error instanceof RemotingError)) throw error;
      this.#host.logger.error(
        { code: error.code, ...error.details, opaque: command.opaque, remoteAddress: this.remoteAddress },
        `a command for ${this.remoteAddress} cannot be sent: ${error.message}`,
      );
      if (isResponse(command)) {
        encoder.append(createResponse(command, ResponseCode.SYSTEM_ERROR, error.message), frameBytesMax);
      } else {
        this.#invocations.failOne(command.opaque, error);
      }
    }
  }

  #watchOutgoing(limits: ConnectionLimits): void {
    const bytes = this.outgoingBytes;
    if (bytes > limits.outgoingBytesMax) {
      this.#host.logger.warn(
        { remoteAddress: this.remoteAddress, connection: this.id, outgoingBytes: bytes },
        `closing the connection of ${this.remoteAddress}: ${bytes} bytes wait for it to read, the limit is ${limits.outgoingBytesMax}`,
      );
      this.destroy(`${bytes} unread bytes`);
    } else if (bytes > limits.outgoingBytesPause) {
      this.pauseReading(PauseReason.OUTGOING);
    }
  }

  #onDrain(): void {
    this.idleTicks = 0;
    if (this.outgoingBytes <= this.#host.limits.outgoingBytesPause / 2) this.resumeReading(PauseReason.OUTGOING);
    this.#host.settled(this);
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#invocations.failAll(this.#closeReason, this.remoteAddress);
    this.#host.closed(this, this.#closeReason);
  }
}
