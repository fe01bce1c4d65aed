import { CallerSession, storeHostOf } from '@vernier/broker/internal';
import { plainHost } from '@vernier/remoting';
import type { StoreHost } from '@vernier/store';
import { StatusError } from './status.ts';
import { isBlank } from './validate.ts';
import { Code } from './wire/messages.ts';

/** The other end of a connection. */
export interface Peer {
  /** `host:port` */
  readonly address: string;
  readonly host: string;
  readonly port: number;
  /** The same as a record stores it. */
  readonly storeHost: StoreHost;
}

export function peerOf(address: string): Peer {
  const colon = address.lastIndexOf(':');
  const host = plainHost(address.slice(0, colon).replace(/^\[|\]$/g, ''));
  const port = Number(address.slice(colon + 1)) || 0;
  return { address, host, port, storeHost: storeHostOf(host, port) };
}

/** The peers of connections, so that a call costs a look. */
export class Peers {
  readonly #max: number;
  readonly #peers = new Map<string, Peer>();

  constructor(max: number) {
    this.#max = max;
  }

  of(address: string): Peer {
    const known = this.#peers.get(address);
    if (known !== undefined) return known;
    // Those of connections that are gone go with the others, which are made again.
    if (this.#peers.size >= this.#max) this.#peers.clear();
    const peer = peerOf(address);
    this.#peers.set(address, peer);
    return peer;
  }
}

/** What comes with a call beside its message. */
export interface CallFacts {
  readonly peer: Peer;
  /** `:authority`, the name that the client dialled. */
  readonly authority: string;
  /** Unix milliseconds by the proxy's clock; Infinity for a call without a deadline. */
  readonly deadline: number;
  readonly headers: Headers;
}

/** The values of a header, as the library of gRPC has them. */
interface Headers {
  get(name: string): readonly (string | Buffer)[];
}

/** One call of a client: who it is, and how long it waits. */
export class Call {
  readonly clientId: string;
  readonly peer: Peer;
  readonly authority: string;
  readonly deadline: number;
  /** The asker of this call alone: it is gone when the call is cancelled. */
  readonly caller: CallerSession;
  readonly #headers: Headers;

  constructor({ peer, authority, deadline, headers }: CallFacts) {
    this.#headers = headers;
    this.clientId = this.#header('x-mq-client-id');
    this.peer = peer;
    this.authority = authority;
    this.deadline = deadline;
    this.caller = new CallerSession(peer.address, peer.storeHost);
  }

  /** As the client writes it: `JAVA`, `NODE_JS`. */
  get language(): string {
    return this.#header('x-mq-language');
  }

  /** Of the client, `5.0.7`. */
  get clientVersion(): string {
    return this.#header('x-mq-client-version');
  }

  /** How the client proves who it is; empty without. */
  get authorization(): string {
    return this.#header('authorization');
  }

  /** The time that it signed; empty without. */
  get dateTime(): string {
    return this.#header('x-mq-date-time');
  }

  #header(name: string): string {
    return this.#headers.get(name)[0]?.toString() ?? '';
  }

  /** Throws CLIENT_ID_REQUIRED. */
  checkClientId(): void {
    if (isBlank(this.clientId)) throw new StatusError(Code.CLIENT_ID_REQUIRED, 'client id cannot be empty');
    if (this.clientId.length > CLIENT_ID_LENGTH_MAX) {
      const text = `the client id has ${this.clientId.length} characters, at most ${CLIENT_ID_LENGTH_MAX}`;
      throw new StatusError(Code.CLIENT_ID_REQUIRED, text);
    }
  }

  /** Milliseconds until nobody waits for the answer any more. */
  remainingMs(now: number): number {
    return this.deadline - now;
  }
}

const CLIENT_ID_LENGTH_MAX = 1_024;
