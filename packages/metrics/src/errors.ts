/**
 * Operating errors of metrics and health. Match on `code`, not on the class. Every code has a heading in
 * docs/reference/errors.md; a test keeps the two equal.
 */
export const METRICS_ERROR_CODES = [
  // starting
  'METRICS_CONFIG_INVALID',
] as const;

export type MetricsErrorCode = (typeof METRICS_ERROR_CODES)[number];

export class MetricsError extends Error {
  readonly code: MetricsErrorCode;
  /** The numbers of the case: key and value. Each value prints as it is. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: MetricsErrorCode, message: string, details: Record<string, unknown> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'MetricsError';
    this.code = code;
    this.details = details;
  }
}
