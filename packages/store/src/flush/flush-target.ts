import type { StoreError } from '../errors.ts';

/** What the flush services need of the log: MappedFileQueue is one. */
export interface FlushTarget {
  readonly maxOffset: number;
  readonly committedWhere: number;
  readonly flushedWhere: number;
  /** RocketMQ MappedFileQueue.flush: one file at a time; true when nothing advanced. Rejects for good once it failed. */
  flush(flushLeastPages: number): Promise<boolean>;
  /** RocketMQ MappedFileQueue.commit: one file at a time; true when nothing advanced. */
  commit(commitLeastPages: number): Promise<boolean>;
}

/** What the services tell the log. */
export interface FlushListener {
  /** flushedWhere moved: dispatch, wake waiters, remember the timestamp for the checkpoint. Before any answer is given. */
  onFlushed(): void;
  /** committedWhere moved. */
  onCommitted(): void;
  /** One flush answered so many requests. */
  onGroup(size: number): void;
}

/** The reason given to everybody whose bytes were not yet acknowledged when a flush failed. */
export function flushFailedReason(cause: StoreError): string {
  return `flush failed, whether this message is on disk is unknown: ${cause.message}`;
}
