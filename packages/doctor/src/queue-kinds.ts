import { join } from 'node:path';
import { type FileSystem, hasQueueEntry, INNER_BATCH_FLAG, readBatchTopics, storePaths } from '@vernier/store/internal';

/** Queues of a kind that the topic does not have by topics.json: RocketMQ does not start on such a directory. */
export interface MisplacedQueues {
  topic: string;
  /** The directory with all of them. */
  path: string;
  expected: 'SimpleCQ' | 'BatchCQ';
}

export interface QueueKinds {
  /** Topics with batch queues (queue.type=BatchCQ). */
  batchTopics: ReadonlySet<string>;
  misplaced: MisplacedQueues[];
}

/** Tells which topics have which kind of queues. `ordinary`: topics that have a directory in consumequeue. */
export async function readQueueKinds(
  root: string,
  ordinary: Iterable<string>,
  fileSystem: FileSystem,
): Promise<QueueKinds> {
  const { declared, directories } = await readBatchTopics(root, fileSystem);
  const paths = storePaths(root);
  const batchTopics = new Set<string>();
  const misplaced: MisplacedQueues[] = [];
  for (const [topic, isBatch] of declared) if (isBatch) batchTopics.add(topic);
  for (const topic of directories.keys()) {
    if (declared.get(topic) !== false) batchTopics.add(topic);
    else misplaced.push({ topic, path: join(paths.batchConsumeQueue, topic), expected: 'SimpleCQ' });
  }
  for (const topic of ordinary) {
    if (declared.get(topic) === true) {
      misplaced.push({ topic, path: join(paths.consumeQueue, topic), expected: 'BatchCQ' });
    }
  }
  return { batchTopics, misplaced };
}

/**
 * Whether a record must have an entry in a consume queue. An inner batch is one of a topic that has batch
 * queues, or had them before it was deleted and made anew.
 */
export function isQueued(batchTopics: ReadonlySet<string>, topic: string, sysFlag: number): boolean {
  return hasQueueEntry(sysFlag) && (sysFlag & INNER_BATCH_FLAG) === 0 && !batchTopics.has(topic);
}
