import type { StoreContext } from '../base/context.ts';
import type { DiskSpace } from '../base/file-system.ts';

/** A disk on which the store stopped taking messages. */
export interface DiskFull extends DiskSpace {
  /** Directory of the store that lies on it. */
  path: string;
  /** Share of the disk in use, 0 to 1. */
  usedRatio: number;
  /** diskSpaceWarningLevelRatio as a share, which it went above. */
  limitRatio: number;
}

export interface DiskUse {
  /** Some disk is used above diskMaxUsedSpaceRatio: expired files go now, whatever the hour. */
  spaceIsShort: boolean;
  /** Some disk is used above diskSpaceCleanForciblyRatio: files may go before they expire, if cleanFileForciblyEnable. */
  cleanImmediately: boolean;
}

/** RocketMQ clamps the two upper ratios, so that a wrong setting can neither stop a half empty disk nor never strike. */
export function clampedRatio(percent: number, min: number, max: number): number {
  return Math.min(max, Math.max(min, percent / 100));
}

/**
 * Looks how full the disks are (RocketMQ DefaultMessageStore.CleanCommitLogService.isSpaceToDelete):
 *
 *   used > warning 0.90    DISK_FULL, if there is no room for two more files: the store takes no messages
 *        > forcibly 0.85   DISK_FULL stays if it is set
 *        ≤ forcibly        DISK_FULL is taken back, as it is when there is room for two files again
 *
 * RocketMQ keeps one flag for the commit log's disk and one for the queues'; here each path has its own.
 */
export class DiskSpaceWatch {
  readonly #context: Pick<StoreContext, 'config' | 'fileSystem' | 'logger'>;
  readonly #paths: readonly string[];
  readonly #full = new Map<string, DiskFull>();

  constructor(context: Pick<StoreContext, 'config' | 'fileSystem' | 'logger'>, paths: readonly string[]) {
    this.#context = context;
    this.#paths = [...new Set(paths)];
  }

  /** The first disk found full at the last look and not taken back since. */
  get diskFull(): DiskFull | undefined {
    return this.#full.values().next().value;
  }

  /** Looks at every path. One that cannot be asked counts as short of space, as in RocketMQ, and is reported. */
  async look(): Promise<DiskUse> {
    const { config } = this.#context;
    const warning = clampedRatio(config.diskSpaceWarningLevelRatio, 0.35, 0.9);
    const forcibly = clampedRatio(config.diskSpaceCleanForciblyRatio, 0.3, 0.85);
    // Nine tenths of a large disk in use is no reason to stop: there must be no room for the next two files either.
    const roomWanted = 2 * config.mappedFileSizeCommitLog + config.diskFreeBytesMin;
    const use: DiskUse = { spaceIsShort: false, cleanImmediately: false };
    for (const path of this.#paths) {
      const space = await this.#spaceOf(path);
      if (space === undefined) {
        use.spaceIsShort = true;
        continue;
      }
      const usedRatio = 1 - space.freeBytes / space.totalBytes;
      if (usedRatio > warning && space.freeBytes < roomWanted)
        this.#setFull({ ...space, path, usedRatio, limitRatio: warning });
      else if (usedRatio <= forcibly || space.freeBytes >= roomWanted) this.#clearFull(path, usedRatio);
      if (usedRatio > Math.min(warning, forcibly)) use.cleanImmediately = true;
      if (usedRatio > config.diskMaxUsedSpaceRatio / 100) use.spaceIsShort = true;
    }
    return use;
  }

  async #spaceOf(path: string): Promise<DiskSpace | undefined> {
    try {
      const space = await this.#context.fileSystem.space(path);
      return space.totalBytes > 0 ? space : undefined;
    } catch (error) {
      this.#context.logger.warn({ path, err: error }, 'clean: the disk does not say how full it is');
      return undefined;
    }
  }

  #setFull(full: DiskFull): void {
    if (!this.#full.has(full.path)) {
      this.#context.logger.error(
        full,
        `disk full: ${percent(full.usedRatio)} of the disk of ${full.path} is used, more than ${percent(full.limitRatio)} ` +
          '(diskSpaceWarningLevelRatio); no message is taken until there is room',
      );
    }
    this.#full.set(full.path, full);
  }

  #clearFull(path: string, usedRatio: number): void {
    if (!this.#full.delete(path)) return;
    this.#context.logger.info({ path, usedRatio }, 'disk full: there is room again, messages are taken');
  }
}

function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(1)} %`;
}
