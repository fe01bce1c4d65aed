import {
  allProcessors,
  type BrokerConfig,
  type BrokerContext,
  BrokerHosts,
  type Client,
  createBrokerContext,
  defaultBrokerConfig,
  loadTables,
  startServices,
  type TransactionCheck,
} from '@vernier/broker/internal';
import {
  createRequest,
  decodeFrame,
  type ExtFields,
  encodeBatchBody,
  encodeFrame,
  HeaderReader,
  PullSysFlag,
  type RemotingCommand,
  type RemotingConnection,
  RequestCode,
  type RequestHandler,
  ResponseCode,
} from '@vernier/remoting';
import type {
  MessageExt,
  MessageExtBatch,
  MessageExtBrokerInner,
  MessageStore,
  PutMessageResult,
  StoredMessage,
  StoreLogger,
} from '@vernier/store';
import { silentLogger } from '@vernier/store';
import { decodeMessage, SCHEDULE_TOPIC } from '@vernier/store/internal';
import { BrokerModel, NONE } from './broker-model.ts';
import { type Front, type FrontMachine, type FrontOfHistory, Refused } from './front.ts';
import type { Random } from './random.ts';
import { TIMER_PRECISION_MS, TIMER_ROLL_SLOTS, TIMER_SLOTS, TimerModel, TimerSenders, timerTopics } from './timers.ts';
import {
  HALF_TOPIC,
  OP_TOPIC,
  PRODUCER_GROUP,
  TransactionModel,
  type TransactionModelOptions,
  TransactionProducers,
  transactionTopics,
} from './transactions.ts';
import { Violation } from './violation.ts';

const GROUP = 'torture';
const TRANSACTION_GROUP = 'CID_RMQ_SYS_TRANS';
const PULL_NUMS = 32;
const PORT = 10_911;
/** Those that a topic has when its first message makes it; histories send to three of them. */
const QUEUES = 4;
/** A position in the log as message ids have it, behind the host. */
const OFFSET_HEX_CHARS = 16;
const config: BrokerConfig = {
  ...{ ...defaultBrokerConfig, flushConsumerOffsetInterval: 100, flushDelayOffsetInterval: 300 },
  // A history lasts some seconds; nothing is given up in it.
  ...{
    transactionTimeOut: 50,
    transactionCheckInterval: 150,
    transactionOpBatchInterval: 400,
    transactionCheckMax: 1_000,
  },
  ...{ timerPrecisionMs: TIMER_PRECISION_MS, timerRollWindowSlot: TIMER_ROLL_SLOTS, timerFlushIntervalMs: 100 },
  ...{ mappedFileSizeTimerLog: 4_096, recallMessageEnable: true },
};

export interface BrokerFrontOptions {
  /** Producers of transactions beside the others. */
  transactions?: boolean;
  /** Senders of timed messages, too. */
  timers?: boolean;
}

/**
 * The broker between the clients of a torture history and its store: everything behind the socket. Producers' messages go
 * through the handler of SEND_MESSAGE and are acknowledged by what its response says; consumers commit their offsets;
 * operators delete topics and groups, and set the group back; the tables lie on the same simulated disk. After each crash
 * every queue is pulled by the handler of PULL_MESSAGE, no committed offset is one that nobody committed or that was taken
 * back, and after a clean shutdown each is the last one. Delay levels deliver in the lives in which clients are at work.
 */
export class BrokerFront implements FrontOfHistory {
  readonly topics = ['A', 'B', 'Third_Topic-3'];
  readonly delayedTopic = 'Delayed';
  readonly choosesDurability = false;
  readonly hasMetadata = true;
  readonly ownTopics: ReadonlySet<string>;
  readonly #model = new BrokerModel();
  readonly startsAlways: boolean;
  readonly #hasTransactions: boolean;
  #timers: TimerModel | undefined;
  #transactions: TransactionModel | undefined;
  #endedCleanly = false;

  constructor({ transactions = false, timers = false }: BrokerFrontOptions = {}) {
    this.#hasTransactions = transactions;
    this.startsAlways = timers;
    this.ownTopics = new Set([...(transactions ? transactionTopics : []), ...(timers ? timerTopics : [])]);
  }

  begin(options: TransactionModelOptions): void {
    if (this.#hasTransactions) this.#transactions = new TransactionModel(options);
    if (this.startsAlways) this.#timers = new TimerModel(options);
  }

  async open(store: MessageStore, machine: FrontMachine): Promise<BrokerUnderTorture> {
    const { fileSystem, scheduler } = machine;
    const hosts = new BrokerHosts({
      ...{ configuredHost: '127.0.0.1', bindAddress: '127.0.0.1' },
      ...{ port: PORT, storePort: PORT },
    });
    let isBackup = false;
    const logger: StoreLogger = {
      ...silentLogger,
      // A table that cannot be read is said to be replaced by the one before it.
      error: (_fields, message) => {
        if (message.includes('its previous copy is used')) isBackup = true;
      },
    };
    // Without timed messages nobody follows their topic, and a seed means what it meant before there were any.
    const ownConfig = { ...config, timerWheelEnable: this.startsAlways };
    const context = createBrokerContext({
      ...{ config: ownConfig, store, hosts, fileSystem, clock: scheduler, logger, timerSlots: TIMER_SLOTS },
      topicsChanged: () => {},
      announce: () => Promise.resolve(),
    });
    await loadTables(context, fileSystem);
    this.#checkOffsets(context, isBackup);
    this.#model.groupFound(context.groups.has(GROUP), isBackup);
    return new BrokerUnderTorture(context, this.#model, machine, this.#transactions, this.#timers);
  }

  ended(clean: boolean): void {
    this.#endedCleanly = clean;
    if (!clean) return;
    this.#transactions?.shutDownCleanly();
    this.#timers?.shutDownCleanly();
  }

  /** What a start found is what somebody committed, the last of it when everything was saved. */
  #checkOffsets({ offsets }: BrokerContext, isBackup: boolean): void {
    for (const topic of this.topics) {
      for (let queueId = 0; queueId < QUEUES; queueId++) {
        const queue = `${topic}@${queueId}`;
        const found = offsets.query(GROUP, topic, queueId);
        const current = this.#model.current(queue);
        if (this.#endedCleanly && !isBackup && found !== current) {
          throw new Violation(
            `${queue}: offset ${current} was committed before a clean shutdown, the table has ${found}`,
          );
        }
        this.#model.found(queue, found, isBackup);
      }
    }
  }
}

class BrokerUnderTorture implements Front {
  readonly #context: BrokerContext;
  readonly #handlers: ReadonlyMap<number, RequestHandler>;
  readonly #reader = new HeaderReader();
  readonly #connection: RemotingConnection;
  readonly #model: BrokerModel;
  readonly #machine: FrontMachine;
  readonly #transactions: TransactionModel | undefined;
  readonly #producers: TransactionProducers | undefined;
  readonly #timers: TimerModel | undefined;
  /** Only where there are producers of transactions or senders of timed messages. */
  readonly transact?: (random: Random) => Promise<void>;
  /** Told when the store begins to delete a topic. */
  readonly #onBegun = new Map<string, () => void>();
  #isClosing = false;

  constructor(
    context: BrokerContext,
    model: BrokerModel,
    machine: FrontMachine,
    transactions: TransactionModel | undefined,
    timers: TimerModel | undefined,
  ) {
    this.#context = context;
    this.#model = model;
    this.#machine = machine;
    this.#handlers = new Map(allProcessors(context));
    // The handlers ask a connection for no more than this.
    const connection = {
      ...{ remoteAddress: '127.0.0.1:50000', remoteHost: '127.0.0.1', remotePort: 50_000, closed: false },
      // It reads whatever it is sent.
      reserve: () => undefined,
      unreserve: () => {},
    };
    this.#connection = connection as unknown as RemotingConnection;
    this.#watch(context);
    this.#transactions = transactions;
    this.#timers = timers;
    const { scheduler, counters, isLookedAt } = machine;
    const request = (code: number, fields: ExtFields, body?: Buffer): Promise<RemotingCommand> =>
      this.#handle(createRequest(code, fields, body));
    if (timers !== undefined) {
      const senders = new TimerSenders(timers, scheduler, counters, request);
      this.transact = (random) => senders.act(random);
    }
    if (transactions === undefined) return;
    const producers = new TransactionProducers(transactions, scheduler, counters, request);
    this.#producers = producers;
    const sends = this.transact;
    this.transact = (random) => (sends !== undefined && random.chance(0.5) ? sends(random) : producers.act(random));
    const asked = (check: TransactionCheck): boolean => producers.asked(check.record, check);
    const client = { isGone: false, signal: new AbortController().signal, checkTransactionState: asked };
    context.producers.register(PRODUCER_GROUP, {
      client: client as unknown as Client,
      lastUpdateTimestamp: scheduler.now(),
      lastSeen: scheduler.monotonic(),
    });
    context.store.on('arrived', ({ topic, queueId }) => context.follow.messageArrived(topic, queueId));
    if (!isLookedAt) context.transactions.start();
  }

  /** In which turn of the event loop something is committed or taken back decides what a crash may leave. */
  #watch({ store, offsets, groups }: BrokerContext): void {
    const model = this.#model;
    const { deleteTopic } = store;
    store.deleteTopic = (topic, more) => {
      this.#onBegun.get(topic)?.();
      return deleteTopic.call(store, topic, more);
    };
    const { commit, removeTopic, removeGroup, assignResets } = offsets;
    offsets.commit = (group, topic, queueId, offset) => {
      const isKept = commit.call(offsets, group, topic, queueId, offset);
      if (isKept) model.committed(queueName(topic, queueId), offset);
      return isKept;
    };
    offsets.removeTopic = (topic) => {
      removeTopic.call(offsets, topic);
      model.takenBack((queue) => isQueueOf(queue, topic), NONE);
    };
    offsets.removeGroup = (group) => {
      removeGroup.call(offsets, group);
      model.takenBack(() => true, NONE);
    };
    offsets.assignResets = (group, topic, targets) => {
      for (const [queueId, offset] of targets) {
        const name = queueName(topic, queueId);
        model.takenBack((queue) => queue === name, offset);
      }
      return assignResets.call(offsets, group, topic, targets);
    };
    const { update, delete: remove } = groups;
    groups.update = (group) => {
      model.groupUsed();
      update.call(groups, group);
    };
    groups.delete = (group) => {
      model.groupRemoved();
      return remove.call(groups, group);
    };
  }

  start(): void {
    startServices(this.#context);
  }

  delayOffsets(): Map<number, number> {
    const rows = Object.entries(this.#context.delay.runtimeInfo());
    return new Map(rows.map(([key, row]) => [Number(key.split('_')[1]), Number(row.split(',')[0])]));
  }

  failedDeliveries(): Map<number, number> {
    const failures = new Map<number, number>();
    for (const { topic, queueId, failuresTotal } of this.#context.follow.followers()) {
      if (topic === SCHEDULE_TOPIC) failures.set(queueId + 1, failuresTotal);
    }
    return failures;
  }

  async deleteTopic(topic: string, onBegun: () => void): Promise<void> {
    this.#onBegun.set(topic, onBegun);
    try {
      await this.#demand(RequestCode.DELETE_TOPIC_IN_BROKER, { topic });
    } finally {
      this.#onBegun.delete(topic);
    }
    this.#model.answered((queue) => isQueueOf(queue, topic));
  }

  async operate(random: Random): Promise<void> {
    try {
      if (random.chance(0.5)) await this.#deleteGroup();
      else await this.#setBack(random.pick(['A', 'B']), random.integer(0, 2));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
  }

  /** With its offsets. A consumer that commits makes it again. */
  async #deleteGroup(): Promise<void> {
    await this.#demand(RequestCode.DELETE_SUBSCRIPTIONGROUP, { groupName: GROUP, cleanOffset: 'true' });
    this.#model.answered(() => true);
    this.#model.groupDeletionAnswered();
    this.#machine.counters.groupsDeleted++;
  }

  /** To the beginning of what there is. */
  async #setBack(topic: string, queueId: number): Promise<void> {
    const offset = String(this.#context.store.getMinOffsetInQueue(topic, queueId));
    const fields = { topic, group: GROUP, queueId: String(queueId), offset, timestamp: '-1', isForce: 'true' };
    await this.#demand(RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, fields);
    const name = queueName(topic, queueId);
    this.#model.answered((queue) => queue === name);
    // The group's next pull learns of it.
    this.#context.offsets.takeReset(GROUP, topic, queueId);
    this.#machine.counters.offsetsSetBack++;
  }

  async #demand(code: number, fields: ExtFields): Promise<void> {
    const response = await this.#handle(createRequest(code, fields)).catch((error: Error) => {
      // A table that could not be written: the connection would answer so.
      if ((error as { code?: string }).code === 'BROKER_METADATA_WRITE_FAILED') throw new Refused(error.message);
      throw error;
    });
    if (response.code !== ResponseCode.SUCCESS) throw new Refused(`${response.code}: ${response.remark}`);
  }

  async put(message: MessageExtBrokerInner): Promise<PutMessageResult> {
    const fields = { ...sendFields(message), h: String(message.flag), i: withUniqKey(message) };
    const body = Buffer.from(message.body);
    return putResult(await this.#handle(createRequest(RequestCode.SEND_MESSAGE_V2, fields, body)), 1);
  }

  async putBatch(batch: MessageExtBatch): Promise<PutMessageResult> {
    const messages = batch.messages.map((message) => ({ ...message, body: Buffer.from(message.body) }));
    const fields = { ...sendFields(batch), h: '0', i: '', m: 'true' };
    const request = createRequest(RequestCode.SEND_BATCH_MESSAGE, fields, encodeBatchBody(messages));
    return putResult(await this.#handle(request), messages.length);
  }

  consumed(topic: string, queueId: number, offset: number): void {
    // A broker that shuts down has let go of its connections.
    if (this.#isClosing) return;
    const fields = { consumerGroup: GROUP, topic, queueId: String(queueId), commitOffset: String(offset) };
    const commit = async (): Promise<void> => {
      const { code } = await this.#handle(createRequest(RequestCode.UPDATE_CONSUMER_OFFSET, fields));
      // Its next pull makes the group.
      if (code === ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST && !this.#isClosing) this.#context.groups.find(GROUP);
    };
    void commit();
  }

  async close(): Promise<void> {
    const { holds, housekeeping, metadata, transactions, follow, timer, pop } = this.#context;
    this.#isClosing = true;
    this.#producers?.stop();
    holds.stop();
    pop.stopPolling();
    await transactions.stop();
    await pop.stop();
    await timer.stop();
    await follow.stop();
    await timer.close();
    housekeeping.stop();
    await metadata.close();
  }

  get settledAt(): number {
    return (this.#timers?.latest ?? 0) + 1_000;
  }

  checkSettled(messages: ReadonlyMap<string, readonly StoredMessage[]>): void {
    this.#timers?.checkEnd(messages, this.#context.store.minPhyOffset);
    this.#machine.counters.timersDelivered = this.#timers?.deliveredTotal ?? 0;
  }

  async check(messages: ReadonlyMap<string, readonly StoredMessage[]>, killed: boolean): Promise<void> {
    const { offsets, store } = this.#context;
    this.#timers?.check({ messages, minPhyOffset: store.minPhyOffset, killed });
    this.#transactions?.check({
      messages,
      halvesFrom: Math.max(0, offsets.query(TRANSACTION_GROUP, HALF_TOPIC, 0)),
      markersFrom: Math.max(0, offsets.query(TRANSACTION_GROUP, OP_TOPIC, 0)),
      minPhyOffset: store.minPhyOffset,
      killed,
    });
    for (const list of messages.values()) {
      const [first] = list;
      if (first === undefined || transactionTopics.has(first.topic) || timerTopics.has(first.topic)) continue;
      const { topic, queueId } = first;
      const pulled = await this.#pullAll(topic, queueId, first.queueOffset, first.queueOffset + list.length);
      for (const [i, message] of list.entries()) {
        const found = pulled[i];
        if (found?.queueOffset !== message.queueOffset || !found.body.equals(message.body)) {
          throw new Violation(`a pull does not give message ${message.queueOffset} of ${topic}-${queueId}`);
        }
      }
    }
  }

  async #pullAll(topic: string, queueId: number, from: number, end: number): Promise<MessageExt[]> {
    const pulled: MessageExt[] = [];
    for (let offset = from; offset < end; ) {
      const fields = {
        ...{ consumerGroup: GROUP, topic, subscription: '*', expressionType: 'TAG', subVersion: '0' },
        ...{ queueId: String(queueId), queueOffset: String(offset), maxMsgNums: String(PULL_NUMS) },
        ...{ sysFlag: String(PullSysFlag.SUBSCRIPTION), commitOffset: '0', suspendTimeoutMillis: '0' },
      };
      const response = await this.#handle(createRequest(RequestCode.PULL_MESSAGE, fields));
      if (response.code !== ResponseCode.SUCCESS) {
        throw new Violation(`the pull of ${topic}-${queueId} at ${offset} of ${end} is refused: ${response.remark}`);
      }
      for (const body = response.body!, at = { value: 0 }; at.value < body.length; ) {
        const message = decodeMessage(body, at.value);
        if (message === undefined) throw new Violation(`a pull of ${topic}-${queueId} gives no record at ${at.value}`);
        pulled.push(message);
        at.value += message.storeSize;
      }
      response.release?.();
      offset = Number(response.extFields!.nextBeginOffset);
    }
    return pulled;
  }

  async #handle(request: RemotingCommand): Promise<RemotingCommand> {
    // As over a socket: through the frame's bytes, so that the readers of bytes are part of every history.
    const frame = encodeFrame(request);
    const received = decodeFrame(frame, 4, frame.length, this.#reader);
    const response = await this.#handlers.get(request.code)!(received, this.#connection);
    if (response === undefined) throw new Violation(`request ${request.code} has no response`);
    return response;
  }
}

const queueName = (topic: string, queueId: number): string => `${topic}@${queueId}`;
const isQueueOf = (queue: string, topic: string): boolean => queue.startsWith(`${topic}@`);

/** SEND_MESSAGE_V2's short names. */
function sendFields(message: Omit<MessageExtBrokerInner, 'flag' | 'body' | 'propertiesString'>): ExtFields {
  return {
    a: 'producers',
    b: message.topic,
    c: 'TBW102',
    d: '4',
    e: String(message.queueId),
    f: String(message.sysFlag),
    g: String(message.bornTimestamp),
    j: '0',
    k: 'false',
    m: 'false',
  };
}

/** The broker would draw one, and the history would not be the same the next time. */
function withUniqKey({ propertiesString, body }: MessageExtBrokerInner): string {
  const id = Buffer.from(body).readUInt32BE(0).toString(16).toUpperCase().padStart(32, '0');
  return `${propertiesString}UNIQ_KEY\u0001${id}\u0002`;
}

/** What a producer learns. The first four codes mean stored, and the id says where. */
function putResult(response: RemotingCommand, messageCount: number): PutMessageResult {
  const { code, extFields, remark } = response;
  const status =
    code === ResponseCode.SUCCESS
      ? 'PUT_OK'
      : code === ResponseCode.FLUSH_DISK_TIMEOUT
        ? 'FLUSH_DISK_TIMEOUT'
        : undefined;
  const base = { wroteBytes: 0, storeTimestamp: 0, messageCount };
  if (status === undefined) {
    return { ...base, status: 'UNKNOWN_ERROR', wroteOffset: -1, queueOffset: -1, reason: remark ?? String(code) };
  }
  const batchOffsets = extFields!.msgId!.split(',').map((id) => Number.parseInt(id.slice(-OFFSET_HEX_CHARS), 16));
  const result: PutMessageResult = {
    ...base,
    status,
    wroteOffset: batchOffsets[0]!,
    queueOffset: Number(extFields!.queueOffset),
  };
  if (messageCount > 1) result.batchOffsets = batchOffsets;
  return result;
}
