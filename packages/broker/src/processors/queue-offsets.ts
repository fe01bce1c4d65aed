import type { RemotingCommand } from '@vernier/remoting';
import type { BrokerContext } from '../context.ts';
import { requiredNumber, requiredText, success } from './requests.ts';

const queueOf = (request: RemotingCommand): [topic: string, queueId: number] => [
  requiredText(request.extFields, 'topic'),
  requiredNumber(request.extFields, 'queueId'),
];

const offset = (request: RemotingCommand, value: number): RemotingCommand =>
  success(request, { offset: String(value) });

/** GET_MAX_OFFSET */
export function maxOffset({ queueBounds }: BrokerContext, request: RemotingCommand): RemotingCommand {
  return offset(request, queueBounds.maxOffset(...queueOf(request)));
}

/** GET_MIN_OFFSET */
export function minOffset({ queueBounds }: BrokerContext, request: RemotingCommand): RemotingCommand {
  return offset(request, queueBounds.minOffset(...queueOf(request)));
}

/** SEARCH_OFFSET_BY_TIMESTAMP */
export async function searchOffset({ queueBounds }: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const [topic, queueId] = queueOf(request);
  const timestamp = requiredNumber(request.extFields, 'timestamp');
  const boundary = request.extFields?.boundaryType?.toUpperCase() === 'UPPER' ? 'UPPER' : 'LOWER';
  return offset(request, await queueBounds.offsetAt(topic, queueId, timestamp, boundary));
}

/** GET_EARLIEST_MSG_STORETIME */
export async function earliestStoreTime(
  { queueBounds }: BrokerContext,
  request: RemotingCommand,
): Promise<RemotingCommand> {
  const timestamp = await queueBounds.earliestStoreTime(...queueOf(request));
  return success(request, { timestamp: String(timestamp) });
}
