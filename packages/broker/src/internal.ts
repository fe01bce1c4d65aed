/** For Vernier's own packages and tools; promises nothing to anybody else. */

export { AccessService, isFault, type Proof } from './auth/access-service.ts';
export { ACCESS_KEYS, type AccessConfig } from './auth/create-access.ts';
export { SIGN_IN_FAULTS } from './auth/failed-sign-ins.ts';
export { Budget, type BudgetState, textBytes } from './base/budget.ts';
export { type Caller, CallerSession, storeHostOf } from './base/caller.ts';
export { ACTIONS, type Access, type Identity, topicAccess } from './base/identity.ts';
export { lmqOf } from './base/lite-names.ts';
export {
  AUTO_CREATE_TOPIC_KEY_TOPIC,
  fixedSystemTopics,
  groupNameFault,
  isReadable,
  isRetryOrDlqTopic,
  isWriteable,
  popRetryTopicOf,
  SYSTEM_TOPIC_PREFIX,
  TRANS_HALF_TOPIC,
  topicNameFault,
} from './base/names.ts';
export { Refusal } from './base/refusal.ts';
export type { Client, ClientAnswer, TransactionCheck } from './clients/client.ts';
export { type BrokerConfig, defaultBrokerConfig } from './config.ts';
export { brokerKeys, roleKeys } from './config-keys.ts';
export type { BrokerContext } from './context.ts';
export { createBrokerContext, loadTables, startServices } from './create-context.ts';
export { buildSubscription } from './filter/tag-filter.ts';
export {
  type GroupRetryPolicy,
  readSubscriptionGroup,
  type SubscriptionGroupConfig,
  subscriptionGroup,
} from './groups/subscription-group-config.ts';
export { liteGroupOf } from './lite/lite-rules.ts';
export type { LiteAction, LiteStart } from './lite/lite-subscription-service.ts';
export type { MetadataFile, SavedTable } from './metadata/metadata-files.ts';
export { guardNamesrv, type NamesrvAccessOptions } from './namesrv-access.ts';
export type { Delivered } from './pop/ack-service.ts';
export {
  handleText,
  ORDER_REVIVE_QUEUE,
  type PopHandle,
  parseHandle,
  retryMark,
  topicOfMark,
  wholeNumber,
} from './pop/handle.ts';
export type { PopDelivery, PopRequest, PopResult } from './pop/pop-request.ts';
export type { PopAsker } from './pop/pop-service.ts';
export { queueOffsetIn } from './pop/retry-record.ts';
export { allProcessors } from './processors/index.ts';
export type { PullAsker, PullOutcome, PullRequest, PullResult } from './pull/pull-request.ts';
export type { BatchToPut, MessageToPut } from './put/message-to-put.ts';
export type { PutOutcome, Stored } from './put/put-service.ts';
export { BrokerHosts } from './registration/hosts.ts';
export {
  type EventName,
  MESSAGE_TYPES,
  MessageMeters,
  MessageTypeIndex,
  type MeterHistogram,
} from './stats/message-meters.ts';
export { decodeRecallHandle, recallHandleOf } from './timer/recall-handle.ts';
export { resolveTls, TLS_CONFIG_FILE, type TlsConfig, type TlsSettings, tlsKeys } from './tls-config.ts';
export type { StaticQueue } from './topics/static-topics.ts';
