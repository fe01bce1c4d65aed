/**
 * Operating errors of the store. Match on `code`, not on the class. Programmer errors are asserts and crash; outcomes
 * that a protocol knows are values (`PutMessageStatus`, `GetMessageStatus`), not exceptions.
 * Every code has a heading in docs/reference/errors.md; a test keeps the two equal.
 */
export const STORE_ERROR_CODES = [
  // opening
  'STORE_CONFIG_INVALID',
  'STORE_LOCKED',
  'STORE_DIRECTORY_UNUSABLE',
  'STORE_DIRECTORY_MOVED',
  'STORE_NOT_A_STORE',
  'STORE_NOT_A_FILE',
  'STORE_FILE_SIZE_MISMATCH',
  'STORE_DAMAGED',
  'STORE_METADATA_DAMAGED',
  'STORE_NATIVE_UNAVAILABLE',
  'STORE_MEMORY_INSUFFICIENT',
  'STORE_RECOVERY_FAILED',
  'STORE_TIMER_PRECISION_MISMATCH',
  // calling
  'STORE_ARGUMENT_INVALID',
  // appending
  'STORE_DISK_FULL',
  'STORE_WRITE_FAILED',
  'STORE_ALLOCATE_FAILED',
  'STORE_MESSAGE_INVALID',
  // deleting topics
  'STORE_DELETIONS_FULL',
  // flushing
  'STORE_FLUSH_FAILED',
  // reading
  'STORE_READ_FAILED',
  'STORE_QUEUE_TYPE_MISMATCH',
  'STORE_OFFSET_OUT_OF_RANGE',
  // a fault of the program
  'STORE_INTERNAL_ERROR',
  // closing
  'STORE_CLOSED',
] as const;

export type StoreErrorCode = (typeof STORE_ERROR_CODES)[number];

export class StoreError extends Error {
  readonly code: StoreErrorCode;
  /** The numbers of the case: file, offset, expected, found, errno … Each value prints as it is. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: StoreErrorCode, message: string, details: Record<string, unknown> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'StoreError';
    this.code = code;
    this.details = details;
  }
}
