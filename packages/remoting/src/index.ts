/**
 * RocketMQ's wire: frames, headers and bodies as bytes, a server and a client for them.
 *
 * `RemotingServer` calls a `RequestHandler` for each request; `RemotingClient` connects and calls `invoke`. A frame is a
 * `RemotingCommand`. The encoders and decoders of bodies stand beside it (routes, heartbeats, topic tables …), and small
 * client calls that need no group membership (`sendMessage`, `pullMessage`, `fetchTopicRoute` …).
 *
 * Caveats:
 * - `body` of a received command is a view into what the socket delivered: use it before the first await, or copy it.
 * - A sent command belongs to the connection until it has been written; do not change its body before.
 * - Without a `ServerIdentity` or `TlsClientOptions` there is no TLS, and a server answers everybody unless a gate stands in
 *   front of it (`setGate`). Listeners bind to loopback
 *   until another address is given.
 * - Errors of operation are `RemotingError`; a response with another code than SUCCESS is an answer and no error.
 */
export { type Clock, systemClock, type TimerHandle } from './clock.ts';
export { LanguageCode, languageFromName, languageName } from './codes/language-code.ts';
export { CURRENT_VERSION, MQVersion, versionDescription } from './codes/mq-version.ts';
export { RequestCode, type RequestCodeName, requestCodeName } from './codes/request-code.ts';
export { ResponseCode, type ResponseCodeName, responseCodeName } from './codes/response-code.ts';
export { REMOTING_ERROR_CODES, RemotingError, type RemotingErrorCode } from './errors.ts';
export { LineLimit } from './line-limit.ts';
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
  compressionBits,
  compressionType,
  MessageSysFlag,
  PullSysFlag,
  TRANSACTION_MASK,
} from './message/sys-flag.ts';
export { firstAddress, parseUniqueId, type UniqueId, UniqueIdGenerator } from './message/unique-id.ts';
export { formatAddress, parseAddress, plainHost, type SocketAddress } from './net/address.ts';
export { RemotingClient } from './net/client.ts';
export { notSupported } from './net/processor-table.ts';
export { REQUEST_TIME_BOUNDS_MS, RequestTimes, type RequestTimesRow, UNKNOWN_REQUEST } from './net/request-times.ts';
export { listenError, RemotingServer, type RemotingServerEvents } from './net/server.ts';
export { Slices } from './net/slices.ts';
export type {
  ConnectionLimits,
  HandlerResult,
  ListenOptions,
  ProcessorOptions,
  RemotingClientOptions,
  RemotingConnection,
  RemotingServerOptions,
  RequestGate,
  RequestHandler,
  ServerLimits,
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
export { writeHex32 } from './protocol/digits.ts';
export { FRAME_BYTES_MAX } from './protocol/frame-bytes.ts';
export { decodeFrame, FrameDecoder } from './protocol/frame-decoder.ts';
export { encodeFrame } from './protocol/frame-encoder.ts';
export { HeaderReader } from './protocol/header-reader.ts';
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
  type ByteRange,
  type PullFields,
  pullFieldsOf,
  type SendFields,
  sendFieldsOf,
} from './protocol/hot-fields.ts';
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
  choiceMember,
  countMember,
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
  decodeProperties,
  encodeProperties,
  type PropertyAssignment,
  parseProperties,
} from './protocol/properties-text.ts';
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
  QUEUE_NUMS_MAX,
  type QueueData,
  selectBrokerAddr,
  type TopicRouteData,
} from './protocol/route.ts';
export { isPlainKey, SendAnswer, SendAnswerForm } from './protocol/send-answer.ts';
export {
  ACCESS_KEY,
  type Credentials,
  SIGNATURE,
  sameSignature,
  sign,
  signatureOf,
  signedText,
} from './protocol/signature.ts';
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
  decodeTopicList,
  encodeConsumerList,
  encodeKVTable,
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
export { shortened } from './shortened.ts';
export type { TlsClientOptions } from './tls/client-identity.ts';
export { makeCertificate } from './tls/make-certificate.ts';
export {
  type ClientAuth,
  ServerIdentity,
  type ServerIdentityOptions,
  type TlsMode,
} from './tls/server-identity.ts';
export { SourceLog } from './tls/source-log.ts';
export {
  HANDSHAKE_RESULTS,
  type HandshakeOutcome,
  TLS_HANDSHAKE,
  type TlsCounts,
  TlsDoor,
  type TlsLimits,
} from './tls/tls-door.ts';
