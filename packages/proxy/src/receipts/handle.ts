import { type Delivered, handleText, parseHandle, topicOfMark, wholeNumber } from '@vernier/broker/internal';
import type { Backend } from '../backend/backend.ts';
import { StatusError } from '../status.ts';
import { Code } from '../wire/messages.ts';

/**
 * What a consumer holds of a delivery (RocketMQ ReceiptHandle): the eight fields of POP_CK, and where the message lies in
 * the log, with a blank between them.
 */
export interface Receipt extends Delivered {
  /** -1: it does not say. */
  readonly logOffset: number;
  /** The lite topic that the message is of; empty for none. It is not in the text. */
  readonly liteTopic: string;
}

const FIELDS_MIN = 8;
const MARK_FIELD = 4;
const QUEUE_FIELD = 6;
const OFFSET_FIELD = 7;
const LOG_OFFSET_FIELD = 8;
const INT32_MAX = 0x7fff_ffff;

/** The text of a receipt. */
export const receiptText = ({ handle, topic, queueId, queueOffset, logOffset }: Receipt): string =>
  `${handleText({ ...handle, topic, queueId, queueOffset })}${logOffset < 0 ? '' : ` ${logOffset}`}`;

/**
 * Reads a receipt of a broker that the proxy stands in front of. Throws INVALID_RECEIPT_HANDLE; RocketMQ says INTERNAL_SERVER_ERROR of what it cannot read,
 * and its clients then ask again for ever.
 */
export function parseReceipt(
  text: string,
  group: string,
  topic: string,
  broker: Pick<Backend, 'checkBroker'>,
  liteTopic: string | null = '',
): Receipt {
  const handle = parseHandle(text);
  if (typeof handle === 'string') throw invalid(`${handle} is no receipt`);
  const fields = text.split(' ');
  if (fields.length < FIELDS_MIN)
    throw invalid(`a receipt has ${FIELDS_MIN} fields and more, this one ${fields.length}`);
  const realTopic = topicOfMark(topic, group, fields[MARK_FIELD] as string);
  const queueId = wholeNumber(fields[QUEUE_FIELD], INT32_MAX);
  const queueOffset = wholeNumber(fields[OFFSET_FIELD], Number.MAX_SAFE_INTEGER);
  const logField = fields[LOG_OFFSET_FIELD];
  const logOffset = logField === undefined ? -1 : wholeNumber(logField, Number.MAX_SAFE_INTEGER);
  if (realTopic === undefined || queueId === undefined || queueOffset === undefined || logOffset === undefined) {
    throw invalid('a receipt whose topic mark, queue or offset is none');
  }
  broker.checkBroker(handle.brokerName);
  return { group, topic: realTopic, queueId, queueOffset, handle, logOffset, liteTopic: liteTopic ?? '' };
}

/** Unix milliseconds at which the message comes again. */
export const visibleAt = ({ handle }: Receipt): number => handle.popTime + handle.invisibleMs;

/** Throws INVALID_RECEIPT_HANDLE when its time is over. */
export function checkLive(receipt: Receipt, now: number): void {
  if (visibleAt(receipt) <= now) throw expired();
}

export const expired = (): StatusError => invalid('receipt handle is expired');

export const invalid = (why: string): StatusError => new StatusError(Code.INVALID_RECEIPT_HANDLE, why);
