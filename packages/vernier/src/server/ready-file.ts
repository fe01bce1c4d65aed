import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { CliError } from '../errors.ts';

/** Ports and paths, for scripts of others too. */
export const READY_MODE = 0o644;

/** What `--ready-file` holds, as JSON, once clients can produce and consume. */
export interface ReadyFile {
  pid: number;
  version: string;
  /** host:port, with the ports that were really taken. Absent where that part does not run. */
  namesrv?: string;
  broker?: string;
  /** Where Java clients 4.0 to 4.5.0 send to. Absent when it is not listened on. */
  brokerVip?: string;
  /** Where clients of gRPC connect to. Absent when they are not served. */
  proxy?: string;
  /** Where /healthz, /readyz and with PROM /metrics are answered. Absent when nothing listens for them. */
  metrics?: string;
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
 * else is left alone and refused: the path was mistyped. Call when settings are known to be good. Call what it returns
 * when the start is refused: it puts back the file of a process that runs and whose file this was.
 * @throws CliError CLI_READY_FILE_UNUSABLE
 */
export function clearReadyFile(path: string): () => void {
  if (path === '') throw new CliError('CLI_READY_FILE_UNUSABLE', 'the name of the ready file is empty', { path });
  let content: string;
  // A pipe would be waited for.
  if (statSync(path, { throwIfNoEntry: false })?.isFile() === false) throw unusable(path, 'is no regular file');
  try {
    content = readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT') throw unusable(path, `cannot be read: ${code}`, error);
    writable(path);
    return () => {};
  }
  if (content !== '' && !isReadyFile(content)) {
    throw unusable(path, 'holds something else; it is left as it is');
  }
  writable(path);
  rmSync(path, { force: true });
  return () => {
    const { pid } = content === '' ? {} : (JSON.parse(content) as { pid?: number });
    if (pid === undefined || pid === process.pid || !isRunning(pid)) return;
    try {
      writeFileSync(path, content, { mode: READY_MODE, flag: 'wx' });
    } catch {
      // Somebody has written a newer one, or the folder is gone.
    }
  };
}

/** Signal 0 only asks. A process of another user is one, too. */
function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Writes the file whole or not at all: whoever sees it can parse it. */
export function writeReadyFile(path: string, ready: ReadyFile): void {
  const temporary = `${path}.${process.pid}-${randomBytes(3).toString('hex')}.tmp`;
  try {
    writeFileSync(temporary, `${JSON.stringify(ready, undefined, 2)}\n`, { mode: READY_MODE });
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
