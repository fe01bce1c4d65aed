import { languageFromName, languageName } from '../codes/language-code.ts';
import { versionDescription } from '../codes/mq-version.ts';
import { FRAME_BYTES_MAX } from './frame-bytes.ts';
import {
  CONSUME_FROM_WHERE,
  CONSUME_TYPES,
  type ConsumeType,
  MESSAGE_MODELS,
  type MessageModel,
  type SubscriptionData,
  subscriptionDataFromJson,
  subscriptionDataJson,
} from './heartbeat.ts';
import { asArray, asObject, bodyObject, choiceMember, integerMember, stringMember } from './json-members.ts';

/** One client of a group (RocketMQ Connection). */
export interface ClientConnection {
  clientId: string;
  /** `host:port` as the broker sees it. */
  clientAddr: string;
  /** LanguageCode. */
  language: number;
  /** MQVersion ordinal. */
  version: number;
}

/** Answer to GET_CONSUMER_CONNECTION_LIST (203). */
export interface ConsumerConnection {
  connectionSet: ClientConnection[];
  /** Topic → subscription. */
  subscriptionTable: Map<string, SubscriptionData>;
  consumeType: ConsumeType;
  messageModel: MessageModel;
  consumeFromWhere: string;
}

export function encodeConsumerConnection(connection: ConsumerConnection): Buffer {
  const subscriptions: [string, object][] = [];
  for (const [topic, data] of connection.subscriptionTable) subscriptions.push([topic, subscriptionDataJson(data)]);
  return Buffer.from(
    JSON.stringify({
      connectionSet: connection.connectionSet.map(clientJson),
      consumeFromWhere: connection.consumeFromWhere,
      consumeType: connection.consumeType,
      messageModel: connection.messageModel,
      subscriptionTable: Object.fromEntries(subscriptions),
    }),
  );
}

/** Throws REMOTING_BODY_INVALID, REMOTING_JSON_INVALID. */
export function decodeConsumerConnection(body: Uint8Array | undefined): ConsumerConnection {
  const object = bodyObject(body, 'ConsumerConnection', FRAME_BYTES_MAX);
  const subscriptions = new Map<string, SubscriptionData>();
  for (const [topic, data] of Object.entries(asObject(object.subscriptionTable, 'subscriptionTable'))) {
    subscriptions.set(topic, subscriptionDataFromJson(data));
  }
  return {
    connectionSet: asArray(object.connectionSet, 'connectionSet').map(clientFromJson),
    subscriptionTable: subscriptions,
    consumeType: choiceMember(object, 'consumeType', CONSUME_TYPES, 'CONSUME_PASSIVELY'),
    messageModel: choiceMember(object, 'messageModel', MESSAGE_MODELS, 'CLUSTERING'),
    consumeFromWhere: choiceMember(object, 'consumeFromWhere', CONSUME_FROM_WHERE, 'CONSUME_FROM_LAST_OFFSET'),
  };
}

/** Answer to GET_PRODUCER_CONNECTION_LIST (204). */
export function encodeProducerConnection(connections: readonly ClientConnection[]): Buffer {
  return Buffer.from(JSON.stringify({ connectionSet: connections.map(clientJson) }));
}

/** Throws REMOTING_BODY_INVALID, REMOTING_JSON_INVALID. */
export function decodeProducerConnection(body: Uint8Array | undefined): ClientConnection[] {
  const object = bodyObject(body, 'ProducerConnection', FRAME_BYTES_MAX);
  return asArray(object.connectionSet, 'connectionSet').map(clientFromJson);
}

function clientJson(client: ClientConnection): object {
  return {
    clientAddr: client.clientAddr,
    clientId: client.clientId,
    language: languageName(client.language),
    version: client.version,
    versionDesc: versionDescription(client.version),
  };
}

function clientFromJson(value: unknown): ClientConnection {
  const object = asObject(value, 'Connection');
  return {
    clientId: stringMember(object, 'clientId'),
    clientAddr: stringMember(object, 'clientAddr'),
    language: languageFromName(object.language),
    version: integerMember(object, 'version'),
  };
}
