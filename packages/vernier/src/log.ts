import { dirname } from 'node:path';
import { makeDirectorySync } from '@vernier/store/internal';
import { type Logger, pino } from 'pino';
import { CliError } from './errors.ts';
import { LogFile } from './log-file.ts';
import { descriptorSink, endedSink, type LogSink, ownLine } from './log-sink.ts';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

export interface LogOptions {
  /** Default: info into a file, warn to stderr, where it stands between what a person reads. */
  level?: LogLevel | undefined;
  /** Default: stderr. Appended to; made with its folders when it is not there. */
  file?: string | undefined;
}

export interface Log {
  logger: Logger;
  /** Lines that could not be written since the start. */
  readonly droppedLines: number;
  /** From now on lines for stderr are written at once; those held back until now first. */
  release(): void;
}

/**
 * One line an event, written at once: what was logged is there after a crash. A line that cannot be written ends nothing:
 * it is counted, and said when writing works again (LogSink). Lines for stderr are held back until the start has
 * succeeded, unless a level was asked for: a start that fails says one thing, and that is the error.
 */
export function createLog({ level, file }: LogOptions): Log {
  if (file !== undefined) {
    const sink = openFile(file);
    const logger = pino(options(level ?? 'info'), sink);
    return {
      logger,
      release: () => {},
      get droppedLines() {
        return sink.droppedTotal;
      },
    };
  }
  const stderr = new StderrLines(level === undefined, process.stderr.isTTY === true);
  return {
    logger: pino(options(level ?? 'warn'), stderr),
    release: () => stderr.release(),
    get droppedLines() {
      return stderr.droppedTotal;
    },
  };
}

const options = (level: LogLevel) => ({ level, base: { pid: process.pid } });

function openFile(file: string): LogSink {
  try {
    makeDirectorySync(dirname(file));
    const log = new LogFile(file);
    return endedSink((bytes, offset) => log.write(bytes, offset));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError('CLI_USAGE', `the log file ${file} cannot be opened: ${code}`, { file, code }, error);
  }
}

const HELD_LINES_MAX = 1_000;

/** JSON lines as they are; on a terminal what a person needs of them. */
class StderrLines {
  readonly #held: string[] = [];
  readonly #sink: LogSink;
  #released: boolean;
  #notHeld = 0;

  constructor(hold: boolean, terminal: boolean) {
    this.#released = !hold;
    this.#sink = descriptorSink(2, terminal ? readable : undefined);
  }

  get droppedTotal(): number {
    return this.#sink.droppedTotal;
  }

  write(line: string): void {
    if (this.#released) this.#sink.write(line);
    else if (this.#held.length < HELD_LINES_MAX) this.#held.push(line);
    else this.#notHeld++;
  }

  release(): void {
    this.#released = true;
    for (const line of this.#held.splice(0)) this.#sink.write(line);
    if (this.#notHeld > 0) {
      this.#sink.write(ownLine(`${this.#notHeld} lines of the start were left out`, { leftOut: this.#notHeld }));
    }
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
