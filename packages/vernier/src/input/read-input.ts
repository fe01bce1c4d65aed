import { readFileSync } from 'node:fs';
import { CliError } from '../errors.ts';

/** The content of a small file that was named. Throws CLI_INPUT_UNREADABLE. */
export function readInput(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError('CLI_INPUT_UNREADABLE', `${path} cannot be read: ${code}`, { path }, error);
  }
}
