import type { Refusal } from '@vernier/broker/internal';
import type { Call } from '../call.ts';
import type { ProxyContext } from '../context.ts';
import { parseReceipt, type Receipt } from '../receipts/handle.ts';
import { acknowledge } from '../receipts/renewals.ts';
import { OK, StatusError, statusOfRefusal } from '../status.ts';
import { groupOf, topicOf } from '../validate.ts';
import { Code, type ForwardRequest, type ForwardResponse } from '../wire/messages.ts';

/** ForwardMessageToDeadLetterQueue: a copy goes to the dead letters of the group, and the delivery is acknowledged. */
export async function forwardMessage(
  proxy: ProxyContext,
  request: ForwardRequest,
  call: Call,
): Promise<ForwardResponse> {
  const topic = topicOf(proxy.broker, request.topic);
  const group = groupOf(request.group);
  const { brokerName } = proxy.broker.config;
  const receipt = parseReceipt(request.receiptHandle ?? '', group, topic, brokerName, request.liteTopic);
  const newest = await proxy.renewals.take(receipt);
  if (newest.logOffset < 0) throw new StatusError(Code.INVALID_RECEIPT_HANDLE, 'commit log offset is empty');
  const refusal = await forwardToDeadLetters(proxy, newest, call);
  return { status: refusal === undefined ? OK : statusOfRefusal(refusal) };
}

/** Undefined: the copy is as safe as any message, and the delivery is acknowledged or comes once more. */
export async function forwardToDeadLetters(
  { broker }: ProxyContext,
  receipt: Receipt,
  call: Call,
): Promise<Refusal | undefined> {
  const { group, logOffset } = receipt;
  const dead = { group, logOffset, delayLevel: -1, maxReconsumeTimes: 0, unitMode: false };
  const refusal = await broker.sendBack.sendBack(dead, call.caller);
  if (refusal !== undefined) return refusal;
  const notAcked = await acknowledge(broker, receipt);
  if (notAcked !== undefined) {
    const fields = { group, topic: receipt.topic, queueOffset: receipt.queueOffset };
    broker.logger.warn(fields, `a dead letter comes once more, its delivery is not acknowledged: ${notAcked.remark}`);
  }
  return undefined;
}
