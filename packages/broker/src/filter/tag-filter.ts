import { ResponseCode, type SubscriptionData, tagSubscription } from '@vernier/remoting';
import type { Caller } from '../base/caller.ts';
import { Refusal } from '../base/refusal.ts';
import type { SizedFilter } from './sized-filter.ts';
import { SQL92, type SqlFilters } from './sql-filters.ts';

export const SUB_ALL = '*';

/** A tag's code in a set, which has room for twice as many when it has just grown. */
const CODE_BYTES = 56;

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

/** Why a subscription cannot be served; undefined when it can. Resolves when its expression has been compiled. */
export async function subscriptionRefusal(
  topic: string,
  subString: string | undefined,
  expressionType: string | undefined,
  sqlFilters: SqlFilters,
  caller: Caller,
): Promise<Refusal | undefined> {
  if (expressionType === SQL92 && sqlFilters.isEnabled) {
    const filter = await sqlFilters.of(subString ?? '', caller);
    if (filter instanceof Refusal) return filter;
    return typeof filter === 'string' ? new Refusal(ResponseCode.SUBSCRIPTION_PARSE_FAILED, filter) : undefined;
  }
  if (!isTagType(expressionType)) return expressionRefusal(expressionType);
  return buildSubscription(topic, subString, expressionType, 0) === undefined
    ? new Refusal(ResponseCode.SUBSCRIPTION_PARSE_FAILED, "parse the consumer's subscription failed")
    : undefined;
}

/** Nothing here understands expressions of this type. */
export const expressionRefusal = (expressionType: string | undefined): Refusal =>
  new Refusal(ResponseCode.SYSTEM_ERROR, `The broker does not support consumer to filter message by ${expressionType}`);

/**
 * The filter a pull hands to the store; undefined when everything matches. Tags are compared by hash, so that two tags
 * of one hash both pass: the client compares the text again (RocketMQ ExpressionMessageFilter).
 */
export function tagFilter(subscription: SubscriptionData): SizedFilter | undefined {
  if (subscription.classFilterMode || subscription.subString === SUB_ALL) return undefined;
  const codes = new Set(subscription.codeSet);
  return { isMatchedByConsumeQueue: (tagsCode) => codes.has(tagsCode), bytes: 300 + CODE_BYTES * codes.size };
}
