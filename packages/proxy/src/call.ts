import { CallerSession, storeHostOf } from '@vernier/broker/internal';
import { plainHost } from '@vernier/remoting';
import { StatusError } from './status.ts';
import { isBlank } from './validate.ts';
import { Code } from './wire/messages.ts';

/** What comes with a call beside its message. */
export interface CallFacts {
  /** `host:port` of the other end of the connection. */
  readonly peer: string;
  /** `:authority`, the name that the client dialled. */
  readonly authority: string;
  /** Unix milliseconds by the proxy's clock; Infinity for a call without a deadline. */
  readonly deadline: number;
  /** The first value of a header; undefined when there is none. */
  header(name: string): string | undefined;
}

/** One call of a client: who it is, and how long it waits. */
export class Call {
  readonly clientId: string;
  /** As the client writes it: `JAVA`, `NODE_JS`. */
  readonly language: string;
  /** Of the client, `5.0.7`. */
  readonly clientVersion: string;
  /** How the client proves who it is, and the time that it signed; empty without. */
  readonly authorization: string;
  readonly dateTime: string;
  readonly peer: string;
  readonly host: string;
  readonly port: number;
  readonly authority: string;
  readonly deadline: number;
  /** The asker of this call alone: it is gone when the call is cancelled. */
  readonly caller: CallerSession;

  constructor(facts: CallFacts) {
    this.clientId = facts.header('x-mq-client-id') ?? '';
    this.language = facts.header('x-mq-language') ?? '';
    this.clientVersion = facts.header('x-mq-client-version') ?? '';
    this.authorization = facts.header('authorization') ?? '';
    this.dateTime = facts.header('x-mq-date-time') ?? '';
    this.peer = facts.peer;
    const colon = facts.peer.lastIndexOf(':');
    this.host = plainHost(facts.peer.slice(0, colon).replace(/^\[|\]$/g, ''));
    this.port = Number(facts.peer.slice(colon + 1)) || 0;
    this.authority = facts.authority;
    this.deadline = facts.deadline;
    this.caller = new CallerSession(facts.peer, storeHostOf(this.host, this.port));
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
