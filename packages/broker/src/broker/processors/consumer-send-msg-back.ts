import {
  createResponse,
  MQVersion,
  type RemotingCommand,
  RequestCode,
  type RequestHandler,
  ResponseCode,
} from '@vernier/remoting';
import type { BrokerContext } from '../broker-context.ts';
import { isWriteable, retryTopicOf } from '../names.ts';
import { remarkOfPut } from '../put-result.ts';
import { guarded, isTrue, optionalNumber, requiredNumber, requiredText, success } from '../requests.ts';
import { copyForRetry, ensureDeadLetterTopic, ensureRetryTopic } from '../retry.ts';

/**
 * CONSUMER_SEND_MSG_BACK: a consumer could not process a message (RocketMQ AbstractSendMessageProcessor). A copy goes to
 * the group's retry topic, which its consumers always subscribe to, or to its dead letters when it has been tried often
 * enough. The copy is there at once: delay levels come with the delay service. It is answered only when the copy is as
 * safe as any send; RocketMQ does not wait for the flush there (WAIT=false), and the consumer's next step is to commit
 * its offset past the original.
 */
export function consumerSendMsgBack(broker: BrokerContext): [number, RequestHandler][] {
  const handle = async (request: RemotingCommand): Promise<RemotingCommand> => {
    const fields = request.extFields;
    const group = requiredText(fields, 'group');
    const offset = requiredNumber(fields, 'offset');
    const delayLevel = requiredNumber(fields, 'delayLevel');
    const config = broker.groups.find(group);
    if (config === undefined) {
      return createResponse(
        request,
        ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
        `subscription group not exist, ${group}`,
      );
    }
    if (!isWriteable(broker.config.brokerPermission)) {
      const remark = `the broker[${broker.hosts.host}] sending message is forbidden`;
      return createResponse(request, ResponseCode.NO_PERMISSION, remark);
    }
    if (config.retryQueueNums <= 0) return success(request);
    const retryTopic = retryTopicOf(group);
    ensureRetryTopic(broker, retryTopic, config.retryQueueNums, isTrue(fields?.unitMode));
    if (!isWriteable(broker.topics.select(retryTopic)?.perm ?? 0)) {
      return createResponse(
        request,
        ResponseCode.NO_PERMISSION,
        `the topic[${retryTopic}] sending message is forbidden`,
      );
    }
    const origin = await broker.store.lookMessageByOffset(offset);
    if (origin === undefined) {
      return createResponse(request, ResponseCode.SYSTEM_ERROR, `look message by offset failed, ${offset}`);
    }
    const asked = request.version >= MQVersion.V3_4_9;
    const retryMax = asked ? optionalNumber(fields, 'maxReconsumeTimes', config.retryMaxTimes) : config.retryMaxTimes;
    const dead = delayLevel < 0 || origin.reconsumeTimes >= retryMax;
    const topic = dead ? ensureDeadLetterTopic(broker, group) : retryTopic;
    const queueId = dead ? 0 : Math.floor(Math.random() * config.retryQueueNums);
    const result = await broker.store.asyncPutMessage(copyForRetry(origin, topic, queueId, broker.hosts.storeHost));
    if (result.status !== 'PUT_OK') {
      return createResponse(request, ResponseCode.SYSTEM_ERROR, `${result.status}: ${remarkOfPut(result)}`);
    }
    const now = broker.clock.now();
    broker.stats.countPut(now, topic, 1, result.wroteBytes);
    broker.stats.countSendBack(now, group, origin.properties.get('RETRY_TOPIC') ?? origin.topic);
    return success(request);
  };
  return [[RequestCode.CONSUMER_SEND_MSG_BACK, guarded(handle)]];
}
