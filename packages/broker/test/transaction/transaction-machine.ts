// A broker on a simulated disk, with a clock that only the test moves: producers of transactions, and what consumers get.
import assert from 'node:assert/strict';
import {
  createRequest,
  type ExtFields,
  isOneway,
  type RemotingCommand,
  type RemotingConnection,
  RequestCode,
  ResponseCode,
} from '@vernier/remoting';
import type { MessageStore, StoredMessage, StoreLogger } from '@vernier/store';
import { silentLogger } from '@vernier/store';
import { decodeMessage } from '@vernier/store/internal';
import { Machine } from '../../../torture/test/machine.ts';
import { TRANS_CHECK_MAX_TIME_TOPIC, TRANS_HALF_TOPIC, TRANS_OP_HALF_TOPIC } from '../../src/base/names.ts';
import type { TransactionCheck } from '../../src/clients/client.ts';
import { type BrokerConfig, defaultBrokerConfig } from '../../src/config.ts';
import type { BrokerContext } from '../../src/context.ts';
import { createBrokerContext, loadTables } from '../../src/create-context.ts';
import { allProcessors } from '../../src/processors/index.ts';
import { BrokerHosts } from '../../src/registration/hosts.ts';
import { FakeClient } from '../fake-client.ts';
import { property, sendFields } from '../harness.ts';

export const COMMIT = 8;
export const ROLLBACK = 12;
export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const ROUND = 30 * SECOND;

/** A producer that is asked; what it answers is the test's doing. */
export class FakeProducer extends FakeClient {
  readonly checks: TransactionCheck[] = [];
  isBroken = false;

  override checkTransactionState(check: TransactionCheck): boolean {
    if (this.isBroken) return false;
    this.checks.push(check);
    return true;
  }
}

/** Where a half is, as its producer was told. */
export interface Half {
  queueOffset: number;
  logOffset: number;
  answer: RemotingCommand;
}

export interface HalfOptions {
  topic?: string;
  queueId?: number;
  group?: string;
  properties?: string;
  bornTimestamp?: number;
}

export class TransactionMachine {
  machine: Machine;
  store!: MessageStore;
  context!: BrokerContext;
  readonly config: Partial<BrokerConfig>;
  readonly logged: string[] = [];
  /** Told of the store before anything uses it. */
  onStore: (store: MessageStore) => void = () => {};
  #handlers = new Map<number, ReturnType<typeof allProcessors>[number][1]>();

  private constructor(machine: Machine, config: Partial<BrokerConfig>) {
    this.machine = machine;
    this.config = config;
  }

  static async start(
    store: ConstructorParameters<typeof Machine>[0] = {},
    config: Partial<BrokerConfig> = {},
  ): Promise<TransactionMachine> {
    const settings = { mappedFileSizeCommitLog: 1024 * 1024, maxHashSlotNum: 200, maxIndexNum: 2_000, ...store };
    const broker = new TransactionMachine(new Machine(settings), config);
    await broker.open();
    return broker;
  }

  async open(): Promise<void> {
    const { machine } = this;
    const { fileSystem, scheduler } = machine;
    const warn = (_fields: object, message: string): void => {
      this.logged.push(message);
    };
    const logger: StoreLogger = { ...silentLogger, warn, error: warn };
    this.store = await machine.open();
    this.onStore(this.store);
    const hosts = new BrokerHosts({ configuredHost: '127.0.0.1', bindAddress: '', port: 10_911, storePort: 10_911 });
    const config = { ...defaultBrokerConfig, ...this.config };
    const parts = { config, store: this.store, hosts, fileSystem, clock: scheduler, logger, random: () => 0 };
    const context = createBrokerContext({ ...parts, topicsChanged: () => {}, announce: () => Promise.resolve() });
    this.context = context;
    await machine.until(loadTables(context, fileSystem), 'tables');
    this.store.on('arrived', ({ topic, queueId }) => context.follow.messageArrived(topic, queueId));
    this.#handlers = new Map(allProcessors(context));
    context.transactions.start();
    await this.advance(1);
  }

  /** An orderly end. */
  async close(): Promise<void> {
    const { context, store, machine } = this;
    await machine.until(context.transactions.stop(), 'transactions');
    await machine.until(context.follow.stop(), 'followers');
    context.housekeeping.stop();
    await machine.until(context.metadata.close(), 'tables');
    await machine.until(store.shutdown(), 'store');
  }

  async restart(): Promise<void> {
    await this.close();
    await this.goOn();
  }

  /** After close(). */
  async goOn(): Promise<void> {
    await this.#goOnWith(this.machine.kill());
  }

  /** SIGKILL: what was written stays. */
  async kill(): Promise<void> {
    await this.#goOnWith(this.machine.kill());
  }

  async powerCut(seed = 1, survival = 0): Promise<void> {
    this.machine.scheduler.stop();
    await this.#goOnWith(this.machine.powerCut(seed, survival));
  }

  /** The clock goes on. */
  async #goOnWith(machine: Machine): Promise<void> {
    const { scheduler } = machine;
    scheduler.stepWallClock(this.machine.scheduler.now() - scheduler.now());
    this.machine = machine;
    await this.open();
  }

  advance(ms: number): Promise<void> {
    return this.machine.advance(ms);
  }

  /** Begins a request; nothing happens before time moves. */
  request(code: number, fields: ExtFields, body?: Buffer): Promise<RemotingCommand> {
    const request = createRequest(code, fields, body);
    const connection = {
      ...{ remoteAddress: '127.0.0.1:50000', remoteHost: '127.0.0.1', remotePort: 50_000, closed: false },
    } as unknown as RemotingConnection;
    assert.ok(!isOneway(request));
    return Promise.resolve(this.#handlers.get(code)!(request, connection)).then((answer) => answer ?? request);
  }

  invoke(code: number, fields: ExtFields, body?: Buffer): Promise<RemotingCommand> {
    return this.machine.until(this.request(code, fields, body), `request ${code}`);
  }

  /** Sends a half; whatever the broker says of it. */
  send(body: string, options: HalfOptions = {}): Promise<Half> {
    return this.machine.until(this.sendLater(body, options), `half ${body}`);
  }

  /** The same; nothing happens before time moves. */
  async sendLater(body: string, options: HalfOptions = {}): Promise<Half> {
    const { topic = 'Orders', queueId = 0, group = 'producers', properties = '' } = options;
    const all =
      property('TRAN_MSG', 'true') + property('PGROUP', group) + property('UNIQ_KEY', `K${body}`) + properties;
    const born = String(options.bornTimestamp ?? this.machine.scheduler.now());
    const fields = sendFields(topic, queueId, { f: '4', g: born, i: all });
    const answer = await this.request(RequestCode.SEND_MESSAGE_V2, fields, Buffer.from(body));
    const msgId = answer.extFields?.msgId ?? '';
    return {
      queueOffset: Number(answer.extFields?.queueOffset),
      logOffset: Number.parseInt(msgId.slice(-16), 16),
      answer,
    };
  }

  endFields(half: Pick<Half, 'queueOffset' | 'logOffset'>, decision: number, more: ExtFields = {}): ExtFields {
    return {
      producerGroup: 'producers',
      tranStateTableOffset: String(half.queueOffset),
      commitLogOffset: String(half.logOffset),
      commitOrRollback: String(decision),
      fromTransactionCheck: 'false',
      msgId: 'K',
      ...more,
    };
  }

  /** The code that the end is answered with. */
  async end(half: Pick<Half, 'queueOffset' | 'logOffset'>, decision: number, more: ExtFields = {}): Promise<number> {
    const fields = this.endFields(half, decision, more);
    return (await this.invoke(RequestCode.END_TRANSACTION, fields)).code;
  }

  producer(group = 'producers'): FakeProducer {
    const client = new FakeProducer();
    const { scheduler } = this.machine;
    this.context.producers.register(group, {
      client,
      lastUpdateTimestamp: scheduler.now(),
      lastSeen: scheduler.monotonic(),
    });
    return client;
  }

  messages(topic = 'Orders', queueId = 0): Promise<StoredMessage[]> {
    const read = async (): Promise<StoredMessage[]> => {
      const list: StoredMessage[] = [];
      for await (const message of this.store.readQueue(topic, queueId)) list.push(message);
      return list;
    };
    return this.machine.until(read(), 'reading');
  }

  async bodies(topic = 'Orders', queueId = 0): Promise<string[]> {
    return (await this.messages(topic, queueId)).map(({ body }) => body.toString());
  }

  halves = (): Promise<StoredMessage[]> => this.messages(TRANS_HALF_TOPIC);
  givenUp = (): Promise<string[]> => this.bodies(TRANS_CHECK_MAX_TIME_TOPIC);
  /** The numbers that the markers name, in their order. */
  async ended(): Promise<number[]> {
    const bodies = await this.bodies(TRANS_OP_HALF_TOPIC);
    return bodies.flatMap((body) => body.split(',').filter(Boolean).map(Number));
  }

  /** Lets each producer answer every check that it was asked, once. */
  async answer(producer: FakeProducer, decision: number): Promise<void> {
    for (const check of producer.checks.splice(0)) {
      await this.end(check, decision, { fromTransactionCheck: 'true' });
    }
  }
}

export const decoded = (check: TransactionCheck) => decodeMessage(check.record)!;
export const { SUCCESS, SYSTEM_ERROR, MESSAGE_ILLEGAL, NO_PERMISSION, ILLEGAL_OPERATION, SYSTEM_BUSY } = ResponseCode;
export const { SERVICE_NOT_AVAILABLE } = ResponseCode;
