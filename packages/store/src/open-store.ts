import { systemClock } from './clock.ts';
import type { MessageStoreOptions } from './config.ts';
import { PoolLane } from './io/io-lane.ts';
import { NodeFileSystem } from './io/node-file-system.ts';
import { StoreLock } from './io/store-lock.ts';
import { WorkerLane } from './io/worker-lane.ts';
import { silentLogger } from './logger.ts';
import type { OpenOptions } from './open-options.ts';
import { checkStoreDirectory } from './store-directory.ts';
import { StoreParts } from './store-parts.ts';
import { resolveConfig } from './validate-config.ts';

/** Opens the parts of a store in the order in which they need each other. What was taken is given back on failure. */
export async function openStoreParts(options: MessageStoreOptions, more: OpenOptions): Promise<StoreParts> {
  const config = resolveConfig(options);
  const logger = more.logger ?? silentLogger;
  const clock = more.clock ?? systemClock;
  const undo: (() => unknown)[] = [];
  try {
    let fileSystem = more.fileSystem;
    if (!fileSystem) {
      const lane = config.ioLane === 'worker' ? new WorkerLane() : new PoolLane();
      undo.push(() => lane.close());
      fileSystem = new NodeFileSystem({ lane });
    }
    const existed = await checkStoreDirectory(fileSystem, config.storePathRootDir);
    // A simulated directory exists in no other process's eyes, and has nothing to lock.
    const lock = more.fileSystem ? undefined : StoreLock.acquire(config.storePathRootDir, { logger });
    if (lock) undo.push(() => lock.release());
    if (!existed) undo.push(() => fileSystem.removeDirectory(config.storePathRootDir));
    const parts = new StoreParts({ config, logger, clock, fileSystem }, lock);
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
