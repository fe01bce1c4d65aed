import { EventEmitter } from 'node:events';
import type { Clock } from './clock.ts';
import type { CommitLog } from './commit-log/commit-log.ts';
import type { MessageStoreConfig, MessageStoreOptions } from './config.ts';
import { type Message, toMessageExtBrokerInner } from './embedding/message.ts';
import { StoreError } from './errors.ts';
import type { InFlightOperation } from './io/file-system.ts';
import type { StoreMetrics } from './metrics.ts';
import type { Arrival, OpenOptions } from './open-options.ts';
import { openStoreParts } from './open-store.ts';
import type { GetMessageOptions } from './read/message-reader.ts';
import { type ReadQueueOptions, readQueue } from './read/read-queue.ts';
import { runtimeInfo } from './runtime-info.ts';
import { storeMetrics } from './store-metrics.ts';
import type { StoreParts } from './store-parts.ts';
import type {
  BoundaryType,
  Durability,
  GetMessageResult,
  MessageExt,
  MessageExtBatch,
  MessageExtBrokerInner,
  PutMessageResult,
  StoreHost,
} from './types.ts';

export interface MessageStoreEvents {
  /** Emitted per message, in order, once readers may see it. */
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
  readonly config: MessageStoreConfig;
  readonly #parts: StoreParts;
  readonly #clock: Clock;
  #shutdown: Promise<void> | undefined;

  private constructor(parts: StoreParts) {
    super();
    this.#parts = parts;
    this.config = parts.config;
    this.#clock = parts.clock;
    parts.onArrived = (arrival) => {
      if (this.listenerCount('arrived') > 0) this.emit('arrived', arrival);
    };
    parts.onFailed = (cause) => this.emit('failed', cause);
  }

  /**
   * Opens or creates the store: takes its lock, recovers, starts the services. Resolves when it is ready; everything
   * recovered is on disk by then. Rejects with a StoreError whose code says why; a directory that is refused for its
   * content is untouched.
   */
  static async open(options: MessageStoreOptions, more: OpenOptions = {}): Promise<MessageStore> {
    return new MessageStore(await openStoreParts(options, more));
  }

  /**
   * Appends a message. Resolves with status PUT_OK when it is where `durability` (or, without it, flushDiskType) wants
   * it; see Durability. Any other status says that it is not acknowledged, with a reason. Throws
   * STORE_MESSAGE_INVALID for what the format cannot hold, such as a blank in a key.
   */
  async putMessage(message: Message, options: { durability?: Durability } = {}): Promise<PutMessageResult> {
    const inner = toMessageExtBrokerInner(message, EMBEDDED_HOST, this.#clock.now());
    return this.asyncPutMessage(inner, options.durability);
  }

  /** The broker's way in; see PutMessageStatus. Never rejects for an operating error. The body may be reused at once. */
  asyncPutMessage(message: MessageExtBrokerInner, durability?: Durability): Promise<PutMessageResult> {
    return this.#counted(this.#parts.commitLog.asyncPutMessage(message, durability));
  }

  /** Several messages of one queue as consecutive records, acknowledged together. */
  asyncPutMessages(batch: MessageExtBatch, durability?: Durability): Promise<PutMessageResult> {
    return this.#counted(this.#parts.commitLog.asyncPutMessages(batch, durability));
  }

  /** Reads from `offset` on, at most `maxMsgNums` messages and the transfer limits of the configuration. Rejects
   * STORE_READ_FAILED, STORE_CLOSED. */
  async getMessage(
    _group: string,
    topic: string,
    queueId: number,
    offset: number,
    maxMsgNums: number,
    options: GetMessageOptions = {},
  ): Promise<GetMessageResult> {
    this.#checkOpen();
    return this.#parts.messageReader.getMessage(topic, queueId, offset, maxMsgNums, options);
  }

  /** Iterates over a queue in order; with `follow` it waits for what is to come and ends with the store or the signal. */
  readQueue(topic: string, queueId = 0, options: ReadQueueOptions = {}): AsyncGenerator<MessageExt, void, undefined> {
    const store = this;
    const source = {
      get isClosed() {
        return store.isClosed;
      },
      getMessage: (t: string, q: number, offset: number, count: number) => this.getMessage('', t, q, offset, count),
      getMinOffsetInQueue: (t: string, q: number) => this.getMinOffsetInQueue(t, q),
      getMaxOffsetInQueue: (t: string, q: number) => this.getMaxOffsetInQueue(t, q),
    };
    return readQueue(source, this.#parts.arrivals, topic, queueId, options);
  }

  /** Exclusive end of what readers may see; 0 for a queue that does not exist. */
  getMaxOffsetInQueue(topic: string, queueId: number): number {
    return this.#parts.queues.find(topic, queueId)?.maxOffsetInQueue ?? 0;
  }

  getMinOffsetInQueue(topic: string, queueId: number): number {
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
    return this.#parts.offsetByTime(topic, queueId, timestamp, boundary);
  }

  /** storeTimestamp of the message at this entry; -1 when there is none. */
  async getMessageStoreTimeStamp(topic: string, queueId: number, queueOffset: number): Promise<number> {
    this.#checkOpen();
    return this.#parts.storeTimestampAt(topic, queueId, queueOffset);
  }

  /** storeTimestamp of the queue's oldest message; -1 when it has none. */
  async getEarliestMessageTime(topic: string, queueId: number): Promise<number> {
    return this.getMessageStoreTimeStamp(topic, queueId, this.getMinOffsetInQueue(topic, queueId));
  }

  /** The raw record that starts at this offset in the log; undefined when none does. */
  async selectOneMessageByOffset(commitLogOffset: number): Promise<Buffer | undefined> {
    this.#checkOpen();
    return this.#parts.lookup.selectOneMessageByOffset(commitLogOffset);
  }

  async lookMessageByOffset(commitLogOffset: number): Promise<MessageExt | undefined> {
    this.#checkOpen();
    return this.#parts.lookup.lookMessageByOffset(commitLogOffset);
  }

  /**
   * Messages with this key or unique key, newest first, stored between the two times. The index compares hashes, so a
   * caller that must be sure compares the key itself, as RocketMQ's clients do.
   */
  async queryMessage(
    topic: string,
    key: string,
    maxNum = this.config.maxMsgsNumBatch,
    begin = 0,
    end = Number.MAX_SAFE_INTEGER,
  ): Promise<{ indexLastUpdateTimestamp: number; indexLastUpdatePhyoffset: number; records: Buffer[] }> {
    this.#checkOpen();
    return this.#parts.queryMessage(topic, key, Math.min(maxNum, this.config.maxMsgsNumBatch), begin, end);
  }

  /** Topics that have at least one queue, with their queue ids. */
  queuesByTopic(): Map<string, number[]> {
    return this.#parts.queues.queuesByTopic();
  }

  /** Removes the queues of a topic; its records stay in the log until their files expire. */
  async deleteTopic(topic: string): Promise<void> {
    this.#checkOpen();
    await this.#parts.deleteTopic(topic);
  }

  /** Resolves when every byte of the log below `offset` is on disk; rejects with the store's failure if that comes first. */
  whenFlushed(offset: number): Promise<void> {
    return this.#parts.commitLog.whenFlushed(offset);
  }

  /** Flushes everything appended by now. Resolves when it is on disk. */
  async flush(): Promise<void> {
    const { commitLog } = this.#parts;
    const flushed = commitLog.whenFlushed(this.maxPhyOffset);
    commitLog.flushManager.flushNow();
    await flushed;
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

  get isClosed(): boolean {
    return this.#shutdown !== undefined;
  }

  /** Which way to write is in use. */
  get engine(): 'channel' | 'mmap' | 'transient-pool' {
    return this.#parts.engine;
  }

  /** Disk calls that have not returned, oldest first, with the milliseconds since each began. */
  inFlight(): InFlightOperation[] {
    return this.#parts.inFlight();
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

  #counted(future: Promise<PutMessageResult>): Promise<PutMessageResult> {
    this.#parts.counters.putTimes++;
    return future;
  }
}
