import { totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import type { CarefulLogger } from './base/caller-code.ts';
import type { Clock } from './base/clock.ts';
import type { MessageStoreConfig } from './base/config.ts';
import type { StoreContext } from './base/context.ts';
import { StoreError } from './base/errors.ts';
import type { FileSystem, InFlightOperation } from './base/file-system.ts';
import { INT32_MAX, RECORD_BYTES_MIN } from './base/limits.ts';
import type { PassingLack } from './base/passing-lack.ts';
import { RunningState } from './base/running-state.ts';
import { changedConfig } from './base/validate-config.ts';
import { BatchTopics } from './batch-queue/batch-topics.ts';
import { CleanService } from './clean/clean-service.ts';
import { CommitLogDispatcher } from './dispatch/commit-log-dispatcher.ts';
import { FlushConsumeQueueService } from './dispatch/flush-consume-queue-service.ts';
import { RecoveredDispatch } from './dispatch/recovered-dispatch.ts';
import { type DeletionOptions, TopicDeletion } from './dispatch/topic-deletion.ts';
import type { IoLane } from './io/io-lane.ts';
import { makeStoreDirectories, storePaths, unusable } from './io/store-directory.ts';
import type { StoreLock } from './io/store-lock.ts';
import { IndexService } from './key-index/index-service.ts';
import { IndexTarget } from './key-index/index-target.ts';
import { CommitLog } from './log/commit-log.ts';
import { createMappedFileEngine } from './mapped-file/mapped-file-engine.ts';
import { MappedFileQueue } from './mapped-file/mapped-file-queue.ts';
import type { Arrival, OpenOptions } from './open-options.ts';
import { BatchQueue } from './queue/batch-queue.ts';
import { ConsumeQueueStore } from './queue/consume-queue-store.ts';
import { ConsumeQueueTarget } from './queue/consume-queue-target.ts';
import { Deletions } from './queue/deletions.ts';
import { QueueOffsetOperator } from './queue/queue-offset-operator.ts';
import { Arrivals } from './read/arrivals.ts';
import { type KeyQuery, type QueryMessageResult, queryMessage } from './read/key-query.ts';
import { LogReader } from './read/log-reader.ts';
import { MessageReader } from './read/message-reader.ts';
import { QueueLookup } from './read/queue-lookup.ts';
import { RecordLookup } from './read/record-lookup.ts';
import { DelayLevels } from './record/delay-levels.ts';
import type { DispatchRequest } from './record/dispatch-request.ts';
import type { DispatchTarget } from './record/dispatch-target.ts';
import { dispatchRequestOfRecord } from './record/record-dispatch.ts';
import { FoldedTopics } from './record/topic-name.ts';
import { AbortFile } from './recovery/abort-file.ts';
import { CheckpointNotes } from './recovery/checkpoint-notes.ts';
import { type RecoveryResult, recoverStore } from './recovery/recovery.ts';
import { StoreCheckpoint } from './recovery/store-checkpoint.ts';

/** Everything an open store is made of; MessageStore is its public face. */
export class StoreParts {
  readonly config: MessageStoreConfig;
  readonly clock: Clock;
  readonly commitLog: CommitLog;
  readonly queues: ConsumeQueueStore;
  readonly batchTopics: BatchTopics;
  readonly index: IndexService | undefined;
  readonly messageReader: MessageReader;
  readonly logReader: LogReader;
  readonly lookup: RecordLookup;
  readonly queueLookup: QueueLookup;
  readonly arrivals = new Arrivals();
  readonly counters = { putTimes: 0 };
  onArrived: (arrival: Arrival) => void = () => {};
  onFailed: (cause: StoreError) => void = () => {};
  recovery: RecoveryResult | undefined;

  readonly #context: StoreContext;
  readonly #logger: CarefulLogger;
  readonly #fileSystem: FileSystem;
  readonly #lock: StoreLock | undefined;
  readonly #lane: IoLane | undefined;
  readonly #running: RunningState;
  readonly #log: MappedFileQueue;
  readonly #queuesTarget: ConsumeQueueTarget;
  /** What follows the log; without messageIndexEnable keys are not filed. */
  readonly #targets: readonly DispatchTarget[];
  readonly #dispatcher: CommitLogDispatcher;
  readonly #queueOffsets = new QueueOffsetOperator();
  readonly #foldedTopics = new FoldedTopics();
  readonly #deletions: Deletions;
  readonly #topicDeletion: TopicDeletion;
  readonly #abortFile: AbortFile;
  readonly #clean: CleanService;
  readonly #notes: CheckpointNotes;
  #flushConsumeQueues: FlushConsumeQueueService | undefined;

  constructor(
    base: Pick<StoreContext, 'config' | 'clock' | 'fileSystem'> & { logger: CarefulLogger },
    held: { lock: StoreLock | undefined; lane: IoLane | undefined },
  ) {
    const { config, logger, fileSystem } = base;
    this.#logger = logger;
    this.config = config;
    this.clock = base.clock;
    this.#fileSystem = fileSystem;
    this.#lock = held.lock;
    this.#lane = held.lane;
    this.#running = new RunningState(logger, (cause) => {
      this.commitLog?.onFailed(cause);
      this.onFailed(cause);
    });
    const running = this.#running;
    this.#context = {
      ...base,
      fail: (error) => running.fail(error),
      get failure() {
        return running.failure;
      },
    };
    const paths = storePaths(config.storePathRootDir);
    this.#abortFile = new AbortFile(paths.abort, fileSystem);
    this.#log = new MappedFileQueue(this.#context, {
      storePath: config.storePathCommitLog,
      mappedFileSize: config.mappedFileSizeCommitLog,
      engine: createMappedFileEngine(this.#context),
    });
    this.#deletions = new Deletions(paths.deletions, this.#context);
    this.batchTopics = new BatchTopics(config.storePathRootDir, this.#context);
    this.queues = new ConsumeQueueStore(this.#context, this.#deletions, this.batchTopics);
    this.index = config.messageIndexEnable ? new IndexService(this.#context) : undefined;
    this.#queuesTarget = new ConsumeQueueTarget(this.queues);
    this.#targets = this.index ? [this.#queuesTarget, new IndexTarget(this.index)] : [this.#queuesTarget];
    this.#dispatcher = new CommitLogDispatcher(this.#targets);
    this.#notes = new CheckpointNotes({
      context: this.#context,
      targets: this.#targets,
      flushedWhere: () => this.#log.flushedWhere,
      dispatchedTimestamp: () => this.commitLog.dispatchedTimestamp,
      indexMsgTimestamp: () => this.index?.indexMsgTimestamp,
    });
    this.commitLog = new CommitLog({
      context: this.#context,
      mappedFileQueue: this.#log,
      queueOffsetOperator: this.#queueOffsets,
      dispatch: (request) => this.#dispatcher.dispatch(request),
      onFlushed: (flushedWhere, storeTimestamp) => this.#notes.flushed(flushedWhere, storeTimestamp),
      readOnlyReason: () => this.#diskFullReason,
      dispatchHeldReason: () => this.#flushConsumeQueues?.dispatchHeldReason,
      batchTopics: this.batchTopics,
      foldedTopics: this.#foldedTopics,
    });
    this.#topicDeletion = new TopicDeletion({
      context: this.#context,
      deletions: this.#deletions,
      log: {
        maxOffset: () => this.#log.maxOffset,
        minOffset: () => this.#log.durableMinOffset,
        flushTo: (offset) => this.flushTo(offset),
        hold: (topic) => this.commitLog.hold(topic),
        release: (topic) => this.commitLog.release(topic),
      },
      queues: {
        has: (topic) => this.#queueOffsets.has(topic) || this.queues.hasTopic(topic) || this.batchTopics.has(topic),
        nextNumber: (topic) => this.#queueOffsets.currentOffset(topic, 0),
        forget: (topic) => this.#forgetTopic(topic),
        removeFiles: () => this.#removeForgotten(),
        note: () => this.#noteDropped(),
      },
    });
    this.#clean = new CleanService({
      context: this.#context,
      mappedFileQueue: this.#log,
      consumeQueueStore: this.queues,
      indexService: this.index,
      queuesCompleteWhere: () => this.#notes.logicsPoint,
      checkPlace: async () => this.#lock?.checkAll(),
    });
    this.logReader = new LogReader(this.#log, logger);
    this.lookup = new RecordLookup(this.#log, this.logReader, config, () => this.commitLog.confirmOffset);
    this.queueLookup = new QueueLookup(this.queues, this.lookup);
    this.messageReader = new MessageReader(
      this.#context,
      this.#log,
      this.logReader,
      this.queues,
      this.lookup,
      totalmem(),
    );
  }

  get failure(): StoreError | undefined {
    return this.#running.failure;
  }

  /** See MessageStore.failWith. */
  fail(cause: StoreError): void {
    this.#running.fail(cause);
  }

  /** Why nothing can be appended although nothing failed. */
  get readOnlyReason(): string | undefined {
    return this.#diskFullReason ?? this.commitLog.dispatchBehindReason;
  }

  /** The first disk that is too full; see MessageStore.diskFull. */
  get diskFull(): { path: string; freeBytes: number; totalBytes: number } | undefined {
    return this.#clean.diskFull;
  }

  get #diskFullReason(): string | undefined {
    const full = this.#clean.diskFull;
    if (!full) return undefined;
    return `the disk of ${full.path} is ${(full.usedRatio * 100).toFixed(1)} % full, ${full.freeBytes} bytes are free`;
  }

  /** What keeps consume queues and index from being written; undefined before the store has started. */
  get queueLack(): PassingLack | undefined {
    return this.#flushConsumeQueues?.lack;
  }

  /** Lines that the logger given to open() threw at. */
  get droppedLogLines(): number {
    return this.#logger.droppedCount;
  }

  get engine(): 'channel' | 'mmap' | 'transient-pool' {
    return this.#log.engine.name;
  }

  /** See MessageStore.changeConfig. */
  changeConfig(changes: Partial<MessageStoreConfig>): void {
    Object.assign(this.config, changedConfig(this.config, changes));
    this.commitLog.flushManager.configChanged();
    this.#flushConsumeQueues?.wakeup();
    this.#clean.configChanged();
  }

  /** Loads what is on disk and recovers. Resolves when everything that is kept is on disk and dispatched. */
  async load(onProgress: OpenOptions['onRecoveryProgress']): Promise<void> {
    const paths = storePaths(this.config.storePathRootDir);
    await makeStoreDirectories(this.config, this.#fileSystem);
    await this.#lockDirectories();
    const lastExitOk = !(await this.#abortFile.exists());
    const checkpoint = await StoreCheckpoint.open(paths.checkpoint, this.#context, lastExitOk);
    this.#notes.use(checkpoint);
    const pointIsValid = checkpoint.durablePointState === 'valid';
    await this.#log.load();
    await this.#deletions.load();
    await this.batchTopics.load((topic) => this.#deletions.deadBelow(topic) > 0);
    await this.queues.load();
    await this.index?.load({
      // Our own order of writes keeps every header true; only another broker's unclean exit makes the index doubtful.
      safeTimestamp: lastExitOk || pointIsValid ? undefined : checkpoint.indexMsgTimestamp,
      completeWhere: pointIsValid ? checkpoint.logicsPoint : undefined,
      lastExitOk,
    });
    const recovered = new RecoveredDispatch(this.#context, {
      queues: this.queues,
      index: this.index,
      targets: this.#targets,
      dispatch: (request) => this.#dispatcher.dispatchRecovered(request),
      notePoints: () => this.#notes.notePoints(),
    });
    this.recovery = await recoverStore({
      context: this.#context,
      mappedFileQueue: this.#log,
      consumeQueueStore: this.queues,
      targets: this.#targets,
      deletions: this.#deletions,
      checkpoint,
      lastExitOk,
      dispatch: (request) => recovered.dispatch(request),
      onDispatched: () => this.#dispatcher.endRecovery(),
      onProgress,
      delayLevels: new DelayLevels(this.config.messageDelayLevel),
    });
    this.commitLog.resumeAt(this.recovery.maxOffset, this.recovery.lastStoreTimestamp);
    // What a Java broker left was dispatched again; should one come back after a kill, it looks for missing entries in
    // the last ten files only (commitLogRecoverMaxNum), so they are made durable now.
    const { rule, dispatched } = this.recovery;
    if ((rule === 'java-clean-exit' || rule === 'java-unclean-exit') && dispatched > 0 && !this.failure) {
      await recovered.makeDurable(this.commitLog.dispatchedWhere, () => this.#notes.noteTargetsFlushed());
    }
    if (!this.failure) {
      await this.queues.removeMisplaced().catch((error: unknown) => {
        this.#context.logger.error({ err: error }, 'consume queues of topics with batch queues could not be removed');
      });
    }
    for (const queue of this.queues.queues()) {
      if (queue instanceof BatchQueue) await queue.confirmBounds((offset, size) => this.#requestAt(offset, size));
    }
    this.#queueOffsets.initialise(this.queues.queues());
    // A file system that finds the checkpoint under this name takes topics for one that differ in case, too.
    if (await this.#fileSystem.stat(join(dirname(paths.checkpoint), 'CHECKPOINT'))) {
      this.#foldedTopics.activate(this.queues.queuesByTopic().keys());
    }
    this.#sayLimits();
  }

  async #requestAt(offset: number, size: number): Promise<DispatchRequest | undefined> {
    const record = await this.lookup.selectNamedRecord(offset, size).catch(() => undefined);
    return record === undefined ? undefined : dispatchRequestOfRecord(record);
  }

  /** Two settings may contradict each other; which of them decides is said here, and with its numbers at each refusal. */
  #sayLimits(): void {
    const { maxMessageSize, mappedFileSizeCommitLog } = this.config;
    const { appendBytesMax } = this.commitLog;
    if (maxMessageSize + RECORD_BYTES_MIN <= appendBytesMax) return;
    this.#context.logger.warn(
      { maxMessageSize, mappedFileSizeCommitLog, appendBytesMax, engine: this.engine },
      `maxMessageSize is ${maxMessageSize}, but a record of this log takes ${appendBytesMax} bytes at most ` +
        `(mappedFileSizeCommitLog ${mappedFileSizeCommitLog}): larger messages are refused`,
    );
  }

  /** Starts the services, the log's flush service first; resolves when messages can be appended. */
  async start(): Promise<void> {
    // The first file is there before the first message, so that no append waits for it and a full disk shows now.
    if (!this.failure) {
      await this.#nextFile();
      await this.#openLast();
    }
    this.commitLog.start();
    this.#dispatcher.onMessageArriving((topic, queueId, maxOffset, tagsCode, storeTimestamp) => {
      this.arrivals.notify(topic, queueId);
      this.onArrived({ topic, queueId, maxOffset, tagsCode, storeTimestamp });
    });
    this.#flushConsumeQueues = new FlushConsumeQueueService(this.#context, {
      queues: this.queues,
      index: this.index,
      targets: this.#targets,
      dispatchedWhere: () => this.commitLog.dispatchedWhere,
      onThoroughFlush: () => this.#notes.noteTargetsFlushed(),
      onLackEnded: () => this.commitLog.resumeDispatch(),
    });
    this.#flushConsumeQueues.start();
    if (this.failure) return;
    await this.#clean.start(this.#log.newestMs);
    await this.#abortFile.create();
  }

  /**
   * See MessageStore.shutdown. After a failure nothing more is written: the abort file stays and recovery decides. A step
   * that fails does not keep the others from being taken, or timers and files would stay; its error is rejected with.
   */
  async shutdown(): Promise<void> {
    let problem: unknown;
    const step = async (work: () => Promise<unknown> | undefined): Promise<void> => {
      try {
        await work();
      } catch (error) {
        problem ??= error;
      }
    };
    try {
      await step(() => this.#clean.shutdown());
      // Its flush needs the services; the lock is given back when nothing writes any more.
      await step(() => this.#topicDeletion.idle());
      await step(() => this.commitLog.shutdown());
      this.arrivals.notifyAll();
      await step(() => this.#flushConsumeQueues?.shutdown());
      this.#notes.disarm();
      if (this.failure || problem !== undefined) {
        await step(() => this.#notes.abandon());
      } else {
        this.#notes.flushed(this.#log.flushedWhere, this.#log.storeTimestamp, false);
        await step(() => this.#notes.close());
      }
      await step(() => this.#closeFiles());
      const isComplete = this.#flushConsumeQueues?.isComplete !== false;
      const everythingDone = this.commitLog.dispatchedWhere === this.#log.maxOffset && isComplete;
      if (!this.failure && !isComplete) {
        const cause = this.queueLack?.cause;
        this.#logger.warn(
          { cause },
          'the log is whole on disk, its consume queues and index are not: the next start makes them',
        );
      }
      if (!this.failure && problem === undefined && everythingDone) await step(() => this.#abortFile.remove());
    } finally {
      await this.#closeLane();
      this.#lock?.release();
    }
    if (problem !== undefined) throw problem;
  }

  /** A log that has records can be read without room for the next file; puts are refused, and ask for it again. */
  async #nextFile(): Promise<void> {
    try {
      await this.#log.whenNextFileReady();
    } catch (error) {
      const isFull = error instanceof StoreError && error.code === 'STORE_DISK_FULL';
      if (!isFull || this.#log.maxOffset === this.#log.minOffset) throw error;
      this.#logger.error(
        { ...error.details },
        'no message can be taken until there is room; what is there can be read',
      );
    }
  }

  async #openLast(): Promise<void> {
    try {
      await this.#log.openLast();
    } catch (error) {
      throw unusable(this.#log.getLastMappedFile()!.fileName, error);
    }
  }

  /** Gives back what load() and start() took, without writing. */
  async abandon(): Promise<void> {
    await this.#clean.shutdown();
    await this.commitLog.shutdown();
    await this.#flushConsumeQueues?.abandon();
    this.#notes.disarm();
    await this.#notes.abandon();
    await this.#closeFiles();
  }

  async checkPlace(path: string): Promise<void> {
    await this.#lock?.check(path);
  }

  inFlight(): InFlightOperation[] {
    return this.#fileSystem.inFlight();
  }

  get doneCount(): number {
    return this.#fileSystem.doneCount ?? 0;
  }

  /** Pool buffers that can be borrowed now; without a pool, as many as anybody wants (RocketMQ). */
  availableBufferCount(): number {
    return this.#log.engine.availableBufferCount?.() ?? INT32_MAX;
  }

  queryMessage(query: Omit<KeyQuery, 'deadBelow'>): Promise<QueryMessageResult> {
    const maxNum = Math.min(query.maxNum, this.config.maxMsgsNumBatch);
    const deadBelow = this.#deletions.deadBelow(query.topic);
    return queryMessage(this.index, this.lookup, { ...query, maxNum, deadBelow });
  }

  /** As CleanService.cleanQueues. */
  cleanQueues(): Promise<number> {
    return this.#clean.cleanQueues();
  }

  /** As CleanService.deleteExpiredFiles. */
  deleteExpiredFiles(): void {
    this.#clean.deleteExpiredFiles();
  }

  /** See MessageStore.deleteTopic. */
  async deleteTopic(topic: string, more: DeletionOptions): Promise<boolean> {
    const isDeleted = await this.#topicDeletion.delete(topic, more);
    // Its directory is gone, so another spelling of the name is free, unless the topic has been made anew.
    if (!this.#queueOffsets.has(topic)) this.commitLog.forgetTopic(topic);
    return isDeleted;
  }

  /** See MessageStore.deletedBelow. */
  deletedBelow(topic: string): number {
    return this.#deletions.deadBelow(topic);
  }

  /** Flushes what was appended, and resolves when the log is on disk below `offset`. */
  async flushTo(offset: number): Promise<void> {
    const flushed = this.commitLog.whenFlushed(offset);
    this.commitLog.flushManager.flushNow();
    await flushed;
  }

  /** See MessageStore.batchTopicFault. */
  batchTopicFault(topic: string): string | undefined {
    if (this.batchTopics.has(topic)) return undefined;
    if (this.#queueOffsets.has(topic) || this.queues.hasTopic(topic)) {
      return `topic ${topic} has consume queues, it cannot have batch queues before it is deleted`;
    }
    return this.batchTopics.isForgotten(topic)
      ? `the batch queues that topic ${topic} had before it was deleted could not be removed`
      : undefined;
  }

  #forgetTopic(topic: string): void {
    this.#queueOffsets.removeTopic(topic);
    this.queues.dropTopic(topic);
    this.batchTopics.forget(topic);
  }

  async #removeForgotten(): Promise<void> {
    await this.queues.removeDropped();
    await this.batchTopics.removeForgotten();
  }

  /** Everything that is written to, a log kept elsewhere too; what does not exist yet will be made in the locked root. */
  async #lockDirectories(): Promise<void> {
    const lock = this.#lock;
    if (lock === undefined) return;
    const { storePathCommitLog, storePathRootDir } = this.config;
    const { consumeQueue, index, config } = storePaths(storePathRootDir);
    for (const path of [storePathCommitLog, consumeQueue, index, config]) {
      if ((await this.#fileSystem.stat(path))?.isDirectory) await lock.cover(path);
    }
    lock.onMoved = (error) => this.#running.fail(error);
  }

  /** The next start does not look for entries of queues that were dropped. */
  async #noteDropped(): Promise<void> {
    this.#queuesTarget.noteDropped();
    await this.#notes.notePoints();
  }

  async #closeFiles(): Promise<void> {
    await this.queues.close();
    await this.index?.close();
    await this.#log.shutdown();
  }

  async #closeLane(): Promise<void> {
    await this.#lane?.close();
  }
}
