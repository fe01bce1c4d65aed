import { type RemotingCommand, RequestCode, type RequestHandler } from '@vernier/remoting';
import type { BoundaryType } from '@vernier/store';
import type { BrokerContext } from '../broker-context.ts';
import { guarded, requiredNumber, requiredText, success } from '../requests.ts';

/**
 * GET_MAX_OFFSET, GET_MIN_OFFSET, SEARCH_OFFSET_BY_TIMESTAMP, GET_EARLIEST_MSG_STORETIME (RocketMQ AdminBrokerProcessor).
 * A queue that does not exist is an empty one.
 */
export function queueOffsets(broker: BrokerContext): [number, RequestHandler][] {
  const { store } = broker;
  const queueOf = (request: RemotingCommand): [string, number] => [
    requiredText(request.extFields, 'topic'),
    requiredNumber(request.extFields, 'queueId'),
  ];
  const offset = (request: RemotingCommand, value: number): RemotingCommand =>
    success(request, { offset: String(value) });
  return [
    [RequestCode.GET_MAX_OFFSET, guarded((request) => offset(request, store.getMaxOffsetInQueue(...queueOf(request))))],
    [
      RequestCode.GET_MIN_OFFSET,
      guarded((request) => offset(request, Math.max(0, store.getMinOffsetInQueue(...queueOf(request))))),
    ],
    [
      RequestCode.SEARCH_OFFSET_BY_TIMESTAMP,
      guarded(async (request) => {
        const [topic, queueId] = queueOf(request);
        const timestamp = requiredNumber(request.extFields, 'timestamp');
        const boundary: BoundaryType = request.extFields?.boundaryType?.toUpperCase() === 'UPPER' ? 'UPPER' : 'LOWER';
        return offset(request, await store.getOffsetInQueueByTime(topic, queueId, timestamp, boundary));
      }),
    ],
    [
      RequestCode.GET_EARLIEST_MSG_STORETIME,
      guarded(async (request) => {
        const timestamp = await store.getEarliestMessageTime(...queueOf(request));
        return success(request, { timestamp: String(timestamp) });
      }),
    ],
  ];
}
