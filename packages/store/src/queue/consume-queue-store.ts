import type { StoreContext } from '../context.ts';
import { StoreError } from '../errors.ts';
import { ConsumeQueue, type ConsumeQueueOwner } from './consume-queue.ts';
import { ConsumeQueueFiles, LOAD_IO_CONCURRENCY, QUEUE_IO_CONCURRENCY } from './consume-queue-files.ts';
import type { DispatchRequest } from './dispatch-request.ts';
import type { GatherSpace } from './gathered-units.ts';
import { forEachLimited } from './limited.ts';
import { errnoOf, toStoreError } from './queue-failure.ts';
import { CQ_STORE_UNIT_SIZE } from './unit.ts';

const OS_PAGE_SIZE = 4_096;
const BLOCK_PAGES_MAX = 16;
/** Memory that gathered units may hold before they are written whatever the interval says: 8 MiB, 400,000 entries. */
export const GATHERED_BYTES_MAX = 8 * 1024 * 1024;

export interface ConsumeQueueRecovery {
  /** End in the log of the newest record that has an entry in any queue; -1 without one (RocketMQ dispatchFromPhyOffset). */
  maxPhysicOffset: number;
  /** Every record that ends at or below this offset has its entry on disk; dispatch has to go on from here at the latest. */
  completeWhere: number;
}

/** Files that may be missing between two of a queue. A gap that dispatch made lies within fewer; what is farther off is a
 * stray copy, and stepping over the files in between would take for ever. */
const GAP_FILES_MAX = 1_000;

/** Whether a topic's name can be the name of its directory: it must not lead anywhere else. */
export function isTopicStorable(topic: string): boolean {
  if (topic.length === 0 || topic === '.' || topic === '..' || Buffer.byteLength(topic) > 255) return false;
  return !/[/\\\0]/.test(topic);
}

/**
 * All consume queues of a store (RocketMQ ConsumeQueueStore): `<root>/consumequeue/<topic>/<queueId>/`. Flush and
 * whatever removes units run one after the other; appends and reads go on beside them.
 */
export class ConsumeQueueStore {
  readonly #context: StoreContext;
  readonly #files: ConsumeQueueFiles;
  readonly #space: GatherSpace;
  readonly #owner: ConsumeQueueOwner;
  readonly #topics = new Map<string, ConsumeQueue[]>();
  /** Queues that hold something in memory. Only these are visited by a thorough flush. */
  readonly #dirty = new Set<ConsumeQueue>();
  /** Queues with at least one full block. Only these are visited by a flush with least pages. */
  readonly #ready = new Set<ConsumeQueue>();
  #visitedCount = 0;
  #last: Promise<unknown> = Promise.resolve();

  /** Called when a clean store gets its first gathered unit, a block fills up, or GATHERED_BYTES_MAX is passed. */
  onWork: (() => void) | undefined;

  constructor(context: StoreContext) {
    this.#context = context;
    this.#files = new ConsumeQueueFiles(context);
    const pages = Math.min(BLOCK_PAGES_MAX, Math.max(1, context.config.flushConsumeQueueLeastPages));
    this.#space = {
      fileSize: this.#files.fileSize,
      blockBytes: Math.floor((pages * OS_PAGE_SIZE) / CQ_STORE_UNIT_SIZE) * CQ_STORE_UNIT_SIZE,
      bufferedBytes: 0,
    };
    this.#owner = {
      files: this.#files,
      space: this.#space,
      logger: context.logger,
      markDirty: (queue) => {
        this.#dirty.add(queue);
        if (this.#dirty.size === 1 || this.isOverfull) this.onWork?.();
      },
      markClean: (queue) => {
        this.#dirty.delete(queue);
      },
      markReady: (queue) => {
        this.#ready.add(queue);
        if (this.#ready.size === 1 || this.isOverfull) this.onWork?.();
      },
    };
  }

  /** Bytes of memory that gathered units hold now. */
  get bufferedBytes(): number {
    return this.#space.bufferedBytes;
  }

  /** More is gathered than GATHERED_BYTES_MAX: the disk does not keep up, or very many queues are in use. */
  get isOverfull(): boolean {
    return this.#space.bufferedBytes > GATHERED_BYTES_MAX;
  }

  get hasReady(): boolean {
    return this.#ready.size > 0;
  }

  /** Something is in memory or not yet on disk. */
  get isDirty(): boolean {
    return this.#dirty.size > 0 || this.#files.hasUnsynced;
  }

  /** Queues looked at by flush() since the start, for tests and metrics. */
  get visitedCount(): number {
    return this.#visitedCount;
  }

  get openFileCount(): number {
    return this.#files.openCount;
  }

  /**
   * Learns the queues and their files from the directory; opens none. A zero-length last file, left by a crash while it
   * was made, is removed. Rejects with STORE_FILE_SIZE_MISMATCH when a file has another length than configured.
   */
  async load(): Promise<void> {
    const names: { topic: string; queueId: number }[] = [];
    const topics = await this.#list(this.#files.directory);
    const namesOf = new Map<string, string[]>();
    await forEachLimited(topics, LOAD_IO_CONCURRENCY, async (topic) => {
      namesOf.set(topic, await this.#list(`${this.#files.directory}/${topic}`));
    });
    for (const topic of topics) {
      for (const name of namesOf.get(topic)!) {
        const queueId = Number(name);
        if (/^\d{1,10}$/.test(name) && String(queueId) === name) names.push({ topic, queueId });
        else this.#context.logger.warn({ topic, name }, 'not a queue directory, ignored');
      }
    }
    // Queues are made in order of name, not in the order the disk answers.
    const queues = names.map(({ topic, queueId }) => this.findOrCreate(topic, queueId));
    await forEachLimited(queues, LOAD_IO_CONCURRENCY, (queue) => this.#loadQueue(queue));
  }

  /**
   * Finds the end of every queue. `durableWhere` is the log offset up to which all queues are known to be on disk: what
   * dispatchedWhere was when the last thorough flush() began, kept in the checkpoint; Infinity after a clean exit;
   * undefined when nobody knows, and then nothing counts as complete. Without a clean exit the newest files are taken out
   * of the page cache first: a page whose write-back failed shows entries that are not on disk, and would swallow those
   * made anew (docs/design/recovery.md).
   */
  async recover(durableWhere: number | undefined, lastExitOk = true): Promise<ConsumeQueueRecovery> {
    let maxPhysicOffset = -1;
    let undamagedWhere = durableWhere ?? 0;
    await forEachLimited(this.queues(), LOAD_IO_CONCURRENCY, async (queue) => {
      const { isDamaged } = await queue.recover(durableWhere, lastExitOk);
      maxPhysicOffset = Math.max(maxPhysicOffset, queue.maxPhysicOffset);
      if (isDamaged) undamagedWhere = Math.min(undamagedWhere, Math.max(0, queue.maxPhysicOffset));
    });
    // A queue alone cannot tell whether it lacks entries or got none, so only the recorded offset says what is complete;
    // with the directory removed by hand nothing is, hence the maximum as the upper bound.
    return { maxPhysicOffset, completeWhere: Math.max(0, Math.min(undamagedWhere, maxPhysicOffset)) };
  }

  find(topic: string, queueId: number): ConsumeQueue | undefined {
    return this.#topics.get(topic)?.[queueId];
  }

  /** The queue, made when it does not exist; on disk it appears with its first written entry. */
  findOrCreate(topic: string, queueId: number): ConsumeQueue {
    let queues = this.#topics.get(topic);
    if (queues === undefined) {
      queues = [];
      this.#topics.set(topic, queues);
    }
    let queue = queues[queueId];
    if (queue === undefined) {
      queue = new ConsumeQueue(this.#owner, topic, queueId);
      queues[queueId] = queue;
    }
    return queue;
  }

  /** Appends the entry of one record. The queue when it is new there; undefined when it was there already. */
  dispatch(request: DispatchRequest): ConsumeQueue | undefined {
    const queue = this.#topics.get(request.topic)?.[request.queueId] ?? this.#admit(request);
    return queue?.append(request) ? queue : undefined;
  }

  *queues(): IterableIterator<ConsumeQueue> {
    for (const queues of this.#topics.values()) {
      // Queue ids may be sparse; Object.values steps over the holes.
      for (const queue of Object.values(queues)) yield queue;
    }
  }

  /** Topics that have a queue, with their queue ids in ascending order. */
  queuesByTopic(): Map<string, number[]> {
    const result = new Map<string, number[]>();
    for (const [topic, queues] of this.#topics) result.set(topic, Object.keys(queues).map(Number));
    return result;
  }

  /**
   * With `leastPages` above 0: writes the queues that gathered at least a block (flushConsumeQueueLeastPages pages), or
   * all that hold something when too much is gathered. With 0: writes all that hold something, then fdatasyncs whatever
   * was written since the last time, names included; when that resolves, every entry appended before the call is *on
   * disk*. A failure stops the store (STORE_WRITE_FAILED, STORE_FLUSH_FAILED, STORE_DISK_FULL) and rejects.
   */
  flush(leastPages: number): Promise<void> {
    return this.#exclusive(async () => {
      if (this.#context.failure) throw this.#context.failure;
      const releaseAll = this.isOverfull;
      const visit = leastPages > 0 && !releaseAll ? [...this.#ready] : [...this.#dirty];
      await forEachLimited(visit, QUEUE_IO_CONCURRENCY, async (queue) => {
        this.#visitedCount++;
        this.#ready.delete(queue);
        await queue.writeGathered(releaseAll);
      });
      if (leastPages === 0) await this.#files.sync();
    });
  }

  /** Removes the entries of records at or above `phyOffset` from all queues, durably; with `inMemory` from sight alone.
   * Recovery only. */
  truncateDirty(phyOffset: number, inMemory = false): Promise<void> {
    return this.#exclusive(async () => {
      await forEachLimited(this.queues(), QUEUE_IO_CONCURRENCY, (queue) => queue.truncateDirty(phyOffset, inMemory));
      // A removed file that came back beside one made anew would pass for the end of the queue.
      if (!inMemory) await this.#files.syncDirectories();
    });
  }

  /** Moves the min offset of each queue up to its first entry at or above `minPhyOffset`. Removes nothing. */
  correctMinOffsets(minPhyOffset: number): Promise<void> {
    return forEachLimited(this.queues(), QUEUE_IO_CONCURRENCY, (queue) => queue.correctMinOffset(minPhyOffset));
  }

  /** Removes files whose records all lie below `minPhyOffset`, never a queue's last, and corrects the min offsets.
   * Resolves with the number of files removed. */
  deleteExpired(minPhyOffset: number): Promise<number> {
    return this.#exclusive(async () => {
      let count = 0;
      await forEachLimited(this.queues(), QUEUE_IO_CONCURRENCY, async (queue) => {
        count += await queue.deleteExpired(minPhyOffset);
      });
      return count;
    });
  }

  /** Removes the queues of a topic at once, their directory by the time it resolves. Their records stay in the log. */
  destroyTopic(topic: string): Promise<void> {
    const queues = this.#topics.get(topic);
    if (queues === undefined) return Promise.resolve();
    this.#topics.delete(topic);
    for (const queue of Object.values(queues)) this.#drop(queue);
    return this.#exclusive(async () => {
      // A flush that was under way may have marked them again.
      for (const queue of Object.values(queues)) this.#drop(queue);
      await this.#files.removeDirectory(topic);
    });
  }

  /** Removes every queue: the log has no file any more. */
  async destroy(): Promise<void> {
    for (const topic of [...this.#topics.keys()]) await this.destroyTopic(topic);
  }

  /** Waits for what is under way and closes the descriptors. Does not flush. */
  async close(): Promise<void> {
    await this.#exclusive(() => this.#files.close());
  }

  #drop(queue: ConsumeQueue): void {
    queue.discard();
    this.#dirty.delete(queue);
    this.#ready.delete(queue);
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work, work);
    this.#last = result.catch(() => {});
    return result;
  }

  #admit(request: DispatchRequest): ConsumeQueue | undefined {
    const { topic, queueId, commitLogOffset } = request;
    if (isTopicStorable(topic) && Number.isInteger(queueId) && queueId >= 0) return this.findOrCreate(topic, queueId);
    this.#context.logger.error({ topic, queueId, commitLogOffset }, 'record names no possible queue, not dispatched');
    return undefined;
  }

  async #loadQueue(queue: ConsumeQueue): Promise<void> {
    const { fileSystem, logger } = this.#context;
    const directory = this.#files.queueDirectory(queue.topic, queue.queueId);
    const offsets: number[] = [];
    const names = await this.#list(directory);
    for (const [index, name] of names.entries()) {
      const path = `${directory}/${name}`;
      const stat = await fileSystem.stat(path);
      if (stat === undefined || stat.isDirectory) continue;
      if (!/^\d{20}$/.test(name)) {
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
        await this.#files.removeFile(queue.topic, queue.queueId, offset);
        continue;
      }
      if (stat.size !== this.#files.fileSize || offset % this.#files.fileSize !== 0) {
        throw new StoreError(
          'STORE_FILE_SIZE_MISMATCH',
          `${path} has ${stat.size} bytes, expected ${this.#files.fileSize} (mappedFileSizeConsumeQueue) and a name that is a multiple of it`,
          { path, expected: this.#files.fileSize, found: stat.size },
        );
      }
      if (offset - (offsets.at(-1) ?? offset) > GAP_FILES_MAX * this.#files.fileSize) {
        logger.warn({ path }, 'a file far behind the queue’s others, ignored');
        continue;
      }
      offsets.push(offset);
    }
    if (offsets.length > 0) queue.attachFiles(offsets[0]!, offsets.at(-1)!);
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
