import type { MessageStore, StoreLogger } from '@vernier/store';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';

/** Queues of light topics: they belong to no topic of the table. */
const LMQ_PREFIX = '%LMQ%';

/**
 * Removes the queues of topics that the table does not know (RocketMQ DefaultMessageStore.cleanUnusedTopic). Their records
 * stay in the log until its files expire. Resolves with the topics' names when their queues are gone.
 */
export async function cleanUnusedTopics(
  store: MessageStore,
  topics: TopicConfigManager,
  logger: StoreLogger,
): Promise<string[]> {
  const removed: string[] = [];
  for (const topic of store.queuesByTopic().keys()) {
    // Looked up when its turn comes: a message may have created the topic meanwhile.
    if (topics.select(topic) !== undefined || topics.isSystemTopic(topic) || topic.startsWith(LMQ_PREFIX)) continue;
    await store.deleteTopic(topic);
    removed.push(topic);
  }
  if (removed.length > 0) logger.warn({ topics: removed }, 'queues of topics that are not in the table removed');
  return removed;
}
