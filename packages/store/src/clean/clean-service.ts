import type { TimerHandle } from '../base/clock.ts';
import type { StoreContext } from '../base/context.ts';
import type { IndexService } from '../key-index/index-service.ts';
import type { MappedFileQueue } from '../mapped-file/mapped-file-queue.ts';
import type { ConsumeQueueStore } from '../queue/consume-queue-store.ts';
import { CleanCommitLogService } from './clean-commit-log-service.ts';
import { CleanConsumeQueueService } from './clean-consume-queue-service.ts';
import { type DiskFull, DiskSpaceWatch } from './disk-space-watch.ts';

export interface CleanParts {
  context: StoreContext;
  mappedFileQueue: Pick<MappedFileQueue, 'deleteExpiredFileByTime' | 'retryDeleteFirstFile' | 'durableMinOffset'>;
  consumeQueueStore: Pick<ConsumeQueueStore, 'deleteExpired'>;
  indexService: Pick<IndexService, 'deleteExpired'> | undefined;
  /** Offset in the log below which every record has its queue entries on disk. */
  queuesCompleteWhere: () => number;
  /** Fails the store when one of its directories was moved or removed: what is appended would be out of reach. */
  checkPlace?: () => Promise<void>;
}

/**
 * Runs both cleaning services each cleanResourceInterval (RocketMQ DefaultMessageStore.cleanFilesPeriodically), the
 * first time when it is started, so that a full disk is known before the first message. Nothing is removed from a store
 * that has failed: what is there may be all that is left. What goes wrong in a round is logged; the next one tries again.
 */
export class CleanService {
  readonly commitLog: CleanCommitLogService;
  readonly consumeQueue: CleanConsumeQueueService;
  readonly #context: StoreContext;
  readonly #checkPlace: () => Promise<void>;
  readonly #disks: DiskSpaceWatch;
  #timer: TimerHandle | undefined;
  #round: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(parts: CleanParts) {
    const { context, mappedFileQueue, consumeQueueStore, indexService, queuesCompleteWhere } = parts;
    const { storePathCommitLog, storePathRootDir } = context.config;
    this.#context = context;
    this.#checkPlace = parts.checkPlace ?? (() => Promise.resolve());
    this.#disks = new DiskSpaceWatch(context, [storePathCommitLog, storePathRootDir]);
    this.commitLog = new CleanCommitLogService({ context, mappedFileQueue, disks: this.#disks, queuesCompleteWhere });
    this.consumeQueue = new CleanConsumeQueueService({
      context,
      minOffset: () => mappedFileQueue.durableMinOffset,
      consumeQueueStore,
      indexService,
    });
  }

  /** The disk that is too full to take messages, with its numbers; undefined while there is room. As of the last round. */
  get diskFull(): DiskFull | undefined {
    return this.#disks.diskFull;
  }

  /**
   * Resolves when diskFull is known; files are removed afterwards, in the background. `newestMs`: see
   * CleanCommitLogService.opened.
   */
  async start(newestMs?: number): Promise<void> {
    this.commitLog.opened(newestMs);
    await this.#disks.look();
    this.#startRound();
  }

  /** Resolves when the file that is being removed is gone; no other is begun. */
  async shutdown(): Promise<void> {
    this.#stopped = true;
    this.commitLog.stop();
    if (this.#timer !== undefined) this.#context.clock.clearTimer(this.#timer);
    this.#timer = undefined;
    await this.#round;
  }

  /**
   * Cleans queues and index now, after the round under way. Resolves with the number of files removed; rejects with what
   * a removal failed with.
   */
  cleanQueues(): Promise<number> {
    const cleaned = this.#round.then(() =>
      this.#stopped || this.#context.failure !== undefined ? 0 : this.consumeQueue.run(),
    );
    this.#round = cleaned.then(
      () => {},
      () => {},
    );
    return cleaned;
  }

  /**
   * Begins a round that removes expired files of the log whatever the hour, and lets those that follow do so too; see
   * CleanCommitLogService.executeDeleteFilesManually. Nobody waits for it: a round may take seconds.
   */
  deleteExpiredFiles(): void {
    if (this.#stopped || this.#context.failure !== undefined) return;
    this.commitLog.executeDeleteFilesManually();
    // Without a timer a round is under way, and the next one is as good.
    if (this.#timer === undefined) return;
    this.#context.clock.clearTimer(this.#timer);
    this.#startRound();
  }

  /** cleanResourceInterval may have changed: the wait for the next round begins anew. */
  configChanged(): void {
    if (this.#timer === undefined) return;
    this.#context.clock.clearTimer(this.#timer);
    this.#armTimer();
  }

  #armTimer(): void {
    this.#timer = this.#context.clock.setTimer(() => this.#startRound(), this.#context.config.cleanResourceInterval);
  }

  #startRound(): void {
    this.#timer = undefined;
    this.#round = this.#round
      .then(() => this.#run())
      .then(() => {
        if (this.#stopped || this.#context.failure !== undefined) return;
        this.#armTimer();
      });
  }

  async #run(): Promise<void> {
    try {
      await this.#checkPlace();
    } catch {
      // It has failed the store, which says why.
      return;
    }
    for (const service of [this.commitLog, this.consumeQueue]) {
      if (this.#stopped || this.#context.failure !== undefined) return;
      try {
        await service.run();
      } catch (error) {
        this.#context.logger.warn({ err: error }, 'clean: files could not be removed, the next round tries again');
      }
    }
  }
}
