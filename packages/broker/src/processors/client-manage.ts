import {
  asObject,
  bodyObject,
  decodeHeartbeatData,
  type RemotingCommand,
  subscriptionDataFromJson,
} from '@vernier/remoting';
import type { BrokerContext } from '../context.ts';
import { subscriptionRefusal } from '../filter/tag-filter.ts';
import type { ConnectionCaller } from './connection-callers.ts';
import { granted, refused, requiredText, success } from './requests.ts';

/** HEART_BEAT */
export function heartBeat(broker: BrokerContext, request: RemotingCommand, caller: ConnectionCaller): RemotingCommand {
  const heartbeat = decodeHeartbeatData(request.body);
  granted(broker.heartbeats.check(heartbeat));
  caller.identify(heartbeat.clientID, request.language, request.version);
  granted(broker.heartbeats.beat(heartbeat, caller));
  return success(request, { IS_SUPPORT_HEART_BEAT_V2: 'true', IS_SUB_CHANGE: 'true' });
}

/** UNREGISTER_CLIENT */
export function unregisterClient(
  broker: BrokerContext,
  request: RemotingCommand,
  caller: ConnectionCaller,
): RemotingCommand {
  const { producerGroup, consumerGroup } = request.extFields ?? {};
  requiredText(request.extFields, 'clientID');
  broker.heartbeats.leave(caller, producerGroup, consumerGroup);
  return success(request);
}

/** CHECK_CLIENT_CONFIG: a push consumer asks before it starts whether the broker understands its filter. */
export async function checkClientConfig(
  broker: BrokerContext,
  request: RemotingCommand,
  caller: ConnectionCaller,
): Promise<RemotingCommand> {
  const body = bodyObject(request.body, 'CheckClientRequestBody');
  if (body.subscriptionData === undefined || body.subscriptionData === null) return success(request);
  const { topic, subString, expressionType } = subscriptionDataFromJson(
    asObject(body.subscriptionData, 'subscriptionData'),
  );
  const refusal = await subscriptionRefusal(topic, subString, expressionType, broker.sqlFilters, caller);
  return refusal === undefined ? success(request) : refused(request, refusal);
}
