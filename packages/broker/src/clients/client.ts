import type { ExtFields } from '@vernier/remoting';
import type { Caller } from '../base/caller.ts';

/** What a client answered to a question of the broker. */
export interface ClientAnswer {
  /** ResponseCode. */
  readonly code: number;
  readonly remark: string | undefined;
  readonly fields: ExtFields | undefined;
  readonly body: Buffer | undefined;
}

/** What a producer is asked about a half that nobody ended. */
export interface TransactionCheck {
  /** Entry number of the half in its queue. */
  readonly queueOffset: number;
  /** Offset of the half in the log. */
  readonly logOffset: number;
  readonly offsetMessageId: string;
  readonly uniqKey: string | undefined;
  /** The half's own topic; the record has the real one. */
  readonly topic: string;
  readonly brokerName: string;
  /** The half as a record of the topic and queue that it is for. */
  readonly record: Buffer;
}

/** A caller that can be spoken to: a producer or consumer that sends heartbeats. Each front does it in its own way. */
export interface Client extends Caller {
  /** The members of the group changed, rebalance now. Nobody answers. */
  notifyConsumerIdsChanged(group: string): void;
  /** What is to become of the half? False: it could not be written; the client answers by ending the transaction. */
  checkTransactionState(check: TransactionCheck): boolean;
  /** Asks the client what an operator wants to know; rejects with REMOTING_TIMEOUT or REMOTING_CONNECTION_CLOSED. */
  ask(code: number, fields: ExtFields | undefined, body: Buffer | undefined): Promise<ClientAnswer>;
  /** As `ask`, and nobody answers. False: it could not be written. */
  tell(code: number, fields: ExtFields | undefined, body: Buffer | undefined): boolean;
  /** Ends the session; the reason is for the log. */
  disconnect(reason: string): void;
}
