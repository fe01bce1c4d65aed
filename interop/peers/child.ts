/** Child processes that are ended by their own id, always, also when the test process is interrupted. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

const running = new Set<ChildProcess>();
// A test run that is interrupted must not leave brokers behind; `exit` handlers may only do synchronous work.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));

export function track(child: ChildProcess): ChildProcess {
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

export function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Asks the child to end and waits; after `graceMs` it is ended by SIGKILL. Answers the exit code or the signal. */
export async function end(
  child: ChildProcess,
  graceMs: number,
  signal: NodeJS.Signals = 'SIGTERM',
): Promise<number | string> {
  if (!hasExited(child)) {
    const exited = once(child, 'exit');
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
    await exited;
    clearTimeout(timer);
  }
  return child.exitCode ?? child.signalCode!;
}

/**
 * Calls `ask` until it answers something other than undefined. There is nothing to wait on in another process but its
 * answers, so this asks again after a short pause. Throws with the last error once `timeoutMs` is over or the child died.
 */
export async function askUntil<T>(
  what: string,
  timeoutMs: number,
  child: ChildProcess | undefined,
  ask: () => Promise<T | undefined>,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
    } catch (error) {
      last = error;
    }
    if (child && hasExited(child))
      throw new Error(`${what}: the process ended with ${child.exitCode ?? child.signalCode}`);
    if (Date.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
