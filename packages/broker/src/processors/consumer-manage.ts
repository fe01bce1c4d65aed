import { createResponse, encodeConsumerList, type RemotingCommand, ResponseCode } from '@vernier/remoting';
import type { BrokerContext } from '../context.ts';
import { granted, requiredNumber, requiredText, success } from './requests.ts';

/** GET_CONSUMER_LIST_BY_GROUP */
export function consumerList({ consumers }: BrokerContext, request: RemotingCommand): RemotingCommand {
  const clientIds = granted(consumers.clientIds(requiredText(request.extFields, 'consumerGroup')));
  return success(request, undefined, encodeConsumerList(clientIds));
}

/** QUERY_CONSUMER_OFFSET */
export async function queryOffset({ groupOffsets }: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const fields = request.extFields;
  const group = requiredText(fields, 'consumerGroup');
  const topic = requiredText(fields, 'topic');
  const queueId = requiredNumber(fields, 'queueId');
  const offset = granted(await groupOffsets.query(group, topic, queueId, fields?.setZeroIfNotFound !== 'false'));
  return success(request, { offset: String(offset) });
}

/** UPDATE_CONSUMER_OFFSET */
export function updateOffset({ groupOffsets }: BrokerContext, request: RemotingCommand): RemotingCommand {
  const fields = request.extFields;
  const group = requiredText(fields, 'consumerGroup');
  const topic = requiredText(fields, 'topic');
  const queueId = requiredNumber(fields, 'queueId');
  const outcome = granted(groupOffsets.commit(group, topic, queueId, requiredNumber(fields, 'commitOffset')));
  return createResponse(
    request,
    ResponseCode.SUCCESS,
    outcome === 'superseded' ? 'Offset has been previously reset' : undefined,
  );
}
