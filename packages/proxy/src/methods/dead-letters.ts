import type { Refusal } from '@vernier/broker/internal';
import type { Call } from '../call.ts';
import type { ProxyContext } from '../context.ts';
import { parseReceipt, type Receipt } from '../receipts/handle.ts';
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
  const receipt = parseReceipt(request.receiptHandle ?? '', group, topic, proxy.broker, request.liteTopic);
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
  const refusal = await broker.deliveries.forward(receipt, call.caller);
  if (refusal !== undefined) return refusal;
  // The copy is there: what is asked for again would make another.
  const notAcked = await broker.deliveries.ack(receipt).catch((error: Error) => ({ remark: error.message }));
  if (notAcked !== undefined) {
    const fields = { group: receipt.group, topic: receipt.topic, queueOffset: receipt.queueOffset };
    broker.logger.warn(fields, `a dead letter comes once more, its delivery is not acknowledged: ${notAcked.remark}`);
  }
  return undefined;
}
