import { createResponse, encodeConsumerList, type RemotingCommand, ResponseCode } from '@vernier/remoting';
import type { BrokerContext } from '../context.ts';
import { granted, requiredNumber, requiredText, success } from './requests.ts';
import { queueOf } from './static-queue.ts';

/** GET_CONSUMER_LIST_BY_GROUP */
export function consumerList({ consumers }: BrokerContext, request: RemotingCommand): RemotingCommand {
  const clientIds = granted(consumers.clientIds(requiredText(request.extFields, 'consumerGroup')));
  return success(request, undefined, encodeConsumerList(clientIds));
}

/** QUERY_CONSUMER_OFFSET */
export async function queryOffset(broker: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const fields = request.extFields;
  const group = requiredText(fields, 'consumerGroup');
  const { topic, queueId, delta } = queueOf(broker, request);
  const zeroIfNone = fields?.setZeroIfNotFound !== 'false';
  const offset = granted(await broker.groupOffsets.query(group, topic, queueId, zeroIfNone));
  return success(request, { offset: String(offset + delta) });
}

/** UPDATE_CONSUMER_OFFSET */
export function updateOffset(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const fields = request.extFields;
  const group = requiredText(fields, 'consumerGroup');
  const { topic, queueId, delta } = queueOf(broker, request);
  const offset = requiredNumber(fields, 'commitOffset') - delta;
  const outcome = granted(broker.groupOffsets.commit(group, topic, queueId, offset));
  return createResponse(
    request,
    ResponseCode.SUCCESS,
    outcome === 'superseded' ? 'Offset has been previously reset' : undefined,
  );
}
