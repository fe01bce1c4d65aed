import { join } from 'node:path';
import type { StoreContext } from '../base/context.ts';
import { isOffsetName, offsetToFileName } from '../base/file-name.ts';
import { errnoOf, toStoreError } from '../base/queue-failure.ts';
import { storePaths } from '../io/store-directory.ts';
import { EXT_UNIT_BYTES_MIN, extOffsetOf, extTagsCode } from './ext-unit.ts';

/** About two thousand units, which follow each other as the entries do. */
const BLOCK_BYTES = 64 * 1024;

/**
 * What the entries of a queue would have as tagsCode, where they have the address of an extension (RocketMQ
 * enableConsumeQueueExt). For one look at a queue, forward: a block of units is read at a time. Nothing writes the files.
 */
export class ExtTagsCodes {
  readonly #context: Pick<StoreContext, 'config' | 'fileSystem'>;
  readonly #directory: string;
  #files: number[] | undefined;
  #block: Buffer = Buffer.alloc(0);
  #blockFrom = 0;

  constructor(context: Pick<StoreContext, 'config' | 'fileSystem'>, topic: string, queueId: number) {
    this.#context = context;
    this.#directory = join(storePaths(context.config.storePathRootDir).consumeQueueExt, topic, String(queueId));
  }

  /** For the entry at byte `at`; undefined when its extension is not there. Rejects with STORE_READ_FAILED. */
  async of(units: Uint8Array, at: number): Promise<number | undefined> {
    const offset = extOffsetOf(units, at);
    if (offset === undefined) return undefined;
    const inBlock = offset - this.#blockFrom;
    if (inBlock < 0 || inBlock + EXT_UNIT_BYTES_MIN > this.#block.length) await this.#read(offset);
    return extTagsCode(this.#block, offset - this.#blockFrom);
  }

  async #read(offset: number): Promise<void> {
    this.#blockFrom = offset;
    this.#block = Buffer.alloc(0);
    try {
      this.#files ??= await this.#list();
      const from = this.#files.findLast((start) => start <= offset);
      if (from === undefined) return;
      const path = join(this.#directory, offsetToFileName(from));
      const file = await this.#context.fileSystem.open(path, 'read');
      try {
        const block = Buffer.allocUnsafe(BLOCK_BYTES);
        this.#block = block.subarray(0, await file.read(block, offset - from));
      } finally {
        await file.close();
      }
    } catch (error) {
      // Without its extension an entry is judged by its record.
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return;
      throw toStoreError('STORE_READ_FAILED', 'reading extensions of', this.#directory, error);
    }
  }

  /** Where the files begin, in ascending order. */
  async #list(): Promise<number[]> {
    const names = await this.#context.fileSystem.list(this.#directory);
    return names
      .filter(isOffsetName)
      .map(Number)
      .sort((a, b) => a - b);
  }
}
