import type { StoreContext } from '../base/context.ts';
import type { IndexService } from '../key-index/index-service.ts';
import type { ConsumeQueueStore } from '../queue/consume-queue-store.ts';

export interface CleanConsumeQueueParts {
  context: Pick<StoreContext, 'logger'>;
  /** Offset of the first byte of the commit log that a restart can find. */
  minOffset: () => number;
  consumeQueueStore: Pick<ConsumeQueueStore, 'deleteExpired'>;
  indexService: Pick<IndexService, 'deleteExpired'> | undefined;
}

/**
 * Removes the files of queues and index that stand for records the commit log does not have any more, and moves the
 * queues' min offsets (RocketMQ DefaultMessageStore.CleanConsumeQueueService). Does nothing while the log's beginning
 * has not moved.
 */
export class CleanConsumeQueueService {
  readonly #parts: CleanConsumeQueueParts;
  #lastMinOffset = 0;

  constructor(parts: CleanConsumeQueueParts) {
    this.#parts = parts;
  }

  /** One round. Resolves with the number of files removed. */
  async run(): Promise<number> {
    const { consumeQueueStore, indexService, context } = this.#parts;
    const minOffset = this.#parts.minOffset();
    if (minOffset <= this.#lastMinOffset) return 0;
    const queueFiles = await consumeQueueStore.deleteExpired(minOffset);
    const indexFiles = (await indexService?.deleteExpired(minOffset)) ?? 0;
    // Only now: a round that failed is made again.
    this.#lastMinOffset = minOffset;
    if (queueFiles + indexFiles > 0) {
      context.logger.info({ minOffset, queueFiles, indexFiles }, 'clean: files of queues and index removed');
    }
    return queueFiles + indexFiles;
  }
}
