import {
  type BatchMessage,
  createResponse,
  decodeBatchBody,
  isOneway,
  isPlainKey,
  offsetHex,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  SendAnswer,
} from '@vernier/remoting';
import type { Caller } from '../base/caller.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerContext } from '../context.ts';
import { propertiesTextOf } from '../put/message-to-put.ts';
import type { PutOutcome, Stored } from '../put/put-service.ts';
import { recallHandleOf } from '../timer/recall-handle.ts';
import type { StaticQueue } from '../topics/static-topics.ts';
import type { Processed } from './requests.ts';
import { parseSendMessageHeader, type SendMessageHeader } from './send-message-header.ts';

/** SEND_MESSAGE, SEND_MESSAGE_V2, SEND_BATCH_MESSAGE (RocketMQ SendMessageProcessor). */
export function sendMessage(broker: BrokerContext, request: RemotingCommand, caller: Caller): Processed {
  const header = parseSendMessageHeader(request);
  if (header === undefined) {
    const remark = 'queueId, sysFlag, bornTimestamp or flag is no whole number';
    return answerOf(broker, request, new Refusal(ResponseCode.INVALID_PARAMETER, remark));
  }
  const queue = broker.staticTopics.queue(header.topic, header.queueId, broker.random);
  if (queue !== undefined) return sendToStaticTopic(broker, request, caller, header, queue);
  if (!header.batch && request.code !== RequestCode.SEND_BATCH_MESSAGE) {
    return broker.put.put(header, caller, 'client', (outcome) => answerOf(broker, request, outcome));
  }
  return sendBatch(broker, request, caller, header, (outcome) => answerOf(broker, request, outcome));
}

/** Clients know the logical queue and its numbers. */
function sendToStaticTopic(
  broker: BrokerContext,
  request: RemotingCommand,
  caller: Caller,
  header: SendMessageHeader,
  queue: StaticQueue | Refusal,
): Processed {
  if (queue instanceof Refusal) return answerOf(broker, request, queue);
  const { globalId, queueId, delta } = queue;
  const answer = (outcome: PutOutcome): RemotingCommand | undefined => {
    if (outcome instanceof Refusal) return answerOf(broker, request, outcome);
    // Dead letters, and what belongs to a lite topic, do not stand in the logical queue.
    const isElsewhere = outcome.topic !== header.topic || outcome.queueId !== queueId;
    if (isElsewhere) return answerOf(broker, request, outcome);
    // By the number that a half has its producer ends it.
    const queueOffset = outcome.isHalf ? outcome.queueOffset : outcome.queueOffset + delta;
    return answerOf(broker, request, { ...outcome, queueId: globalId, queueOffset });
  };
  const physical = { ...header, queueId, isQueueFixed: true };
  return header.batch || request.code === RequestCode.SEND_BATCH_MESSAGE
    ? sendBatch(broker, request, caller, physical, answer)
    : broker.put.put(physical, caller, 'client', answer);
}

function sendBatch(
  broker: BrokerContext,
  request: RemotingCommand,
  caller: Caller,
  header: SendMessageHeader,
  answer: (outcome: PutOutcome) => RemotingCommand | undefined,
): Processed {
  let messages: BatchMessage[];
  try {
    messages = decodeBatchBody(header.body);
  } catch (error) {
    const remark = `the message is illegal: ${(error as Error).message}`;
    return answerOf(broker, request, new Refusal(ResponseCode.MESSAGE_ILLEGAL, remark));
  }
  const batch = { ...header, properties: propertiesTextOf(header), messages };
  return broker.put.putBatch(batch, caller, 'client', answer);
}

function answerOf(broker: BrokerContext, request: RemotingCommand, outcome: PutOutcome): RemotingCommand | undefined {
  if (isOneway(request)) return undefined;
  const { regionId, traceOn } = broker.config;
  if (outcome instanceof Refusal) {
    const fields = { MSG_REGION: regionId, TRACE_ON: String(traceOn) };
    return createResponse(request, outcome.code, outcome.remark, fields);
  }
  const { code, remark, logOffset, queueId, queueOffset, uniqKey, timerOutMs } = outcome;
  const isPlain = outcome.batchLogOffsets === undefined && timerOutMs === undefined && !outcome.isInnerBatch;
  const isCommon = code === ResponseCode.SUCCESS && remark === undefined && isPlain;
  if (isCommon && (uniqKey === undefined || isPlainKey(uniqKey))) {
    const form = broker.hosts.sendAnswerForm(regionId, traceOn);
    return new SendAnswer(request, form, logOffset, queueId, queueOffset, uniqKey);
  }
  return createResponse(request, code, remark, {
    msgId: messageIdOf(broker, outcome),
    queueId: String(queueId),
    queueOffset: String(queueOffset),
    transactionId: uniqKey,
    batchUniqId: outcome.isInnerBatch ? uniqKey : undefined,
    MSG_REGION: regionId,
    TRACE_ON: String(traceOn),
    recallHandle: recallHandleOf(outcome, broker.config.brokerName),
  });
}

/** Where the record is; of a batch where each of them is, joined by commas. */
function messageIdOf({ hosts }: BrokerContext, { logOffset, batchLogOffsets }: Stored): string {
  const { messageIdPrefix } = hosts;
  if (batchLogOffsets === undefined) return messageIdPrefix + offsetHex(logOffset);
  return batchLogOffsets.map((offset) => messageIdPrefix + offsetHex(offset)).join(',');
}
