import { type BatchMessage, decodeBatchBody } from '@vernier/remoting';
import type { MessageExt } from '@vernier/store';
import { INNER_BATCH_FLAG, NEED_UNWRAP_FLAG, parseProperties } from '@vernier/store/internal';
import type { SelectedMessage } from './messages.ts';

/** Bytes in front of the properties, which say how many there are. */
const LENGTH_BYTES = 2;

export const isInnerBatch = ({ sysFlag }: MessageExt): boolean => (sysFlag & INNER_BATCH_FLAG) !== 0;

/**
 * The messages of an inner batch, as RocketMQ's clients take it apart (MessageDecoder.decodeMessage): body, flag and
 * properties are their own, hosts and times are the record's. Each has its own number, and says no more that it is a batch.
 * Undefined when the body is not made of whole messages.
 */
export function innerMessages(record: MessageExt): readonly SelectedMessage[] | undefined {
  let messages: readonly (BatchMessage & { body: Buffer })[];
  try {
    messages = decodeBatchBody(record.body);
  } catch {
    return undefined;
  }
  const sysFlag = record.sysFlag & ~(INNER_BATCH_FLAG | NEED_UNWRAP_FLAG);
  return messages.map(({ flag, body, propertiesString }, index) => {
    const queueOffset = record.queueOffset + index;
    const properties = new Map(parseProperties(propertiesString));
    return {
      message: { ...record, ...{ sysFlag, queueOffset, flag, body, properties } },
      propertyBytes: propertiesBehind(body, record.body),
    };
  });
}

/** As they are stored: text would not give every byte back. */
function propertiesBehind(body: Buffer, batch: Buffer): Buffer {
  const at = body.byteOffset - batch.byteOffset + body.length;
  const from = at + LENGTH_BYTES;
  return batch.subarray(from, from + batch.readInt16BE(at));
}
