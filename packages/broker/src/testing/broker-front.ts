import {
  createRequest,
  type ExtFields,
  encodeBatchBody,
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
  StoreLogger,
} from '@vernier/store';
import { silentLogger } from '@vernier/store';
import { decodeMessage } from '@vernier/store/internal';
import {
  type Front,
  type FrontOfHistory,
  type Scheduler,
  type SimulatedFileSystem,
  Violation,
} from '@vernier/store/testing';
import type { BrokerContext } from '../broker/broker-context.ts';
import { type BrokerConfig, defaultBrokerConfig } from '../broker/config.ts';
import { createBrokerContext, loadTables } from '../broker/create-broker-context.ts';
import { BrokerHosts } from '../broker/hosts.ts';
import { allProcessors } from '../broker/processors/index.ts';

const GROUP = 'torture';
const PULL_NUMS = 32;
const PORT = 10_911;
/** Those that a topic has when its first message makes it; histories send to three of them. */
const QUEUES = 4;
/** As ConsumerOffsetManager.query answers. */
const NONE = -1;
/** A position in the log as message ids have it, behind the host. */
const OFFSET_HEX_CHARS = 16;
const config: BrokerConfig = { ...defaultBrokerConfig, flushConsumerOffsetInterval: 100 };

/**
 * The broker between the clients of a torture history and its store: everything behind the socket. Producers' messages go
 * through the handler of SEND_MESSAGE and are acknowledged by what its response says; consumers commit their offsets;
 * the tables lie on the same simulated disk. After each crash every queue is pulled by the handler of PULL_MESSAGE, no
 * committed offset is one that nobody committed, and after a clean shutdown each is the last one.
 */
export class BrokerFront implements FrontOfHistory {
  readonly topics = ['A', 'B', 'Third_Topic-3'];
  readonly choosesDurability = false;
  readonly hasMetadata = true;
  /** Everything that was ever committed for a queue, by `topic@queueId`, and what counts now. */
  readonly #committed = new Map<string, Set<number>>();
  readonly #current = new Map<string, number>();
  #endedCleanly = false;

  async open(
    store: MessageStore,
    machine: { fileSystem: SimulatedFileSystem; scheduler: Scheduler },
  ): Promise<BrokerUnderTorture> {
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
    const context = createBrokerContext({
      ...{ config, store, hosts, fileSystem, clock: scheduler, logger },
      topicsChanged: () => {},
      announce: () => Promise.resolve(),
    });
    await loadTables(context, fileSystem);
    this.#checkOffsets(context, this.#endedCleanly && !isBackup);
    return new BrokerUnderTorture(context, (queue, offset) => {
      const offsets = this.#committed.get(queue) ?? new Set();
      this.#committed.set(queue, offsets.add(offset));
      this.#current.set(queue, offset);
    });
  }

  ended(clean: boolean): void {
    this.#endedCleanly = clean;
  }

  /** What a start found is what somebody committed, the last of it when everything was saved. */
  #checkOffsets({ offsets }: BrokerContext, isSaved: boolean): void {
    for (const topic of this.topics) {
      for (let queueId = 0; queueId < QUEUES; queueId++) {
        const queue = `${topic}@${queueId}`;
        const found = offsets.query(GROUP, topic, queueId);
        const current = this.#current.get(queue) ?? NONE;
        if (isSaved && found !== current) {
          throw new Violation(
            `${queue}: offset ${current} was committed before a clean shutdown, the table has ${found}`,
          );
        }
        if (found !== NONE && !this.#committed.get(queue)?.has(found)) {
          throw new Violation(`${queue}: nobody committed the offset ${found} that the table has`);
        }
        this.#current.set(queue, found);
      }
    }
  }
}

class BrokerUnderTorture implements Front {
  readonly #context: BrokerContext;
  readonly #handlers: ReadonlyMap<number, RequestHandler>;
  readonly #connection: RemotingConnection;
  readonly #onCommit: (queue: string, offset: number) => void;
  #isClosing = false;

  constructor(context: BrokerContext, onCommit: (queue: string, offset: number) => void) {
    this.#context = context;
    this.#handlers = new Map(allProcessors(context));
    // The handlers ask a connection for no more than this.
    const connection = { remoteAddress: '127.0.0.1:50000', remoteHost: '127.0.0.1', remotePort: 50_000, closed: false };
    this.#connection = connection as unknown as RemotingConnection;
    this.#onCommit = onCommit;
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
    this.#onCommit(`${topic}@${queueId}`, offset);
    this.#context.offsets.commit(GROUP, topic, queueId, offset);
  }

  async close(): Promise<void> {
    const { holds, housekeeping, metadata } = this.#context;
    this.#isClosing = true;
    holds.stop();
    housekeeping.stop();
    await metadata.close();
  }

  async check(messages: ReadonlyMap<string, readonly MessageExt[]>): Promise<void> {
    for (const list of messages.values()) {
      const [first] = list;
      if (first === undefined) continue;
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
    const response = await this.#handlers.get(request.code)!(request, this.#connection);
    if (response === undefined) throw new Violation(`request ${request.code} has no response`);
    return response;
  }
}

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
