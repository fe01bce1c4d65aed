import { promises, type Stats } from 'node:fs';
import type { MessageStoreConfig } from '../base/config.ts';
import { StoreError } from '../base/errors.ts';
import { errnoOf } from '../base/queue-failure.ts';
import { checkIsFile, kindBesidesFile, linkError } from './regular-file.ts';
import { storePaths, unusable } from './store-directory.ts';

/**
 * Looks at what has the names of the store's own files and directories, before anything is touched: what was put there by
 * hand would come up in the middle of a recovery, or never, as queues that are not written. Rejects STORE_NOT_A_FILE and
 * STORE_DIRECTORY_UNUSABLE, each with the path.
 */
export async function checkNames({
  storePathRootDir,
  storePathCommitLog,
}: Pick<MessageStoreConfig, 'storePathRootDir' | 'storePathCommitLog'>): Promise<void> {
  const paths = storePaths(storePathRootDir);
  for (const path of [paths.abort, paths.checkpoint, paths.lock]) {
    const stat = await orUnusable(path, promises.lstat(path));
    // What it leads to belongs to somebody else, and is not overwritten.
    if (stat?.isSymbolicLink()) throw linkError(path);
    if (stat !== undefined) checkIsFile(path, stat);
  }
  for (const path of [
    storePathCommitLog,
    paths.consumeQueue,
    paths.index,
    paths.config,
    paths.quarantine,
    paths.timerLog,
  ]) {
    const link = await orUnusable(path, promises.lstat(path));
    if (link === undefined) continue;
    const stat = await orUnusable(path, promises.stat(path));
    if (stat === undefined) throw notADirectory(path, 'a link that leads to nothing');
    if (!stat.isDirectory()) throw notADirectory(path, kindBesidesFile(stat) ?? 'a file');
  }
  for (const path of [paths.timerWheel, paths.timerCheck]) {
    const link = await orUnusable(path, promises.lstat(path));
    if (link === undefined) continue;
    const stat = await promises.stat(path).catch(() => undefined);
    if (stat === undefined) throw linkError(path);
    checkIsFile(path, stat);
  }
}

async function orUnusable(path: string, looking: Promise<Stats>): Promise<Stats | undefined> {
  try {
    return await looking;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    if (errnoOf(error) === 'ELOOP') throw notADirectory(path, 'a loop of links');
    throw unusable(path, error);
  }
}

function notADirectory(path: string, kind: string): StoreError {
  const message = `${path} is ${kind}, where the store has a directory`;
  return new StoreError('STORE_DIRECTORY_UNUSABLE', message, { path, kind });
}
