import type { StoreContext } from '../base/context.ts';
import { StoreError } from '../base/errors.ts';
import { FLUSH_TIME_BOUNDS_MS, GROUP_SIZE_BOUNDS, Histogram } from '../base/metrics.ts';
import { internalError } from '../base/queue-failure.ts';
import type {
  Durability,
  EncodedProperties,
  MessageExtBatch,
  MessageExtBrokerInner,
  PutMessageResult,
} from '../base/types.ts';
import type { BatchTopics } from '../batch-queue/batch-topics.ts';
import { ReputMessageService } from '../dispatch/reput-message-service.ts';
import { FlushManager } from '../flush/flush-manager.ts';
import type { FlushListener } from '../flush/flush-target.ts';
import { answeredByNextFlush } from '../flush/next-flush.ts';
import { timedTarget } from '../flush/timed-target.ts';
import type { MappedFileQueue } from '../mapped-file/mapped-file-queue.ts';
import type { QueueOffsetOperator } from '../queue/queue-offset-operator.ts';
import { MessageCheck, type Refusal } from '../record/check-message.ts';
import { DelayLevels, SCHEDULE_TOPIC } from '../record/delay-levels.ts';
import type { DispatchRequest } from '../record/dispatch-request.ts';
import { innerCountOfRecord } from '../record/inner-batch.ts';
import { type EncodedPart, MessageEncoder } from '../record/message-encoder.ts';
import type { LmqPlace } from '../record/multi-dispatch.ts';
import { PROPERTY_WAIT_STORE_MSG_OK, propertyOf } from '../record/properties.ts';
import { PropertyBit, PropertyScan } from '../record/property-scan.ts';
import { tagsCodeOf } from '../record/record-dispatch.ts';
import { hasQueueEntry } from '../record/sys-flag.ts';
import type { FoldedTopics } from '../record/topic-name.ts';
import { MessageAppender } from './append-message.ts';
import { FlushWaiters } from './flush-waiters.ts';
import { HeldAppends } from './held-appends.ts';
import { MultiDispatch } from './multi-dispatch.ts';
import { isShared, refused, withBase, withText } from './put-forms.ts';
import { StalledAppends } from './stalled-appends.ts';
import { StoreTime } from './store-time.ts';

/** Records that may wait for a dispatch that is held; each takes some hundred bytes of memory. */
export const DISPATCH_PENDING_MAX = 50_000;

export interface CommitLogParts {
  context: StoreContext;
  mappedFileQueue: MappedFileQueue;
  queueOffsetOperator: QueueOffsetOperator;
  dispatch: (request: DispatchRequest) => void;
  /** flushedWhere moved; the checkpoint takes note. */
  onFlushed: (flushedWhere: number, storeTimestamp: number) => void;
  /** Why nothing may be appended although nothing failed, such as a full disk. */
  readOnlyReason?: () => string | undefined;
  foldedTopics?: FoldedTopics;
  /** Why dispatch has to wait for resumeDispatch(): what it fills cannot be written, and memory has taken what it may. */
  dispatchHeldReason?: () => string | undefined;
  /** Topics with batch queues, which take inner batches. None without. */
  batchTopics?: Pick<BatchTopics, 'has'>;
}

/**
 * The log all topics share (RocketMQ CommitLog). An append is one synchronous step: queue offset, log offset, bytes. What
 * it then waits for is the flush manager's.
 *
 * The durable path under SYNC_FLUSH, in the order in which it happens; the methods below stand in this order:
 *   1. asyncPutMessage  refuses what may not be appended, before anything changes
 *   2. #put             waits in line behind a deletion of the topic, or behind appends that wait for room
 *   3. #append          takes queue offset and storeTimestamp, encodes the record behind the last one    in memory
 *   4. #appended        keeps what dispatch will need
 *   5. #submit          puts a GroupCommitRequest into requestsWrite and wakes GroupCommitService
 *   6. GroupCommitService swaps the lists and calls MappedFileQueue.flush → MappedFile.flush → force     on disk
 *   7. onFlushed        dispatches what is on disk: readers and consumers see it
 *   8. RequestList.answerUpTo resolves the requests that the flush covers with PUT_OK
 * Under ASYNC_FLUSH, step 6 is GroupWriteService's commit (written), and step 7 is onCommitted; FlushRealTimeService
 * flushes at its interval. When 6 fails, onThrown fails the store, and every request is answered with the cause.
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
  readonly #check: MessageCheck;
  readonly #appender: MessageAppender;
  readonly #queueOffsets: QueueOffsetOperator;
  readonly #reput: ReputMessageService;
  readonly #flushWaiters = new FlushWaiters();
  readonly #stalled: StalledAppends;
  readonly #held: HeldAppends;
  readonly #onFlushedTo: CommitLogParts['onFlushed'];
  readonly #readOnlyReason: () => string | undefined;
  readonly #dispatchHeldReason: () => string | undefined;
  readonly #batchTopics: Pick<BatchTopics, 'has'>;
  readonly #confirmAtFlush: boolean;
  /** Messages and bytes appended since the store was opened. */
  appendCount = 0;
  appendBytes = 0;
  /** Calls that appended; a batch is one. */
  appendTimes = 0;
  readonly #storeTime: StoreTime;
  /** Without light queues (enableLmq, enableMultiDispatch) there is none. */
  readonly #multiDispatch: MultiDispatch | undefined;
  #closing = false;
  readonly #onePart: EncodedPart[] = [];
  readonly #scan = new PropertyScan();
  readonly #delayLevels: DelayLevels;

  constructor(parts: CommitLogParts) {
    const { context } = parts;
    const { config } = context;
    this.#context = context;
    this.mappedFileQueue = parts.mappedFileQueue;
    this.#queueOffsets = parts.queueOffsetOperator;
    this.#onFlushedTo = parts.onFlushed;
    this.#readOnlyReason = parts.readOnlyReason ?? (() => undefined);
    this.#dispatchHeldReason = parts.dispatchHeldReason ?? (() => undefined);
    this.#storeTime = new StoreTime(context.clock, context.logger);
    this.#delayLevels = new DelayLevels(config.messageDelayLevel);
    this.#batchTopics = parts.batchTopics ?? { has: () => false };
    const encoder = new MessageEncoder(config);
    this.#encoder = encoder;
    this.#check = new MessageCheck({
      config,
      engineBytesMax: this.mappedFileQueue.engine.appendBytesMax,
      encoder,
      foldedTopics: parts.foldedTopics,
      batchTopics: this.#batchTopics,
    });
    if (config.enableLmq && config.enableMultiDispatch) {
      this.#multiDispatch = new MultiDispatch(config, this.#queueOffsets, (message) => this.#check.message(message));
    }
    this.#appender = new MessageAppender(encoder, this.#check.appendBytesMax);
    this.#confirmAtFlush = config.flushDiskType === 'SYNC_FLUSH' && !config.readUnCommitted;
    this.#reput = new ReputMessageService(parts.dispatch);
    this.flushManager = new FlushManager(
      timedTarget(this.mappedFileQueue, context.clock, this.flushTimeMs),
      this,
      config,
      context,
    );
    this.#held = new HeldAppends(context);
    this.#stalled = new StalledAppends(
      context,
      this.mappedFileQueue,
      (message, messageParts) => this.#append(message, messageParts),
      (error) => this.onThrown(error),
    );
  }

  /** After recovery: everything below `offset` is on disk and dispatched. */
  resumeAt(offset: number, lastStoreTimestamp: number): void {
    this.#reput.resumeAt(offset);
    this.#storeTime.resumeAt(lastStoreTimestamp);
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

  // The durable path, in the order in which it happens; see the head of this class.

  /**
   * Appends one message. Resolves with PUT_OK when the bytes are where `durability` (or flushDiskType and WAIT) wants
   * them: on disk or written, see FlushManager; every other status says that it is not acknowledged. Never rejects for
   * an operating error. The body is read before this returns; it may be reused afterwards.
   */
  asyncPutMessage(message: MessageExtBrokerInner, durability?: Durability): Promise<PutMessageResult> {
    const refusal = this.#checkState() ?? this.#messageFault(message);
    if (refusal) return Promise.resolve(refused(refusal));
    const { propertyBytes } = message;
    if (propertyBytes !== undefined && this.#needsText(message, propertyBytes)) {
      return this.asyncPutMessage(withText(message, propertyBytes), durability);
    }
    if (isShared(message.body))
      return this.asyncPutMessage({ ...message, body: Buffer.from(message.body) }, durability);
    this.#onePart[0] = message;
    const waitStoreMsgOK =
      propertyBytes?.scan.waits ?? propertyOf(message.propertiesString, PROPERTY_WAIT_STORE_MSG_OK) !== 'false';
    return this.#put(message, this.#onePart, waitStoreMsgOK, durability);
  }

  /** Appends a batch as consecutive records of one queue, all in one file; acknowledged together, like one message. */
  asyncPutMessages(batch: MessageExtBatch, durability?: Durability): Promise<PutMessageResult> {
    const refusal = this.#checkState() ?? this.#check.batch(batch);
    if (refusal) return Promise.resolve(refused(refusal));
    if (batch.messages.some((part) => isShared(part.body))) {
      const messages = batch.messages.map((part) => ({ ...part, body: Buffer.from(part.body) }));
      return this.asyncPutMessages({ ...batch, messages }, durability);
    }
    const message = { ...batch, body: new Uint8Array(0), propertiesString: '', flag: 0 } as MessageExtBrokerInner;
    const waitStoreMsgOK = batch.messages.every(
      (part) => propertyOf(part.propertiesString, PROPERTY_WAIT_STORE_MSG_OK) !== 'false',
    );
    return this.#put(message, batch.messages, waitStoreMsgOK, durability);
  }

  #put(
    message: MessageExtBrokerInner,
    parts: readonly EncodedPart[],
    waitStoreMsgOK: boolean,
    durability: Durability | undefined,
  ): Promise<PutMessageResult> {
    const heldTopic = this.#held.topicCount > 0 ? this.#heldTopicOf(message) : undefined;
    if (heldTopic !== undefined) {
      return this.#held.wait(
        heldTopic,
        message,
        parts,
        (copy, copies) => {
          // The topic may have queues of another kind now.
          const refusal =
            this.#checkState() ??
            (copies.length === 1
              ? this.#check.message({ ...copy, ...copies[0]!, propertyBytes: undefined })
              : undefined);
          return refusal ? Promise.resolve(refused(refusal)) : this.#put(copy, copies, waitStoreMsgOK, durability);
        },
        (reason) => refused({ status: 'SERVICE_NOT_AVAILABLE', reason }),
      );
    }
    // Behind a stalled append everything stalls: the log keeps the order of the calls.
    const result = this.#stalled.size === 0 ? this.#append(message, parts) : undefined;
    if (result) return this.#submit(result, waitStoreMsgOK, durability);
    if (message.propertyBytes !== undefined) {
      const kept = withText(message, message.propertyBytes);
      return this.#stalled.wait(kept, [kept], (appended) => this.#submit(appended, waitStoreMsgOK, durability));
    }
    return this.#stalled.wait(message, parts, (appended) => this.#submit(appended, waitStoreMsgOK, durability));
  }

  /** Undefined when there is no room now: the next file is not ready, or every buffer is taken. */
  #append(message: MessageExtBrokerInner, given: readonly EncodedPart[]): PutMessageResult | undefined {
    const takesQueueOffset = hasQueueEntry(message.sysFlag);
    const queueOffset = takesQueueOffset ? this.#queueOffsets.currentOffset(message.topic, message.queueId) : -1;
    const innerCount = innerCountOfRecord(message.sysFlag, given[0]!.propertiesString);
    const storeTimestamp = this.#storeTime.next();
    const assigned = this.#multiDispatch?.assign(message, given);
    if (assigned !== undefined && 'status' in assigned) return refused(assigned);
    let parts = assigned?.parts ?? given;
    if (innerCount !== undefined) parts = [withBase(parts[0]!, queueOffset)];
    for (let attempt = 0; attempt < 2; attempt++) {
      const file = this.mappedFileQueue.tryGetLastMappedFile();
      if (!file) return undefined;
      const status = this.#appender.append(file, message, parts, queueOffset, storeTimestamp);
      if (status === 'NO_BUFFER') return undefined;
      if (status === 'PUT_OK') {
        this.#storeTime.taken(storeTimestamp);
        const count = innerCount ?? parts.length;
        if (takesQueueOffset) this.#queueOffsets.increase(message.topic, message.queueId, count);
        if (assigned?.places !== undefined) this.#multiDispatch?.taken(assigned.places);
        return this.#appended(message, parts, queueOffset, storeTimestamp, innerCount, assigned?.places);
      }
    }
    return undefined;
  }

  #appended(
    message: MessageExtBrokerInner,
    parts: readonly EncodedPart[],
    queueOffset: number,
    storeTimestamp: number,
    innerCount: number | undefined,
    lmqs: readonly LmqPlace[] | undefined,
  ): PutMessageResult {
    const appender = this.#appender;
    for (let i = 0; i < appender.count; i++) {
      const { propertiesString, propertyBytes } = parts[i]!;
      const keyHashes = (propertyBytes?.scan ?? this.#scan.scanText(propertiesString)).keyHashes();
      const request: DispatchRequest = {
        topic: message.topic,
        queueId: message.queueId,
        commitLogOffset: appender.offsets[i]!,
        msgSize: appender.sizes[i]!,
        // Of the record and of nothing besides it: the next recovery has only that to make the entry from.
        tagsCode: tagsCodeOf(message.topic, keyHashes.tagHash, propertiesString, storeTimestamp, this.#delayLevels),
        storeTimestamp,
        consumeQueueOffset: queueOffset === -1 ? 0 : queueOffset + i,
        keyHashes,
        sysFlag: message.sysFlag,
        preparedTransactionOffset: message.preparedTransactionOffset,
        lmqs,
      };
      if (innerCount !== undefined) request.innerCount = innerCount;
      this.#reput.append(request);
    }
    // An engine whose appends are written at once, read by readers that need no flush, dispatches at once.
    if (!this.#confirmAtFlush) this.#advanceDispatch();
    this.appendTimes++;
    this.appendCount += appender.count;
    this.appendBytes += appender.totalSize;
    const result: PutMessageResult = {
      status: 'UNKNOWN_ERROR',
      wroteOffset: appender.offsets[0]!,
      wroteBytes: appender.totalSize,
      queueOffset: queueOffset === -1 ? 0 : queueOffset,
      storeTimestamp,
      messageCount: innerCount ?? appender.count,
    };
    if (appender.count > 1) result.batchOffsets = appender.offsets.slice(0, appender.count);
    return result;
  }

  #submit(
    result: PutMessageResult,
    waitStoreMsgOK: boolean,
    durability: Durability | undefined,
  ): Promise<PutMessageResult> {
    if (result.wroteOffset < 0) return Promise.resolve(result);
    if (durability === 'group' && this.#context.config.flushDiskType === 'ASYNC_FLUSH') {
      void this.flushManager.submitFlushRequest({ ...result }, false, undefined);
      const flushed = this.whenFlushed(result.wroteOffset + result.wroteBytes);
      return answeredByNextFlush(result, flushed, this.#context);
    }
    return this.flushManager.submitFlushRequest(result, waitStoreMsgOK, durability);
  }

  onCommitted(): void {
    this.#advanceDispatch();
    this.#stalled.retry();
  }

  onFlushed(): void {
    const { flushedWhere } = this.mappedFileQueue;
    this.#onFlushedTo(flushedWhere, this.mappedFileQueue.storeTimestamp);
    this.#advanceDispatch();
    this.#flushWaiters.advance(flushedWhere);
    this.#stalled.retry();
  }

  onGroup(size: number): void {
    this.groupSize.record(size);
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

  // What fails.

  onThrown(error: unknown): StoreError {
    const { failure } = this.#context;
    if (error === failure && failure !== undefined) return failure;
    if (error instanceof StoreError) return this.#context.fail(error);
    const cause = internalError('the flush of the log', error);
    // A fault of the program is told even when the store has failed before for another reason.
    if (failure !== undefined) this.#context.logger.error({ code: cause.code, err: error }, cause.message);
    return this.#context.fail(cause);
  }

  /** The store failed: whoever still waits gets the cause, whatever service they wait for. */
  onFailed(cause: StoreError): void {
    this.#flushWaiters.rejectAll(cause);
    this.#stalled.failAll(cause);
  }

  // What may be appended, and in what form.

  #checkState(): Refusal | undefined {
    if (this.#closing) return { status: 'SERVICE_NOT_AVAILABLE', reason: 'the store is shut down' };
    const { failure } = this.#context;
    if (!failure) {
      const reason = this.#readOnlyReason() ?? this.dispatchBehindReason;
      return reason === undefined ? undefined : { status: 'SERVICE_NOT_AVAILABLE', reason };
    }
    return {
      status: 'SERVICE_NOT_AVAILABLE',
      reason: `the store is read-only since ${failure.message}`,
      cause: failure,
    };
  }

  /**
   * Properties stay bytes for a message that is appended now and whose record gets no checksum for them. Who waits keeps
   * them as text: the bytes are another message's by then.
   */
  #needsText(message: MessageExtBrokerInner, propertyBytes: EncodedProperties): boolean {
    const { topic } = message;
    return (
      this.#encoder.needsText(propertyBytes) ||
      topic === SCHEDULE_TOPIC ||
      this.#batchTopics.has(topic) ||
      (propertyBytes.scan.found & PropertyBit.MULTI_DISPATCH) !== 0 ||
      this.#isWaitedFor(message)
    );
  }

  /** A put to this topic would line up behind others. */
  #isWaitedFor(message: MessageExtBrokerInner): boolean {
    return this.#stalled.size > 0 || (this.#held.topicCount > 0 && this.#heldTopicOf(message) !== undefined);
  }

  /** The topic, or light queue of the message, that is being deleted. */
  #heldTopicOf(message: MessageExtBrokerInner): string | undefined {
    if (this.#held.isHeld(message.topic)) return message.topic;
    return this.#multiDispatch?.namesOf(message)?.find((name) => this.#held.isHeld(name));
  }

  /** Why such a message is refused whenever it is put; undefined when it is not. */
  messageFault(message: MessageExtBrokerInner): string | undefined {
    return this.#messageFault(message)?.reason;
  }

  #messageFault(message: MessageExtBrokerInner): Refusal | undefined {
    return this.#check.message(message) ?? this.#multiDispatch?.fault(message);
  }

  // A topic that is deleted.

  /** The topic is being deleted: appends to it wait until release(), those that wait for room in the log are refused. */
  hold(topic: string): void {
    this.#held.hold(topic);
    this.#stalled.refuse(
      (message) => this.#heldTopicOf(message) === topic,
      `${topic} was deleted before there was room for the message`,
    );
  }

  release(topic: string): void {
    this.#held.release(topic);
  }

  /** A deleted topic's name is free again. */
  forgetTopic(topic: string): void {
    this.#check.forgetTopic(topic);
  }

  // Dispatch.

  /** Dispatch was held and need not be any more. */
  resumeDispatch(): void {
    this.#advanceDispatch();
  }

  #advanceDispatch(): void {
    // A store that closes hands over everything; what then cannot be written the next start makes anew.
    if (!this.#closing && this.#dispatchHeldReason() !== undefined) return;
    this.#reput.advance(this.confirmOffset);
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

  /** Why nothing may be appended for now: dispatch is held, and so much waits for it that it would fill memory. */
  get dispatchBehindReason(): string | undefined {
    const pending = this.#reput.pendingCount;
    if (pending < DISPATCH_PENDING_MAX) return undefined;
    const held = this.#dispatchHeldReason();
    return held === undefined ? undefined : `${pending} messages wait to be dispatched, ${held}`;
  }

  // Numbers.

  /** Appends that wait for room: for the next file, or for a buffer. */
  get stalledCount(): number {
    return this.#stalled.size;
  }

  /** How long the first of them has waited; 0 without one. */
  get oldestStalledMs(): number {
    return this.#stalled.oldestMs;
  }

  /** What the copies of those that wait for room take in memory. */
  get stalledBytes(): number {
    return this.#stalled.bytes;
  }

  /** Appends that wait for the end of a deletion. */
  get heldCount(): number {
    return this.#held.size;
  }

  /** Bytes of the largest put that some file can hold. */
  get appendBytesMax(): number {
    return this.#check.appendBytesMax;
  }
}
