import { Refusal } from '@vernier/broker/internal';
import { ResponseCode } from '@vernier/remoting';
import type { Queues } from '../backend/backend.ts';
import { served } from '../backend/served.ts';
import type { ProxyContext } from '../context.ts';
import { OK, refusedAs, StatusError } from '../status.ts';
import { groupOf } from '../validate.ts';
import {
  Code,
  type GetOffsetRequest,
  type GetOffsetResponse,
  QueryOffsetPolicy,
  type QueryOffsetRequest,
  type QueryOffsetResponse,
  type UpdateOffsetRequest,
  type UpdateOffsetResponse,
} from '../wire/messages.ts';
import { isTimestamp, millisecondsOf } from '../wire/times.ts';
import { entryOf, type NamedQueue, queueOf } from './named-queue.ts';

/**
 * UpdateOffset: how far the group has come in a queue. In memory when it is answered and on disk with the next save, as with
 * the other protocol: after a kill the group gets some messages again.
 */
export function updateOffset(proxy: ProxyContext, request: UpdateOffsetRequest): UpdateOffsetResponse {
  const group = groupOf(request.group);
  const queues = served(proxy.broker.queues, 'UpdateOffset');
  const queue = queueOf(proxy, queues, request.messageQueue);
  const offset = entryOf(queue, request.offset);
  const outcome = queues.groupOffsets.commit(group, queue.topic, queue.queueId, offset);
  if (outcome instanceof Refusal) throw refusedAs(outcome);
  const isDone = outcome === 'committed';
  return { status: isDone ? OK : { code: Code.OK, message: 'Offset has been previously reset' } };
}

/** GetOffset: where the group goes on in a queue; OFFSET_NOT_FOUND when it has never said. */
export async function getOffset(proxy: ProxyContext, request: GetOffsetRequest): Promise<GetOffsetResponse> {
  const group = groupOf(request.group);
  const queues = served(proxy.broker.queues, 'GetOffset');
  const { topic, queueId, delta } = queueOf(proxy, queues, request.messageQueue);
  const offset = await queues.groupOffsets.query(group, topic, queueId, false);
  if (!(offset instanceof Refusal)) return { status: OK, offset: offset + delta };
  if (offset.code === ResponseCode.QUERY_NOT_FOUND) throw new StatusError(Code.OFFSET_NOT_FOUND, offset.remark);
  throw refusedAs(offset);
}

/** QueryOffset: where a queue begins and ends, or the first message that was stored at a time or after it. */
export async function queryOffset(proxy: ProxyContext, request: QueryOffsetRequest): Promise<QueryOffsetResponse> {
  const queues = served(proxy.broker.queues, 'QueryOffset');
  const queue = queueOf(proxy, queues, request.messageQueue);
  const offset = await offsetOf(queues, queue, request);
  return { status: OK, offset: offset + queue.delta };
}

function offsetOf(
  { queueBounds }: Queues,
  { topic, queueId }: NamedQueue,
  { queryOffsetPolicy, timestamp }: QueryOffsetRequest,
): Promise<number> | number {
  const policy = queryOffsetPolicy ?? QueryOffsetPolicy.BEGINNING;
  switch (policy) {
    case QueryOffsetPolicy.BEGINNING:
      return queueBounds.minOffset(topic, queueId);
    case QueryOffsetPolicy.END:
      return queueBounds.maxOffset(topic, queueId);
    case QueryOffsetPolicy.TIMESTAMP:
      if (!isTimestamp(timestamp)) throw new StatusError(Code.BAD_REQUEST, 'the timestamp is none');
      return queueBounds.offsetAt(topic, queueId, Math.max(0, millisecondsOf(timestamp)), 'LOWER');
    default:
      throw new StatusError(Code.BAD_REQUEST, `query offset policy ${policy} is none`);
  }
}
