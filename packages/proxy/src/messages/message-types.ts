import type { TopicConfig } from '@vernier/remoting';
import { StatusError } from '../status.ts';
import { Code, MessageType } from '../wire/messages.ts';

/** What a topic takes (RocketMQ TopicMessageType, attribute `message.type`). */
export type TopicType = 'NORMAL' | 'FIFO' | 'DELAY' | 'TRANSACTION' | 'PRIORITY' | 'LITE' | 'MIXED' | 'UNSPECIFIED';

const MESSAGE_TYPE = 'message.type';
const known: ReadonlySet<string> = new Set<TopicType>([
  ...(['NORMAL', 'FIFO', 'DELAY', 'TRANSACTION', 'PRIORITY', 'LITE', 'MIXED', 'UNSPECIFIED'] as const),
]);

/** Without the attribute a topic is NORMAL. */
export function topicTypeOf(topic: Pick<TopicConfig, 'attributes'> | undefined): TopicType {
  const type = topic?.attributes.get(MESSAGE_TYPE) ?? 'NORMAL';
  return known.has(type) ? (type as TopicType) : 'NORMAL';
}

/**
 * What the route says that a topic takes. Never MESSAGE_TYPE_UNSPECIFIED, which ends some clients at their start: a topic
 * of no type is said to be NORMAL.
 */
export function acceptedTypes(type: TopicType): MessageType[] {
  switch (type) {
    case 'MIXED':
      return [MessageType.NORMAL, MessageType.FIFO, MessageType.DELAY, MessageType.TRANSACTION];
    case 'UNSPECIFIED':
      return [MessageType.NORMAL];
    default:
      return [MessageType[type]];
  }
}

/** Throws MESSAGE_PROPERTY_CONFLICT_WITH_TYPE when the topic does not take such messages. */
export function checkType(topicType: TopicType, type: TopicType): void {
  if (type === topicType || topicType === 'MIXED') return;
  const text = `TopicMessageType validate failed, the expected type is ${topicType}, but actual type is ${type}`;
  throw new StatusError(Code.MESSAGE_PROPERTY_CONFLICT_WITH_TYPE, text);
}
