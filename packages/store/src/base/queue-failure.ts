import type { StoreContext } from './context.ts';
import { StoreError, type StoreErrorCode } from './errors.ts';
import { isPassingLack } from './passing-lack.ts';

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

/**
 * For a failed call on a file that can be made anew from the log. A lack that may pass is returned as an error and no
 * more: whoever flushes tries again later. Anything else fails the store.
 */
export function failUnlessLack(
  context: StoreContext,
  code: StoreErrorCode,
  action: string,
  path: string,
  error: unknown,
): StoreError {
  // One that came up from a call below has had its decision.
  if (error instanceof StoreError) return error;
  return isPassingLack(error) ? toStoreError(code, action, path, error) : failStore(context, code, action, path, error);
}

/**
 * The failure of the store when something threw that is no operating error: a fault of this program, which must end in
 * fail-stop as a failed flush does and must not pass for one.
 */
export function internalError(action: string, error: unknown): StoreError {
  const message = `${action} threw what it must not: ${error instanceof Error ? error.message : String(error)}`;
  return new StoreError('STORE_INTERNAL_ERROR', message, {}, error);
}
