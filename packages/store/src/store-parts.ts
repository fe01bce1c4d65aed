import { totalmem } from 'node:os';
import { dirname } from 'node:path';
import { AbortFile } from './abort-file.ts';
import { CleanService } from './clean/clean-service.ts';
import type { Clock } from './clock.ts';
import { CommitLog } from './commit-log/commit-log.ts';
import { RECORD_BYTES_MIN } from './commit-log/message-decoder.ts';
import { type RecoveryResult, recoverStore } from './commit-log/recovery.ts';
import type { MessageStoreConfig } from './config.ts';
import type { StoreContext } from './context.ts';
import type { StoreError } from './errors.ts';
import type { FileSystem, InFlightOperation } from './io/file-system.ts';
import { NodeFileSystem } from './io/node-file-system.ts';
import type { StoreLock } from './io/store-lock.ts';
import { createMappedFileEngine } from './mapped-file/mapped-file-engine.ts';
import { MappedFileQueue } from './mapped-file/mapped-file-queue.ts';
import type { Arrival, OpenOptions } from './open-options.ts';
import { CommitLogDispatcher } from './queue/commit-log-dispatcher.ts';
import { ConsumeQueueStore } from './queue/consume-queue-store.ts';
import type { DispatchRequest } from './queue/dispatch-request.ts';
import { FlushConsumeQueueService, THOROUGH_FLUSH_LOG_BYTES } from './queue/flush-consume-queue-service.ts';
import { IndexService } from './queue/index-service.ts';
import { offsetInQueueByTime } from './queue/offset-by-time.ts';
import { QueueOffsetOperator } from './queue/queue-offset-operator.ts';
import { CQ_STORE_UNIT_SIZE, isFillerUnit, unitPhyOffset, unitSize } from './queue/unit.ts';
import { Arrivals } from './read/arrivals.ts';
import { LogReader } from './read/log-reader.ts';
import { MessageReader } from './read/message-reader.ts';
import { RecordLookup } from './read/record-lookup.ts';
import { RunningState } from './running-state.ts';
import { StoreCheckpoint } from './store-checkpoint.ts';
import { storePaths, unusable } from './store-directory.ts';
import type { BoundaryType } from './types.ts';

/** Bytes around a body that a record may have: the largest batch and the longest topic and properties. */
const RECORD_OVERHEAD_MAX = 65_536 + 1_024;
/** Files of the log that recovery dispatches at most before it notes how far it is; counts where files are small. */
const NOTE_AFTER_FILES = 4;
/** The durable point is written at most this often. */
const CHECKPOINT_INTERVAL_MS = 1_000;

/** Everything an open store is made of; MessageStore is its public face. */
export class StoreParts {
  readonly config: MessageStoreConfig;
  readonly clock: Clock;
  readonly commitLog: CommitLog;
  readonly queues: ConsumeQueueStore;
  readonly index: IndexService | undefined;
  readonly messageReader: MessageReader;
  readonly logReader: LogReader;
  readonly lookup: RecordLookup;
  readonly arrivals = new Arrivals();
  readonly counters = { putTimes: 0 };
  onArrived: (arrival: Arrival) => void = () => {};
  onFailed: (cause: StoreError) => void = () => {};
  recovery: RecoveryResult | undefined;

  readonly #context: StoreContext;
  readonly #fileSystem: FileSystem;
  readonly #lock: StoreLock | undefined;
  readonly #running: RunningState;
  readonly #log: MappedFileQueue;
  readonly #dispatcher: CommitLogDispatcher;
  readonly #queueOffsets = new QueueOffsetOperator();
  readonly #abortFile: AbortFile;
  readonly #clean: CleanService;
  #checkpoint: StoreCheckpoint | undefined;
  #flushConsumeQueues: FlushConsumeQueueService | undefined;
  #checkpointArmed = false;
  #checkpointTimer: unknown;
  /** In recovery: up to where the queues were last made durable, from the first record that is dispatched on. */
  #notedWhere: number | undefined;
  readonly #noteAfterBytes: number;

  constructor(base: Pick<StoreContext, 'config' | 'logger' | 'clock' | 'fileSystem'>, lock: StoreLock | undefined) {
    const { config, logger, fileSystem } = base;
    this.config = config;
    this.#noteAfterBytes = Math.min(THOROUGH_FLUSH_LOG_BYTES, config.mappedFileSizeCommitLog * NOTE_AFTER_FILES);
    this.clock = base.clock;
    this.#fileSystem = fileSystem;
    this.#lock = lock;
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
    this.queues = new ConsumeQueueStore(this.#context);
    this.index = config.messageIndexEnable ? new IndexService(this.#context) : undefined;
    this.#dispatcher = new CommitLogDispatcher(this.queues, this.index);
    this.commitLog = new CommitLog({
      context: this.#context,
      mappedFileQueue: this.#log,
      queueOffsetOperator: this.#queueOffsets,
      dispatch: (request) => this.#dispatcher.dispatch(request),
      onFlushed: (flushedWhere, storeTimestamp) => this.#noteFlushed(flushedWhere, storeTimestamp),
      readOnlyReason: () => this.readOnlyReason,
    });
    this.#clean = new CleanService({
      context: this.#context,
      mappedFileQueue: this.#log,
      consumeQueueStore: this.queues,
      indexService: this.index,
      queuesCompleteWhere: () => this.#checkpoint?.logicsPoint ?? 0,
    });
    this.logReader = new LogReader(this.#log, logger);
    this.messageReader = new MessageReader(this.#context, this.#log, this.logReader, this.queues, totalmem());
    this.lookup = new RecordLookup(
      this.#log,
      this.logReader,
      Math.max(RECORD_BYTES_MIN, config.maxMessageSize + RECORD_OVERHEAD_MAX),
      () => this.commitLog.confirmOffset,
    );
  }

  get failure(): StoreError | undefined {
    return this.#running.failure;
  }

  /** Why nothing can be appended although nothing failed. */
  get readOnlyReason(): string | undefined {
    const full = this.#clean.diskFull;
    if (!full) return undefined;
    return `the disk of ${full.path} is ${(full.usedRatio * 100).toFixed(1)} % full, ${full.freeBytes} bytes are free`;
  }

  get engine(): 'channel' | 'mmap' | 'transient-pool' {
    return this.#log.engine.name;
  }

  /** Loads what is on disk and recovers. Resolves when everything that is kept is on disk and dispatched. */
  async load(onProgress: OpenOptions['onRecoveryProgress']): Promise<void> {
    const paths = storePaths(this.config.storePathRootDir);
    await this.#makeDirectories();
    const lastExitOk = !(await this.#abortFile.exists());
    const checkpoint = await StoreCheckpoint.open(paths.checkpoint, this.#context, lastExitOk);
    this.#checkpoint = checkpoint;
    const pointIsValid = checkpoint.durablePointState === 'valid';
    await this.#log.load();
    await this.queues.load();
    await this.index?.load({
      // Our own order of writes keeps every header true; only another broker's unclean exit makes the index doubtful.
      safeTimestamp: lastExitOk || pointIsValid ? undefined : checkpoint.indexMsgTimestamp,
      completeWhere: pointIsValid ? checkpoint.logicsPoint : undefined,
      lastExitOk,
    });
    this.recovery = await recoverStore({
      context: this.#context,
      mappedFileQueue: this.#log,
      consumeQueueStore: this.queues,
      indexService: this.index,
      checkpoint,
      lastExitOk,
      dispatch: (request) => this.#dispatchRecovered(request),
      onProgress,
    });
    this.commitLog.resumeAt(this.recovery.maxOffset, this.recovery.lastStoreTimestamp);
    // What a Java broker left was dispatched again; should one come back after a kill, it looks for missing entries in
    // the last ten files only (commitLogRecoverMaxNum), so they are made durable now.
    const { rule, dispatched } = this.recovery;
    if ((rule === 'java-clean-exit' || rule === 'java-unclean-exit') && dispatched > 0 && !this.failure) {
      await this.queues.flush(0);
      await this.index?.flush();
      await this.#noteQueuesFlushed(this.commitLog.dispatchedWhere);
    }
    this.#queueOffsets.initialise(this.queues.queues());
  }

  /** Starts the services, the log's flush service first; resolves when messages can be appended. */
  async start(): Promise<void> {
    // The first file is there before the first message, so that no append waits for it and a full disk shows now.
    if (!this.failure) await this.#log.whenNextFileReady();
    this.commitLog.start();
    this.#dispatcher.onMessageArriving((topic, queueId, maxOffset, tagsCode, storeTimestamp) => {
      this.arrivals.notify(topic, queueId);
      this.onArrived({ topic, queueId, maxOffset, tagsCode, storeTimestamp });
    });
    this.#flushConsumeQueues = new FlushConsumeQueueService(this.#context, {
      queues: this.queues,
      index: this.index,
      dispatchedWhere: () => this.commitLog.dispatchedWhere,
      onThoroughFlush: (durableWhere) => this.#noteQueuesFlushed(durableWhere),
    });
    this.#flushConsumeQueues.start();
    if (this.failure) return;
    await this.#clean.start();
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
      await step(() => this.commitLog.shutdown());
      this.arrivals.notifyAll();
      await step(() => this.#flushConsumeQueues?.shutdown());
      this.#disarmCheckpoint();
      if (this.failure || problem !== undefined) {
        await step(() => this.#checkpoint?.abandon());
      } else {
        this.#noteFlushed(this.#log.flushedWhere, this.#log.storeTimestamp, false);
        await step(() => this.#checkpoint?.close());
      }
      await step(() => this.#closeFiles());
      const everythingDone = this.commitLog.dispatchedWhere === this.#log.maxOffset;
      if (!this.failure && problem === undefined && everythingDone) await step(() => this.#abortFile.remove());
    } finally {
      await this.#closeLane();
      this.#lock?.release();
    }
    if (problem !== undefined) throw problem;
  }

  /** Gives back what load() and start() took, without writing. */
  async abandon(): Promise<void> {
    await this.#clean.shutdown();
    await this.commitLog.shutdown();
    await this.#flushConsumeQueues?.abandon();
    this.#disarmCheckpoint();
    await this.#checkpoint?.abandon();
    await this.#closeFiles();
  }

  inFlight(): InFlightOperation[] {
    return this.#fileSystem.inFlight();
  }

  availableBufferCount(): number {
    return 0;
  }

  async offsetByTime(topic: string, queueId: number, timestamp: number, boundary: BoundaryType): Promise<number> {
    const queue = this.queues.find(topic, queueId);
    if (!queue) return 0;
    return offsetInQueueByTime(queue, timestamp, boundary, (offset, size) =>
      this.lookup.storeTimestampOf(offset, size),
    );
  }

  async storeTimestampAt(topic: string, queueId: number, queueOffset: number): Promise<number> {
    const queue = this.queues.find(topic, queueId);
    if (!queue || queueOffset < queue.minOffsetInQueue || queueOffset >= queue.maxOffsetInQueue) return -1;
    const unit = await queue.read(queueOffset, 1);
    if (unit.length < CQ_STORE_UNIT_SIZE || isFillerUnit(unit, 0)) return -1;
    return this.lookup.storeTimestampOf(unitPhyOffset(unit, 0), unitSize(unit, 0));
  }

  async queryMessage(topic: string, key: string, maxNum: number, begin: number, end: number) {
    if (!this.index) return { indexLastUpdateTimestamp: 0, indexLastUpdatePhyoffset: 0, records: [] };
    const found = await this.index.queryOffset(topic, key, maxNum, begin, end);
    const records: Buffer[] = [];
    for (const offset of found.phyOffsets) {
      const record = await this.lookup.selectOneMessageByOffset(offset);
      if (record) records.push(record);
    }
    const { indexLastUpdateTimestamp, indexLastUpdatePhyoffset } = found;
    return { indexLastUpdateTimestamp, indexLastUpdatePhyoffset, records };
  }

  async deleteTopic(topic: string): Promise<void> {
    this.#queueOffsets.removeTopic(topic);
    await this.queues.destroyTopic(topic);
  }

  /**
   * Every name on the way is durable when this resolves, or the whole store could go with one. Without a checkpoint this
   * directory was never opened to the end: whoever made the directories above may have been stopped before its sync.
   */
  async #makeDirectories(): Promise<void> {
    const { storePathCommitLog, storePathRootDir } = this.config;
    const fileSystem = this.#fileSystem;
    try {
      const isNew = !(await fileSystem.stat(storePaths(storePathRootDir).checkpoint));
      const missing = new Set<string>();
      for (let path = storePathCommitLog; !(await fileSystem.stat(path)); path = dirname(path)) missing.add(path);
      // The lock has made the root already, if it was missing; its own name is made durable in any case.
      await fileSystem.makeDirectory(storePathCommitLog);
      const named = new Set([...missing, storePathRootDir]);
      if (isNew) {
        for (const from of [storePathCommitLog, storePathRootDir]) {
          for (let path = from; path !== dirname(path); path = dirname(path)) named.add(path);
        }
      }
      for (const path of named) {
        await fileSystem.syncDirectory(dirname(path)).catch((error: NodeJS.ErrnoException) => {
          // A directory of others that we may not read; its names are theirs to keep.
          const isForeign = !missing.has(path) && path !== storePathRootDir;
          if (!isForeign || (error.code !== 'EACCES' && error.code !== 'EPERM')) throw error;
        });
      }
    } catch (error) {
      throw unusable(storePathCommitLog, error);
    }
  }

  /**
   * Recovery dispatches faster than queues are written; it must not gather a whole log in memory. What it has done so far
   * is made durable and noted now and then, so that a recovery which is killed again and again gets to its end.
   */
  #dispatchRecovered(request: DispatchRequest): Promise<void> | undefined {
    this.#dispatcher.dispatch(request);
    if (this.failure) return undefined;
    const end = request.commitLogOffset + request.msgSize;
    this.#notedWhere ??= request.commitLogOffset;
    if (end - this.#notedWhere >= this.#noteAfterBytes) return this.#noteRecovered(end);
    if (!this.queues.isOverfull && !this.index?.isOverfull) return undefined;
    return this.#writeGathered();
  }

  /** Queues and index have every record below `end`; so does the disk when this resolves, and the checkpoint says so. */
  async #noteRecovered(end: number): Promise<void> {
    this.#notedWhere = end;
    await this.queues.flush(0);
    await this.index?.flush();
    // Java's timestamps stay as they are: it must not take the queues for complete before they are.
    this.#checkpoint?.setLogicsPoint(end);
    await this.#checkpoint?.flush();
  }

  async #writeGathered(): Promise<void> {
    await this.queues.flush(1);
    await this.index?.flush();
  }

  #noteFlushed(flushedWhere: number, storeTimestamp: number, arm = true): void {
    this.#checkpoint?.setDurablePoint(flushedWhere, flushedWhere, storeTimestamp);
    if (!arm || this.#checkpointArmed) return;
    this.#checkpointArmed = true;
    this.#checkpointTimer = this.clock.setTimer(() => {
      this.#checkpointArmed = false;
      // Its failure is the store's (context.fail), and is reported there.
      if (!this.failure) this.#checkpoint?.flush().catch(() => {});
    }, CHECKPOINT_INTERVAL_MS);
  }

  #disarmCheckpoint(): void {
    if (this.#checkpointArmed) this.clock.clearTimer(this.#checkpointTimer);
    this.#checkpointArmed = true;
  }

  async #noteQueuesFlushed(durableWhere: number): Promise<void> {
    const checkpoint = this.#checkpoint;
    if (!checkpoint) return;
    checkpoint.setLogicsPoint(Math.min(durableWhere, this.#log.flushedWhere));
    checkpoint.setLogicsMsgTimestamp(this.commitLog.dispatchedTimestamp);
    if (this.index) checkpoint.setIndexMsgTimestamp(this.index.indexMsgTimestamp);
    await checkpoint.flush();
  }

  async #closeFiles(): Promise<void> {
    await this.queues.close();
    await this.index?.close();
    await this.#log.shutdown();
  }

  async #closeLane(): Promise<void> {
    if (this.#fileSystem instanceof NodeFileSystem) await this.#fileSystem.lane.close();
  }
}
