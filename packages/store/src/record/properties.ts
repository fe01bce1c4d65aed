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

// Names the store itself looks at (RocketMQ MessageConst).
export const PROPERTY_KEYS = 'KEYS';
export const PROPERTY_TAGS = 'TAGS';
export const PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX = 'UNIQ_KEY';
export const PROPERTY_DELAY_TIME_LEVEL = 'DELAY';
export const PROPERTY_WAIT_STORE_MSG_OK = 'WAIT';
export const PROPERTY_INNER_NUM = 'INNER_NUM';
export const PROPERTY_CRC32 = '__CRC32#';
export const PROPERTY_LITE_TOPIC = '__LITE_TOPIC';
export const PROPERTY_PRIORITY = '_SYS_MSG_PRIORITY_';

/**
 * Walks over the entries of a properties string: the one parser of the format, which everything else here and in the
 * broker and the doctor is made of. The rules are Java's (RocketMQ MessageDecoder.string2messageProperties): an entry
 * ends at 0x02 or with the string, its name at the entry's first 0x01; entries without one, with an empty name or an
 * empty value are passed over. A name that occurs twice has the value of its last entry, because Java puts them into a map.
 *
 * An object may be used again for another string: start() begins anew, and no walk allocates anything.
 */
export class PropertyCursor {
  text = '';
  /** The entry: name [nameFrom, nameTo), value [nameTo + 1, valueTo) of `text`. */
  nameFrom = 0;
  nameTo = 0;
  valueTo = -1;

  start(text: string): this {
    this.text = text;
    this.valueTo = -1;
    return this;
  }

  /** Moves to the next entry; false when there is none. */
  next(): boolean {
    const { text } = this;
    for (let from = this.valueTo + 1; from < text.length; ) {
      const nameTo = text.indexOf(NAME_VALUE_SEPARATOR, from);
      if (nameTo < 0) return false;
      let to = text.indexOf(PROPERTY_SEPARATOR, from);
      if (to < 0) to = text.length;
      if (nameTo > from && nameTo < to - 1) {
        this.nameFrom = from;
        this.nameTo = nameTo;
        this.valueTo = to;
        return true;
      }
      from = to + 1;
    }
    return false;
  }

  get name(): string {
    return this.text.slice(this.nameFrom, this.nameTo);
  }

  get value(): string {
    return this.text.slice(this.nameTo + 1, this.valueTo);
  }
}

/** The value of one property without parsing the others; undefined when it is absent or empty. The last entry counts. */
export function propertyOf(propertiesString: string, name: string): string | undefined {
  const needle = name + NAME_VALUE_SEPARATOR;
  let from = -1;
  let to = -1;
  let at = propertiesString.indexOf(needle);
  while (at >= 0) {
    const start = at + needle.length;
    // "TAGS" also ends "MYTAGS": a hit counts only at the start of an entry.
    if (at === 0 || propertiesString.charCodeAt(at - 1) === 2) {
      let end = propertiesString.indexOf(PROPERTY_SEPARATOR, start);
      if (end < 0) end = propertiesString.length;
      if (end > start) {
        from = start;
        to = end;
      }
    }
    at = propertiesString.indexOf(needle, start);
  }
  return from < 0 ? undefined : propertiesString.slice(from, to);
}

/** All properties by name. */
export function parseProperties(propertiesString: string): Map<string, string> {
  const properties = new Map<string, string>();
  const cursor = new PropertyCursor().start(propertiesString);
  while (cursor.next()) properties.set(cursor.name, cursor.value);
  return properties;
}

/** The string without the named properties; every entry that stays ends with 0x02. */
export function removeProperties(propertiesString: string, names: ReadonlySet<string>): string {
  let left = '';
  const cursor = new PropertyCursor().start(propertiesString);
  while (cursor.next()) {
    if (!names.has(cursor.name)) left += propertiesString.slice(cursor.nameFrom, cursor.valueTo) + PROPERTY_SEPARATOR;
  }
  return left;
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
