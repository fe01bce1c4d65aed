import {
  createRequest,
  type ExtFields,
  type RemotingCommand,
  type RemotingConnection,
  RequestCode,
} from '@vernier/remoting';

/** Requests that a broker sends to its clients (RocketMQ Broker2Client). */
export class BrokerToClient {
  readonly #timeoutMs: number;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** NOTIFY_CONSUMER_IDS_CHANGED: the members of the group changed, rebalance now. Nobody answers. */
  notifyConsumerIdsChanged(group: string, members: readonly RemotingConnection[]): void {
    for (const connection of members) {
      connection.invokeOneway(createRequest(RequestCode.NOTIFY_CONSUMER_IDS_CHANGED, { consumerGroup: group }));
    }
  }

  /** Passes an operator's request on to a client; rejects with REMOTING_TIMEOUT or REMOTING_CONNECTION_CLOSED. */
  callClient(
    connection: RemotingConnection,
    code: number,
    fields: ExtFields | undefined,
    body: Buffer | undefined,
  ): Promise<RemotingCommand> {
    return connection.invoke(createRequest(code, fields, body), this.#timeoutMs);
  }
}
