import { join } from 'node:path';
import type { StoreContext } from '../base/context.ts';
import { STORE_TIME_HELD_MS } from '../base/limits.ts';
import { notAFileError } from '../base/not-a-file.ts';
import type { DispatchRequest } from '../record/dispatch-request.ts';
import { hashBehind } from '../record/property-scan.ts';
import { TRANSACTION_ROLLBACK_TYPE, transactionType } from '../record/sys-flag.ts';
import { javaStringHashCode } from '../record/tags-code.ts';
import { IndexFile } from './index-file.ts';
import { indexFileName } from './index-layout.ts';

/** Keys that may wait in memory for a flush: 10 MiB of units, and what a restart has to file again. */
export const UNFLUSHED_KEYS_MAX = 524_288;
const CACHED_TOPICS_MAX = 8_192;
const MIN_INT32 = -0x8000_0000;

export interface QueryOffsetResult {
  /** Offsets in the log, newest first. Different keys can share a hash: compare the keys of the records. */
  phyOffsets: number[];
  /** storeTimestamp and offset of the record indexed last; 0 without one. */
  indexLastUpdateTimestamp: number;
  indexLastUpdatePhyoffset: number;
}

/**
 * What a query looks for. `key`: UNIQ_KEY or one of KEYS, filed as `topic#key`. `tag`: TAGS, filed as `topic#T#tag` since
 * RocketMQ 5.4 (MessageConst.INDEX_TAG_TYPE).
 */
export type IndexType = 'key' | 'tag';

interface TopicHashes {
  /** Of `topic#`. */
  key: number;
  /** Of `topic#T#`. */
  tag: number;
}

/** RocketMQ IndexFile.indexKeyHashMethod: the absolute value, 0 for the one number that has none. */
export function indexKeyHash(hashCode: number): number {
  return hashCode === MIN_INT32 ? 0 : Math.abs(hashCode);
}

/**
 * The clock was set back by more than it is held. A file counts from its first record's time on and knows one begin and one
 * end, so times before would be lost in it.
 */
function isOfEarlierTime(file: IndexFile, storeTimestamp: number): boolean {
  return storeTimestamp < file.endTimestamp - STORE_TIME_HELD_MS && file.indexCount > 1;
}

/**
 * Finds messages by key (RocketMQ IndexService): `<root>/index/`, one live file that takes keys and full ones behind it.
 * A file's first header reaches the disk only after its predecessor is wholly on disk, so of all files only the last one
 * with a header can be short of keys.
 */
export class IndexService {
  readonly #context: StoreContext;
  readonly #directory: string;
  /** Oldest first; the last one is live unless it is full. */
  #files: IndexFile[] = [];
  #live: IndexFile | undefined;
  readonly #topicHashes = new Map<string, TopicHashes>();
  /** Key hashes already on disk for the record at `#resumedPhyOffset`. */
  #resumedPhyOffset = -1;
  readonly #resumedHashes = new Set<number>();
  #indexMsgTimestamp = 0;
  #dirty = false;
  /** Keys put since the last flush began. */
  #putCount = 0;
  #last: Promise<unknown> = Promise.resolve();

  #completeWhere = 0;

  /** Called when the first key since a flush is put, and when a flush is overdue. */
  onWork: (() => void) | undefined;

  constructor(context: StoreContext) {
    this.#context = context;
    this.#directory = join(context.config.storePathRootDir, 'index');
  }

  /**
   * For the checkpoint, by RocketMQ's rule: endTimestamp of the newest file that is full and flushed; 0 without one. After
   * an unclean exit RocketMQ believes files that end by then, so it is never later than where the live one begins.
   */
  get indexMsgTimestamp(): number {
    const live = this.#live;
    const isOfEarlierTime = live !== undefined && live.indexCount > 1 && live.beginTimestamp < this.#indexMsgTimestamp;
    return isOfEarlierTime ? live.beginTimestamp : this.#indexMsgTimestamp;
  }

  /** Offset of the record indexed last; records below it are not indexed again. 0 without one. */
  get endPhyOffset(): number {
    return this.#files.at(-1)?.endPhyOffset ?? 0;
  }

  /** Every record that ends at or below this offset has its keys filed; dispatch has to go on from here at the latest. */
  get maxPhyOffset(): number {
    return Math.max(this.endPhyOffset, this.#completeWhere);
  }

  /** The record indexed last. */
  get lastUpdate(): { indexLastUpdateTimestamp: number; indexLastUpdatePhyoffset: number } {
    const newest = this.#files.at(-1);
    return {
      indexLastUpdateTimestamp: newest?.endTimestamp ?? 0,
      indexLastUpdatePhyoffset: newest?.endPhyOffset ?? 0,
    };
  }

  get fileCount(): number {
    return this.#files.length;
  }

  get isDirty(): boolean {
    return this.#dirty;
  }

  /** More keys wait than UNFLUSHED_KEYS_MAX. */
  get isOverfull(): boolean {
    return this.#unflushedCount() > UNFLUSHED_KEYS_MAX;
  }

  /** Keys that wait for a flush. */
  get unflushedCount(): number {
    return this.#unflushedCount();
  }

  /**
   * Opens the files. After an unclean exit of a broker that does not keep our order of writes, pass the checkpoint's
   * indexMsgTimestamp as `safeTimestamp`: files that end later are removed, as RocketMQ does, and their records have to be
   * dispatched again. Without it every file is trusted as far as its header counts.
   * `completeWhere`: the log offset up to which the index is known to be on disk, the dispatchedWhere at the start of the
   * last thorough flush; the files alone cannot tell when records have no keys. It counts only when no file is removed.
   * `lastExitOk`: false takes the newest files out of the page cache first, see ConsumeQueueStore.recover.
   * Rejects with STORE_FILE_SIZE_MISMATCH, STORE_DAMAGED or STORE_READ_FAILED.
   */
  async load(
    options: { safeTimestamp?: number | undefined; completeWhere?: number | undefined; lastExitOk?: boolean } = {},
  ): Promise<void> {
    const { fileSystem, logger } = this.#context;
    this.#completeWhere = options.completeWhere ?? 0;
    const names = await fileSystem.list(this.#directory);
    const newest = options.lastExitOk === false ? names.slice(-2) : [];
    for (const name of names) {
      const path = join(this.#directory, name);
      const stat = await fileSystem.stat(path);
      if (stat?.isDirectory && /^\d{17}$/.test(name)) throw notAFileError(path, 'a directory');
      if (stat === undefined || stat.isDirectory) continue;
      if (!/^\d{17}$/.test(name)) {
        logger.warn({ path }, 'not an index file, ignored');
        continue;
      }
      if (stat.size === 0) {
        logger.warn({ path }, 'empty index file removed, a crash interrupted its making');
        await fileSystem.remove(path);
        continue;
      }
      const file = await IndexFile.load(this.#context, path, stat.size, newest.includes(name));
      const unsafe = options.safeTimestamp !== undefined && file.endTimestamp > options.safeTimestamp;
      if (unsafe || (file.indexCount === 1 && file.endPhyOffset === 0)) {
        logger.info(
          { path, endTimestamp: file.endTimestamp, indexCount: file.indexCount, unsafe },
          'index file removed',
        );
        if (unsafe) this.#completeWhere = 0;
        await file.destroy();
        continue;
      }
      this.#files.push(file);
      if (file.isWriteFull) this.#indexMsgTimestamp = file.endTimestamp;
    }
    await this.#resume();
  }

  /** Files the keys of one record, in memory (RocketMQ buildIndex): UNIQ_KEY, then each of KEYS, then TAGS. */
  buildIndex(request: DispatchRequest): void {
    const { keys, tagHash, tagPower } = request.keyHashes;
    if (keys.length === 0 && tagPower === 0) return;
    const phyOffset = request.commitLogOffset;
    const last = this.#live ?? this.#files.at(-1);
    if (last !== undefined && phyOffset < last.endPhyOffset) return;
    if (transactionType(request.sysFlag) === TRANSACTION_ROLLBACK_TYPE) return;
    const { key: prefix, tag: tagPrefix } = this.#hashesOf(request.topic);
    for (let i = 0; i < keys.length; i += 2) {
      this.#put(hashBehind(prefix, keys[i]!, keys[i + 1]!), phyOffset, request.storeTimestamp);
    }
    if (tagPower !== 0) this.#put(hashBehind(tagPrefix, tagHash, tagPower), phyOffset, request.storeTimestamp);
  }

  /**
   * Log offsets of records filed under the hash of the key with a storeTimestamp in [begin, end], newest first, those not
   * yet flushed too. Another key's records may be among them. Rejects with STORE_READ_FAILED.
   */
  async *phyOffsets(
    topic: string,
    key: string,
    begin: number,
    end: number,
    indexType: IndexType,
  ): AsyncGenerator<number, void, undefined> {
    const keyHash = indexKeyHash(javaStringHashCode(key, this.#hashesOf(topic)[indexType]));
    for (const file of [...this.#files].reverse()) {
      try {
        if (file.isTimeMatched(begin, end)) yield* file.phyOffsets(keyHash, begin, end);
      } catch (error) {
        // Its time has come while it was read.
        if (this.#files.includes(file)) throw error;
      }
    }
  }

  /** phyOffsets(), at most `maxNum` and maxMsgsNumBatch of them. */
  async queryOffset(
    topic: string,
    key: string,
    maxNum: number,
    begin: number,
    end: number,
    indexType: IndexType = 'key',
  ): Promise<QueryOffsetResult> {
    const phyOffsets: number[] = [];
    const result: QueryOffsetResult = { phyOffsets, ...this.lastUpdate };
    const count = Math.min(maxNum, this.#context.config.maxMsgsNumBatch);
    if (count < 1) return result;
    for await (const phyOffset of this.phyOffsets(topic, key, begin, end, indexType)) {
      phyOffsets.push(phyOffset);
      if (phyOffsets.length >= count) break;
    }
    return result;
  }

  /** Resolves when every key put before the call is *on disk*. A failure stops the store and rejects; a lack that may
   * pass rejects alone, see IndexFile.flush. */
  flush(): Promise<void> {
    return this.#exclusive(() => this.#flushFiles());
  }

  /** Removes the keys of records at or above `phyOffset`, durably. Recovery only. */
  truncateDirty(phyOffset: number): Promise<void> {
    return this.#exclusive(async () => {
      this.#completeWhere = Math.min(this.#completeWhere, phyOffset);
      if (this.endPhyOffset < phyOffset) return;
      await this.#flushFiles();
      this.#live = undefined;
      for (let file = this.#files.at(-1); file !== undefined && file.endPhyOffset >= phyOffset; ) {
        if (await file.truncateDirty(phyOffset)) break;
        this.#files.pop();
        await file.destroy();
        file = this.#files.at(-1);
      }
      this.#indexMsgTimestamp = this.#files.findLast((file) => file.isWriteFull)?.endTimestamp ?? 0;
      await this.#resume();
    });
  }

  /** Removes the files, oldest first and never the last, that end below `minPhyOffset`. Resolves with their number. */
  deleteExpired(minPhyOffset: number): Promise<number> {
    return this.#exclusive(async () => {
      let count = 0;
      while (this.#files.length > 1 && this.#files[0]!.endPhyOffset < minPhyOffset) {
        const expired = this.#files.shift()!;
        await expired.destroy();
        count++;
      }
      return count;
    });
  }

  /** Removes every file. */
  destroy(): Promise<void> {
    return this.#exclusive(async () => {
      const files = this.#files;
      this.#files = [];
      this.#live = undefined;
      this.#dirty = false;
      this.#resumedPhyOffset = -1;
      for (const file of files) await file.destroy();
    });
  }

  /** Closes the descriptors. Does not flush. */
  async close(): Promise<void> {
    await this.#exclusive(async () => {
      for (const file of this.#files) await file.close();
    });
  }

  #put(hashCode: number, phyOffset: number, storeTimestamp: number): void {
    const keyHash = indexKeyHash(hashCode);
    if (phyOffset === this.#resumedPhyOffset && this.#resumedHashes.has(keyHash)) return;
    let file = this.#live;
    if (file === undefined || file.isWriteFull || isOfEarlierTime(file, storeTimestamp)) file = this.#roll();
    file.putKey(keyHash, phyOffset, storeTimestamp);
    this.#putCount++;
    if (!this.#dirty || this.#putCount > UNFLUSHED_KEYS_MAX) {
      this.#dirty = true;
      this.onWork?.();
    }
  }

  /** The file to put into when there is none or it is full (RocketMQ getAndCreateLastIndexFile). */
  #roll(): IndexFile {
    const previous = this.#files.at(-1);
    previous?.finish();
    let name = indexFileName(this.#context.clock.now());
    const previousName = previous?.path.slice(-17) ?? '';
    // The clock may step back, or two files be made in one millisecond; the order of names is the order of files.
    if (name <= previousName) name = String(BigInt(previousName) + 1n).padStart(17, '0');
    const file = IndexFile.create(
      this.#context,
      join(this.#directory, name),
      previous?.endPhyOffset ?? 0,
      previous?.endTimestamp ?? 0,
    );
    this.#files.push(file);
    this.#live = file;
    this.onWork?.();
    return file;
  }

  /** Makes the last file live when it can take keys, and learns what is filed for the newest record: when it is
   * dispatched again, as recovery may, its keys must not be filed twice. They can lie in two files. */
  async #resume(): Promise<void> {
    this.#resumedHashes.clear();
    const last = this.#files.at(-1);
    if (last === undefined) return;
    this.#resumedPhyOffset = last.endPhyOffset;
    for (const file of [...this.#files].reverse()) {
      if (!(await file.collectNewest(last.endPhyOffset, this.#resumedHashes))) break;
    }
    if (last.isWriteFull) return;
    await last.activate();
    this.#live = last;
  }

  async #flushFiles(): Promise<void> {
    if (this.#context.failure) throw this.#context.failure;
    this.#dirty = false;
    this.#putCount = 0;
    try {
      for (const file of [...this.#files]) {
        await file.flush();
        if (file.isWriteFull && file.unflushedCount === 0) this.#indexMsgTimestamp = file.endTimestamp;
      }
    } finally {
      if (this.#unflushedCount() > 0) this.#dirty = true;
    }
  }

  #unflushedCount(): number {
    let count = 0;
    for (const file of this.#files) count += file.unflushedCount;
    return count;
  }

  #hashesOf(topic: string): TopicHashes {
    const known = this.#topicHashes.get(topic);
    if (known !== undefined) return known;
    if (this.#topicHashes.size >= CACHED_TOPICS_MAX) this.#topicHashes.clear();
    const key = javaStringHashCode('#', javaStringHashCode(topic));
    const hashes = { key, tag: javaStringHashCode('T#', key) };
    this.#topicHashes.set(topic, hashes);
    return hashes;
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work, work);
    this.#last = result.catch(() => {});
    return result;
  }
}
