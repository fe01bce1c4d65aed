import { asObject, type JsonObject } from '@vernier/remoting';
import { MESSAGES_MAX } from './check-point.ts';

/**
 * The last batch that a group popped in order from a queue (RocketMQ ConsumerOrderInfoManager.OrderInfo). Until each message
 * of it is acknowledged, or due again, nobody of the group gets more of the queue.
 */
export interface OrderInfo {
  popTime: number;
  /** undefined: an old file does not say it. */
  invisibleMs: number | undefined;
  /** Of the messages, ascending. */
  readonly queueOffsets: readonly number[];
  /** Of messages whose time was changed: Unix milliseconds, by queue offset. */
  readonly nextVisibleTimes: Map<number, number>;
  /** How often a message was given before, by queue offset; without an entry never. */
  readonly consumedCounts: ReadonlyMap<number, number>;
  /** It comes again without that counting as a try. In memory alone, as in RocketMQ, which has it for lite topics. */
  isSuspended?: boolean;
  /** Unix milliseconds. */
  lastConsumeTime: number;
  /** A bit for each message, of up to 64. */
  committed: bigint;
  readonly attemptId: string | undefined;
  /**
   * Where the last of its messages lies in the log, as in PopCheckPoint; undefined in what RocketMQ has written, which does not
   * know it.
   */
  readonly logOffset: number | undefined;
}

/** The clock may be set back by so much before a batch counts as due: rather early than an hour late. */
const CLOCK_SET_BACK_MS = 1_000;

export const isCommitted = ({ committed }: OrderInfo, index: number): boolean =>
  ((committed >> BigInt(index)) & 1n) === 1n;

/** When the queue is free again; 0 when it is. `attemptId`: of the asker, who may have its own batch once more. */
export function blockedUntil(info: OrderInfo, attemptId: string | undefined, invisibleMs: number, now: number): number {
  if (info.attemptId !== undefined && info.attemptId === attemptId) return 0;
  if (now < info.popTime - CLOCK_SET_BACK_MS) return 0;
  if (info.invisibleMs === undefined || info.invisibleMs <= 0) info.invisibleMs = invisibleMs;
  let until = 0;
  for (const [index, queueOffset] of info.queueOffsets.entries()) {
    if (isCommitted(info, index)) continue;
    const visibleAt = info.nextVisibleTimes.get(queueOffset) ?? info.popTime + info.invisibleMs;
    if (now < visibleAt) until = Math.max(until, visibleAt);
  }
  return until;
}

/** The first message that is not acknowledged; behind the batch when all are. -1 for a batch of nothing. */
export function nextOffsetOf(info: OrderInfo): number {
  const open = info.queueOffsets.findIndex((_, index) => !isCommitted(info, index));
  if (open >= 0) return info.queueOffsets[open] as number;
  return (info.queueOffsets.at(-1) ?? -2) + 1;
}

/** The counts of a new batch: one more for what the last one had too, unless it is the same attempt. */
export function countsAfter(
  last: OrderInfo | undefined,
  attemptId: string | undefined,
  queueOffsets: readonly number[],
): ReadonlyMap<number, number> {
  if (last === undefined) return new Map();
  if (last.attemptId !== undefined && last.attemptId === attemptId) return last.consumedCounts;
  const given = new Set(last.queueOffsets);
  const tries = last.isSuspended === true ? 0 : 1;
  const counts = new Map<number, number>();
  for (const queueOffset of queueOffsets) {
    const count = (last.consumedCounts.get(queueOffset) ?? 0) + tries;
    if (given.has(queueOffset) && count > 0) counts.set(queueOffset, count);
  }
  return counts;
}

/** As RocketMQ writes it: the first offset, and distances from it. */
export function orderInfoJson(info: OrderInfo): string {
  const first = info.queueOffsets[0] ?? 0;
  const parts = [
    ...(info.attemptId === undefined ? [] : [`"a":${JSON.stringify(info.attemptId)}`]),
    `"cm":${BigInt.asIntN(64, info.committed)}`,
    ...(info.invisibleMs === undefined ? [] : [`"i":${info.invisibleMs}`]),
    `"l":${info.lastConsumeTime}`,
    ...(info.logOffset === undefined ? [] : [`"lo":${info.logOffset}`]),
    `"o":[${info.queueOffsets.map((offset, index) => (index === 0 ? offset : offset - first)).join(',')}]`,
    `"oc":{${entriesText(info.consumedCounts)}}`,
    ...(info.nextVisibleTimes.size === 0 ? [] : [`"ot":{${entriesText(info.nextVisibleTimes)}}`]),
    `"popTime":${info.popTime}`,
  ];
  return `{${parts.join(',')}}`;
}

const entriesText = (map: ReadonlyMap<number, number>): string =>
  [...map].map(([key, value]) => `${key}:${value}`).join(',');

/** More than a pop gives; a file of another version may have it. */
const OFFSETS_MAX = 2 * MESSAGES_MAX;

/** Undefined for what is no order info. */
export function orderInfoFromJson(value: unknown): OrderInfo | undefined {
  const object: JsonObject = asObject(value, 'order info');
  const list = object.o;
  if (!Array.isArray(list) || list.length === 0 || list.length > OFFSETS_MAX) return undefined;
  if (!list.every((offset) => Number.isSafeInteger(offset) && offset >= 0)) return undefined;
  const [first, ...distances] = list as number[];
  const popTime = object.popTime;
  if (!isTime(popTime)) return undefined;
  return {
    popTime,
    invisibleMs: isTime(object.i) ? object.i : undefined,
    queueOffsets: [first as number, ...distances.map((distance) => (first as number) + distance)],
    nextVisibleTimes: numbersOf(object.ot),
    consumedCounts: numbersOf(object.oc),
    lastConsumeTime: isTime(object.l) ? object.l : popTime,
    committed: Number.isInteger(object.cm) ? BigInt.asUintN(64, BigInt(object.cm as number)) : 0n,
    logOffset: isTime(object.lo) ? object.lo : undefined,
    attemptId: typeof object.a === 'string' && object.a.length <= ATTEMPT_ID_LENGTH_MAX ? object.a : undefined,
  };
}

export const ATTEMPT_ID_LENGTH_MAX = 256;

const isTime = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

function numbersOf(value: unknown): Map<number, number> {
  const numbers = new Map<number, number>();
  for (const [key, number] of Object.entries(asObject(value, 'numbers'))) {
    if (/^\d{1,16}$/.test(key) && isTime(number) && numbers.size < OFFSETS_MAX) numbers.set(Number(key), number);
  }
  return numbers;
}
