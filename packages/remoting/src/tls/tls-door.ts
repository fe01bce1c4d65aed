import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type Clock, systemClock } from '../clock.ts';
import { errorText } from '../error-text.ts';
import { ByteBudget } from '../net/byte-budget.ts';
import { type Deadline, Deadlines } from '../net/deadlines.ts';
import { limitsFrom, memoryBytes } from '../net/limits.ts';
import { Slices } from '../net/slices.ts';
import type { SecureServer } from './secure-server.ts';
import type { ServerIdentity } from './server-identity.ts';

/** The first byte of a connection that begins with a ClientHello. A frame that begins so would have 369 million bytes. */
export const TLS_HANDSHAKE = 0x16;

/** What TLS takes on one port. Times in milliseconds, sizes in bytes. */
export interface TlsLimits {
  /** Handshakes under way at once, d=256. More wait, and have their place as soon as one is done or has been slow. */
  handshakesMax: number;
  /** From the first byte to the end of the handshake, d=10,000. */
  handshakeTimeoutMs: number;
  /** What TLS holds for all connections, d=an eighth of the memory, at most 3 GiB; TLS_CONNECTION_BYTES each. More are closed. */
  tlsBytesMax: number;
}

export function defaultTlsLimits(): TlsLimits {
  return {
    handshakesMax: 256,
    handshakeTimeoutMs: 10_000,
    tlsBytesMax: Math.min(3 * 1024 * 1024 * 1024, Math.floor(memoryBytes() / 8)),
  };
}

/** What a connection holds for its keys, its records and the stream above it: some 44 KiB after a handshake. */
export const TLS_CONNECTION_BYTES = 64 * 1024;

/** Begun in one turn of the event loop: each is up to some milliseconds of arithmetic that nobody else gets past. */
const BEGUN_A_TURN = 4;

/** A handshake that has taken longer gives its place to the next one that waits. Over any network it is done by then. */
const SLOW_MS = 1_000;

/**
 * How handshakes end: `ok`; `failed`, as TLS itself or the peer's certificate has it; `timeout`, too slow for its place;
 * `closed` by the peer before its end; `refused` for want of room, or in a shutdown.
 */
export const HANDSHAKE_RESULTS = ['ok', 'failed', 'timeout', 'closed', 'refused'] as const;
export type HandshakeResult = (typeof HANDSHAKE_RESULTS)[number];

/** What TLS did at one port since the start. */
export interface TlsCounts {
  readonly handshakes: Readonly<Record<HandshakeResult, number>>;
  /** Connections by TLS that are open now. */
  readonly connections: number;
}

/** How a handshake ended. One of the two is called once, or none when the peer has closed the connection. */
export interface HandshakeOutcome {
  /** `stream` is what the peer sends and gets; nothing of it has been read. */
  secured(stream: TLSSocket): void;
  /** The socket is still open. */
  failed(reason: string): void;
}

interface Handshake {
  readonly socket: Socket;
  /** Both addresses of its connection. */
  readonly name: string;
  readonly outcome: HandshakeOutcome;
  readonly deadline: Deadline;
  slow: Deadline | undefined;
  isSecured: boolean;
}

/**
 * Makes TLS connections of sockets whose first byte says that they are some. Node's TLS is loaded, and a certificate made
 * when there is none, with the first of them.
 *
 * However many peers begin a handshake and do not end it: so many are under way, each for so long, and who waits gets the
 * place of the one that has been at it for longest.
 */
export class TlsDoor {
  readonly identity: ServerIdentity;
  readonly #alpn: readonly string[];
  readonly #limits: TlsLimits;
  readonly #deadlines: Deadlines;
  readonly #memory: ByteBudget;
  readonly #waiting = new Set<Handshake>();
  /** By name: node tells of the end of a handshake with another object than it was given. */
  readonly #underWay = new Map<string, Handshake>();
  /** Those under way for longer than SLOW_MS, the first one first. */
  readonly #slow = new Set<Handshake>();
  readonly #begin = new Slices<Handshake>(BEGUN_A_TURN, (handshake) => this.#hand(handshake));
  readonly #handshakes = { ok: 0, failed: 0, timeout: 0, closed: 0, refused: 0 };
  #connections = 0;
  #loading: Promise<SecureServer> | undefined;
  #closed = false;

  constructor(
    identity: ServerIdentity,
    options: { limits?: Partial<TlsLimits>; alpn?: readonly string[]; clock?: Clock } = {},
  ) {
    this.identity = identity;
    this.#alpn = options.alpn ?? [];
    this.#limits = limitsFrom(defaultTlsLimits(), options.limits ?? {});
    this.#deadlines = new Deadlines(options.clock ?? systemClock);
    this.#memory = new ByteBudget(this.#limits.tlsBytesMax);
  }

  /** Handshakes that have not ended. */
  get pending(): number {
    return this.#waiting.size + this.#underWay.size;
  }

  /** What the connections hold, those that are still in a handshake too. */
  get usedBytes(): number {
    return this.#memory.used;
  }

  get counts(): TlsCounts {
    return { handshakes: { ...this.#handshakes }, connections: this.#connections };
  }

  /** `socket` is paused, and what was read from it is put back. */
  accept(socket: Socket, outcome: HandshakeOutcome): void {
    if (socket.destroyed) return;
    if (!this.#closed && this.#memory.fits(TLS_CONNECTION_BYTES)) {
      this.#add(socket, outcome);
      return;
    }
    this.#handshakes.refused++;
    if (this.#closed) {
      outcome.failed('the server is shutting down');
    } else {
      outcome.failed(`TLS connections hold ${this.#memory.used} bytes, at most ${this.#memory.max}`);
    }
  }

  #add(socket: Socket, outcome: HandshakeOutcome): void {
    const { handshakeTimeoutMs } = this.#limits;
    const handshake: Handshake = {
      socket,
      name: nameOf(socket),
      outcome,
      deadline: this.#deadlines.add(handshakeTimeoutMs, () =>
        this.#fail(handshake, 'timeout', `the handshake was not done after ${handshakeTimeoutMs} ms`),
      ),
      slow: undefined,
      isSecured: false,
    };
    this.#memory.take(TLS_CONNECTION_BYTES);
    socket.once('close', () => {
      this.#memory.give(TLS_CONNECTION_BYTES);
      if (handshake.isSecured) this.#connections--;
      if (this.#end(handshake)) this.#handshakes.closed++;
    });
    this.#waiting.add(handshake);
    this.#next();
  }

  /** Ends the handshakes that are under way, and takes no more. */
  close(): void {
    this.#closed = true;
    for (const handshake of [...this.#waiting, ...this.#underWay.values()]) {
      this.#fail(handshake, 'refused', 'the server is shutting down');
    }
    this.#deadlines.close();
    this.#loading?.then(
      (secure) => secure.close(),
      () => {},
    );
  }

  /** Gives places to those that wait, as far as there are any. */
  #next(): void {
    for (const handshake of this.#waiting) {
      if (this.#underWay.size >= this.#limits.handshakesMax) {
        const [slowest] = this.#slow;
        if (slowest === undefined) return;
        // It calls this again.
        this.#fail(slowest, 'timeout', `others wait for its place, and it was not done after ${SLOW_MS} ms`);
        return;
      }
      this.#waiting.delete(handshake);
      this.#underWay.set(handshake.name, handshake);
      handshake.slow = this.#deadlines.add(SLOW_MS, () => {
        this.#slow.add(handshake);
        if (this.#waiting.size > 0) this.#next();
      });
      this.#begin.add(handshake);
    }
  }

  /** Lets node's server begin it. */
  #hand(handshake: Handshake): void {
    this.#loading ??= this.#load();
    this.#loading.then(
      ({ server }) => {
        if (this.#isUnderWay(handshake)) server.emit('connection', handshake.socket);
      },
      (error: unknown) => this.#fail(handshake, 'failed', errorText(error)),
    );
  }

  async #load(): Promise<SecureServer> {
    try {
      const { clientFault, handshakeFault, secureServer } = await import('./secure-server.ts');
      const secure = await secureServer(this.identity, this.#alpn);
      if (this.#closed) secure.close();
      secure.server.on('secureConnection', (stream: TLSSocket) => {
        const handshake = this.#underWay.get(nameOf(stream));
        if (handshake === undefined) return void stream.destroy();
        const fault = clientFault(stream, this.identity);
        if (fault !== undefined) return this.#fail(handshake, 'failed', fault);
        this.#end(handshake);
        this.#handshakes.ok++;
        this.#connections++;
        handshake.isSecured = true;
        handshake.outcome.secured(stream);
      });
      secure.server.on('tlsClientError', (error: Error, stream: TLSSocket) => {
        const handshake = this.#underWay.get(nameOf(stream));
        if (handshake !== undefined) this.#fail(handshake, 'failed', handshakeFault(error, stream));
      });
      return secure;
    } catch (error) {
      // The next one tries again.
      this.#loading = undefined;
      throw error;
    }
  }

  #isUnderWay(handshake: Handshake): boolean {
    return this.#underWay.get(handshake.name) === handshake && !handshake.socket.destroyed;
  }

  #fail(handshake: Handshake, result: HandshakeResult, reason: string): void {
    if (!this.#end(handshake)) return;
    this.#handshakes[result]++;
    handshake.outcome.failed(reason);
  }

  /** False when it had ended before. */
  #end(handshake: Handshake): boolean {
    const { name, deadline, slow } = handshake;
    const wasUnderWay = this.#underWay.get(name) === handshake;
    if (!wasUnderWay && !this.#waiting.has(handshake)) return false;
    if (wasUnderWay) this.#underWay.delete(name);
    this.#waiting.delete(handshake);
    this.#slow.delete(handshake);
    this.#deadlines.remove(deadline);
    if (slow !== undefined) this.#deadlines.remove(slow);
    if (!this.#closed) this.#next();
    return true;
  }
}

const nameOf = ({ remoteAddress, remotePort, localAddress, localPort }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
