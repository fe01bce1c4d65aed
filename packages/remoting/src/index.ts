export {
  createPullRequest,
  fetchMaxOffset,
  fetchMinOffset,
  type PullOptions,
  type PullResult,
  type PullStatus,
  pullMessage,
  pullResult,
  queryConsumerOffset,
  searchOffset,
  updateConsumerOffset,
} from './client/pull.ts';
export { expectSuccess, integerField, responseError } from './client/response.ts';
export {
  fetchClusterInfo,
  fetchTopicList,
  fetchTopicRoute,
  type RoutedQueue,
  readableQueues,
  writableQueues,
} from './client/route.ts';
export {
  createBatchSendRequest,
  createSendRequest,
  type OutgoingMessage,
  type SendResult,
  type SendStatus,
  type SendTarget,
  sendBatch,
  sendMessage,
  sendResult,
} from './client/send.ts';
export { type Clock, systemClock, type TimerHandle } from './clock.ts';
export { LanguageCode, languageFromName, languageName } from './codes/language-code.ts';
export { CURRENT_VERSION, MQVersion, versionDescription } from './codes/mq-version.ts';
export { RequestCode, type RequestCodeName, requestCodeName } from './codes/request-code.ts';
export { ResponseCode, type ResponseCodeName, responseCodeName } from './codes/response-code.ts';
export { REMOTING_ERROR_CODES, RemotingError, type RemotingErrorCode } from './errors.ts';
export { type RemotingLogger, silentLogger } from './logger.ts';
export { type BatchMessage, decodeBatchBody, encodeBatchBody } from './message/batch.ts';
export {
  createOffsetMessageId,
  hostBytes,
  hostHex,
  hostText,
  messageIdAddress,
  type OffsetMessageId,
  offsetHex,
  parseOffsetMessageId,
} from './message/message-id.ts';
export { decodePropertiesString, encodePropertiesString, MessageProperty } from './message/properties.ts';
export { type DecodedMessage, decodeRecord, decodeRecords } from './message/record.ts';
export {
  type CompressionType,
  compressionType,
  MessageSysFlag,
  PullSysFlag,
  TRANSACTION_MASK,
} from './message/sys-flag.ts';
export { firstAddress, parseUniqueId, type UniqueId, UniqueIdGenerator } from './message/unique-id.ts';
export { formatAddress, parseAddress, plainHost, type SocketAddress } from './net/address.ts';
export { RemotingClient } from './net/client.ts';
export { notSupported } from './net/processor-table.ts';
export { RemotingServer, type RemotingServerEvents } from './net/server.ts';
export type {
  ConnectionLimits,
  HandlerResult,
  ListenOptions,
  RemotingClientOptions,
  RemotingConnection,
  RemotingServerOptions,
  RequestHandler,
} from './net/types.ts';
export {
  type ClientConnection,
  type ConsumerConnection,
  decodeConsumerConnection,
  decodeProducerConnection,
  encodeConsumerConnection,
  encodeProducerConnection,
} from './protocol/connections.ts';
export {
  type DataVersion,
  dataVersionFromJson,
  dataVersionJson,
  initialDataVersion,
  nextDataVersion,
  sameDataVersion,
} from './protocol/data-version.ts';
export { decodeFrame, FRAME_BYTES_MAX, FrameDecoder } from './protocol/frame-decoder.ts';
export { encodeFrame } from './protocol/frame-encoder.ts';
export {
  type ConsumerData,
  type ConsumeType,
  decodeHeartbeatData,
  encodeHeartbeatData,
  type HeartbeatData,
  javaHashCode,
  type MessageModel,
  type SubscriptionData,
  subscriptionDataFromJson,
  subscriptionDataJson,
  tagSubscription,
} from './protocol/heartbeat.ts';
export {
  type JavaJsonOptions,
  javaMapEntries,
  parseJavaJson,
  parseJavaJsonBody,
  writeJavaJson,
} from './protocol/java-json.ts';
export {
  asArray,
  asObject,
  asStrings,
  bodyObject,
  booleanMember,
  integerMember,
  type JsonObject,
  numberMember,
  stringMap,
  stringMember,
} from './protocol/json-members.ts';
export {
  decodeLockBatchRequest,
  decodeLockBatchResponse,
  encodeLockBatchRequest,
  encodeLockBatchResponse,
  type LockBatchRequest,
} from './protocol/lock-batch.ts';
export { type MessageQueue, messageQueueFromJson, messageQueueJson } from './protocol/message-queue.ts';
export {
  bodyCrc32,
  decodeRegisterBrokerBody,
  encodeRegisterBrokerBody,
  type RegisterBrokerBody,
} from './protocol/register-broker.ts';
export {
  createRequest,
  createResponse,
  type ExtFields,
  FLAG_ONEWAY,
  FLAG_RESPONSE,
  isOneway,
  isResponse,
  nextOpaque,
  type RemotingCommand,
  SerializeType,
} from './protocol/remoting-command.ts';
export {
  type BrokerData,
  type BrokerMemberGroup,
  type ClusterInfo,
  decodeClusterInfo,
  decodeTopicRouteData,
  encodeBrokerMemberGroup,
  encodeClusterInfo,
  encodeTopicRouteData,
  type IntegerKeys,
  type QueueData,
  selectBrokerAddr,
  type TopicRouteData,
} from './protocol/route.ts';
export {
  type ConsumeStats,
  decodeConsumeStats,
  decodeTopicStatsTable,
  encodeConsumeStats,
  encodeTopicStatsTable,
  type OffsetWrapper,
  type QueueTable,
  type TopicOffset,
  type TopicStatsTable,
} from './protocol/stats.ts';
export {
  decodeConsumerList,
  decodeKVTable,
  decodeProperties,
  decodeTopicList,
  encodeConsumerList,
  encodeKVTable,
  encodeProperties,
  encodeTopicList,
  type TopicList,
} from './protocol/tables.ts';
export {
  createTopicConfig,
  decodeTopicConfigTable,
  decodeTopicConfigText,
  encodeTopicConfigTable,
  encodeTopicConfigText,
  Perm,
  type TopicConfig,
  type TopicConfigTable,
  type TopicFilterType,
  TopicSysFlag,
  topicConfigFromJson,
  topicConfigJson,
  topicConfigTableFromJson,
  topicConfigTableJson,
} from './protocol/topic-config.ts';
