import { outputMayFail } from './broken-output.ts';

/**
 * Resolves when stdout has taken it, so that a slow reader slows the work and fills no memory. Rejects when it cannot be
 * written, unless the work goes on without output (broken-output.ts).
 */
export function print(text: string | Buffer): Promise<void> {
  return new Promise((done, failed) => {
    process.stdout.write(text, (error) => (error && !outputMayFail() ? failed(error) : done()));
  });
}

export function printJson(value: unknown): Promise<void> {
  return print(`${JSON.stringify(value, undefined, 2)}\n`);
}
