/**
 * The properties string of a record (RocketMQ MessageDecoder.messageProperties2String):
 *
 *   name 0x01 value 0x02, repeated
 *
 * Strings that we or RocketMQ write end with 0x02; readers accept its absence. There is no escaping, so names and values
 * can hold neither separator. Entries without 0x01, with an empty name or an empty value are dropped by readers.
 */
export const NAME_VALUE_SEPARATOR = '\u0001';
export const PROPERTY_SEPARATOR = '\u0002';

/** Longest properties string in bytes: its length is a signed 16-bit field. */
export const PROPERTIES_BYTES_MAX = 32_767;

// Names the store itself looks at (RocketMQ MessageConst).
export const PROPERTY_KEYS = 'KEYS';
export const PROPERTY_TAGS = 'TAGS';
export const PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX = 'UNIQ_KEY';
export const PROPERTY_DELAY_TIME_LEVEL = 'DELAY';
export const PROPERTY_WAIT_STORE_MSG_OK = 'WAIT';
export const PROPERTY_INNER_NUM = 'INNER_NUM';
export const PROPERTY_CRC32 = '__CRC32#';

/**
 * The value of one property without parsing the others; undefined when it is absent or empty. When a name occurs twice
 * the first one counts, where parseProperties lets the last one win: RocketMQ writes from a map, so names are unique.
 */
export function propertyOf(propertiesString: string, name: string): string | undefined {
  const needle = name + NAME_VALUE_SEPARATOR;
  let at = propertiesString.indexOf(needle);
  // "TAGS" also ends "MYTAGS": a hit counts only at the start of an entry.
  while (at > 0 && propertiesString.charCodeAt(at - 1) !== 2) at = propertiesString.indexOf(needle, at + 1);
  if (at < 0) return undefined;
  const start = at + needle.length;
  const end = propertiesString.indexOf(PROPERTY_SEPARATOR, start);
  const value = end < 0 ? propertiesString.slice(start) : propertiesString.slice(start, end);
  return value === '' ? undefined : value;
}

/** RocketMQ MessageDecoder.string2messageProperties. */
export function parseProperties(propertiesString: string): Map<string, string> {
  const properties = new Map<string, string>();
  let start = 0;
  while (start < propertiesString.length) {
    let end = propertiesString.indexOf(PROPERTY_SEPARATOR, start);
    if (end < 0) end = propertiesString.length;
    const middle = propertiesString.indexOf(NAME_VALUE_SEPARATOR, start);
    if (middle > start && middle < end - 1) {
      properties.set(propertiesString.slice(start, middle), propertiesString.slice(middle + 1, end));
    }
    start = end + 1;
  }
  return properties;
}

/**
 * RocketMQ MessageDecoder.messageProperties2String. Entries with an empty name or value are left out, as readers would
 * drop them. Names and values are taken as they are: who accepts them from outside refuses separators there.
 */
export function encodeProperties(properties: Iterable<readonly [string, string]>): string {
  let encoded = '';
  for (const [name, value] of properties) {
    if (name === '' || value === '') continue;
    encoded += name + NAME_VALUE_SEPARATOR + value + PROPERTY_SEPARATOR;
  }
  return encoded;
}
