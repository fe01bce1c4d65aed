import { NAME_VALUE_SEPARATOR, PROPERTY_INNER_NUM, PROPERTY_SEPARATOR, propertyOf } from './properties.ts';
import { COMPRESSED_FLAG, INNER_BATCH_FLAG, NEED_UNWRAP_FLAG, transactionType } from './sys-flag.ts';

/** Where the count of messages stands in a queue's entry, there is room for so many. */
export const INNER_COUNT_MAX = 32_767;
const INNER_BASE = 'INNER_BASE';
const FIXED_BYTES = 22;

/**
 * An inner batch is one record that holds several messages of one queue (RocketMQ: sysFlag INNER_BATCH_FLAG; property
 * INNER_NUM, how many; INNER_BASE, the number of the first, which the store gives it). Its body is what a producer sends as
 * a batch, one message after another:
 *
 *   i32 total size | i32 magic 0 | i32 body CRC 0 | i32 flag | i32 length, body | i16 length, properties
 */

/** How many messages the record holds; undefined when it is no inner batch, or says no possible number. */
export function innerCountOfRecord(sysFlag: number, propertiesString: string): number | undefined {
  if ((sysFlag & INNER_BATCH_FLAG) === 0) return undefined;
  return innerCountOfText(sysFlag, propertyOf(propertiesString, PROPERTY_INNER_NUM) ?? '');
}

/** The same with the value of INNER_NUM, empty without one. */
export function innerCountOfText(sysFlag: number, text: string): number | undefined {
  if ((sysFlag & INNER_BATCH_FLAG) === 0) return undefined;
  const count = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return count >= 1 && count <= INNER_COUNT_MAX ? count : undefined;
}

/** What is wrong with a message for a topic with batch queues; undefined when it is one message or a sound inner batch. */
export function innerBatchFault(sysFlag: number, body: Uint8Array, propertiesString: string): string | undefined {
  const said = propertyOf(propertiesString, PROPERTY_INNER_NUM);
  if ((sysFlag & INNER_BATCH_FLAG) === 0) {
    if ((sysFlag & NEED_UNWRAP_FLAG) !== 0) return `sysFlag ${sysFlag} says unwrap and not inner batch`;
    // RocketMQ would count the numbers of the queue by it.
    return said === undefined ? undefined : `the property ${PROPERTY_INNER_NUM} is an inner batch's alone`;
  }
  if (transactionType(sysFlag) !== 0) return `sysFlag ${sysFlag} says inner batch and transaction`;
  if ((sysFlag & COMPRESSED_FLAG) !== 0) return `sysFlag ${sysFlag} says inner batch and a compressed body`;
  const count = countOfBody(body);
  if (count < 1) return 'the body of the inner batch is not made of whole messages';
  if (count > INNER_COUNT_MAX) return `the inner batch holds ${count} messages, ${INNER_COUNT_MAX} are the most`;
  if (said === String(count)) return undefined;
  return `the inner batch holds ${count} messages, its property ${PROPERTY_INNER_NUM} says ${said ?? 'nothing'}`;
}

/** Messages in the body of a batch; 0 when they do not fill it. */
function countOfBody(body: Uint8Array): number {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let count = 0;
  for (let at = 0; at < body.length; count++) {
    if (at + FIXED_BYTES > body.length) return 0;
    const end = at + view.getInt32(at);
    const bodyLength = view.getInt32(at + 16);
    const bodyEnd = at + 20 + bodyLength;
    if (bodyLength < 0 || bodyEnd + 2 > body.length) return 0;
    const propertiesLength = view.getInt16(bodyEnd);
    if (propertiesLength < 0 || bodyEnd + 2 + propertiesLength !== end || end > body.length) return 0;
    at = end;
  }
  return count;
}

/** The properties with the number of the first message, in place of one that they have. */
export function withInnerBase(propertiesString: string, base: number): string {
  const own = `${INNER_BASE}${NAME_VALUE_SEPARATOR}${base}${PROPERTY_SEPARATOR}`;
  const others = propertiesString
    .split(PROPERTY_SEPARATOR)
    .filter((entry) => entry !== '' && !entry.startsWith(INNER_BASE + NAME_VALUE_SEPARATOR));
  return others.map((entry) => entry + PROPERTY_SEPARATOR).join('') + own;
}
