import { Refusal } from '@vernier/broker/internal';
import {
  createRequest,
  type ExtFields,
  parseAddress,
  RemotingClient,
  type RemotingClientOptions,
  type RemotingCommand,
  RemotingError,
  type RemotingErrorCode,
  ResponseCode,
  requestCodeName,
} from '@vernier/remoting';
import { StatusError } from '../../status.ts';
import { Code } from '../../wire/messages.ts';

/** How long a server may take for an answer, beside what the request lets it wait; milliseconds. */
export const ANSWER_MS = 6_000;
/** Of a nameserver, of which there may be others. */
const ROUTE_MS = 3_000;
/** What a server may take to read what is still on its way to it when the proxy stops. */
const CLOSE_MS = 200;
/** Requests to one server that wait for their answers; a consumer that waits for messages is one. */
const PENDING_MAX = 1_000_000;

export interface CallsOptions extends Pick<RemotingClientOptions, 'tls' | 'credentials' | 'logger' | 'clock'> {
  /** `host:port` of each. */
  readonly namesrvs: readonly string[];
  /** Called when a broker could not be reached, or did not answer. */
  readonly unreachable: (address: string) => void;
  /** See ANSWER_MS. */
  readonly answerMs?: number;
}

const statusCodes: Partial<Record<RemotingErrorCode, Code>> = {
  REMOTING_TIMEOUT: Code.PROXY_TIMEOUT,
  REMOTING_TOO_MANY_REQUESTS: Code.TOO_MANY_REQUESTS,
};
const UNREACHABLE: ReadonlySet<string> = new Set<RemotingErrorCode>([
  ...(['REMOTING_CONNECT_FAILED', 'REMOTING_CONNECTION_CLOSED', 'REMOTING_TIMEOUT'] as const),
]);

/**
 * Requests to nameservers and brokers. An answer of any code resolves; whatever leaves open what a server did rejects with
 * StatusError: PROXY_TIMEOUT when it said nothing in time, INTERNAL_SERVER_ERROR when it could not be reached, its connection
 * was lost, or its bytes were no answer.
 */
export class Calls {
  readonly remoting: RemotingClient;
  readonly #namesrvs: readonly string[];
  readonly #unreachable: (address: string) => void;
  readonly #answerMs: number;
  /** The one that answered last is asked first. */
  #current = 0;

  /** Throws REMOTING_ADDRESS_INVALID. */
  constructor({ namesrvs, unreachable, answerMs = ANSWER_MS, ...options }: CallsOptions) {
    for (const address of namesrvs) parseAddress(address);
    this.#namesrvs = namesrvs;
    this.#unreachable = unreachable;
    this.#answerMs = answerMs;
    this.remoting = new RemotingClient({ ...options, pendingInvocationsMax: PENDING_MAX });
  }

  /** `waitMs`: how long the request lets the server wait. */
  async ask(address: string, code: number, fields: ExtFields, body?: Buffer, waitMs = 0): Promise<RemotingCommand> {
    try {
      return await this.remoting.invoke(address, createRequest(code, fields, body), this.#answerMs + waitMs);
    } catch (error) {
      if (error instanceof RemotingError && UNREACHABLE.has(error.code)) this.#unreachable(address);
      throw this.#failed(address, code, error);
    }
  }

  /** For what no call of a client is about: that it fails says nothing of where topics are. */
  async askAside(address: string, code: number, fields: ExtFields, body?: Buffer): Promise<RemotingCommand> {
    try {
      return await this.remoting.invoke(address, createRequest(code, fields, body), this.#answerMs);
    } catch (error) {
      throw this.#failed(address, code, error);
    }
  }

  /** Asks one after the other until one answers. */
  async askNamesrv(code: number, fields: ExtFields): Promise<RemotingCommand> {
    let last: unknown;
    for (let turn = 0; turn < this.#namesrvs.length; turn++) {
      const index = this.#current;
      const address = this.#namesrvs[index] as string;
      try {
        return await this.remoting.invoke(address, createRequest(code, fields), Math.min(ROUTE_MS, this.#answerMs));
      } catch (error) {
        last = this.#failed(address, code, error);
        if (this.#current === index) this.#current = (index + 1) % this.#namesrvs.length;
      }
    }
    throw last;
  }

  /** Calls that wait for answers fail. */
  close(): Promise<void> {
    return this.remoting.close(CLOSE_MS);
  }

  #failed(address: string, code: number, error: unknown): unknown {
    if (!(error instanceof RemotingError)) return error;
    const text = `${requestCodeName(code)} at ${address}: ${error.message}`;
    return new StatusError(statusCodes[error.code] ?? Code.INTERNAL_SERVER_ERROR, text);
  }
}

/** What a server says that did not do it. */
export const refused = ({ code, remark }: RemotingCommand): Refusal => new Refusal(code, remark ?? '');

/** Undefined: it is done. */
export const refusalOf = (response: RemotingCommand): Refusal | undefined =>
  response.code === ResponseCode.SUCCESS ? undefined : refused(response);

/** What a server says that cannot be. Throws INTERNAL_SERVER_ERROR. */
export function unusable(address: string, what: string): never {
  throw new StatusError(Code.INTERNAL_SERVER_ERROR, `the answer of ${address} cannot be used: ${what}`);
}

/** A field of an answer that is a whole number from 0 on; throws INTERNAL_SERVER_ERROR. */
export function numberField(address: string, { extFields }: RemotingCommand, name: string): number {
  const text = extFields?.[name];
  const value = text === undefined || !/^\d{1,16}$/.test(text) ? Number.NaN : Number(text);
  return Number.isSafeInteger(value) ? value : unusable(address, `its field ${name} is no whole number`);
}
