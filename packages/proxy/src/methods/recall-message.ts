import { Refusal } from '@vernier/broker/internal';
import type { Call } from '../call.ts';
import type { ProxyContext } from '../context.ts';
import { checkType, topicTypeOf } from '../messages/message-types.ts';
import { OK, statusOfRefusal } from '../status.ts';
import { topicOf } from '../validate.ts';
import type { RecallMessageRequest, RecallMessageResponse } from '../wire/messages.ts';

/** RecallMessage: a message that waits for its time is not delivered. */
export async function recallMessage(
  { broker }: ProxyContext,
  request: RecallMessageRequest,
  call: Call,
): Promise<RecallMessageResponse> {
  const topic = topicOf(broker, request.topic);
  const known = broker.topics.select(topic);
  if (known !== undefined) checkType(topicTypeOf(known), 'DELAY');
  const recall = { topic, handle: request.recallHandle ?? '', producerGroup: topic };
  const outcome = await broker.messages.recall(recall, call.caller);
  return outcome instanceof Refusal ? { status: statusOfRefusal(outcome) } : { status: OK, messageId: outcome };
}
