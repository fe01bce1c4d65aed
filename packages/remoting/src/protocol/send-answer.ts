import { LanguageCode } from '../codes/language-code.ts';
import { CURRENT_VERSION } from '../codes/mq-version.ts';
import { ResponseCode } from '../codes/response-code.ts';
import { offsetHex } from '../message/message-id.ts';
import { DECIMAL_CHARS_MAX, writeDecimal, writeHex64 } from './digits.ts';
import { type ExtFields, FLAG_RESPONSE, type RemotingCommand, SerializeType } from './remoting-command.ts';

const OFFSET_HEX_CHARS = 16;
/** A unique key has 32 characters; a producer may write a longer one. */
const KEY_CHARS_MAX = 256;

/** The bytes of an answer that are the same for all messages of a broker, in one serialization. */
interface Pieces {
  /** Up to the log offset. */
  readonly head: Buffer;
  readonly queueId: Buffer;
  readonly queueOffset: Buffer;
  readonly transactionId: Buffer;
  /** Behind the last number. */
  readonly tail: Buffer;
  /** Behind the opaque; JSON alone. */
  readonly end: Buffer;
}

/** What the answers to a broker's sends have in common: made once, used until one of the three changes. */
export class SendAnswerForm {
  readonly messageIdPrefix: string;
  readonly region: string;
  readonly traceOn: boolean;
  readonly json: Pieces;
  readonly binary: Pieces;
  /** More than any answer's header takes. */
  readonly bytesMax: number;

  constructor(messageIdPrefix: string, region: string, traceOn: boolean) {
    this.messageIdPrefix = messageIdPrefix;
    this.region = region;
    this.traceOn = traceOn;
    const quoted = (text: string): string => JSON.stringify(text).slice(1, -1);
    const { SUCCESS } = ResponseCode;
    this.json = {
      head: Buffer.from(`{"code":${SUCCESS},"extFields":{"msgId":"${quoted(messageIdPrefix)}`),
      queueId: Buffer.from('","queueId":"'),
      queueOffset: Buffer.from('","queueOffset":"'),
      transactionId: Buffer.from('","transactionId":"'),
      tail: Buffer.from(
        `","MSG_REGION":"${quoted(region)}","TRACE_ON":"${traceOn}"},"flag":${FLAG_RESPONSE},"language":"JAVA","opaque":`,
      ),
      end: Buffer.from(`,"serializeTypeCurrentRPC":"JSON","version":${CURRENT_VERSION}}`),
    };
    const none = Buffer.alloc(0);
    this.binary = {
      head: Buffer.concat([
        name('msgId'),
        length32(messageIdPrefix.length + OFFSET_HEX_CHARS),
        latin1(messageIdPrefix),
      ]),
      queueId: name('queueId'),
      queueOffset: name('queueOffset'),
      transactionId: name('transactionId'),
      tail: Buffer.concat([...field('MSG_REGION', region), ...field('TRACE_ON', String(traceOn))]),
      end: none,
    };
    const { head, queueId, queueOffset, transactionId, tail, end } = this.json;
    const pieces = [head, queueId, queueOffset, transactionId, tail, end].reduce((sum, { length }) => sum + length, 0);
    this.bytesMax = pieces * 2 + KEY_CHARS_MAX + OFFSET_HEX_CHARS + DECIMAL_CHARS_MAX * 3 + BINARY_FIXED_BYTES + 64;
  }
}

const BINARY_FIXED_BYTES = 21;
const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');

function length32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function name(text: string): Buffer {
  const bytes = Buffer.alloc(2 + text.length);
  bytes.writeInt16BE(text.length);
  bytes.write(text, 2, 'latin1');
  return bytes;
}

function field(text: string, value: string): Buffer[] {
  const bytes = Buffer.from(value, 'utf8');
  return [name(text), length32(bytes.length), bytes];
}

/**
 * The answer to a send whose message was stored without a reservation: numbers, which go into bytes that are ready. It is
 * a RemotingCommand like any other; `extFields` makes the fields for whoever wants to see them.
 */
export class SendAnswer implements RemotingCommand {
  readonly code = ResponseCode.SUCCESS;
  flag = FLAG_RESPONSE;
  opaque: number;
  readonly language = LanguageCode.JAVA;
  readonly version = CURRENT_VERSION;
  readonly remark = undefined;
  readonly body = undefined;
  readonly serializeType: SerializeType;
  readonly #form: SendAnswerForm;
  readonly #logOffset: number;
  readonly #queueId: number;
  readonly #queueOffset: number;
  readonly #uniqKey: string | undefined;

  /** `uniqKey`: one that isPlainKey() says can be written as it is. */
  constructor(
    request: Pick<RemotingCommand, 'opaque' | 'serializeType'>,
    form: SendAnswerForm,
    logOffset: number,
    queueId: number,
    queueOffset: number,
    uniqKey: string | undefined,
  ) {
    this.opaque = request.opaque;
    this.serializeType = request.serializeType;
    this.#form = form;
    this.#logOffset = logOffset;
    this.#queueId = queueId;
    this.#queueOffset = queueOffset;
    this.#uniqKey = uniqKey;
  }

  get extFields(): ExtFields {
    const { messageIdPrefix, region, traceOn } = this.#form;
    return {
      msgId: messageIdPrefix + offsetHex(this.#logOffset),
      queueId: String(this.#queueId),
      queueOffset: String(this.#queueOffset),
      transactionId: this.#uniqKey,
      MSG_REGION: region,
      TRACE_ON: String(traceOn),
    };
  }

  get headerBytesMax(): number {
    return this.#form.bytesMax;
  }

  /** Writes the header at `at`; returns where it ends. */
  writeHeader(target: Buffer, at: number): number {
    return this.serializeType === SerializeType.JSON ? this.#writeJson(target, at) : this.#writeBinary(target, at);
  }

  #writeJson(target: Buffer, at: number): number {
    const { head, queueId, queueOffset, transactionId, tail, end } = this.#form.json;
    let p = put(target, at, head);
    p = writeHex64(target, p, this.#logOffset);
    p = writeDecimal(target, put(target, p, queueId), this.#queueId);
    p = writeDecimal(target, put(target, p, queueOffset), this.#queueOffset);
    const key = this.#uniqKey;
    if (key !== undefined) {
      p = put(target, p, transactionId);
      p += target.write(key, p, 'latin1');
    }
    p = writeDecimal(target, put(target, p, tail), this.opaque);
    return put(target, p, end);
  }

  /** The layout is binary-header.ts's. */
  #writeBinary(target: Buffer, at: number): number {
    const { head, queueId, queueOffset, transactionId, tail } = this.#form.binary;
    target.writeInt16BE(this.code, at);
    target[at + 2] = this.language;
    target.writeInt16BE(this.version, at + 3);
    target.writeInt32BE(this.opaque, at + 5);
    target.writeInt32BE(this.flag, at + 9);
    target.writeInt32BE(0, at + 13);
    const fieldsFrom = at + BINARY_FIXED_BYTES;
    let p = writeHex64(target, put(target, fieldsFrom, head), this.#logOffset);
    p = putNumber(target, put(target, p, queueId), this.#queueId);
    p = putNumber(target, put(target, p, queueOffset), this.#queueOffset);
    const key = this.#uniqKey;
    if (key !== undefined) {
      p = put(target, p, transactionId);
      target.writeInt32BE(key.length, p);
      p += 4 + target.write(key, p + 4, 'latin1');
    }
    p = put(target, p, tail);
    target.writeInt32BE(p - fieldsFrom, fieldsFrom - 4);
    return p;
  }
}

function put(target: Buffer, at: number, bytes: Buffer): number {
  target.set(bytes, at);
  return at + bytes.length;
}

/** A field's value: its length, then its digits. */
function putNumber(target: Buffer, at: number, value: number): number {
  const end = writeDecimal(target, at + 4, value);
  target.writeInt32BE(end - at - 4, at);
  return end;
}

/** Whether a key stands in JSON as it is, one byte a character: ASCII without quotes, backslashes and control characters. */
export function isPlainKey(key: string): boolean {
  if (key.length > KEY_CHARS_MAX) return false;
  for (let i = 0; i < key.length; i++) {
    const char = key.charCodeAt(i);
    if (char < 0x20 || char > 0x7e || char === 0x22 || char === 0x5c) return false;
  }
  return true;
}
