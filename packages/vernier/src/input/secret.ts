import { CliError } from '../errors.ts';
import { readInput } from './read-input.ts';

const BYTES_MAX = 4_096;

/**
 * The secret in a file (`-`: stdin), without the end of its line; undefined without a file. Rejects CLI_INPUT_UNREADABLE,
 * CLI_USAGE.
 */
export async function secretFrom(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  const secret = (path === '-' ? await standardInput() : readInput(path).toString('utf8')).replace(/\r?\n$/, '');
  if (secret !== '' && !/[\r\n]/.test(secret)) return secret;
  const what = secret === '' ? 'nothing' : 'more than one line';
  throw new CliError('CLI_USAGE', `${path === '-' ? 'stdin' : path} holds ${what}; a secret is one line`);
}

async function standardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin) {
    chunks.push(Buffer.from(chunk as Buffer));
    bytes += chunks.at(-1)!.length;
    if (bytes > BYTES_MAX)
      throw new CliError('CLI_USAGE', `stdin holds more than ${BYTES_MAX} bytes; a secret is one line`);
  }
  return Buffer.concat(chunks).toString('utf8');
}
