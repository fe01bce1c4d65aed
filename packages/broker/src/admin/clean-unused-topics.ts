import type { MessageStore, StoreLogger } from '@vernier/store';
import { isLmq } from '@vernier/store/internal';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';

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
    // Light queues belong to no topic of the table.
    if (topics.select(topic) !== undefined || topics.isSystemTopic(topic) || isLmq(topic)) continue;
    await store.deleteTopic(topic);
    removed.push(topic);
  }
  if (removed.length > 0) logger.warn({ topics: removed }, 'queues of topics that are not in the table removed');
  return removed;
}
