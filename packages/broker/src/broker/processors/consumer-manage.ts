import {
  createResponse,
  encodeConsumerList,
  type RemotingCommand,
  RequestCode,
  type RequestHandler,
  ResponseCode,
} from '@vernier/remoting';
import type { BrokerContext } from '../broker-context.ts';
import { guarded, requiredNumber, requiredText, success } from '../requests.ts';

/** GET_CONSUMER_LIST_BY_GROUP, QUERY and UPDATE_CONSUMER_OFFSET (RocketMQ ConsumerManageProcessor). */
export function consumerManage(broker: BrokerContext): [number, RequestHandler][] {
  return [
    [RequestCode.GET_CONSUMER_LIST_BY_GROUP, guarded((request) => consumerList(broker, request))],
    [RequestCode.QUERY_CONSUMER_OFFSET, guarded((request) => queryOffset(broker, request))],
    [RequestCode.UPDATE_CONSUMER_OFFSET, guarded((request) => updateOffset(broker, request))],
  ];
}

function consumerList(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const group = requiredText(request.extFields, 'consumerGroup');
  const clientIds = new Set(broker.consumers.clients(group).map((client) => client.clientId));
  if (clientIds.size === 0) {
    return createResponse(request, ResponseCode.SYSTEM_ERROR, `no consumer for this group, ${group}`);
  }
  return success(request, undefined, encodeConsumerList([...clientIds]));
}

async function queryOffset(broker: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const fields = request.extFields;
  const group = requiredText(fields, 'consumerGroup');
  const topic = requiredText(fields, 'topic');
  const queueId = requiredNumber(fields, 'queueId');
  const offset = broker.offsets.query(group, topic, queueId);
  if (offset >= 0) return success(request, { offset: String(offset) });
  if (fields?.setZeroIfNotFound !== 'false' && (await startsInMemory(broker, group, topic, queueId))) {
    return success(request, { offset: '0' });
  }
  return createResponse(request, ResponseCode.QUERY_NOT_FOUND, 'Not found, maybe this group consumer boot first');
}

/**
 * Nothing has been deleted from the queue and its first message is near the log's end: a new group then starts at 0,
 * whatever its consumeFromWhere says, so that it misses nothing of a young topic (RocketMQ checkInMemByConsumeOffset).
 */
async function startsInMemory(broker: BrokerContext, group: string, topic: string, queueId: number): Promise<boolean> {
  const { store } = broker;
  if (store.getMinOffsetInQueue(topic, queueId) > 0 || store.getMaxOffsetInQueue(topic, queueId) === 0) return false;
  const first = await store.getMessage(group, topic, queueId, 0, 1);
  return first.status === 'FOUND' && !first.fromDisk;
}

function updateOffset(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const fields = request.extFields;
  const group = requiredText(fields, 'consumerGroup');
  const topic = requiredText(fields, 'topic');
  const queueId = requiredNumber(fields, 'queueId');
  const offset = requiredNumber(fields, 'commitOffset');
  // An offset of a group that is not known would be kept for ever: an operator has deleted the group.
  if (!broker.groups.has(group)) {
    return createResponse(request, ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, `Group ${group} not exist!`);
  }
  if (broker.topics.select(topic) === undefined) {
    return createResponse(request, ResponseCode.TOPIC_NOT_EXIST, `Topic ${topic} not exist!`);
  }
  // Until the group has learned of a reset, its commits are about messages from before it.
  if (broker.config.useServerSideResetOffset && broker.offsets.hasReset(group, topic, queueId)) {
    return createResponse(request, ResponseCode.SUCCESS, 'Offset has been previously reset');
  }
  broker.offsets.commit(group, topic, queueId, offset);
  return success(request);
}
