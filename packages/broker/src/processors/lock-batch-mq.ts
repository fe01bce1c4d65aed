import { decodeLockBatchRequest, encodeLockBatchResponse, type RemotingCommand } from '@vernier/remoting';
import type { BrokerContext } from '../context.ts';
import { success } from './requests.ts';

/** LOCK_BATCH_MQ: leases of queues to orderly consumers (E.9). */
export function lockBatchMq(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const { consumerGroup, clientId, mqSet } = decodeLockBatchRequest(request.body);
  const held = broker.locks.lock(consumerGroup, clientId, mqSet);
  return success(request, undefined, encodeLockBatchResponse(held));
}

/** UNLOCK_BATCH_MQ */
export function unlockBatchMq(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const { consumerGroup, clientId, mqSet } = decodeLockBatchRequest(request.body);
  broker.locks.unlock(consumerGroup, clientId, mqSet);
  return success(request);
}
