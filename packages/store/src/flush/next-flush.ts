import type { StoreContext } from '../base/context.ts';
import type { StoreError } from '../base/errors.ts';
import type { PutMessageResult, PutMessageStatus } from '../base/types.ts';

/**
 * Durability `group` under ASYNC_FLUSH: `result` with its status once `flushed`, the flush that is due anyway, has come. Like
 * every put it is answered, also while a flush hangs: FLUSH_DISK_TIMEOUT `syncFlushTimeout` after the time at which the
 * flush should have begun. PUT_OK says that the record is on disk.
 */
export function answeredByNextFlush(
  result: PutMessageResult,
  flushed: Promise<void>,
  { clock, config }: Pick<StoreContext, 'clock' | 'config'>,
): Promise<PutMessageResult> {
  const { flushCommitLogLeastPages, flushCommitLogThoroughInterval, flushIntervalCommitLog } = config;
  const dueMs = flushIntervalCommitLog + (flushCommitLogLeastPages > 0 ? flushCommitLogThoroughInterval : 0);
  const timeoutMs = dueMs + config.syncFlushTimeout;
  return new Promise((resolve) => {
    const answer = (status: PutMessageStatus, reason?: string, cause?: StoreError): void => {
      clock.clearTimer(timer);
      resolve({ ...result, status, ...(reason === undefined ? {} : { reason }), ...(cause ? { cause } : {}) });
    };
    const timer = clock.setTimer(() => {
      answer('FLUSH_DISK_TIMEOUT', `not on disk after ${timeoutMs} ms (flush interval and syncFlushTimeout)`);
    }, timeoutMs);
    flushed.then(
      () => answer('PUT_OK'),
      (error: StoreError) => answer('UNKNOWN_ERROR', error.message, error),
    );
  });
}
