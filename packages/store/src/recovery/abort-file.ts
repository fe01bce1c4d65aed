import { dirname } from 'node:path';
import type { FileSystem, StoreFile } from '../base/file-system.ts';
import { notAFileError } from '../base/not-a-file.ts';
import { errnoOf } from '../base/queue-failure.ts';

/**
 * The file `abort` in the store's root (RocketMQ StorePathConfigHelper.getAbortFile): created at the end of start,
 * removed by a clean shutdown. Found at start, it says that the store was not shut down cleanly. Holds the process id
 * in decimal, for whoever wonders which process it was.
 */
export class AbortFile {
  readonly path: string;
  readonly #fileSystem: FileSystem;

  constructor(path: string, fileSystem: FileSystem) {
    this.path = path;
    this.#fileSystem = fileSystem;
  }

  /** True: the store was not shut down cleanly (or a start did not get to its end). Rejects STORE_NOT_A_FILE. */
  async exists(): Promise<boolean> {
    const stat = await this.#fileSystem.stat(this.path);
    if (stat?.isDirectory) throw notAFileError(this.path, 'a directory');
    return stat !== undefined;
  }

  /**
   * Resolves when the file and its name are *on disk*. It must be, before the first message is acknowledged: after a
   * power cut a store without it would pass for one that was shut down cleanly.
   */
  async create(processId: number = process.pid): Promise<void> {
    const file = await this.#fileSystem.open(this.path, 'create');
    try {
      // A longer id may be there from a process that did not remove it.
      await file.truncate(0);
      await this.#writeId(file, processId);
      await file.sync();
    } finally {
      await file.close();
    }
    await this.#fileSystem.syncDirectory(dirname(this.path));
  }

  /** The file counts and not what it says: a disk that is full to its last block must not keep a store from being read. */
  async #writeId(file: StoreFile, processId: number): Promise<void> {
    try {
      await file.write(Buffer.from(String(processId), 'latin1'), 0);
    } catch (error) {
      if (errnoOf(error) !== 'ENOSPC' && errnoOf(error) !== 'EDQUOT') throw error;
    }
  }

  /** Resolves when the name is gone *on disk*. Only after everything else is there. */
  async remove(): Promise<void> {
    await this.#fileSystem.remove(this.path);
    await this.#fileSystem.syncDirectory(dirname(this.path));
  }
}
