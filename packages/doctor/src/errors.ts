/**
 * Errors that the functions of this package report beside those of the store. Match on `code`.
 * Every code has a heading in docs/reference/errors.md; a test keeps the two equal.
 */
export const DOCTOR_ERROR_CODES = ['DOCTOR_LINE_INVALID'] as const;

export type DoctorErrorCode = (typeof DOCTOR_ERROR_CODES)[number];

export class DoctorError extends Error {
  readonly code: DoctorErrorCode;
  /** The numbers of the case: place, file, line, value. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: DoctorErrorCode, message: string, details: Record<string, unknown> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'DoctorError';
    this.code = code;
    this.details = details;
  }
}
