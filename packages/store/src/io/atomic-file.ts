/**
 * Small files that a crash must not tear (RocketMQ's JSON files, ConfigManager).
 *
 * FILE is replaced in these steps; at each point a crash leaves FILE or FILE.bak whole and durable:
 *
 *   1. FILE.tmp: made anew, written, fsync        FILE old, .bak older
 *   2. FILE.bak-tmp: copy of FILE, fsync          FILE old, .bak older
 *   3. rename FILE.bak-tmp → FILE.bak             FILE old, .bak older or old
 *   4. fsync of the directory
 *   5. rename FILE.tmp → FILE                     FILE old or new, .bak old
 *   6. fsync of the directory                     FILE new, .bak old
 *
 * RocketMQ renames FILE itself to .bak first, so that between the two there is no FILE; a copy costs a few KiB and leaves
 * no such moment. A FILE that does not pass `validate` is not copied over a .bak that may be good.
 */
import { dirname } from 'node:path';
import { StoreError } from '../base/errors.ts';
import type { FileSystem } from '../base/file-system.ts';
import type { StoreLogger } from '../base/logger.ts';

const CHUNK = 1024 * 1024;

export const backupPath = (path: string): string => `${path}.bak`;

export interface AtomicWriteOptions {
  /** Says whether the present content is worth keeping as `.bak`. Default: when it is not empty. */
  isWhole?: (content: Buffer) => boolean;
}

/**
 * Replaces the content of `path`; the previous content stays as `<path>.bak`. *On disk* when it resolves. Rejects with
 * the errno error; `path` or its copy is then as whole as before. Calls for one path must not overlap.
 */
export async function writeAtomic(
  fileSystem: FileSystem,
  path: string,
  content: Uint8Array | string,
  options: AtomicWriteOptions = {},
): Promise<void> {
  const isWhole = options.isWhole ?? ((present: Buffer) => present.length > 0);
  const directory = dirname(path);
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  await writeDurably(fileSystem, `${path}.tmp`, bytes);
  const present = await fileSystem.readFile(path);
  if (present !== undefined && isWhole(present)) {
    await writeDurably(fileSystem, `${path}.bak-tmp`, present);
    await fileSystem.rename(`${path}.bak-tmp`, backupPath(path));
    await fileSystem.syncDirectory(directory);
  }
  await fileSystem.rename(`${path}.tmp`, path);
  await fileSystem.syncDirectory(directory);
}

/**
 * Always a new file: one that an earlier attempt left may be longer, and after a failed sync its pages can swallow what is
 * written to them and reported as synced (docs/design/recovery.md).
 */
async function writeDurably(fileSystem: FileSystem, path: string, bytes: Uint8Array): Promise<void> {
  await fileSystem.remove(path);
  const file = await fileSystem.open(path, 'create');
  try {
    // Chunks keep a big table from holding up everybody else's calls.
    for (let at = 0; at < bytes.length; at += CHUNK) await file.write(bytes.subarray(at, at + CHUNK), at);
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * What `validate` makes of the file's content, or of `<path>.bak` with a loud line when the file is missing or damaged.
 * `validate` throws for damaged content; its reason goes into the line. Undefined when there is neither file. Rejects
 * with STORE_METADATA_DAMAGED when what is there cannot be used, STORE_NOT_A_FILE when one of them is no file.
 */
export async function readAtomic<T>(
  fileSystem: FileSystem,
  path: string,
  validate: (content: Buffer) => T,
  logger: StoreLogger,
): Promise<T | undefined> {
  const main = await tryRead(fileSystem, path, validate);
  if ('value' in main) return main.value;
  const backup = await tryRead(fileSystem, backupPath(path), validate);
  if ('value' in backup) {
    const fields = { path, reason: main.reason, used: backupPath(path) };
    logger.error(fields, `${path} is ${main.reason}; its previous copy is used, the last change to it is lost`);
    return backup.value;
  }
  if (main.missing && backup.missing) return undefined;
  const details = { path, reason: main.reason, backup: backupPath(path), backupReason: backup.reason };
  const message = `${path} is ${main.reason} and ${backupPath(path)} is ${backup.reason}`;
  throw new StoreError('STORE_METADATA_DAMAGED', message, details, main.cause ?? backup.cause);
}

type Attempt<T> = { value: T } | { missing: boolean; reason: string; cause?: unknown };

async function tryRead<T>(fileSystem: FileSystem, path: string, validate: (content: Buffer) => T): Promise<Attempt<T>> {
  let content: Buffer | undefined;
  try {
    content = await fileSystem.readFile(path);
  } catch (cause) {
    // No crash makes a pipe of a file. The copy would be read, but nothing could be saved in its place.
    if (cause instanceof StoreError) throw cause;
    return { missing: false, reason: `unreadable (${(cause as NodeJS.ErrnoException).code})`, cause };
  }
  if (content === undefined) return { missing: true, reason: 'missing' };
  // No metadata file is empty on purpose; an empty one is what a crash leaves of a file written without a sync.
  if (content.length === 0) return { missing: false, reason: 'empty' };
  try {
    return { value: validate(content) };
  } catch (cause) {
    return { missing: false, reason: `damaged (${cause instanceof Error ? cause.message : cause})`, cause };
  }
}
