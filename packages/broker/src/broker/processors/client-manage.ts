import {
  asObject,
  bodyObject,
  createResponse,
  decodeHeartbeatData,
  type RemotingCommand,
  type RemotingConnection,
  RequestCode,
  type RequestHandler,
  ResponseCode,
  subscriptionDataFromJson,
} from '@vernier/remoting';
import type { BrokerContext } from '../broker-context.ts';
import type { ClientChannelInfo } from '../client-channel.ts';
import { retryTopicOf } from '../names.ts';
import { guarded, requiredText, success } from '../requests.ts';
import { ensureRetryTopic } from '../retry.ts';
import { buildSubscription, isTagType } from '../tag-filter.ts';

/** HEART_BEAT, UNREGISTER_CLIENT, CHECK_CLIENT_CONFIG (RocketMQ ClientManageProcessor). */
export function clientManage(broker: BrokerContext): [number, RequestHandler][] {
  return [
    [RequestCode.HEART_BEAT, guarded((request, connection) => heartBeat(broker, request, connection))],
    [RequestCode.UNREGISTER_CLIENT, guarded((request, connection) => unregisterClient(broker, request, connection))],
    [RequestCode.CHECK_CLIENT_CONFIG, guarded(checkClientConfig)],
  ];
}

function heartBeat(broker: BrokerContext, request: RemotingCommand, connection: RemotingConnection): RemotingCommand {
  const heartbeat = decodeHeartbeatData(request.body);
  const client = (): ClientChannelInfo => ({
    connection,
    clientId: heartbeat.clientID,
    language: request.language,
    version: request.version,
    lastUpdateTimestamp: broker.clock.now(),
  });
  for (const group of heartbeat.producerGroups) {
    if (group !== '') broker.producers.register(group, client());
  }
  for (const consumer of heartbeat.consumers) {
    const group = consumer.groupName;
    const config = broker.groups.find(group);
    if (config === undefined) continue;
    ensureRetryTopic(broker, retryTopicOf(group), config.retryQueueNums, consumer.unitMode);
    // A heartbeat V2 says once what it subscribes to; later ones carry a fingerprint of it and no subscriptions.
    const keep = heartbeat.withoutSub && broker.consumers.group(group) !== undefined;
    broker.consumers.register(group, client(), {
      consumeType: consumer.consumeType,
      messageModel: consumer.messageModel,
      consumeFromWhere: consumer.consumeFromWhere,
      subscriptions: keep ? undefined : consumer.subscriptionDataSet.filter(({ topic }) => topic !== ''),
    });
  }
  broker.housekeeping.watch();
  return success(request, { IS_SUPPORT_HEART_BEAT_V2: 'true', IS_SUB_CHANGE: 'true' });
}

function unregisterClient(
  broker: BrokerContext,
  request: RemotingCommand,
  connection: RemotingConnection,
): RemotingCommand {
  const { producerGroup, consumerGroup } = request.extFields ?? {};
  requiredText(request.extFields, 'clientID');
  if (producerGroup !== undefined) broker.producers.unregister(producerGroup, connection);
  if (consumerGroup !== undefined) broker.consumers.unregister(consumerGroup, connection);
  return success(request);
}

/** A push consumer asks before it starts whether the broker understands its filter. */
function checkClientConfig(request: RemotingCommand): RemotingCommand {
  const body = bodyObject(request.body, 'CheckClientRequestBody');
  if (body.subscriptionData === undefined || body.subscriptionData === null) return success(request);
  const { topic, subString, expressionType } = subscriptionDataFromJson(
    asObject(body.subscriptionData, 'subscriptionData'),
  );
  if (!isTagType(expressionType)) {
    const remark = `The broker does not support consumer to filter message by ${expressionType}`;
    return createResponse(request, ResponseCode.SYSTEM_ERROR, remark);
  }
  if (buildSubscription(topic, subString, expressionType, 0) === undefined) {
    return createResponse(request, ResponseCode.SUBSCRIPTION_PARSE_FAILED, "parse the consumer's subscription failed");
  }
  return success(request);
}
