import type { Clock } from './clock.ts';
import type { MessageStoreConfig } from './config.ts';
import type { StoreError } from './errors.ts';
import type { FileSystem } from './file-system.ts';
import type { StoreLogger } from './logger.ts';

/** What every part of one open store shares. */
export interface StoreContext {
  readonly config: MessageStoreConfig;
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly logger: StoreLogger;
  /**
   * Fail-stop: the first failed write, commit or flush calls this. The store is read-only from here on, for good; every
   * waiting and later request gets the cause. Later calls change nothing. Returns the first error.
   */
  fail(error: StoreError): StoreError;
  /** The first failure, once there was one. */
  readonly failure: StoreError | undefined;
}
