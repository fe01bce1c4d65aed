import { dirname, join } from 'node:path';
import type { MessageStoreConfig } from '../base/config.ts';
import { StoreError } from '../base/errors.ts';
import type { FileSystem } from '../base/file-system.ts';
import { errnoOf } from '../base/queue-failure.ts';

/** In a directory that is locked through a file (directory-lock.ts). Readers of a log pass over sub-directories. */
export const LOCK_DIRECTORY = 'lock.d';

/** Names that RocketMQ or we put into a store's root (RocketMQ StorePathConfigHelper). Any of them makes it a store. */
export const STORE_NAMES: ReadonlySet<string> = new Set([
  'abort',
  'batchconsumequeue',
  'checkpoint',
  'commitlog',
  'compaction',
  'config',
  'consumequeue',
  'consumequeue_ext',
  'deletions.json',
  'index',
  'lock',
  LOCK_DIRECTORY,
  'quarantine',
  'timerlog',
  'timerwheel',
]);

/** What a file system puts into a directory by itself. */
const FOREIGN_BUT_HARMLESS = new Set(['lost+found', '.DS_Store']);

export const storePaths = (root: string) => ({
  consumeQueue: join(root, 'consumequeue'),
  consumeQueueExt: join(root, 'consumequeue_ext'),
  batchConsumeQueue: join(root, 'batchconsumequeue'),
  index: join(root, 'index'),
  checkpoint: join(root, 'checkpoint'),
  deletions: join(root, 'deletions.json'),
  abort: join(root, 'abort'),
  lock: join(root, 'lock'),
  config: join(root, 'config'),
  quarantine: join(root, 'quarantine'),
  timerLog: join(root, 'timerlog'),
  timerWheel: join(root, 'timerwheel'),
  timerCheck: join(root, 'config', 'timercheck'),
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
  if (cause instanceof StoreError) return cause;
  const errno = errnoOf(cause);
  const message = `${path} cannot be used: ${errno || String(cause)}`;
  return new StoreError('STORE_DIRECTORY_UNUSABLE', message, { path, errno }, cause);
}

/**
 * Makes the directory of the log and those above it. Every name on the way is durable when this resolves, or the whole
 * store could go with one. Without a checkpoint this directory was never opened to the end: whoever made the directories
 * above may have been stopped before its sync. Rejects STORE_DIRECTORY_UNUSABLE.
 */
export async function makeStoreDirectories(
  { storePathCommitLog, storePathRootDir }: Pick<MessageStoreConfig, 'storePathCommitLog' | 'storePathRootDir'>,
  fileSystem: FileSystem,
): Promise<void> {
  try {
    const isNew = !(await fileSystem.stat(storePaths(storePathRootDir).checkpoint));
    const missing = new Set<string>();
    for (
      let path = storePathCommitLog;
      path !== dirname(path) && !(await fileSystem.stat(path));
      path = dirname(path)
    ) {
      missing.add(path);
    }
    // The lock has made the root already, if it was missing; its own name is made durable in any case.
    await fileSystem.makeDirectory(storePathCommitLog);
    const named = new Set([...missing, storePathRootDir]);
    if (isNew) {
      for (const from of [storePathCommitLog, storePathRootDir]) {
        for (let path = from; path !== dirname(path); path = dirname(path)) named.add(path);
      }
    }
    for (const path of named) {
      await fileSystem.syncDirectory(dirname(path)).catch((error: NodeJS.ErrnoException) => {
        // A directory of others that we may not read; its names are theirs to keep.
        const isForeign = !missing.has(path) && path !== storePathRootDir;
        if (!isForeign || (error.code !== 'EACCES' && error.code !== 'EPERM')) throw error;
      });
    }
  } catch (error) {
    throw unusable(storePathCommitLog, error);
  }
}
