import { StoreError } from '../base/errors.ts';
import type { MessageExtBrokerInner, StoreHost } from '../base/types.ts';
import {
  NAME_VALUE_SEPARATOR,
  PROPERTY_CRC32,
  PROPERTY_KEYS,
  PROPERTY_SEPARATOR,
  PROPERTY_TAGS,
  PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX,
} from './properties.ts';
import { TOMBSTONE_PROPERTY } from './tombstone.ts';

/** A message as a program that embeds the store writes it. */
export interface Message {
  topic: string;
  /** A string is stored as UTF-8. Bytes may be used again once the call has returned. */
  body: Uint8Array | string;
  /** Queue of the topic, 0 by default, at most 65,535. Order holds within a queue. */
  queueId?: number;
  /** Indexed: queryMessage finds the message by each of them. Blanks separate keys on disk, so a key holds none. */
  keys?: string | readonly string[];
  /** One tag; readers can filter by it. */
  tags?: string;
  /** A unique id of your own, indexed like a key. */
  uniqKey?: string;
  /** Names and values are not empty; of the names, KEYS, TAGS and UNIQ_KEY have fields of their own. */
  properties?: Readonly<Record<string, string>> | ReadonlyMap<string, string>;
  /** For your own use, a signed 32-bit integer. */
  flag?: number;
  /** When the event happened, Unix milliseconds; now by default. */
  bornTimestamp?: number;
}

/** Names that have a field of their own, or that the store writes itself. */
const RESERVED: ReadonlyMap<string, string> = new Map([
  [PROPERTY_KEYS, 'the field keys'],
  [PROPERTY_TAGS, 'the field tags'],
  [PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX, 'the field uniqKey'],
  [PROPERTY_CRC32, 'the record’s own checksum'],
  [TOMBSTONE_PROPERTY, 'the doctor, in place of a message that is lost'],
]);

/**
 * Turns it into what the log takes. Throws STORE_MESSAGE_INVALID for what the format cannot hold, or would give back as
 * something else; numbers and sizes are the log's to check (MessageCheck).
 */
export function toMessageExtBrokerInner(message: Message, host: StoreHost, now: number): MessageExtBrokerInner {
  if (typeof message !== 'object' || message === null) throw invalid('message', 'the message must be an object');
  const { topic, body, queueId, keys, tags, uniqKey, flag, bornTimestamp } = message;
  if (typeof topic !== 'string' || topic === '') throw invalid('topic', 'topic must be a non-empty string');
  let propertiesString = '';
  for (const [name, value] of propertyEntries(message.properties)) {
    const owner = RESERVED.get(name);
    if (owner !== undefined) throw invalid('properties', `property ${name} belongs to ${owner}`);
    propertiesString += entry(name, value);
  }
  const allKeys = keyList(keys);
  if (allKeys.length > 0) propertiesString += entry(PROPERTY_KEYS, allKeys.join(' '));
  if (tags !== undefined) propertiesString += entry(PROPERTY_TAGS, tags);
  if (uniqKey !== undefined) propertiesString += entry(PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX, uniqKey);
  return {
    topic,
    queueId: queueId ?? 0,
    flag: flag ?? 0,
    sysFlag: 0,
    bornTimestamp: bornTimestamp ?? now,
    bornHost: host,
    storeHost: host,
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body: bodyBytes(body),
    propertiesString,
  };
}

function bodyBytes(body: Message['body']): Uint8Array {
  if (typeof body !== 'string') {
    if (body instanceof Uint8Array) return body;
    throw invalid('body', 'body must be a string or a Uint8Array');
  }
  if (!body.isWellFormed()) throw invalid('body', 'body holds half of a surrogate pair, which UTF-8 cannot hold');
  return Buffer.from(body, 'utf8');
}

function propertyEntries(properties: Message['properties']): Iterable<[string, unknown]> {
  if (properties === undefined) return [];
  if (properties instanceof Map) return properties;
  if (typeof properties !== 'object' || properties === null || Array.isArray(properties)) {
    throw invalid('properties', 'properties must be an object or a Map of strings');
  }
  return Object.entries(properties);
}

function keyList(keys: Message['keys']): readonly string[] {
  if (keys === undefined) return [];
  const list: readonly unknown[] = Array.isArray(keys) ? keys : [keys];
  for (const key of list) {
    if (typeof key !== 'string' || key === '' || /\s/.test(key)) {
      throw invalid('keys', 'each key must be a non-empty string without blanks, which separate keys on disk');
    }
  }
  return list as readonly string[];
}

/** The entry as it is stored; only what every reader gives back as it was given. */
function entry(name: unknown, value: unknown): string {
  const shown = typeof name === 'string' && name.length <= 40 ? `property '${name}'` : 'a property';
  const fault = (text: string): StoreError => invalid('properties', `${shown} ${text}`);
  if (typeof name !== 'string') throw fault('has a name that is no string');
  if (typeof value !== 'string') throw fault(`must be a string, found ${value === null ? 'null' : typeof value}`);
  if (name === '' || value === '') throw fault('has an empty name or value, readers drop those');
  for (const text of [name, value]) {
    if (text.includes(NAME_VALUE_SEPARATOR) || text.includes(PROPERTY_SEPARATOR)) {
      throw fault('holds one of the separators U+0001, U+0002');
    }
  }
  return name + NAME_VALUE_SEPARATOR + value + PROPERTY_SEPARATOR;
}

function invalid(field: string, text: string): StoreError {
  return new StoreError('STORE_MESSAGE_INVALID', text, { field });
}
