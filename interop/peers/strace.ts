/** Faults of the disk, injected into a running process's system calls by strace. Linux only. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { end, track } from './child.ts';

/** Why no fault can be injected here; undefined when it can. */
export function straceMissing(): string | undefined {
  if (process.platform !== 'linux') return `no strace on ${process.platform}`;
  const tried = spawnSync('strace', ['-o', '/dev/null', 'true'], { encoding: 'utf8' });
  if (tried.error) return 'no strace on the PATH';
  if (tried.status !== 0) return `strace may not trace here: ${tried.stderr.trim()}`;
  return undefined;
}

export interface Injection {
  /** Lets the process go on undisturbed; a call that is being delayed still ends its delay. */
  detach(): Promise<void>;
}

/** System calls with which an engine makes the commit log durable, and the file they are told by (msync has none). */
export interface FlushCalls {
  calls: string;
  path: string | undefined;
}

/** The options of strace that inject `fault` into the calls and write what it saw to `record`. */
export function injection({ calls, path }: FlushCalls, fault: string, record = '/dev/null'): string[] {
  return [
    ...['-f', '-o', record, '-e', `trace=${calls}`, '-e', `inject=${calls}:${fault}`],
    ...(path === undefined ? [] : ['-P', path]),
  ];
}

/**
 * Attaches to every thread of the process and injects `fault`, for example `delay_enter=5000000` (microseconds) or
 * `error=EIO:when=1` (counted per thread). Resolves when it is attached.
 */
export async function inject(pid: number, flush: FlushCalls, fault: string, record?: string): Promise<Injection> {
  const child = track(
    spawn('strace', ['-p', String(pid), ...injection(flush, fault, record)], { stdio: ['ignore', 'ignore', 'pipe'] }),
  );
  let said = '';
  child.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
    said += chunk;
    if (/attached/.test(said)) child.emit('attached');
  });
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`strace ended with ${code}: ${said}`);
  });
  ended.catch(() => undefined);
  await Promise.race([once(child, 'attached'), ended]);
  return {
    async detach() {
      await end(child, 15_000, 'SIGINT');
    },
  };
}
