import { asStrings, bodyObject, stringMap, stringMember } from './json-members.ts';

/** Names with values (RocketMQ KVTable): runtime info, order configuration, KV lists. */
export function encodeKVTable(table: ReadonlyMap<string, string>): Buffer {
  return Buffer.from(JSON.stringify({ table: Object.fromEntries(table) }));
}

/** Throws REMOTING_BODY_INVALID, REMOTING_JSON_INVALID. */
export function decodeKVTable(body: Uint8Array | undefined): Map<string, string> {
  return stringMap(bodyObject(body, 'KVTable').table, 'table');
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
  const object = bodyObject(body, 'TopicList');
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
  return asStrings(bodyObject(body, 'consumer list').consumerIdList, 'consumerIdList');
}

/**
 * Java properties text as UPDATE_BROKER_CONFIG, GET_BROKER_CONFIG and the NAMESRV ones carry it: `name=value` lines,
 * `#` and `!` comments, backslash escapes. Later lines win.
 */
export function decodeProperties(text: string): Map<string, string> {
  const properties = new Map<string, string>();
  for (const line of text.split(/\r\n|\n|\r/)) {
    const trimmed = line.trimStart();
    if (trimmed === '' || trimmed.startsWith('#') || trimmed.startsWith('!')) continue;
    const split = /^((?:[^\\=:\s]|\\.)*)\s*[=:]?\s*(.*)$/.exec(trimmed);
    if (split !== null) properties.set(unescapeText(split[1] ?? ''), unescapeText(split[2] ?? ''));
  }
  return properties;
}

/** One `name=value` line each, in the map's order. */
export function encodeProperties(properties: ReadonlyMap<string, string>): string {
  let text = '';
  for (const [name, value] of properties) {
    text += `${name.replace(/[\\=:\s]/g, '\\$&')}=${value.replace(/[\\\n\r]/g, escapeValue)}\n`;
  }
  return text;
}

function escapeValue(char: string): string {
  if (char === '\n') return '\\n';
  return char === '\r' ? '\\r' : '\\\\';
}

function unescapeText(text: string): string {
  return text.replace(/\\(u[0-9a-fA-F]{4}|.)/g, (_, code: string) => {
    if (code.length === 5) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    return { n: '\n', r: '\r', t: '\t', f: '\f' }[code] ?? code;
  });
}
