import type { StoreHost } from '@vernier/store';
import {
  BLANK_MAGIC_CODE,
  END_FILE_MIN_BLANK_LENGTH,
  encodeProperties,
  INNER_BATCH_FLAG,
  type LmqPlace,
  MessageEncoder,
  PROPERTY_INNER_MULTI_DISPATCH,
  PROPERTY_INNER_MULTI_QUEUE_OFFSET,
  TOMBSTONE_PREPARED_OFFSET,
  TOMBSTONE_PROPERTY,
  TRANSACTION_ROLLBACK_TYPE,
  writeInt32,
} from '@vernier/store/internal';

/**
 * What takes the place of damaged bytes in the log, so that both brokers pass over them. A damaged stretch becomes, in
 * this order:
 *
 *   tombstones   one for each message that a queue has an entry for: an ordinary record of that queue with its number, an
 *                empty body, a mark in preparedTransactionOffset and, where there is room, the property
 *                VERNIER_QUARANTINED. It keeps the number in use, so that no later message
 *                moves, also when a broker makes the queues anew. It names the light queues that the message was in
 *   filler       rolled-back records of a system topic: RocketMQ's recovery accepts them, and neither queues nor index
 *                take them
 *   or BLANK     when the stretch reaches the end of its file
 */
export const FILLER_TOPIC = 'rmq_sys_VERNIER_QUARANTINE';

/** Well below any limit on records, so that reading one never needs much memory. */
const FILLER_BYTES_MAX = 1024 * 1024;
/** A record with a topic of one letter. */
const FILLER_BYTES_MIN = 92;
const NOWHERE: StoreHost = { address: Uint8Array.of(0, 0, 0, 0), port: 0 };
const EMPTY = new Uint8Array(0);

export interface LostMessage {
  topic: string;
  queueId: number;
  queueOffset: number;
  /** Its places in light queues. */
  lmqs?: readonly LmqPlace[];
  /** Of a record in a batch queue: how many messages it held. Their numbers are all kept in use. */
  innerCount?: number | undefined;
}

export interface FillRequest {
  /** Offsets in the log. */
  from: number;
  to: number;
  /** The stretch ends where its file does. */
  toFileEnd: boolean;
  /** The stretch begins where its file does: RocketMQ wants a record there and no BLANK. */
  fromFileStart: boolean;
  /** In the order of their numbers. */
  lost: readonly LostMessage[];
  /** Of the records around, so that times along the log keep rising. */
  storeTimestamp: number;
  /** The records around carry `__CRC32#`; a broker with forceVerifyPropCRC accepts no others. */
  propertyCrc: boolean;
}

/** A piece of what is written, at an offset in the log. */
export interface FillPiece {
  offset: number;
  bytes: Buffer;
}

export interface TombstonePlace extends LostMessage {
  offset: number;
  size: number;
}

export interface FillPlan {
  tombstones: TombstonePlace[];
  /** Bytes behind the tombstones: filler records, or the rest of the file with `blank`. */
  fillers: number[];
  /** Offset of the BLANK marker, undefined without one. */
  blankAt: number | undefined;
}

/** Lays the stretch out; undefined when it is too small for any record, which no damage to a record leaves. */
export function planFill(request: FillRequest): FillPlan | undefined {
  const encoder = new MessageEncoder({ enabledAppendPropCRC: request.propertyCrc });
  const { from, to, toFileEnd, lost } = request;
  const reserve = toFileEnd ? END_FILE_MIN_BLANK_LENGTH : 0;
  const room = to - from - reserve;
  const bare = lost.map((message) => encoder.size(tombstone(message, request), part(keptText(message))));
  const marked = lost.map((message) =>
    encoder.size(tombstone(message, request), part(marker(request) + keptText(message))),
  );
  const total = (sizes: readonly number[]): number => sizes.reduce((sum, size) => sum + size, 0);
  const sizes = total(marked) <= room ? marked : bare;
  if (total(sizes) > room) return undefined;
  const tombstones: TombstonePlace[] = [];
  let offset = from;
  for (const [index, message] of lost.entries()) {
    tombstones.push({ ...message, offset, size: sizes[index]! });
    offset += sizes[index]!;
  }
  if (toFileEnd) {
    const first = request.fromFileStart && tombstones.length === 0 ? FILLER_BYTES_MIN + FILLER_TOPIC.length + 20 : 0;
    const fillers = first > 0 && room >= first ? [first] : [];
    return { tombstones, fillers, blankAt: offset + total(fillers) };
  }
  let rest = to - offset;
  if (rest > 0 && rest < minFiller(request)) {
    const last = tombstones.at(-1);
    if (last === undefined) return undefined;
    last.size += rest;
    rest = 0;
  }
  return { tombstones, fillers: splitFiller(rest, minFiller(request)), blankAt: undefined };
}

const minFiller = ({ propertyCrc }: FillRequest): number => FILLER_BYTES_MIN + (propertyCrc ? 20 : 0);

/** No piece is smaller than a record can be. */
function splitFiller(bytes: number, min: number): number[] {
  const sizes: number[] = [];
  for (let rest = bytes; rest > 0; ) {
    let size = Math.min(rest, FILLER_BYTES_MAX);
    if (rest - size > 0 && rest - size < min) size -= min;
    sizes.push(size);
    rest -= size;
  }
  return sizes;
}

/** The bytes of a plan, one piece after the other. */
export function* fillPieces(request: FillRequest, plan: FillPlan): Generator<FillPiece, void, undefined> {
  const encoder = new MessageEncoder({ enabledAppendPropCRC: request.propertyCrc });
  let offset = request.from;
  for (const place of plan.tombstones) {
    const message = tombstone(place, request);
    const kept = keptText(place);
    const pad = place.size - encoder.size(message, part(kept));
    // Separators alone are no property to any reader; they take the room that is left.
    const text = pad >= marker(request).length ? marker(request) : '';
    const properties = text + kept + '\u0002'.repeat(pad - text.length);
    yield { offset, bytes: encode(encoder, place.size, message, part(properties), place.queueOffset, offset, request) };
    offset += place.size;
  }
  for (const size of plan.fillers) {
    yield { offset, bytes: encodeFiller(encoder, size, offset, request) };
    offset += size;
  }
  if (plan.blankAt === undefined) return;
  const blank = Buffer.alloc(END_FILE_MIN_BLANK_LENGTH);
  writeInt32(blank, request.to - plan.blankAt, 0);
  writeInt32(blank, BLANK_MAGIC_CODE, 4);
  yield { offset: plan.blankAt, bytes: blank };
}

function encodeFiller(encoder: MessageEncoder, size: number, offset: number, request: FillRequest): Buffer {
  const message = { ...inner(request), topic: FILLER_TOPIC, queueId: 0, sysFlag: TRANSACTION_ROLLBACK_TYPE };
  const shortest = encoder.size({ ...message, topic: '' }, part(''));
  message.topic = FILLER_TOPIC.slice(0, Math.max(1, size - shortest));
  const body = new Uint8Array(size - encoder.size(message, part('')));
  return encode(encoder, size, message, { flag: 0, body, propertiesString: '' }, 0, offset, request);
}

function encode(
  encoder: MessageEncoder,
  size: number,
  message: ReturnType<typeof tombstone>,
  what: ReturnType<typeof part>,
  queueOffset: number,
  offset: number,
  request: FillRequest,
): Buffer {
  const bytes = Buffer.alloc(size);
  const written = encoder.encode(bytes, 0, message, what, queueOffset, offset, request.storeTimestamp);
  if (written !== size) throw new Error(`a record of ${size} bytes for offset ${offset} became ${written}`);
  return bytes;
}

const marker = ({ from, to }: FillRequest): string => `${TOMBSTONE_PROPERTY}\u0001${from}-${to}\u0002`;
/** What a tombstone says of the places of its message, besides its own number. */
const keptText = (lost: LostMessage): string => lmqText(lost) + innerText(lost);

const lmqText = ({ lmqs = [] }: LostMessage): string =>
  encodeProperties([
    [PROPERTY_INNER_MULTI_DISPATCH, lmqs.map(({ name }) => name).join(',')],
    [PROPERTY_INNER_MULTI_QUEUE_OFFSET, lmqs.map(({ queueOffset }) => queueOffset).join(',')],
  ]);
const part = (propertiesString: string) => ({ flag: 0, body: EMPTY, propertiesString });

function inner({ storeTimestamp }: FillRequest) {
  return {
    flag: 0,
    bornTimestamp: storeTimestamp,
    bornHost: NOWHERE,
    storeHost: NOWHERE,
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body: EMPTY,
    propertiesString: '',
  };
}

function tombstone({ topic, queueId, innerCount }: LostMessage, request: FillRequest) {
  const preparedTransactionOffset = TOMBSTONE_PREPARED_OFFSET;
  // Without NEED_UNWRAP: a Java client cannot unwrap an empty body.
  const sysFlag = innerCount === undefined ? 0 : INNER_BATCH_FLAG;
  return { ...inner(request), topic, queueId, sysFlag, preparedTransactionOffset };
}

/** What both brokers count the numbers of a batch queue by. */
const innerText = ({ innerCount, queueOffset }: LostMessage): string =>
  innerCount === undefined ? '' : `INNER_NUM\u0001${innerCount}\u0002INNER_BASE\u0001${queueOffset}\u0002`;
