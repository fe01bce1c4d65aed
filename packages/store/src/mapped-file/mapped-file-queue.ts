/**
 * The files of one log, end to end (RocketMQ MappedFileQueue).
 *
 * Invariants, kept by #setWhere() alone:
 * - minOffset ≤ flushedWhere ≤ committedWhere ≤ maxOffset.
 * - Files follow each other without a gap, each named by its first offset; all but the last are full.
 * - A file is used only after its blocks are reserved, its length and its name durable.
 *
 * One commit and one flush are under way at a time; each touches the one file that holds committedWhere or flushedWhere,
 * so a caller that wants everything calls again until nothing advances, as in RocketMQ.
 */
import { dirname } from 'node:path';
import { Coalesced } from '../base/coalesced.ts';
import type { StoreContext } from '../base/context.ts';
import { StoreError } from '../base/errors.ts';
import { isPassingLack } from '../base/passing-lack.ts';
import { OpenFiles } from '../io/open-files.ts';
import { listMappedFiles } from './list-mapped-files.ts';
import type { MappedFile } from './mapped-file.ts';
import { MappedFileAllocator } from './mapped-file-allocator.ts';
import type { MappedFileBase } from './mapped-file-base.ts';
import type { MappedFileEngine } from './mapped-file-engine.ts';

export interface MappedFileQueueOptions {
  /** The directory. */
  storePath: string;
  /** Bytes of each file. */
  mappedFileSize: number;
  engine: MappedFileEngine;
}

/** Of a log's files those are open that are appended to or not flushed, and of the others so many at most. */
const LOG_FILES_OPEN_MAX = 10;

export class MappedFileQueue {
  readonly storePath: string;
  readonly mappedFileSize: number;
  readonly engine: MappedFileEngine;
  readonly openFiles: OpenFiles;
  /** storeTimestamp of the newest record that a flush with 0 pages covered; for the checkpoint. */
  storeTimestamp = 0;
  /** When the last file was last changed, as load() found it; undefined without a file. */
  newestMs: number | undefined;

  readonly #context: StoreContext;
  readonly #allocator: MappedFileAllocator;
  #files: MappedFileBase[] = [];
  #last: MappedFileBase | undefined;
  /** Position at which the next file begins to be made; half of a file. */
  readonly #prepareFrom: number;
  #flushedWhere = 0;
  #committedWhere = 0;
  readonly #commits = new Coalesced(() => this.#commitNow());
  readonly #flushes = new Coalesced(() => this.#flushNow());
  #deleting: Promise<unknown> = Promise.resolve();
  /** A file was removed, and whether its name is gone from the disk nobody knows: the sync of the directory failed. */
  #isRemovalUnsure = false;
  /** A file was removed and the directory not synced since, for lack of a descriptor to do it with. */
  #isRemovalUnsynced = false;
  #durableMinOffset = 0;

  constructor(context: StoreContext, options: MappedFileQueueOptions) {
    this.#context = context;
    this.storePath = options.storePath;
    this.mappedFileSize = options.mappedFileSize;
    this.engine = options.engine;
    this.openFiles = new OpenFiles(context.fileSystem, LOG_FILES_OPEN_MAX, 'log');
    this.#prepareFrom = Math.floor(this.mappedFileSize / 2);
    this.#allocator = new MappedFileAllocator(context, this.storePath, this.mappedFileSize, this.openFiles);
  }

  get flushedWhere(): number {
    return this.#flushedWhere;
  }

  get committedWhere(): number {
    return this.#committedWhere;
  }

  /** Offset of the first byte kept; 0 without files. A first file that is being deleted is none any more (CommitLog.getMinOffset). */
  get minOffset(): number {
    const first = this.#files[0];
    if (first === undefined) return 0;
    const isGoing = !first.isAvailable && first !== this.#last;
    return isGoing ? first.fileFromOffset + this.mappedFileSize : first.fileFromOffset;
  }

  /** As minOffset, of what a restart may find: a file counts until its removal is *on disk*. */
  get durableMinOffset(): number {
    return this.#durableMinOffset;
  }

  /** End of what was appended (in memory); where the next record goes unless its file is full. */
  get maxOffset(): number {
    const last = this.#last;
    return last === undefined ? 0 : last.fileFromOffset + last.wrotePosition;
  }

  /** End of what may be read. Less than maxOffset with the transient pool only (RocketMQ getReadPosition). */
  get readableOffset(): number {
    return this.engine.name === 'transient-pool' ? this.#committedWhere : this.maxOffset;
  }

  /** Bytes of all files. */
  get mappedMemorySize(): number {
    return this.#files.length * this.mappedFileSize;
  }

  /** The files in order; a snapshot. */
  get mappedFiles(): readonly MappedFile[] {
    return this.#files.slice();
  }

  /**
   * Takes in the files that are there. A zero-length last file (made, never allocated) is deleted. Rejects as
   * listMappedFiles does; nothing is touched then. Afterwards every file counts as full and nothing as flushed
   * (flushedWhere = minOffset): recovery decides.
   */
  async load(): Promise<void> {
    const { fileSystem, logger } = this.#context;
    const { files, empty, newestMs } = await listMappedFiles(fileSystem, this.storePath, this.mappedFileSize);
    this.newestMs = newestMs;
    if (empty !== undefined) {
      logger.warn({ file: empty }, 'an empty last file is deleted');
      await fileSystem.remove(empty);
    }
    await this.#allocator.cleanUp();
    this.#files = files.map(({ path, offset }) => this.#newFile(path, offset));
    for (const file of this.#files) file.setPositions(this.mappedFileSize);
    this.#last = this.#files.at(-1);
    this.#durableMinOffset = this.minOffset;
    this.#setWhere(this.minOffset, this.minOffset);
  }

  /** The last file, full or not; undefined without files. */
  getLastMappedFile(): MappedFile | undefined {
    return this.#last;
  }

  /** The first file that still exists. */
  getFirstMappedFile(): MappedFile | undefined {
    return this.#files[0];
  }

  /**
   * The file to append to, without waiting: the last one while it is not full, else the next one if it is ready.
   * Undefined: await whenNextFileReady() and ask again. The first file of an empty log begins at `startOffset`, rounded
   * down to a multiple of the file size. Hot path; begins making the next file when this one is half full.
   */
  tryGetLastMappedFile(startOffset = 0): MappedFile | undefined {
    const last = this.#last;
    if (last !== undefined && last.wrotePosition !== this.mappedFileSize) {
      if (last.wrotePosition >= this.#prepareFrom) this.#allocator.prepare(last.fileFromOffset + this.mappedFileSize);
      return last;
    }
    const next = this.#nextOffset(startOffset);
    const ready = this.#allocator.take(next);
    if (ready === undefined) {
      this.#allocator.prepare(next);
      return undefined;
    }
    const file = this.#newFile(ready.path, next);
    file.adopt(ready.file);
    this.#files.push(file);
    this.#last = file;
    if (this.#files.length === 1) this.#setWhere(next, next);
    return file;
  }

  /**
   * Resolves when tryGetLastMappedFile() has a file. Rejects with STORE_DISK_FULL when there is no room for one (nothing
   * is left behind; ask again later, space may be back), STORE_ALLOCATE_FAILED for any other reason.
   */
  async whenNextFileReady(startOffset = 0): Promise<void> {
    if (this.#context.failure !== undefined) throw this.#context.failure;
    if (this.#last !== undefined && !this.#last.isFull) return;
    await this.#allocator.whenReady(this.#nextOffset(startOffset));
  }

  /**
   * Opens the file that the next append goes to, if there is one already: a descriptor that could not be had when it is
   * needed would be a failed flush. One made later comes with its descriptor.
   */
  async openLast(): Promise<void> {
    const last = this.#last;
    if (last !== undefined && !last.isFull) await last.pin();
  }

  #nextOffset(startOffset: number): number {
    if (this.#last !== undefined) return this.#last.fileFromOffset + this.mappedFileSize;
    return startOffset - (startOffset % this.mappedFileSize);
  }

  #newFile(fileName: string, fileFromOffset: number): MappedFileBase {
    const { openFiles, mappedFileSize: fileSize } = this;
    return this.engine.create({ context: this.#context, openFiles, fileName, fileFromOffset, fileSize });
  }

  /** The file that holds `offset`; with returnFirstOnNotFound the first file for an offset outside (0 for a start). */
  findMappedFileByOffset(offset: number, returnFirstOnNotFound = false): MappedFile | undefined {
    return this.#find(offset) ?? (returnFirstOnNotFound ? this.#files[0] : undefined);
  }

  #find(offset: number): MappedFileBase | undefined {
    const last = this.#last;
    if (last === undefined) return undefined;
    // Readers and writers are mostly at the end.
    if (offset >= last.fileFromOffset) return offset < last.fileFromOffset + this.mappedFileSize ? last : undefined;
    const index = Math.floor((offset - this.#files[0]!.fileFromOffset) / this.mappedFileSize);
    return index < 0 ? undefined : this.#files[index];
  }

  /**
   * Hands what was appended to the file that holds committedWhere to the OS, if at least `commitLeastPages` pages (any
   * byte with 0) are new. Resolves with true when nothing advanced, false when it did, as RocketMQ; what lies below
   * committedWhere is *written*. A failure fails the store and is never retried.
   */
  async commit(commitLeastPages: number): Promise<boolean> {
    if (this.#context.failure !== undefined) throw this.#context.failure;
    const before = this.#committedWhere;
    if (commitLeastPages > 0) {
      const file = this.#find(before);
      if (file === undefined || !file.isAbleToCommit(commitLeastPages)) return this.#committedWhere === before;
    }
    await this.#commits.run();
    return this.#committedWhere === before;
  }

  /**
   * commit() on this thread, over when it returns, for at most `bytesMax` bytes, when neither a write nor a force of the log
   * is under way. False: not now, nothing was done. Throws as commit() rejects.
   */
  commitNow(bytesMax: number): boolean {
    if (this.#commits.isRunning || this.#flushes.isRunning) return false;
    const file = this.#find(this.#committedWhere);
    if (file === undefined || !file.commitNow(bytesMax)) return false;
    const where = file.fileFromOffset + file.committedPosition;
    if (where > this.#committedWhere) this.#setWhere(this.#flushedWhere, where);
    return true;
  }

  async #commitNow(): Promise<void> {
    const file = this.#find(this.#committedWhere);
    if (file === undefined) return;
    const position = await file.commit(0);
    const where = file.fileFromOffset + position;
    if (where > this.#committedWhere) this.#setWhere(this.#flushedWhere, where);
  }

  /**
   * Commits and forces the file that holds flushedWhere. Resolves with true when nothing advanced, false when it did;
   * what lies below flushedWhere is *on disk*. A failure fails the store and is never retried.
   */
  async flush(flushLeastPages: number): Promise<boolean> {
    if (this.#context.failure !== undefined) throw this.#context.failure;
    const before = this.#flushedWhere;
    if (flushLeastPages > 0) {
      const file = this.#find(before);
      if (file === undefined || !file.isAbleToFlush(flushLeastPages)) return this.#flushedWhere === before;
    }
    await this.#flushes.run();
    return this.#flushedWhere === before;
  }

  async #flushNow(): Promise<void> {
    const file = this.#find(this.#flushedWhere);
    if (file === undefined) return;
    const storeTimestamp = file.storeTimestamp;
    const position = await file.flush(0);
    const where = file.fileFromOffset + position;
    if (storeTimestamp > 0) this.storeTimestamp = storeTimestamp;
    if (where > this.#flushedWhere) this.#setWhere(where, Math.max(where, this.#committedWhere));
  }

  /** The one place that moves the two offsets. */
  #setWhere(flushedWhere: number, committedWhere: number): void {
    const ordered =
      this.minOffset <= flushedWhere && flushedWhere <= committedWhere && committedWhere <= this.maxOffset;
    if (!ordered) {
      throw new RangeError(
        `offsets out of order: min ${this.minOffset}, flushed ${flushedWhere}, committed ${committedWhere}, max ${this.maxOffset}`,
      );
    }
    this.#flushedWhere = flushedWhere;
    this.#committedWhere = committedWhere;
  }

  /** Recovery only, after it made everything below `offset` durable: flushedWhere = committedWhere = offset. */
  setFlushedWhere(offset: number): void {
    this.#setWhere(offset, offset);
  }

  /** Recovery only: writes [from, to) again as it reads and forces it, file by file. On disk when it resolves. */
  async rewriteDurably(from: number, to: number): Promise<void> {
    let at = from;
    while (at < to) {
      const file = this.#find(at);
      if (file === undefined) throw this.#outOfRange(at, to - at);
      const end = Math.min(to, file.fileFromOffset + this.mappedFileSize);
      await file.rewriteDurably(at - file.fileFromOffset, end - at);
      at = end;
    }
  }

  /**
   * Recovery only: the log ends at `offset`. Later files are removed, newest first, so that no crash leaves a gap; the
   * rest of the file that holds `offset` is zeroed durably. All of it is *on disk* when it resolves, and the next append
   * goes to `offset`.
   */
  async truncateDirtyFiles(offset: number): Promise<void> {
    while (this.#last !== undefined && this.#last.fileFromOffset > offset) {
      await this.#removeLast();
      // Names get to the disk in any order: without this a power cut can bring back the newer one of two files.
      await this.#context.fileSystem.syncDirectory(this.storePath);
    }
    const last = this.#last;
    if (last !== undefined && offset < last.fileFromOffset + this.mappedFileSize) {
      const position = offset - last.fileFromOffset;
      await last.zeroTail(position);
      last.setPositions(position);
    }
    await this.#context.fileSystem.syncDirectory(this.storePath);
    const end = this.maxOffset;
    this.#setWhere(Math.min(this.#flushedWhere, end), Math.min(this.#committedWhere, end));
  }

  /**
   * Recovery only, for a damaged store: the log ends at `offset` for readers; what lies behind stays on disk as it is.
   * The store must be failed, so that nothing is ever appended there. Later files are let go of, not removed.
   */
  endReadOnlyAt(offset: number): void {
    while (this.#last !== undefined && this.#last.fileFromOffset > offset) {
      this.#files.pop();
      this.#last = this.#files.at(-1);
    }
    const last = this.#last;
    if (last !== undefined && offset < last.fileFromOffset + this.mappedFileSize) {
      last.setPositions(offset - last.fileFromOffset);
    }
    this.#setWhere(this.maxOffset, this.maxOffset);
  }

  /** Removes the last file, whatever is in it, durably. */
  async deleteLastMappedFile(): Promise<void> {
    if (this.#last === undefined) return;
    await this.#removeLast();
    const end = this.maxOffset;
    this.#setWhere(Math.min(this.#flushedWhere, end), Math.min(this.#committedWhere, end));
    await this.#context.fileSystem.syncDirectory(this.storePath);
  }

  async #removeLast(): Promise<void> {
    const file = this.#files.pop()!;
    this.#last = this.#files.at(-1);
    await file.destroy(this.#context.config.destroyMapedFileIntervalForcibly);
  }

  /** `size` bytes at `offset`, which lie in one file, in a fresh buffer or at the start of `target`. Rejects STORE_OFFSET_OUT_OF_RANGE, STORE_READ_FAILED. */
  async read(offset: number, size: number, target?: Buffer): Promise<Buffer> {
    const file = this.#find(offset);
    if (file === undefined) throw this.#outOfRange(offset, size);
    return file.read(offset - file.fileFromOffset, size, target);
  }

  /** The same from memory, without I/O, or undefined. A view: valid until this turn of the event loop ends. */
  selectHot(offset: number, size: number): Buffer | undefined {
    const file = this.#find(offset);
    return file?.selectHot(offset - file.fileFromOffset, size);
  }

  #outOfRange(offset: number, size: number): StoreError {
    const { minOffset, maxOffset } = this;
    const message = `${size} bytes at offset ${offset}: the log holds ${minOffset} to ${maxOffset}`;
    return new StoreError('STORE_OFFSET_OUT_OF_RANGE', message, { offset, size, minOffset, maxOffset });
  }

  /**
   * Deletes files from the oldest on whose last change is `expiredTimeMs` old at `now` (Unix ms), or all with cleanImmediately; never the
   * last one, never one that is not flushed or ends above `limit`, at most `deleteFileBatchMax`, `intervalMs` apart. A file
   * that is held is waited for (forced after config.destroyMapedFileIntervalForcibly). Resolves with their number; gone
   * durably. When that failed once, no other file is deleted: a power cut that brought the older one back without the next
   * would leave a gap.
   */
  deleteExpiredFileByTime(
    expiredTimeMs: number,
    deleteFileBatchMax: number,
    intervalMs: number,
    cleanImmediately: boolean,
    limit = Number.POSITIVE_INFINITY,
    now = this.#context.clock.now(),
  ): Promise<number> {
    return this.#exclusively(async () => {
      let count = 0;
      await this.#syncRemoval();
      while (count < deleteFileBatchMax && !this.#isRemovalUnsure) {
        const file = this.#files[0];
        if (file === undefined || !this.#mayDelete(file, limit)) break;
        if (!cleanImmediately) {
          const changedMs = await this.#lastChangeMs(now);
          if (changedMs === undefined || changedMs + expiredTimeMs > now) break;
        }
        if (count > 0 && intervalMs > 0) await this.#pause(intervalMs);
        await this.#removeFirst(this.#context.config.destroyMapedFileIntervalForcibly);
        count++;
      }
      return count;
    });
  }

  /**
   * When the first file was last changed, or a later time. Its own time may lie in the future, written while the clock
   * stood wrong; the file after it was begun when this one was full. Undefined while no file has a time that is past.
   */
  async #lastChangeMs(now: number): Promise<number | undefined> {
    for (const file of this.#files) {
      const stat = await this.#context.fileSystem.stat(file.fileName);
      if (stat === undefined) return 0;
      if (stat.mtimeMs <= now) return stat.mtimeMs;
    }
    return undefined;
  }

  /**
   * Once more for a first file that was to be deleted and could not be (its removal failed). Resolves with whether there
   * was one.
   */
  retryDeleteFirstFile(forceAfterMs: number): Promise<boolean> {
    return this.#exclusively(async () => {
      await this.#syncRemoval();
      const file = this.#files[0];
      if (file === undefined || file.isAvailable || this.#isRemovalUnsure) return false;
      await this.#removeFirst(forceAfterMs);
      return true;
    });
  }

  #mayDelete(file: MappedFileBase, limit: number): boolean {
    return file !== this.#last && file.fileFromOffset + this.mappedFileSize <= Math.min(limit, this.#flushedWhere);
  }

  async #removeFirst(forceAfterMs: number): Promise<void> {
    const file = this.#files[0]!;
    await file.destroy(forceAfterMs);
    // Only now: while somebody reads it, the file is part of the log.
    this.#files.shift();
    this.#isRemovalUnsynced = true;
    await this.#syncRemoval();
  }

  /** What could not be synced for a lack is synced now; after a sync that failed nobody knows, for good. */
  async #syncRemoval(): Promise<void> {
    if (!this.#isRemovalUnsynced || this.#isRemovalUnsure) return;
    try {
      await this.#context.fileSystem.syncDirectory(this.storePath);
    } catch (error) {
      this.#isRemovalUnsure = !isPassingLack(error);
      throw error;
    }
    this.#isRemovalUnsynced = false;
    this.#durableMinOffset = this.#files[0]?.fileFromOffset ?? 0;
  }

  #exclusively<T>(operation: () => Promise<T>): Promise<T> {
    const result = this.#deleting.then(operation);
    this.#deleting = result.catch(() => {});
    return result;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#context.clock.setTimer(resolve, ms));
  }

  /** Waits for what is under way, gives up the unused next file, closes. Does not flush: whoever shuts down did. */
  async shutdown(): Promise<void> {
    await this.#deleting;
    await this.#allocator.close();
    await this.#flushes.whenIdle();
    await this.#commits.whenIdle();
    await Promise.all(this.#files.map((file) => file.close()));
    await this.openFiles.close();
    this.engine.close();
  }

  /** shutdown(), then removes the files and the directory. */
  async destroy(): Promise<void> {
    await this.shutdown();
    this.#files = [];
    this.#last = undefined;
    this.#flushedWhere = 0;
    this.#committedWhere = 0;
    await this.#context.fileSystem.removeDirectory(this.storePath);
    await this.#context.fileSystem.syncDirectory(dirname(this.storePath));
  }
}
