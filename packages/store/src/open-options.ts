import { argumentError, checkOptions } from './base/arguments.ts';
import type { Clock } from './base/clock.ts';
import type { FileSystem } from './base/file-system.ts';
import type { StoreLogger } from './base/logger.ts';

export interface OpenOptions {
  logger?: StoreLogger;
  /** Called while recovery reads the log: bytes done of bytes to do. */
  onRecoveryProgress?: (doneBytes: number, totalBytes: number) => void;
  /** For tests: another file system, another clock. */
  fileSystem?: FileSystem;
  clock?: Clock;
}

export const OPEN_OPTIONS = ['logger', 'onRecoveryProgress', 'fileSystem', 'clock'] as const;

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** Throws STORE_ARGUMENT_INVALID. */
export function checkOpenOptions(options: OpenOptions): void {
  checkOptions('open', options, OPEN_OPTIONS);
  const { logger, onRecoveryProgress, fileSystem, clock } = options;
  checkShape('fileSystem', fileSystem, ['open', 'stat', 'list', 'readFile']);
  checkShape('clock', clock, ['now', 'monotonic', 'setTimer', 'clearTimer']);
  if (logger !== undefined && !LEVELS.every((level) => typeof logger?.[level] === 'function')) {
    throw argumentError('open', 'logger', `must have the functions ${LEVELS.join(', ')}`, logger);
  }
  if (onRecoveryProgress !== undefined && typeof onRecoveryProgress !== 'function') {
    throw argumentError('open', 'onRecoveryProgress', 'must be a function', onRecoveryProgress);
  }
}

/** A message became readable: its queue's new exclusive end, and what a filter needs. */
export interface Arrival {
  topic: string;
  queueId: number;
  maxOffset: number;
  tagsCode: number;
  storeTimestamp: number;
}

function checkShape(name: string, value: unknown, functions: readonly string[]): void {
  if (value === undefined) return;
  const isWhole = functions.every((each) => typeof (value as Record<string, unknown> | null)?.[each] === 'function');
  if (!isWhole) throw argumentError('open', name, `must have the functions ${functions.join(', ')} …`, value);
}
