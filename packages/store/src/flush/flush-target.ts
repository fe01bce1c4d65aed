import { StoreError } from '../base/errors.ts';

/** What the flush services need of the log: MappedFileQueue is one. */
export interface FlushTarget {
  readonly maxOffset: number;
  readonly committedWhere: number;
  readonly flushedWhere: number;
  /** RocketMQ MappedFileQueue.flush: one file at a time; true when nothing advanced. Rejects for good once it failed. */
  flush(flushLeastPages: number): Promise<boolean>;
  /** RocketMQ MappedFileQueue.commit: one file at a time; true when nothing advanced. */
  commit(commitLeastPages: number): Promise<boolean>;
  /** commit(0) on this thread when it is at most `bytesMax` bytes and nothing else is under way; false: not now. */
  commitNow?(bytesMax: number): boolean;
}

/** What the services tell the log. */
export interface FlushListener {
  /** flushedWhere moved: dispatch, wake waiters, remember the timestamp for the checkpoint. Before any answer is given. */
  onFlushed(): void;
  /** committedWhere moved. */
  onCommitted(): void;
  /** One flush answered so many requests. */
  onGroup(size: number): void;
  /**
   * A round of a service threw. Returns what the store has failed with: when nobody had told the store yet, this does,
   * for no service ends by itself while the store goes on.
   */
  onThrown(error: unknown): StoreError;
}

/** A flush or commit of everything that succeeded and moved nothing: to call it again would go on for ever. */
export function nothingAdvancedError(what: 'flush' | 'commit', where: number, wanted: number): StoreError {
  const message = `${what} reported success but nothing advanced: it is at ${where}, wanted is ${wanted}`;
  return new StoreError('STORE_FLUSH_FAILED', message, { where, wanted });
}

/** The reason given to everybody whose bytes were not yet acknowledged when a flush failed. */
export function flushFailedReason(cause: StoreError): string {
  return `flush failed, whether this message is on disk is unknown: ${cause.message}`;
}
