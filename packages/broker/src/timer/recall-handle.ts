import { isRetryTopic } from '../base/names.ts';
import type { Stored } from '../put/put-service.ts';

/**
 * What a producer gets with the answer to a timed message, and gives back to recall it (RocketMQ RecallMessageHandle): in
 * base64url, `v1 topic brokerName timestamp messageId`, separated by blanks. The timestamp is a millisecond behind the
 * message's TIMER_OUT_MS, so that rounding leads to the same slot again.
 */
export interface RecallHandle {
  readonly topic: string;
  readonly brokerName: string;
  /** Unix milliseconds; NaN for what is no number. */
  readonly timestamp: number;
  readonly messageId: string;
}

const VERSION = 'v1';
/** Properties have at most 32,767 bytes, the key that a producer gives its message among them; of what is longer none is ours. */
const HANDLE_CHARS_MAX = 45_000;

export function encodeRecallHandle({ topic, brokerName, timestamp, messageId }: RecallHandle): string {
  const text = Buffer.from(`${VERSION} ${topic} ${brokerName} ${timestamp} ${messageId}`).toString('base64url');
  // Java writes the padding, and reads it or its absence.
  return text.padEnd(Math.ceil(text.length / 4) * 4, '=');
}

/** A timed message can be recalled, but for a retry (RocketMQ SendMessageProcessor.attachRecallHandle); undefined: it cannot. */
export function recallHandleOf(
  { topic, uniqKey, timerOutMs }: Pick<Stored, 'topic' | 'uniqKey' | 'timerOutMs'>,
  brokerName: string,
): string | undefined {
  if (timerOutMs === undefined || uniqKey === undefined || isRetryTopic(topic)) return undefined;
  return encodeRecallHandle({ topic, brokerName, timestamp: timerOutMs + 1, messageId: uniqKey });
}

/** Undefined for what is no handle. */
export function decodeRecallHandle(handle: string): RecallHandle | undefined {
  if (handle.length > HANDLE_CHARS_MAX || !/^[\w-]+={0,2}$/.test(handle)) return undefined;
  const [version, topic, brokerName, timestamp, ...key] = Buffer.from(handle, 'base64url').toString('utf8').split(' ');
  // A producer may give its message a key with blanks. Java reads the key up to the first one.
  const messageId = key.join(' ');
  // A note with an empty key would be a message like any other. Java drops what is empty at the end.
  if (version !== VERSION || topic === undefined || brokerName === undefined || !messageId) return undefined;
  const isNumber = /^-?\d{1,16}$/.test(timestamp!);
  return { topic, brokerName, timestamp: isNumber ? Number(timestamp) : Number.NaN, messageId };
}
