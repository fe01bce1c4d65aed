import { Perm } from '@vernier/remoting';
import { SCHEDULE_TOPIC } from '@vernier/store/internal';

/** Names with a meaning (RocketMQ TopicValidator, MixAll, PermName) and the rules for all others. */

export const RETRY_GROUP_TOPIC_PREFIX = '%RETRY%';
export const DLQ_GROUP_TOPIC_PREFIX = '%DLQ%';
export const SYSTEM_TOPIC_PREFIX = 'rmq_sys_';
export const AUTO_CREATE_TOPIC_KEY_TOPIC = 'TBW102';
export const TRANS_HALF_TOPIC = 'RMQ_SYS_TRANS_HALF_TOPIC';
export const TRANS_OP_HALF_TOPIC = 'RMQ_SYS_TRANS_OP_HALF_TOPIC';
/** Where halves go that nobody ended: checked too often, or too old. */
export const TRANS_CHECK_MAX_TIME_TOPIC = 'TRANS_CHECK_MAX_TIME_TOPIC';
export const SELF_TEST_TOPIC = 'SELF_TEST_TOPIC';
export const OFFSET_MOVED_EVENT = 'OFFSET_MOVED_EVENT';
export const BENCHMARK_TOPIC = 'BenchmarkTest';
export const TIMER_TOPIC = 'rmq_sys_wheel_timer';
/** One queue a delay level; the number is fixed in RocketMQ whatever messageDelayLevel says. */
export const SCHEDULE_TOPIC_QUEUE_NUM = 18;

/** System topics whatever the configuration; a broker adds its own (its cluster, its name, its reply topic …). */
export const fixedSystemTopics: readonly string[] = [
  AUTO_CREATE_TOPIC_KEY_TOPIC,
  SCHEDULE_TOPIC,
  BENCHMARK_TOPIC,
  TRANS_HALF_TOPIC,
  'RMQ_SYS_TRACE_TOPIC',
  TRANS_OP_HALF_TOPIC,
  TRANS_CHECK_MAX_TIME_TOPIC,
  SELF_TEST_TOPIC,
  OFFSET_MOVED_EVENT,
  'CHECKPOINT_TOPIC',
];

const notAllowedSendTopics: ReadonlySet<string> = new Set([
  SCHEDULE_TOPIC,
  TRANS_HALF_TOPIC,
  TRANS_OP_HALF_TOPIC,
  TRANS_CHECK_MAX_TIME_TOPIC,
  SELF_TEST_TOPIC,
  OFFSET_MOVED_EVENT,
  TIMER_TOPIC,
]);

/** Topics that only the broker itself may write to. */
export const isNotAllowedSendTopic = (topic: string): boolean => notAllowedSendTopics.has(topic);

/** Whose offsets say how far transactions are done, in this broker and in RocketMQ's. */
export const TRANSACTION_GROUP = 'CID_RMQ_SYS_TRANS';

/** Whose offsets say how far POP's redelivery is, in this broker and in RocketMQ's. */
export const REVIVE_GROUP = 'CID_RMQ_SYS_REVIVE_GROUP';
/** Where POP's checkpoints and acks go (RocketMQ PopAckConstants). */
export const reviveTopicOf = (clusterName: string): string => `${SYSTEM_TOPIC_PREFIX}REVIVE_LOG_${clusterName}`;

/** Groups every broker knows (RocketMQ SubscriptionGroupManager). */
export const builtInGroups: readonly string[] = [
  'TOOLS_CONSUMER',
  'FILTERSRV_CONSUMER',
  'SELF_TEST_C_GROUP',
  'CID_ONS-HTTP-PROXY',
  'CID_ONSAPI_PERMISSION',
  'CID_ONSAPI_OWNER',
  'CID_ONSAPI_PULL',
  TRANSACTION_GROUP,
];

export const isReadable = (perm: number): boolean => (perm & Perm.READ) !== 0;
export const isWriteable = (perm: number): boolean => (perm & Perm.WRITE) !== 0;
export const isInherited = (perm: number): boolean => (perm & Perm.INHERIT) !== 0;

const legalName = /^[%|a-zA-Z0-9_-]+$/;
const TOPIC_LENGTH_MAX = 127;
const RETRY_OR_DLQ_TOPIC_LENGTH_MAX = 255;
const GROUP_LENGTH_MAX = 120;

export const retryTopicOf = (group: string): string => RETRY_GROUP_TOPIC_PREFIX + group;
export const dlqTopicOf = (group: string): string => DLQ_GROUP_TOPIC_PREFIX + group;
export const isRetryTopic = (topic: string): boolean => topic.startsWith(RETRY_GROUP_TOPIC_PREFIX);
export const isRetryOrDlqTopic = (topic: string): boolean =>
  topic.startsWith(RETRY_GROUP_TOPIC_PREFIX) || topic.startsWith(DLQ_GROUP_TOPIC_PREFIX);

/**
 * Where POP puts what a group has not acknowledged of a topic (RocketMQ KeyBuilder): `%RETRY%group_topic`, or as version 2
 * has it `%RETRY%group+topic`, which can be taken apart again.
 */
export const popRetryTopicOf = (topic: string, group: string, isV2: boolean): string =>
  `${RETRY_GROUP_TOPIC_PREFIX}${group}${isV2 ? '+' : '_'}${topic}`;
export const isPopRetryTopicV2 = (topic: string): boolean => isRetryTopic(topic) && topic.includes('+');

/** The topic whose retries a topic holds for this group; the topic itself when it holds none. */
export function normalTopicOf(topic: string, group: string): string {
  for (const isV2 of [true, false]) {
    const prefix = popRetryTopicOf('', group, isV2);
    if (topic.startsWith(prefix)) return topic.slice(prefix.length);
  }
  return topic;
}

/** The group a `%RETRY%group` topic belongs to. */
export const groupOfRetryTopic = (topic: string): string => topic.slice(RETRY_GROUP_TOPIC_PREFIX.length);

/** What is wrong with a topic's name, undefined when nothing is (TopicValidator.validateTopic). */
export function topicNameFault(topic: string | undefined): string | undefined {
  if (topic === undefined || topic.trim() === '') return 'The specified topic is blank.';
  if (!legalName.test(topic)) {
    return `The specified topic: ${topic}, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$`;
  }
  const lengthMax = isRetryOrDlqTopic(topic) ? RETRY_OR_DLQ_TOPIC_LENGTH_MAX : TOPIC_LENGTH_MAX;
  if (topic.length > lengthMax) {
    return `The specified topic: ${topic}, is longer than topic max length: ${lengthMax}`;
  }
  return undefined;
}

/** What is wrong with a group's name, undefined when nothing is (TopicValidator.validateGroup). */
export function groupNameFault(group: string | undefined): string | undefined {
  if (group === undefined || group.trim() === '') return 'The specified group is blank.';
  if (!legalName.test(group)) {
    return `The specified group: ${group}, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$`;
  }
  if (group.length > GROUP_LENGTH_MAX) {
    return `The specified group: ${group}, is longer than group max length: ${GROUP_LENGTH_MAX}`;
  }
  return undefined;
}
