import { FRAME_BYTES_MAX } from './frame-bytes.ts';
import { asStrings, bodyObject, stringMap, stringMember } from './json-members.ts';

/** Names with values (RocketMQ KVTable): runtime info, order configuration, KV lists. */
export function encodeKVTable(table: ReadonlyMap<string, string>): Buffer {
  return Buffer.from(JSON.stringify({ table: Object.fromEntries(table) }));
}

/** Throws REMOTING_BODY_INVALID, REMOTING_JSON_INVALID. */
export function decodeKVTable(body: Uint8Array | undefined): Map<string, string> {
  return stringMap(bodyObject(body, 'KVTable', FRAME_BYTES_MAX).table, 'table');
}

/** Topic names (RocketMQ TopicList). */
export interface TopicList {
  topicList: string[];
  /** A broker to ask for its system topics; name servers fill it in. */
  brokerAddr?: string | undefined;
}

export function encodeTopicList(list: TopicList): Buffer {
  return Buffer.from(JSON.stringify({ brokerAddr: list.brokerAddr, topicList: list.topicList }));
}

/** Throws REMOTING_BODY_INVALID, REMOTING_JSON_INVALID. */
export function decodeTopicList(body: Uint8Array | undefined): TopicList {
  const object = bodyObject(body, 'TopicList', FRAME_BYTES_MAX);
  const brokerAddr = stringMember(object, 'brokerAddr');
  return {
    topicList: asStrings(object.topicList, 'topicList'),
    brokerAddr: brokerAddr === '' ? undefined : brokerAddr,
  };
}

/** Body of GET_CONSUMER_LIST_BY_GROUP's answer (RocketMQ GetConsumerListByGroupResponseBody). */
export function encodeConsumerList(consumerIdList: readonly string[]): Buffer {
  return Buffer.from(JSON.stringify({ consumerIdList }));
}

/** Throws REMOTING_BODY_INVALID, REMOTING_JSON_INVALID. */
export function decodeConsumerList(body: Uint8Array | undefined): string[] {
  return asStrings(bodyObject(body, 'consumer list', FRAME_BYTES_MAX).consumerIdList, 'consumerIdList');
}
