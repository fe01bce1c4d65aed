import { flag, integer, type KeySpec, QUEUE_COUNT_MAX, shownValue, valueProblem } from '@vernier/store/internal';

/** How long a message waits before it is consumed again (RocketMQ GroupRetryPolicy). Times in milliseconds. */
export interface GroupRetryPolicy {
  type: 'EXPONENTIAL' | 'CUSTOMIZED';
  exponentialRetryPolicy?: { initial: number; max: number; multiplier: number };
  customizedRetryPolicy?: { next: number[] };
}

/** RocketMQ SimpleSubscriptionData. */
export interface SimpleSubscription {
  topic: string;
  expressionType: string;
  expression: string;
  version: number;
}

/** One consumer group as subscriptionGroup.json has it (RocketMQ SubscriptionGroupConfig). */
export interface SubscriptionGroupConfig {
  groupName: string;
  consumeEnable: boolean;
  consumeFromMinEnable: boolean;
  consumeBroadcastEnable: boolean;
  consumeMessageOrderly: boolean;
  retryQueueNums: number;
  retryMaxTimes: number;
  groupRetryPolicy: GroupRetryPolicy;
  brokerId: number;
  whichBrokerWhenConsumeSlowly: number;
  notifyConsumerIdsChangedEnable: boolean;
  groupSysFlag: number;
  consumeTimeoutMinute: number;
  subscriptionDataSet: SimpleSubscription[] | undefined;
  attributes: Record<string, string>;
}

const INT32_MAX = 0x7fff_ffff;
const LONG = [-1, Number.MAX_SAFE_INTEGER] as const;

/** What a group may hold beside its name and what has members of its own, from a request and from the file alike. */
export const groupMembers = {
  consumeEnable: flag(true, 'The group may consume.'),
  consumeFromMinEnable: flag(true, 'A new group may begin at the first message.'),
  consumeBroadcastEnable: flag(true, 'The group may consume by broadcast.'),
  consumeMessageOrderly: flag(false, 'The group consumes in order.'),
  retryQueueNums: integer(
    [0, QUEUE_COUNT_MAX],
    'queues',
    1,
    'Queues of its retry topic; 0: nothing is consumed again.',
  ),
  retryMaxTimes: integer(
    [-INT32_MAX - 1, INT32_MAX],
    'times',
    16,
    'Consumed again so often before it goes to the dead letters; negative: without end.',
  ),
  brokerId: integer(LONG, '', 0, 'Broker to consume from.'),
  whichBrokerWhenConsumeSlowly: integer(LONG, '', 1, 'Broker to consume from when the group is far behind.'),
  notifyConsumerIdsChangedEnable: flag(true, 'Members are told of changes of the group.'),
  groupSysFlag: integer([0, INT32_MAX], '', 0, 'Bits of unit groups.'),
  consumeTimeoutMinute: integer([0, INT32_MAX], 'minutes', 15, 'Longest time that a message may be consumed.'),
} satisfies Partial<Record<keyof SubscriptionGroupConfig, KeySpec>>;

const delay = integer([0, Number.MAX_SAFE_INTEGER], 'ms', 0, '');
const multiplier = integer([0, 1_000_000], '', 2, '');
const version = integer([Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER], '', 0, '');
/** RocketMQ's table has 18; as many as a message can be consumed again in practice. */
const RETRY_DELAYS_MAX = 1_024;
const SUBSCRIPTIONS_MAX = 1_024;
const TEXT_LENGTH_MAX = 4_096;
/** One group as JSON: the table is written whole, and answered whole. */
const GROUP_CHARS_MAX = 65_536;

/** A group with RocketMQ's defaults: everything allowed, one retry queue, 16 retries. */
export function subscriptionGroup(
  groupName: string,
  fields: Partial<Omit<SubscriptionGroupConfig, 'groupName'>> = {},
): SubscriptionGroupConfig {
  return {
    groupName,
    consumeEnable: true,
    consumeFromMinEnable: true,
    consumeBroadcastEnable: true,
    consumeMessageOrderly: false,
    retryQueueNums: 1,
    retryMaxTimes: 16,
    groupRetryPolicy: { type: 'CUSTOMIZED' },
    brokerId: 0,
    whichBrokerWhenConsumeSlowly: 1,
    notifyConsumerIdsChangedEnable: true,
    groupSysFlag: 0,
    consumeTimeoutMinute: 15,
    subscriptionDataSet: undefined,
    attributes: {},
    ...fields,
  };
}

export interface ReadGroup {
  group: SubscriptionGroupConfig;
  /** Members that cannot be so and have their defaults: `retryQueueNums=1.5: allowed are …`. */
  faults: string[];
}

/**
 * A group as a file or a request states it, with RocketMQ's members and no others, so that what is kept has a known depth
 * and size. Attributes are taken as they stand; whoever takes them from a request looks at them.
 */
export function readSubscriptionGroup(groupName: string, value: unknown): ReadGroup {
  const group = subscriptionGroup(groupName);
  const faults: string[] = [];
  if (!isObject(value)) return { group, faults: [`group ${groupName} is ${shownValue(value)} and no object`] };
  const target = group as unknown as Record<string, unknown>;
  for (const [name, spec] of Object.entries<KeySpec>(groupMembers)) {
    const given = scalarOf(spec, value[name]);
    if (given === undefined || given === null) continue;
    const problem = valueProblem(spec, given);
    if (problem === undefined) target[name] = given;
    else faults.push(`${name}=${shownValue(given)}: ${problem}`);
  }
  for (const [name, read] of Object.entries(compoundMembers)) {
    const given = value[name];
    if (given === undefined || given === null) continue;
    const found = read(given);
    if (found === undefined) faults.push(`${name} is none as RocketMQ has it`);
    else target[name] = found;
  }
  const fault = groupSizeFault(group);
  if (fault === undefined) return { group, faults };
  faults.push(fault);
  return { group: subscriptionGroup(groupName), faults };
}

/** Why a group is too large to be kept; undefined when it is not. */
export function groupSizeFault(group: SubscriptionGroupConfig): string | undefined {
  const chars = JSON.stringify(group).length;
  return chars <= GROUP_CHARS_MAX ? undefined : `it takes ${chars} characters as JSON, at most ${GROUP_CHARS_MAX}`;
}

const compoundMembers: Readonly<Record<string, (value: unknown) => unknown>> = {
  groupRetryPolicy: retryPolicyFrom,
  subscriptionDataSet: subscriptionsFrom,
  attributes: attributesFrom,
};

function retryPolicyFrom(value: unknown): GroupRetryPolicy | undefined {
  if (!isObject(value)) return undefined;
  const { type = 'CUSTOMIZED', exponentialRetryPolicy, customizedRetryPolicy } = value;
  if (type !== 'EXPONENTIAL' && type !== 'CUSTOMIZED') return undefined;
  const policy: GroupRetryPolicy = { type };
  if (exponentialRetryPolicy !== undefined && exponentialRetryPolicy !== null) {
    if (!isObject(exponentialRetryPolicy)) return undefined;
    const { initial = 5_000, max = 7_200_000, multiplier: factor = 2 } = exponentialRetryPolicy;
    if (!fits(delay, initial) || !fits(delay, max) || !fits(multiplier, factor)) return undefined;
    policy.exponentialRetryPolicy = { initial, max, multiplier: factor };
  }
  if (customizedRetryPolicy !== undefined && customizedRetryPolicy !== null) {
    if (!isObject(customizedRetryPolicy)) return undefined;
    const { next } = customizedRetryPolicy;
    const isList = Array.isArray(next) && next.length > 0 && next.length <= RETRY_DELAYS_MAX;
    if (!isList || !next.every((each) => fits(delay, each))) return undefined;
    policy.customizedRetryPolicy = { next: [...next] };
  }
  return policy;
}

function subscriptionsFrom(value: unknown): SimpleSubscription[] | undefined {
  if (!Array.isArray(value) || value.length > SUBSCRIPTIONS_MAX) return undefined;
  const subscriptions: SimpleSubscription[] = [];
  for (const each of value) {
    if (!isObject(each)) return undefined;
    const { topic = '', expressionType = 'TAG', expression = '*', version: number = 0 } = each;
    if (!isShort(topic) || !isShort(expressionType) || !isShort(expression) || !fits(version, number)) return undefined;
    subscriptions.push({ topic, expressionType, expression, version: number });
  }
  return subscriptions;
}

function attributesFrom(value: unknown): Record<string, string> | undefined {
  if (!isObject(value)) return undefined;
  const entries = Object.entries(value);
  if (!entries.every(([name, text]) => isShort(name) && isShort(text))) return undefined;
  return Object.fromEntries(entries) as Record<string, string>;
}

/** fastjson reads a number and a boolean out of a text too. */
function scalarOf(spec: KeySpec, value: unknown): unknown {
  if (typeof value !== 'string') return value;
  if (spec.kind === 'integer' && /^-?\d{1,19}$/.test(value)) return Number(value);
  if (spec.kind === 'boolean' && (value === 'true' || value === 'false')) return value === 'true';
  return value;
}

const fits = (spec: KeySpec, value: unknown): value is number => valueProblem(spec, value) === undefined;

const isShort = (value: unknown): value is string => typeof value === 'string' && value.length <= TEXT_LENGTH_MAX;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Map);
