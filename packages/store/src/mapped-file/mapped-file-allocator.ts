/**
 * Makes the next file of a log before it is needed (RocketMQ AllocateMappedFileService).
 *
 * A file is made in a sub-directory (which every reader of a log ignores, RocketMQ's too) and moved to its place when
 * it has its full size, because a file of another size in the log's own directory would keep the store from opening
 * after a crash:
 *
 *   allocating/NAME: create → free space checked, fallocate → fdatasync → rename to NAME → fsync of the directory
 *
 * Only then may it be used. Whatever fails, what was made so far is removed before the error is reported.
 */

import { basename, dirname, join } from 'node:path';
import type { StoreContext } from '../base/context.ts';
import { StoreError } from '../base/errors.ts';
import { offsetToFileName } from '../base/file-name.ts';
import type { StoreFile } from '../base/file-system.ts';
import type { OpenFiles } from '../io/open-files.ts';

/** A file made and opened; whoever takes it releases it. */
export interface AllocatedFile {
  path: string;
  file: StoreFile;
}

const STAGING = 'allocating';
/** A disk that had no room a moment ago is not asked again for each message. */
const RETRY_AFTER_MS = 1_000;

export class MappedFileAllocator {
  readonly #context: StoreContext;
  readonly #directory: string;
  readonly #fileSize: number;
  readonly #openFiles: OpenFiles;
  #making: { offset: number; done: Promise<void> } | undefined;
  #ready: (AllocatedFile & { offset: number }) | undefined;
  #failed: { error: StoreError; atMs: number } | undefined;
  #closed = false;
  #directoryDurable = false;

  constructor(context: StoreContext, directory: string, fileSize: number, openFiles: OpenFiles) {
    this.#context = context;
    this.#openFiles = openFiles;
    this.#directory = directory;
    this.#fileSize = fileSize;
  }

  /** Begins to make the file that starts at `offset`, unless it is made, being made, or failed a moment ago. */
  prepare(offset: number): void {
    if (this.#ready?.offset === offset || this.#making !== undefined || this.#closed) return;
    if (this.#failed !== undefined && this.#context.clock.monotonic() - this.#failed.atMs < RETRY_AFTER_MS) return;
    const done = this.#make(offset);
    this.#making = { offset, done };
    // Nobody may be waiting; whoever needs the file asks whenReady().
    done.catch(() => {});
  }

  /** The file that starts at `offset`, handed over once; undefined when it is not ready. */
  take(offset: number): AllocatedFile | undefined {
    const ready = this.#ready;
    if (ready === undefined || ready.offset !== offset) return undefined;
    this.#ready = undefined;
    return ready;
  }

  /** Resolves when take(offset) has it. Rejects with STORE_DISK_FULL or STORE_ALLOCATE_FAILED. */
  async whenReady(offset: number): Promise<void> {
    if (this.#ready?.offset === offset) return;
    this.prepare(offset);
    if (this.#making !== undefined) await this.#making.done;
    else if (this.#closed) throw new StoreError('STORE_CLOSED', 'the log is closed', { directory: this.#directory });
    else if (this.#failed !== undefined) throw this.#failed.error;
  }

  /** Removes what a crash left in the sub-directory. */
  async cleanUp(): Promise<void> {
    await this.#context.fileSystem.removeDirectory(join(this.#directory, STAGING));
  }

  /** Waits for the file being made and removes it if nobody took it. After a failure nothing is removed: recovery does. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#making?.done.catch(() => {});
    if (this.#context.failure !== undefined) {
      if (this.#ready !== undefined) this.#openFiles.release(this.#ready.file);
      return;
    }
    await this.#dropReady();
    await this.cleanUp();
  }

  /** A file made for an offset that is no longer the next one (the log was cut), or that nobody will take. */
  async #dropReady(): Promise<void> {
    const ready = this.#ready;
    if (ready === undefined) return;
    this.#ready = undefined;
    this.#openFiles.release(ready.file);
    await this.#openFiles.closeFile(ready.path);
    await this.#context.fileSystem.remove(ready.path);
  }

  async #make(offset: number): Promise<void> {
    const path = join(this.#directory, offsetToFileName(offset));
    try {
      await this.#dropReady();
      await this.#makeDirectories();
      await this.#makeFile(path);
      this.#ready = { offset, path, file: await this.#openFiles.acquire(path) };
      this.#failed = undefined;
    } catch (error) {
      await this.#undo(path);
      const failure = this.#wrap(path, error);
      this.#failed = { error: failure, atMs: this.#context.clock.monotonic() };
      this.#context.logger.warn({ ...failure.details, code: failure.code }, failure.message);
      throw failure;
    } finally {
      this.#making = undefined;
    }
  }

  async #makeDirectories(): Promise<void> {
    const { fileSystem } = this.#context;
    await fileSystem.makeDirectory(join(this.#directory, STAGING), this.#directory);
    if (this.#directoryDurable) return;
    await fileSystem.syncDirectory(dirname(this.#directory));
    this.#directoryDurable = true;
  }

  async #makeFile(path: string): Promise<void> {
    const { fileSystem, config } = this.#context;
    const staged = join(this.#directory, STAGING, basename(path));
    const file = await fileSystem.open(staged, 'create');
    try {
      await file.allocate(this.#fileSize, config.diskFreeBytesMin);
      await file.sync();
    } finally {
      await file.close();
    }
    await fileSystem.rename(staged, path);
    await fileSystem.syncDirectory(this.#directory);
  }

  /** Best effort: the error that led here is the one to report. */
  async #undo(path: string): Promise<void> {
    const { fileSystem } = this.#context;
    await fileSystem.remove(path).catch(() => {});
    await fileSystem.removeDirectory(join(this.#directory, STAGING)).catch(() => {});
  }

  #wrap(path: string, cause: unknown): StoreError {
    if (cause instanceof StoreError) return cause;
    const errno = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    const details = { file: path, bytes: this.#fileSize, errno };
    const why = cause instanceof Error ? cause.message : String(cause);
    const message = `the next file of the log, ${path} (${this.#fileSize} bytes), could not be made: ${why}`;
    return new StoreError(errno === 'ENOSPC' ? 'STORE_DISK_FULL' : 'STORE_ALLOCATE_FAILED', message, details, cause);
  }
}
