import type { TopicConfig } from '@vernier/remoting';
import type { SubscriptionGroupConfig } from '../groups/subscription-group-config.ts';

/** What a group's attributes say of its lite topics (RocketMQ SubscriptionGroupAttributes). */
export interface LiteGroup {
  /** The topic whose lite topics it consumes. */
  readonly bindTopic: string;
  /** Of a lite topic it has one subscriber: a new one takes it from the last. */
  readonly isExclusive: boolean;
  readonly resetsWhenTaken: boolean;
  readonly resetsOnUnsubscribe: boolean;
  /** All lite topics of its topic, for whichever member. */
  readonly isWildcard: boolean;
  /** Lite topics that a client may subscribe to; negative: any number. */
  readonly clientQuota: number;
  /** Lite topics with messages that are remembered of a client. */
  readonly eventsMax: number;
}

const CLIENT_QUOTA = 2_000;
const EVENTS = 400;
/** Memory of one client, whatever its group says. */
const EVENTS_MAX = 100_000;

/** Undefined for a group that is bound to no topic. */
export function liteGroupOf(group: SubscriptionGroupConfig | undefined): LiteGroup | undefined {
  const attributes = group?.attributes ?? {};
  const bindTopic = attributes['lite.bind.topic'];
  if (bindTopic === undefined || bindTopic === '') return undefined;
  return {
    bindTopic,
    isExclusive: attributes['lite.sub.model'] === 'Exclusive',
    resetsWhenTaken: isTrue(attributes['lite.sub.reset.offset.exclusive']),
    resetsOnUnsubscribe: isTrue(attributes['lite.sub.reset.offset.unsubscribe']),
    isWildcard: attributes['lite.sub.wildcard'] !== undefined,
    clientQuota: number(attributes['lite.sub.client.quota'], CLIENT_QUOTA),
    eventsMax: Math.min(EVENTS_MAX, Math.max(1, number(attributes['lite.sub.client.max.event.cnt'], EVENTS))),
  };
}

export const isLiteTopic = (topic: TopicConfig | undefined): boolean =>
  topic?.attributes.get('message.type') === 'LITE';

/** Minutes after its last message until a lite topic is deleted; negative: never. */
export const expirationOf = (topic: TopicConfig): number => {
  const minutes = number(topic.attributes.get('lite.topic.expiration'), -1);
  return minutes > 0 ? minutes : -1;
};

const isTrue = (text: string | undefined): boolean => text?.toLowerCase() === 'true';

/** The tables are read from files that anybody may have written. */
const number = (text: string | undefined, otherwise: number): number =>
  text !== undefined && /^[+-]?\d{1,19}$/.test(text) ? Number(text) : otherwise;
