import type { KeyHashes } from '../base/types.ts';
import { PROPERTY_INNER_MULTI_DISPATCH, PROPERTY_INNER_MULTI_QUEUE_OFFSET } from './multi-dispatch.ts';
import { PROPERTY_CRC32, PROPERTY_LITE_TOPIC, PROPERTY_PRIORITY, PropertyCursor } from './properties.ts';
import { javaStringHashCode } from './tags-code.ts';

/** Names that the log or a broker looks at when a message is put; a bit each, or one for several that mean the same. */
export const PropertyBit = {
  UNIQ_KEY: 1,
  DELAY: 1 << 1,
  /** TIMER_DELAY_MS, TIMER_DELAY_SEC, TIMER_DELIVER_MS. */
  TIMER: 1 << 2,
  TRAN_MSG: 1 << 3,
  POP_CK: 1 << 4,
  /** MSG_REGION, TRACE_ON or CLUSTER: what a broker adds, so a broker has stored this message before. */
  BROKER: 1 << 5,
  TAGS: 1 << 6,
  KEYS: 1 << 7,
  WAIT: 1 << 8,
  /** Part of a name is enough: `__CRC32#` and a zero byte make the log add a checksum, wherever they stand. */
  CHECKSUM: 1 << 9,
  PRIORITY: 1 << 10,
  /** INNER_MULTI_DISPATCH or INNER_MULTI_QUEUE_OFFSET. */
  MULTI_DISPATCH: 1 << 11,
  LITE_TOPIC: 1 << 12,
  /** __SHARDINGKEY: it was sent in order. */
  SHARDING_KEY: 1 << 13,
} as const;

const names: readonly (readonly [name: string, bit: number])[] = [
  ['UNIQ_KEY', PropertyBit.UNIQ_KEY],
  ['DELAY', PropertyBit.DELAY],
  ['TIMER_DELAY_MS', PropertyBit.TIMER],
  ['TIMER_DELAY_SEC', PropertyBit.TIMER],
  ['TIMER_DELIVER_MS', PropertyBit.TIMER],
  ['TRAN_MSG', PropertyBit.TRAN_MSG],
  ['POP_CK', PropertyBit.POP_CK],
  ['MSG_REGION', PropertyBit.BROKER],
  ['TRACE_ON', PropertyBit.BROKER],
  ['CLUSTER', PropertyBit.BROKER],
  ['TAGS', PropertyBit.TAGS],
  ['KEYS', PropertyBit.KEYS],
  ['WAIT', PropertyBit.WAIT],
  [PROPERTY_PRIORITY, PropertyBit.PRIORITY],
  [PROPERTY_LITE_TOPIC, PropertyBit.LITE_TOPIC],
  ['__SHARDINGKEY', PropertyBit.SHARDING_KEY],
  [PROPERTY_INNER_MULTI_DISPATCH, PropertyBit.MULTI_DISPATCH],
  [PROPERTY_INNER_MULTI_QUEUE_OFFSET, PropertyBit.MULTI_DISPATCH],
];

interface Known {
  readonly text: string;
  readonly bytes: Buffer;
  readonly bit: number;
}

const LENGTH_MAX = Math.max(...names.map(([name]) => name.length));
/** By their length, which tells most of them apart. */
const byLength: readonly (readonly Known[])[] = Array.from({ length: LENGTH_MAX + 1 }, (_, length) =>
  names
    .filter(([name]) => name.length === length)
    .map(([text, bit]) => ({ text, bytes: Buffer.from(text, 'latin1'), bit })),
);

const NONE: readonly number[] = [];
const NAME_END = 1;
const VALUE_END = 2;
const BLANK = 0x20;

/**
 * One walk over a message's properties that finds everything a put asks of them. There is a walk over text and one over
 * ASCII bytes; both go by the same table and the same rules, PropertyCursor's: entries without a name or a value do not
 * count, and of a name that stands there twice the last entry does. An object is used for one message after the other.
 */
export class PropertyScan {
  /** Bits of PropertyBit. */
  found = 0;
  /** False: the property WAIT says so; the message is not to wait for its flush. */
  waits = true;
  readonly #cursor = new PropertyCursor();
  #text = '';
  #bytes: Uint8Array | undefined;
  /** The key that the broker gave to a message without one. */
  #givenKey: string | undefined;
  #uniqFrom = 0;
  #uniqTo = 0;
  #keysFrom = 0;
  #keysTo = 0;
  #tagsFrom = 0;
  #tagsTo = 0;

  scanText(text: string): this {
    this.#begin();
    this.#text = text;
    if (text.includes('\0') || text.includes(PROPERTY_CRC32)) this.found |= PropertyBit.CHECKSUM;
    const cursor = this.#cursor.start(text);
    while (cursor.next()) {
      const { nameFrom, nameTo, valueTo } = cursor;
      for (const known of byLength[nameTo - nameFrom] ?? []) {
        if (!text.startsWith(known.text, nameFrom)) continue;
        this.#entry(known.bit, nameTo + 1, valueTo, text.startsWith('false', nameTo + 1));
        break;
      }
    }
    return this;
  }

  /** `bytes` [from, to) are ASCII, and stay as they are while the scan is asked about them. */
  scanBytes(bytes: Uint8Array, from: number, to: number): this {
    this.#begin();
    this.#bytes = bytes;
    for (let at = from; at < to; ) {
      let nameTo = at;
      let valueTo = at;
      while (nameTo < to && bytes[nameTo] !== NAME_END && bytes[nameTo] !== VALUE_END) {
        if (asksForChecksum(bytes, nameTo)) this.found |= PropertyBit.CHECKSUM;
        nameTo++;
      }
      valueTo = nameTo;
      while (valueTo < to && bytes[valueTo] !== VALUE_END) {
        if (asksForChecksum(bytes, valueTo)) this.found |= PropertyBit.CHECKSUM;
        valueTo++;
      }
      if (bytes[nameTo] === NAME_END && nameTo > at && nameTo < valueTo - 1)
        this.#byteEntry(bytes, at, nameTo, valueTo);
      at = valueTo + 1;
    }
    return this;
  }

  /** The message has no key of its own and gets this one. */
  giveUniqKey(key: string): void {
    this.#givenKey = key;
  }

  /** The text of UNIQ_KEY; undefined without one. */
  get uniqKey(): string | undefined {
    if (this.#givenKey !== undefined) return this.#givenKey;
    if ((this.found & PropertyBit.UNIQ_KEY) === 0) return undefined;
    return this.#slice(this.#uniqFrom, this.#uniqTo);
  }

  /** Java's hash of TAGS; 0 without tags. */
  get tagsHash(): number {
    return this.#tagsTo === this.#tagsFrom ? 0 : this.#hash(this.#tagsFrom, this.#tagsTo);
  }

  keyHashes(): KeyHashes {
    let keys = NONE as number[];
    if (this.#givenKey !== undefined) keys = [javaStringHashCode(this.#givenKey), power(this.#givenKey.length)];
    else if (this.#uniqTo > this.#uniqFrom)
      keys = [this.#hash(this.#uniqFrom, this.#uniqTo), power(this.#uniqTo - this.#uniqFrom)];
    for (let from = this.#keysFrom; from < this.#keysTo; ) {
      let to = from;
      while (to < this.#keysTo && this.#unit(to) !== BLANK) to++;
      if (to > from) {
        if (keys === NONE) keys = [];
        keys.push(this.#hash(from, to), power(to - from));
      }
      from = to + 1;
    }
    const tagLength = this.#tagsTo - this.#tagsFrom;
    return { keys, tagHash: this.tagsHash, tagPower: tagLength === 0 ? 0 : power(tagLength) };
  }

  #begin(): void {
    this.found = 0;
    this.waits = true;
    this.#text = '';
    this.#bytes = undefined;
    this.#givenKey = undefined;
    this.#uniqFrom = 0;
    this.#uniqTo = 0;
    this.#keysFrom = 0;
    this.#keysTo = 0;
    this.#tagsFrom = 0;
    this.#tagsTo = 0;
  }

  #byteEntry(bytes: Uint8Array, nameFrom: number, nameTo: number, valueTo: number): void {
    for (const known of byLength[nameTo - nameFrom] ?? []) {
      if (!isAt(bytes, nameFrom, known.bytes)) continue;
      this.#entry(known.bit, nameTo + 1, valueTo, valueTo - nameTo - 1 >= 5 && isAt(bytes, nameTo + 1, FALSE));
      return;
    }
  }

  #entry(bit: number, valueFrom: number, valueTo: number, beginsWithFalse: boolean): void {
    this.found |= bit;
    switch (bit) {
      case PropertyBit.UNIQ_KEY:
        this.#uniqFrom = valueFrom;
        this.#uniqTo = valueTo;
        break;
      case PropertyBit.KEYS:
        this.#keysFrom = valueFrom;
        this.#keysTo = valueTo;
        break;
      case PropertyBit.TAGS:
        this.#tagsFrom = valueFrom;
        this.#tagsTo = valueTo;
        break;
      case PropertyBit.WAIT:
        this.waits = !(beginsWithFalse && valueTo - valueFrom === FALSE.length);
        break;
    }
  }

  #unit(at: number): number {
    return this.#bytes === undefined ? this.#text.charCodeAt(at) : this.#bytes[at]!;
  }

  #slice(from: number, to: number): string {
    if (this.#bytes === undefined) return this.#text.slice(from, to);
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + from, to - from).toString('latin1');
  }

  #hash(from: number, to: number): number {
    const bytes = this.#bytes;
    if (bytes === undefined) return javaStringHashCode(this.#text, 0, from, to);
    let hash = 0;
    for (let at = from; at < to; at++) hash = (Math.imul(hash, 31) + bytes[at]!) | 0;
    return hash;
  }
}

/** Of keys that are at hand as texts: UNIQ_KEY, KEYS separated by blanks, TAGS; empty or undefined without. */
export function keyHashesOf(uniqKey: string | undefined, keys: string, tags: string): KeyHashes {
  const texts = [uniqKey ?? '', ...keys.split(' ')].filter((text) => text !== '');
  return {
    keys: texts.flatMap((text) => [javaStringHashCode(text), power(text.length)]),
    tagHash: javaStringHashCode(tags),
    tagPower: tags === '' ? 0 : power(tags.length),
  };
}

const CRC_NAME = Buffer.from(PROPERTY_CRC32, 'latin1');
const FALSE = Buffer.from('false', 'latin1');

function isAt(bytes: Uint8Array, at: number, wanted: Uint8Array): boolean {
  for (let i = 0; i < wanted.length; i++) if (bytes[at + i] !== wanted[i]) return false;
  return true;
}

const asksForChecksum = (bytes: Uint8Array, at: number): boolean =>
  bytes[at] === 0 || (bytes[at] === CRC_NAME[0] && isAt(bytes, at, CRC_NAME));

const POWERS_KEPT = 256;
const powers = Int32Array.from({ length: POWERS_KEPT }, (_, exponent) => powerOf(exponent));

/** 31^exponent, wrapped to 32 bits. */
const power = (exponent: number): number => (exponent < POWERS_KEPT ? powers[exponent]! : powerOf(exponent));

function powerOf(exponent: number): number {
  let result = 1;
  for (let i = 0; i < exponent; i++) result = Math.imul(result, 31);
  return result;
}

/** Java's hash of a text of which `prefixHash` is the hash of the part in front of a key. */
export const hashBehind = (prefixHash: number, hash: number, keyPower: number): number =>
  (Math.imul(prefixHash, keyPower) + hash) | 0;
