/** Ends this process with the result of a load as a line of JSON, or with 1 and what was wrong. */
export async function printResult(kind: string, run: () => Promise<unknown>): Promise<never> {
  try {
    process.stdout.write(`${JSON.stringify(await run())}\n`);
    process.exit(0);
  } catch (error) {
    process.stderr.write(`${kind}: ${(error as Error).message}\n`);
    process.exit(1);
  }
}
