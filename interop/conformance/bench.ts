/** One broker with what a conformance case asks of it: the wire, read by our own hands, and clients of others. */
import type { BrokerPeer } from '../peers/broker-peer.ts';
import { askUntil } from '../peers/child.ts';
import {
  type ClientPeer,
  startJavaClient,
  startJavaGrpcClient,
  startMqAdmin,
  startNodeProgram,
} from '../peers/client-peer.ts';
import { startGoClient } from '../peers/go.ts';
import { RawGrpc } from '../peers/grpc-raw.ts';
import { type DumpedMessage, readRecord } from '../peers/record.ts';
import { type Answer, hasRoute } from '../peers/remoting-ask.ts';
import { RemotingSession } from '../peers/remoting-session.ts';

export type Values = Record<string, string | number | boolean>;

export interface Sent {
  body?: string | Uint8Array;
  properties?: Record<string, string>;
  queueId?: number;
  sysFlag?: number;
  group?: string;
  reconsumeTimes?: number;
  maxReconsumeTimes?: number;
}

/** A message as the wire gave it. */
export interface Stored extends DumpedMessage {
  body: Buffer;
}

export interface Popped {
  code: number;
  remark: string;
  messages: Stored[];
  /** Handle of each message, as a client builds it from the answer or finds it in the message. */
  handles: string[];
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export const encodeProperties = (properties: Record<string, string>): string =>
  Object.entries(properties)
    .map(([name, value]) => `${name}\u0001${value}\u0002`)
    .join('');

export class Bench {
  readonly broker: BrokerPeer;
  #session: Promise<RemotingSession> | undefined;
  readonly #grpc: RawGrpc[] = [];
  readonly #clients: Map<string, ClientPeer>;
  readonly #id: { last: number };

  constructor(broker: BrokerPeer, clients = new Map<string, ClientPeer>(), id = { last: 0 }) {
    this.broker = broker;
    this.#clients = clients;
    this.#id = id;
  }

  /** The same broker and clients with a connection of its own: what ends that touches no other case. */
  async apart<T>(work: (bench: Bench) => Promise<T>): Promise<T> {
    const bench = new Bench(this.broker, this.#clients, this.#id);
    try {
      return await work(bench);
    } finally {
      (await bench.#session?.catch(() => undefined))?.close();
      for (const client of bench.#grpc) client.close();
    }
  }

  /** A client of the gRPC protocol of the case's own, by the stubs alone. */
  grpc(clientId: string, version?: string): RawGrpc {
    const client = new RawGrpc(this.broker.proxyAddr, clientId, version);
    this.#grpc.push(client);
    return client;
  }

  get namesrv(): string {
    return this.broker.namesrvAddr;
  }

  async #wire(): Promise<RemotingSession> {
    // One that is being opened is shared by all who ask meanwhile.
    if (this.#session === undefined || (await this.#session).closed) {
      this.#session = RemotingSession.open(this.broker.brokerAddr);
    }
    return this.#session;
  }

  /** A connection of the case's own. */
  session(): Promise<RemotingSession> {
    return RemotingSession.open(this.broker.brokerAddr);
  }

  async ask(code: number, extFields: Values = {}, body: string | Uint8Array = ''): Promise<Answer> {
    const fields = Object.fromEntries(Object.entries(extFields).map(([name, value]) => [name, String(value)]));
    return (await this.#wire()).ask(code, fields, Buffer.from(body));
  }

  /** The clients are processes, one of each kind, started when the first case needs it. */
  client(kind: 'Java' | 'Go' | 'Node' | 'mqadmin' | 'Java gRPC' | 'Node gRPC'): ClientPeer {
    let client = this.#clients.get(kind);
    if (client === undefined) {
      client = {
        Java: () => startJavaClient('5.5.0'),
        Go: startGoClient,
        Node: () => startNodeProgram('ali-ons'),
        mqadmin: startMqAdmin,
        'Java gRPC': startJavaGrpcClient,
        'Node gRPC': () => startNodeProgram('grpc'),
      }[kind]();
      this.#clients.set(kind, client);
    }
    return client;
  }

  java<T>(command: string, values: Values): Promise<T> {
    return this.client('Java').call<T>(command, { namesrv: this.namesrv, ...values });
  }

  /** A name for a client or an instance. */
  unique(prefix: string): string {
    this.#id.last += 1;
    return `${prefix}_${this.#id.last}`;
  }

  async stop(): Promise<void> {
    (await this.#session)?.close();
    for (const client of this.#clients.values()) await client.stop();
    this.#clients.clear();
  }

  async topic(topic: string, queues = 1, more: Values = {}): Promise<string> {
    const answer = await this.ask(17, {
      topic,
      defaultTopic: 'TBW102',
      readQueueNums: queues,
      writeQueueNums: queues,
      perm: 6,
      topicFilterType: 'SINGLE_TAG',
      topicSysFlag: 0,
      order: false,
      ...more,
    });
    if (answer.code !== 0) throw new Error(`creating topic ${topic}: code ${answer.code} ${answer.remark ?? ''}`);
    return topic;
  }

  /** A topic whose route clients find. */
  async routed(topic: string, queues = 1, more: Values = {}): Promise<string> {
    await this.topic(topic, queues, more);
    await this.until(`route of ${topic}`, async () => ((await hasRoute(this.namesrv, topic)) ? true : undefined));
    return topic;
  }

  async group(groupName: string, more: Record<string, unknown> = {}): Promise<string> {
    const config = { groupName, consumeEnable: true, retryQueueNums: 1, retryMaxTimes: 16, ...more };
    const answer = await this.ask(200, {}, JSON.stringify(config));
    if (answer.code !== 0) throw new Error(`creating group ${groupName}: code ${answer.code} ${answer.remark ?? ''}`);
    return groupName;
  }

  until<T>(what: string, ask: () => Promise<T | undefined>, timeoutMs = 90_000): Promise<T> {
    return askUntil(what, timeoutMs, undefined, ask);
  }

  /** SEND_MESSAGE_V2. */
  send(topic: string, sent: Sent = {}): Promise<Answer> {
    const { body = 'body', properties = {}, queueId = 0, sysFlag = 0, group = 'conformance_producers' } = sent;
    return this.ask(
      310,
      {
        a: group,
        b: topic,
        c: 'TBW102',
        d: 4,
        e: queueId,
        f: sysFlag,
        g: Date.now(),
        h: 0,
        i: encodeProperties(properties),
        j: sent.reconsumeTimes ?? 0,
        k: false,
        m: false,
        ...(sent.maxReconsumeTimes === undefined ? {} : { l: sent.maxReconsumeTimes }),
      },
      body,
    );
  }

  /** Sends and fails when it was not stored. */
  async put(topic: string, sent: Sent = {}): Promise<Answer> {
    const answer = await this.send(topic, sent);
    if (answer.code !== 0) throw new Error(`send to ${topic}: code ${answer.code} ${answer.remark ?? ''}`);
    return answer;
  }

  /** PULL_MESSAGE with the subscription in the request. */
  pull(topic: string, offset: number, values: Values = {}): Promise<Answer> {
    return this.ask(11, {
      consumerGroup: 'conformance_readers',
      topic,
      queueId: 0,
      queueOffset: offset,
      maxMsgNums: 32,
      sysFlag: 4,
      commitOffset: 0,
      suspendTimeoutMillis: 0,
      subscription: '*',
      subVersion: 0,
      expressionType: 'TAG',
      ...values,
    });
  }

  decode(body: Buffer): Stored[] {
    const records: Stored[] = [];
    for (let at = 0; at < body.length; ) {
      const bytes = body.subarray(at, at + body.readInt32BE(at));
      const record = readRecord(bytes);
      const bodyAt = bytes.length - bodyTail(bytes, record.bodyLength);
      records.push({ ...record, body: bytes.subarray(bodyAt, bodyAt + record.bodyLength) });
      at += bytes.length;
    }
    return records;
  }

  /** Everything that matches in one queue. */
  async records(topic: string, values: Values = {}): Promise<Stored[]> {
    const all: Stored[] = [];
    for (let offset = 0; ; ) {
      const answer = await this.pull(topic, offset, values);
      if (answer.code === 0) all.push(...this.decode(answer.body));
      else if (answer.code === 17) return [];
      else if (answer.code !== 20 && answer.code !== 21) return all;
      const next = Number(answer.extFields.nextBeginOffset);
      if (next <= offset) return all;
      offset = next;
    }
  }

  /** Waits until so many records are in the queue. */
  recordsUntil(topic: string, count: number, timeoutMs = 90_000): Promise<Stored[]> {
    const ask = async () => {
      const records = await this.records(topic);
      return records.length >= count ? records : undefined;
    };
    return this.until(`${count} records in ${topic}`, ask, timeoutMs);
  }

  /** CONSUMER_SEND_MSG_BACK. */
  sendBack(group: string, record: Stored, values: Values = {}): Promise<Answer> {
    return this.ask(36, {
      group,
      offset: record.commitLogOffset,
      delayLevel: 0,
      originMsgId: record.properties.UNIQ_KEY ?? '',
      originTopic: record.topic,
      unitMode: false,
      ...values,
    });
  }

  async maxOffset(topic: string, queueId = 0): Promise<number> {
    return Number((await this.ask(30, { topic, queueId })).extFields.offset);
  }

  /** Its committed offset, or the code when there is none. */
  async committed(consumerGroup: string, topic: string, queueId = 0): Promise<string> {
    const answer = await this.ask(14, { consumerGroup, topic, queueId, setZeroIfNotFound: false });
    return answer.code === 0 ? answer.extFields.offset! : `code ${answer.code}`;
  }

  /** Of a group that is there: brokers take no offsets of others. */
  async commit(consumerGroup: string, topic: string, commitOffset: number, queueId = 0): Promise<void> {
    const answer = await this.ask(15, { consumerGroup, topic, queueId, commitOffset });
    if (answer.code !== 0) throw new Error(`commit of ${consumerGroup}: code ${answer.code} ${answer.remark ?? ''}`);
  }

  /** HEART_BEAT of a consumer and, with `producerGroup`, a producer, over a connection. */
  async heartbeat(session: RemotingSession, clientID: string, groups: { producer?: string; consumer?: object }) {
    const body = {
      clientID,
      producerDataSet: groups.producer === undefined ? [] : [{ groupName: groups.producer }],
      consumerDataSet: groups.consumer === undefined ? [] : [groups.consumer],
    };
    const answer = await session.ask(34, {}, Buffer.from(JSON.stringify(body)));
    if (answer.code !== 0) throw new Error(`heartbeat: code ${answer.code} ${answer.remark ?? ''}`);
  }

  async pop(topic: string, group: string, values: Values = {}): Promise<Popped> {
    const answer = await this.ask(200050, {
      consumerGroup: group,
      topic,
      queueId: -1,
      maxMsgNums: 32,
      invisibleTime: 10_000,
      pollTime: 0,
      bornTime: Date.now(),
      initMode: 0,
      expType: 'TAG',
      exp: '*',
      order: false,
      ...values,
    });
    const messages = answer.code === 0 ? this.decode(answer.body) : [];
    return {
      code: answer.code,
      remark: answer.remark ?? '',
      messages,
      handles: messages.map((message) => message.properties.POP_CK ?? handleOf(answer, message)),
    };
  }

  /** ACK_MESSAGE of one popped message. */
  ack(group: string, message: Stored, handle: string, values: Values = {}): Promise<Answer> {
    return this.ask(200051, { ...placeOf(group, message.topic, handle), ...values });
  }

  /** CHANGE_MESSAGE_INVISIBLETIME. */
  change(group: string, message: Stored, handle: string, invisibleTime: number, values: Values = {}): Promise<Answer> {
    return this.ask(200053, { ...placeOf(group, message.topic, handle), invisibleTime, ...values });
  }
}

/** Where the message of a handle lies: in its topic, or in the group's topic of retries. */
function placeOf(consumerGroup: string, topic: string, handle: string): Values {
  const parts = handle.split(' ');
  return {
    consumerGroup,
    topic: parts[4] === '1' ? `%RETRY%${consumerGroup}_${topic}` : topic,
    queueId: parts[6]!,
    extraInfo: handle,
    offset: parts[7]!,
  };
}

/** The handle that a change of the invisible time answers with. */
export function changedHandle(answer: Answer, handle: string): string {
  const parts = handle.split(' ');
  const { popTime, invisibleTime, reviveQid } = answer.extFields;
  return [parts[7], popTime, invisibleTime, reviveQid, ...parts.slice(4)].join(' ');
}

/** Bytes of a record from its body on. */
function bodyTail(record: Buffer, bodyLength: number): number {
  const sysFlag = record.readInt32BE(36);
  const hosts = ((sysFlag & 0x10) === 0 ? 8 : 20) + ((sysFlag & 0x20) === 0 ? 8 : 20);
  const bodyAt = 40 + 8 + 8 + hosts + 4 + 8 + 4;
  if (record.readInt32BE(bodyAt - 4) !== bodyLength) throw new Error('a body is not where it should be');
  return record.length - bodyAt;
}

/** The handle that a client makes of POP's answer (RocketMQ ExtraInfoUtil): of a message that has none of its own. */
function handleOf(answer: Answer, message: Stored): string {
  const { popTime, invisibleTime, reviveQid, startOffsetInfo = '' } = answer.extFields;
  const { queueId, queueOffset } = message;
  // `0 <queue> <offset>` for each queue, separated by ;
  const begin = startOffsetInfo
    .split(';')
    .map((part) => part.split(' '))
    .find((part) => part[0] === '0' && Number(part[1]) === queueId)?.[2];
  return [begin ?? queueOffset, popTime, invisibleTime, reviveQid, 0, 'broker-a', queueId, queueOffset].join(' ');
}

/** Properties whose value is another one each time. */
const changing: Record<string, string> = {
  UNIQ_KEY: '<id>',
  ORIGIN_MESSAGE_ID: '<id>',
  DLQ_ORIGIN_MESSAGE_ID: '<id>',
  TRAN_MSG_ID: '<id>',
  __transactionId__: '<id>',
  POP_CK: '<handle>',
  '1ST_POP_TIME': '<time>',
  TIMER_OUT_MS: '<time>',
  TIMER_ENQUEUE_MS: '<time>',
  TIMER_DEQUEUE_MS: '<time>',
  TIMER_DELIVER_MS: '<time>',
  BORN_TIMESTAMP: '<time>',
};

/** All properties of a record, with what changes from run to run replaced. */
export function shape(properties: Record<string, string>): string {
  return Object.keys(properties)
    .sort()
    .map((name) => `${name}=${changing[name] ?? properties[name]}`)
    .join(' ');
}

/** A refusal or its absence. */
export const said = ({ code }: { code: number }): string => `code ${code}`;
