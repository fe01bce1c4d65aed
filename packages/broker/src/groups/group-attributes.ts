import {
  type AttributeChange,
  type AttributeKind,
  changeAttributes,
  oneOf,
  shortText,
  trueOrFalse,
  wholeNumber,
} from '../base/attributes.ts';

/** Attributes of groups with RocketMQ's rules for their values (SubscriptionGroupAttributes of 5.5.0, measured). */
const groupAttributes: ReadonlyMap<string, AttributeKind> = new Map<string, AttributeKind>([
  ['priority.factor', { changeable: true, fault: wholeNumber(0n, 100n) }],
  ['lite.bind.topic', { changeable: true, fault: shortText }],
  ['lite.sub.model', { changeable: true, fault: oneOf('Shared', 'Exclusive') }],
  ['lite.sub.reset.offset.exclusive', { changeable: true, fault: trueOrFalse }],
  ['lite.sub.reset.offset.unsubscribe', { changeable: true, fault: trueOrFalse }],
  ['lite.sub.client.quota', { changeable: true, fault: wholeNumber(-1n) }],
  ['lite.sub.client.max.event.cnt', { changeable: true, fault: wholeNumber(10n) }],
  ['lite.sub.wildcard', { changeable: true, fault: shortText }],
]);

/**
 * A group's attributes after a request that has them by signed names (`+priority.factor`), or what is wrong with it.
 * `current` is undefined for a group that does not exist yet.
 */
export function alterGroupAttributes(
  current: Readonly<Record<string, string>> | undefined,
  signed: Readonly<Record<string, string>>,
): AttributeChange {
  const known = current === undefined ? undefined : new Map(Object.entries(current));
  return changeAttributes(groupAttributes, known, Object.entries(signed));
}
