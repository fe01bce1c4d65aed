import { MQVersion, type RemotingCommand, sendFieldsOf } from '@vernier/remoting';
import type { MessageToPut } from '../put/message-to-put.ts';

/** Fields of SEND_MESSAGE, SEND_MESSAGE_V2 and SEND_BATCH_MESSAGE (E.4), and the body, as the put takes them. */
export interface SendMessageHeader extends MessageToPut {
  readonly batch: boolean;
  /** A view of the socket's chunk; empty for a request without one. */
  readonly body: Buffer;
}

const EMPTY_BODY = Buffer.alloc(0);

const isInt = Number.isSafeInteger;

/**
 * What a send says, in whichever of the forms it came; undefined when queueId, sysFlag, bornTimestamp or flag is no whole
 * number. Of the other numbers NaN stands for one that is none. Nothing is thrown.
 */
export function parseSendMessageHeader(request: RemotingCommand): SendMessageHeader | undefined {
  const fields = sendFieldsOf(request);
  const { queueId, sysFlag, bornTimestamp, flag, propertyBytes } = fields;
  if (!(isInt(queueId) && isInt(sysFlag) && isInt(bornTimestamp) && isInt(flag))) return undefined;
  return {
    topic: fields.topic,
    defaultTopic: fields.defaultTopic,
    defaultTopicQueueNums: fields.defaultTopicQueueNums,
    queueId,
    sysFlag,
    bornTimestamp,
    flag,
    properties: fields.properties,
    propertyBytes,
    reconsumeTimes: isInt(fields.reconsumeTimes) ? fields.reconsumeTimes : 0,
    // Older clients send the field and do not mean it.
    maxReconsumeTimes: request.version >= MQVersion.V3_4_9 ? fields.maxReconsumeTimes : Number.NaN,
    unitMode: fields.unitMode,
    batch: fields.batch,
    body: request.body ?? EMPTY_BODY,
  };
}
