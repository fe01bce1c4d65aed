import type { FileSystem, StoreFile, Traffic } from '../base/file-system.ts';
import { isDescriptorLack } from './spare-descriptors.ts';

interface Entry {
  readonly path: string;
  readonly opening: Promise<StoreFile>;
  users: number;
}

/**
 * Descriptors kept open for files that are asked for again: one a file, at most `openMax` as long as some are idle; of those
 * the least recently used goes first. A file in use is never closed: a descriptor that wrote is the one that syncs, for one
 * opened later may miss an error of the write-back. So a log of thousands of files, and fifty thousand queues, cost a bounded
 * number of descriptors and no mapping.
 */
export class OpenFiles {
  readonly fileSystem: FileSystem;
  readonly #openMax: number;
  readonly #traffic: Traffic | undefined;
  /** By path, in order of last use, the oldest first: a Map keeps insertion order. */
  readonly #entries = new Map<string, Entry>();
  readonly #byFile = new Map<StoreFile, Entry>();
  readonly #closing = new Set<Promise<void>>();

  constructor(fileSystem: FileSystem, openMax: number, traffic?: Traffic) {
    this.fileSystem = fileSystem;
    this.#openMax = openMax;
    this.#traffic = traffic;
    fileSystem.spareDescriptors?.register(this.#giveBack);
  }

  /** Descriptors open or being opened, but for those that only wait for their last user. */
  get openCount(): number {
    return this.#entries.size;
  }

  /** The file, opened for reading and writing when it is not; ENOENT when it is missing. Each acquire needs its release. */
  async acquire(path: string): Promise<StoreFile> {
    const entry = this.#enter(path);
    const file = await this.#opened(entry);
    this.#byFile.set(file, entry);
    return file;
  }

  release(file: StoreFile): void {
    const entry = this.#byFile.get(file);
    if (entry !== undefined) this.#leave(entry);
  }

  /** Runs `body` with the file. */
  async use<T>(path: string, body: (file: StoreFile) => Promise<T>): Promise<T> {
    const entry = this.#enter(path);
    const file = await this.#opened(entry);
    try {
      return await body(file);
    } finally {
      this.#leave(entry);
    }
  }

  #enter(path: string): Entry {
    let entry = this.#entries.get(path);
    if (entry === undefined) entry = { path, opening: this.#open(path), users: 0 };
    else this.#entries.delete(path);
    this.#entries.set(path, entry);
    entry.users++;
    return entry;
  }

  /** An opening that failed is not remembered. */
  async #opened(entry: Entry): Promise<StoreFile> {
    try {
      return await entry.opening;
    } catch (error) {
      if (this.#entries.get(entry.path) === entry) this.#entries.delete(entry.path);
      throw error;
    }
  }

  #leave(entry: Entry): void {
    entry.users--;
    if (this.#entries.get(entry.path) !== entry) {
      // Forgotten while in use: the last user closes it.
      if (entry.users === 0) this.#close(entry);
    } else if (this.#entries.size > this.#openMax) this.#evict(this.#openMax);
  }

  /** Lets go of a file, or of all whose path starts with `pathPrefix`; one in use is closed by its last user. */
  forget(pathPrefix: string): void {
    for (const [path, entry] of this.#entries) if (path.startsWith(pathPrefix)) this.#forgetEntry(entry);
  }

  /** Forgets one file, that is about to be removed or will not be asked for again; resolves when it is closed, if nobody
   * uses it. */
  async closeFile(path: string): Promise<void> {
    const entry = this.#entries.get(path);
    if (entry !== undefined) await this.#forgetEntry(entry);
  }

  /** Forgets all; resolves when every descriptor that nobody uses is closed. */
  async close(): Promise<void> {
    this.fileSystem.spareDescriptors?.unregister(this.#giveBack);
    this.forget('');
    await Promise.all(this.#closing);
  }

  /** When the process has no descriptor to spare, the idle ones here are the first to go. */
  async #open(path: string): Promise<StoreFile> {
    for (;;) {
      try {
        return await this.fileSystem.open(path, 'write', this.#traffic);
      } catch (error) {
        if (!isDescriptorLack(error) || !(await this.#giveBack())) throw error;
      }
    }
  }

  /** Those that another call is closing already count too: of many that lack one at once, the first finds all the idle. */
  readonly #giveBack = async (): Promise<boolean> => {
    this.#evict(0);
    if (this.#closing.size === 0) return false;
    await Promise.all(this.#closing);
    return true;
  };

  /** Closes idle ones until `count` are open; returns how many. */
  #evict(count: number): number {
    let closed = 0;
    for (const entry of this.#entries.values()) {
      if (this.#entries.size <= count) break;
      if (entry.users > 0) continue;
      this.#forgetEntry(entry);
      closed++;
    }
    return closed;
  }

  #forgetEntry(entry: Entry): Promise<void> | undefined {
    this.#entries.delete(entry.path);
    return entry.users === 0 ? this.#close(entry) : undefined;
  }

  /** A failing close loses nothing: what had to be durable was synced, and a failed sync has stopped the store. */
  #close(entry: Entry): Promise<void> {
    const closing: Promise<void> = entry.opening
      .then((file) => {
        this.#byFile.delete(file);
        return file.close();
      })
      .catch(() => {})
      .finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
    return closing;
  }
}
