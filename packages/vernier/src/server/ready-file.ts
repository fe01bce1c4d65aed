import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { CliError } from '../errors.ts';

/** What `--ready-file` holds, as JSON, once clients can produce and consume. */
export interface ReadyFile {
  pid: number;
  version: string;
  /** host:port, with the ports that were really taken. Absent where that part does not run. */
  namesrv?: string;
  broker?: string;
  brokerName?: string;
  clusterName?: string;
  dataDir?: string;
  engine?: string;
  flushDiskType?: string;
  /** Milliseconds from the start of the process to ready. */
  readyMs: number;
}

/**
 * Takes away the file of an earlier run, so that whoever waits for it is not fooled by it. A file that holds something
 * else is left alone and refused: the path was mistyped. Call when ports and settings are known to be good.
 * @throws CliError CLI_READY_FILE_UNUSABLE
 */
export function clearReadyFile(path: string): void {
  let content: string;
  try {
    content = readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT') throw unusable(path, `cannot be read: ${code}`, error);
    writable(path);
    return;
  }
  if (content !== '' && !isReadyFile(content)) {
    throw unusable(path, 'holds something else; it is left as it is');
  }
  writable(path);
  rmSync(path, { force: true });
}

/** Writes the file whole or not at all: whoever sees it can parse it. */
export function writeReadyFile(path: string, ready: ReadyFile): void {
  const temporary = `${path}.${process.pid}-${randomBytes(3).toString('hex')}.tmp`;
  try {
    writeFileSync(temporary, `${JSON.stringify(ready, undefined, 2)}\n`);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw unusable(path, `cannot be written: ${(error as NodeJS.ErrnoException).code}`, error);
  }
}

/** At clean exit. Only our own: meanwhile another process may have been started with the same path. */
export function removeReadyFile(path: string): void {
  try {
    const { pid } = JSON.parse(readFileSync(path, 'utf8')) as { pid?: unknown };
    if (pid === process.pid) rmSync(path, { force: true });
  } catch {
    // Gone or changed by somebody: not ours to remove.
  }
}

function isReadyFile(content: string): boolean {
  try {
    const { pid, readyMs } = JSON.parse(content) as Record<string, unknown>;
    return typeof pid === 'number' && typeof readyMs === 'number';
  } catch {
    return false;
  }
}

/** Finds out now, and not when the broker is up, that the folder takes no file. */
function writable(path: string): void {
  const probe = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(probe, '');
    rmSync(probe);
  } catch (error) {
    throw unusable(path, `cannot be written in ${dirname(path)}: ${(error as NodeJS.ErrnoException).code}`, error);
  }
}

function unusable(path: string, why: string, cause?: unknown): CliError {
  return new CliError('CLI_READY_FILE_UNUSABLE', `the ready file ${path} ${why}`, { path }, cause);
}
