import { isLmq } from '../record/multi-dispatch.ts';

/**
 * Next offset of each queue (RocketMQ QueueOffsetOperator): taken when a record is encoded, moved on once it was
 * appended. Kept per topic in an array by queue id, because joining a key string for each message costs more than both
 * look-ups.
 */
export class QueueOffsetOperator {
  readonly #topics = new Map<string, number[]>();
  #lmqCount = 0;

  /** The offset the next message of this queue gets; 0 for a queue never seen. */
  currentOffset(topic: string, queueId: number): number {
    return this.#topics.get(topic)?.[queueId] ?? 0;
  }

  /** A message of the topic was appended, or recovered. */
  has(topic: string): boolean {
    return this.#topics.has(topic);
  }

  /** Light queues (record/multi-dispatch.ts) among them. */
  get lmqCount(): number {
    return this.#lmqCount;
  }

  /** Moves the queue on by `count` messages. */
  increase(topic: string, queueId: number, count: number): void {
    const offsets = this.#topics.get(topic);
    if (offsets === undefined) this.set(topic, queueId, count);
    else offsets[queueId] = (offsets[queueId] ?? 0) + count;
  }

  set(topic: string, queueId: number, offset: number): void {
    let offsets = this.#topics.get(topic);
    if (offsets === undefined) {
      offsets = [];
      this.#topics.set(topic, offsets);
      if (isLmq(topic)) this.#lmqCount++;
    }
    offsets[queueId] = offset;
  }

  /** Forgets everything and takes the ends of the recovered queues (RocketMQ recoverTopicQueueTable). */
  initialise(queues: Iterable<{ topic: string; queueId: number; maxOffsetInQueue: number }>): void {
    this.#topics.clear();
    this.#lmqCount = 0;
    for (const queue of queues) this.set(queue.topic, queue.queueId, queue.maxOffsetInQueue);
  }

  /** The topic's queues start at 0 again. */
  removeTopic(topic: string): void {
    if (this.#topics.delete(topic) && isLmq(topic)) this.#lmqCount--;
  }
}
