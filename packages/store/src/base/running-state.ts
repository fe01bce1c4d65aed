import type { StoreError } from './errors.ts';
import type { StoreLogger } from './logger.ts';

/**
 * Fail-stop (the part of RocketMQ's RunningFlags that must never be cleared). The first failed write, commit or flush
 * makes the store read-only for good: after a failed fsync the kernel may call the pages clean, and a second one that
 * succeeds proves nothing.
 */
export class RunningState {
  readonly #logger: StoreLogger;
  readonly #onFailed: (cause: StoreError) => void;
  #failure: StoreError | undefined;

  /** `onFailed` is called once, after `failure` is set. */
  constructor(logger: StoreLogger, onFailed: (cause: StoreError) => void) {
    this.#logger = logger;
    this.#onFailed = onFailed;
  }

  get failure(): StoreError | undefined {
    return this.#failure;
  }

  fail(error: StoreError): StoreError {
    if (this.#failure) return this.#failure;
    this.#failure = error;
    this.#logger.error(
      { code: error.code, ...error.details },
      `the store is read-only from now on, for good: ${error.message}`,
    );
    this.#onFailed(error);
    return error;
  }
}
