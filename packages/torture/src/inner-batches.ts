import { type BatchMessage, decodeBatchBody, encodeBatchBody } from '@vernier/remoting';
import type { MessageExtBatch, MessageExtBrokerInner, StoredMessage } from '@vernier/store';
import { INNER_BATCH_FLAG, NEED_UNWRAP_FLAG, propertyOf } from '@vernier/store/internal';

/** Anything less than a whole inner batch is none. */
const FLAGS = INNER_BATCH_FLAG | NEED_UNWRAP_FLAG;
const WAITS_NOT = 'WAIT\u0001false\u0002';

/** The batch as one record, as a broker stores it in a topic with batch queues. */
export function innerBatch({ messages, ...head }: MessageExtBatch): MessageExtBrokerInner {
  const waitsNot = messages.some(({ propertiesString }) => propertiesString.includes(WAITS_NOT));
  return {
    ...head,
    flag: 0,
    sysFlag: head.sysFlag | FLAGS,
    body: encodeBatchBody(messages),
    propertiesString: `INNER_NUM\u0001${messages.length}\u0002${waitsNot ? WAITS_NOT : ''}`,
  };
}

export const isInnerBatch = ({ sysFlag }: { sysFlag: number }): boolean => (sysFlag & INNER_BATCH_FLAG) !== 0;

/** The messages of a record, as a consumer sees them: those of an inner batch one by one, else the one that it is. */
export function unwrapped(record: StoredMessage): readonly StoredMessage[] {
  if (!isInnerBatch(record)) return [record];
  return decodeBatchBody(record.body).map((message, index) => inner(record, message, index));
}

function inner(record: StoredMessage, { flag, body, propertiesString }: BatchMessage, index: number): StoredMessage {
  const keys = propertyOf(propertiesString, 'KEYS')?.split(' ') ?? [];
  const tags = propertyOf(propertiesString, 'TAGS');
  return {
    ...record,
    ...{ flag, body: Buffer.from(body), keys, queueOffset: record.queueOffset + index },
    ...(tags === undefined ? {} : { tags }),
  };
}
