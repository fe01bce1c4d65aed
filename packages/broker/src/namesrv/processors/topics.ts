import {
  createResponse,
  decodeTopicRouteData,
  encodeTopicList,
  type RemotingCommand,
  RequestCode,
  type RequestHandler,
  ResponseCode,
} from '@vernier/remoting';
import { type NamesrvContext, type Processors, required, success } from './context.ts';

/** Lists of topics and changes to them: 205, 206, 216, 217, 224, 304, 311, 312, 313, 327. */
export function topicProcessors(context: NamesrvContext): Processors {
  const { config, routes } = context;
  const list = (request: RemotingCommand, enabled: boolean, topics: () => string[]): RemotingCommand =>
    enabled
      ? success(request, undefined, encodeTopicList({ topicList: topics() }))
      : createResponse(request, ResponseCode.SYSTEM_ERROR, 'disable');
  return new Map<number, RequestHandler>([
    [
      RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER,
      (request) => list(request, config.enableAllTopicList, () => routes.topics.topics),
    ],
    [
      RequestCode.GET_TOPICS_BY_CLUSTER,
      (request) => list(request, config.enableTopicList, () => routes.topicsByCluster(required(request, 'cluster'))),
    ],
    [
      RequestCode.GET_UNIT_TOPIC_LIST,
      (request) => list(request, config.enableTopicList, () => routes.topics.topicsByUnit(true, undefined)),
    ],
    [
      RequestCode.GET_HAS_UNIT_SUB_TOPIC_LIST,
      (request) => list(request, config.enableTopicList, () => routes.topics.topicsByUnit(undefined, true)),
    ],
    [
      RequestCode.GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST,
      (request) => list(request, config.enableTopicList, () => routes.topics.topicsByUnit(false, true)),
    ],
    [
      RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_NS,
      (request, connection) => success(request, undefined, encodeTopicList(routes.systemTopicList(connection))),
    ],
    [RequestCode.DELETE_TOPIC_IN_NAMESRV, (request) => deleteTopic(context, request)],
    [RequestCode.REGISTER_TOPIC_IN_NAMESRV, (request) => registerTopic(context, request)],
    [
      RequestCode.WIPE_WRITE_PERM_OF_BROKER,
      (request) =>
        success(request, { wipeTopicCount: String(routes.topics.wipeWritePerm(required(request, 'brokerName'))) }),
    ],
    [
      RequestCode.ADD_WRITE_PERM_OF_BROKER,
      (request) =>
        success(request, { addTopicCount: String(routes.topics.addWritePerm(required(request, 'brokerName'))) }),
    ],
  ]);
}

function deleteTopic(context: NamesrvContext, request: RemotingCommand): RemotingCommand {
  const cluster = request.extFields?.clusterName;
  context.routes.deleteTopic(required(request, 'topic'), cluster === '' ? undefined : cluster);
  return success(request);
}

function registerTopic(context: NamesrvContext, request: RemotingCommand): RemotingCommand {
  const topic = required(request, 'topic');
  const { queueDatas } = decodeTopicRouteData(request.body);
  context.routes.registerTopic(topic, queueDatas);
  return success(request);
}
