import type { MessageExt, StoredMessage } from '../base/types.ts';
import { decodeMessage } from './message-decoder.ts';
import { PROPERTY_CRC32, PROPERTY_KEYS, PROPERTY_TAGS, PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX } from './properties.ts';

const KEY_SEPARATOR = ' ';

/** The message as a program that embeds the store put it: what has a field of its own stands there and nowhere else. */
export function toStoredMessage(message: MessageExt): StoredMessage {
  const properties = new Map(message.properties);
  const take = (name: string): string | undefined => {
    const value = properties.get(name);
    properties.delete(name);
    return value;
  };
  const keys = take(PROPERTY_KEYS);
  const tags = take(PROPERTY_TAGS);
  const uniqKey = take(PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX);
  // The record's own, not the message's.
  properties.delete(PROPERTY_CRC32);
  return {
    ...message,
    keys: keys === undefined ? [] : keys.split(KEY_SEPARATOR).filter((key) => key !== ''),
    ...(tags === undefined ? {} : { tags }),
    ...(uniqKey === undefined ? {} : { uniqKey }),
    // Own properties whatever their names are, `__proto__` among them.
    properties: Object.fromEntries(properties),
  };
}

/** decodeMessage() in this form. */
export function decodeStoredMessage(record: Buffer): StoredMessage | undefined {
  const message = decodeMessage(record);
  return message && toStoredMessage(message);
}
