import { readFileSync } from 'node:fs';
import { CliError } from '../errors.ts';

const STDIN = 0;

/** The secret in a file (`-`: stdin), without the end of its line; undefined without a file. Throws CLI_INPUT_UNREADABLE, CLI_USAGE. */
export async function secretFrom(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  let text: string;
  try {
    text = readFileSync(path === '-' ? STDIN : path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError('CLI_INPUT_UNREADABLE', `${path} cannot be read: ${code}`, { path }, error);
  }
  const secret = text.replace(/\r?\n$/, '');
  if (secret === '' || /[\r\n]/.test(secret)) {
    throw new CliError(
      'CLI_USAGE',
      `${path} holds ${secret === '' ? 'nothing' : 'more than one line'}; a secret is one line`,
    );
  }
  return secret;
}
