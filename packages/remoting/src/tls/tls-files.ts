import { readFile, stat } from 'node:fs/promises';
import { RemotingError } from '../errors.ts';

/** A certificate with all that vouch for it is some kilobytes; a list of all authorities of the web is 250. */
const FILE_BYTES_MAX = 4 * 1024 * 1024;

/** The text of a file in PEM. Rejects REMOTING_TLS_INVALID that names it. */
export async function readPem(path: string): Promise<string> {
  let bytes: Buffer;
  try {
    const { size } = await stat(path);
    if (size > FILE_BYTES_MAX) throw new Error(`it has ${size} bytes, at most ${FILE_BYTES_MAX}`);
    bytes = await readFile(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new RemotingError('REMOTING_TLS_INVALID', `${path} cannot be read: ${code ?? message}`, { path }, error);
  }
  return bytes.toString('utf8');
}

/**
 * What tells whether one of the files is another than before: written, replaced, or reached through a link that points
 * elsewhere now, as Kubernetes swaps a directory of them. A file that is missing is a mark too.
 */
export async function marksOf(paths: readonly string[]): Promise<string> {
  const marks = paths.map(async (path) => {
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
      return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? 'unknown';
    }
  });
  return (await Promise.all(marks)).join(' ');
}
