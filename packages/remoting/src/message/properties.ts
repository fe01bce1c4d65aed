/**
 * The properties string of a message (RocketMQ MessageDecoder): name 0x01 value 0x02, repeated; the last 0x02 may be
 * missing. Nothing is escaped, so names and values must not hold 0x01 or 0x02.
 */
const NAME_END = '\u0001';
const VALUE_END = '\u0002';

/** Names that the broker and clients use (RocketMQ MessageConst). */
export const MessageProperty = {
  KEYS: 'KEYS',
  TAGS: 'TAGS',
  WAIT: 'WAIT',
  DELAY: 'DELAY',
  UNIQ_KEY: 'UNIQ_KEY',
  CLUSTER: 'CLUSTER',
  MSG_REGION: 'MSG_REGION',
  TRACE_ON: 'TRACE_ON',
  RETRY_TOPIC: 'RETRY_TOPIC',
  REAL_TOPIC: 'REAL_TOPIC',
  REAL_QID: 'REAL_QID',
  PGROUP: 'PGROUP',
  TRAN_MSG: 'TRAN_MSG',
  ORIGIN_MESSAGE_ID: 'ORIGIN_MESSAGE_ID',
  RECONSUME_TIME: 'RECONSUME_TIME',
  MAX_RECONSUME_TIMES: 'MAX_RECONSUME_TIMES',
  INNER_NUM: 'INNER_NUM',
} as const;

/** Entries with an empty name or value, or without 0x01, are left out, as Java's parser has it. The last one counts. */
export function decodePropertiesString(text: string): Map<string, string> {
  const properties = new Map<string, string>();
  let start = 0;
  while (start < text.length) {
    let end = text.indexOf(VALUE_END, start);
    if (end < 0) end = text.length;
    const split = text.indexOf(NAME_END, start);
    if (split > start && split + 1 < end) properties.set(text.slice(start, split), text.slice(split + 1, end));
    start = end + 1;
  }
  return properties;
}

/** Entries with an empty value are written and dropped by every reader; a name or value with 0x01 or 0x02 throws. */
export function encodePropertiesString(properties: Iterable<readonly [string, string]>): string {
  let text = '';
  for (const [name, value] of properties) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the two separators of the format.
    if (/[\u0001\u0002]/.test(name) || /[\u0001\u0002]/.test(value)) {
      throw new RangeError(`property ${JSON.stringify(name)} holds 0x01 or 0x02, which separate properties`);
    }
    text += name + NAME_END + value + VALUE_END;
  }
  return text;
}
