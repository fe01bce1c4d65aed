import { createRequest, type ExtFields, type RemotingConnection, RequestCode } from '@vernier/remoting';
import { CallerSession, storeHostOf } from '../base/caller.ts';
import type { Client, ClientAnswer, TransactionCheck } from '../clients/client.ts';

/** The client at the other end of a connection. */
export class ConnectionCaller extends CallerSession implements Client {
  readonly connection: RemotingConnection;
  readonly #askTimeoutMs: number;

  constructor(connection: RemotingConnection, askTimeoutMs: number) {
    super(connection.remoteAddress, storeHostOf(connection.remoteHost, connection.remotePort));
    this.connection = connection;
    this.#askTimeoutMs = askTimeoutMs;
  }

  notifyConsumerIdsChanged(group: string): void {
    const fields = { consumerGroup: group };
    this.connection.invokeOneway(createRequest(RequestCode.NOTIFY_CONSUMER_IDS_CHANGED, fields));
  }

  checkTransactionState(check: TransactionCheck): boolean {
    if (this.connection.closed) return false;
    const fields: ExtFields = {
      tranStateTableOffset: String(check.queueOffset),
      commitLogOffset: String(check.logOffset),
      msgId: check.uniqKey,
      transactionId: check.uniqKey,
      offsetMsgId: check.offsetMessageId,
      topic: check.topic,
      bname: check.brokerName,
    };
    return this.connection.invokeOneway(createRequest(RequestCode.CHECK_TRANSACTION_STATE, fields, check.record));
  }

  async ask(code: number, fields: ExtFields | undefined, body: Buffer | undefined): Promise<ClientAnswer> {
    const answer = await this.connection.invoke(createRequest(code, fields, body), this.#askTimeoutMs);
    return {
      code: answer.code,
      remark: answer.remark,
      fields: answer.extFields,
      body: answer.body === undefined ? undefined : Buffer.from(answer.body),
    };
  }

  tell(code: number, fields: ExtFields | undefined, body: Buffer | undefined): boolean {
    return !this.connection.closed && this.connection.invokeOneway(createRequest(code, fields, body));
  }

  disconnect(reason: string): void {
    this.connection.destroy(reason);
  }
}

/** Who is at the other end of each connection: one caller each, made at its first request. */
export class ConnectionCallers {
  readonly #callers = new WeakMap<RemotingConnection, ConnectionCaller>();
  readonly #askTimeoutMs: number;

  /** `askTimeoutMs`: how long a client may take for an answer to the broker. */
  constructor(askTimeoutMs: number) {
    this.#askTimeoutMs = askTimeoutMs;
  }

  of(connection: RemotingConnection): ConnectionCaller {
    let caller = this.#callers.get(connection);
    if (caller === undefined) {
      caller = new ConnectionCaller(connection, this.#askTimeoutMs);
      // The last request of a connection may be handled after its end.
      if (connection.closed) caller.end();
      this.#callers.set(connection, caller);
    }
    return caller;
  }

  /** To be called when the connection has closed: what is held for its caller is dropped. */
  closed(connection: RemotingConnection): void {
    this.#callers.get(connection)?.end();
  }
}
