import { crc32 } from 'node:zlib';

/**
 * The messages of a crash run, computed from a seed and a sequence number alone. Whoever finds a body can say whether it
 * was ever sent, whole and to this queue, without a list of what was sent: that is what "none invented, none corrupt"
 * is checked with.
 *
 *     0  u32 mark | 4 u32 seed | 8 u32 sequence | 12 u16 size of the body | 14 pseudo-random bytes
 */
const MARK = 0x56435253;
const HEADER_SIZE = 14;

/** Messages go out in blocks of four for one queue, some of them as one batch. */
export const BLOCK_SIZE = 4;

export interface RunShape {
  seed: number;
  topics: string[];
  queueCount: number;
  /** Sizes are spread over HEADER_SIZE to this. */
  bodySizeMax: number;
}

export interface MessagePlan {
  topicIndex: number;
  queueId: number;
  /** All four messages of the block are one batch append. */
  isBatch: boolean;
  /** How the append asks to be acknowledged. `no-wait` is RocketMQ's property WAIT=false. */
  durability: 'default' | 'sync' | 'group' | 'async' | 'no-wait';
}

function mix(left: number, right: number): number {
  let value = Math.imul(left ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(right + 0x7f4a7c15, 0xc2b2ae35);
  value = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d);
  value = Math.imul(value ^ (value >>> 12), 0x297a2d39);
  return (value ^ (value >>> 15)) >>> 0;
}

/** What is the same for all messages of the block that holds `sequence`. */
export function planOf(shape: RunShape, sequence: number): MessagePlan {
  const hash = mix(shape.seed, Math.floor(sequence / BLOCK_SIZE));
  const durabilities = ['sync', 'group', 'async', 'no-wait'] as const;
  return {
    topicIndex: hash % shape.topics.length,
    queueId: (hash >>> 4) % shape.queueCount,
    isBatch: (hash >>> 8) % 8 === 0,
    durability: durabilities[(hash >>> 12) % 16] ?? 'default',
  };
}

export function bodyOf(shape: RunShape, sequence: number): Buffer {
  const hash = mix(shape.seed, sequence);
  const body = Buffer.allocUnsafe(HEADER_SIZE + (hash % (shape.bodySizeMax - HEADER_SIZE)));
  body.writeUInt32BE(MARK, 0);
  body.writeUInt32BE(shape.seed >>> 0, 4);
  body.writeUInt32BE(sequence, 8);
  body.writeUInt16BE(body.length, 12);
  let state = hash | 1;
  for (let index = HEADER_SIZE; index < body.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    body[index] = state;
  }
  return body;
}

/** The key under which the index knows the message. */
export function keyOf(sequence: number): string {
  return `crash-${sequence}`;
}

/** The sequence number of a body of this run; a reason in words when it is none. */
export function sequenceOf(shape: RunShape, body: Buffer): number | string {
  if (body.length < HEADER_SIZE || body.readUInt32BE(0) !== MARK) return 'the body is none of this run';
  if (body.readUInt32BE(4) !== shape.seed >>> 0) return `the body has seed ${body.readUInt32BE(4)}`;
  const sequence = body.readUInt32BE(8);
  if (!bodyOf(shape, sequence).equals(body)) return `the body of message ${sequence} is not the one that was sent`;
  return sequence;
}

/** RocketMQ's bodyCRC: CRC-32 without its highest bit. */
export function bodyCrc(body: Uint8Array): number {
  return crc32(body) & 0x7fffffff;
}

/** A small seeded generator (mulberry32) for everything the parent decides. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 4_294_967_296;
  };
}
