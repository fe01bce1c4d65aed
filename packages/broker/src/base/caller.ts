import { isIP } from 'node:net';
import { hostBytes } from '@vernier/remoting';
import type { StoreHost } from '@vernier/store';
import type { Identity } from './identity.ts';

/**
 * Who asks a service for something: all that a rule may know of it, and no connection. A front makes one object for each
 * of its sessions (processors: for each connection) and passes the same one with every request, so that a message costs
 * nothing here. The group is not in it: the clients of one process share a connection and belong to several groups, so
 * each request names its own.
 */
export interface Caller {
  /** As the last heartbeat said; empty before it. */
  readonly clientId: string;
  /** LanguageCode of the last heartbeat; -1 before it. */
  readonly language: number;
  /** MQVersion ordinal of the last heartbeat; -1 before it. */
  readonly version: number;
  /** `host:port`, for logs and answers. */
  readonly remoteAddress: string;
  /** The same as a record stores it (bornHost). One object for all messages of the caller. */
  readonly host: StoreHost;
  /**
   * Who it proved to be; undefined without access control. It is that of the request being handled: whoever needs it reads
   * it before the first wait, because the next request of a connection may be another user's.
   */
  readonly identity: Identity | undefined;
  /** Aborts once, when the caller can take no answer any more. What is held for it is dropped then. */
  readonly signal: AbortSignal;
  /** The same as `signal.aborted`, at the cost of a field. */
  readonly isGone: boolean;
}

/** An address as records store it. A name, which records cannot hold, becomes loopback. */
export const storeHostOf = (address: string, port: number): StoreHost => ({
  address: isIP(address) === 0 ? Uint8Array.of(127, 0, 0, 1) : hostBytes(address),
  port,
});

/** Why a signal aborts. One for all: without one each abort makes an exception with a stack, for nobody. */
const GONE = new Error('the caller is gone');

/** A caller's life: there until `end`. */
export class CallerSession implements Caller {
  clientId = '';
  language = -1;
  version = -1;
  identity: Identity | undefined = undefined;
  readonly remoteAddress: string;
  readonly host: StoreHost;
  #isGone = false;
  /** Made when somebody first asks for the signal. */
  #controller: AbortController | undefined;

  constructor(remoteAddress: string, host: StoreHost) {
    this.remoteAddress = remoteAddress;
    this.host = host;
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#isGone) this.#controller.abort(GONE);
    }
    return this.#controller.signal;
  }

  /** What a heartbeat says of the client. */
  identify(clientId: string, language: number, version: number): void {
    this.clientId = clientId;
    this.language = language;
    this.version = version;
  }

  /** The asker is gone. A second call does nothing. */
  end(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#controller?.abort(GONE);
  }
}
