/** What a stdout that cannot be written does: it ends a command that only reads, and no other. */
let ending: 'ends' | 'told at the end' | 'nothing' = 'ends';
let told = false;

/** For a command that has changed nothing yet: whoever reads it may end it. */
export function endWithoutOutput(): void {
  ending = 'ends';
}

/** From now on nothing that stdout or stderr does ends the process: it serves others. */
export function serveWithoutOutput(): void {
  ending = 'nothing';
}

/**
 * From now on a stdout that cannot be written does not end the process: it changes something, and half of that, with an
 * exit code of nought, would be worse than all of it unseen. What could not be written makes the exit code 1; a reader
 * who is gone does not.
 */
export function workWithoutOutput(): void {
  ending = 'told at the end';
}

export const outputMayFail = (): boolean => ending !== 'ends';

/**
 * Listens for the errors of stdout and stderr, which would end the process otherwise. `vernier … | head` closes our
 * stdout: that ends a command, and is no failure. A stderr that nobody reads ends nothing.
 */
export function watchOutput(): void {
  process.stderr.on('error', () => {});
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (ending === 'nothing') return;
    if (error.code === 'EPIPE') {
      if (ending === 'ends') process.exit(process.exitCode ?? 0);
      return;
    }
    // Each further write fails too.
    if (!told) process.stderr.write(`vernier: stdout cannot be written: ${error.message}\n`);
    told = true;
    if (ending === 'ends') process.exit(1);
    process.once('exit', () => {
      process.exitCode ||= 1;
    });
  });
}
