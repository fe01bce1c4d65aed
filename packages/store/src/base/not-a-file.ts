import { StoreError } from './errors.ts';

/** `kind`: what lies there, in words. */
export function notAFileError(path: string, kind: string): StoreError {
  const message = `${path} is ${kind}, where the store has a file: it is not opened`;
  return new StoreError('STORE_NOT_A_FILE', message, { path, kind });
}
