import { PropertyCursor } from './properties.ts';
import { isTopicStorable } from './topic-name.ts';

/**
 * Light queues (RocketMQ LMQ): queues of one number each, `consumequeue/%LMQ%…/0/`, whose entries point to records of other
 * topics. A record names them in its properties, and its numbers there:
 *
 *   INNER_MULTI_DISPATCH       %LMQ%a,%LMQ%b      by the producer
 *   INNER_MULTI_QUEUE_OFFSET   17,4               by the log, in the same order
 *
 * The record itself says everything, so that the queues can be made anew from the log.
 */
export const LMQ_PREFIX = '%LMQ%';
export const PROPERTY_INNER_MULTI_DISPATCH = 'INNER_MULTI_DISPATCH';
export const PROPERTY_INNER_MULTI_QUEUE_OFFSET = 'INNER_MULTI_QUEUE_OFFSET';
const SEPARATOR = ',';

/** A record's place in a light queue. */
export interface LmqPlace {
  readonly name: string;
  /** Entry number. */
  readonly queueOffset: number;
}

export const isLmq = (topic: string): boolean => topic.startsWith(LMQ_PREFIX);

/**
 * Records of these topics are in no light queue whatever their properties say: copies that wait, or are consumed again, keep
 * the properties of the message that they are copies of (RocketMQ MixAll.topicAllowsLMQ).
 */
export function allowsMultiDispatch(topic: string): boolean {
  return (
    !topic.startsWith('%RETRY%') &&
    !topic.startsWith('%DLQ%') &&
    !topic.startsWith('rmq_sys_') &&
    topic !== 'SCHEDULE_TOPIC_XXXX'
  );
}

/** The names in INNER_MULTI_DISPATCH, as Java's split has them: empty ones at the end do not count. */
export function splitNames(names: string): string[] {
  const list = names.split(SEPARATOR);
  while (list.at(-1) === '') list.pop();
  return list;
}

const NUMBER = /^\d{1,16}$/;

/** The light queues that a record of the log is in; undefined for nearly all records. What cannot be one is passed over. */
export function lmqPlacesOf(topic: string, properties: string): readonly LmqPlace[] | undefined {
  if (!properties.includes(PROPERTY_INNER_MULTI_QUEUE_OFFSET) || !allowsMultiDispatch(topic)) return undefined;
  let names = '';
  let offsets = '';
  const cursor = new PropertyCursor().start(properties);
  while (cursor.next()) {
    if (cursor.name === PROPERTY_INNER_MULTI_DISPATCH) names = cursor.value;
    else if (cursor.name === PROPERTY_INNER_MULTI_QUEUE_OFFSET) offsets = cursor.value;
  }
  return placesFrom(names, offsets);
}

/** Of the values of the two properties. */
export function placesFrom(names: string, offsets: string): readonly LmqPlace[] | undefined {
  const nameList = splitNames(names);
  const offsetList = offsets.split(SEPARATOR);
  if (nameList.length === 0 || nameList.length !== splitNames(offsets).length) return undefined;
  const places: LmqPlace[] = [];
  for (const [index, name] of nameList.entries()) {
    const text = offsetList[index]!;
    const queueOffset = Number(text);
    if (!isLmq(name) || !isTopicStorable(name) || !NUMBER.test(text) || !Number.isSafeInteger(queueOffset)) continue;
    places.push({ name, queueOffset });
  }
  return places.length === 0 ? undefined : places;
}

/** The value of INNER_MULTI_QUEUE_OFFSET. */
export const offsetsText = (places: readonly LmqPlace[]): string =>
  places.map(({ queueOffset }) => queueOffset).join(SEPARATOR);
