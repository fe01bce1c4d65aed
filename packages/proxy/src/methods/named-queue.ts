import { Refusal } from '@vernier/broker/internal';
import type { Queues } from '../backend/backend.ts';
import type { ProxyContext } from '../context.ts';
import { refusedAs, StatusError } from '../status.ts';
import { topicOf } from '../validate.ts';
import { Code, type MessageQueue } from '../wire/messages.ts';
import { type Int64, numberOf } from '../wire/times.ts';

/** A queue as a client names it, and as it lies here. */
export interface NamedQueue {
  readonly topic: string;
  /** The client's number: of a static topic that of the logical queue. */
  readonly id: number;
  readonly queueId: number;
  /** Offsets that clients know are greater by this than those of `queueId`; 0 but for static topics. */
  readonly delta: number;
}

/** Throws ILLEGAL_TOPIC, TOPIC_NOT_FOUND, and BAD_REQUEST for a queue that the topic does not have here. */
export function queueOf(
  { broker }: ProxyContext,
  { brokerName, staticTopics }: Queues,
  queue: MessageQueue | null | undefined,
): NamedQueue {
  const topic = topicOf(broker, queue?.topic);
  const wanted = queue?.broker?.name ?? '';
  if (wanted !== '' && wanted !== brokerName) {
    throw new StatusError(Code.BAD_REQUEST, `the queue is one of broker ${wanted}, this is ${brokerName}`);
  }
  const known = broker.topics.select(topic);
  if (known === undefined) throw new StatusError(Code.TOPIC_NOT_FOUND, `topic[${topic}] not exist`);
  const id = queue?.id ?? 0;
  const logical = staticTopics.queue(topic, id);
  if (logical instanceof Refusal) throw refusedAs(logical);
  if (logical !== undefined) return { topic, id, queueId: logical.queueId, delta: logical.delta };
  if (id < 0 || id >= known.readQueueNums) {
    throw new StatusError(Code.BAD_REQUEST, `queue ${id} of ${topic}: it has ${known.readQueueNums}`);
  }
  return { topic, id, queueId: id, delta: 0 };
}

/** A client's offset as an entry number of the broker's queue; throws ILLEGAL_OFFSET for one that can be none. */
export function entryOf({ topic, id, delta }: NamedQueue, offset: Int64 | null | undefined): number {
  const given = numberOf(offset);
  const entry = given - delta;
  if (Number.isSafeInteger(given) && entry >= 0) return entry;
  throw new StatusError(
    Code.ILLEGAL_OFFSET,
    `offset ${given} of queue ${id} of ${topic}: allowed are ${delta} and more`,
  );
}
