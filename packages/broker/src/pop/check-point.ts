import { asObject, type JsonObject, parseJavaJsonBody } from '@vernier/remoting';

/**
 * What says, in the revive topic, that messages of one queue were given to a group and until when nobody else gets them
 * (RocketMQ PopCheckPoint). Each checkpoint has at most 32 messages.
 */
export interface PopCheckPoint {
  readonly topic: string;
  readonly group: string;
  readonly queueId: number;
  readonly startOffset: number;
  /** Of each message, as a distance from `startOffset`. */
  readonly diffs: readonly number[];
  /** Unix milliseconds. */
  readonly popTime: number;
  readonly invisibleMs: number;
  readonly brokerName: string;
  /** How often it was put again because a message could not be given on. */
  readonly rePutTimes: number;
  /**
   * Where the last of its messages lies in the log, when that is known; a property of our records. Of a topic that was
   * deleted behind it nothing comes again: the queue has other messages at these offsets when it is made once more.
   */
  readonly logOffset?: number | undefined;
  /** It comes again without that counting as a try (RocketMQ 5.5). */
  readonly isSuspended?: boolean | undefined;
}

/** Acks of messages of one checkpoint (RocketMQ AckMsg, BatchAckMsg). */
export interface PopAck {
  readonly topic: string;
  readonly group: string;
  readonly queueId: number;
  readonly startOffset: number;
  readonly queueOffsets: readonly number[];
  readonly popTime: number;
  readonly brokerName: string;
}

/** Tags of the records (RocketMQ PopAckConstants). */
export const CK_TAG = 'ck';
export const ACK_TAG = 'ack';
export const BATCH_ACK_TAG = 'bAck';

/** A checkpoint comes to the revive topic so much before its end (RocketMQ ackTimeInterval). */
export const CHECK_POINT_EARLY_MS = 1_000;

/** What one pop of a queue may give: bits of an int. */
export const MESSAGES_MAX = 32;

/** Unix milliseconds at which the messages that were not acknowledged come again. */
export const reviveTimeOf = ({ popTime, invisibleMs }: Pick<PopCheckPoint, 'popTime' | 'invisibleMs'>): number =>
  popTime + invisibleMs;

type Key = Pick<PopCheckPoint, 'topic' | 'group' | 'queueId' | 'startOffset' | 'popTime' | 'brokerName'>;

/** The same for a checkpoint and its acks, and for nothing else. */
export const mergeKeyOf = ({ topic, group, queueId, startOffset, popTime, brokerName }: Key): string =>
  `${topic}@${group}@${queueId}@${startOffset}@${popTime}@${brokerName}`;

/** Which message of the checkpoint it is; -1: none. */
export const indexOfAck = ({ startOffset, diffs }: PopCheckPoint, queueOffset: number): number =>
  diffs.indexOf(queueOffset - startOffset);

/** UNIQ_KEY of the record. */
export const checkPointKey = (point: PopCheckPoint): string =>
  `${point.topic}@${point.queueId}@${point.startOffset}@${point.group}@${point.popTime}@${point.brokerName}@${CK_TAG}`;

/** UNIQ_KEY of the record; of a batch with -1 for the offset, as RocketMQ has it. */
export const ackKey = (ack: PopAck, isBatch: boolean): string =>
  `${ack.topic}@${ack.queueId}@${isBatch ? -1 : ack.queueOffsets[0]}@${ack.group}@${ack.popTime}@${ack.brokerName}@${ACK_TAG}`;

/** The body, in the order in which fastjson writes the members. */
export function encodeCheckPoint(point: PopCheckPoint): Buffer {
  return Buffer.from(
    JSON.stringify({
      bm: 0,
      bn: point.brokerName,
      c: point.group,
      d: point.diffs,
      it: point.invisibleMs,
      n: point.diffs.length,
      pt: point.popTime,
      q: point.queueId,
      reviveTime: reviveTimeOf(point),
      ro: 0,
      rp: point.rePutTimes > 0 ? String(point.rePutTimes) : undefined,
      so: point.startOffset,
      sp: point.isSuspended === true ? true : undefined,
      t: point.topic,
    }),
  );
}

export function encodeAck(ack: PopAck, isBatch: boolean): Buffer {
  return Buffer.from(
    JSON.stringify({
      ao: isBatch ? -1 : ack.queueOffsets[0],
      aol: isBatch ? ack.queueOffsets : undefined,
      bn: ack.brokerName,
      c: ack.group,
      pt: ack.popTime,
      q: ack.queueId,
      so: ack.startOffset,
      t: ack.topic,
    }),
  );
}

const BODY_BYTES_MAX = 64 * 1024;

/** Undefined for what is no checkpoint: nobody can be given anything by it. */
export function decodeCheckPoint(body: Uint8Array, brokerName: string): PopCheckPoint | undefined {
  const object = objectOf(body);
  const key = object === undefined ? undefined : keyOf(object, brokerName);
  if (object === undefined || key === undefined) return undefined;
  const invisibleMs = numberOf(object.it);
  const count = numberOf(object.n) ?? 0;
  const given = Array.isArray(object.d) ? object.d : [];
  // Those of RocketMQ 4.9 and before list none: they follow each other.
  const diffs =
    given.length > 0 ? given.map(numberOf) : Array.from({ length: Math.min(count, MESSAGES_MAX) }, (_, i) => i);
  if (invisibleMs === undefined || diffs.length > MESSAGES_MAX) return undefined;
  if (!diffs.every((diff): diff is number => diff !== undefined && diff >= 0)) return undefined;
  const { rp = null } = object;
  const isNumber = typeof rp === 'string' || typeof rp === 'number';
  const rePutTimes = rp === null ? 0 : isNumber ? Number(rp) : Number.NaN;
  const point = {
    ...key,
    invisibleMs,
    diffs,
    rePutTimes: Number.isSafeInteger(rePutTimes) ? Math.max(0, rePutTimes) : 127,
  };
  return (object.sp ?? object.suspend) === true ? { ...point, isSuspended: true } : point;
}

export function decodeAck(body: Uint8Array, brokerName: string): PopAck | undefined {
  const object = objectOf(body);
  const key = object === undefined ? undefined : keyOf(object, brokerName);
  if (object === undefined || key === undefined) return undefined;
  const list = object.aol ?? object.ackOffsetList;
  const queueOffsets = Array.isArray(list) ? list.map(numberOf) : [numberOf(object.ao ?? object.ackOffset)];
  if (!queueOffsets.every((offset): offset is number => offset !== undefined)) return undefined;
  return { ...key, queueOffsets };
}

function objectOf(body: Uint8Array): JsonObject | undefined {
  if (body.length > BODY_BYTES_MAX) return undefined;
  try {
    return asObject(parseJavaJsonBody(body), 'checkpoint');
  } catch {
    return undefined;
  }
}

function keyOf(object: JsonObject, ownName: string): Key | undefined {
  const topic = object.t ?? object.topic;
  const group = object.c ?? object.cId ?? object.cid ?? object.consumerGroup;
  const queueId = numberOf(object.q ?? object.queueId);
  const startOffset = numberOf(object.so ?? object.startOffset);
  const popTime = numberOf(object.pt ?? object.popTime);
  const broker = object.bn ?? object.brokerName;
  if (typeof topic !== 'string' || topic === '' || typeof group !== 'string' || group === '') return undefined;
  if (queueId === undefined || startOffset === undefined || popTime === undefined) return undefined;
  // RocketMQ's own merge buffer writes acks without the broker's name.
  const brokerName = typeof broker === 'string' && broker !== '' ? broker : ownName;
  return { topic, group, queueId, startOffset, popTime, brokerName };
}

const numberOf = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
