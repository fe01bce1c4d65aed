import { LanguageCode, languageFromName } from '../codes/language-code.ts';
import { RequestCode } from '../codes/request-code.ts';
import { FieldTable } from './field-table.ts';
import type { ByteRange, PullFields, SendFields } from './hot-fields.ts';
import { type RemotingCommand, SerializeType } from './remoting-command.ts';

const V1 = new FieldTable({
  topic: 'name',
  defaultTopic: 'name',
  defaultTopicQueueNums: 'integer',
  queueId: 'integer',
  sysFlag: 'integer',
  bornTimestamp: 'integer',
  flag: 'integer',
  properties: 'bytes',
  reconsumeTimes: 'integer',
  maxReconsumeTimes: 'integer',
  unitMode: 'flag',
  batch: 'flag',
  producerGroup: 'ignored',
  bname: 'ignored',
});
/** The same in the same order, with the names of V2; n is the broker's name. */
const V2 = new FieldTable({
  b: 'name',
  c: 'name',
  d: 'integer',
  e: 'integer',
  f: 'integer',
  g: 'integer',
  h: 'integer',
  i: 'bytes',
  j: 'integer',
  l: 'integer',
  k: 'flag',
  m: 'flag',
  a: 'ignored',
  n: 'ignored',
});
const PULL = new FieldTable({
  consumerGroup: 'name',
  topic: 'name',
  queueId: 'integer',
  queueOffset: 'integer',
  maxMsgNums: 'integer',
  sysFlag: 'integer',
  commitOffset: 'integer',
  suspendTimeoutMillis: 'integer',
  subVersion: 'integer',
  subscription: 'name',
  expressionType: 'name',
  maxMsgBytes: 'integer',
  bname: 'ignored',
});
const FIELDS_MAX = 16;

/** Members of a JSON header beside extFields. */
const MEMBERS = new FieldTable({
  code: 'integer',
  flag: 'integer',
  opaque: 'integer',
  version: 'integer',
  language: 'name',
  remark: 'name',
  serializeTypeCurrentRPC: 'ignored',
  extFields: 'ignored',
});
const CODE = 0;
const LANGUAGE = 4;
const REMARK = 5;
const EXT_FIELDS = 7;

function tableOf(code: number): FieldTable | undefined {
  switch (code) {
    case RequestCode.SEND_MESSAGE:
      return V1;
    case RequestCode.SEND_MESSAGE_V2:
    case RequestCode.SEND_BATCH_MESSAGE:
      return V2;
    case RequestCode.PULL_MESSAGE:
    case RequestCode.LITE_PULL_MESSAGE:
      return PULL;
    default:
      return undefined;
  }
}

/** Names that are kept as strings, by place. A name that is asked for less often than another of its place is made anew. */
const NAMES = 256;
const NAME_BYTES_MAX = 255;
/** Properties have at most 32,767 bytes in a record; more are read, and refused, as text. */
const SCRATCH_BYTES = 32_768;
const DIGITS_MAX = 15;
const BINARY_FIXED_BYTES = 21;

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const BACKSLASH = 0x5c;
const MINUS = 0x2d;
const ZERO = 0x30;
const SPACE = 0x20;
const DELETE = 0x7f;

/**
 * Reads the headers of the requests that come by the hundred thousand, sends and pulls, from their bytes: no text is made
 * of them, names are looked up by their bytes, properties stay bytes. What is read is what JSON.parse and the binary
 * decoder would give; whatever is unusual is not read at all and left to them: blanks, escapes outside of properties,
 * characters beyond ASCII, a field that stands there twice or that the request does not have, numbers of more than 15
 * digits.
 *
 * One object for each server and thread. The bytes of `propertyBytes` are its own or the frame's, and are another request's
 * once the next header is read: they are used up before a handler returns.
 */
export class HeaderReader {
  readonly #nameBytes: (Buffer | undefined)[] = new Array(NAMES).fill(undefined);
  readonly #nameTexts: string[] = new Array(NAMES).fill('');
  readonly #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  readonly #numbers = new Float64Array(FIELDS_MAX);
  readonly #texts: (string | undefined)[] = new Array(FIELDS_MAX).fill(undefined);
  /** Bit i: field i stands there. */
  #seen = 0;
  #range: ByteRange | undefined;
  /** Where the last thing read ends. */
  #end = 0;

  /** The JSON header at [start, end), or undefined when the general decoder has to read it. Never throws. */
  json(bytes: Buffer, start: number, end: number, body: Buffer | undefined): RemotingCommand | undefined {
    if (bytes[start] !== OPEN) return undefined;
    let at = start + 1;
    let members = 0;
    let table: FieldTable | undefined;
    /** Where extFields begin that stand in front of the code. */
    let fieldsAt = -1;
    let language: number = LanguageCode.JAVA;
    let remark: string | undefined;
    const command = { code: 0, flag: 0, opaque: 0, version: 0 };
    for (;;) {
      if (bytes[at] !== QUOTE) return undefined;
      const nameTo = plainEnd(bytes, at + 1, end);
      if (nameTo <= at + 1 || bytes[nameTo + 1] !== COLON) return undefined;
      const member = MEMBERS.find(bytes, at + 1, nameTo);
      if (member < 0 || (members & (1 << member)) !== 0) return undefined;
      members |= 1 << member;
      at = nameTo + 2;
      if (member < LANGUAGE) {
        const value = this.#integer(bytes, at, end);
        // JSON has no number that begins with a zero and goes on.
        if ((value | 0) !== value || (bytes[at] === ZERO && this.#end > at + 1)) return undefined;
        if (bytes[at] === MINUS && bytes[at + 1] === ZERO) return undefined;
        at = this.#end;
        if (member === CODE) {
          command.code = value;
          table = tableOf(value);
          if (table === undefined) return undefined;
        } else if (member === 1) command.flag = value;
        else if (member === 2) command.opaque = value;
        else command.version = value;
      } else if (member === EXT_FIELDS) {
        if (table === undefined) {
          fieldsAt = at;
          at = objectEnd(bytes, at, end);
          if (at < 0) return undefined;
        } else {
          if (!this.#jsonFields(table, bytes, at, end)) return undefined;
          at = this.#end;
        }
      } else {
        const valueTo = bytes[at] === QUOTE ? plainEnd(bytes, at + 1, end) : -1;
        if (valueTo < 0) return undefined;
        if (member === LANGUAGE) language = languageFromName(this.#name(bytes, at + 1, valueTo));
        else if (member === REMARK) remark = valueTo === at + 1 ? '' : bytes.toString('latin1', at + 1, valueTo);
        at = valueTo + 1;
      }
      const next = bytes[at++];
      if (next === COMMA) continue;
      if (next !== CLOSE || at !== end) return undefined;
      break;
    }
    if (table === undefined) return undefined;
    if (fieldsAt >= 0) {
      if (!this.#jsonFields(table, bytes, fieldsAt, end)) return undefined;
    } else if ((members & (1 << EXT_FIELDS)) === 0) return undefined;
    return this.#command(
      command.code,
      command.flag,
      command.opaque,
      language,
      command.version,
      remark,
      table,
      body,
      SerializeType.JSON,
    );
  }

  /** The binary header at [start, end), or undefined when the general decoder has to read it. Never throws. */
  binary(bytes: Buffer, start: number, end: number, body: Buffer | undefined): RemotingCommand | undefined {
    if (end - start < BINARY_FIXED_BYTES) return undefined;
    const code = int16(bytes, start);
    const table = tableOf(code);
    if (table === undefined) return undefined;
    const remarkFrom = start + 17;
    const remarkTo = remarkFrom + int32(bytes, start + 13);
    if (remarkTo < remarkFrom || remarkTo + 4 > end || !isAscii(bytes, remarkFrom, remarkTo)) return undefined;
    const fieldsTo = remarkTo + 4 + int32(bytes, remarkTo);
    if (fieldsTo <= remarkTo + 4 || fieldsTo > end) return undefined;
    if (!this.#binaryFields(table, bytes, remarkTo + 4, fieldsTo)) return undefined;
    const remark = remarkTo > remarkFrom ? bytes.toString('latin1', remarkFrom, remarkTo) : undefined;
    const [flag, opaque] = [int32(bytes, start + 9), int32(bytes, start + 5)];
    return this.#command(
      code,
      flag,
      opaque,
      bytes[start + 2]!,
      int16(bytes, start + 3),
      remark,
      table,
      body,
      SerializeType.ROCKETMQ,
    );
  }

  #command(
    code: number,
    flag: number,
    opaque: number,
    language: number,
    version: number,
    remark: string | undefined,
    table: FieldTable,
    body: Buffer | undefined,
    serializeType: SerializeType,
  ): RemotingCommand {
    return {
      code,
      flag,
      opaque,
      language,
      version,
      remark,
      extFields: undefined,
      body,
      bodyParts: undefined,
      serializeType,
      send: table === PULL ? undefined : this.#send(),
      pull: table === PULL ? this.#pull() : undefined,
    };
  }

  #send(): SendFields {
    const numbers = this.#numbers;
    const texts = this.#texts;
    const seen = this.#seen;
    return {
      topic: (seen & 1) === 0 ? '' : texts[0]!,
      defaultTopic: (seen & 2) === 0 ? '' : texts[1]!,
      defaultTopicQueueNums: (seen & 4) === 0 ? 4 : numbers[2]!,
      queueId: (seen & 8) === 0 ? Number.NaN : numbers[3]!,
      sysFlag: (seen & 16) === 0 ? 0 : numbers[4]!,
      bornTimestamp: (seen & 32) === 0 ? 0 : numbers[5]!,
      flag: (seen & 64) === 0 ? 0 : numbers[6]!,
      properties: '',
      propertyBytes: (seen & 128) === 0 ? undefined : this.#range,
      reconsumeTimes: (seen & 256) === 0 ? 0 : numbers[8]!,
      maxReconsumeTimes: (seen & 512) === 0 ? Number.NaN : numbers[9]!,
      unitMode: (seen & 1024) !== 0 && numbers[10] === 1,
      batch: (seen & 2048) !== 0 && numbers[11] === 1,
    };
  }

  #pull(): PullFields {
    const numbers = this.#numbers;
    const texts = this.#texts;
    const seen = this.#seen;
    return {
      consumerGroup: (seen & 1) === 0 ? '' : texts[0]!,
      topic: (seen & 2) === 0 ? '' : texts[1]!,
      queueId: (seen & 4) === 0 ? Number.NaN : numbers[2]!,
      queueOffset: (seen & 8) === 0 ? Number.NaN : numbers[3]!,
      maxMsgNums: (seen & 16) === 0 ? Number.NaN : numbers[4]!,
      sysFlag: (seen & 32) === 0 ? 0 : numbers[5]!,
      commitOffset: (seen & 64) === 0 ? 0 : numbers[6]!,
      suspendTimeoutMillis: (seen & 128) === 0 ? 0 : numbers[7]!,
      subVersion: (seen & 256) === 0 ? 0 : numbers[8]!,
      subscription: (seen & 512) === 0 ? undefined : texts[9]!,
      expressionType: (seen & 1024) === 0 ? undefined : texts[10]!,
      maxMsgBytes: (seen & 2048) === 0 ? Number.NaN : numbers[11]!,
    };
  }

  /** An object of strings, the fields of `table`; false when something about it is unusual. */
  #jsonFields(table: FieldTable, bytes: Buffer, from: number, end: number): boolean {
    this.#seen = 0;
    let at = from;
    if (bytes[at++] !== OPEN) return false;
    for (;;) {
      if (bytes[at] !== QUOTE) return false;
      const nameTo = plainEnd(bytes, at + 1, end);
      if (nameTo <= at + 1 || bytes[nameTo + 1] !== COLON || bytes[nameTo + 2] !== QUOTE) return false;
      const index = table.find(bytes, at + 1, nameTo);
      if (index < 0 || (this.#seen & (1 << index)) !== 0) return false;
      this.#seen |= 1 << index;
      at = nameTo + 3;
      if (table.kinds[index] === 'bytes') {
        at = this.#unescape(bytes, at, end);
        if (at < 0) return false;
      } else {
        const valueTo = plainEnd(bytes, at, end);
        if (valueTo < 0 || !this.#value(table, index, bytes, at, valueTo)) return false;
        at = valueTo + 1;
      }
      const next = bytes[at++];
      if (next === COMMA) continue;
      this.#end = at;
      return next === CLOSE;
    }
  }

  /** i16 length, name, i32 length, value, repeated. */
  #binaryFields(table: FieldTable, bytes: Buffer, from: number, end: number): boolean {
    this.#seen = 0;
    let at = from;
    while (at < end) {
      const nameFrom = at + 2;
      if (nameFrom > end) return false;
      const nameTo = nameFrom + ((bytes[at]! << 8) | bytes[at + 1]!);
      if (nameTo === nameFrom || nameTo + 4 > end) return false;
      const valueFrom = nameTo + 4;
      const valueTo = valueFrom + int32(bytes, nameTo);
      if (valueTo < valueFrom || valueTo > end) return false;
      const index = table.find(bytes, nameFrom, nameTo);
      if (index < 0 || (this.#seen & (1 << index)) !== 0) return false;
      this.#seen |= 1 << index;
      if (!isAscii(bytes, valueFrom, valueTo) || !this.#value(table, index, bytes, valueFrom, valueTo)) return false;
      at = valueTo;
    }
    return true;
  }

  #value(table: FieldTable, index: number, bytes: Buffer, from: number, to: number): boolean {
    switch (table.kinds[index]) {
      case 'integer': {
        const value = this.#integer(bytes, from, to);
        this.#numbers[index] = value;
        return this.#end === to && !Number.isNaN(value);
      }
      case 'name':
        this.#texts[index] = this.#name(bytes, from, to);
        return true;
      case 'flag':
        this.#numbers[index] = to - from === 4 && isTrue(bytes, from) ? 1 : 0;
        return true;
      case 'bytes':
        this.#range = { bytes, from, to };
        return true;
      default:
        return true;
    }
  }

  /** A whole number at `from`; NaN when there is none, or one of too many digits. */
  #integer(bytes: Buffer, from: number, end: number): number {
    const digitsFrom = bytes[from] === MINUS ? from + 1 : from;
    let at = digitsFrom;
    let value = 0;
    for (let digit = bytes[at]! - 0x30; at < end && digit >= 0 && digit <= 9; digit = bytes[at]! - 0x30) {
      value = value * 10 + digit;
      at++;
    }
    this.#end = at;
    if (at === digitsFrom || at - digitsFrom > DIGITS_MAX) return Number.NaN;
    return digitsFrom > from ? -value : value;
  }

  /** The text of ASCII bytes, the same string for the same bytes while it keeps its place. */
  #name(bytes: Buffer, from: number, to: number): string {
    const length = to - from;
    if (length === 0) return '';
    if (length > NAME_BYTES_MAX) return bytes.toString('latin1', from, to);
    let hash = length;
    for (let i = from; i < to; i++) hash = (Math.imul(hash, 31) + bytes[i]!) | 0;
    const place = (hash ^ (hash >>> 8) ^ (hash >>> 16)) & (NAMES - 1);
    const known = this.#nameBytes[place];
    if (known !== undefined && known.length === length) {
      let i = 0;
      while (i < length && known[i] === bytes[from + i]) i++;
      if (i === length) return this.#nameTexts[place]!;
    }
    const text = bytes.toString('latin1', from, to);
    this.#nameBytes[place] = Buffer.from(bytes.subarray(from, to));
    this.#nameTexts[place] = text;
    return text;
  }

  /** A JSON string of ASCII, from behind its quote, into the scratch; where it ends, or -1. */
  #unescape(bytes: Buffer, from: number, end: number): number {
    const scratch = this.#scratch;
    let length = 0;
    for (let at = from; at < end && length < SCRATCH_BYTES; ) {
      let byte = bytes[at++]!;
      if (byte === QUOTE) {
        this.#range = { bytes: scratch, from: 0, to: length };
        return at;
      }
      if (byte === BACKSLASH) {
        byte = escaped(bytes, at, end);
        if (byte < 0) return -1;
        at += bytes[at] === 0x75 ? 5 : 1;
      } else if (byte < SPACE || byte > DELETE) return -1;
      scratch[length++] = byte;
    }
    return -1;
  }
}

/** The character that the escape behind a backslash stands for; -1 when it is none of ASCII. */
function escaped(bytes: Buffer, at: number, end: number): number {
  switch (bytes[at]) {
    case 0x75: {
      if (at + 5 > end || bytes[at + 1] !== 0x30 || bytes[at + 2] !== 0x30) return -1;
      const value = hexDigit(bytes[at + 3]!) * 16 + hexDigit(bytes[at + 4]!);
      return value >= 0 && value <= DELETE ? value : -1;
    }
    case QUOTE:
    case BACKSLASH:
    case 0x2f:
      return bytes[at]!;
    case 0x62:
      return 8;
    case 0x66:
      return 12;
    case 0x6e:
      return 10;
    case 0x72:
      return 13;
    case 0x74:
      return 9;
    default:
      return -1;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1_000;
}

/** Where a string ends that begins at `from`, behind its quote; -1 when it holds an escape or anything but plain ASCII. */
function plainEnd(bytes: Buffer, from: number, end: number): number {
  for (let at = from; at < end; at++) {
    const byte = bytes[at]!;
    if (byte === QUOTE) return at;
    if (byte === BACKSLASH || byte < SPACE || byte > DELETE) return -1;
  }
  return -1;
}

/** Behind the object that begins at `from` and holds strings alone; -1 when it does not end. */
function objectEnd(bytes: Buffer, from: number, end: number): number {
  let inString = false;
  for (let at = from; at < end; at++) {
    const byte = bytes[at]!;
    if (byte === BACKSLASH) at++;
    else if (byte === QUOTE) inString = !inString;
    else if (byte === CLOSE && !inString) return at + 1;
  }
  return -1;
}

function isAscii(bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (bytes[at]! > DELETE) return false;
  return true;
}

const isTrue = (bytes: Buffer, at: number): boolean =>
  bytes[at] === 0x74 && bytes[at + 1] === 0x72 && bytes[at + 2] === 0x75 && bytes[at + 3] === 0x65;

const int16 = (bytes: Buffer, at: number): number => ((bytes[at]! << 24) >> 16) | bytes[at + 1]!;

const int32 = (bytes: Buffer, at: number): number =>
  (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
