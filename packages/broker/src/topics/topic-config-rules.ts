import { Perm, type TopicConfig, topicConfigFromJson } from '@vernier/remoting';
import type { StoreLogger } from '@vernier/store';
import {
  choice,
  flag,
  integer,
  type KeySpec,
  QUEUE_COUNT_MAX,
  shownValue,
  valueProblem,
} from '@vernier/store/internal';

const INT32_MAX = 0x7fff_ffff;
const ANY_PERM = Perm.PRIORITY | Perm.READ | Perm.WRITE | Perm.INHERIT;

/** What a topic may hold beside its name and its attributes, from a request and from topics.json alike. */
export const topicMembers = {
  readQueueNums: integer([0, QUEUE_COUNT_MAX], 'queues', 16, 'Queues that consumers read.'),
  writeQueueNums: integer([0, QUEUE_COUNT_MAX], 'queues', 16, 'Queues that producers send to.'),
  perm: integer([0, ANY_PERM], '', Perm.READ | Perm.WRITE, '4 read, 2 write, 1 template of others, 8 priority.'),
  topicFilterType: choice(['SINGLE_TAG', 'MULTI_TAG'], 'SINGLE_TAG', 'How many tags a message has.'),
  topicSysFlag: integer([0, INT32_MAX], '', 0, 'Bits of unit topics.'),
  order: flag(false, 'Its messages are consumed in order.'),
} satisfies Partial<Record<keyof TopicConfig, KeySpec>>;

type Member = keyof typeof topicMembers;
const memberNames = Object.keys(topicMembers) as Member[];

/** Why a topic cannot be so, undefined when it can: `readQueueNums=-1: allowed are …`. */
export function topicConfigFault(topic: TopicConfig): string | undefined {
  for (const name of memberNames) {
    const problem = valueProblem(topicMembers[name], topic[name]);
    if (problem !== undefined) return `topic ${topic.topicName}: ${name}=${shownValue(topic[name])}: ${problem}`;
  }
  return undefined;
}

/**
 * A topic as topics.json has it. A number that no topic can have, which an older version let in, is brought into its
 * range with a line: the topic's messages must stay reachable. Throws REMOTING_BODY_INVALID for what is no topic.
 */
export function topicConfigOfFile(topicName: string, fields: unknown, logger: StoreLogger): TopicConfig {
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
    return { ...topicConfigFromJson(fields), topicName };
  }
  const usable: Record<string, unknown> = { ...fields };
  for (const name of memberNames) {
    const spec: KeySpec = topicMembers[name];
    const value = usable[name];
    if (spec.kind !== 'integer' || typeof value !== 'number' || valueProblem(spec, value) === undefined) continue;
    usable[name] = Math.min(Math.max(Math.trunc(value), spec.min!), spec.max!);
    logger.warn(
      { topicName, name, value, used: usable[name] },
      `topics.json: ${name} of ${topicName} cannot be ${value}`,
    );
  }
  return { ...topicConfigFromJson(usable), topicName };
}
