import { type Logger, pino, destination as pinoDestination } from 'pino';
import { CliError } from './errors.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogOptions {
  /** Default: info into a file, warn to stderr, where it stands between what a person reads. */
  level?: LogLevel | undefined;
  /** Default: stderr. Appended to; made with its folders when it is not there. */
  file?: string | undefined;
}

/** One JSON line an event, written at once: what was logged is there after a crash. */
export function createLogger({ level, file }: LogOptions): Logger {
  const chosen = level ?? (file === undefined ? 'warn' : 'info');
  if (file === undefined)
    return pino({ level: chosen, base: { pid: process.pid } }, pinoDestination({ dest: 2, sync: true }));
  try {
    return pino(
      { level: chosen, base: { pid: process.pid } },
      pinoDestination({ dest: file, mkdir: true, sync: true }),
    );
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError('CLI_USAGE', `the log file ${file} cannot be opened: ${code}`, { file, code }, error);
  }
}
