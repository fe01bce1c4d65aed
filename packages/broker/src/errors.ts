/**
 * Operating errors of the broker. Match on `code`, not on the class. What a client did wrong is answered with a
 * ResponseCode and is no error here. Every code has a heading in docs/reference/errors.md; a test keeps the two equal.
 */
export const BROKER_ERROR_CODES = [
  // starting
  'BROKER_CONFIG_INVALID',
  'BROKER_METADATA_DAMAGED',
  // running
  'BROKER_METADATA_WRITE_FAILED',
] as const;

export type BrokerErrorCode = (typeof BROKER_ERROR_CODES)[number];

export class BrokerError extends Error {
  readonly code: BrokerErrorCode;
  /** The numbers of the case: key, value, file, address … Each value prints as it is. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: BrokerErrorCode, message: string, details: Record<string, unknown> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'BrokerError';
    this.code = code;
    this.details = details;
  }
}
