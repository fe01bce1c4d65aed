import { Perm, type TopicConfig, TopicSysFlag } from '@vernier/remoting';
import { dlqTopicOf } from '../base/names.ts';
import type { TopicConfigManager } from './topic-config-manager.ts';

const READ_WRITE = Perm.READ | Perm.WRITE;

/** A dead-letter topic has one queue. */
const DLQ_QUEUE_NUMS = 1;

/**
 * The topic that a group's retries go to, made when it is missing. One that was made while the group had no retry queues
 * gets them when it has some; otherwise its queues are those that it has: an operator may have chosen them.
 */
export function ensureRetryTopic(
  topics: TopicConfigManager,
  topic: string,
  queueNums: number,
  unitMode: boolean,
): TopicConfig {
  const known = topics.createInSendMessageBack(topic, queueNums, READ_WRITE, unitMode ? TopicSysFlag.UNIT_SUB : 0);
  if (usableQueueNums(known) > 0 || queueNums <= 0) return known;
  const widened = {
    ...known,
    readQueueNums: Math.max(known.readQueueNums, queueNums),
    writeQueueNums: Math.max(known.writeQueueNums, queueNums),
  };
  topics.update(widened);
  return widened;
}

/** Queues of a topic that may be written and are read: a message in another is out of its consumers' reach. */
export const usableQueueNums = ({ readQueueNums, writeQueueNums }: TopicConfig): number =>
  Math.min(readQueueNums, writeQueueNums);

/** The group's dead-letter topic, made when it is missing. */
export function ensureDeadLetterTopic(topics: TopicConfigManager, group: string): TopicConfig {
  return topics.createInSendMessageBack(dlqTopicOf(group), DLQ_QUEUE_NUMS, READ_WRITE, 0);
}
