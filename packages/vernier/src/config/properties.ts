import { readFile } from 'node:fs/promises';
import type { Pair } from 'dot-properties';
import { CliError } from '../errors.ts';

/** One `key=value` and where it stands, ready to be put before a complaint: `broker.conf line 3`. */
export interface Assignment {
  key: string;
  raw: string;
  place: string;
}

/** Reads a Java properties file. A key given twice counts as given last, as in Java. */
export async function readProperties(file: string): Promise<Assignment[]> {
  let content: string;
  try {
    content = await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError(
      'CLI_CONFIG_UNREADABLE',
      `the config file ${file} cannot be read: ${code}`,
      { file, code },
      error,
    );
  }
  // Loaded here and not above: who starts without a config file does not pay for the parser.
  const { parseLines } = await import('dot-properties');
  const byKey = new Map<string, Assignment>();
  for (const node of parseLines(content, true)) {
    if (node.type !== 'PAIR') continue;
    const { key, value } = node as Required<Pair>;
    const line = content.slice(0, node.range[0]).split(/\r\n|\r|\n/).length;
    byKey.set(key, { key, raw: value, place: `${file} line ${line}` });
  }
  return [...byKey.values()];
}

/** `key=value` as typed after --set. */
export function readAssignment(typed: string): Assignment {
  const at = typed.indexOf('=');
  if (at < 1) {
    throw new CliError('CLI_USAGE', `--set ${typed}: expected key=value, such as --set flushDiskType=ASYNC_FLUSH`, {
      typed,
    });
  }
  return { key: typed.slice(0, at).trim(), raw: typed.slice(at + 1), place: `--set ${typed}` };
}
