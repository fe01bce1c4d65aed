/**
 * One file of the commit log, named by its first offset, of fixed size. Three positions, in bytes inside this file:
 *
 *   0 ≤ flushedPosition ≤ committedPosition ≤ wrotePosition ≤ fileSize
 *       on disk           written (page cache)  in memory
 *
 * Engines: channel (append buffers + pwrite), mmap (mapping + msync), transient pool (pool buffer + commit).
 * With mmap a byte is written as soon as it is appended, so committedPosition equals wrotePosition.
 */
export interface MappedFile {
  readonly fileName: string;
  /** Offset in the log of this file's first byte; its name in decimal, padded with zeros to 20 characters. */
  readonly fileFromOffset: number;
  readonly fileSize: number;
  readonly wrotePosition: number;
  readonly committedPosition: number;
  readonly flushedPosition: number;
  readonly isFull: boolean;
  /** storeTimestamp of the newest record appended, 0 before the first; the checkpoint's physicMsgTimestamp at a flush. */
  storeTimestamp: number;

  /**
   * Finds room in memory for the next `size` bytes at wrotePosition, in one piece. True: write them now (same turn of
   * the event loop) into `target` from index `targetStart`, then publish them with advance(). False: no buffer can be
   * had now (all hold bytes that are not written yet): backpressure, nothing changed; commit() frees buffers.
   * `size` must fit in fileSize - wrotePosition. The content before it is filled is unspecified. Calling it again
   * without advance() starts over. No view is made per record, so that the hot path allocates nothing.
   */
  reserve(size: number): boolean;
  /** Where the last successful reserve() found room; anything outside [targetStart, targetStart + size) is not yours. */
  readonly target: Buffer;
  readonly targetStart: number;
  /** Publishes the first `size` bytes of the last reserve(): wrotePosition moves. `end` true also closes the file: the
   * position goes to fileSize (what follows the BLANK marker is left as it is on disk). */
  advance(size: number, end?: boolean): void;

  /** Bytes that memory still holds, without I/O, or undefined. A view: valid until this turn of the event loop ends. */
  selectHot(position: number, size: number): Buffer | undefined;
  /** Reads from memory when held, else from the file on the lane, into a fresh buffer or the start of `target`. Rejects
   * STORE_READ_FAILED. */
  read(position: number, size: number, target?: Buffer): Promise<Buffer>;

  isAbleToCommit(commitLeastPages: number): boolean;
  isAbleToFlush(flushLeastPages: number): boolean;
  /** Hands what was appended up to now to the OS. Resolves with the new committedPosition: those bytes are *written*. */
  commit(commitLeastPages: number): Promise<number>;
  /** Commits, then forces. Resolves with the new flushedPosition: those bytes are *on disk*. A failure is never retried. */
  flush(flushLeastPages: number): Promise<number>;

  /** Recovery only: sets the three positions of a file that was loaded from disk. */
  setPositions(position: number): void;
  /** Recovery only: durably zeroes [position, fileSize) so that stale bytes can never pass for records. */
  zeroTail(position: number): Promise<void>;

  /** Reference count: a reader holds the file while it reads; destroy() waits for it. False once destroyed. */
  hold(): boolean;
  release(): void;
  /** Closes and unlinks once nobody holds it. `forceAfterMs`: then without waiting (destroyMapedFileIntervalForcibly). */
  destroy(forceAfterMs: number): Promise<void>;
  close(): Promise<void>;
}
