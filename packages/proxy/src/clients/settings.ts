import { type GroupRetryPolicy, liteGroupOf, type SubscriptionGroupConfig } from '@vernier/broker/internal';
import { type ProxyLimits, rules } from '../limits.ts';
import { ClientType, type RetryPolicy, type Settings } from '../wire/messages.ts';
import { timeOf } from '../wire/times.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const INT32_MAX = 0x7fff_ffff;

/** RocketMQ CustomizedRetryPolicy. */
const customizedDelays: readonly number[] = [
  ...[1 * SECOND, 5 * SECOND, 10 * SECOND, 30 * SECOND],
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30].map((minutes) => minutes * MINUTE),
  ...[1 * HOUR, 2 * HOUR],
];
/** RocketMQ ExponentialRetryPolicy. */
const exponential = { initial: 5 * SECOND, max: 2 * HOUR, multiplier: 2 };

export const isProducer = (type: ClientType | null | undefined): boolean => type === ClientType.PRODUCER;
export const isLiteConsumer = (type: ClientType | null | undefined): boolean =>
  type === ClientType.LITE_PUSH_CONSUMER || type === ClientType.LITE_SIMPLE_CONSUMER;

/** How often a group gets a message: without end when its number of retries is negative, which RocketMQ takes for never. */
export const attemptsOf = ({ retryMaxTimes }: Pick<SubscriptionGroupConfig, 'retryMaxTimes'>): number =>
  retryMaxTimes < 0 ? INT32_MAX : Math.min(retryMaxTimes + 1, INT32_MAX);

/** A client's settings with what the proxy decides in them (RocketMQ GrpcClientSettingsManager). */
export function mergedSettings(
  settings: Settings,
  group: SubscriptionGroupConfig | undefined,
  { bodyBytesMax }: Pick<ProxyLimits, 'bodyBytesMax'>,
): Settings {
  const merged: Settings = { ...settings, metric: { on: false } };
  if (settings.publishing !== undefined && settings.publishing !== null) {
    const { initialMs, maxMs, multiplier } = rules.producerBackoff;
    merged.backoffPolicy = {
      maxAttempts: rules.producerAttempts,
      exponentialBackoff: { initial: timeOf(initialMs), max: timeOf(maxMs), multiplier },
    };
    merged.publishing = { ...settings.publishing, validateMessageType: true, maxBodySize: bodyBytesMax };
  } else if (settings.subscription !== undefined && settings.subscription !== null && group !== undefined) {
    merged.backoffPolicy = { maxAttempts: attemptsOf(group), ...backoffOf(group.groupRetryPolicy) };
    merged.subscription = {
      ...settings.subscription,
      receiveBatchSize: rules.receiveBatchSize,
      longPollingTimeout: timeOf(rules.pollMsMax),
      fifo: group.consumeMessageOrderly,
      ...(isLiteConsumer(settings.clientType) ? liteLimits(group) : {}),
    };
  }
  return merged;
}

/** How many lite topics a client may have, and how long their names may be. */
const liteLimits = (group: SubscriptionGroupConfig) => ({
  liteSubscriptionQuota: Math.min(INT32_MAX, liteGroupOf(group)?.clientQuota ?? 0),
  maxLiteTopicSize: rules.liteTopicLengthMax,
});

function backoffOf({ type, exponentialRetryPolicy, customizedRetryPolicy }: GroupRetryPolicy): RetryPolicy {
  if (type === 'EXPONENTIAL') {
    const { initial, max, multiplier } = exponentialRetryPolicy ?? exponential;
    return { exponentialBackoff: { initial: timeOf(initial), max: timeOf(max), multiplier } };
  }
  return { customizedBackoff: { next: (customizedRetryPolicy?.next ?? customizedDelays).map(timeOf) } };
}

/** After how many milliseconds a group gets a message again that it had `reconsumeTimes` times. */
export function backoffMs(
  { type, exponentialRetryPolicy, customizedRetryPolicy }: GroupRetryPolicy,
  reconsumeTimes: number,
): number {
  const times = Math.max(0, reconsumeTimes);
  if (type === 'EXPONENTIAL') {
    const { initial, max, multiplier } = exponentialRetryPolicy ?? exponential;
    return Math.min(max, initial * multiplier ** Math.min(times, 32));
  }
  const next = customizedRetryPolicy?.next ?? customizedDelays;
  // RocketMQ's first two are for what is tried before.
  return next[Math.min(times + 2, next.length - 1)] as number;
}
