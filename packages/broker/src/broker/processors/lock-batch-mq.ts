import { decodeLockBatchRequest, encodeLockBatchResponse, RequestCode, type RequestHandler } from '@vernier/remoting';
import type { BrokerContext } from '../broker-context.ts';
import { guarded, success } from '../requests.ts';

/** LOCK_BATCH_MQ and UNLOCK_BATCH_MQ: leases of queues to orderly consumers (E.9). */
export function lockBatchMq(broker: BrokerContext): [number, RequestHandler][] {
  return [
    [
      RequestCode.LOCK_BATCH_MQ,
      guarded((request) => {
        const { consumerGroup, clientId, mqSet } = decodeLockBatchRequest(request.body);
        const held = broker.locks.lock(consumerGroup, clientId, mqSet);
        return success(request, undefined, encodeLockBatchResponse(held));
      }),
    ],
    [
      RequestCode.UNLOCK_BATCH_MQ,
      guarded((request) => {
        const { consumerGroup, clientId, mqSet } = decodeLockBatchRequest(request.body);
        broker.locks.unlock(consumerGroup, clientId, mqSet);
        return success(request);
      }),
    ],
  ];
}
