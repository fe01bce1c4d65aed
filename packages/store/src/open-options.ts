import type { Clock } from './clock.ts';
import type { FileSystem } from './io/file-system.ts';
import type { StoreLogger } from './logger.ts';

export interface OpenOptions {
  logger?: StoreLogger;
  /** Called while recovery reads the log: bytes done of bytes to do. */
  onRecoveryProgress?: (doneBytes: number, totalBytes: number) => void;
  /** For tests: another file system, another clock. */
  fileSystem?: FileSystem;
  clock?: Clock;
}

/** A message became readable: its queue's new exclusive end, and what a filter needs. */
export interface Arrival {
  topic: string;
  queueId: number;
  maxOffset: number;
  tagsCode: number;
  storeTimestamp: number;
}
