import { propertyOf, removeProperties } from '@vernier/store/internal';
import { propertyEntry } from './properties.ts';
import { timerNames } from './put-message-hook.ts';

/** After so many consumptions a message is dead. A group's retryMaxTimes or a request's maxReconsumeTimes: negative is without end. */
export const isLimit = (retryMax: number): boolean => retryMax >= 0;

/** The first try that fails waits as long as this level, each further one a level more (RocketMQ: 3 + reconsumeTimes). */
export const FIRST_RETRY_LEVEL = 3;

const writtenNames: ReadonlySet<string> = new Set([
  ...['DELAY', 'DLQ_ORIGIN_TOPIC', 'DLQ_ORIGIN_MESSAGE_ID'],
  ...timerNames,
]);

/**
 * The properties of a dead letter: it is not delayed, and says where it came from twice, by the names that Java's consumers
 * read (RETRY_TOPIC, ORIGIN_MESSAGE_ID) and by those of the proxy (DLQ_ORIGIN_TOPIC, DLQ_ORIGIN_MESSAGE_ID). `notDelayed`: the
 * level that RocketMQ writes in this place.
 */
export function deadLetterProperties(properties: string, notDelayed: 0 | -1): string {
  const topic = propertyOf(properties, 'RETRY_TOPIC');
  const id = propertyOf(properties, 'ORIGIN_MESSAGE_ID') ?? propertyOf(properties, 'UNIQ_KEY');
  let dead = removeProperties(properties, writtenNames) + propertyEntry('DELAY', String(notDelayed));
  if (topic !== undefined) dead += propertyEntry('DLQ_ORIGIN_TOPIC', topic);
  if (id === undefined) return dead;
  if (propertyOf(properties, 'ORIGIN_MESSAGE_ID') === undefined) dead += propertyEntry('ORIGIN_MESSAGE_ID', id);
  return dead + propertyEntry('DLQ_ORIGIN_MESSAGE_ID', id);
}
