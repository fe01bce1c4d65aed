/** The answering side of the line protocol of ../peers/client-peer.ts, for programs that run in Node. */
import { createInterface } from 'node:readline';

export class Arguments {
  readonly #values: Map<string, string>;

  constructor(parts: readonly string[]) {
    this.#values = new Map(
      parts.map((part) => [part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1)] as const),
    );
  }

  /** Throws when the argument is missing and nothing stands in for it. */
  text(name: string, otherwise?: string): string {
    const value = this.#values.get(name) ?? otherwise;
    if (value === undefined) throw new Error(`missing argument ${name}`);
    return value;
  }

  number(name: string, otherwise?: number): number {
    return Number(this.text(name, otherwise === undefined ? undefined : String(otherwise)));
  }

  flag(name: string): boolean {
    return this.#values.get(name) === 'true';
  }
}

export type Command = (args: Arguments) => unknown;

/** Carries out commands side by side until standard input ends, then ends the process. */
export function serve(commands: Record<string, Command>): void {
  const lines = createInterface({ input: process.stdin });
  lines.on('line', async (line) => {
    const [id, name, ...parts] = line.split('\t');
    const answer = { id: Number(id), result: undefined as unknown, error: undefined as string | undefined };
    try {
      const command = commands[name!];
      if (!command) throw new Error(`unknown command ${name}`);
      answer.result = (await command(new Arguments(parts))) ?? null;
    } catch (error) {
      answer.error = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  });
  lines.on('close', () => process.exit(0));
}
