import {
  createResponse,
  encodeClusterInfo,
  encodeTopicRouteData,
  MQVersion,
  type RemotingCommand,
  type RemotingConnection,
  RequestCode,
  type RequestHandler,
  ResponseCode,
} from '@vernier/remoting';
import { ORDER_TOPIC_CONFIG } from '../kv-config-manager.ts';
import { type NamesrvContext, type Processors, required, success } from './context.ts';

/** What clients ask first: 105, 106. */
export function routeProcessors(context: NamesrvContext): Processors {
  return new Map<number, RequestHandler>([
    [RequestCode.GET_ROUTEINFO_BY_TOPIC, (request, connection) => topicRoute(context, request, connection)],
    [RequestCode.GET_BROKER_CLUSTER_INFO, (request, connection) => clusterInfo(context, request, connection)],
  ]);
}

function topicRoute(
  context: NamesrvContext,
  request: RemotingCommand,
  connection: RemotingConnection,
): RemotingCommand {
  if (!context.ready()) return createResponse(request, ResponseCode.SYSTEM_ERROR, 'name server not ready');
  const topic = required(request, 'topic');
  const route = context.routes.pickupTopicRouteData(topic, connection);
  if (route === undefined) {
    const remark = `No topic route info in name server for the topic: ${topic}`;
    return createResponse(request, ResponseCode.TOPIC_NOT_EXIST, remark);
  }
  if (context.config.orderMessageEnable) route.orderTopicConf = context.kv.get(ORDER_TOPIC_CONFIG, topic);
  const standard = request.version >= MQVersion.V4_9_4 || request.extFields?.acceptStandardJsonOnly === 'true';
  return success(request, undefined, encodeTopicRouteData(route, standard ? 'quoted' : 'bare'));
}

/** Java's name server prints bare keys here whatever the version; every Java client reads quoted ones too. */
function clusterInfo(
  context: NamesrvContext,
  request: RemotingCommand,
  connection: RemotingConnection,
): RemotingCommand {
  return success(request, undefined, encodeClusterInfo(context.routes.clusterInfo(connection)));
}
