/** Faults in the system calls of a running process, put there by strace. Linux only. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { end, hasExited, track } from '../../../interop/peers/child.ts';

/** Why no fault can be injected here; undefined when it can. */
export function straceMissing(): string | undefined {
  if (process.platform !== 'linux') return `no strace on ${process.platform}`;
  const tried = spawnSync('strace', ['-o', '/dev/null', 'true'], { encoding: 'utf8' });
  if (tried.error) return 'needs strace';
  return tried.status === 0 ? undefined : `strace may not trace here: ${tried.stderr.trim()}`;
}

export interface Fault {
  /** Names of system calls. */
  calls: string[];
  /** What happens to them: `error=EIO:when=1`, `delay_enter=10000000` (microseconds). `when` counts per thread. */
  what: string;
  /** Only calls that touch one of these files; all without. msync names no file, so it needs all. */
  paths?: string[];
}

export interface Injection {
  /** Calls that the fault was put into so far. */
  readonly injected: number;
  /** Those of one thread; the event loop's is the process's id. */
  injectedIn(threadId: number): number;
  /** Lets the process go on undisturbed. */
  detach(): Promise<void>;
  /** SIGKILL to strace: a call that is being delayed goes on at once. A process that is dead is seen to end only then. */
  abandon(): Promise<void>;
}

/** Attaches to every thread of the process; resolves when that is done. */
export async function inject(pid: number, fault: Fault): Promise<Injection> {
  const calls = fault.calls.join(',');
  const child: ChildProcess = track(
    spawn(
      'strace',
      [
        ...['-f', '-p', String(pid), ...(fault.paths ?? []).flatMap((path) => ['-P', path])],
        ...['-e', `trace=${calls}`, '-e', `inject=${calls}:${fault.what}`, '-e', 'signal=none'],
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    ),
  );
  let said = '';
  let injected = 0;
  let line = '';
  const byThread = new Map<number, number>();
  const attached = new Promise<void>((resolve, reject) => {
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-2_000);
      const lines = (line + text).split('\n');
      line = lines.pop() as string;
      for (const whole of lines) {
        if (!/\((?:INJECTED|DELAYED)\)/.test(whole)) continue;
        injected++;
        const threadId = Number(/\[pid +(\d+)\]/.exec(whole)?.[1] ?? pid);
        byThread.set(threadId, (byThread.get(threadId) ?? 0) + 1);
      }
      if (/attached/.test(text)) resolve();
    });
    once(child, 'close').then(() => reject(new Error(`strace ended: ${said}`)), reject);
  });
  await attached;
  return {
    get injected() {
      return injected;
    },
    injectedIn: (threadId) => byThread.get(threadId) ?? 0,
    async detach() {
      // SIGINT makes it let go of the process; it does not end by another way while a call is being delayed.
      if (!hasExited(child)) await end(child, 20_000, 'SIGINT');
    },
    async abandon() {
      await end(child, 0, 'SIGKILL');
    },
  };
}
