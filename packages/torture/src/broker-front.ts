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
import { BrokerModel } from './broker-model.ts';
import { pullRequest, putResult, sendFields, withUniqKey } from './broker-requests.ts';
import { GROUP, isQueueOf, queueName, watch } from './broker-watch.ts';
import { type Front, type FrontMachine, type FrontOfHistory, Refused } from './front.ts';
import { PopClients } from './pop-clients.ts';
import { type PopHistory, popHistory } from './pop-history.ts';
import { popTopics } from './pop-model.ts';
import type { Random } from './random.ts';
import type { SenderOptions } from './sent.ts';
import { TIMER_PRECISION_MS, TIMER_ROLL_SLOTS, TIMER_SLOTS, TimerModel, TimerSenders, timerTopics } from './timers.ts';
import {
  HALF_TOPIC,
  OP_TOPIC,
  PRODUCER_GROUP,
  TransactionModel,
  TransactionProducers,
  transactionTopics,
} from './transactions.ts';
import { Violation } from './violation.ts';

const TRANSACTION_GROUP = 'CID_RMQ_SYS_TRANS';
const PORT = 10_911;
/** Those that a topic has when its first message makes it; histories send to three of them. */
const QUEUES = 4;
/** What waits longest waits so long after its time: messages that could not be given on are tried again. */
const SETTLED_AFTER_MS = 60_000;
/** Half of it is more than any leap of the clock: what is overdue by more waits in a later slot, where no ack is looked for. */
const POP_TIMER_SLOTS = 131_072;
/** Of which it is said elsewhere what is in them. */
const ownTopics: ReadonlySet<string> = new Set([...transactionTopics, ...timerTopics, ...popTopics]);
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
  /** Consumers that pop, those who send to them, and operators who put them back and delete what they have. */
  pop?: boolean;
  /** Of the lots that the broker draws for consumers that pop. */
  seed?: number;
}

/** Who stands in front of the broker beside the workload, in all lives. */
interface Models {
  readonly transactions: TransactionModel | undefined;
  readonly timers: TimerModel | undefined;
  readonly pops: PopHistory | undefined;
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
  readonly delayedTopic?: string;
  readonly producersMax?: number;
  readonly actors?: number;
  readonly choosesDurability = false;
  readonly hasMetadata = true;
  readonly ownTopics: ReadonlySet<string>;
  readonly #model = new BrokerModel();
  readonly startsAlways: boolean;
  readonly #options: BrokerFrontOptions;
  #models: Models = { transactions: undefined, timers: undefined, pops: undefined };
  #endedCleanly = false;

  constructor(options: BrokerFrontOptions = {}) {
    const { transactions = false, timers = false, pop = false } = options;
    this.#options = options;
    this.startsAlways = timers || pop;
    if (pop) Object.assign(this, { producersMax: 2, actors: 3 });
    // The clock is set, and delays would not be what they are.
    else this.delayedTopic = 'Delayed';
    this.ownTopics = new Set([
      ...(transactions ? transactionTopics : []),
      ...(timers ? timerTopics : []),
      ...(pop ? popTopics : []),
    ]);
  }

  begin(options: SenderOptions): void {
    const { transactions, timers, pop } = this.#options;
    this.#models = {
      transactions: transactions ? new TransactionModel(options) : undefined,
      timers: timers ? new TimerModel(options) : undefined,
      pops: pop ? popHistory(options, this.#options.seed ?? 0) : undefined,
    };
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
    const { pops } = this.#models;
    const ownConfig = { ...config, ...pops?.config, timerWheelEnable: this.startsAlways };
    const context = createBrokerContext({
      ...{
        config: ownConfig,
        store,
        hosts,
        fileSystem,
        clock: scheduler,
        logger,
        timerSlots: pops ? POP_TIMER_SLOTS : TIMER_SLOTS,
      },
      ...(pops === undefined ? {} : { random: () => pops.random.fraction() }),
      topicsChanged: () => {},
      announce: () => Promise.resolve(),
    });
    await loadTables(context, fileSystem);
    this.#checkOffsets(context, isBackup);
    this.#model.groupFound(context.groups.has(GROUP), isBackup);
    pops?.model.startLife(scheduler, store);
    return new BrokerUnderTorture(context, this.#model, machine, this.#models);
  }

  ended(clean: boolean): void {
    this.#endedCleanly = clean;
    const { transactions, timers, pops } = this.#models;
    pops?.model.ended(clean);
    if (!clean) return;
    transactions?.shutDownCleanly();
    timers?.shutDownCleanly();
  }

  /** What a start found is what somebody committed, the last of it when everything was saved. */
  #checkOffsets({ offsets, store }: BrokerContext, isBackup: boolean): void {
    const mayLose = !this.#endedCleanly && store.config.flushDiskType === 'ASYNC_FLUSH';
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
        if (mayLose) this.#model.endsAt(queue, store.getMaxOffsetInQueue(topic, queueId));
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
  readonly #models: Models;
  readonly #producers: TransactionProducers | undefined;
  readonly #pops: PopClients | undefined;
  /** Where there are producers of transactions, senders of timed messages or consumers that pop. */
  readonly transact?: (random: Random) => Promise<void>;
  /** Told when the store begins to delete a topic. */
  readonly #onBegun = new Map<string, () => void>();
  /** Requests whose answers are sent later, by their numbers. */
  readonly #held = new Map<number, (answer: RemotingCommand) => void>();
  #isClosing = false;

  constructor(context: BrokerContext, model: BrokerModel, machine: FrontMachine, models: Models) {
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
      send: (answer: RemotingCommand) => this.#held.get(answer.opaque)?.(answer),
    };
    this.#connection = connection as unknown as RemotingConnection;
    watch(context, { model, pops: models.pops?.model, machine, listeners: this.#onBegun });
    this.#models = models;
    const acts: ((random: Random) => Promise<void>)[] = [];
    const { scheduler, counters, isLookedAt } = machine;
    const request = (code: number, fields: ExtFields, body?: Buffer): Promise<RemotingCommand> =>
      this.#handle(createRequest(code, fields, body));
    const { transactions, timers, pops } = models;
    if (timers !== undefined) {
      const senders = new TimerSenders(timers, scheduler, counters, request);
      acts.push((random) => senders.act(random));
    }
    if (pops !== undefined) {
      const clients = new PopClients({ ...pops, scheduler, counters, request });
      this.#pops = clients;
      acts.push((random) => clients.act(random));
    }
    if (transactions !== undefined) {
      const producers = new TransactionProducers(transactions, scheduler, counters, request);
      this.#producers = producers;
      acts.push((random) => producers.act(random));
      this.#takeChecks(producers);
      context.store.on('arrived', ({ topic, queueId }) => context.follow.messageArrived(topic, queueId));
      if (!isLookedAt) context.transactions.start();
    }
    if (acts.length > 0) this.transact = (random) => (acts.length === 1 ? acts[0]! : random.pick(acts))(random);
  }

  /** The producers are asked what is to become of their halves. */
  #takeChecks(producers: TransactionProducers): void {
    const { scheduler } = this.#machine;
    const asked = (check: TransactionCheck): boolean => producers.asked(check.record, check);
    const client = { isGone: false, signal: new AbortController().signal, checkTransactionState: asked };
    this.#context.producers.register(PRODUCER_GROUP, {
      client: client as unknown as Client,
      lastUpdateTimestamp: scheduler.now(),
      lastSeen: scheduler.monotonic(),
    });
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
      else await this.#reset(random);
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

  /** To the beginning, the end or any message between. Its next pull is told where it goes on. */
  async #reset(random: Random): Promise<void> {
    const { store } = this.#context;
    const topic = random.pick(['A', 'B']);
    const queueId = random.integer(0, 2);
    const [min, max] = [store.getMinOffsetInQueue(topic, queueId), store.getMaxOffsetInQueue(topic, queueId)];
    const offset = random.pick([min, max, random.integer(min, Math.max(min, max))]);
    const fields = { topic, group: GROUP, queueId: String(queueId), timestamp: '-1', isForce: 'true' };
    await this.#demand(RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, { ...fields, offset: String(offset) });
    const name = queueName(topic, queueId);
    this.#model.answered((queue) => queue === name);
    this.#machine.counters.offsetsSetBack++;
    const { code, extFields } = await this.#handle(pullRequest(topic, queueId, 0));
    if (code === ResponseCode.PULL_OFFSET_MOVED && extFields?.nextBeginOffset === String(offset)) return;
    // The topic has fewer queues, or is not there: nobody pulls from them.
    if (code === ResponseCode.INVALID_PARAMETER || code === ResponseCode.TOPIC_NOT_EXIST) {
      this.#context.offsets.takeReset(GROUP, topic, queueId);
      return;
    }
    // Somebody else has reset it, or deleted topic or group meanwhile.
    if (this.#model.current(name) !== offset) return;
    throw new Violation(
      `${name} was reset to ${offset}, and a pull is answered ${code}, ${extFields?.nextBeginOffset}`,
    );
  }

  async #demand(code: number, fields: ExtFields): Promise<void> {
    const response = await this.#handle(createRequest(code, fields)).catch((error: Error) => {
      // A table that could not be written, a store that has failed: the connection would answer so.
      const { code: reason = '' } = error as { code?: string };
      if (reason === 'BROKER_METADATA_WRITE_FAILED' || reason.startsWith('STORE_')) throw new Refused(error.message);
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
    this.#pops?.stop();
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
    const { timers, pops } = this.#models;
    return Math.max(timers?.latest ?? 0, pops?.model.latest ?? 0) + SETTLED_AFTER_MS;
  }

  async settle(): Promise<void> {
    await this.#pops?.settle();
  }

  checkSettled(messages: ReadonlyMap<string, readonly StoredMessage[]>): void {
    const { timers, pops } = this.#models;
    const { counters } = this.#machine;
    timers?.checkEnd(messages, this.#context.store.minPhyOffset);
    counters.timersDelivered = timers?.deliveredTotal ?? 0;
    if (pops === undefined) return;
    pops.model.checkEnd();
    counters.popDelivered = pops.model.deliveredTotal;
    counters.popDeliveredAgain = pops.model.redeliveredTotal;
    counters.popAcks = pops.model.endedTotal;
  }

  async check(messages: ReadonlyMap<string, readonly StoredMessage[]>, killed: boolean): Promise<void> {
    const { offsets, store } = this.#context;
    const { timers, transactions, pops } = this.#models;
    const found = { messages, minPhyOffset: store.minPhyOffset, killed };
    timers?.check(found);
    pops?.model.check(found);
    transactions?.check({
      ...found,
      halvesFrom: Math.max(0, offsets.query(TRANSACTION_GROUP, HALF_TOPIC, 0)),
      markersFrom: Math.max(0, offsets.query(TRANSACTION_GROUP, OP_TOPIC, 0)),
    });
    for (const list of messages.values()) {
      const [first] = list;
      if (first === undefined || ownTopics.has(first.topic)) continue;
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
      const response = await this.#handle(pullRequest(topic, queueId, offset));
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
    const later = new Promise<RemotingCommand>((resolve) => this.#held.set(request.opaque, resolve));
    const response = await this.#handlers.get(request.code)!(received, this.#connection);
    if (response === undefined && request.code !== RequestCode.POP_MESSAGE) {
      throw new Violation(`request ${request.code} has no response`);
    }
    const answer = response ?? (await later);
    this.#held.delete(request.opaque);
    return answer;
  }
}
