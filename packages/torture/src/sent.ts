import { type ExtFields, type RemotingCommand, ResponseCode } from '@vernier/remoting';
import type { Random } from './random.ts';

const BODY_BYTES_MAX = 200;
/** A position in the log as message ids have it, behind the host. */
const OFFSET_HEX_CHARS = 16;

export interface SenderOptions {
  syncFlush: boolean;
  /** An acknowledgement of ASYNC_FLUSH means a buffer in memory. */
  asyncInMemory: boolean;
}

/** A message by whoever sent it, and what was answered. */
export interface Sent {
  readonly id: number;
  readonly topic: string;
  readonly queueId: number;
  /** Its record is there whatever happens: acknowledged as on disk, or a start has found it. */
  isPromised: boolean;
  /** Its record is in memory at least. */
  isAppended: boolean;
  /** Answered with SUCCESS: written at least, where anything is. */
  isAcknowledged: boolean;
  logOffset: number | undefined;
  queueOffset: number | undefined;
}

export const newSent = (id: number, topic: string, queueId: number): Sent => ({
  ...{ id, topic, queueId, isPromised: false, isAppended: false, isAcknowledged: false },
  ...{ logOffset: undefined, queueOffset: undefined },
});

/** Its number, then bytes that tell whether it is whole. */
export function bodyOf({ id }: Pick<Sent, 'id'>, random: Random): Buffer {
  const body = Buffer.alloc(random.integer(4, BODY_BYTES_MAX), id & 0xff);
  body.writeUInt32BE(id, 0);
  return body;
}

/** The number in a body; -1 for a body that nobody made. */
export function idOfBody(body: Buffer): number {
  const id = body.length >= 4 ? body.readUInt32BE(0) : -1;
  return body.subarray(4).every((byte) => byte === (id & 0xff)) ? id : -1;
}

/** SEND_MESSAGE_V2 with these properties beside the key, which the broker would draw by lot. */
export function sendFieldsOf({ id, topic, queueId }: Sent, now: number, properties: string): ExtFields {
  return {
    ...{ a: 'senders', b: topic, c: 'TBW102', d: '4', e: String(queueId), f: '0', g: String(now), h: '0' },
    ...{ i: `UNIQ_KEY\u0001${uniqKeyOf(id)}\u0002${properties}`, j: '0', k: 'false', m: 'false' },
  };
}

const uniqKeyOf = (id: number): string => id.toString(16).padStart(32, '0');

/** False when the answer says that nothing was stored. */
export function noteAnswer(sent: Sent, { code, extFields }: RemotingCommand, { syncFlush }: SenderOptions): boolean {
  if (code !== ResponseCode.SUCCESS && code !== ResponseCode.FLUSH_DISK_TIMEOUT) return false;
  sent.isAppended = true;
  sent.isAcknowledged = code === ResponseCode.SUCCESS;
  sent.isPromised = sent.isAcknowledged && syncFlush;
  sent.logOffset = Number.parseInt(extFields!.msgId!.slice(-OFFSET_HEX_CHARS), 16);
  sent.queueOffset = Number(extFields!.queueOffset);
  return true;
}

/** Whether it must be there after a crash. `killed`: the process alone, the page cache stayed. */
export const survives = (sent: Sent, killed: boolean, { asyncInMemory }: SenderOptions): boolean =>
  sent.isPromised || (killed && sent.isAcknowledged && !asyncInMemory);
