/** What the process answers to the shell. Documented in docs/reference/cli.md. */
export const EXIT_OK = 0;
/** It was started rightly and then something failed: the broker refused, the disk failed, a message was not stored. */
export const EXIT_FAILURE = 1;
/** What was typed or found cannot work: flag, config value, port in use, data directory. Nothing was changed. */
export const EXIT_BAD_INPUT = 2;
/** 128 + SIGKILL: a disk call did not return within the time to stop, and the process ended itself. */
export const EXIT_KILLED = 137;

/** Codes of failures that happen before anything is changed; every other code means that work was under way. */
const badInput = new Set<string>([
  'CLI_USAGE',
  'CLI_CONFIG_INVALID',
  'CLI_CONFIG_UNREADABLE',
  'CLI_INPUT_UNREADABLE',
  'CLI_OUTPUT_UNWRITABLE',
  'DOCTOR_LINE_INVALID',
  'CLI_READY_FILE_UNUSABLE',
  'CLI_PORT_IN_USE',
  'CLI_ADDRESS_UNUSABLE',
  'STORE_CONFIG_INVALID',
  'STORE_LOCKED',
  'STORE_DIRECTORY_UNUSABLE',
  'STORE_NOT_A_STORE',
  'STORE_NOT_A_FILE',
  'STORE_FILE_SIZE_MISMATCH',
  'STORE_DAMAGED',
  'STORE_METADATA_DAMAGED',
  'STORE_NATIVE_UNAVAILABLE',
  'STORE_MEMORY_INSUFFICIENT',
  'REMOTING_ADDRESS_INVALID',
  'REMOTING_PORT_IN_USE',
  'REMOTING_PORT_FORBIDDEN',
  'REMOTING_ADDRESS_UNAVAILABLE',
  'REMOTING_TLS_INVALID',
  'BROKER_CONFIG_INVALID',
  'BROKER_METADATA_DAMAGED',
  'METRICS_CONFIG_INVALID',
]);

/**
 * When it happened: `reading` what was typed and looking at what there is, `starting` a broker, or `running`, when
 * something may have been changed: a broker serves, a message was stored.
 */
export type Phase = 'reading' | 'starting' | 'running';

/** Bad input at start and a failure later: a disk that is full when the store opens was full before. */
const badInputAtStart = new Set<string>(['STORE_DISK_FULL', 'STORE_ALLOCATE_FAILED']);

/** The exit code for an error. Whatever comes up while running is no bad input: the same input has worked. */
export function exitCodeOf(error: unknown, phase: Phase = 'reading'): number {
  if (phase === 'running') return EXIT_FAILURE;
  const code = (error as { code?: unknown } | undefined)?.code;
  if (typeof code !== 'string') return EXIT_FAILURE;
  if (badInput.has(code) || (phase === 'starting' && badInputAtStart.has(code))) return EXIT_BAD_INPUT;
  return EXIT_FAILURE;
}
