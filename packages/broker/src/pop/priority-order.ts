import type { TopicConfig } from '@vernier/remoting';
import type { SubscriptionGroupConfig } from '../groups/subscription-group-config.ts';

/** Percent; what RocketMQ takes for a group that says nothing. */
const FACTOR_DEFAULT = 100;

/**
 * The pop looks at the queues of the topic from the highest priority on, rather than from a drawn queue on: so many percent of
 * the pops of a group as its attribute priority.factor says. `draw`: a whole number from 0 to 99.
 */
export function goesByPriority(topic: TopicConfig, group: SubscriptionGroupConfig | undefined, draw: number): boolean {
  if (topic.attributes.get('message.type') !== 'PRIORITY') return false;
  const factor = group?.attributes['priority.factor'];
  // Java reads a leading plus too; the table was read from a file that anybody may have written.
  return draw < (factor !== undefined && /^[+-]?\d{1,19}$/.test(factor) ? Number(factor) : FACTOR_DEFAULT);
}

/** The queue that is looked at as the `index`th of `count`. */
export const priorityQueue = (index: number, count: number, isHighestFirst: boolean): number =>
  isHighestFirst ? count - 1 - index : index;
