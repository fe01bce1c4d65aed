import type { StoreContext } from '../context.ts';
import { StoreError, type StoreErrorCode } from '../errors.ts';

/** errno name of a failed call, '' when it has none. */
export function errnoOf(error: unknown): string {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : '';
}

/** The store error for a failed call on a queue or index file; a full disk is its own code whatever the call was. */
export function toStoreError(code: StoreErrorCode, action: string, path: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const errno = errnoOf(error);
  const full = errno === 'ENOSPC' || errno === 'EDQUOT';
  return new StoreError(
    full ? 'STORE_DISK_FULL' : code,
    `${action} ${path} failed: ${errno || String(error)}`,
    { path, errno },
    error,
  );
}

/** Fail-stop: reports the first failed write or flush to the store and returns what the store failed with. */
export function failStore(
  context: StoreContext,
  code: StoreErrorCode,
  action: string,
  path: string,
  error: unknown,
): StoreError {
  return context.fail(toStoreError(code, action, path, error));
}
