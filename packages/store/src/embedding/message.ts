import {
  NAME_VALUE_SEPARATOR,
  PROPERTY_KEYS,
  PROPERTY_SEPARATOR,
  PROPERTY_TAGS,
  PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX,
} from '../commit-log/properties.ts';
import { StoreError } from '../errors.ts';
import type { MessageExtBrokerInner, StoreHost } from '../types.ts';

/** A message as a program that embeds the store writes it. */
export interface Message {
  topic: string;
  /** A string is stored as UTF-8. */
  body: Uint8Array | string;
  /** Queue of the topic, 0 by default. Order holds within a queue. */
  queueId?: number;
  /** Indexed: queryMessage finds the message by each of them. Blanks separate keys on disk, so a key holds none. */
  keys?: string | readonly string[];
  /** One tag; readers can filter by it. */
  tags?: string;
  /** A unique id of your own, indexed like a key. */
  uniqKey?: string;
  properties?: Readonly<Record<string, string>>;
  /** For your own use, a signed 32-bit integer. */
  flag?: number;
  /** When the event happened, Unix milliseconds; now by default. */
  bornTimestamp?: number;
}

const RESERVED = new Set([PROPERTY_KEYS, PROPERTY_TAGS, PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX]);

/** Turns it into what the log takes. Throws STORE_MESSAGE_INVALID for text that the format cannot hold. */
export function toMessageExtBrokerInner(message: Message, host: StoreHost, now: number): MessageExtBrokerInner {
  if (typeof message.topic !== 'string' || message.topic === '') throw invalid('topic must be a non-empty string');
  const { body } = message;
  if (typeof body !== 'string' && !(body instanceof Uint8Array)) throw invalid('body must be a string or a Uint8Array');
  let propertiesString = '';
  const add = (name: string, value: string): void => {
    if (typeof value !== 'string') throw invalid(`property ${name} must be a string, found ${typeof value}`);
    if (name === '' || value === '') throw invalid(`property '${name}' has an empty name or value, readers drop those`);
    const separators = [NAME_VALUE_SEPARATOR, PROPERTY_SEPARATOR];
    if (separators.some((separator) => name.includes(separator) || value.includes(separator))) {
      throw invalid(`property '${name}' holds one of the separators U+0001, U+0002`);
    }
    propertiesString += name + NAME_VALUE_SEPARATOR + value + PROPERTY_SEPARATOR;
  };
  for (const [name, value] of Object.entries(message.properties ?? {})) {
    if (RESERVED.has(name)) throw invalid(`property ${name} is set by its own field of the message`);
    add(name, value);
  }
  const keys = typeof message.keys === 'string' ? [message.keys] : (message.keys ?? []);
  if (keys.some((key) => /\s/.test(key))) throw invalid(`keys must not hold blanks: ${JSON.stringify(keys)}`);
  if (keys.length > 0) add(PROPERTY_KEYS, keys.join(' '));
  if (message.tags !== undefined) add(PROPERTY_TAGS, message.tags);
  if (message.uniqKey !== undefined) add(PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX, message.uniqKey);
  return {
    topic: message.topic,
    queueId: message.queueId ?? 0,
    flag: message.flag ?? 0,
    sysFlag: 0,
    bornTimestamp: message.bornTimestamp ?? now,
    bornHost: host,
    storeHost: host,
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body: typeof body === 'string' ? Buffer.from(body, 'utf8') : body,
    propertiesString,
  };
}

function invalid(text: string): StoreError {
  return new StoreError('STORE_MESSAGE_INVALID', text);
}
