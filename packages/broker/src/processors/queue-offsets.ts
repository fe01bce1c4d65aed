import type { RemotingCommand } from '@vernier/remoting';
import type { BrokerContext } from '../context.ts';
import { requiredNumber, success } from './requests.ts';
import { queueOf } from './static-queue.ts';

const offset = (request: RemotingCommand, value: number): RemotingCommand =>
  success(request, { offset: String(value) });

/** GET_MAX_OFFSET */
export function maxOffset(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const { topic, queueId, delta } = queueOf(broker, request);
  return offset(request, broker.queueBounds.maxOffset(topic, queueId) + delta);
}

/** GET_MIN_OFFSET */
export function minOffset(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const { topic, queueId, delta } = queueOf(broker, request);
  return offset(request, broker.queueBounds.minOffset(topic, queueId) + delta);
}

/** SEARCH_OFFSET_BY_TIMESTAMP */
export async function searchOffset(broker: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const { topic, queueId, delta } = queueOf(broker, request);
  const timestamp = requiredNumber(request.extFields, 'timestamp');
  const boundary = request.extFields?.boundaryType?.toUpperCase() === 'UPPER' ? 'UPPER' : 'LOWER';
  return offset(request, (await broker.queueBounds.offsetAt(topic, queueId, timestamp, boundary)) + delta);
}

/** GET_EARLIEST_MSG_STORETIME */
export async function earliestStoreTime(broker: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const { topic, queueId } = queueOf(broker, request);
  const timestamp = await broker.queueBounds.earliestStoreTime(topic, queueId);
  return success(request, { timestamp: String(timestamp) });
}
