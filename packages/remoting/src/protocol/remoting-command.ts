import { LanguageCode } from '../codes/language-code.ts';
import { CURRENT_VERSION } from '../codes/mq-version.ts';
import type { PullFields, SendFields } from './hot-fields.ts';

/** How a header is written: the high byte of a frame's second word (RocketMQ SerializeType). */
export const SerializeType = { JSON: 0, ROCKETMQ: 1 } as const;
export type SerializeType = (typeof SerializeType)[keyof typeof SerializeType];

/** Header fields of a request or response. Values are always strings on the wire, numbers and booleans included. */
export type ExtFields = { [name: string]: string | undefined };

/** Bit 0 of `flag`: this command is a response. */
export const FLAG_RESPONSE = 1;
/** Bit 1 of `flag`: no answer is wanted, and none is ever sent, not even an error. */
export const FLAG_ONEWAY = 2;

/** One request or response (RocketMQ RemotingCommand). */
export interface RemotingCommand {
  /** RequestCode of a request, ResponseCode of a response. */
  code: number;
  /** FLAG_RESPONSE, FLAG_ONEWAY. */
  flag: number;
  /** Id of the request among those of its connection; the response carries the same. */
  opaque: number;
  /** LanguageCode of the sender. */
  language: number;
  /** MQVersion ordinal of the sender. */
  version: number;
  /** Error text or status. */
  remark: string | undefined;
  extFields: ExtFields | undefined;
  /**
   * The body. Of a *received* request it is a view into what the socket delivered, and on a server the next read
   * overwrites that (see ReadBuffer): use it up before the handler returns or first awaits, or copy it. It is taken away
   * when the handler has returned a promise.
   */
  body: Buffer | undefined;
  /**
   * Outgoing only, instead of `body`: pieces written one after another as they are, without joining them (the records
   * of a pull). They must not change until the connection has written them.
   */
  bodyParts?: readonly Uint8Array[] | undefined;
  /**
   * Outgoing only: called at most once, when the kernel has taken all of the frame and the body's memory may be used
   * again. Not called when that is not known to be so, as for a slow reader or a broken connection.
   */
  release?: (() => void) | undefined;
  /** Outgoing only: room that `RemotingConnection.reserve` gave for this answer; given back as it is queued. */
  reservedBytes?: number | undefined;
  /** Serialization of this command's header. An answer is written in the type its request came in. */
  serializeType: SerializeType;
  /**
   * Of a received SEND_MESSAGE or PULL_MESSAGE whose header a HeaderReader read: its fields. `extFields` is undefined
   * then; sendFieldsOf() and pullFieldsOf() give the fields either way.
   */
  send?: SendFields | undefined;
  pull?: PullFields | undefined;
}

let lastOpaque = 0;

/** The next request id of this process; wraps within a Java int. */
export function nextOpaque(): number {
  lastOpaque = (lastOpaque + 1) & 0x7fffffff;
  return lastOpaque;
}

/**
 * A request with a fresh opaque. The language says JAVA: brokers treat it as the default, and older ones refuse a JSON
 * header with a language they do not know.
 */
export function createRequest(code: number, extFields?: ExtFields, body?: Buffer): RemotingCommand {
  return {
    code,
    flag: 0,
    opaque: nextOpaque(),
    language: LanguageCode.JAVA,
    version: CURRENT_VERSION,
    remark: undefined,
    extFields,
    body,
    bodyParts: undefined,
    serializeType: SerializeType.JSON,
  };
}

/** The answer to `request`: its opaque, its serialization, the response flag. */
export function createResponse(
  request: Pick<RemotingCommand, 'opaque' | 'serializeType'>,
  code: number,
  remark?: string,
  extFields?: ExtFields,
  body?: Buffer,
): RemotingCommand {
  return {
    code,
    flag: FLAG_RESPONSE,
    opaque: request.opaque,
    language: LanguageCode.JAVA,
    version: CURRENT_VERSION,
    remark,
    extFields,
    body,
    bodyParts: undefined,
    serializeType: request.serializeType,
  };
}

export function isResponse(command: RemotingCommand): boolean {
  return (command.flag & FLAG_RESPONSE) !== 0;
}

export function isOneway(command: RemotingCommand): boolean {
  return (command.flag & FLAG_ONEWAY) !== 0;
}
