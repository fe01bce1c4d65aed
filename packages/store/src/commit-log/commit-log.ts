import type { StoreContext } from '../context.ts';
import { StoreError } from '../errors.ts';
import { FlushManager } from '../flush/flush-manager.ts';
import type { FlushListener } from '../flush/flush-target.ts';
import type { MappedFileQueue } from '../mapped-file/mapped-file-queue.ts';
import { FLUSH_TIME_BOUNDS_MS, GROUP_SIZE_BOUNDS, Histogram } from '../metrics.ts';
import type { DispatchRequest } from '../queue/dispatch-request.ts';
import type { QueueOffsetOperator } from '../queue/queue-offset-operator.ts';
import type {
  Durability,
  MessageExtBatch,
  MessageExtBrokerInner,
  PutMessageResult,
  PutMessageStatus,
} from '../types.ts';
import { MessageAppender } from './append-message.ts';
import { checkBatchSize, checkMessage, checkPart, type Refusal } from './check-message.ts';
import { FlushWaiters } from './flush-waiters.ts';
import { type EncodedPart, MessageEncoder } from './message-encoder.ts';
import {
  PROPERTY_KEYS,
  PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX,
  PROPERTY_WAIT_STORE_MSG_OK,
  propertyOf,
} from './properties.ts';
import { tagsCodeOf } from './record-dispatch.ts';
import { ReputMessageService } from './reput-message-service.ts';
import { StalledAppends } from './stalled-appends.ts';
import { hasQueueEntry } from './sys-flag.ts';

export interface CommitLogParts {
  context: StoreContext;
  mappedFileQueue: MappedFileQueue;
  queueOffsetOperator: QueueOffsetOperator;
  dispatch: (request: DispatchRequest) => void;
  /** flushedWhere moved; the checkpoint takes note. */
  onFlushed: (flushedWhere: number, storeTimestamp: number) => void;
  /** Why nothing may be appended although nothing failed, such as a full disk. */
  readOnlyReason?: () => string | undefined;
}

/**
 * The log all topics share (RocketMQ CommitLog). An append is one synchronous step: queue offset, log offset, bytes. What
 * it then waits for is the flush manager's.
 *
 * Invariants: minOffset ≤ flushedWhere ≤ committedWhere ≤ maxOffset (held by MappedFileQueue) · dispatched ≤ the confirm
 * offset, which is flushedWhere under SYNC_FLUSH, else committedWhere · after the first failure nothing is appended.
 */
export class CommitLog implements FlushListener {
  readonly mappedFileQueue: MappedFileQueue;
  readonly flushManager: FlushManager;
  readonly flushTimeMs = new Histogram(FLUSH_TIME_BOUNDS_MS);
  readonly groupSize = new Histogram(GROUP_SIZE_BOUNDS);
  readonly #context: StoreContext;
  readonly #encoder: MessageEncoder;
  readonly #appender: MessageAppender;
  readonly #queueOffsets: QueueOffsetOperator;
  readonly #reput: ReputMessageService;
  readonly #flushWaiters = new FlushWaiters();
  readonly #stalled: StalledAppends;
  readonly #onFlushedTo: CommitLogParts['onFlushed'];
  readonly #readOnlyReason: () => string | undefined;
  readonly #confirmAtFlush: boolean;
  /** Messages and bytes appended since the store was opened. */
  appendCount = 0;
  appendBytes = 0;
  #lastStoreTimestamp = 0;
  #closing = false;
  readonly #onePart: EncodedPart[] = [];

  constructor(parts: CommitLogParts) {
    const { context } = parts;
    const { config } = context;
    this.#context = context;
    this.mappedFileQueue = parts.mappedFileQueue;
    this.#queueOffsets = parts.queueOffsetOperator;
    this.#onFlushedTo = parts.onFlushed;
    this.#readOnlyReason = parts.readOnlyReason ?? (() => undefined);
    this.#encoder = new MessageEncoder(config);
    this.#appender = new MessageAppender(this.#encoder);
    this.#confirmAtFlush = config.flushDiskType === 'SYNC_FLUSH' && !config.readUnCommitted;
    this.#reput = new ReputMessageService(parts.dispatch);
    this.flushManager = new FlushManager(this.#timedTarget(), this, config, context);
    this.#stalled = new StalledAppends(context, this.mappedFileQueue, (message, messageParts) =>
      this.#append(message, messageParts),
    );
  }

  /** After recovery: everything below `offset` is on disk and dispatched. */
  resumeAt(offset: number, lastStoreTimestamp: number): void {
    this.#reput.resumeAt(offset);
    this.#lastStoreTimestamp = lastStoreTimestamp;
  }

  start(): void {
    this.flushManager.start();
  }

  /** No new appends; stalled ones are refused; the last group is answered; everything is flushed and dispatched. */
  async shutdown(): Promise<void> {
    this.#closing = true;
    this.#stalled.close();
    await this.flushManager.shutdown();
    this.#advanceDispatch();
  }

  /** Below this every record may be seen by readers and consumers (RocketMQ getConfirmOffset). */
  get confirmOffset(): number {
    return this.#confirmAtFlush ? this.mappedFileQueue.flushedWhere : this.mappedFileQueue.committedWhere;
  }

  get dispatchedWhere(): number {
    return this.#reput.reputFromOffset;
  }

  /** storeTimestamp of the newest record dispatched since the log was opened, 0 before the first. */
  get dispatchedTimestamp(): number {
    return this.#reput.dispatchedTimestamp;
  }

  /** Appends that wait for room: for the next file, or for a buffer. */
  get stalledCount(): number {
    return this.#stalled.size;
  }

  /**
   * Appends one message. Resolves with PUT_OK when the bytes are where `durability` (or flushDiskType and WAIT) wants
   * them: on disk or written, see FlushManager; every other status says that it is not acknowledged. Never rejects for
   * an operating error. The body is read before this returns; it may be reused afterwards.
   */
  asyncPutMessage(message: MessageExtBrokerInner, durability?: Durability): Promise<PutMessageResult> {
    const refusal =
      this.#checkState() ??
      checkMessage(message, this.#encoder.topicBytes(message.topic).length) ??
      checkPart(this.#context.config, message, this.#propertiesSize);
    if (refusal) return Promise.resolve(refused(refusal));
    this.#onePart[0] = message;
    const waitStoreMsgOK = propertyOf(message.propertiesString, PROPERTY_WAIT_STORE_MSG_OK) !== 'false';
    return this.#put(message, this.#onePart, waitStoreMsgOK, durability);
  }

  /** Appends a batch as consecutive records of one queue, all in one file; acknowledged together, like one message. */
  asyncPutMessages(batch: MessageExtBatch, durability?: Durability): Promise<PutMessageResult> {
    const message = { ...batch, body: EMPTY, propertiesString: '', flag: 0 } as MessageExtBrokerInner;
    let refusal = this.#checkState() ?? checkMessage(message, this.#encoder.topicBytes(batch.topic).length);
    let totalSize = 0;
    for (const part of batch.messages) {
      refusal ??= checkPart(this.#context.config, part, this.#propertiesSize);
      totalSize += this.#encoder.size(message, part);
    }
    if (batch.messages.length === 0) refusal ??= { status: 'MESSAGE_ILLEGAL', reason: 'batch holds no message' };
    refusal ??= checkBatchSize(this.#context.config, totalSize);
    if (refusal) return Promise.resolve(refused(refusal));
    const waitStoreMsgOK = batch.messages.every(
      (part) => propertyOf(part.propertiesString, PROPERTY_WAIT_STORE_MSG_OK) !== 'false',
    );
    return this.#put(message, batch.messages, waitStoreMsgOK, durability);
  }

  /** Resolves when every byte below `offset` is on disk; rejects with the store's failure when that comes first. */
  whenFlushed(offset: number): Promise<void> {
    const { maxOffset, flushedWhere } = this.mappedFileQueue;
    if (!(offset >= 0 && offset <= maxOffset)) {
      const details = { offset, maxOffset };
      const text = `cannot wait for offset ${offset} to be on disk, the log ends at ${maxOffset}`;
      return Promise.reject(new StoreError('STORE_OFFSET_OUT_OF_RANGE', text, details));
    }
    if (offset <= flushedWhere) return Promise.resolve();
    if (this.#context.failure) return Promise.reject(this.#context.failure);
    return this.#flushWaiters.wait(offset);
  }

  /** The store failed: whoever still waits gets the cause, whatever service they wait for. */
  onFailed(cause: StoreError): void {
    this.#flushWaiters.rejectAll(cause);
    this.#stalled.failAll(cause);
  }

  onFlushed(): void {
    const { flushedWhere } = this.mappedFileQueue;
    this.#onFlushedTo(flushedWhere, this.mappedFileQueue.storeTimestamp);
    this.#advanceDispatch();
    this.#flushWaiters.advance(flushedWhere);
    this.#stalled.retry();
  }

  onCommitted(): void {
    this.#advanceDispatch();
    this.#stalled.retry();
  }

  onGroup(size: number): void {
    this.groupSize.record(size);
  }

  #advanceDispatch(): void {
    this.#reput.advance(this.confirmOffset);
  }

  #checkState(): Refusal | undefined {
    if (this.#closing) return { status: 'SERVICE_NOT_AVAILABLE', reason: 'the store is shut down' };
    const { failure } = this.#context;
    if (!failure) {
      const reason = this.#readOnlyReason();
      return reason === undefined ? undefined : { status: 'SERVICE_NOT_AVAILABLE', reason };
    }
    return {
      status: 'SERVICE_NOT_AVAILABLE',
      reason: `the store is read-only since ${failure.message}`,
      cause: failure,
    };
  }

  #put(
    message: MessageExtBrokerInner,
    parts: readonly EncodedPart[],
    waitStoreMsgOK: boolean,
    durability: Durability | undefined,
  ): Promise<PutMessageResult> {
    // Behind a stalled append everything stalls: the log keeps the order of the calls.
    const result = this.#stalled.size === 0 ? this.#append(message, parts) : undefined;
    if (result) return this.#submit(result, waitStoreMsgOK, durability);
    return this.#stalled
      .wait(message, parts)
      .then((appended) => (appended.wroteOffset < 0 ? appended : this.#submit(appended, waitStoreMsgOK, durability)));
  }

  /**
   * Waits for the flush that is due anyway. Like every put it is answered, also while a flush hangs: syncFlushTimeout
   * after the time at which it should have begun.
   */
  #groupUnderAsyncFlush(result: PutMessageResult): Promise<PutMessageResult> {
    const { clock, config } = this.#context;
    const { flushCommitLogLeastPages, flushCommitLogThoroughInterval, flushIntervalCommitLog } = config;
    const dueMs = flushIntervalCommitLog + (flushCommitLogLeastPages > 0 ? flushCommitLogThoroughInterval : 0);
    const timeoutMs = dueMs + config.syncFlushTimeout;
    return new Promise((resolve) => {
      const answer = (status: PutMessageStatus, reason?: string, cause?: StoreError): void => {
        clock.clearTimer(timer);
        resolve({ ...result, status, ...(reason === undefined ? {} : { reason }), ...(cause ? { cause } : {}) });
      };
      const timer = clock.setTimer(() => {
        answer('FLUSH_DISK_TIMEOUT', `not on disk after ${timeoutMs} ms (flush interval and syncFlushTimeout)`);
      }, timeoutMs);
      this.whenFlushed(result.wroteOffset + result.wroteBytes).then(
        () => answer('PUT_OK'),
        (error: StoreError) => answer('UNKNOWN_ERROR', error.message, error),
      );
    });
  }

  #submit(
    result: PutMessageResult,
    waitStoreMsgOK: boolean,
    durability: Durability | undefined,
  ): Promise<PutMessageResult> {
    if (durability === 'group' && this.#context.config.flushDiskType === 'ASYNC_FLUSH') {
      void this.flushManager.submitFlushRequest({ ...result }, false, undefined);
      return this.#groupUnderAsyncFlush(result);
    }
    return this.flushManager.submitFlushRequest(result, waitStoreMsgOK, durability);
  }

  /** Undefined when there is no room now: the next file is not ready, or every buffer is taken. */
  #append(message: MessageExtBrokerInner, parts: readonly EncodedPart[]): PutMessageResult | undefined {
    const takesQueueOffset = hasQueueEntry(message.sysFlag);
    const queueOffset = takesQueueOffset ? this.#queueOffsets.currentOffset(message.topic, message.queueId) : -1;
    // A clock that steps back must not make records older than their predecessors.
    const storeTimestamp = Math.max(this.#lastStoreTimestamp, this.#context.clock.now());
    for (let attempt = 0; attempt < 2; attempt++) {
      const file = this.mappedFileQueue.tryGetLastMappedFile();
      if (!file) return undefined;
      const status = this.#appender.append(file, message, parts, queueOffset, storeTimestamp);
      if (status === 'NO_BUFFER') return undefined;
      if (status === 'PUT_OK') {
        this.#lastStoreTimestamp = storeTimestamp;
        if (takesQueueOffset) this.#queueOffsets.increase(message.topic, message.queueId, parts.length);
        return this.#appended(message, parts, queueOffset, storeTimestamp);
      }
    }
    return undefined;
  }

  #appended(
    message: MessageExtBrokerInner,
    parts: readonly EncodedPart[],
    queueOffset: number,
    storeTimestamp: number,
  ): PutMessageResult {
    const appender = this.#appender;
    for (let i = 0; i < appender.count; i++) {
      const properties = parts[i]!.propertiesString;
      this.#reput.append({
        topic: message.topic,
        queueId: message.queueId,
        commitLogOffset: appender.offsets[i]!,
        msgSize: appender.sizes[i]!,
        tagsCode: message.tagsCode ?? tagsCodeOf(message.topic, properties, storeTimestamp),
        storeTimestamp,
        consumeQueueOffset: queueOffset === -1 ? 0 : queueOffset + i,
        keys: propertyOf(properties, PROPERTY_KEYS) ?? '',
        uniqKey: propertyOf(properties, PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX),
        sysFlag: message.sysFlag,
        preparedTransactionOffset: message.preparedTransactionOffset,
      });
    }
    // An engine whose appends are written at once, read by readers that need no flush, dispatches at once.
    if (!this.#confirmAtFlush) this.#advanceDispatch();
    this.appendCount += appender.count;
    this.appendBytes += appender.totalSize;
    const result: PutMessageResult = {
      status: 'UNKNOWN_ERROR',
      wroteOffset: appender.offsets[0]!,
      wroteBytes: appender.totalSize,
      queueOffset: queueOffset === -1 ? 0 : queueOffset,
      storeTimestamp,
      messageCount: appender.count,
    };
    if (appender.count > 1) result.batchOffsets = appender.offsets.slice(0, appender.count);
    return result;
  }

  readonly #propertiesSize = (propertiesString: string): number => this.#encoder.propertiesSize(propertiesString);

  /** The queue as the services see it, with each force timed. */
  #timedTarget() {
    const queue = this.mappedFileQueue;
    const { clock } = this.#context;
    const { flushTimeMs } = this;
    return {
      get maxOffset() {
        return queue.maxOffset;
      },
      get committedWhere() {
        return queue.committedWhere;
      },
      get flushedWhere() {
        return queue.flushedWhere;
      },
      commit: (leastPages: number) => queue.commit(leastPages),
      flush: async (leastPages: number) => {
        const start = clock.monotonic();
        const nothingAdvanced = await queue.flush(leastPages);
        if (!nothingAdvanced) flushTimeMs.record(clock.monotonic() - start);
        return nothingAdvanced;
      },
    };
  }
}

const EMPTY = new Uint8Array(0);

function refused(refusal: Refusal): PutMessageResult {
  return { ...refusal, wroteOffset: -1, wroteBytes: 0, queueOffset: 0, storeTimestamp: 0, messageCount: 0 };
}
