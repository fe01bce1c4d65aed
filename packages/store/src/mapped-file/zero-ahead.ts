/**
 * Writes zeros over the reserved blocks that come next (own key `zeroAheadBytes`). Blocks that fallocate reserved count
 * as unwritten: the first flush into each of them also commits the file system's journal, which costs more than the
 * flush. Over blocks that were written before, a flush is a flush. Zeros over zeros: what a crash leaves is the same.
 *
 * The one danger is a zero that lands on a record. Two rules exclude it:
 * - A chunk begins at or behind wrotePosition as it is when the chunk begins: whatever is being written then lies before.
 * - A write that reaches into a chunk under way waits for it: clear().
 */
import type { StoreContext } from '../base/context.ts';
import type { StoreFile } from '../base/file-system.ts';

const PAGE = 4096;
const CHUNK_BYTES_MAX = 4 * 1024 * 1024;

export class ZeroAhead {
  readonly #context: StoreContext;
  readonly #fileName: string;
  readonly #fileSize: number;
  readonly #aheadBytes: number;
  readonly #zeros: Buffer;
  #file: StoreFile | undefined;
  readonly #syncFailed: (from: number, to: number, error: unknown) => void;
  #zeroedTo = 0;
  /** The chunk under way. */
  #running: { from: number; done: Promise<void> } | undefined;
  #stopped = false;

  /** @param syncFailed stops the store; called once, with the range and the error of a sync that failed. */
  constructor(
    context: StoreContext,
    fileName: string,
    fileSize: number,
    syncFailed: (from: number, to: number, error: unknown) => void,
  ) {
    this.#context = context;
    this.#syncFailed = syncFailed;
    this.#fileName = fileName;
    this.#fileSize = fileSize;
    this.#aheadBytes = context.config.zeroAheadBytes;
    const chunk = Math.min(CHUNK_BYTES_MAX, Math.floor(this.#aheadBytes / 4));
    this.#zeros = Buffer.alloc(Math.max(PAGE, chunk - (chunk % PAGE)));
  }

  /** Appends reached `wrotePosition`; begins the next chunk unless enough lies ahead or one is under way. */
  follow(wrotePosition: number): void {
    if (this.#running !== undefined || this.#stopped || this.#context.failure !== undefined) return;
    const from = Math.ceil(Math.max(this.#zeroedTo, wrotePosition) / PAGE) * PAGE;
    if (from >= this.#fileSize || from + this.#zeros.length - wrotePosition > this.#aheadBytes) return;
    this.#running = { from, done: this.#zero(from) };
  }

  /** What a write that ends at `position` has to wait for; undefined, mostly, for nothing. No chunk that begins later can
   * be in its way: it begins at or behind wrotePosition, and `position` lies before that. */
  clear(position: number): Promise<void> | undefined {
    return this.#running !== undefined && position > this.#running.from ? this.#running.done : undefined;
  }

  /** Waits for the chunk under way; nothing is written afterwards. */
  async close(): Promise<void> {
    this.#stopped = true;
    await this.#running?.done;
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  async #zero(from: number): Promise<void> {
    const length = Math.min(this.#zeros.length, this.#fileSize - from);
    try {
      if (!(await this.#write(from, length))) return;
      try {
        await this.#file!.sync();
      } catch (error) {
        // As fatal as a failed flush: records come into these very pages, and the next sync of them may report success for
        // what never gets to the disk (docs/design/recovery.md).
        this.#stopped = true;
        this.#syncFailed(from, from + length, error);
        return;
      }
      this.#zeroedTo = from + length;
    } finally {
      this.#running = undefined;
    }
  }

  /** False when it failed, which only means that flushes get slower: what was not written is as it was. */
  async #write(from: number, length: number): Promise<boolean> {
    try {
      this.#file ??= await this.#context.fileSystem.open(this.#fileName, 'write');
      await this.#file.write(this.#zeros.subarray(0, length), from);
      return true;
    } catch (error) {
      this.#stopped = true;
      const errno = (error as NodeJS.ErrnoException).code;
      this.#context.logger.warn({ file: this.#fileName, position: from, errno }, 'zeroing ahead of the log stopped');
      return false;
    }
  }
}
