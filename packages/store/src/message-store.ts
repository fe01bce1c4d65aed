import { EventEmitter } from 'node:events';
import {
  argumentError,
  checkFunction,
  checkInteger,
  checkNumber,
  checkOptions,
  checkQueue,
  checkText,
  durabilityError,
  isDurability,
  looking,
  thrownByCaller,
} from './base/arguments.ts';
import { EventDelivery } from './base/caller-code.ts';
import type { Clock } from './base/clock.ts';
import type { MessageStoreConfig, MessageStoreOptions } from './base/config.ts';
import { StoreError } from './base/errors.ts';
import type { InFlightOperation } from './base/file-system.ts';
import type { StoreMetrics } from './base/metrics.ts';
import type {
  BoundaryType,
  Durability,
  GetMessageResult,
  MessageExtBatch,
  MessageExtBrokerInner,
  PutMessageResult,
  QueueEntry,
  StoredMessage,
  StoreHost,
} from './base/types.ts';
import type { IndexType } from './key-index/index-service.ts';
import type { CommitLog } from './log/commit-log.ts';
import { type Arrival, OPEN_OPTIONS, type OpenOptions } from './open-options.ts';
import { openStoreParts } from './open-store.ts';
import { NO_OPTIONS, ownGetOptions } from './read/get-options.ts';
import type { QueryMessageResult } from './read/key-query.ts';
import type { GetMessageOptions } from './read/message-reader.ts';
import { checkReadQueueOptions, type ReadQueueOptions, readQueue } from './read/read-queue.ts';
import { type Message, toMessageExtBrokerInner } from './record/message.ts';
import { ownBatch, ownMessage } from './record/own-message.ts';
import { runtimeInfo } from './runtime-info.ts';
import { storeMetrics } from './store-metrics.ts';
import type { StoreParts } from './store-parts.ts';

export interface MessageStoreEvents {
  /** Emitted per message, in order, once readers may see it. What a listener throws is an uncaught exception. */
  arrived: [arrival: Arrival];
  /** The first failed write or flush; the store is read-only from here on, for good. */
  failed: [cause: StoreError];
}

const EMBEDDED_HOST: StoreHost = { address: Uint8Array.of(127, 0, 0, 1), port: 0 };

/**
 * A store directory in RocketMQ's formats, open for one process (RocketMQ DefaultMessageStore): appends go to one commit
 * log, readers follow the queues that dispatch builds from it.
 */
export class MessageStore extends EventEmitter<MessageStoreEvents> {
  /** The settings in force; changeConfig changes some of them. */
  readonly config: Readonly<MessageStoreConfig>;
  readonly #parts: StoreParts;
  readonly #clock: Clock;
  #shutdown: Promise<void> | undefined;

  private constructor(parts: StoreParts) {
    super();
    this.#parts = parts;
    this.config = parts.config;
    this.#clock = parts.clock;
    const arrivals = new EventDelivery<Arrival>(parts.clock, (arrival) => this.emit('arrived', arrival));
    parts.onArrived = (arrival) => {
      if (this.listenerCount('arrived') > 0) arrivals.announce(arrival);
    };
    const failures = new EventDelivery<StoreError>(parts.clock, (cause) => this.emit('failed', cause));
    parts.onFailed = (cause) => failures.announce(cause);
  }

  /**
   * Opens or creates the store: takes its lock, recovers, starts the services. Resolves when it is ready; everything
   * recovered is on disk by then. Rejects with a StoreError whose code says why; a directory that is refused for its
   * content is untouched.
   */
  static async open(options: MessageStoreOptions, more: OpenOptions = {}): Promise<MessageStore> {
    const own = ownOptions(options);
    checkOptions('open', more, OPEN_OPTIONS);
    const ownMore = looking('open', 'the options', () => ({ ...more }));
    return new MessageStore(await openStoreParts(own, ownMore));
  }

  /**
   * Appends a message. Resolves with status PUT_OK when it is where `durability` (or, without it, flushDiskType) wants
   * it; see Durability. Any other status says that it is not acknowledged, with a reason. What is wrong with the message
   * itself is no status: rejects STORE_MESSAGE_INVALID when it is more than the store can hold and give back unchanged
   * (docs/reference/limits.md), STORE_ARGUMENT_INVALID for
   * options that there are not. Nothing is changed then.
   */
  async putMessage(message: Message, options: { durability?: Durability } = {}): Promise<PutMessageResult> {
    checkOptions('putMessage', options, ['durability']);
    const { durability } = looking('putMessage', 'the options', () => ({ ...options }));
    if (!isDurability(durability)) throw durabilityError('putMessage', durability);
    const now = this.#clock.now();
    const inner = looking('putMessage', 'the message', () => toMessageExtBrokerInner(message, EMBEDDED_HOST, now));
    const result = await this.asyncPutMessage(inner, durability);
    if (result.status !== 'MESSAGE_ILLEGAL' && result.status !== 'PROPERTIES_SIZE_EXCEEDED') return result;
    throw new StoreError('STORE_MESSAGE_INVALID', result.reason ?? result.status, { status: result.status });
  }

  /**
   * The broker's way in; see PutMessageStatus. Never rejects for an operating error or for what is in the message, only
   * with STORE_ARGUMENT_INVALID for a durability that there is not, or a message whose own code throws. The body may be
   * reused at once.
   */
  asyncPutMessage(message: MessageExtBrokerInner, durability?: Durability): Promise<PutMessageResult> {
    if (!isDurability(durability)) return Promise.reject(durabilityError('asyncPutMessage', durability));
    let own: MessageExtBrokerInner;
    try {
      own = ownMessage(message);
    } catch (error) {
      return Promise.reject(thrownByCaller('asyncPutMessage', 'the message', error));
    }
    this.#parts.counters.putTimes++;
    return this.#parts.commitLog.asyncPutMessage(own, durability);
  }

  /** Several messages of one queue as consecutive records, acknowledged together. */
  asyncPutMessages(batch: MessageExtBatch, durability?: Durability): Promise<PutMessageResult> {
    if (!isDurability(durability)) return Promise.reject(durabilityError('asyncPutMessages', durability));
    let own: MessageExtBatch;
    try {
      own = ownBatch(batch);
    } catch (error) {
      return Promise.reject(thrownByCaller('asyncPutMessages', 'the batch', error));
    }
    this.#parts.counters.putTimes++;
    return this.#parts.commitLog.asyncPutMessages(own, durability);
  }

  /** Reads from `offset` on, at most `maxMsgNums` messages and the transfer limits of the configuration. Rejects
   * STORE_READ_FAILED, STORE_CLOSED. */
  async getMessage(
    _group: string,
    topic: string,
    queueId: number,
    offset: number,
    maxMsgNums: number,
    options: GetMessageOptions = NO_OPTIONS,
  ): Promise<GetMessageResult> {
    this.#checkOpen();
    checkQueue('getMessage', topic, queueId);
    checkInteger('getMessage', 'offset', offset);
    checkInteger('getMessage', 'maxMsgNums', maxMsgNums);
    const own = ownGetOptions(options);
    return this.#parts.messageReader.getMessage(topic, queueId, offset, maxMsgNums, own);
  }

  /**
   * Iterates over a queue in order; with `follow` it waits for what is to come and ends with the store or the signal.
   * Throws STORE_ARGUMENT_INVALID; the first step rejects STORE_OFFSET_OUT_OF_RANGE for a `from` behind the queue's end,
   * and each step STORE_READ_FAILED for what the disk does not give.
   */
  readQueue(
    topic: string,
    queueId = 0,
    options: ReadQueueOptions = {},
  ): AsyncGenerator<StoredMessage, void, undefined> {
    checkQueue('readQueue', topic, queueId);
    checkOptions('readQueue', options, ['from', 'follow', 'signal']);
    const own = looking('readQueue', 'the options', () => ({ ...options }));
    looking('readQueue', 'the options', () => checkReadQueueOptions(own));
    const store = this;
    const source = {
      get isClosed() {
        return store.isClosed;
      },
      getMessage: (t: string, q: number, offset: number, count: number) => this.getMessage('', t, q, offset, count),
      getMinOffsetInQueue: (t: string, q: number) => this.getMinOffsetInQueue(t, q),
      getMaxOffsetInQueue: (t: string, q: number) => this.getMaxOffsetInQueue(t, q),
      queueOf: (t: string, q: number) => this.#parts.queues.find(t, q),
    };
    return readQueue(source, this.#parts.arrivals, topic, queueId, own);
  }

  /** Exclusive end of what readers may see; 0 for a queue that does not exist. */
  getMaxOffsetInQueue(topic: string, queueId: number): number {
    checkQueue('getMaxOffsetInQueue', topic, queueId);
    return this.#parts.queues.find(topic, queueId)?.maxOffsetInQueue ?? 0;
  }

  /** First entry that readers may ask for; 0 for a queue that does not exist. */
  getMinOffsetInQueue(topic: string, queueId: number): number {
    checkQueue('getMinOffsetInQueue', topic, queueId);
    return this.#parts.queues.find(topic, queueId)?.minOffsetInQueue ?? 0;
  }

  /** RocketMQ getOffsetInQueueByTime: LOWER is the first message not older than `timestamp`, UPPER the last not younger. */
  async getOffsetInQueueByTime(
    topic: string,
    queueId: number,
    timestamp: number,
    boundary: BoundaryType = 'LOWER',
  ): Promise<number> {
    this.#checkOpen();
    checkQueue('getOffsetInQueueByTime', topic, queueId);
    checkNumber('getOffsetInQueueByTime', 'timestamp', timestamp);
    if (boundary !== 'LOWER' && boundary !== 'UPPER') {
      throw argumentError('getOffsetInQueueByTime', 'boundary', "must be 'LOWER' or 'UPPER'", boundary);
    }
    return this.#parts.queueLookup.offsetByTime(topic, queueId, timestamp, boundary);
  }

  /** storeTimestamp of the message at this entry; -1 when there is none. */
  async getMessageStoreTimeStamp(topic: string, queueId: number, queueOffset: number): Promise<number> {
    this.#checkOpen();
    checkQueue('getMessageStoreTimeStamp', topic, queueId);
    checkInteger('getMessageStoreTimeStamp', 'queueOffset', queueOffset);
    return this.#parts.queueLookup.storeTimestampAt(topic, queueId, queueOffset);
  }

  /** storeTimestamp of the queue's oldest message; -1 when it has none. */
  async getEarliestMessageTime(topic: string, queueId: number): Promise<number> {
    return this.getMessageStoreTimeStamp(topic, queueId, this.getMinOffsetInQueue(topic, queueId));
  }

  /**
   * The raw record that starts at this offset in the log; undefined when none does, or one that a repair left in place of a
   * lost message. One that is larger than what maxMessageSize allows now is found through its queue, by its keys, and here
   * by whoever knows its `size`.
   */
  async selectOneMessageByOffset(commitLogOffset: number, size?: number): Promise<Buffer | undefined> {
    this.#checkOpen();
    checkInteger('selectOneMessageByOffset', 'commitLogOffset', commitLogOffset);
    if (size === undefined) return this.#parts.lookup.selectOneMessageByOffset(commitLogOffset);
    checkInteger('selectOneMessageByOffset', 'size', size);
    return this.#parts.lookup.selectNamedRecord(commitLogOffset, size);
  }

  /** The same, decoded. */
  async lookMessageByOffset(commitLogOffset: number): Promise<StoredMessage | undefined> {
    this.#checkOpen();
    checkInteger('lookMessageByOffset', 'commitLogOffset', commitLogOffset);
    return this.#parts.lookup.lookMessageByOffset(commitLogOffset);
  }

  /**
   * Messages of the topic with this key or unique key, or with this tag (`indexType` 'tag'), newest first, each once, stored
   * between the two times (whole seconds). At most `maxNum`, maxMsgsNumBatch, and 15 MiB if more than one. Rejects STORE_READ_FAILED, STORE_CLOSED.
   */
  async queryMessage(
    topic: string,
    key: string,
    maxNum = this.config.maxMsgsNumBatch,
    begin = 0,
    end = Number.MAX_SAFE_INTEGER,
    indexType: IndexType = 'key',
  ): Promise<QueryMessageResult> {
    this.#checkOpen();
    checkText('queryMessage', 'topic', topic);
    checkText('queryMessage', 'key', key);
    checkInteger('queryMessage', 'maxNum', maxNum);
    checkNumber('queryMessage', 'begin', begin);
    checkNumber('queryMessage', 'end', end);
    if (indexType !== 'key' && indexType !== 'tag') {
      throw argumentError('queryMessage', 'indexType', "must be 'key' or 'tag'", indexType);
    }
    return this.#parts.queryMessage({ topic, key, indexType, maxNum, begin, end });
  }

  /**
   * The entries of a queue from `from` on, at most `count`, as they stand there; undefined for a queue that does not
   * exist. Rejects STORE_READ_FAILED, STORE_CLOSED.
   */
  async queueEntries(topic: string, queueId: number, from: number, count: number): Promise<QueueEntry[] | undefined> {
    this.#checkOpen();
    checkQueue('queueEntries', topic, queueId);
    checkInteger('queueEntries', 'from', from);
    checkInteger('queueEntries', 'count', count);
    return this.#parts.queueLookup.entries(topic, queueId, from, count);
  }

  /**
   * Removes the files of queues and index that stand only for records whose log files are gone, as the broker does by
   * itself each cleanResourceInterval. Resolves with the number of files removed.
   */
  async cleanQueues(): Promise<number> {
    this.#checkOpen();
    return this.#parts.cleanQueues();
  }

  /**
   * Removes files of the log that are older than fileReservedTime, now and in the 20 rounds that follow, whatever the hours
   * of deleteWhen (RocketMQ executeDeleteFilesManually). Returns at once; what is removed is in the log of the program.
   */
  deleteExpiredFiles(): void {
    this.#checkOpen();
    this.#parts.deleteExpiredFiles();
  }

  /** Topics that have at least one queue, of either kind, with their queue ids. */
  queuesByTopic(): Map<string, number[]> {
    return this.#parts.queues.queuesByTopic();
  }

  /** The topic has batch queues (RocketMQ BatchCQ): a record of it may hold several messages. */
  hasBatchQueues(topic: string): boolean {
    checkText('hasBatchQueues', 'topic', topic);
    return this.#parts.batchTopics.has(topic);
  }

  /** Why the topic cannot have batch queues: it has consume queues. Undefined when it can, or has them. */
  batchTopicFault(topic: string): string | undefined {
    checkText('batchTopicFault', 'topic', topic);
    return this.#parts.batchTopicFault(topic);
  }

  /**
   * The topic has batch queues from now on, until it is deleted. In memory alone: at the next start topics.json says it,
   * and has to be on disk before the topic's first message is put. Throws STORE_QUEUE_TYPE_MISMATCH with what
   * batchTopicFault says.
   */
  declareBatchTopic(topic: string): void {
    this.#checkOpen();
    const fault = this.batchTopicFault(topic);
    if (fault !== undefined) throw new StoreError('STORE_QUEUE_TYPE_MISMATCH', fault, { topic });
    this.#parts.batchTopics.declare(topic);
  }

  /**
   * Why such a message is refused whenever it is put, in one sentence; undefined when it can be stored. For whoever
   * acknowledges a message that is put later.
   */
  messageFault(message: MessageExtBrokerInner): string | undefined {
    return this.#log.messageFault(looking('messageFault', 'the message', () => ownMessage(message)));
  }

  /**
   * Deletes the messages that a topic has; the next one that is put into it gets number 0, also while the deletion is under
   * way: then it waits for it. Resolves when that is *on disk*: no crash and no restart brings the messages back. Their
   * records stay in the log, unread, until its files expire. Batch queues go too. A `readQueue` that follows goes on with
   * the new messages. A topic that has no messages costs nothing; with `isRecorded` its deletion is put on record all the
   * same (`deletedBelow`), for those who keep messages of it elsewhere. `beforeNext`: see deleteTopicEndingAt; it is not called
   * for a topic that costs nothing.
   *
   * Rejects with the store's failure, STORE_DISK_FULL, STORE_WRITE_FAILED or STORE_DELETIONS_FULL when the deletion cannot
   * be put on record. The messages are then still there; they may be gone after the next start.
   */
  async deleteTopic(
    topic: string,
    options: { isRecorded?: boolean; beforeNext?: () => Promise<void> } = {},
  ): Promise<void> {
    const { isRecorded = false, beforeNext } = options;
    this.#checkOpen();
    checkText('deleteTopic', 'topic', topic);
    checkFunction('deleteTopic', 'beforeNext', beforeNext);
    await this.#parts.deleteTopic(topic, { isRecorded, beforeNext });
  }

  /**
   * As deleteTopic, when `end` is still the number that the next message of its queue 0 gets as the deletion begins: no message
   * goes that whoever decided on it did not know of. `beforeNext` is called in the turn in which the topic is gone, and its
   * next messages wait until that has resolved: what is known of the deleted ones must not be taken for theirs after a crash.
   * What it rejects with is logged. Resolves with whether it was.
   */
  async deleteTopicEndingAt(topic: string, end: number, beforeNext?: () => Promise<void>): Promise<boolean> {
    this.#checkOpen();
    checkText('deleteTopicEndingAt', 'topic', topic);
    checkInteger('deleteTopicEndingAt', 'end', end);
    checkFunction('deleteTopicEndingAt', 'beforeNext', beforeNext);
    return this.#parts.deleteTopic(topic, { isRecorded: false, endsAt: end, beforeNext });
  }

  /** Records of the topic that start below this offset of the log were deleted with it; 0 when there are none. */
  deletedBelow(topic: string): number {
    checkText('deletedBelow', 'topic', topic);
    return this.#parts.deletedBelow(topic);
  }

  /** Resolves when every byte of the log below `offset` is on disk; rejects with the store's failure if that comes first. */
  async whenFlushed(offset: number): Promise<void> {
    checkNumber('whenFlushed', 'offset', offset);
    return this.#parts.commitLog.whenFlushed(offset);
  }

  /** Flushes everything appended by now. Resolves when it is on disk. */
  async flush(): Promise<void> {
    await this.#parts.flushTo(this.maxPhyOffset);
  }

  /**
   * Changes settings while the store is open; each counts from its next use on, in memory alone. Throws
   * STORE_CONFIG_INVALID, and changes nothing, when one of them is no key, cannot have the value, or can only be set when
   * the store is opened (docs/reference/config.md says which). Throws STORE_ARGUMENT_INVALID for what is no object.
   */
  changeConfig(changes: Partial<MessageStoreConfig>): void {
    this.#checkOpen();
    if (!isSettings(changes)) throw argumentError('changeConfig', 'the settings', 'must be an object', changes);
    this.#parts.changeConfig(looking('changeConfig', 'the settings', () => ({ ...changes })));
  }

  /** Offsets in the log, bytes: minPhyOffset ≤ flushedWhere ≤ committedWhere ≤ maxPhyOffset. */
  get minPhyOffset(): number {
    return this.#log.mappedFileQueue.minOffset;
  }
  get maxPhyOffset(): number {
    return this.#log.mappedFileQueue.maxOffset;
  }
  /** Below this everything is on disk. */
  get flushedWhere(): number {
    return this.#log.mappedFileQueue.flushedWhere;
  }
  /** Below this everything is written. */
  get committedWhere(): number {
    return this.#log.mappedFileQueue.committedWhere;
  }
  /** Below this the queues and the index know every record. */
  get dispatchedWhere(): number {
    return this.#log.dispatchedWhere;
  }

  /** The failure that made the store read-only, once there was one. */
  get failure(): StoreError | undefined {
    return this.#parts.failure;
  }

  get isWriteable(): boolean {
    return !this.isClosed && !this.failure && !this.#parts.readOnlyReason;
  }

  /** Why no message is taken for now: a full disk, or queues that are too far behind. Undefined: for no such reason. */
  get readOnlyReason(): string | undefined {
    return this.#parts.readOnlyReason;
  }

  /** The disk that is too full to take messages; undefined while none is. */
  get diskFull(): { path: string; freeBytes: number; totalBytes: number } | undefined {
    return this.#parts.diskFull;
  }

  get isClosed(): boolean {
    return this.#shutdown !== undefined;
  }

  /** Which way to write is in use. */
  get engine(): 'channel' | 'mmap' | 'transient-pool' {
    return this.#parts.engine;
  }

  /**
   * For whoever keeps files of its own in the store's directory. Resolves when the directory that holds `path` is still the
   * one that was opened and locked; rejects STORE_DIRECTORY_MOVED, and the store fails with that, when it is not.
   */
  async checkPlace(path: string): Promise<void> {
    checkText('checkPlace', 'path', path);
    return this.#parts.checkPlace(path);
  }

  /** For whoever keeps files of its own beside the store's, of which a write failed: the store fails with that. */
  failWith(cause: StoreError): void {
    if (!(cause instanceof StoreError)) throw argumentError('failWith', 'cause', 'must be a StoreError', cause);
    this.#parts.fail(cause);
  }

  /** Disk calls that have not returned, oldest first, with the milliseconds since each began. */
  inFlight(): InFlightOperation[] {
    return this.#parts.inFlight();
  }

  /** Calls on files besides the log's that have come back: it grows while a long shutdown gets on. */
  get doneCalls(): number {
    return this.#parts.doneCount;
  }

  /** A snapshot of the flush pipeline and the counters; computed at each access. */
  get metrics(): StoreMetrics {
    return storeMetrics(this.#parts);
  }

  /** The keys of RocketMQ's GET_BROKER_RUNTIME_INFO that the store owns. */
  runtimeInfo(): Record<string, string> {
    return runtimeInfo(this.#parts, this.metrics);
  }

  /**
   * No new appends, the last group answered, everything flushed and dispatched, checkpoint written, abort file removed,
   * lock released. A second call waits for the first.
   */
  shutdown(): Promise<void> {
    this.#shutdown ??= this.#parts.shutdown();
    return this.#shutdown;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  get #log(): CommitLog {
    return this.#parts.commitLog;
  }

  #checkOpen(): void {
    if (this.isClosed) throw new StoreError('STORE_CLOSED', `the store ${this.config.storePathRootDir} is shut down`);
  }
}

/** Settings by name, each looked at once. Throws STORE_CONFIG_INVALID for what is no object of settings. */
function ownOptions<T extends object>(options: T): T {
  if (!isSettings(options)) {
    throw new StoreError('STORE_CONFIG_INVALID', 'open: the settings must be an object', { method: 'open' });
  }
  return looking('open', 'the settings', () => ({ ...options }));
}

const isSettings = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);
