/**
 * Work on a message's property string as it came over the wire. A send is the hottest path of a broker, so nothing
 * builds a map of it: one walk tells which of the names a broker cares about are there (the store's PropertyScan), and
 * what the broker adds is appended.
 */
import { removeProperties } from '@vernier/store/internal';

const VALUE_END = 2;

/** With the 0x02 that ends the last entry, so that another can be appended. */
export function terminated(properties: string): string {
  return properties.length === 0 || properties.charCodeAt(properties.length - 1) === VALUE_END
    ? properties
    : `${properties}\u0002`;
}

/** One entry as it stands in the string. Name and value must hold neither 0x01 nor 0x02. */
export const propertyEntry = (name: string, value: string): string => `${name}\u0001${value}\u0002`;

/** Properties of an inner batch of so many messages, whatever they said before. */
export const innerBatchProperties = (properties: string, count: number): string =>
  terminated(removeProperties(properties, innerNames)) + propertyEntry('INNER_NUM', String(count));

const innerNames: ReadonlySet<string> = new Set(['INNER_NUM', 'INNER_BASE']);

/** Names that the broker itself writes with each message it stores. */
export const brokerPropertyNames: ReadonlySet<string> = new Set(['MSG_REGION', 'TRACE_ON', 'CLUSTER']);
