import type { StoreContext } from '../base/context.ts';
import type { MappedFileQueue } from '../mapped-file/mapped-file-queue.ts';
import type { DiskFull, DiskSpaceWatch } from './disk-space-watch.ts';
import { ExpiryClock } from './expiry-clock.ts';

const HOUR_MS = 3_600_000;
/** RocketMQ deleteCommitLogFilesInterval: a pause between two files, so that unlinking gigabytes does not stall others. */
const DELETE_INTERVAL_MS = 100;
/** RocketMQ MAX_MANUAL_DELETE_FILE_TIMES. */
const MANUAL_ROUNDS = 20;

export interface CleanCommitLogParts {
  context: StoreContext;
  mappedFileQueue: Pick<MappedFileQueue, 'deleteExpiredFileByTime' | 'retryDeleteFirstFile'>;
  disks: DiskSpaceWatch;
  /** Offset in the log below which every record has its queue entries on disk. */
  queuesCompleteWhere: () => number;
}

/**
 * Removes expired files of the commit log (RocketMQ DefaultMessageStore.CleanCommitLogService): files whose last change
 * is fileReservedTime hours old on the ExpiryClock, in the hours of deleteWhen, or at any hour when the disk is fuller than
 * diskMaxUsedSpaceRatio. Never the last file, never one that is not on disk, never before its time unless
 * cleanFileForciblyEnable and the disk is fuller than diskSpaceCleanForciblyRatio. And never one with records whose queue
 * entries are in memory alone, which RocketMQ does not ask: a power cut would take the numbers that those records gave,
 * and the next messages would get them again.
 */
export class CleanCommitLogService {
  readonly #context: StoreContext;
  readonly #log: CleanCommitLogParts['mappedFileQueue'];
  readonly #disks: DiskSpaceWatch;
  readonly #queuesCompleteWhere: () => number;
  readonly #expiry: ExpiryClock;
  #manualRounds = 0;
  #redeletedAt: number;
  #stopped = false;
  #endPause: () => void = () => {};

  constructor(parts: CleanCommitLogParts) {
    this.#context = parts.context;
    this.#log = parts.mappedFileQueue;
    this.#disks = parts.disks;
    this.#queuesCompleteWhere = parts.queuesCompleteWhere;
    this.#redeletedAt = parts.context.clock.monotonic();
    this.#expiry = new ExpiryClock(parts.context);
  }

  /** `newestMs`: when the newest file of the log was last changed before the store was opened; undefined without one. */
  opened(newestMs: number | undefined): void {
    if (newestMs !== undefined) this.#expiry.opened(newestMs, this.#context.config.fileReservedTime * HOUR_MS);
  }

  get diskFull(): DiskFull | undefined {
    return this.#disks.diskFull;
  }

  /** The next 20 rounds delete expired files whatever the hour (RocketMQ DELETE_EXPIRED_COMMITLOG, mqadmin). */
  executeDeleteFilesManually(): void {
    this.#expiry.trust();
    this.#manualRounds = MANUAL_ROUNDS;
  }

  /** A round under way ends after the file it is at. */
  stop(): void {
    this.#stopped = true;
    this.#endPause();
  }

  /** One round. Resolves with the number of files removed; their names are gone *on disk*. Rejects when removing fails. */
  async run(): Promise<number> {
    const count = await this.#deleteExpiredFiles();
    await this.#redeleteHangedFile();
    return count;
  }

  async #deleteExpiredFiles(): Promise<number> {
    const { config, logger } = this.#context;
    // In each round, or a step of the clock would not be told from the time that passed.
    const now = this.#expiry.now();
    const use = await this.#disks.look();
    const timeUp = isTimeToDelete(config.deleteWhen, this.#context.clock.now());
    const manual = this.#manualRounds > 0;
    if (!timeUp && !use.spaceIsShort && !manual) return 0;
    if (manual) this.#manualRounds--;
    const cleanAtOnce = config.cleanFileForciblyEnable && use.cleanImmediately;
    let count = 0;
    // One by one, so that a shutdown does not wait for the rest of the batch.
    while (count < config.deleteFileBatchMax && !this.#stopped) {
      if (count > 0) await this.#pause();
      if (this.#stopped) break;
      const reservedMs = config.fileReservedTime * HOUR_MS;
      const limit = this.#queuesCompleteWhere();
      if ((await this.#log.deleteExpiredFileByTime(reservedMs, 1, 0, cleanAtOnce, limit, now)) === 0) break;
      count++;
    }
    if (count > 0) logger.info({ count, timeUp, ...use, manual, cleanAtOnce }, 'clean: commit log files removed');
    return count;
  }

  /** Resolves after DELETE_INTERVAL_MS, or at once when the service is stopped. */
  #pause(): Promise<void> {
    const { clock } = this.#context;
    return new Promise((resolve) => {
      const timer = clock.setTimer(resolve, DELETE_INTERVAL_MS);
      this.#endPause = () => {
        clock.clearTimer(timer);
        resolve();
      };
    });
  }

  /** A first file whose removal failed is tried again each redeleteHangedFileInterval. */
  async #redeleteHangedFile(): Promise<void> {
    const { clock, config, logger } = this.#context;
    if (clock.monotonic() - this.#redeletedAt < config.redeleteHangedFileInterval) return;
    this.#redeletedAt = clock.monotonic();
    if (await this.#log.retryDeleteFirstFile(config.destroyMapedFileIntervalForcibly)) {
      logger.info({}, 'clean: the first file, which could not be removed before, is removed');
    }
  }
}

/** Whether the hour of local time is one of `deleteWhen`: hours with two digits, separated by `;` (UtilAll.isItTimeToDo). */
export function isTimeToDelete(deleteWhen: string, now: number): boolean {
  const hour = new Date(now).getHours();
  return deleteWhen.split(';').some((entry) => entry.trim() !== '' && Number(entry) === hour);
}
