/** What the suites share: skipping with a reason, and failing instead where nothing may be skipped. */
import type { TestContext } from 'node:test';

/** In CI a peer that is missing is a fault of the machine's set-up, not a reason to pass. */
const nothingMayBeSkipped = process.env.CI !== undefined && process.env.CI !== '' && process.env.CI !== 'false';

/**
 * The `skip` option of a suite: false when nothing is missing, else the reason. With CI set it throws, so that the file
 * fails and says why.
 */
export function skipUnless(missing: string | undefined): string | false {
  if (missing === undefined) return false;
  if (nothingMayBeSkipped) throw new Error(`nothing may be skipped with CI set: ${missing}`);
  return missing;
}

/** A line of the run's report beside the test it belongs to. */
export function note(t: TestContext, text: string): void {
  t.diagnostic(text);
}

let names = 0;

/** A name for a topic, a group or a client that no other test uses. */
export function unique(prefix: string): string {
  names += 1;
  return `${prefix}_${process.pid}_${names}`;
}
