import { MessageSysFlag, TRANSACTION_MASK } from '@vernier/remoting';
import type { MessageExt } from '@vernier/store';
import {
  encodeProperties,
  MESSAGE_MAGIC_CODE,
  MESSAGE_MAGIC_CODE_V2,
  type RecordLayout,
  writeInt32,
} from '@vernier/store/internal';
import { TRANS_HALF_TOPIC } from '../base/names.ts';
import type { MessageToPut } from '../put/message-to-put.ts';

/** Properties of halves, with RocketMQ's names (MessageConst). */
export const CHECK_TIMES = 'TRANSACTION_CHECK_TIMES';
/** Of a copy: entry number of the first half, by which all copies are one transaction. */
export const FIRST_QUEUE_OFFSET = 'TRAN_PREPARED_QUEUE_OFFSET';
const CHECK_IMMUNITY = 'CHECK_IMMUNITY_TIME_IN_SECONDS';

/** What records know of their hosts, which the encoder writes anew. */
const HOST_BITS = MessageSysFlag.BORN_HOST_V6 | MessageSysFlag.STORE_HOST_V6;

/** Entry number of the first half that this one is a copy of; its own when it is none. */
export const firstQueueOffsetOf = (half: MessageExt): number =>
  wholeNumberOf(half.properties.get(FIRST_QUEUE_OFFSET)) ?? half.queueOffset;

/** A copy as RocketMQ makes it: it does not say what it is a copy of. */
export const isForeignCopy = ({ properties }: MessageExt): boolean =>
  properties.has(CHECK_TIMES) && !properties.has(FIRST_QUEUE_OFFSET);

/**
 * Offset in the log of the first half that this one is a copy of; its own when it is none. 0 when nobody knows: RocketMQ's
 * copies do not say, and neither do copies of those.
 */
export const firstLogOffsetOf = (half: MessageExt): number =>
  half.properties.has(FIRST_QUEUE_OFFSET) || isForeignCopy(half)
    ? half.preparedTransactionOffset
    : half.commitLogOffset;

/** How often its producer was asked before this half was written. */
export const checkTimesOf = (half: MessageExt): number => wholeNumberOf(half.properties.get(CHECK_TIMES)) ?? 0;

/** How long the half's producer is not to be asked; undefined when it does not say (Java: -1 and no number say nothing). */
export function immunityMsOf(half: MessageExt): number | undefined {
  const text = half.properties.get(CHECK_IMMUNITY);
  if (text === undefined || !/^[+-]?\d{1,15}$/.test(text) || Number(text) === -1) return undefined;
  return Number(text) * 1_000;
}

/** The message sets its own time for the first check. */
export const hasImmunity = (half: MessageExt): boolean => (half.properties.get(CHECK_IMMUNITY) ?? '') !== '';

/** Everything of a half but where it goes: body as stored, birth, flags, reconsumptions. */
function rawCopy(half: MessageExt, topic: string, queueId: number, properties: Map<string, string>): MessageToPut {
  return {
    topic,
    queueId,
    flag: half.flag,
    sysFlag: half.sysFlag & ~(HOST_BITS | TRANSACTION_MASK),
    bornTimestamp: half.bornTimestamp,
    bornHost: half.bornHost,
    reconsumeTimes: half.reconsumeTimes,
    body: half.body,
    properties: encodeProperties(properties),
  };
}

/**
 * The half again, at the end of its queue, with how often its producer was asked. It says where the first half was, whose
 * file may go before this one: a message that was committed names that place, and must be known by this copy too.
 */
export function copyOfHalf(half: MessageExt, first: number, checks: number): MessageToPut {
  const properties = new Map(half.properties);
  properties.set(FIRST_QUEUE_OFFSET, String(first));
  if (checks > 0) properties.set(CHECK_TIMES, String(checks));
  return {
    ...rawCopy(half, TRANS_HALF_TOPIC, 0, properties),
    preparedTransactionOffset: firstLogOffsetOf(half),
  };
}

/** What was given up, as a new half: nobody was asked about it yet. */
export function resumedHalf(half: MessageExt): MessageToPut {
  const properties = new Map(half.properties);
  properties.delete(FIRST_QUEUE_OFFSET);
  properties.set(CHECK_TIMES, '0');
  return rawCopy(half, TRANS_HALF_TOPIC, 0, properties);
}

export const givenUpHalf = (half: MessageExt, topic: string): MessageToPut =>
  rawCopy(half, topic, 0, new Map(half.properties));

/**
 * The message that consumers get. It has the half's properties, TRAN_MSG too, and as with RocketMQ 5.5.0 not where the half
 * was to go. Undefined when the half does not say where it is to go.
 */
export function committedMessage(half: MessageExt): MessageToPut | undefined {
  const topic = half.properties.get('REAL_TOPIC');
  const queueId = wholeNumberOf(half.properties.get('REAL_QID'));
  if (topic === undefined || queueId === undefined) return undefined;
  const properties = new Map(half.properties);
  properties.delete('REAL_TOPIC');
  properties.delete('REAL_QID');
  const message = rawCopy(half, topic, queueId, properties);
  return {
    ...message,
    sysFlag: message.sysFlag | MessageSysFlag.TRANSACTION_COMMIT,
    preparedTransactionOffset: half.commitLogOffset,
  };
}

/** The record as one of another topic and queue, as it is sent to a producer. Its `__CRC32#`, if it has one, is not renewed. */
export function recordInTopic(record: Buffer, layout: RecordLayout, topic: string, queueId: number): Buffer {
  const name = Buffer.from(topic, 'utf8');
  const isLong = name.length > 127;
  const length = Buffer.alloc(isLong ? 2 : 1);
  if (isLong) length.writeUInt16BE(name.length);
  else length.writeUInt8(name.length);
  const bodyEnd = layout.bodyAt + layout.bodyLength;
  const rest = record.subarray(layout.topicAt + layout.topicLength, layout.at + layout.size);
  const renamed = Buffer.concat([record.subarray(layout.at, bodyEnd), length, name, rest]);
  writeInt32(renamed, renamed.length, 0);
  writeInt32(renamed, isLong ? MESSAGE_MAGIC_CODE_V2 : MESSAGE_MAGIC_CODE, 4);
  writeInt32(renamed, queueId, 12);
  return renamed;
}

export function wholeNumberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
