import { join } from 'node:path';
import { StoreError } from './errors.ts';
import type { FileSystem } from './io/file-system.ts';
import { errnoOf } from './queue/queue-failure.ts';

/** Names that RocketMQ or we put into a store's root (RocketMQ StorePathConfigHelper). Any of them makes it a store. */
const STORE_NAMES = new Set([
  'abort',
  'batchconsumequeue',
  'checkpoint',
  'commitlog',
  'compaction',
  'config',
  'consumequeue',
  'consumequeue_ext',
  'index',
  'lock',
  'quarantine',
  'timerlog',
  'timerwheel',
]);

/** What a file system puts into a directory by itself. */
const FOREIGN_BUT_HARMLESS = new Set(['lost+found', '.DS_Store']);

export const storePaths = (root: string) => ({
  consumeQueue: join(root, 'consumequeue'),
  index: join(root, 'index'),
  checkpoint: join(root, 'checkpoint'),
  abort: join(root, 'abort'),
  lock: join(root, 'lock'),
  config: join(root, 'config'),
  quarantine: join(root, 'quarantine'),
});

/**
 * Decides whether a directory can be opened as a store, before anything in it is touched. Resolves with whether it
 * exists. Rejects STORE_NOT_A_STORE for a directory that holds other things and STORE_DIRECTORY_UNUSABLE for one that
 * cannot be read.
 */
export async function checkStoreDirectory(fileSystem: FileSystem, root: string): Promise<boolean> {
  try {
    const stat = await fileSystem.stat(root);
    if (!stat) return false;
    if (!stat.isDirectory) {
      throw new StoreError('STORE_DIRECTORY_UNUSABLE', `${root} is not a directory`, { path: root });
    }
    const names = (await fileSystem.list(root)).filter((name) => !FOREIGN_BUT_HARMLESS.has(name));
    if (names.length > 0 && !names.some((name) => STORE_NAMES.has(name))) {
      const shown = names.slice(0, 3).join(', ') + (names.length > 3 ? ', …' : '');
      const message = `${root} is not a store and not empty: it holds ${names.length} other entries (${shown})`;
      throw new StoreError('STORE_NOT_A_STORE', message, { path: root, entries: names.length });
    }
    return true;
  } catch (error) {
    throw error instanceof StoreError ? error : unusable(root, error);
  }
}

export function unusable(path: string, cause: unknown): StoreError {
  const errno = errnoOf(cause);
  const message = `${path} cannot be used: ${errno || String(cause)}`;
  return new StoreError('STORE_DIRECTORY_UNUSABLE', message, { path, errno }, cause);
}
