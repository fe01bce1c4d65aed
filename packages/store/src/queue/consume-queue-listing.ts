import type { StoreContext } from '../base/context.ts';
import { StoreError } from '../base/errors.ts';
import { isOffsetName } from '../base/file-name.ts';
import { forEachLimited } from '../base/limited.ts';
import { notAFileError } from '../base/not-a-file.ts';
import { errnoOf, toStoreError } from '../base/queue-failure.ts';
import { type ConsumeQueueFiles, LOAD_IO_CONCURRENCY } from './consume-queue-files.ts';

/** Files that may be missing between two of a queue. A gap that dispatch made lies within fewer; what is farther off is a
 * stray copy, and stepping over the files in between would take for ever. */
const GAP_FILES_MAX = 1_000;

/** What there is below `<root>/consumequeue` when a store is opened. What has no place there is named and left alone. */
export class ConsumeQueueListing {
  readonly #context: StoreContext;
  readonly #files: ConsumeQueueFiles;

  constructor(context: StoreContext, files: ConsumeQueueFiles) {
    this.#context = context;
    this.#files = files;
  }

  /** Names of the directories of topics. */
  topics(): Promise<string[]> {
    return this.#list(this.#files.directory);
  }

  /** The queues that these topics have a directory for, in order of name. */
  async queues(topics: readonly string[]): Promise<{ topic: string; queueId: number }[]> {
    const queues: { topic: string; queueId: number }[] = [];
    const namesOf = new Map<string, string[]>();
    await forEachLimited(topics, LOAD_IO_CONCURRENCY, async (topic) => {
      namesOf.set(topic, await this.#list(`${this.#files.directory}/${topic}`));
    });
    for (const topic of topics) {
      for (const name of namesOf.get(topic)!) {
        const queueId = Number(name);
        if (/^\d{1,10}$/.test(name) && String(queueId) === name) queues.push({ topic, queueId });
        else this.#context.logger.warn({ topic, name }, 'not a queue directory, ignored');
      }
    }
    return queues;
  }

  /**
   * Offsets of the files of a queue, ascending. A zero-length last file, left by a crash while it was made, is removed.
   * Rejects STORE_FILE_SIZE_MISMATCH for a file of another length than configured, STORE_NOT_A_FILE for a directory, pipe or
   * device of such a name.
   */
  async fileOffsets(topic: string, queueId: number): Promise<number[]> {
    const { fileSystem, logger } = this.#context;
    const { fileSize } = this.#files;
    const directory = this.#files.queueDirectory(topic, queueId);
    const offsets: number[] = [];
    const names = await this.#list(directory);
    for (const [index, name] of names.entries()) {
      const path = `${directory}/${name}`;
      const stat = await fileSystem.stat(path);
      if (stat?.isDirectory && isOffsetName(name)) throw notAFileError(path, 'a directory');
      if (stat === undefined || stat.isDirectory) continue;
      if (!isOffsetName(name)) {
        logger.warn({ path }, 'not a consume queue file, ignored');
        continue;
      }
      const offset = Number(name);
      if (!Number.isSafeInteger(offset)) {
        logger.warn({ path }, 'no place of a queue has this number, ignored');
        continue;
      }
      if (stat.size === 0 && index === names.length - 1) {
        logger.warn({ path }, 'empty consume queue file removed, a crash interrupted its making');
        await this.#files.removeFile(topic, queueId, offset);
        continue;
      }
      if (stat.size !== fileSize || offset % fileSize !== 0) {
        throw new StoreError(
          'STORE_FILE_SIZE_MISMATCH',
          `${path} has ${stat.size} bytes, expected ${fileSize} (${this.#files.units.fileSizeKey}) and a name that is a multiple of it`,
          { path, expected: fileSize, found: stat.size },
        );
      }
      if (offset - (offsets.at(-1) ?? offset) > GAP_FILES_MAX * fileSize) {
        logger.warn({ path }, 'a file far behind the queue’s others, ignored');
        continue;
      }
      offsets.push(offset);
    }
    return offsets;
  }

  async #list(directory: string): Promise<string[]> {
    try {
      return await this.#context.fileSystem.list(directory);
    } catch (error) {
      if (errnoOf(error) === 'ENOTDIR') {
        this.#context.logger.warn({ path: directory }, 'not a directory, ignored');
        return [];
      }
      throw toStoreError('STORE_DIRECTORY_UNUSABLE', 'listing', directory, error);
    }
  }
}
