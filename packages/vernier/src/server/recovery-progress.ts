import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { Progress, progressText } from '../output/progress.ts';
import { READY_MODE } from './ready-file.ts';

/** What stands in `<ready file>.recovering` while the store reads its log, as JSON. */
export interface RecoveringFile {
  pid: number;
  doneBytes: number;
  totalBytes: number;
  /** 0 to 100. */
  percent: number;
  bytesPerSecond: number;
  /** Milliseconds since the recovery began. */
  elapsedMs: number;
}

export interface RecoveryProgressOptions {
  readyFile?: string | undefined;
  progress?: Progress;
  /** Milliseconds that only grow. */
  now?: () => number;
}

/** Recoveries that take less are not worth a file. */
const FILE_AFTER_MS = 250;
const FILE_EACH_MS = 500;

/** Beside the ready file, which must not be there before clients can connect: whoever waits for it waits for that. */
export const recoveringPath = (readyFile: string): string => `${readyFile}.recovering`;

/**
 * Tells how far the recovery is, on the terminal and in a file for probes: a start that takes minutes must not look like
 * one that hangs. A file that cannot be written is no reason not to start.
 */
export class RecoveryProgress {
  readonly #readyFile: string | undefined;
  readonly #progress: Progress;
  readonly #now: () => number;
  #beganAt: number | undefined;
  #writtenAt = Number.NEGATIVE_INFINITY;
  #isWritten = false;

  constructor({ readyFile, progress = new Progress(), now = () => performance.now() }: RecoveryProgressOptions) {
    this.#readyFile = readyFile;
    this.#progress = progress;
    this.#now = now;
  }

  update(doneBytes: number, totalBytes: number): void {
    // The end is told by what comes next.
    if (doneBytes >= totalBytes) return;
    const now = this.#now();
    this.#beganAt ??= now;
    const elapsedMs = now - this.#beganAt;
    this.#progress.update(() => `recovering ${progressText(doneBytes, totalBytes, elapsedMs)}`);
    if (this.#readyFile === undefined || elapsedMs < FILE_AFTER_MS || now - this.#writtenAt < FILE_EACH_MS) return;
    this.#writtenAt = now;
    this.#write(recoveringPath(this.#readyFile), {
      pid: process.pid,
      doneBytes,
      totalBytes,
      percent: Math.floor((doneBytes / totalBytes) * 100),
      bytesPerSecond: Math.round((doneBytes / elapsedMs) * 1_000),
      elapsedMs: Math.round(elapsedMs),
    });
  }

  /** The store is open, or is not going to be. */
  end(): void {
    this.#progress.clear();
    if (this.#readyFile !== undefined && this.#isWritten) rmSync(recoveringPath(this.#readyFile), { force: true });
  }

  #write(path: string, content: RecoveringFile): void {
    const temporary = `${path}.${process.pid}-${randomBytes(3).toString('hex')}.tmp`;
    try {
      writeFileSync(temporary, `${JSON.stringify(content, undefined, 2)}\n`, { mode: READY_MODE });
      renameSync(temporary, path);
      this.#isWritten = true;
    } catch {
      rmSync(temporary, { force: true });
    }
  }
}

/** Takes away what a start left that was killed while it recovered. Something else of that name stays. */
export function clearRecoveringFile(readyFile: string): void {
  const path = recoveringPath(readyFile);
  try {
    if (!statSync(path).isFile()) return;
    const { pid, totalBytes } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    if (typeof pid === 'number' && typeof totalBytes === 'number') rmSync(path, { force: true });
  } catch {
    // None there, or not ours.
  }
}
