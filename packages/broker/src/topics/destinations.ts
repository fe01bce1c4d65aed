import type { StoreLogger } from '@vernier/store';
import { QUEUE_COUNT_MAX } from '@vernier/store/internal';
import { isRetryOrDlqTopic } from '../base/names.ts';
import type { BrokerConfig } from '../config.ts';
import type { TopicConfigManager } from './topic-config-manager.ts';

export interface DestinationsParts {
  readonly config: Pick<BrokerConfig, 'defaultTopicQueueNums'>;
  readonly topics: TopicConfigManager;
  readonly logger: StoreLogger;
}

/**
 * Where the broker puts a message that was accepted earlier: a delayed or timed one that is due, a half that commits. Its
 * topic may be known with fewer queues by now: topics.json was older than the log at a start, and the topic came back with
 * the queues that had messages; or an operator took queues away. Consumers must read the message all the same.
 */
export class Destinations {
  readonly #parts: DestinationsParts;

  constructor(parts: DestinationsParts) {
    this.#parts = parts;
  }

  /**
   * Consumers read the queue from now on; the put that follows waits until topics.json says so on disk (PutService). Producers
   * get no queue by it. Throws while the topic is being deleted, and for a queue that no topic has. A missing topic is made:
   * who calls knows that it was not deleted since.
   */
  ready(topic: string, queueId: number): void {
    const { topics, logger } = this.#parts;
    if (queueId >= QUEUE_COUNT_MAX) {
      throw new Error(`queue ${queueId} of topic ${topic}: a topic has ${QUEUE_COUNT_MAX} queues at most`);
    }
    const known = topics.select(topic) ?? this.#restore(topic, queueId);
    if (queueId >= known.readQueueNums) {
      const fields = { topic, queueId, readQueueNums: known.readQueueNums };
      logger.warn(
        fields,
        `a message is due for queue ${queueId} of ${topic}, which nobody reads: its consumers will again`,
      );
      topics.update({ ...known, readQueueNums: queueId + 1 });
    }
  }

  /** A message made the topic, and the machine went down before the table was saved. */
  #restore(topic: string, queueId: number): ReturnType<TopicConfigManager['restore']> {
    const { topics, config } = this.#parts;
    if (topics.isBeingDeleted(topic)) throw new Error(`topic ${topic} is being deleted`);
    const queueNums = isRetryOrDlqTopic(topic) ? 1 : config.defaultTopicQueueNums;
    return topics.restore(topic, Math.max(queueNums, queueId + 1));
  }
}
