import type {
  BrokerConfig,
  BrokerContext,
  Caller,
  Client,
  PopAsker,
  PopRequest,
  Refusal,
  SubscriptionGroupConfig,
} from '@vernier/broker/internal';
import type { DecodedMessage, HeartbeatData, TopicConfig } from '@vernier/remoting';
import type { Clock, StoreLogger } from '@vernier/store';
import type { FromClient } from '../messages/from-client.ts';
import type { Receipt } from '../receipts/handle.ts';

/**
 * What a proxy stands in front of: the broker of its own process (LocalBackend), or the brokers behind nameservers
 * (RemoteBackend). The methods call it, and know nothing of which it is.
 *
 * What it knows of topics and groups is asked without waiting. A backend that has to ask others for it does so in `learn`,
 * before a call begins.
 */
export interface Backend {
  readonly clock: Clock;
  readonly logger: StoreLogger;
  readonly access: BrokerContext['access'] | { readonly isOn: false };
  /** Milliseconds. */
  readonly config: Pick<BrokerConfig, 'channelExpiredTimeout' | 'callClientTimeoutMills'>;
  readonly reports: BrokerContext['reports'];
  /** What TLS did at each port, as whoever listens there says. */
  readonly tlsPorts: BrokerContext['tls']['ports'];
  /** Where files of this broker are kept over a restart; undefined: none are. */
  readonly metadata: (Pick<BrokerContext['metadata'], 'file'> & { readonly brokerName: string }) | undefined;
  readonly topics: Topics;
  readonly groups: Groups;
  readonly members: Members;
  readonly messages: Messages;
  readonly deliveries: Deliveries;
  readonly transactions: Transactions;
  /** Single queues by their numbers; undefined: the methods that need it are answered NOT_IMPLEMENTED. */
  readonly queues: Queues | undefined;
  /** Undefined: lite topics are answered NOT_IMPLEMENTED. */
  readonly lite: Lite | undefined;

  /**
   * Finds out what a call needs to know of these names. Undefined when it knows them. Rejects with StatusError when nobody
   * answers; a name that nobody knows is none of its failures. A backend without it knows everything.
   */
  readonly learn: ((names: Names) => Promise<void> | undefined) | undefined;

  /** The broker of a receipt is one of ours; throws INVALID_RECEIPT_HANDLE. */
  checkBroker(brokerName: string): void;
}

/** Names of topics and groups that a call is about. */
export interface Names {
  readonly topics: readonly string[];
  readonly groups: readonly string[];
}

export interface Topics {
  isSystemTopic(topic: string): boolean;
  /** Undefined: it is not there. */
  select(topic: string): TopicConfig | undefined;
  /** The topic as clients see it, also one that the first message may make; undefined: there is none. */
  route(topic: string): RoutedTopic | undefined;
}

export interface RoutedTopic {
  readonly attributes: TopicConfig['attributes'];
  readonly brokers: readonly RoutedBroker[];
}

/** The queues of a topic on one broker, by the numbers that clients know. */
export interface RoutedBroker {
  readonly name: string;
  /** Bits of Perm. */
  readonly perm: number;
  readonly queues: readonly RoutedQueue[];
  /** Those that can be read. */
  readonly readIds: readonly number[];
}

export interface RoutedQueue {
  readonly id: number;
  readonly perm: number;
}

export interface Groups {
  /** Undefined: there is none, and clients may not make it. */
  find(group: string): SubscriptionGroupConfig | undefined;
  /** The same without making it. */
  preview(group: string): SubscriptionGroupConfig | undefined;
}

/** Producers and consumers that are there. */
export interface Members {
  /** Undefined: the client is in the groups that it names. */
  beat(heartbeat: HeartbeatData, client: Client): Refusal | undefined;
  /** It leaves all of them. */
  remove(client: Client): void;
}

/** Where messages go. */
export interface Target {
  readonly topic: string;
  /** Messages of one group go to one queue, whoever sends them; empty: any queue. */
  readonly messageGroup: string;
}

/** Messages were stored together, as safely as `code` says. */
export interface Sent {
  /** ResponseCode: SUCCESS, or one of the three that say what is not known. */
  readonly code: number;
  /** Entry number of the first in its queue, as clients know it. */
  readonly offset: number;
  /** They have one entry together. */
  readonly isInnerBatch: boolean;
  /** Empty: it cannot be recalled. */
  readonly recallHandle: string;
  readonly half: HalfPlace;
}

/** Where the half of a transaction lies; clients of gRPC know only its id. */
export interface HalfPlace {
  /** Entry number in the queue of halves. */
  readonly queueOffset: number;
  /** Offset in the log. */
  readonly logOffset: number;
  readonly brokerName: string;
}

export interface Messages {
  /**
   * One message, or several that are stored together and have one sysFlag. Throws StatusError TOPIC_NOT_FOUND or FORBIDDEN;
   * rejects with StatusError when nobody knows whether they are stored.
   */
  send(target: Target, messages: readonly FromClient[], caller: Caller): Promise<Sent | Refusal>;
  /** Resolves with the id of the message that is not delivered. */
  recall(recall: { topic: string; handle: string; producerGroup: string }, caller: Caller): Promise<string | Refusal>;
}

export interface ReceiveRequest {
  readonly pop: PopRequest;
  /** The broker that the client chose; empty: any. */
  readonly brokerName: string;
  readonly clientId: string;
  readonly isLite: boolean;
}

/** One message on its way to a consumer. */
export interface Outgoing {
  readonly receipt: Receipt;
  /** With the numbers that clients know. */
  readonly message: DecodedMessage;
  /** 1 and more. */
  readonly attempt: number;
}

/** What a pop gave. */
export interface Taken {
  /** ResponseCode. */
  readonly code: number;
  readonly found: readonly Outgoing[];
}

/** What becomes of messages that are delivered. Rejects with StatusError when nobody knows whether it was done. */
export interface Deliveries {
  /** Undefined: the caller is gone. */
  receive(request: ReceiveRequest, caller: Caller, asker: PopAsker): Promise<Taken | Refusal | undefined>;
  /** Undefined: it is acknowledged. */
  ack(receipt: Receipt): Promise<Refusal | undefined>;
  /** Gives a delivery another time from now on; resolves with its new receipt. `isSuspended`: it is no try. */
  change(receipt: Receipt, invisibleMs: number, isSuspended: boolean): Promise<Receipt | Refusal>;
  /** See AckService.isOpen. */
  isOpen(receipt: Receipt): Promise<boolean>;
  /** Undefined: a copy is among the dead letters of the group. The delivery is what it was. */
  forward(receipt: Receipt, caller: Caller): Promise<Refusal | undefined>;
}

export interface TransactionEnd {
  readonly producerGroup: string;
  readonly topic: string;
  readonly transactionId: string;
  readonly half: HalfPlace;
  readonly commitOrRollback: number;
  readonly isFromCheck: boolean;
}

export interface Transactions {
  /** Undefined: it is ended. */
  end(end: TransactionEnd, caller: Caller): Promise<Refusal | undefined>;
  /** The newest half of that id, of before this proxy's start; undefined: none is found. */
  find(topic: string, transactionId: string): Promise<HalfPlace | undefined>;
}

export interface Queues extends Pick<BrokerContext, 'pull' | 'groupOffsets' | 'queueBounds' | 'staticTopics'> {
  readonly brokerName: string;
}

export type Lite = Pick<BrokerContext['lite'], 'subscribing'>;
