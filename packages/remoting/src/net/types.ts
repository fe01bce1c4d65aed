import type { Clock } from '../clock.ts';
import type { RemotingLogger } from '../logger.ts';
import type { RemotingCommand } from '../protocol/remoting-command.ts';
import type { Credentials } from '../protocol/signature.ts';
import type { TlsClientOptions } from '../tls/client-identity.ts';
import type { ServerIdentity } from '../tls/server-identity.ts';
import type { TlsLimits } from '../tls/tls-door.ts';
import type { RequestTimes } from './request-times.ts';

/** One end of a TCP connection that carries commands both ways. */
export interface RemotingConnection {
  /** Unique in this process and never used again. */
  readonly id: number;
  readonly remoteHost: string;
  readonly remotePort: number;
  /** `host:port` of the peer (an IPv4 address in its plain form, IPv6 in brackets). */
  readonly remoteAddress: string;
  readonly localHost: string;
  readonly localPort: number;
  /** `host:port` of the socket on our side: the address this peer could reach. */
  readonly localAddress: string;
  readonly closed: boolean;
  /** Bytes of commands given to `send`, `invoke` and `invokeOneway` and not yet taken by the kernel. */
  readonly outgoingBytes: number;

  /**
   * Queues a command (the later answer to a held request: `createResponse(request, …)`); everything queued in one turn
   * leaves in one write at its end. True says queued, not delivered; false says the connection is closed.
   */
  send(command: RemotingCommand): boolean;
  /**
   * Sends a request to this peer and resolves with its response, whatever its code.
   * Rejects with REMOTING_TIMEOUT, REMOTING_CONNECTION_CLOSED or REMOTING_TOO_MANY_REQUESTS, which is also what a server
   * gets for a client that does not read.
   */
  invoke(request: RemotingCommand, timeoutMs: number): Promise<RemotingCommand>;
  /** Sends a request that is not answered. As `send`, and false too for a client that does not read. */
  invokeOneway(request: RemotingCommand): boolean;
  /** Closes at once; what is queued is dropped. The reason goes into the log and to `close` listeners. */
  destroy(reason: string): void;

  /**
   * Asks for room for an answer of so many bytes, before it is made: a peer that does not read, and all peers together,
   * get no more than they take. Undefined: the room is there. Otherwise a promise of it, which rejects with
   * REMOTING_CONNECTION_CLOSED. The room is given back by sending a command with these `reservedBytes`, or by `unreserve`.
   */
  reserve(bytes: number): Promise<void> | undefined;
  unreserve(bytes: number): void;
}

/** What a handler gives back: the answer, a promise of it, or undefined when it answers later with `connection.send`. */
export type HandlerResult = RemotingCommand | undefined | Promise<RemotingCommand | undefined>;

/**
 * Handles one request. The answer's opaque is set for it; the answer to a oneway request is dropped. An exception or
 * rejection is logged and answered with SYSTEM_ERROR and its message. `request.body` and the
 * property bytes of a send are views into what was read, which the next read overwrites: whoever needs them after it has
 * returned or first awaits copies them. An answer with such a body is copied for it.
 */
export type RequestHandler = (request: RemotingCommand, connection: RemotingConnection) => HandlerResult;

/**
 * Looks at every request before its handler does. What it gives back is the answer, and the handler is not called;
 * undefined lets the request through. As for a handler, views into the request are used up before it returns.
 */
export type RequestGate = (
  request: RemotingCommand,
  connection: RemotingConnection,
) => RemotingCommand | Promise<RemotingCommand> | undefined;

/** Limits of one connection, server or client side. */
export interface ConnectionLimits {
  /** Bytes of a frame with its length prefix (RocketMQ com.rocketmq.remoting.frameMaxLength). */
  frameBytesMax: number;
  /** Bytes of a frame's header; a peer's text of hundreds of kilobytes is none that RocketMQ knows. */
  headerBytesMax: number;
  /** Requests whose handler has not finished. At this many the connection is not read from until one finishes. */
  inFlightRequestsMax: number;
  /** Unsent bytes at which a server no longer reads from the connection, until half of them are sent. */
  outgoingBytesPause: number;
  /** Own requests (`invoke`) waiting for their response; one more is refused with REMOTING_TOO_MANY_REQUESTS. */
  pendingInvocationsMax: number;
}

/** Limits of all connections of a server together, in bytes; d=as given or an eighth of the memory, whichever is less. */
export interface ServerLimits {
  /**
   * Requests whose handler has not finished, 2 KiB and their frame each, d=128 MiB. Beyond it connections are not read
   * from until some have finished, in turn.
   */
  requestBytesMax: number;
  /** Frames above 64 KiB of which a part has arrived, d=128 MiB. Further ones wait for their turn; small frames do not. */
  receivingBytesMax: number;
  /** What waits to be sent, and answers being made that asked for room, d=256 MiB. */
  answerBytesMax: number;
  /**
   * A connection that holds up others, or of which much waits, is closed when its peer neither takes nor sends anything
   * worth the while for this long, d=30,000.
   */
  stallTimeoutMs: number;
}

/** What is known of a request code beside its handler. */
export interface ProcessorOptions {
  /**
   * Bytes that an answer may have and that nobody reserves, d=0. They count as waiting to be sent while the handler runs,
   * so that a connection cannot ask for more of them than it reads.
   */
  answerBytes?: number;
}

export interface RemotingServerOptions extends Partial<ConnectionLimits>, Partial<ServerLimits> {
  /**
   * Reads the headers of sends and pulls from their bytes, three times as fast. Their handlers then take the fields with
   * sendFieldsOf() and pullFieldsOf(); `extFields` is undefined. Off by default.
   */
  hotFields?: boolean;
  logger?: RemotingLogger;
  clock?: Clock;
  /**
   * Connections at once, d=50,000 and no more than the process may open files, less a quarter for other files. The next
   * one is closed as it comes.
   */
  connectionsMax?: number;
  /** Files and sockets that the process may have open; d=what the system says. */
  descriptorLimit?: number;
  /** A connection without traffic for this long is closed, d=120,000 (checked every tenth of it). 0 = never. */
  idleTimeoutMs?: number;
  /** How long the event loop stays awake after an answer to a client that is about to send again, d=0; see BusyPoll. */
  busyPollMs?: number;
  /** Told how long requests took; undefined: nobody wants to know. */
  requestTimes?: RequestTimes | undefined;
  /** Who it is to clients that connect by TLS, on the same port. Without it there is no TLS. */
  tls?: ServerIdentity | undefined;
  tlsLimits?: Partial<TlsLimits>;
}

export interface ListenOptions {
  /** Address to bind, d=127.0.0.1. */
  host?: string;
  /** 0 = any free port. */
  port: number;
  /** True: connections are accepted but not read from until `open()`. */
  paused?: boolean;
}

export interface RemotingClientOptions extends Partial<ConnectionLimits> {
  logger?: RemotingLogger;
  clock?: Clock;
  /** Time for a TCP connection to come about, d=3,000. An invoke's own timeout counts from before connecting. */
  connectTimeoutMs?: number;
  /** A connection without traffic for this long is closed, d=120,000. 0 = never. */
  idleTimeoutMs?: number;
  /** Signs every request. */
  credentials?: Credentials | undefined;
  /** Local address to connect from; the system's choice without one. */
  localHost?: string;
  /** Connects by TLS. Files are read for each connection, so that renewed ones are used. */
  tls?: TlsClientOptions | undefined;
}
