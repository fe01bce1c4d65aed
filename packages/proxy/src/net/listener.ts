import { createServer, type Server, type Socket } from 'node:net';
import { listenError, TLS_HANDSHAKE } from '@vernier/remoting';
import type { StoreLogger } from '@vernier/store';

export interface ListenerOptions {
  readonly connectionsMax: number;
  /** How long a connection may say nothing before its first byte, milliseconds. */
  readonly firstByteMs: number;
  /** One of which nothing comes for so long is destroyed, milliseconds; what lives answers pings before. */
  readonly silentMs: number;
  readonly logger: StoreLogger;
}

/** What a look at the connections found of one. */
interface Heard {
  bytes: number;
  looks: number;
}

/** Looks within `silentMs`. */
const LOOKS = 4;

/** Who takes connections, by what their first byte says. Nothing of the connection has been read then. */
export interface Doors {
  plain(socket: Socket): void;
  tls(socket: Socket): void;
}

/**
 * The port of the proxy. It listens from the start, so that nobody is refused; what connects before `open` waits unread. One
 * port is for plaintext and TLS: the first byte tells them apart.
 */
export class Listener {
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #sockets = new Map<string, Socket>();
  readonly #heard = new WeakMap<Socket, Heard>();
  #timer: NodeJS.Timeout | undefined;
  /** Those that nobody serves yet: they wait for `open`, or have said nothing. */
  readonly #silent = new Set<Socket>();
  #whenEmpty: (() => void) | undefined;
  #doors: Doors | undefined;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => this.#accepted(socket));
    this.#server.maxConnections = options.connectionsMax;
  }

  get connectionCount(): number {
    return this.#sockets.size;
  }

  /**
   * Resolves with the port. Rejects REMOTING_PORT_IN_USE, REMOTING_PORT_FORBIDDEN, REMOTING_ADDRESS_UNAVAILABLE or
   * REMOTING_LISTEN_FAILED.
   */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const failed = (error: Error): void => reject(listenError(error, host, port));
      this.#server.once('error', failed);
      this.#server.listen({ host, port, backlog: 1024 }, () => {
        this.#server.removeListener('error', failed);
        this.#server.on('error', (error) => this.#options.logger.error({ err: error }, `proxy: ${error.message}`));
        resolve((this.#server.address() as { port: number }).port);
      });
    });
  }

  /** From here on connections are served, those that waited first. */
  open(doors: Doors): void {
    this.#doors = doors;
    for (const socket of this.#silent) this.#begin(socket, doors);
    this.#timer = setInterval(() => this.#look(), this.#options.silentMs / LOOKS);
  }

  /**
   * Ends those of which nothing has come for long, whatever is done with them: while a write by TLS does not end, node reads no
   * more, tells of no end and closes no session, although its peer is gone.
   */
  #look(): void {
    for (const socket of this.#sockets.values()) {
      const heard = this.#heard.get(socket);
      if (heard === undefined || heard.bytes !== socket.bytesRead) {
        this.#heard.set(socket, { bytes: socket.bytesRead, looks: 0 });
      } else if (++heard.looks >= LOOKS) {
        socket.destroy();
      }
    }
  }

  /** Nobody connects any more; connections that are served stay. Resolves when all of them are closed. */
  async stopListening(): Promise<void> {
    clearInterval(this.#timer);
    this.#server.close();
    for (const socket of this.#silent) socket.destroy();
    if (this.#sockets.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#whenEmpty = resolve;
    });
  }

  /** Ends what is open. */
  destroy(): void {
    clearInterval(this.#timer);
    this.#server.close();
    for (const socket of this.#sockets.values()) socket.destroy();
  }

  /** Ends the connection of one client, `host:port`. */
  disconnect(peer: string): void {
    this.#sockets.get(peer)?.destroy();
  }

  #accepted(socket: Socket): void {
    const peer = `${socket.remoteAddress}:${socket.remotePort}`;
    this.#sockets.set(peer, socket);
    socket.on('close', () => {
      this.#silent.delete(socket);
      if (this.#sockets.get(peer) === socket) this.#sockets.delete(peer);
      if (this.#sockets.size === 0) this.#whenEmpty?.();
    });
    // A connection that is reset before somebody listens would end the process.
    socket.on('error', () => {});
    this.#silent.add(socket);
    if (this.#doors !== undefined) this.#begin(socket, this.#doors);
  }

  #begin(socket: Socket, doors: Doors): void {
    if (socket.destroyed) return;
    const late = (): void => void socket.destroy();
    socket.setTimeout(this.#options.firstByteMs, late);
    socket.once('readable', () => {
      socket.removeListener('timeout', late);
      socket.setTimeout(0);
      this.#silent.delete(socket);
      const first: Buffer | null = socket.read(1);
      // Closed, without a word.
      if (first === null) return void socket.destroy();
      socket.unshift(first);
      if (first.readUInt8(0) === TLS_HANDSHAKE) doors.tls(socket);
      else doors.plain(socket);
    });
    // In the next turn: it was paused when it was accepted.
    socket.read(0);
  }
}
