import {
  type Client,
  type ClientAnswer,
  type Identity,
  storeHostOf,
  type TransactionCheck,
} from '@vernier/broker/internal';
import type { Settings, TelemetryCommand } from '../wire/messages.ts';

/** The stream over which a client can be spoken to. False: it cannot be written to any more. */
export interface TelemetryStream {
  write(command: TelemetryCommand): boolean;
  end(): void;
}

/** What a client needs of the proxy to be asked something. */
export interface ClientQuestions {
  /** See Client.checkTransactionState. */
  check(client: GrpcClient, check: TransactionCheck): boolean;
  ask(
    client: GrpcClient,
    code: number,
    fields: Record<string, string | undefined>,
    body?: Buffer,
  ): Promise<ClientAnswer>;
  gone(client: GrpcClient, reason: string): void;
  unsubscribe(client: GrpcClient, fields: Record<string, string | undefined>): boolean;
}

const GONE = new Error('the client is gone');

/** A client by its id, over all its connections and streams: there until it says that it goes, or falls silent. */
export class GrpcClient implements Client {
  readonly clientId: string;
  readonly language: number;
  readonly version: number;
  /** Who signed its last call that was a sign of life. */
  identity: Identity | undefined = undefined;
  readonly #questions: ClientQuestions;
  readonly #controller = new AbortController();
  #remoteAddress = '';
  #host = storeHostOf('127.0.0.1', 0);
  /** As the client gave them. */
  settings: Settings | undefined;
  encoded: Buffer = Buffer.alloc(0);
  telemetry: TelemetryStream | undefined;
  /** Monotonic milliseconds. */
  lastSeen = 0;

  constructor(clientId: string, language: number, version: number, questions: ClientQuestions) {
    this.clientId = clientId;
    this.language = language;
    this.version = version;
    this.#questions = questions;
  }

  get remoteAddress(): string {
    return this.#remoteAddress;
  }

  get host(): ReturnType<typeof storeHostOf> {
    return this.#host;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get isGone(): boolean {
    return this.#controller.signal.aborted;
  }

  /** Where it was last heard from. */
  seenAt(address: string, port: number, monotonic: number, identity: Identity | undefined): void {
    this.identity = identity;
    this.#remoteAddress = `${address}:${port}`;
    this.#host = storeHostOf(address, port);
    this.lastSeen = monotonic;
  }

  /** Consumers of gRPC do not share queues among them: nothing changes for them. */
  notifyConsumerIdsChanged(): void {}

  checkTransactionState(check: TransactionCheck): boolean {
    return this.#questions.check(this, check);
  }

  ask(
    code: number,
    fields: Record<string, string | undefined> | undefined,
    body: Buffer | undefined,
  ): Promise<ClientAnswer> {
    return this.#questions.ask(this, code, fields ?? {}, body);
  }

  tell(_code: number, fields: Record<string, string | undefined> | undefined): boolean {
    return this.#questions.unsubscribe(this, fields ?? {});
  }

  disconnect(reason: string): void {
    this.#questions.gone(this, reason);
  }

  /** A second call does nothing. */
  end(): void {
    if (this.isGone) return;
    this.#controller.abort(GONE);
    this.telemetry?.end();
    this.telemetry = undefined;
  }
}
