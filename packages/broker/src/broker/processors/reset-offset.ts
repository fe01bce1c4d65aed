import {
  createResponse,
  messageQueueJson,
  type RemotingCommand,
  RequestCode,
  type RequestHandler,
  ResponseCode,
  writeJavaJson,
} from '@vernier/remoting';
import type { BrokerContext } from '../broker-context.ts';
import { guarded, optionalNumber, RequestFault, requiredText, success } from '../requests.ts';

/**
 * INVOKE_BROKER_TO_RESET_OFFSET (RocketMQ AdminBrokerProcessor.resetOffsetInner): puts a group back or forward. The new
 * offsets are committed at once and each queue's next pull is told (OFFSET_RESET); commits of what the group still had
 * in hand are ignored until then.
 */
export function resetOffset(broker: BrokerContext): [number, RequestHandler][] {
  return [[RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, guarded((request) => reset(broker, request))]];
}

async function reset(broker: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const fields = request.extFields;
  const topicName = requiredText(fields, 'topic');
  const group = requiredText(fields, 'group');
  const topic = broker.topics.select(topicName);
  if (topic === undefined) {
    return createResponse(request, ResponseCode.TOPIC_NOT_EXIST, `Topic ${topicName} does not exist`);
  }
  if (!broker.groups.has(group)) {
    return createResponse(request, ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, `Group ${group} does not exist`);
  }
  const queueId = optionalNumber(fields, 'queueId', -1);
  const timestamp = optionalNumber(fields, 'timestamp', -1);
  const target = optionalNumber(fields, 'offset', -1);
  const targets = new Map<number, number>();
  const queueIds = queueId >= 0 ? [queueId] : Array.from({ length: topic.readQueueNums }, (_, index) => index);
  for (const id of queueIds) {
    const offset =
      queueId >= 0 && target !== -1
        ? checkedTarget(broker, topicName, id, target)
        : await offsetAt(broker, topicName, id, timestamp);
    targets.set(id, offset);
  }
  if (targets.size === 0) return createResponse(request, ResponseCode.SYSTEM_ERROR, 'No queues to reset.');
  const offsetTable = new Map<object, number>();
  const { brokerName } = broker.config;
  for (const [id, offset] of targets) {
    broker.offsets.assignReset(group, topicName, id, offset);
    offsetTable.set(messageQueueJson({ brokerName, queueId: id, topic: topicName }), offset);
  }
  await broker.metadata.offsets.save();
  broker.logger.info({ topic: topicName, group, queueIds, timestamp, target }, 'consumer offsets reset');
  return success(request, undefined, Buffer.from(writeJavaJson({ offsetTable })));
}

function checkedTarget(broker: BrokerContext, topic: string, queueId: number, target: number): number {
  const min = broker.store.getMinOffsetInQueue(topic, queueId);
  const max = broker.store.getMaxOffsetInQueue(topic, queueId);
  if (target < min || target > max + 1) {
    const remark = `Target offset ${target} not in consume queue range [${min}-${max}]`;
    throw new RequestFault(ResponseCode.SYSTEM_ERROR, remark);
  }
  return target;
}

/** A negative time is the queue's end. */
async function offsetAt(broker: BrokerContext, topic: string, queueId: number, timestamp: number): Promise<number> {
  if (timestamp < 0) return broker.store.getMaxOffsetInQueue(topic, queueId);
  return broker.store.getOffsetInQueueByTime(topic, queueId, timestamp);
}
