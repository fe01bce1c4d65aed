import { dirname } from 'node:path';
import type { StoreContext } from '../base/context.ts';
import { StoreError } from '../base/errors.ts';
import { offsetToFileName } from '../base/file-name.ts';
import { forEachLimited } from '../base/limited.ts';
import { Lacks } from '../base/passing-lack.ts';
import { errnoOf, failStore, failUnlessLack, toStoreError } from '../base/queue-failure.ts';
import { OpenFiles } from '../io/open-files.ts';
import { storePaths } from '../io/store-directory.ts';
import { simpleUnits, type UnitFormat } from './unit.ts';

/** Blocking calls this part has under way at once; more would only queue up on the I/O lane, in front of the log's. */
export const QUEUE_IO_CONCURRENCY = 4;
/** As above while the store is being opened, when nobody else waits for the lane. */
export const LOAD_IO_CONCURRENCY = 32;

/**
 * The files under `<root>/consumequeue/<topic>/<queueId>/`, or `<root>/batchconsumequeue/…` for batch queues, each of
 * fileSize bytes, named by its first byte's place in the queue in 20 digits. They are sparse: made by ftruncate, blocks
 * appear where units are written.
 *
 * A file that is missing between two others reads as filler (a gap so wide that the file was never made).
 * A write or a making that fails for a lack which may pass (no descriptor, no room) rejects and may be tried again with
 * the same bytes. Any other failed write, and every failed sync, stops the store, once and for good; failed reads do not.
 */
export class ConsumeQueueFiles {
  readonly units: UnitFormat;
  /** Bytes of one file: what units.fileSizeKey says, rounded up to whole units. */
  readonly fileSize: number;
  readonly directory: string;
  readonly #context: StoreContext;
  readonly #files: OpenFiles;
  /** Paths written since their last fdatasync. */
  #unsynced = new Set<string>();
  /** Paths whose making has begun and is not known to have got to its end: they may have any length. */
  readonly #unfinished = new Set<string>();
  /** Directories with names that a power cut could still take. */
  #unsyncedDirectories = new Set<string>();

  constructor(context: StoreContext, units: UnitFormat = simpleUnits) {
    this.#context = context;
    this.units = units;
    this.fileSize = Math.ceil(context.config[units.fileSizeKey] / units.bytes) * units.bytes;
    const { consumeQueue, batchConsumeQueue } = storePaths(context.config.storePathRootDir);
    this.directory = units === simpleUnits ? consumeQueue : batchConsumeQueue;
    this.#files = new OpenFiles(context.fileSystem, context.config.consumeQueueOpenFilesMax);
  }

  get hasUnsynced(): boolean {
    return this.#unsynced.size > 0 || this.#unsyncedDirectories.size > 0;
  }

  get openCount(): number {
    return this.#files.openCount;
  }

  queueDirectory(topic: string, queueId: number): string {
    return `${this.directory}/${topic}/${queueId}`;
  }

  filePath(topic: string, queueId: number, fileFromOffset: number): string {
    return `${this.directory}/${topic}/${queueId}/${offsetToFileName(fileFromOffset)}`;
  }

  /** First byte of the file that holds byte `where` of a queue. */
  fileFromOffset(where: number): number {
    return where - (where % this.fileSize);
  }

  /** Resolves when the chunks, which lie in one file from byte `where` of the queue, are *written*. Makes the file. */
  async write(topic: string, queueId: number, where: number, chunks: readonly Uint8Array[]): Promise<void> {
    const fileFromOffset = this.fileFromOffset(where);
    const path = this.filePath(topic, queueId, fileFromOffset);
    try {
      const isThere = !this.#unfinished.has(path) && (await this.#write(path, where - fileFromOffset, chunks));
      if (isThere) return;
      await this.#create(topic, queueId, path);
      await this.#write(path, where - fileFromOffset, chunks);
    } catch (error) {
      throw failUnlessLack(this.#context, 'STORE_WRITE_FAILED', 'writing consume queue file', path, error);
    }
  }

  /** False when there is no such file. */
  async #write(path: string, position: number, chunks: readonly Uint8Array[]): Promise<boolean> {
    try {
      await this.#files.use(path, (file) => {
        // Before it is called: one that fails may have written a part.
        this.#unsynced.add(path);
        return file.write(chunks, position);
      });
      return true;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return false;
      throw error;
    }
  }

  /** Fills `target` from byte `where` of the queue, over as many files as it takes. Rejects with STORE_READ_FAILED. */
  async read(topic: string, queueId: number, where: number, target: Buffer): Promise<void> {
    for (let done = 0; done < target.length; ) {
      const fileFromOffset = this.fileFromOffset(where + done);
      const position = where + done - fileFromOffset;
      const length = Math.min(target.length - done, this.fileSize - position);
      const part = target.subarray(done, done + length);
      const path = this.filePath(topic, queueId, fileFromOffset);
      try {
        const count = await this.#files.use(path, (file) => file.read(part, position));
        if (count !== length) {
          throw new StoreError('STORE_READ_FAILED', `${path} ends at ${position + count}, expected ${this.fileSize}`, {
            path,
            position,
            expected: length,
            found: count,
          });
        }
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT')
          throw toStoreError('STORE_READ_FAILED', 'reading consume queue file', path, error);
        this.units.fill(part, 0, length);
      }
      done += length;
    }
  }

  /** Takes a file's synced pages out of the page cache; a file that is not there has none. See StoreFile.dropCache. */
  async dropCache(topic: string, queueId: number, fileFromOffset: number): Promise<void> {
    const path = this.filePath(topic, queueId, fileFromOffset);
    try {
      await this.#files.use(path, (file) => file.dropCache(0, this.fileSize));
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw toStoreError('STORE_READ_FAILED', 'dropping the cache of', path, error);
    }
  }

  /** Durably zeroes [from, to) of a queue, which lies in one file: stale units must never pass for entries later. */
  async zero(topic: string, queueId: number, from: number, to: number): Promise<void> {
    if (to <= from) return;
    const fileFromOffset = this.fileFromOffset(from);
    const path = this.filePath(topic, queueId, fileFromOffset);
    try {
      await this.#files.use(path, async (file) => {
        await file.write(Buffer.alloc(to - from), from - fileFromOffset);
        await file.sync();
      });
    } catch (error) {
      throw failStore(this.#context, 'STORE_WRITE_FAILED', 'zeroing the tail of', path, error);
    }
  }

  /**
   * Resolves when everything written before the call is *on disk*, names of new files and directories included. A failed
   * sync stops the store and is never tried again; without a descriptor to sync with it rejects, what could not be synced
   * is left for the next call, and the rest is synced all the same. What `checkTime` throws, asked in front of each file and
   * directory, ends it there.
   */
  async sync(checkTime: () => void = () => {}): Promise<void> {
    const paths = this.#unsynced;
    this.#unsynced = new Set();
    const lacks = new Lacks(this.#context);
    await this.#syncEach(
      paths,
      (path) => this.#syncFile(path),
      (path) => this.#unsynced.add(path),
      { lacks, checkTime },
    );
    await lacks.pass(() => this.syncDirectories(checkTime));
    lacks.throwFirst();
  }

  /** Resolves when every name made or removed before the call is *on disk*. Of a new file the content is not. */
  async syncDirectories(checkTime: () => void = () => {}): Promise<void> {
    const directories = this.#unsyncedDirectories;
    this.#unsyncedDirectories = new Set();
    const lacks = new Lacks(this.#context);
    await this.#syncEach(
      directories,
      (directory) => this.#syncDirectory(directory),
      (directory) => this.#unsyncedDirectories.add(directory),
      { lacks, checkTime },
    );
    lacks.throwFirst();
  }

  /** `keep` is called for each that is to be synced the next time: where a lack came in between, or all after an error. */
  async #syncEach(
    paths: ReadonlySet<string>,
    sync: (path: string) => Promise<void>,
    keep: (path: string) => void,
    { lacks, checkTime }: { lacks: Lacks; checkTime: () => void },
  ): Promise<void> {
    try {
      await forEachLimited(paths, QUEUE_IO_CONCURRENCY, async (path) => {
        checkTime();
        await lacks.pass(
          () => sync(path),
          () => keep(path),
        );
      });
    } catch (error) {
      for (const path of paths) keep(path);
      throw error;
    }
  }

  async removeFile(topic: string, queueId: number, fileFromOffset: number): Promise<void> {
    const path = this.filePath(topic, queueId, fileFromOffset);
    this.#files.forget(path);
    this.#unsynced.delete(path);
    this.#unfinished.delete(path);
    await this.#remove(path, () => this.#context.fileSystem.remove(path));
    this.#unsyncedDirectories.add(this.queueDirectory(topic, queueId));
  }

  /** Resolves when the names of a queue's removed files are gone *on disk*. */
  syncRemoved(topic: string, queueId: number): Promise<void> {
    return this.#syncDirectory(this.queueDirectory(topic, queueId));
  }

  /**
   * Removes a topic's directory, or that of one queue. It is gone *on disk* when this resolves: one that came back after a
   * power cut would pass for what is made in its place. Names of other files are not made durable with it.
   */
  async removeDirectory(topic: string, queueId?: number): Promise<void> {
    const path = queueId === undefined ? `${this.directory}/${topic}` : this.queueDirectory(topic, queueId);
    this.#files.forget(`${path}/`);
    for (const set of [this.#unsynced, this.#unsyncedDirectories, this.#unfinished]) {
      for (const name of set) if (name === path || name.startsWith(`${path}/`)) set.delete(name);
    }
    await this.#remove(path, () => this.#context.fileSystem.removeDirectory(path));
    // What a Java broker kept besides the entries, where it did.
    const extensions = storePaths(this.#context.config.storePathRootDir).consumeQueueExt;
    const extended = queueId === undefined ? `${extensions}/${topic}` : `${extensions}/${topic}/${queueId}`;
    await this.#remove(extended, () => this.#context.fileSystem.removeDirectory(extended));
    await this.#syncDirectory(dirname(path));
  }

  async close(): Promise<void> {
    await this.#files.close();
  }

  /**
   * Makes a file at its full size. What was written to the queue's other files is wholly on disk first, names and lengths
   * included: a power cut must not leave a later file without the one before it, nor a name without its length. That
   * costs two syncs each 300,000 entries. May be called again for a file whose making was interrupted by a lack.
   */
  async #create(topic: string, queueId: number, path: string): Promise<void> {
    const directory = this.queueDirectory(topic, queueId);
    if (this.#unsyncedDirectories.has(directory)) {
      for (const written of this.#unsynced) {
        if (written !== path && written.startsWith(`${directory}/`)) await this.#syncNow(written);
      }
      this.#unsyncedDirectories.delete(directory);
      try {
        await this.#syncDirectory(directory);
      } catch (error) {
        this.#unsyncedDirectories.add(directory);
        throw error;
      }
    } else {
      const previous = this.filePath(topic, queueId, Number(path.slice(-20)) - this.fileSize);
      if (this.#unsynced.has(previous)) await this.#syncNow(previous);
    }
    await this.#context.fileSystem.makeDirectory(directory, this.#context.config.storePathRootDir);
    this.#unfinished.add(path);
    const file = await this.#context.fileSystem.open(path, 'create');
    try {
      await file.truncate(this.fileSize);
    } finally {
      await file.close();
    }
    this.#unfinished.delete(path);
    this.markNamesUnsynced(topic, queueId);
  }

  /** A write that comes meanwhile counts as unsynced. */
  async #syncNow(path: string): Promise<void> {
    this.#unsynced.delete(path);
    try {
      await this.#syncFile(path);
    } catch (error) {
      this.#unsynced.add(path);
      throw error;
    }
  }

  /** The names of a queue's files, and of the directories above, may be in the page cache alone. */
  markNamesUnsynced(topic: string, queueId: number): void {
    this.#unsyncedDirectories.add(this.queueDirectory(topic, queueId));
    this.#unsyncedDirectories.add(`${this.directory}/${topic}`);
    this.#unsyncedDirectories.add(this.directory);
    this.#unsyncedDirectories.add(this.#context.config.storePathRootDir);
  }

  async #syncFile(path: string): Promise<void> {
    try {
      await this.#files.use(path, (file) => file.sync());
    } catch (error) {
      // A topic deleted meanwhile has nothing left that should be on disk.
      if (errnoOf(error) === 'ENOENT') return;
      throw failUnlessLack(this.#context, 'STORE_FLUSH_FAILED', 'fdatasync of consume queue file', path, error);
    }
  }

  async #syncDirectory(directory: string): Promise<void> {
    try {
      await this.#context.fileSystem.syncDirectory(directory);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return;
      throw failUnlessLack(this.#context, 'STORE_FLUSH_FAILED', 'fsync of directory', directory, error);
    }
  }

  async #remove(path: string, remove: () => Promise<void>): Promise<void> {
    try {
      await remove();
    } catch (error) {
      throw toStoreError('STORE_WRITE_FAILED', 'removing', path, error);
    }
  }
}
