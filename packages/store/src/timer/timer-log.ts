import { dirname } from 'node:path';
import { StoreError } from '../base/errors.ts';
import { isOffsetName, offsetToFileName } from '../base/file-name.ts';
import type { FileSystem, StoreFile } from '../base/file-system.ts';
import { errnoOf, toStoreError } from '../base/queue-failure.ts';
import { OpenFiles } from '../io/open-files.ts';
import {
  BLANK_BYTES_MIN,
  blank,
  isBlank,
  isFileFull,
  readUnit,
  type TimerUnit,
  UNIT_BYTES,
  writeUnit,
} from './timer-layout.ts';

const OPEN_FILES_MAX = 4;
/** Units that are not written yet; more are written before the next one is taken. */
const TAIL_BYTES = 64 * 1024;
/** Read at a time; a unit that begins in a block is whole in it. */
const BLOCK_BYTES = 16 * 1024;
const BLOCKS_MAX = 32;
const SCAN_BYTES = UNIT_BYTES * 4096;

export interface TimerLogOptions {
  /** Bytes of a file that is made; files that are there keep their size. */
  readonly fileSize: number;
  /** Bytes that stay free on the disk when a file is made. */
  readonly freeBytesMin: number;
}

/** What a scan is told of each unit. */
export type UnitVisit = (unit: TimerUnit, position: number) => void;

/**
 * The files under `timerlog/` (RocketMQ TimerLog): units one behind the other, never changed. A *position* is a byte of the
 * whole log, as Java counts it; files are named by the position of their first byte.
 *
 * - A file is made with its full size, and its name is on disk before a unit is written to it.
 * - Appended units are in memory (at most 64 KiB) until writeOut(), on disk after sync(). reads see all of them.
 * - Appends and writeOut are not called while one of them is under way; reads may be.
 */
export class TimerLog {
  readonly directory: string;
  readonly #fileSystem: FileSystem;
  readonly #options: TimerLogOptions;
  readonly #files: OpenFiles;
  readonly #blocks = new Map<number, Buffer>();
  /** Written since their last sync, and held open: the descriptor that wrote is the one that syncs. */
  readonly #unsynced = new Map<string, StoreFile>();
  #fileSize: number;
  #minPosition = 0;
  /** Behind the last file. */
  #filesEnd = 0;
  #end = 0;
  readonly #tail = Buffer.allocUnsafe(TAIL_BYTES);
  #tailFrom = 0;
  /** Calls that read a file, for assertions about cost. */
  readCalls = 0;

  constructor(directory: string, fileSystem: FileSystem, options: TimerLogOptions) {
    this.directory = directory;
    this.#fileSystem = fileSystem;
    this.#options = options;
    this.#fileSize = options.fileSize;
    this.#files = new OpenFiles(fileSystem, OPEN_FILES_MAX);
  }

  /** Position of the oldest unit there may be. */
  get minPosition(): number {
    return this.#minPosition;
  }

  /** Position of the next unit. */
  get end(): number {
    return this.#end;
  }

  get fileSize(): number {
    return this.#fileSize;
  }

  get hasFiles(): boolean {
    return this.#filesEnd > this.#minPosition;
  }

  /**
   * Looks at what is there. False: the files do not follow one another or have different sizes. A last file of another
   * size is one whose making was cut off, and is removed when it begins with no unit.
   */
  async load(): Promise<boolean> {
    const names = (await this.#fileSystem.list(this.directory)).filter(isOffsetName);
    const sizes: number[] = [];
    for (const name of names) sizes.push((await this.#fileSystem.stat(`${this.directory}/${name}`))?.size ?? 0);
    if (names.length > 0) this.#fileSize = sizes[0]! > 0 ? sizes[0]! : this.#options.fileSize;
    const last = names.length - 1;
    if (last > 0 || sizes[0] === 0) {
      const path = `${this.directory}/${names[last]}`;
      if (sizes[last] !== this.#fileSize && !(await this.#beginsWithUnit(path, Number(names[last])))) {
        await this.#fileSystem.remove(path);
        await this.#fileSystem.syncDirectory(this.directory);
        names.pop();
        sizes.pop();
      }
    }
    if (names.length === 0) {
      this.#fileSize = this.#options.fileSize;
      return true;
    }
    this.#minPosition = Number(names[0]);
    this.#filesEnd = this.#minPosition + names.length * this.#fileSize;
    this.#end = this.#minPosition;
    this.#tailFrom = this.#end;
    const isFile = (size: number, i: number): boolean =>
      size === this.#fileSize && Number(names[i]) === this.#minPosition + i * this.#fileSize;
    const isPlaced = this.#fileSize >= UNIT_BYTES + BLANK_BYTES_MIN && this.#minPosition % this.#fileSize === 0;
    return isPlaced && sizes.every(isFile);
  }

  async #beginsWithUnit(path: string, position: number): Promise<boolean> {
    const bytes = Buffer.alloc(UNIT_BYTES);
    const count = await this.#files.use(path, (file) => file.read(bytes, 0));
    await this.#files.closeFile(path);
    return readUnit(bytes.subarray(0, count), 0, position) !== undefined;
  }

  /** The place where the unit in front of `position` begins; undefined at the beginning of the log. */
  before(position: number): number | undefined {
    if (position <= this.#minPosition) return undefined;
    const inFile = position % this.#fileSize;
    if (inFile > 0) return position - UNIT_BYTES;
    const units = Math.floor((this.#fileSize - BLANK_BYTES_MIN) / UNIT_BYTES);
    return position - this.#fileSize + (units - 1) * UNIT_BYTES;
  }

  /** A place where a unit may begin, at or in front of `position`. */
  aligned(position: number): number {
    const inFile = position % this.#fileSize;
    return position - inFile + Math.floor(inFile / UNIT_BYTES) * UNIT_BYTES;
  }

  /**
   * Goes over the units from `from` up to `to`; resolves with the place of the first one that is none, or `to`.
   * `passesOver`: what is no unit is left out, and the next place is looked at. What is read goes by blocks, so that memory
   * does not grow with the log.
   */
  async scan(from: number, to: number, visit: UnitVisit, passesOver = false): Promise<number> {
    const size = this.#fileSize;
    for (let position = from; position < to; ) {
      const inFile = position % size;
      let isFileOver = isFileFull(inFile, size);
      if (!isFileOver) {
        const length = Math.min(SCAN_BYTES, size - inFile, to - position);
        if (length < UNIT_BYTES) return position;
        const bytes = await this.#readFile(position, length);
        let at = 0;
        for (; at + UNIT_BYTES <= length && !isFileFull(inFile + at, size); at += UNIT_BYTES) {
          const unit = readUnit(bytes, at, position + at);
          if (unit === undefined) {
            if (passesOver) continue;
            // A blank stands earlier where Java ended a file early; it skips the rest too.
            if (!isBlank(bytes, at)) return position + at;
            isFileOver = true;
            break;
          }
          visit(unit, position + at);
        }
        position += at;
      }
      if (isFileOver) position += size - (position % size);
    }
    return to;
  }

  /** Everything behind the last file. */
  get filesEnd(): number {
    return this.#filesEnd;
  }

  /**
   * Recovery: the log ends here. What stands behind it is made zeros and further files are removed, on disk when this
   * resolves, so that no old unit is taken for a new one after a crash. `isClean`: nothing stands behind it.
   */
  async cut(end: number, isClean: boolean): Promise<void> {
    const keepTo = Math.max(this.#minPosition, Math.ceil(end / this.#fileSize) * this.#fileSize);
    for (let position = this.#filesEnd - this.#fileSize; position >= keepTo; position -= this.#fileSize) {
      await this.#files.closeFile(this.#pathOf(position));
      await this.#fileSystem.remove(this.#pathOf(position));
      this.#filesEnd = position;
    }
    const inFile = end % this.#fileSize;
    if (!isClean && this.#filesEnd > end && inFile > 0) {
      await this.#files.use(this.#pathOf(end), async (file) => {
        await file.zeroRange(inFile, this.#fileSize - inFile);
        await file.sync();
      });
    }
    if (!isClean && this.#filesEnd > this.#minPosition) await this.#fileSystem.syncDirectory(this.directory);
    this.#end = end;
    this.#tailFrom = end;
    this.#blocks.clear();
  }

  /**
   * Recovery: [from, end) is *on disk* when this resolves. A process that was killed may have written it and not synced, and
   * no later sync of this process would cover it. It is written again, because a page whose write-back failed once counts
   * as clean.
   */
  async rewrite(from: number): Promise<void> {
    for (let position = from; position < this.#end; ) {
      const length = Math.min(SCAN_BYTES, this.#fileSize - (position % this.#fileSize), this.#end - position);
      await this.#write(position, await this.#readFile(position, length));
      position += length;
    }
    await this.sync();
  }

  /** Takes [from, filesEnd) out of the page cache, whose pages may say what the disk does not have. */
  async dropCache(from: number): Promise<void> {
    for (let at = from - (from % this.#fileSize); at < this.#filesEnd; at += this.#fileSize) {
      await this.#files.use(this.#pathOf(at), (file) => file.dropCache(0, this.#fileSize));
    }
  }

  /** In memory. Resolves with the unit's position. Rejects STORE_DISK_FULL when there is no room for a new file. */
  async append(unit: TimerUnit): Promise<number> {
    const inFile = this.#end % this.#fileSize;
    if (this.#end < this.#filesEnd && isFileFull(inFile, this.#fileSize)) {
      await this.writeOut();
      const bytes = blank(this.#fileSize - inFile);
      await this.#write(this.#end, bytes);
      this.#end += this.#fileSize - inFile;
      this.#tailFrom = this.#end;
    }
    if (this.#end >= this.#filesEnd) await this.#addFile();
    if (this.#end - this.#tailFrom + UNIT_BYTES > TAIL_BYTES) await this.writeOut();
    writeUnit(this.#tail, this.#end - this.#tailFrom, unit);
    const position = this.#end;
    this.#end += UNIT_BYTES;
    return position;
  }

  /** Resolves when all units are *written*. */
  async writeOut(): Promise<void> {
    const length = this.#end - this.#tailFrom;
    if (length === 0) return;
    await this.#write(this.#tailFrom, Buffer.from(this.#tail.subarray(0, length)));
    this.#tailFrom += length;
  }

  /** Resolves when everything that was written before the call is *on disk*. Never to be repeated after a failure. */
  async sync(): Promise<void> {
    const files = [...this.#unsynced];
    for (const [path, file] of files) {
      this.#unsynced.delete(path);
      try {
        await file.sync();
      } catch (error) {
        // Whatever its reason: the units that it did not write are in no memory, and no later sync brings them.
        const message = `syncing timer log file ${path} failed: ${errnoOf(error) || String(error)}`;
        throw new StoreError('STORE_FLUSH_FAILED', message, { path, errno: errnoOf(error) }, error);
      } finally {
        this.#files.release(file);
      }
    }
  }

  /** The unit at this position; undefined when there is none. Rejects STORE_READ_FAILED. */
  async read(position: number): Promise<TimerUnit | undefined> {
    if (position < this.#minPosition || position + UNIT_BYTES > this.#end) return undefined;
    if (position >= this.#tailFrom) return readUnit(this.#tail, position - this.#tailFrom, position);
    const inFile = position % this.#fileSize;
    const blockAt = position - (inFile % BLOCK_BYTES);
    const bytes = this.#blocks.get(blockAt) ?? (await this.#readBlock(blockAt));
    return readUnit(bytes, position - blockAt, position);
  }

  async #readBlock(blockAt: number): Promise<Buffer> {
    const written = this.#tailFrom;
    const length = Math.min(BLOCK_BYTES + UNIT_BYTES, this.#fileSize - (blockAt % this.#fileSize));
    const bytes = await this.#readFile(blockAt, length);
    // Only what nothing is written to any more.
    if (blockAt + length <= written) {
      this.#blocks.set(blockAt, bytes);
      if (this.#blocks.size > BLOCKS_MAX) this.#blocks.delete(this.#blocks.keys().next().value!);
    }
    return bytes;
  }

  /**
   * Removes the oldest files whose last unit's record lies below `minLogOffset`, never the last file. Resolves with the
   * number of files removed.
   */
  async deleteExpired(minLogOffset: number): Promise<number> {
    let removed = 0;
    while (this.#end - this.#minPosition >= this.#fileSize && this.#filesEnd - this.#minPosition > this.#fileSize) {
      const last = await this.read(this.before(this.#minPosition + this.#fileSize)!);
      if (last === undefined || last.logOffset >= minLogOffset) break;
      const path = this.#pathOf(this.#minPosition);
      this.#minPosition += this.#fileSize;
      this.#blocks.clear();
      await this.#files.closeFile(path);
      await this.#fileSystem.remove(path);
      removed++;
    }
    return removed;
  }

  /** Removes all files: what they hold is made anew. */
  async removeAll(): Promise<void> {
    await this.#files.close();
    await this.#fileSystem.removeDirectory(this.directory);
    await this.#fileSystem.syncDirectory(dirname(this.directory));
    this.#minPosition = 0;
    this.#filesEnd = 0;
    this.#end = 0;
    this.#tailFrom = 0;
    this.#fileSize = this.#options.fileSize;
    this.#blocks.clear();
  }

  async close(): Promise<void> {
    for (const file of this.#unsynced.values()) this.#files.release(file);
    this.#unsynced.clear();
    await this.#files.close();
  }

  async #addFile(): Promise<void> {
    const path = this.#pathOf(this.#filesEnd);
    try {
      if (!(await this.#fileSystem.stat(this.directory))?.isDirectory) {
        await this.#fileSystem.makeDirectory(this.directory, dirname(this.directory));
      }
      await this.#fileSystem.syncDirectory(dirname(this.directory));
      const file = await this.#fileSystem.open(path, 'create');
      try {
        await file.allocate(this.#fileSize, this.#options.freeBytesMin);
        await file.sync();
      } finally {
        await file.close();
      }
      await this.#fileSystem.syncDirectory(this.directory);
    } catch (error) {
      throw toStoreError('STORE_ALLOCATE_FAILED', 'making timer log file', path, error);
    }
    this.#filesEnd += this.#fileSize;
  }

  async #write(position: number, bytes: Buffer): Promise<void> {
    const path = this.#pathOf(position);
    try {
      let file = this.#unsynced.get(path);
      if (file === undefined) {
        file = await this.#files.acquire(path);
        this.#unsynced.set(path, file);
      }
      await file.write(bytes, position % this.#fileSize);
    } catch (error) {
      throw toStoreError('STORE_WRITE_FAILED', 'writing timer log file', path, error);
    }
  }

  async #readFile(position: number, length: number): Promise<Buffer> {
    const path = this.#pathOf(position);
    const bytes = Buffer.allocUnsafe(length);
    this.readCalls++;
    try {
      const count = await this.#files.use(path, (file) => file.read(bytes, position % this.#fileSize));
      if (count === length) return bytes;
      throw new StoreError('STORE_READ_FAILED', `${path} ends at ${(position % this.#fileSize) + count}`, {
        ...{ path, position, expected: length, found: count },
      });
    } catch (error) {
      throw toStoreError('STORE_READ_FAILED', 'reading timer log file', path, error);
    }
  }

  #pathOf(position: number): string {
    return `${this.directory}/${offsetToFileName(position - (position % this.#fileSize))}`;
  }
}
