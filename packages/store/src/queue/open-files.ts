import type { FileSystem, StoreFile } from '../io/file-system.ts';

interface OpenFile {
  opening: Promise<StoreFile>;
  users: number;
}

/**
 * Descriptors kept open, at most `openFilesMax` that nobody is using: the least recently used goes first. Fifty thousand
 * queues then need no descriptor each (a process may have 20,000 files). In use a file is never closed.
 */
export class OpenFiles {
  readonly #fileSystem: FileSystem;
  readonly #openFilesMax: number;
  /** In order of use, oldest first. */
  readonly #files = new Map<string, OpenFile>();
  readonly #closing = new Set<Promise<void>>();

  constructor(fileSystem: FileSystem, openFilesMax: number) {
    this.#fileSystem = fileSystem;
    this.#openFilesMax = openFilesMax;
  }

  get openCount(): number {
    return this.#files.size;
  }

  /** Runs `body` with the file, which is opened for reading and writing first when it is not; ENOENT when it is missing. */
  async use<T>(path: string, body: (file: StoreFile) => Promise<T>): Promise<T> {
    let entry = this.#files.get(path);
    if (entry === undefined) entry = { opening: this.#fileSystem.open(path, 'write'), users: 0 };
    else this.#files.delete(path);
    this.#files.set(path, entry);
    entry.users++;
    try {
      let file: StoreFile;
      try {
        file = await entry.opening;
      } catch (error) {
        if (this.#files.get(path) === entry) this.#files.delete(path);
        throw error;
      }
      return await body(file);
    } finally {
      entry.users--;
      if (this.#files.get(path) !== entry) {
        // Forgotten while in use: the last user closes it.
        if (entry.users === 0) this.#close(entry);
      } else if (this.#files.size > this.#openFilesMax) this.#evict();
    }
  }

  /** Lets go of one file, or of all whose path starts with `pathPrefix`; one in use is closed by its last user. */
  forget(pathPrefix: string): void {
    for (const [path, entry] of this.#files) {
      if (!path.startsWith(pathPrefix)) continue;
      this.#files.delete(path);
      if (entry.users === 0) this.#close(entry);
    }
  }

  /** Resolves when every descriptor nobody uses is closed. */
  async close(): Promise<void> {
    this.forget('');
    await Promise.all(this.#closing);
  }

  #evict(): void {
    for (const [path, entry] of this.#files) {
      if (this.#files.size <= this.#openFilesMax) return;
      if (entry.users > 0) continue;
      this.#files.delete(path);
      this.#close(entry);
    }
  }

  /** A failing close loses nothing: what had to be durable was synced, and a failed sync has stopped the store. */
  #close(entry: OpenFile): void {
    const closing: Promise<void> = entry.opening
      .then((file) => file.close())
      .catch(() => {})
      .finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}
