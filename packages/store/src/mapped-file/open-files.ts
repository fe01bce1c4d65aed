/**
 * The descriptors of one log. A file that is being appended to or not flushed yet stays open (the descriptor that wrote
 * is the one that syncs: a descriptor opened later may miss a write-back error). Of the others the most recently used
 * few stay open for readers, so that a log of thousands of files costs a handful of descriptors and no mapping.
 */
import type { FileSystem, StoreFile } from '../io/file-system.ts';

interface Entry {
  path: string;
  opening: Promise<StoreFile>;
  users: number;
  /** The file is gone from the log; its descriptor is closed with the last user, never under a running call. */
  doomed: boolean;
}

/** Descriptors kept for files that nobody uses at the moment. */
const IDLE_MAX = 8;

export class OpenFiles {
  readonly fileSystem: FileSystem;
  /** By path, in order of last use, the oldest first: a Map keeps insertion order. */
  readonly #entries = new Map<string, Entry>();
  readonly #byFile = new Map<StoreFile, Entry>();

  constructor(fileSystem: FileSystem) {
    this.fileSystem = fileSystem;
  }

  /** The file, open for reading and writing. Each acquire needs its release. */
  async acquire(path: string): Promise<StoreFile> {
    let entry = this.#entries.get(path);
    if (entry === undefined) {
      entry = { path, opening: this.fileSystem.open(path, 'write', 'log'), users: 0, doomed: false };
    } else {
      this.#entries.delete(path);
    }
    this.#entries.set(path, entry);
    entry.users++;
    try {
      const file = await entry.opening;
      this.#byFile.set(file, entry);
      return file;
    } catch (error) {
      if (this.#entries.get(path) === entry) this.#entries.delete(path);
      throw error;
    }
  }

  release(file: StoreFile): void {
    const entry = this.#byFile.get(file);
    if (entry === undefined) return;
    entry.users--;
    if (entry.doomed && entry.users === 0) this.#closeIdle(file, entry);
    else this.#closeLeastRecent();
  }

  /** Forgets a file that is about to be removed, or that nobody will ask for again; closed when its users are done. */
  async close(path: string): Promise<void> {
    const entry = this.#entries.get(path);
    if (entry === undefined) return;
    this.#entries.delete(path);
    entry.doomed = true;
    const file = await entry.opening.catch(() => undefined);
    if (file === undefined || entry.users > 0) return;
    this.#byFile.delete(file);
    await file.close();
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#entries.keys()].map((path) => this.close(path)));
  }

  /** Descriptors open or being opened; for tests and diagnosis. */
  get count(): number {
    return this.#entries.size;
  }

  #closeLeastRecent(): void {
    let idle = 0;
    for (const entry of this.#entries.values()) if (entry.users === 0) idle++;
    for (const entry of this.#entries.values()) {
      if (idle <= IDLE_MAX) return;
      if (entry.users > 0) continue;
      idle--;
      this.#entries.delete(entry.path);
      entry.opening.then((file) => this.#closeIdle(file, entry)).catch(() => {});
    }
  }

  #closeIdle(file: StoreFile, entry: Entry): void {
    if (entry.users > 0) return;
    this.#byFile.delete(file);
    // Nothing unflushed is behind an idle descriptor, so an error of close() tells nothing about the data.
    file.close().catch(() => {});
  }
}
