import { writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { makeDirectorySync } from '@vernier/store/internal';
import { type Logger, pino, destination as pinoDestination } from 'pino';
import { CliError } from './errors.ts';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

export interface LogOptions {
  /** Default: info into a file, warn to stderr, where it stands between what a person reads. */
  level?: LogLevel | undefined;
  /** Default: stderr. Appended to; made with its folders when it is not there. */
  file?: string | undefined;
}

export interface Log {
  logger: Logger;
  /** From now on lines for stderr are written at once; those held back until now first. */
  release(): void;
}

/**
 * One line an event, written at once: what was logged is there after a crash. Lines for stderr are held back until the
 * start has succeeded, unless a level was asked for: a start that fails says one thing, and that is the error.
 */
export function createLog({ level, file }: LogOptions): Log {
  if (file !== undefined) {
    return { logger: pino(options(level ?? 'info'), openFile(file)), release: () => {} };
  }
  const stderr = new StderrLines(level === undefined, process.stderr.isTTY === true);
  return { logger: pino(options(level ?? 'warn'), stderr), release: () => stderr.release() };
}

const options = (level: LogLevel) => ({ level, base: { pid: process.pid } });

function openFile(file: string): ReturnType<typeof pinoDestination> {
  try {
    makeDirectorySync(dirname(file));
    return pinoDestination({ dest: file, sync: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError('CLI_USAGE', `the log file ${file} cannot be opened: ${code}`, { file, code }, error);
  }
}

const HELD_LINES_MAX = 1_000;

/** JSON lines as they are; on a terminal what a person needs of them. */
class StderrLines {
  readonly #held: string[] = [];
  readonly #terminal: boolean;
  #released: boolean;

  constructor(hold: boolean, terminal: boolean) {
    this.#released = !hold;
    this.#terminal = terminal;
  }

  write(line: string): void {
    if (this.#released) writeSync(2, this.#terminal ? readable(line) : line);
    else if (this.#held.length < HELD_LINES_MAX) this.#held.push(line);
  }

  release(): void {
    this.#released = true;
    for (const line of this.#held.splice(0)) this.write(line);
  }
}

const LEVELS: Record<number, string> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warning',
  50: 'error',
  60: 'fatal',
};

/** `vernier: warning: what happened` */
export function readable(line: string): string {
  const { level, msg } = JSON.parse(line) as { level: number; msg?: string };
  return `vernier: ${LEVELS[level] ?? level}: ${msg ?? line.trim()}\n`;
}
