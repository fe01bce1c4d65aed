import type { MessageStore } from '@vernier/store';

/**
 * Offset in the log below which messages of a topic were deleted; 0: none were. Of a retry topic also those that were copied
 * from messages of `normalTopic` before that was deleted: a group that nobody knew of then has its retry topic still.
 */
export const deletedBelow = (store: Pick<MessageStore, 'deletedBelow'>, topic: string, normalTopic: string): number =>
  Math.max(store.deletedBelow(topic), normalTopic === topic ? 0 : store.deletedBelow(normalTopic));
