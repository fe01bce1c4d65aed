import type { OffsetInfos, WholeHandle } from './handle.ts';

/** Characters of an attempt's id; clients use 36. */
export const ATTEMPT_ID_MAX = 256;

/** What a consumer wants of a topic. */
export interface PopRequest {
  readonly group: string;
  readonly topic: string;
  /** -1: any queue. */
  readonly queueId: number;
  /** 1 to 32. */
  readonly maxMessages: number;
  /** How long nobody else gets the messages. */
  readonly invisibleMs: number;
  /** How long the request may wait for a message; 0: not at all. */
  readonly pollMs: number;
  /** Unix milliseconds when the consumer sent it, by its clock; 0: not known. */
  readonly bornTime: number;
  /** A group without an offset begins near the queue's end, else at its oldest message. */
  readonly startsAtEnd: boolean;
  /** Undefined or empty: everything. */
  readonly expression: string | undefined;
  readonly expressionType: string | undefined;
  /** Of each queue no more before the last messages were acknowledged. */
  readonly isOrdered: boolean;
  /** The same for the repetition of a pop whose answer was lost. */
  readonly attemptId: string | undefined;
}

/** The answer to a pop that was looked into. */
export interface PopResult {
  /** ResponseCode: SUCCESS, POLLING_TIMEOUT or POLLING_FULL. */
  readonly code: number;
  /** Unix milliseconds. */
  readonly popTime: number;
  readonly invisibleMs: number;
  readonly reviveQueueId: number;
  /** Messages that the looked-at queues have beside these. */
  readonly restCount: number;
  readonly infos: OffsetInfos;
  /** Whole records, one behind the other in `body` bytes. */
  readonly records: readonly Buffer[];
  /** Of each record, for fronts that make the handles themselves: `infos` says the same for clients that do. */
  readonly deliveries: readonly PopDelivery[];
  readonly isOrdered: boolean;
}

/** One message of a pop. */
export interface PopDelivery {
  /** Names the place of the message; `topic` is the one of retries when it came from there. */
  readonly handle: WholeHandle;
  /** In order: how often it was delivered before. Otherwise the record says it (reconsumeTimes). */
  readonly orderCount: number;
}

/** What a pop, a peek or a notification needs of its queue: for PopPermission. */
export type QueueOfGroup = Pick<PopRequest, 'group' | 'topic' | 'queueId'>;
