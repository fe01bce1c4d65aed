// The end of a test, in one order for all of them.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

const cleanups = new WeakMap<TestContext, (() => unknown)[]>();

/**
 * Runs `step` after the test, the last one first: a process ends before its disk goes, and that before the folder does.
 * `t.after` runs its hooks in the order in which they were given, so that a folder goes while a store still writes to it.
 */
export function cleanUp(t: TestContext, step: () => unknown): void {
  const steps = cleanups.get(t);
  if (steps !== undefined) {
    steps.push(step);
    return;
  }
  const first = [step];
  cleanups.set(t, first);
  t.after(async () => {
    for (const each of first.reverse()) await each();
  });
}

/** A new folder `vernier-NAME-…`, removed after everything that the test asks for later has ended. */
export async function temporaryFolder(t: TestContext, name: string): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), `vernier-${name}-`));
  cleanUp(t, () => rm(path, { recursive: true, force: true }));
  return path;
}
