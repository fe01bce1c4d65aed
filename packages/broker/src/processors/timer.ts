import { createResponse, type RemotingCommand, ResponseCode } from '@vernier/remoting';
import { Refusal } from '../base/refusal.ts';
import type { BrokerContext } from '../context.ts';
import type { ConnectionCaller } from './connection-callers.ts';
import { requiredText, success } from './requests.ts';

/** GET_TIMER_CHECK_POINT: seven numbers of 64 bits. */
export function timerCheckpoint({ timer }: BrokerContext, request: RemotingCommand): RemotingCommand {
  const body = timer.checkpoint();
  if (body === undefined) return createResponse(request, ResponseCode.SYSTEM_ERROR, 'The checkpoint is null');
  return success(request, undefined, body);
}

/** GET_TIMER_METRICS: how many messages of each topic wait. */
export function timerMetrics({ timer }: BrokerContext, request: RemotingCommand): RemotingCommand {
  return success(request, undefined, Buffer.from(timer.metricsText()));
}

/** RECALL_MESSAGE (RocketMQ RecallMessageProcessor). */
export async function recallMessage(
  { recall, config }: BrokerContext,
  request: RemotingCommand,
  caller: ConnectionCaller,
): Promise<RemotingCommand> {
  const fields = { MSG_REGION: config.regionId };
  const topic = requiredText(request.extFields, 'topic');
  const handle = requiredText(request.extFields, 'recallHandle');
  const producerGroup = request.extFields?.producerGroup ?? '';
  const outcome = await recall.recall({ topic, handle, producerGroup }, caller);
  if (outcome instanceof Refusal) return createResponse(request, outcome.code, outcome.remark, fields);
  return success(request, { ...fields, msgId: outcome });
}
