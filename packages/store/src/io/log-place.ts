/**
 * Where the commit log may lie. A log inside a directory that the store cleans, or whose names it reads as its own, would
 * be removed with a topic or pass for a queue: `ROOT/commitlog`, a directory of another name, or one outside of ROOT.
 */
import { promises } from 'node:fs';
import { basename, dirname, join, relative, sep } from 'node:path';
import { StoreError } from '../base/errors.ts';
import { STORE_NAMES, storePaths } from './store-directory.ts';

export interface LogPlace {
  storePathRootDir: string;
  storePathCommitLog: string;
}

/** Of a file's neighbours while it is replaced: `deletions.json.bak`, `checkpoint.tmp`. */
const isReserved = (name: string): boolean => STORE_NAMES.has(name) || STORE_NAMES.has(name.replace(/\.[^.]*$/, ''));

/**
 * Rejects STORE_CONFIG_INVALID when the log would lie in a place that the store uses for something else, or the root in the
 * log. With `realPath`, links are followed.
 */
export async function checkLogPlace(
  { storePathRootDir, storePathCommitLog }: LogPlace,
  realPath?: (path: string) => Promise<string>,
): Promise<void> {
  const root = (await realPath?.(storePathRootDir)) ?? storePathRootDir;
  const log = (await realPath?.(storePathCommitLog)) ?? storePathCommitLog;
  const refuse = (rule: string): never => {
    const shown = [storePathCommitLog, storePathRootDir];
    const message = `storePathCommitLog=${shown[0]} with storePathRootDir=${shown[1]}: ${rule}`;
    const details = { key: 'storePathCommitLog', value: storePathCommitLog, storePathRootDir, realPath: log };
    throw new StoreError('STORE_CONFIG_INVALID', message, details);
  };
  if (isWithin(root, log)) refuse('the data directory must not lie in the directory of the log');
  if (isWithin(log, root)) {
    const [first = '', ...deeper] = relative(root, log).split(sep);
    // A file system that takes `Index` for `index` does so for the log, too.
    const name = first.toLowerCase();
    const isOwnPlace = name === 'commitlog' && deeper.length === 0;
    if (!isOwnPlace && isReserved(name)) refuse(`${join(storePathRootDir, first)} is not for a log of its own`);
  }
  if (realPath === undefined) return;
  for (const other of await otherPlaces(storePathRootDir, realPath)) {
    if (isWithin(log, other.real) || isWithin(other.real, log)) {
      refuse(`the log must not share a directory with ${other.path}, which leads to ${other.real}`);
    }
  }
}

/** The store's other directories that lie outside of where they are named, by a link. */
async function otherPlaces(
  root: string,
  realPath: (path: string) => Promise<string>,
): Promise<{ path: string; real: string }[]> {
  const { consumeQueue, consumeQueueExt, batchConsumeQueue, index, config, quarantine } = storePaths(root);
  const named = [consumeQueue, consumeQueueExt, batchConsumeQueue, index, config, quarantine];
  // Topics are removed with their directory, wherever that is.
  for (const path of [consumeQueue, consumeQueueExt, batchConsumeQueue]) named.push(...(await linksIn(path)));
  const realRoot = await realPath(root);
  const found: { path: string; real: string }[] = [];
  for (const path of named) {
    const real = await realPath(path);
    if (real !== join(realRoot, relative(root, path))) found.push({ path, real });
  }
  return found;
}

async function linksIn(path: string): Promise<string[]> {
  try {
    const entries = await promises.readdir(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isSymbolicLink()).map(({ name }) => join(path, name));
  } catch {
    // Missing, or what the load of the queues will say by itself.
    return [];
  }
}

/** The path with all links followed; of what does not exist yet, with those of what is there. */
export async function realPathOf(path: string): Promise<string> {
  try {
    return await promises.realpath(path);
  } catch {
    const above = dirname(path);
    return above === path ? path : join(await realPathOf(above), basename(path));
  }
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory.endsWith(sep) ? directory : directory + sep);
}
