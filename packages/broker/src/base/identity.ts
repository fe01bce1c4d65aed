import { groupOfRetryTopic, isRetryTopic } from './names.ts';
import type { Refusal } from './refusal.ts';

/** What may be done to a resource (RocketMQ Action). `Any` stands only in questions: whatever is allowed will do. */
export const ACTIONS = ['All', 'Pub', 'Sub', 'Create', 'Update', 'Delete', 'Get', 'List'] as const;
export type Action = (typeof ACTIONS)[number];

/** What policies are about (RocketMQ ResourceType). */
export const RESOURCE_KINDS = ['Topic', 'Group', 'Cluster'] as const;
export type ResourceKind = (typeof RESOURCE_KINDS)[number];

/** A question to the policies: may one of these actions be done to this? */
export interface Access {
  readonly kind: ResourceKind;
  readonly name: string;
  readonly actions: readonly Action[];
}

/** Who a caller proved to be. What it may do is asked anew each time: a policy that changes counts from then on. */
export interface Identity {
  readonly name: string;
  readonly isSuper: boolean;
  /** Why it may not do one of these; undefined when it may do all. */
  refusalOf(accesses: readonly Access[]): Refusal | undefined;
  /** As `refusalOf`, for a request that has to be let through; it is remembered what was asked. */
  admit(accesses: readonly Access[]): Refusal | undefined;
  /**
   * Why the request would not be let through any more: its user is gone or disabled, has another secret, or may not do what
   * it was admitted for. Whoever gives a message to a request that has waited asks this first.
   */
  expired(): Refusal | undefined;
}

/**
 * The right of a member of a group to a topic. The group's own retries are in its right to the group, which is asked for
 * beside this; those of another group are that one's. `isGroup`: whether there is a consumer group of a name.
 */
export function memberAccess(
  topic: string,
  group: string,
  isGroup: (name: string) => boolean,
  actions: readonly Action[],
): Access[] {
  if (group !== '' && isRetryTopic(topic)) {
    const owner = groupOfRetryTopic(topic);
    if (owner === group || owner.startsWith(`${group}+`)) return [];
    // `%RETRY%group_topic` of POP can be the retries of a group named so.
    if (owner.startsWith(`${group}_`) && !isGroup(owner)) return [];
  }
  return [topicAccess(topic, actions)];
}

/** The right to a topic; that to its group when it is the topic of a group's retries (RocketMQ). */
export const topicAccess = (topic: string, actions: readonly Action[]): Access =>
  isRetryTopic(topic)
    ? { kind: 'Group', name: groupOfRetryTopic(topic), actions }
    : { kind: 'Topic', name: topic, actions };
