import type { TopicConfig } from '@vernier/remoting';
import type { MessageExtBrokerInner } from '@vernier/store';
import { PROPERTY_PRIORITY, PropertyBit, propertyOf, removeProperties } from '@vernier/store/internal';
import { isTransactional } from './half-message.ts';

const priorityName: ReadonlySet<string> = new Set([PROPERTY_PRIORITY]);
const INT_MAX = 0x7fff_ffff;

/** The property as Java's NumberUtils.toInt reads it: -1 for what is no int. */
function priorityOf(properties: string): number {
  const text = propertyOf(properties, PROPERTY_PRIORITY) ?? '';
  const priority = /^[+-]?\d+$/.test(text) ? Number(text) : -1;
  return priority <= INT_MAX ? priority : -1;
}

/**
 * A message with the property _SYS_MSG_PRIORITY_ of 0 and more goes to the queue of that number, or to the last one that
 * is written and read, whatever queue its producer chose. On delayed and ordered messages and on halves the property is
 * removed: there the queue has another meaning (RocketMQ SendMessageProcessor, TopicMessageType). `found`: the names that the
 * scan of its properties met.
 */
export function applyPriority(message: MessageExtBrokerInner, topic: TopicConfig, found: number): void {
  const { propertiesString } = message;
  const priority = priorityOf(propertiesString);
  if (priority < 0) return;
  const isOfAnotherKind =
    (found & (PropertyBit.DELAY | PropertyBit.TIMER)) !== 0 ||
    propertyOf(propertiesString, '__SHARDINGKEY') !== undefined ||
    isTransactional(propertiesString);
  if (isOfAnotherKind) message.propertiesString = removeProperties(propertiesString, priorityName);
  else message.queueId = Math.min(priority, lastQueueOf(topic));
}

/** Nobody reads a queue that only producers have. */
function lastQueueOf({ writeQueueNums, readQueueNums }: TopicConfig): number {
  const count = readQueueNums > 0 ? Math.min(writeQueueNums, readQueueNums) : writeQueueNums;
  return Math.max(0, count - 1);
}
