import { CommanderError } from 'commander';
import { EXIT_BAD_INPUT, exitCodeOf, type Phase } from './exit-codes.ts';
import { endWithoutOutput, watchOutput } from './output/broken-output.ts';
import { createProgram, type ExitCode } from './program.ts';

/** Runs the command line `args` (without node and script) in this process and sets its exit code. */
export async function main(args: readonly string[]): Promise<void> {
  watchOutput();
  const exitCode = await execute(args);
  if (exitCode !== undefined) process.exitCode = exitCode;
}

/** Runs the command line and resolves with its exit code. */
export async function execute(args: readonly string[]): Promise<ExitCode> {
  endWithoutOutput();
  let exitCode: ExitCode;
  const finish = (code: ExitCode): void => {
    exitCode = code;
  };
  const program = createProgram(finish);
  for (const command of [program, ...program.commands, ...program.commands.flatMap(({ commands }) => commands)]) {
    command.exitOverride().configureOutput({
      outputError: (text, write) => write(text.replace(/^error: (.*)/, 'vernier: $1 [CLI_USAGE]')),
    });
  }
  try {
    await program.parseAsync(args as string[], { from: 'user' });
  } catch (error) {
    // Commander has printed its help, version or complaint by now.
    if (error instanceof CommanderError) finish(error.exitCode === 0 ? 0 : EXIT_BAD_INPUT);
    else finish(report(error));
  }
  return exitCode;
}

/** Prints what went wrong, for a person: the message with its numbers, and the code to look up. */
export function report(error: unknown, phase?: Phase): number {
  const { code, message, stack } = (error ?? {}) as { code?: unknown; message?: string; stack?: string };
  // An error without a code of ours is a fault of the program, and its stack is what helps to find it.
  const known = typeof code === 'string' && /^[A-Z]+_[A-Z_]+$/.test(code);
  const lines = (known ? (message ?? String(error)) : (stack ?? String(error))).split('\n');
  const text = lines.map((line, index) => (index === 0 ? `vernier: ${line}` : `         ${line}`)).join('\n');
  process.stderr.write(known ? `${text} [${code}]\n` : `${text}\n`);
  return exitCodeOf(error, phase);
}
