import { loadNative } from '@vernier/store/internal';
import { type DataFile, doctorFileSystem, type StoreLayout } from './store-layout.ts';

/** What the page cache has of some files, in bytes. */
export interface CacheSummary {
  totalBytes: number;
  cachedBytes: number;
  /** Of those: not written back yet. Undefined when the kernel does not say (before Linux 6.5). */
  dirtyBytes: number | undefined;
}

export interface StoreCacheState {
  log: CacheSummary;
  queues: CacheSummary;
  index: CacheSummary;
}

/** Queue files that are looked at; beyond it a page would take minutes. */
const QUEUE_FILES_MAX = 20_000;

/** Undefined where nobody can tell: not Linux, or koffi is missing. Reads nothing of the files. */
export async function cacheStateOf(layout: StoreLayout): Promise<StoreCacheState | undefined> {
  const queueFiles = [...layout.queues.values()].flatMap((byId) => [...byId.values()].flatMap(({ files }) => files));
  const log = await summarise(layout.logFiles);
  const queues = await summarise(queueFiles.slice(0, QUEUE_FILES_MAX));
  const index = await summarise(layout.indexFiles);
  return log && queues && index ? { log, queues, index } : undefined;
}

async function summarise(files: readonly DataFile[]): Promise<CacheSummary | undefined> {
  const native = loadNative();
  const summary: CacheSummary = { totalBytes: 0, cachedBytes: 0, dirtyBytes: 0 };
  for (const { path, size } of files) {
    // A live broker removes files that have had their day.
    const file = await doctorFileSystem.open(path, 'read').catch(() => undefined);
    if (file === undefined) continue;
    try {
      const state = native?.cacheState(file.fd!, size);
      if (state === undefined) return undefined;
      summary.totalBytes += size;
      summary.cachedBytes += Math.min(size, state.cachedBytes);
      if (state.dirtyBytes === undefined) summary.dirtyBytes = undefined;
      else if (summary.dirtyBytes !== undefined) summary.dirtyBytes += Math.min(size, state.dirtyBytes);
    } finally {
      await file.close();
    }
  }
  return summary;
}
