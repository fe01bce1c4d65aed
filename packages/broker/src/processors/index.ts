import { RequestCode, type RequestCodeName, type RequestHandler } from '@vernier/remoting';
import type { BrokerContext } from '../context.ts';
import { accessHandlers, accessRequests } from './access-admin.ts';
import { ackMessage, batchAckMessage, changeInvisibleTime } from './ack-message.ts';
import { brokerRuntimeInfo, getConfig, updateConfig } from './broker-admin.ts';
import { checkClientConfig, heartBeat, unregisterClient } from './client-manage.ts';
import * as connections from './connection-admin.ts';
import { ConnectionCallers } from './connection-callers.ts';
import * as progress from './consume-stats-admin.ts';
import { consumerList, queryOffset, updateOffset } from './consumer-manage.ts';
import { consumerSendMsgBack } from './consumer-send-msg-back.ts';
import { delayOffsets } from './delay-offsets.ts';
import * as lite from './lite.ts';
import { lockBatchMq, unlockBatchMq } from './lock-batch-mq.ts';
import { notification, pollingInfo } from './notification.ts';
import { cloneGroupOffset, correctionOffsets } from './offset-transfer.ts';
import { peekMessage, popMessage } from './pop-message.ts';
import { pullMessage } from './pull-message.ts';
import { queryAssignment, setMessageRequestMode } from './query-assignment.ts';
import { queryMessage, viewMessageById } from './query-message.ts';
import * as queues from './queue-offsets.ts';
import { guarded, type Processor } from './requests.ts';
import { consumerStatus, resetOffset } from './reset-offset.ts';
import { sendMessage } from './send-message.ts';
import { sendReplyMessage } from './send-reply-message.ts';
import * as inspection from './store-admin.ts';
import * as groups from './subscription-group-admin.ts';
import * as timers from './timer.ts';
import * as topics from './topic-admin.ts';
import { endTransaction, resumeCheckHalfMessage } from './transactions.ts';

/** The compiler holds code and name together: see `on`. */
type Row = readonly [code: number, name: RequestCodeName, processor: Processor];

const on = <Name extends RequestCodeName>(code: (typeof RequestCode)[Name], name: Name, processor: Processor): Row => [
  code,
  name,
  processor,
];

/** These answer what they refuse themselves: nothing stands between them and the connection. */
const hot: readonly Row[] = [
  on(10, 'SEND_MESSAGE', sendMessage),
  on(310, 'SEND_MESSAGE_V2', sendMessage),
  on(320, 'SEND_BATCH_MESSAGE', sendMessage),
  on(11, 'PULL_MESSAGE', pullMessage),
  on(361, 'LITE_PULL_MESSAGE', pullMessage),
];

const others: readonly Row[] = [
  on(12, 'QUERY_MESSAGE', queryMessage),
  on(14, 'QUERY_CONSUMER_OFFSET', queryOffset),
  on(15, 'UPDATE_CONSUMER_OFFSET', updateOffset),
  on(17, 'UPDATE_AND_CREATE_TOPIC', topics.updateTopic),
  on(18, 'UPDATE_AND_CREATE_TOPIC_LIST', topics.updateTopics),
  on(21, 'GET_ALL_TOPIC_CONFIG', topics.allTopics),
  on(25, 'UPDATE_BROKER_CONFIG', updateConfig),
  on(26, 'GET_BROKER_CONFIG', getConfig),
  on(28, 'GET_BROKER_RUNTIME_INFO', brokerRuntimeInfo),
  on(29, 'SEARCH_OFFSET_BY_TIMESTAMP', queues.searchOffset),
  on(30, 'GET_MAX_OFFSET', queues.maxOffset),
  on(31, 'GET_MIN_OFFSET', queues.minOffset),
  on(32, 'GET_EARLIEST_MSG_STORETIME', queues.earliestStoreTime),
  on(33, 'VIEW_MESSAGE_BY_ID', viewMessageById),
  on(34, 'HEART_BEAT', heartBeat),
  on(35, 'UNREGISTER_CLIENT', unregisterClient),
  on(36, 'CONSUMER_SEND_MSG_BACK', consumerSendMsgBack),
  on(37, 'END_TRANSACTION', endTransaction),
  on(38, 'GET_CONSUMER_LIST_BY_GROUP', consumerList),
  on(41, 'LOCK_BATCH_MQ', lockBatchMq),
  on(42, 'UNLOCK_BATCH_MQ', unlockBatchMq),
  on(43, 'GET_ALL_CONSUMER_OFFSET', progress.allOffsets),
  on(45, 'GET_ALL_DELAY_OFFSET', delayOffsets),
  on(46, 'CHECK_CLIENT_CONFIG', checkClientConfig),
  on(60, 'GET_TIMER_CHECK_POINT', timers.timerCheckpoint),
  on(61, 'GET_TIMER_METRICS', timers.timerMetrics),
  on(200, 'UPDATE_AND_CREATE_SUBSCRIPTIONGROUP', groups.updateGroup),
  on(201, 'GET_ALL_SUBSCRIPTIONGROUP_CONFIG', groups.allGroups),
  on(202, 'GET_TOPIC_STATS_INFO', progress.topicStats),
  on(203, 'GET_CONSUMER_CONNECTION_LIST', connections.consumerConnections),
  on(204, 'GET_PRODUCER_CONNECTION_LIST', connections.producerConnections),
  on(207, 'DELETE_SUBSCRIPTIONGROUP', groups.deleteGroup),
  on(208, 'GET_CONSUME_STATS', progress.consumeStats),
  on(215, 'DELETE_TOPIC_IN_BROKER', topics.deleteTopic),
  on(222, 'INVOKE_BROKER_TO_RESET_OFFSET', resetOffset),
  on(223, 'INVOKE_BROKER_TO_GET_CONSUMER_STATUS', consumerStatus),
  on(225, 'UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST', groups.updateGroupList),
  on(300, 'QUERY_TOPIC_CONSUME_BY_WHO', progress.consumedByWhom),
  on(303, 'QUERY_CONSUME_TIME_SPAN', progress.consumeTimeSpan),
  on(305, 'GET_SYSTEM_TOPIC_LIST_FROM_BROKER', topics.systemTopics),
  on(306, 'CLEAN_EXPIRED_CONSUMEQUEUE', inspection.cleanExpiredQueues),
  on(307, 'GET_CONSUMER_RUNNING_INFO', connections.consumerRunningInfo),
  on(308, 'QUERY_CORRECTION_OFFSET', correctionOffsets),
  on(309, 'CONSUME_MESSAGE_DIRECTLY', connections.consumeMessageDirectly),
  on(314, 'CLONE_GROUP_OFFSET', cloneGroupOffset),
  on(315, 'VIEW_BROKER_STATS_DATA', progress.statsData),
  on(316, 'CLEAN_UNUSED_TOPIC', inspection.cleanUnused),
  on(317, 'GET_BROKER_CONSUME_STATS', progress.brokerConsumeStats),
  on(321, 'QUERY_CONSUME_QUEUE', inspection.queryConsumeQueue),
  on(323, 'RESUME_CHECK_HALF_MESSAGE', resumeCheckHalfMessage),
  on(324, 'SEND_REPLY_MESSAGE', sendReplyMessage),
  on(325, 'SEND_REPLY_MESSAGE_V2', sendReplyMessage),
  on(328, 'GET_ALL_PRODUCER_INFO', connections.allProducers),
  on(329, 'DELETE_EXPIRED_COMMITLOG', inspection.deleteExpiredLog),
  on(343, 'QUERY_TOPICS_BY_CONSUMER', progress.topicsOfGroup),
  on(345, 'QUERY_SUBSCRIPTION_BY_CONSUMER', progress.subscriptionOfGroup),
  on(351, 'GET_TOPIC_CONFIG', topics.oneTopic),
  on(352, 'GET_SUBSCRIPTIONGROUP_CONFIG', groups.oneGroup),
  on(353, 'UPDATE_AND_GET_GROUP_FORBIDDEN', groups.groupForbidden),
  on(370, 'RECALL_MESSAGE', timers.recallMessage),
  on(400, 'QUERY_ASSIGNMENT', queryAssignment),
  on(401, 'SET_MESSAGE_REQUEST_MODE', setMessageRequestMode),
  on(513, 'UPDATE_AND_CREATE_STATIC_TOPIC', topics.updateStaticTopic),
  on(907, 'GET_BROKER_HA_STATUS', inspection.haStatus),
  on(908, 'RESET_MASTER_FLUSH_OFFSET', inspection.resetMasterFlushOffset),
  on(1007, 'GET_BROKER_EPOCH_CACHE', inspection.epochCache),
  ...accessRequests.map((name): Row => on(RequestCode[name], name, accessHandlers[name])),
  on(200_050, 'POP_MESSAGE', popMessage),
  on(200_051, 'ACK_MESSAGE', ackMessage),
  on(200_052, 'PEEK_MESSAGE', peekMessage),
  on(200_053, 'CHANGE_MESSAGE_INVISIBLETIME', changeInvisibleTime),
  on(200_054, 'NOTIFICATION', notification),
  on(200_055, 'POLLING_INFO', pollingInfo),
  on(200_070, 'POP_LITE_MESSAGE', lite.popLiteMessage),
  on(200_071, 'LITE_SUBSCRIPTION_CTL', lite.changeSubscriptions),
  on(200_072, 'ACK_LITE_MESSAGE', ackMessage),
  on(200_074, 'GET_BROKER_LITE_INFO', lite.brokerInfo),
  on(200_075, 'GET_PARENT_TOPIC_INFO', lite.parentInfo),
  on(200_076, 'GET_LITE_TOPIC_INFO', lite.liteTopicInfo),
  on(200_077, 'GET_LITE_CLIENT_INFO', lite.clientInfo),
  on(200_078, 'GET_LITE_GROUP_INFO', lite.groupInfo),
  on(200_079, 'TRIGGER_LITE_DISPATCH', lite.triggerDispatch),
  on(200_151, 'BATCH_ACK_MESSAGE', batchAckMessage),
];

const KiB = 1024;
const MiB = 1024 * KiB;

/** What the answers to other requests than sends and pulls may take while they are made. */
const ANSWER_BYTES = 64 * KiB;
/**
 * Those that read messages, build long answers or wait for another client, by code: what one of them may hold. A
 * connection has 8 MiB of them under way.
 */
const answerBytes: ReadonlyMap<number, number> = new Map([
  [12, 8 * MiB],
  [33, 4 * MiB],
  [36, 256 * KiB],
  // They ask for room when they read.
  [200_050, 0],
  [200_052, 0],
  [200_070, 0],
  [324, MiB],
  [325, MiB],
  ...[3005, 3010].map((code): [number, number] => [code, 8 * MiB]),
  ...[21, 43, 61, 201, 202, 208, 222, 223, 300, 303, 317, 328, 400, 200_074, 200_077, 200_078].map(
    (code): [number, number] => [code, 2 * MiB],
  ),
  ...[203, 204, 307, 308, 309, 321].map((code): [number, number] => [code, MiB]),
]);

/** What the answer to a request may take while it is made. Those to sends are small; pulls ask for room themselves. */
export function answerBytesOf(code: number): number {
  if (hot.some(([hotCode]) => hotCode === code)) return 0;
  return answerBytes.get(code) ?? ANSWER_BYTES;
}

/** Every request code the broker serves, with its handler; all others get REQUEST_CODE_NOT_SUPPORTED. */
export function allProcessors(
  broker: BrokerContext,
  callers: ConnectionCallers = new ConnectionCallers(broker.config.callClientTimeoutMills),
): [number, RequestHandler][] {
  const handlers: [number, RequestHandler][] = [];
  for (const [code, , process] of hot) {
    handlers.push([code, (request, connection) => process(broker, request, callers.of(connection))]);
  }
  for (const [code, , process] of others) {
    handlers.push([code, guarded((request, connection) => process(broker, request, callers.of(connection)))]);
  }
  return handlers;
}
