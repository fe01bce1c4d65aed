import type { StoreContext } from '../base/context.ts';
import { forEachLimited } from '../base/limited.ts';
import { Lacks } from '../base/passing-lack.ts';
import type { BatchTopics } from '../batch-queue/batch-topics.ts';
import type { DispatchRequest } from '../record/dispatch-request.ts';
import { isTopicStorable } from '../record/topic-name.ts';
import { BatchQueue } from './batch-queue.ts';
import { batchUnits } from './batch-unit.ts';
import { ConsumeQueue, type ConsumeQueueOwner } from './consume-queue.ts';
import { ConsumeQueueFiles, LOAD_IO_CONCURRENCY, QUEUE_IO_CONCURRENCY } from './consume-queue-files.ts';
import { ConsumeQueueListing } from './consume-queue-listing.ts';
import { type Deletions, NEVER_DELETED } from './deletions.ts';
import type { GatherSpace } from './gathered-units.ts';
import { QueueRestarts } from './queue-restarts.ts';
import { simpleUnits, type UnitFormat } from './unit.ts';

const OS_PAGE_SIZE = 4_096;
const BLOCK_PAGES_MAX = 16;
/** Memory that gathered units may hold before they are written whatever the interval says: 8 MiB, 400,000 entries. */
export const GATHERED_BYTES_MAX = 8 * 1024 * 1024;

/** A flush was given up in the middle, for a shutdown does not wait for it. */
export class TimeIsUp extends Error {}

export interface ConsumeQueueRecovery {
  /** End in the log of the newest record that has an entry in any queue; -1 without one (RocketMQ dispatchFromPhyOffset). */
  maxPhysicOffset: number;
  /** Every record that ends at or below this offset has its entry on disk; dispatch has to go on from here at the latest. */
  completeWhere: number;
  /** As completeWhere, of the queues alone that were taken away to be made anew; Infinity without one. */
  rebuildFrom: number;
}

/** What the queues ask about deleted topics. */
export type KnownDeletions = Pick<Deletions, 'size' | 'lifeOf' | 'deadBelow'>;
const NO_DELETIONS: KnownDeletions = { size: 0, lifeOf: () => NEVER_DELETED, deadBelow: () => 0 };

/** A directory that has to go before anything is written below it; with what it still has in memory. */
interface Removal {
  topic: string;
  /** Undefined: the whole topic's. */
  queueId: number | undefined;
  isBatch: boolean;
  queues: readonly ConsumeQueue[];
}

/** Which topics have batch queues. */
type KnownKinds = Pick<BatchTopics, 'has' | 'isDeclared'>;
const NO_BATCH_TOPICS: KnownKinds = { has: () => false, isDeclared: () => false };

/** What all queues of one kind share. */
interface Kind {
  readonly files: ConsumeQueueFiles;
  readonly listing: ConsumeQueueListing;
  readonly space: GatherSpace;
  readonly owner: ConsumeQueueOwner;
}

/**
 * All queues of a store (RocketMQ ConsumeQueueStore): `<root>/consumequeue/<topic>/<queueId>/`, and
 * `<root>/batchconsumequeue/…` of topics with batch queues. A topic has queues of one kind. Flush and whatever removes units
 * run one after the other; appends and reads go on beside them.
 */
export class ConsumeQueueStore {
  readonly #context: StoreContext;
  readonly #simple: Kind;
  readonly #batch: Kind;
  readonly #batchTopics: KnownKinds;
  readonly #topics = new Map<string, ConsumeQueue[]>();
  /** Topics with batch queues that have a directory here all the same. */
  #misplaced: string[] = [];
  /** Queues that hold something in memory. Only these are visited by a thorough flush. */
  readonly #dirty = new Set<ConsumeQueue>();
  /** Queues with at least one full block. Only these are visited by a flush with least pages. */
  readonly #ready = new Set<ConsumeQueue>();
  readonly #deletions: KnownDeletions;
  readonly #restarts: QueueRestarts;
  #removals: Removal[] = [];
  #newestWhere = -1;
  #droppedCount = 0;
  #visitedCount = 0;
  #last: Promise<unknown> = Promise.resolve();

  /** Called when a clean store gets its first gathered unit, a block fills up, or GATHERED_BYTES_MAX is passed. */
  onWork: (() => void) | undefined;

  /** Asked between the queues of a flush: true ends it where it is. */
  isTimeUp: () => boolean = () => false;

  /** `batchTopics`: loaded before load(). */
  constructor(context: StoreContext, deletions = NO_DELETIONS, batchTopics: KnownKinds = NO_BATCH_TOPICS) {
    this.#context = context;
    this.#deletions = deletions;
    this.#restarts = new QueueRestarts(
      {
        find: (topic, queueId) => this.find(topic, queueId),
        dispatch: (request) => this.dispatch(request),
        dropQueue: (queue) => this.#dropQueue(queue),
      },
      context.logger,
    );
    this.#batchTopics = batchTopics;
    this.#simple = this.#kind(simpleUnits);
    this.#batch = this.#kind(batchUnits);
  }

  #kind(units: UnitFormat): Kind {
    const files = new ConsumeQueueFiles(this.#context, units);
    const { config, logger } = this.#context;
    const pages = Math.min(BLOCK_PAGES_MAX, Math.max(1, config.flushConsumeQueueLeastPages));
    const blockBytes = Math.floor((pages * OS_PAGE_SIZE) / units.bytes) * units.bytes;
    const space = { units, fileSize: files.fileSize, blockBytes, bufferedBytes: 0 };
    const owner: ConsumeQueueOwner = {
      files,
      space,
      logger,
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
    return { files, listing: new ConsumeQueueListing(this.#context, files), space, owner };
  }

  get #kinds(): readonly Kind[] {
    return [this.#simple, this.#batch];
  }

  /** Bytes of memory that gathered units hold now. */
  get bufferedBytes(): number {
    return this.#simple.space.bufferedBytes + this.#batch.space.bufferedBytes;
  }

  /** More is gathered than GATHERED_BYTES_MAX: the disk does not keep up, or very many queues are in use. */
  get isOverfull(): boolean {
    return this.bufferedBytes > GATHERED_BYTES_MAX;
  }

  /** End in the log of the newest record that has an entry in a queue, -1 without one. */
  get newestWhere(): number {
    return this.#newestWhere;
  }

  /** The same of the queues that have nothing newer than `where`. */
  newestBelow(where: number): number {
    let newest = -1;
    for (const { maxPhysicOffset } of this.queues()) {
      if (maxPhysicOffset <= where) newest = Math.max(newest, maxPhysicOffset);
    }
    return newest;
  }

  /** Grows whenever queues are dropped. */
  get droppedCount(): number {
    return this.#droppedCount;
  }

  get hasReady(): boolean {
    return this.#ready.size > 0;
  }

  /** Something is in memory or not yet on disk. */
  get isDirty(): boolean {
    if (this.#dirty.size > 0 || this.#removals.length > 0) return true;
    return this.#simple.files.hasUnsynced || this.#batch.files.hasUnsynced;
  }

  /** Queues looked at by flush() since the start, for tests and metrics. */
  get visitedCount(): number {
    return this.#visitedCount;
  }

  get openFileCount(): number {
    return this.#simple.files.openCount + this.#batch.files.openCount;
  }

  /**
   * Learns the queues and their files from the directory; opens none. A zero-length last file, left by a crash while it
   * was made, is removed. Rejects with STORE_FILE_SIZE_MISMATCH when a file has another length than configured.
   */
  async load(): Promise<void> {
    const listed = await this.#simple.listing.topics();
    this.#misplaced = listed.filter((topic) => this.#batchTopics.has(topic));
    await this.#loadKind(
      this.#simple,
      listed.filter((topic) => !this.#batchTopics.has(topic)),
    );
    const batches = await this.#batch.listing.topics();
    await this.#loadKind(
      this.#batch,
      batches.filter((topic) => this.#batchTopics.has(topic)),
    );
  }

  async #loadKind({ listing }: Kind, topics: readonly string[]): Promise<void> {
    const names = await listing.queues(topics);
    // Queues are made in order of name, not in the order the disk answers.
    const queues = names.map(({ topic, queueId }) => this.findOrCreate(topic, queueId));
    await forEachLimited(queues, LOAD_IO_CONCURRENCY, async (queue) => {
      const offsets = await listing.fileOffsets(queue.topic, queue.queueId);
      if (offsets.length > 0) queue.attachFiles(offsets[0]!, offsets.at(-1)!);
    });
  }

  /**
   * Finds the end of every queue. `durableWhere` is the log offset up to which all queues are known to be on disk: what
   * dispatchedWhere was when the last thorough flush() began, kept in the checkpoint; Infinity after a clean exit;
   * undefined when nobody knows, and then nothing counts as complete. Without a clean exit the newest files are taken out
   * of the page cache first: a page whose write-back failed shows entries that are not on disk, and would swallow those
   * made anew (docs/design/recovery.md).
   *
   * `newestWhere`: end of the newest record below durableWhere that had an entry; undefined when nobody knows. Where less
   * is found, entries are missing.
   *
   * Queues of a deleted life are dropped here; their files go with truncateDirty() or the first flush.
   */
  async recover(
    durableWhere: number | undefined,
    lastExitOk = true,
    newestWhere?: number,
  ): Promise<ConsumeQueueRecovery> {
    let maxPhysicOffset = -1;
    let undamagedWhere = durableWhere ?? 0;
    let rebuildFrom = Number.POSITIVE_INFINITY;
    const dropped: ConsumeQueue[] = [];
    await forEachLimited(this.queues(), LOAD_IO_CONCURRENCY, async (queue) => {
      const { isDamaged } = await queue.recover(durableWhere, lastExitOk);
      maxPhysicOffset = Math.max(maxPhysicOffset, queue.maxPhysicOffset);
      const deadBelow = this.#deletions.deadBelow(queue.topic);
      if (deadBelow > 0 && (await queue.firstPhyOffset()) < deadBelow) {
        dropped.push(queue);
        // Entries of two lives in one queue: a Java broker, which knows of no deletion, has been here. The log says what
        // the later life has.
        if (queue.maxPhysicOffset > deadBelow || isDamaged) rebuildFrom = Math.min(rebuildFrom, deadBelow);
      } else if (isDamaged) undamagedWhere = Math.min(undamagedWhere, Math.max(0, queue.maxPhysicOffset));
    });
    for (const queue of dropped) this.#dropQueue(queue);
    // A queue alone cannot tell whether it lacks entries or got none, so only the recorded offset says what is complete;
    // with the directory removed by hand nothing is, hence the maximum as the upper bound, unless it is known that behind
    // it there was nothing.
    const isWhole = newestWhere !== undefined && maxPhysicOffset >= newestWhere;
    const found = isWhole ? undamagedWhere : Math.min(undamagedWhere, maxPhysicOffset);
    this.#newestWhere = this.newestBelow(Number.POSITIVE_INFINITY);
    const completeWhere = Math.max(0, Math.min(found, rebuildFrom));
    return { maxPhysicOffset, completeWhere, rebuildFrom };
  }

  hasTopic(topic: string): boolean {
    return this.#topics.has(topic);
  }

  /** The topic has batch queues, or gets them with its first record. */
  isBatch(topic: string): boolean {
    return this.#batchTopics.has(topic);
  }

  /**
   * Removes the directories of topics that topics.json says have batch queues: RocketMQ does not start beside them. Vernier
   * 0.1 made such directories.
   */
  async removeMisplaced(): Promise<void> {
    const misplaced = this.#misplaced.filter((topic) => this.#batchTopics.isDeclared(topic));
    this.#misplaced = [];
    if (misplaced.length === 0) return;
    for (const topic of misplaced) {
      await this.#simple.files.removeDirectory(topic);
      this.#context.logger.warn({ topic }, 'consume queues of a topic with batch queues removed');
    }
    await this.#simple.files.syncDirectories();
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
      const life = this.#deletions.lifeOf(topic);
      queue = this.isBatch(topic)
        ? new BatchQueue(this.#batch.owner, topic, queueId, life)
        : new ConsumeQueue(this.#simple.owner, topic, queueId, life);
      queues[queueId] = queue;
    }
    return queue;
  }

  /** Appends the entry of one record. The queue when it is new there; undefined when it was there already, or is of a
   * deleted life of its topic. */
  dispatch(request: DispatchRequest): ConsumeQueue | undefined {
    const queue = this.#topics.get(request.topic)?.[request.queueId] ?? this.#admit(request);
    if (!queue?.append(request)) return undefined;
    if (queue.maxPhysicOffset > this.#newestWhere) this.#newestWhere = queue.maxPhysicOffset;
    return queue;
  }

  /** As dispatch, for records that recovery reads from the log: see QueueRestarts. After the last one endRecovery(). */
  dispatchRecovered(request: DispatchRequest): void {
    this.#restarts.dispatch(request);
  }

  endRecovery(): void {
    this.#restarts.end();
  }

  /** In recovery: offset in the log of the first record that has no entry yet although it was dispatched; else Infinity. */
  get heldFrom(): number {
    return this.#restarts.heldFrom;
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
   * disk*. A failure stops the store (STORE_WRITE_FAILED, STORE_FLUSH_FAILED, STORE_DISK_FULL) and rejects. A lack that may
   * pass (base/passing-lack.ts) rejects alone: what could not be written stays in memory, and the call can be repeated; so it is
   * with TimeIsUp, see isTimeUp.
   */
  flush(leastPages: number): Promise<void> {
    return this.#exclusive(async () => {
      if (this.#context.failure) throw this.#context.failure;
      const releaseAll = this.isOverfull;
      // One queue whose file cannot be made, or whose former one is still there, must not keep the others from being written.
      const lacks = new Lacks(this.#context);
      await lacks.pass(() => this.#removeDropped());
      const visit = (leastPages > 0 && !releaseAll ? [...this.#ready] : [...this.#dirty]).filter(
        (queue) => this.#removals.length === 0 || !this.#isWithheld(queue),
      );
      await forEachLimited(visit, QUEUE_IO_CONCURRENCY, (queue) => {
        if (this.isTimeUp()) throw new TimeIsUp();
        this.#visitedCount++;
        const wasReady = this.#ready.delete(queue);
        return lacks.pass(
          () => queue.writeGathered(releaseAll),
          () => {
            if (wasReady) this.#ready.add(queue);
          },
        );
      });
      if (leastPages === 0)
        for (const { files } of this.#kinds) {
          await lacks.pass(() =>
            files.sync(() => {
              if (this.isTimeUp()) throw new TimeIsUp();
            }),
          );
        }
      lacks.throwFirst();
    });
  }

  /** Removes the entries of records at or above `phyOffset` from all queues, durably; with `inMemory` from sight alone.
   * Recovery only. */
  truncateDirty(phyOffset: number, inMemory = false): Promise<void> {
    return this.#exclusive(async () => {
      if (!inMemory) await this.#removeDropped();
      await forEachLimited(this.queues(), QUEUE_IO_CONCURRENCY, (queue) => queue.truncateDirty(phyOffset, inMemory));
      // A removed file that came back beside one made anew would pass for the end of the queue.
      if (!inMemory) for (const { files } of this.#kinds) await files.syncDirectories();
      this.#newestWhere = this.newestBelow(Number.POSITIVE_INFINITY);
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

  /**
   * Takes the queues of a topic out of sight, at once; records of the topic make new ones. Nothing is written for those
   * before removeDropped() has taken the files away. Says whether there was a queue.
   */
  dropTopic(topic: string): boolean {
    const queues = this.#topics.get(topic);
    if (queues === undefined) return false;
    this.#topics.delete(topic);
    const list = Object.values(queues);
    const hadNewest = list.some((queue) => queue.maxPhysicOffset === this.#newestWhere);
    for (const queue of list) this.#drop(queue);
    if (hadNewest) this.#newestWhere = this.newestBelow(Number.POSITIVE_INFINITY);
    this.#droppedCount++;
    this.#removals.push({ topic, queueId: undefined, isBatch: list.some(({ isBatch }) => isBatch), queues: list });
    this.onWork?.();
    return true;
  }

  /** Resolves when the files of what was dropped are gone *on disk*. Rejects when one cannot be removed; each flush tries
   * again, and writes nothing before. */
  removeDropped(): Promise<void> {
    return this.#exclusive(() => this.#removeDropped());
  }

  /** Removes every queue: the log has no file any more. */
  async destroy(): Promise<void> {
    for (const topic of [...this.#topics.keys()]) this.dropTopic(topic);
    await this.removeDropped();
  }

  /** Waits for what is under way and closes the descriptors. Does not flush. */
  async close(): Promise<void> {
    await this.#exclusive(async () => {
      for (const { files } of this.#kinds) await files.close();
    });
  }

  async #removeDropped(): Promise<void> {
    let first: { error: unknown } | undefined;
    for (const removal of [...this.#removals]) {
      const { topic, queueId, isBatch, queues } = removal;
      // A flush that was under way may have marked them again.
      for (const queue of queues) this.#drop(queue);
      try {
        await (isBatch ? this.#batch : this.#simple).files.removeDirectory(topic, queueId);
        this.#removals = this.#removals.filter((each) => each !== removal);
      } catch (error) {
        first ??= { error };
      }
    }
    if (first) throw first.error;
  }

  /** What it has may not be written yet: what stands in its place has to go first. */
  #isWithheld({ topic, queueId }: ConsumeQueue): boolean {
    return this.#removals.some((each) => each.topic === topic && (each.queueId ?? queueId) === queueId);
  }

  /** Recovery only: one queue, and its topic with the last one. */
  #dropQueue(queue: ConsumeQueue): void {
    const { topic, queueId } = queue;
    const queues = this.#topics.get(topic);
    if (queues?.[queueId] !== queue) return;
    delete queues[queueId];
    const isLast = Object.keys(queues).length === 0;
    if (isLast) this.#topics.delete(topic);
    const hadNewest = queue.maxPhysicOffset === this.#newestWhere;
    this.#drop(queue);
    if (hadNewest) this.#newestWhere = this.newestBelow(Number.POSITIVE_INFINITY);
    this.#droppedCount++;
    const { isBatch } = queue;
    this.#removals.push({ topic, queueId: isLast ? undefined : queueId, isBatch, queues: [queue] });
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
    // Not even an empty queue: it would look like a topic.
    if (commitLogOffset < this.#deletions.deadBelow(topic)) return undefined;
    if (isTopicStorable(topic) && Number.isInteger(queueId) && queueId >= 0) return this.findOrCreate(topic, queueId);
    this.#context.logger.error({ topic, queueId, commitLogOffset }, 'record names no possible queue, not dispatched');
    return undefined;
  }
}
