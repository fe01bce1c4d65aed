import { constants } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { FILE_MODE } from '@vernier/store/internal';

const PAGE = Buffer.alloc(4096, 0x56);
const FLUSHES_MAX = 7;

export interface FlushTime {
  /** Median of the flushes, ms. */
  medianMs: number;
  count: number;
}

/**
 * Measures how long the disk below `folder` takes to flush: appends of 4 KiB to a small file, each with an fdatasync. It
 * stops after seven flushes or when `budgetMs` is used up; undefined when not even one ended by then (a slow or hanging
 * disk; the flush goes on unseen) or the folder cannot be written. Leaves nothing behind: on Linux the file has no name.
 */
export async function measureFlushTime(folder: string, budgetMs = 20): Promise<FlushTime | undefined> {
  const times: number[] = [];
  const began = performance.now();
  const measuring = (async (): Promise<void> => {
    const file = await openScratchFile(folder);
    if (file === undefined) return;
    try {
      while (times.length < FLUSHES_MAX && performance.now() - began < budgetMs) {
        await file.write(PAGE, 0, PAGE.length, times.length * PAGE.length);
        const start = performance.now();
        await file.datasync();
        times.push(performance.now() - start);
      }
    } finally {
      await file.close();
    }
  })().catch(() => undefined);
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    measuring,
    new Promise((resolve) => {
      timer = setTimeout(resolve, budgetMs);
    }),
  ]);
  clearTimeout(timer);
  if (times.length === 0) return undefined;
  const sorted = times.toSorted((a, b) => a - b);
  return { medianMs: sorted[Math.floor(sorted.length / 2)]!, count: sorted.length };
}

/** Linux's O_TMPFILE without its O_DIRECTORY, which differs from one architecture to the next and is known to Node. */
const TMPFILE_BIT = 0o20000000;

async function openScratchFile(folder: string): Promise<FileHandle | undefined> {
  if (process.platform === 'linux') {
    const unnamed = await open(folder, TMPFILE_BIT | constants.O_DIRECTORY | constants.O_RDWR, FILE_MODE).catch(
      () => undefined,
    );
    if (unnamed !== undefined) return unnamed;
  }
  const path = join(folder, `.vernier-flush-time-${process.pid}`);
  const named = await open(path, 'wx+', FILE_MODE).catch(() => undefined);
  // The name goes at once where the system lets an open file go (everywhere but Windows, and there at close).
  if (named !== undefined) await rm(path, { force: true }).catch(() => undefined);
  return named;
}
