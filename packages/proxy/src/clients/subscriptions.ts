import { buildSubscription } from '@vernier/broker/internal';
import type { SubscriptionData } from '@vernier/remoting';
import type { Backend } from '../backend/backend.ts';
import { StatusError } from '../status.ts';
import { topicOf } from '../validate.ts';
import { Code, type FilterExpression, FilterType, type SubscriptionEntry } from '../wire/messages.ts';

/** What a consumer wants of a topic, as the broker has it; throws ILLEGAL_FILTER_EXPRESSION. */
export function subscriptionOf(
  topic: string,
  filter: FilterExpression | null | undefined,
  version: number,
): SubscriptionData {
  const type = filter?.type === FilterType.SQL ? 'SQL92' : 'TAG';
  const subscription = buildSubscription(topic, filter?.expression ?? '', type, version);
  if (subscription !== undefined) return subscription;
  throw new StatusError(Code.ILLEGAL_FILTER_EXPRESSION, 'expression format is not correct');
}

/** The newest version wins: `now` in Unix milliseconds. */
export const subscriptionsOf = (
  broker: Pick<Backend, 'topics'>,
  entries: readonly SubscriptionEntry[],
  now: number,
): SubscriptionData[] =>
  entries.map(({ topic, expression }) => subscriptionOf(topicOf(broker, topic), expression, now));

/** The tags that an expression names; undefined when it takes any, or is none of tags. */
export function tagsOf(type: string | undefined, expression: string | undefined): ReadonlySet<string> | undefined {
  if (type !== 'TAG' || expression === '*') return undefined;
  const tags = (expression ?? '').split('||').map((tag) => tag.trim());
  return new Set(tags.filter((tag) => tag !== ''));
}
