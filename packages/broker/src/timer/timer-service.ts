import type { Clock, MessageStore, StoreLogger } from '@vernier/store';
import { encodeTimerCheck, type FileSystem, ServiceLoop, TimerFiles } from '@vernier/store/internal';
import { TIMER_TOPIC } from '../base/names.ts';
import type { BrokerConfig } from '../config.ts';
import type { DueDeliveries } from '../delay/due-deliveries.ts';
import type { Place, PlaceTable, PutsOnDisk } from '../follow/follow-places.ts';
import type { FollowService } from '../follow/follow-service.ts';
import type { QueueFollower } from '../follow/queue-follower.ts';
import { TpsCounter } from '../stats/broker-stats.ts';
import { TimerDueService } from './timer-due-service.ts';
import { TimerIntake } from './timer-intake.ts';
import type { TimerMetrics } from './timer-metrics.ts';

export interface TimerServiceParts {
  readonly config: BrokerConfig;
  readonly store: MessageStore;
  readonly fileSystem: FileSystem;
  readonly follow: FollowService;
  readonly deliveries: DueDeliveries;
  readonly metrics: TimerMetrics;
  readonly putsOnDisk: PutsOnDisk;
  readonly clock: Clock;
  readonly logger: StoreLogger;
  /** Slots of the wheel, when not RocketMQ's; for tests. */
  readonly slots?: number | undefined;
}

export interface TimerProgress {
  /** Messages of the topic that are not in the files yet. */
  readonly notTakenUp: number;
  /** Messages in the files. */
  readonly waiting: number;
  /** How long ago the next of these was due, in milliseconds; 0 when it is still to come. */
  readonly overdueMs: number;
}

const RATE_MS = 10_000;

/**
 * Messages that wait for a time (RocketMQ TimerMessageStore): a follower takes them from their topic into files by time, and
 * a service delivers those that are due. What a crash leaves is said at TimerFiles. Without timerWheelEnable nothing runs,
 * and what waits stays where it is.
 */
export class TimerService {
  readonly #parts: TimerServiceParts;
  #files: TimerFiles | undefined;
  #follower: QueueFollower | undefined;
  #intake: TimerIntake | undefined;
  #due: TimerDueService | undefined;
  #saver: TimerSaver | undefined;
  #enqueued: TpsCounter;
  #dequeued: TpsCounter;

  constructor(parts: TimerServiceParts) {
    this.#parts = parts;
    this.#enqueued = new TpsCounter(parts.clock.now());
    this.#dequeued = new TpsCounter(parts.clock.now());
  }

  /** Reads the files. Rejects STORE_TIMER_PRECISION_MISMATCH and what makes the files unusable. */
  async load(): Promise<void> {
    const { config, store, fileSystem, logger, clock, putsOnDisk, slots } = this.#parts;
    if (!config.timerWheelEnable) return;
    const { storePathRootDir, diskFreeBytesMin } = store.config;
    this.#files = await TimerFiles.open({
      ...{ storePathRootDir, fileSystem, logger, diskFreeBytesMin },
      ...(slots === undefined ? {} : { slots }),
      precisionMs: config.timerPrecisionMs,
      mappedFileSizeTimerLog: config.mappedFileSizeTimerLog,
      now: () => clock.now(),
      queueEnd: store.getMaxOffsetInQueue(TIMER_TOPIC, 0),
      putsOnDisk,
      failed: (cause) => store.failWith(cause),
    });
    await this.#files.keepPrecision();
  }

  /** After load(); `stop` and the follow service stop it. */
  start(): void {
    const { config, store, follow, deliveries, metrics, clock, logger } = this.#parts;
    const files = this.#files;
    if (files === undefined) return;
    const saver = new TimerSaver(files, store, config, clock, logger);
    const intake = new TimerIntake({
      ...{ config, store, files, metrics, clock, logger },
      added: (number) => {
        this.#enqueued.add(clock.now(), 1);
        this.#due?.added(number);
      },
      isInTheWay: (limit) => this.#due?.putBackAbove(limit),
    });
    const service = this;
    this.#due = new TimerDueService({
      ...{ store, files, metrics, deliveries, clock, logger },
      intake: {
        get queueOffset() {
          return service.#follower?.queueOffset ?? 0;
        },
        get isStuck() {
          return intake.isStuck;
        },
      },
      farthest: () => intake.farthest,
      fired: (count) => {
        this.#dequeued.add(clock.now(), count);
        saver.changed();
      },
    });
    this.#saver = saver;
    this.#intake = intake;
    this.#clampPlace(files);
    this.#follower = follow.follow({
      name: 'timer',
      topic: TIMER_TOPIC,
      queueId: 0,
      places: this.#places(files, saver),
      act: intake.act,
    });
    // What was taken over at the start is saved too.
    saver.changed();
    saver.start();
    this.#due.start();
  }

  /** Ends deliveries, before the followers are stopped. */
  async stop(): Promise<void> {
    await this.#due?.shutdown();
  }

  /** After the followers were stopped: everything is on disk when it resolves. */
  async close(): Promise<void> {
    try {
      await this.#saver?.shutdown();
    } finally {
      await this.#files?.close();
    }
  }

  /** Messages of the topic in front of this entry are in the files, or were delivered. */
  takenUpTo(): number {
    return this.#follower?.queueOffset ?? 0;
  }

  /** Unix milliseconds: of these, each one that asks for this time or an earlier one stands in its topic. */
  deliveredUpTo(): number {
    const files = this.#files;
    if (files === undefined) return 0;
    const { doneBelow } = files;
    return doneBelow === undefined ? Number.POSITIVE_INFINITY : doneBelow * files.precisionMs;
  }

  /** Some message waits. */
  get hasPending(): boolean {
    return (this.#files?.lowest ?? undefined) !== undefined || this.#behind > 0;
  }

  /** Messages that wait in the files. */
  get waitingCount(): number {
    return this.#files?.waitingCount ?? 0;
  }

  get deliveredTotal(): number {
    return this.#parts.deliveries.deliveredTotal;
  }

  get droppedTotal(): number {
    return this.#parts.deliveries.droppedTotal;
  }

  get recalledTotal(): number {
    return this.#due?.recalledTotal ?? 0;
  }

  get addedTotal(): number {
    return this.#intake?.addedTotal ?? 0;
  }

  /** Memory of the wheel's pages, and reads of the timer files. */
  get cost(): { memoryBytes: number; readCalls: number } {
    return this.#files?.cost ?? { memoryBytes: 0, readCalls: 0 };
  }

  /** timercheck of this moment, the 56 bytes that Java reads; undefined without timerWheelEnable. */
  checkpoint(): Buffer | undefined {
    return this.#files && encodeTimerCheck(this.#files.checkpoint);
  }

  /** timermetrics of this moment. */
  metricsText(): string {
    return this.#parts.metrics.text();
  }

  /** How far it is; undefined without timerWheelEnable. */
  get progress(): TimerProgress | undefined {
    const files = this.#files;
    if (files === undefined) return undefined;
    const now = this.#parts.clock.now();
    const dueAt = files.lowest === undefined ? now : (files.lowest + 1) * files.precisionMs;
    return { notTakenUp: this.#behind, waiting: files.waitingCount, overdueMs: Math.max(0, now - dueAt) };
  }

  /** Age in milliseconds of the oldest message that is not in the files; 0 when all are. Rejects STORE_READ_FAILED. */
  async takeUpDelayMs(): Promise<number> {
    if (this.#behind === 0) return 0;
    const { store, clock } = this.#parts;
    const storedAt = await store.getMessageStoreTimeStamp(TIMER_TOPIC, 0, this.takenUpTo());
    return storedAt < 0 ? 0 : Math.max(0, clock.now() - storedAt);
  }

  /**
   * Messages that are due within so many seconds from now, a count for each bound without what the bound before it counts.
   * What is overdue is in none. Undefined without timerWheelEnable. Rejects STORE_READ_FAILED.
   */
  async dueWithin(boundsSeconds: readonly number[]): Promise<number[] | undefined> {
    const files = this.#files;
    if (files === undefined) return undefined;
    const slot = Math.floor(this.#parts.clock.now() / files.precisionMs);
    const ends = boundsSeconds.map((seconds) => slot + Math.ceil((seconds * 1_000) / files.precisionMs));
    return files.counts(slot, ends);
  }

  /** Topics that messages wait for, and how many do. */
  waitingByTopic(): Iterable<[topic: string, count: number]> {
    return this.#parts.metrics.counts();
  }

  /** By RocketMQ's keys: seconds behind, messages that are not taken up, messages that wait, and rates. */
  runtimeInfo(): Record<string, string> {
    const { progress } = this;
    if (progress === undefined) return {};
    const now = this.#parts.clock.now();
    return {
      timerReadBehind: String(Math.floor(progress.overdueMs / 1_000)),
      timerOffsetBehind: String(progress.notTakenUp),
      timerCongestNum: String(progress.waiting),
      timerEnqueueTps: this.#enqueued.tps(now, RATE_MS).toFixed(1),
      timerDequeueTps: this.#dequeued.tps(now, RATE_MS).toFixed(1),
    };
  }

  /** Messages of the topic that are not in the files yet. */
  get #behind(): number {
    if (this.#follower === undefined) return 0;
    return Math.max(0, this.#parts.store.getMaxOffsetInQueue(TIMER_TOPIC, 0) - this.#follower.queueOffset);
  }

  /** An offset that the queue does not have is the nearest one that it has, or nothing would be taken up for long. */
  #clampPlace(files: TimerFiles): void {
    const { store, logger } = this.#parts;
    const before = files.queueOffset;
    if (before === undefined) return;
    const min = Math.max(0, store.getMinOffsetInQueue(TIMER_TOPIC, 0));
    const max = store.getMaxOffsetInQueue(TIMER_TOPIC, 0);
    const now = Math.min(Math.max(before, min), max);
    if (now === before) return;
    files.setQueueOffset(now);
    const message = `timercheck has offset ${before} for ${TIMER_TOPIC}, whose queue goes from ${min} to ${max}; it goes on at ${now}`;
    logger.warn({ before, now, min, max }, message);
  }

  #places(files: TimerFiles, saver: TimerSaver): PlaceTable {
    return {
      get: (): Place | undefined =>
        files.queueOffset === undefined ? undefined : { queueOffset: files.queueOffset, last: undefined },
      set: (_name, { queueOffset }) => {
        if (files.queueOffset === queueOffset) return;
        files.setQueueOffset(queueOffset);
        saver.changed();
        this.#due?.intakeMoved();
      },
    };
  }
}

/** How often files of the timer log whose records are gone are removed. */
const CLEAN_MS = 30_000;

/** Saves the files timerFlushIntervalMs after a change; without changes it has no timer. */
class TimerSaver extends ServiceLoop {
  readonly #files: TimerFiles;
  readonly #store: Pick<MessageStore, 'minPhyOffset' | 'failure'>;
  readonly #config: Pick<BrokerConfig, 'timerFlushIntervalMs'>;
  readonly #logger: StoreLogger;
  #isChanged = false;
  #cleanedAt: number;

  constructor(
    files: TimerFiles,
    store: Pick<MessageStore, 'minPhyOffset' | 'failure'>,
    config: Pick<BrokerConfig, 'timerFlushIntervalMs'>,
    clock: Clock,
    logger: StoreLogger,
  ) {
    super(clock);
    this.#files = files;
    this.#store = store;
    this.#config = config;
    this.#logger = logger;
    this.#cleanedAt = clock.monotonic();
  }

  changed(): void {
    if (this.#isChanged) return;
    this.#isChanged = true;
    this.wakeup();
  }

  protected override async run(): Promise<void> {
    while (!this.stopped) {
      if (!this.#isChanged) await this.waitForRunning();
      await this.#pause(this.#config.timerFlushIntervalMs);
      if (this.stopped) return;
      this.#isChanged = false;
      try {
        await this.#files.flush();
        if (this.clock.monotonic() - this.#cleanedAt >= CLEAN_MS) await this.#clean();
      } catch (error) {
        if (this.#files.failure !== undefined || this.#store.failure !== undefined) return;
        this.#isChanged = true;
        this.#logger.error({ err: error }, `the timer files could not be saved: ${String(error)}`);
      }
    }
  }

  protected override onDied(error: unknown): void {
    this.#logger.error({ err: error }, `the timer files are saved no more: ${String(error)}`);
  }

  async #clean(): Promise<void> {
    this.#cleanedAt = this.clock.monotonic();
    const removed = await this.#files.deleteExpired(this.#store.minPhyOffset);
    if (removed > 0) this.#logger.info({ removed }, 'timer log: files were removed whose records have expired');
  }

  async #pause(ms: number): Promise<void> {
    const until = this.clock.monotonic() + ms;
    while (!this.stopped) {
      const left = until - this.clock.monotonic();
      if (left <= 0) return;
      await this.waitForRunning(left);
    }
  }
}
