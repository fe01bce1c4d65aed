import {
  createResponse,
  decodeTopicRouteData,
  encodeTopicList,
  type RemotingCommand,
  type RemotingConnection,
  RequestCode,
  type RequestHandler,
  ResponseCode,
} from '@vernier/remoting';
import { answerLong } from '../../long-answers/answer-request.ts';
import { addJoined } from '../../long-answers/answer-text.ts';
import { type NamesrvContext, type Processors, required, success } from './context.ts';

/** Lists of topics and changes to them: 205, 206, 216, 217, 224, 304, 311, 312, 313, 327. */
export function topicProcessors(context: NamesrvContext): Processors {
  const { config, routes } = context;
  const list =
    (enabled: () => boolean, topics: (request: RemotingCommand) => Iterable<string>): RequestHandler =>
    (request, connection) =>
      enabled()
        ? topicList(context, request, connection, topics(request))
        : createResponse(request, ResponseCode.SYSTEM_ERROR, 'disable');
  const listsTopics = (): boolean => config.enableTopicList;
  return new Map<number, RequestHandler>([
    [
      RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER,
      list(
        () => config.enableAllTopicList,
        () => routes.topics.topics,
      ),
    ],
    [
      RequestCode.GET_TOPICS_BY_CLUSTER,
      list(listsTopics, (request) => routes.topicsByCluster(required(request, 'cluster'))),
    ],
    [RequestCode.GET_UNIT_TOPIC_LIST, list(listsTopics, () => routes.topics.topicsByUnit(true, undefined))],
    [RequestCode.GET_HAS_UNIT_SUB_TOPIC_LIST, list(listsTopics, () => routes.topics.topicsByUnit(undefined, true))],
    [RequestCode.GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST, list(listsTopics, () => routes.topics.topicsByUnit(false, true))],
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

/** RocketMQ TopicList without a broker. */
function topicList(
  context: NamesrvContext,
  request: RemotingCommand,
  connection: RemotingConnection,
  topics: Iterable<string>,
): Promise<RemotingCommand | undefined> {
  return answerLong(
    context.longAnswers,
    request,
    () => connection.closed,
    async (text) => {
      await text.add('{"topicList":[');
      await addJoined(text, quoted(topics));
      await text.add(']}');
    },
  );
}

function* quoted(topics: Iterable<string>): Generator<string> {
  for (const topic of topics) yield JSON.stringify(topic);
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
