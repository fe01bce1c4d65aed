import { readFile } from 'node:fs/promises';
import { parseProperties } from '@vernier/remoting';
import { shownValue } from '@vernier/store/internal';
import { CliError } from '../errors.ts';

/** One `key=value` and where it stands, ready to be put before a complaint: `broker.conf line 3`. */
export interface Assignment {
  key: string;
  raw: string;
  place: string;
}

/** Reads a Java properties file. A key given twice counts as given last, as in Java. */
export async function readProperties(file: string): Promise<Assignment[]> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError(
      'CLI_CONFIG_UNREADABLE',
      `the config file ${file} cannot be read: ${code}`,
      { file, code },
      error,
    );
  }
  const nul = bytes.indexOf(0);
  if (nul >= 0) {
    // As UTF-8 it would be a file of keys that nobody knows, and the broker would start with none of its settings.
    const isUtf16 = /^(fffe|feff)/.test(bytes.toString('hex', 0, 2)) || (nul < 2 && bytes.length > 1);
    const what = isUtf16 ? 'is UTF-16, save it as UTF-8' : `holds a zero byte at ${nul}`;
    throw new CliError('CLI_CONFIG_UNREADABLE', `the config file ${file} is no text in UTF-8: it ${what}`, { file });
  }
  let content = bytes.toString('utf8');
  const byKey = new Map<string, Assignment>();
  // Editors of some systems begin a file with a byte-order mark, which would be part of the first key.
  if (content.startsWith('\ufeff')) content = content.slice(1);
  for (const { key, value, line } of parseProperties(content)) {
    byKey.set(key, { key, raw: value, place: `${file} line ${line}` });
  }
  return [...byKey.values()];
}

/** `key=value` as typed after --set. */
export function readAssignment(typed: string): Assignment {
  const at = typed.indexOf('=');
  if (at < 1) {
    throw new CliError(
      'CLI_USAGE',
      `--set ${shownValue(typed)}: expected key=value, such as --set flushDiskType=ASYNC_FLUSH`,
      {
        typed,
      },
    );
  }
  return { key: typed.slice(0, at).trim(), raw: typed.slice(at + 1), place: `--set ${shownValue(typed)}` };
}
