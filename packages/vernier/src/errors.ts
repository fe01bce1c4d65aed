/**
 * Errors that the command reports before or beside the work of the packages below it. Match on `code`.
 * Every code has a heading in docs/reference/errors.md; a test keeps the two equal.
 */
export const CLI_ERROR_CODES = [
  // reading what was typed
  'CLI_USAGE',
  'CLI_CONFIG_INVALID',
  'CLI_CONFIG_UNREADABLE',
  'CLI_INPUT_UNREADABLE',
  'CLI_OUTPUT_UNWRITABLE',
  'CLI_READY_FILE_UNUSABLE',
  // starting
  'CLI_PORT_IN_USE',
  'CLI_ADDRESS_UNUSABLE',
  // talking to a running broker
  'CLI_UNREACHABLE',
  'CLI_REFUSED',
  'CLI_NO_ROUTE',
  'CLI_NOT_ACKNOWLEDGED',
] as const;

export type CliErrorCode = (typeof CLI_ERROR_CODES)[number];

export class CliError extends Error {
  readonly code: CliErrorCode;
  /** The numbers of the case: port, file, line, value, allowed … Each value prints as it is. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: CliErrorCode, message: string, details: Record<string, unknown> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'CliError';
    this.code = code;
    this.details = details;
  }
}
