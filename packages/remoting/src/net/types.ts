import type { Clock } from '../clock.ts';
import type { RemotingLogger } from '../logger.ts';
import type { RemotingCommand } from '../protocol/remoting-command.ts';

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
   * Rejects with REMOTING_TIMEOUT, REMOTING_CONNECTION_CLOSED or REMOTING_TOO_MANY_REQUESTS.
   */
  invoke(request: RemotingCommand, timeoutMs: number): Promise<RemotingCommand>;
  /** Sends a request that is not answered. As `send`. */
  invokeOneway(request: RemotingCommand): boolean;
  /** Closes at once; what is queued is dropped. The reason goes into the log and to `close` listeners. */
  destroy(reason: string): void;
}

/** What a handler gives back: the answer, a promise of it, or undefined when it answers later with `connection.send`. */
export type HandlerResult = RemotingCommand | undefined | Promise<RemotingCommand | undefined>;

/**
 * Handles one request. The answer's opaque is set for it; the answer to a oneway request is dropped. An exception or
 * rejection is logged and answered with SYSTEM_ERROR and its message. `request.body` is a view into the socket's chunk:
 * use it up before the first await or copy it.
 */
export type RequestHandler = (request: RemotingCommand, connection: RemotingConnection) => HandlerResult;

/** Limits of one connection, server or client side. */
export interface ConnectionLimits {
  /** Bytes of a frame with its length prefix (RocketMQ com.rocketmq.remoting.frameMaxLength). */
  frameBytesMax: number;
  /** Requests whose handler has not finished. At this many the connection is not read from until one finishes. */
  inFlightRequestsMax: number;
  /** Unsent bytes at which the connection is no longer read from, until half of them are sent. */
  outgoingBytesPause: number;
  /** Unsent bytes at which a peer that does not read is disconnected. */
  outgoingBytesMax: number;
  /** Own requests (`invoke`) waiting for their response; one more is refused with REMOTING_TOO_MANY_REQUESTS. */
  pendingInvocationsMax: number;
}

export interface RemotingServerOptions extends Partial<ConnectionLimits> {
  logger?: RemotingLogger;
  clock?: Clock;
  /** Connections at once, d=50,000; the next one is closed as it comes. */
  connectionsMax?: number;
  /** A connection without traffic for this long is closed, d=120,000 (checked every tenth of it). 0 = never. */
  idleTimeoutMs?: number;
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
  /** Local address to connect from; the system's choice without one. */
  localHost?: string;
}
