import { looking } from './base/arguments.ts';
import { CarefulLogger } from './base/caller-code.ts';
import { systemClock } from './base/clock.ts';
import type { MessageStoreOptions } from './base/config.ts';
import { silentLogger } from './base/logger.ts';
import { resolveConfig } from './base/validate-config.ts';
import { type IoLane, PoolLane } from './io/io-lane.ts';
import { checkLogPlace, realPathOf } from './io/log-place.ts';
import { checkNames } from './io/names-in-root.ts';
import { NodeFileSystem } from './io/node-file-system.ts';
import { PlacedFileSystem } from './io/placed-file-system.ts';
import { checkStoreDirectory } from './io/store-directory.ts';
import { StoreLock } from './io/store-lock.ts';
import { WorkerLane } from './io/worker-lane.ts';
import { checkOpenOptions, type OpenOptions } from './open-options.ts';
import { withFoundSizes } from './recovery/found-sizes.ts';
import { StoreParts } from './store-parts.ts';

/** Opens the parts of a store in the order in which they need each other. What was taken is given back on failure. */
export async function openStoreParts(options: MessageStoreOptions, more: OpenOptions): Promise<StoreParts> {
  const config = resolveConfig(options);
  looking('open', 'the options', () => checkOpenOptions(more));
  const logger = new CarefulLogger(more.logger ?? silentLogger);
  const clock = more.clock ?? systemClock;
  const undo: (() => unknown)[] = [];
  try {
    let fileSystem = more.fileSystem;
    let lane: IoLane | undefined;
    if (!fileSystem) {
      const newLane = config.ioLane === 'worker' ? new WorkerLane() : new PoolLane();
      undo.push(() => newLane.close());
      lane = newLane;
      fileSystem = new NodeFileSystem({ lane });
    }
    const existed = await checkStoreDirectory(fileSystem, config.storePathRootDir);
    if (!more.fileSystem) await checkNames(config);
    // Links are a matter of the real file system; a simulated one has none.
    await checkLogPlace(config, more.fileSystem ? undefined : realPathOf);
    // A simulated directory exists in no other process's eyes, and has nothing to lock.
    const lock = more.fileSystem ? undefined : await StoreLock.acquire(config.storePathRootDir, { logger });
    if (lock) {
      undo.push(() => lock.release());
      fileSystem = new PlacedFileSystem(fileSystem, lock);
    }
    const opened = fileSystem;
    if (!existed) undo.push(() => opened.removeDirectory(config.storePathRootDir));
    const sized = await withFoundSizes(config, options, fileSystem, logger);
    const parts = new StoreParts({ config: sized, logger, clock, fileSystem }, { lock, lane });
    undo.push(() => parts.abandon());
    await parts.load(more.onRecoveryProgress);
    await parts.start();
    return parts;
  } catch (error) {
    for (const step of undo.reverse()) {
      // The error to report is why the store did not open; on a failed disk the way back may fail as well, and must not
      // keep the lock from being released.
      try {
        await step();
      } catch (undoError) {
        logger.warn({ cause: String(undoError) }, 'something could not be undone after a failed open');
      }
    }
    throw error;
  }
}
