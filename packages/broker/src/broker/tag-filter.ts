import { type SubscriptionData, tagSubscription } from '@vernier/remoting';
import type { MessageFilter } from '@vernier/store';

export const SUB_ALL = '*';

export const isTagType = (expressionType: string | undefined): boolean =>
  expressionType === undefined || expressionType === '' || expressionType === 'TAG';

/**
 * A subscription from its text (RocketMQ FilterAPI): `*` or nothing is everything, else tags joined by `||`. Undefined
 * when the text holds no tag at all, or an empty expression of another type: SUBSCRIPTION_PARSE_FAILED.
 */
export function buildSubscription(
  topic: string,
  subString: string | undefined,
  expressionType: string | undefined,
  subVersion: number,
): SubscriptionData | undefined {
  if (isTagType(expressionType)) {
    const subscription = tagSubscription(topic, subString ?? SUB_ALL, subVersion);
    return subscription.subString !== SUB_ALL && subscription.tagsSet.length === 0 ? undefined : subscription;
  }
  if (subString === undefined || subString === '') return undefined;
  return { ...tagSubscription(topic, SUB_ALL, subVersion), subString, expressionType: expressionType as string };
}

/**
 * The filter a pull hands to the store; undefined when everything matches. Tags are compared by hash, so that two tags
 * of one hash both pass: the client compares the text again (RocketMQ ExpressionMessageFilter).
 */
export function tagFilter(subscription: SubscriptionData): MessageFilter | undefined {
  if (subscription.classFilterMode || subscription.subString === SUB_ALL) return undefined;
  const codes = new Set(subscription.codeSet);
  return { isMatchedByConsumeQueue: (tagsCode) => codes.has(tagsCode) };
}
