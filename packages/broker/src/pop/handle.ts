import { isPopRetryTopicV2, isRetryTopic, popRetryTopicOf } from '../base/names.ts';

/**
 * What a consumer holds of a delivery, the property POP_CK (RocketMQ ExtraInfoUtil). Fields with a blank between them:
 *
 * | # | Field                                                        |
 * |---|--------------------------------------------------------------|
 * | 0 | queue offset of the checkpoint                               |
 * | 1 | pop time, Unix milliseconds                                  |
 * | 2 | invisible time, milliseconds                                 |
 * | 3 | queue of the revive topic; 999 in order, without checkpoint  |
 * | 4 | 0 topic, 1 its retries (version 1), 2 its retries (version 2) |
 * | 5 | broker                                                       |
 * | 6 | queue                                                        |
 * | 7 | queue offset of the message; not in the handle of an ack by an old client |
 */
export interface PopHandle {
  readonly startOffset: number;
  readonly popTime: number;
  readonly invisibleMs: number;
  readonly reviveQueueId: number;
  readonly brokerName: string;
}

/** The queue of the revive topic that stands in handles of deliveries in order (RocketMQ POP_ORDER_REVIVE_QUEUE). */
export const ORDER_REVIVE_QUEUE = 999;

const FIELDS_MIN = 6;
const HANDLE_LENGTH_MAX = 1_024;
const INT32_MAX = 0x7fff_ffff;

/** Beyond it a time has no date as people write it. */
export const TIME_MAX = 253_402_300_799_999;

/** The handle; or what is wrong with the text. */
export function parseHandle(text: string): PopHandle | string {
  if (text.length > HANDLE_LENGTH_MAX) return `a handle of ${text.length} characters, at most ${HANDLE_LENGTH_MAX}`;
  const fields = text.split(' ');
  if (fields.length < FIELDS_MIN) return `a handle of ${fields.length} fields, at least ${FIELDS_MIN}`;
  const startOffset = wholeNumber(fields[0], Number.MAX_SAFE_INTEGER);
  const popTime = wholeNumber(fields[1], TIME_MAX);
  const invisibleMs = wholeNumber(fields[2], TIME_MAX);
  const reviveQueueId = wholeNumber(fields[3], INT32_MAX);
  const brokerName = fields[5] as string;
  if (startOffset === undefined) return `a handle whose queue offset is ${shown(fields[0])}`;
  if (popTime === undefined) return `a handle whose pop time is ${shown(fields[1])}`;
  if (invisibleMs === undefined) return `a handle whose invisible time is ${shown(fields[2])}`;
  if (reviveQueueId === undefined) return `a handle whose revive queue is ${shown(fields[3])}`;
  if (brokerName === '') return 'a handle without a broker';
  return { startOffset, popTime, invisibleMs, reviveQueueId, brokerName };
}

const shown = (text: string | undefined): string => JSON.stringify((text ?? '').slice(0, 30));

/** A field of a handle that is a number up to `max`; undefined for anything else. */
export function wholeNumber(text: string | undefined, max: number): number | undefined {
  if (text === undefined || !/^\d{1,19}$/.test(text)) return undefined;
  const number = Number(text);
  return number <= max ? number : undefined;
}

export interface WholeHandle extends PopHandle {
  /** The topic that the message lies in, which may be one of retries. */
  readonly topic: string;
  readonly queueId: number;
  readonly queueOffset: number;
}

export function handleText(handle: WholeHandle): string {
  const { startOffset, popTime, invisibleMs, reviveQueueId, brokerName, topic, queueId, queueOffset } = handle;
  const place = `${retryMark(topic)} ${brokerName} ${queueId} ${queueOffset}`;
  return `${startOffset} ${popTime} ${invisibleMs} ${reviveQueueId} ${place}`;
}

/** Which topic field 4 of a handle, and the answer to a pop, mean. */
export function retryMark(topic: string): '0' | '1' | '2' {
  if (isPopRetryTopicV2(topic)) return '2';
  return isRetryTopic(topic) ? '1' : '0';
}

/** The topic that a mark means; undefined for what is no mark. */
export function topicOfMark(topic: string, group: string, mark: string): string | undefined {
  if (mark === '0') return topic;
  return mark === '1' || mark === '2' ? popRetryTopicOf(topic, group, mark === '2') : undefined;
}

/** What the header of an answer says of the messages of one queue. */
export class OffsetInfos {
  readonly #start: string[] = [];
  readonly #messages: string[] = [];
  readonly #counts: string[] = [];

  /** `0 3 17`, and `0 3 17,18,20`: mark of the topic, queue, first offset and all of them. */
  addQueue(topic: string, queueId: number, startOffset: number, queueOffsets: readonly number[]): void {
    const queue = `${retryMark(topic)} ${queueId}`;
    this.#start.push(`${queue} ${startOffset}`);
    this.#messages.push(`${queue} ${queueOffsets.join(',')}`);
  }

  /** `0 qo3%17 1` for each message that was delivered before, and `0 3 0` for old clients: the smallest of all. */
  addCounts(
    topic: string,
    queueId: number,
    queueOffsets: readonly number[],
    counts: ReadonlyMap<number, number>,
  ): void {
    const mark = retryMark(topic);
    for (const [queueOffset, count] of counts) this.#counts.push(`${mark} qo${queueId}%${queueOffset} ${count}`);
    const least = counts.size === queueOffsets.length ? Math.min(...counts.values()) : 0;
    this.#counts.push(`${mark} ${queueId} ${least}`);
  }

  get startOffsetInfo(): string {
    return this.#start.join(';');
  }

  get msgOffsetInfo(): string {
    return this.#messages.join(';');
  }

  get orderCountInfo(): string {
    return this.#counts.join(';');
  }
}
