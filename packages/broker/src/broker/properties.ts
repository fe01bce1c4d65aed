import { randomBytes } from 'node:crypto';

/**
 * Work on a message's property string as it came over the wire: `name 0x01 value 0x02`, repeated, the last 0x02
 * optional (RocketMQ MessageDecoder). A send is the hottest path of a broker, so nothing here builds a map of it:
 * one scan tells which of the names a broker cares about are there, and what the broker adds is appended.
 */

const VALUE_END = 2;

export const HAS_UNIQ_KEY = 1;
export const HAS_DELAY = 1 << 1;
export const HAS_TIMER = 1 << 2;
export const HAS_TRAN_MSG = 1 << 3;
export const HAS_POP_CK = 1 << 4;
/** MSG_REGION, TRACE_ON or CLUSTER: what a broker adds, so a broker has stored this message before. */
export const HAS_BROKER_PROPERTIES = 1 << 5;

/** Which bit a name sets, 0 for a name that a broker does not look at. Names are told apart by their length first. */
function bitOf(properties: string, start: number, end: number): number {
  switch (end - start) {
    case 5:
      return properties.startsWith('DELAY', start) ? HAS_DELAY : 0;
    case 6:
      return properties.startsWith('POP_CK', start) ? HAS_POP_CK : 0;
    case 7:
      return properties.startsWith('CLUSTER', start) ? HAS_BROKER_PROPERTIES : 0;
    case 8:
      if (properties.startsWith('UNIQ_KEY', start)) return HAS_UNIQ_KEY;
      if (properties.startsWith('TRAN_MSG', start)) return HAS_TRAN_MSG;
      return properties.startsWith('TRACE_ON', start) ? HAS_BROKER_PROPERTIES : 0;
    case 10:
      return properties.startsWith('MSG_REGION', start) ? HAS_BROKER_PROPERTIES : 0;
    case 14:
      return properties.startsWith('TIMER_DELAY_MS', start) ? HAS_TIMER : 0;
    case 15:
      return properties.startsWith('TIMER_DELAY_SEC', start) ? HAS_TIMER : 0;
    case 16:
      return properties.startsWith('TIMER_DELIVER_MS', start) ? HAS_TIMER : 0;
    default:
      return 0;
  }
}

/** One pass over the names: a set of the HAS_ bits. Entries without a value count as absent, as Java's parser has it. */
export function inspectProperties(properties: string): number {
  let found = 0;
  let start = 0;
  while (start < properties.length) {
    const nameEnd = properties.indexOf('\u0001', start);
    if (nameEnd < 0) break;
    let end = properties.indexOf('\u0002', nameEnd + 1);
    if (end < 0) end = properties.length;
    if (end > nameEnd + 1) found |= bitOf(properties, start, nameEnd);
    start = end + 1;
  }
  return found;
}

/** The value of one property, undefined when it is absent or empty. The last one counts, as Java's map has it. */
export function getProperty(properties: string, name: string): string | undefined {
  const needle = `${name}\u0001`;
  let at = properties.lastIndexOf(needle);
  while (at > 0 && properties.charCodeAt(at - 1) !== VALUE_END) at = properties.lastIndexOf(needle, at - 1);
  if (at < 0) return undefined;
  const start = at + needle.length;
  const end = properties.indexOf('\u0002', start);
  const value = end < 0 ? properties.slice(start) : properties.slice(start, end);
  return value === '' ? undefined : value;
}

/** The string without the named properties; every entry kept ends with 0x02. */
export function removeProperties(properties: string, names: ReadonlySet<string>): string {
  let kept = '';
  for (const entry of properties.split('\u0002')) {
    const nameEnd = entry.indexOf('\u0001');
    if (nameEnd <= 0 || names.has(entry.slice(0, nameEnd))) continue;
    kept += `${entry}\u0002`;
  }
  return kept;
}

/** With the 0x02 that ends the last entry, so that another can be appended. */
export function terminated(properties: string): string {
  return properties.length === 0 || properties.charCodeAt(properties.length - 1) === VALUE_END
    ? properties
    : `${properties}\u0002`;
}

/** One entry as it stands in the string. Name and value must hold neither 0x01 nor 0x02. */
export const propertyEntry = (name: string, value: string): string => `${name}\u0001${value}\u0002`;

/** A map as a property string (MessageDecoder.messageProperties2String). */
export function propertiesToString(properties: ReadonlyMap<string, string>): string {
  let text = '';
  for (const [name, value] of properties) text += propertyEntry(name, value);
  return text;
}

let uniqCounter = 0;
const uniqPrefix = randomBytes(8).toString('hex').toUpperCase();

/**
 * A unique key for a message whose producer gave none: 32 upper-case hex digits as long as RocketMQ's
 * MessageClientIDSetter makes them; 16 of them random a process, 8 the clock in seconds, 8 a counter.
 */
export function createUniqKey(nowMs: number): string {
  uniqCounter = (uniqCounter + 1) >>> 0;
  const seconds = Math.floor(nowMs / 1000) >>> 0;
  return uniqPrefix + hex32(seconds) + hex32(uniqCounter);
}

const hex32 = (value: number): string => value.toString(16).toUpperCase().padStart(8, '0');

/** Names that the broker itself writes with each message it stores. */
export const brokerPropertyNames: ReadonlySet<string> = new Set(['MSG_REGION', 'TRACE_ON', 'CLUSTER']);
