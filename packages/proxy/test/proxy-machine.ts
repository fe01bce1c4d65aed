// A proxy without its port, on a broker on a simulated machine: its time passes when a test says so.
import assert from 'node:assert/strict';
import type { BrokerConfig, BrokerContext, Identity } from '@vernier/broker/internal';
import { createTopicConfig } from '@vernier/remoting';
import type { MessageExt } from '@vernier/store';
import { writeAtomic } from '@vernier/store/internal';
import { PopMachine } from '../../broker/test/pop/pop-machine.ts';
import { AnswerRoom } from '../src/answer-room.ts';
import { LocalBackend } from '../src/backend/local.ts';
import { Call, peerOf } from '../src/call.ts';
import type { TelemetryStream } from '../src/clients/grpc-client.ts';
import type { ProxyContext } from '../src/context.ts';
import { createProxyContext } from '../src/create-context.ts';
import { defaultLimits, type ProxyLimits } from '../src/limits.ts';
import { ackMessage, changeInvisibleDuration } from '../src/methods/ack-message.ts';
import { receiveMessage } from '../src/methods/receive-message.ts';
import { sendMessage } from '../src/methods/send-message.ts';
import { telemetryCommand } from '../src/methods/telemetry.ts';
import { StatusError } from '../src/status.ts';
import {
  type ChangeInvisibleDurationRequest,
  ClientType,
  Code,
  type Message,
  MessageType,
  type ReceiveMessageRequest,
  type ReceiveMessageResponse,
  type SendMessageResponse,
  type Settings,
  type SystemProperties,
  type TelemetryCommand,
} from '../src/wire/messages.ts';
import { timeOf } from '../src/wire/times.ts';

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;

export class FakeStream implements TelemetryStream {
  readonly commands: TelemetryCommand[] = [];
  isEnded = false;
  /** False: it cannot be written to. */
  isOpen = true;

  write(command: TelemetryCommand): boolean {
    if (this.isOpen) this.commands.push(command);
    return this.isOpen;
  }

  end(): void {
    this.isEnded = true;
    this.isOpen = false;
  }
}

/** What a call of ReceiveMessage was answered. */
export interface Received {
  readonly answers: ReceiveMessageResponse[];
  readonly code: Code;
  readonly text: string;
  readonly messages: Message[];
  readonly bodies: string[];
}

export interface CallOptions {
  clientId?: string;
  clientVersion?: string;
  peer?: string;
  authority?: string;
  /** How long the client waits; Infinity: no deadline. */
  deadlineMs?: number;
  /** Who signed it; without, there is no access control. */
  user?: string;
}

/** Who may do everything. */
const userNamed = (name: string): Identity => ({
  ...{ name, isSuper: true, refusalOf: () => undefined, admit: () => undefined, expired: () => undefined },
});

export class ProxyMachine {
  readonly pop: PopMachine;
  readonly limits: ProxyLimits;
  proxy: ProxyContext;
  readonly disconnected: string[] = [];
  #messageCount = 0;

  private constructor(pop: PopMachine, limits: ProxyLimits) {
    this.pop = pop;
    this.limits = limits;
    this.proxy = this.#make();
  }

  static async start(
    config: Partial<BrokerConfig> = {},
    limits: Partial<ProxyLimits> = {},
    store: Parameters<typeof PopMachine.start>[0] = {},
  ): Promise<ProxyMachine> {
    const sizes = { maxHashSlotNum: 200, maxIndexNum: 2_000, ...store };
    const machine = new ProxyMachine(await PopMachine.start(sizes, config), { ...defaultLimits, ...limits });
    await machine.until(machine.proxy.state!.load());
    return machine;
  }

  #make(): ProxyContext {
    return createProxyContext({
      ...{ broker: new LocalBackend(this.pop.context), limits: this.limits, address: '127.0.0.1:8081' },
      room: new AnswerRoom(this.limits.answerBytesMax),
      disconnect: (peer) => this.disconnected.push(peer),
    });
  }

  get broker(): BrokerContext {
    return this.pop.context;
  }

  get now(): number {
    return this.pop.now;
  }

  advance(ms: number): Promise<void> {
    return this.pop.advance(ms);
  }

  /** So much time passes, and the client goes on saying that it is there. */
  async alive(ms: number, options: CallOptions = {}): Promise<void> {
    for (let left = ms; left > 0; left -= 10 * SECOND) {
      await this.advance(Math.min(left, 10 * SECOND));
      this.proxy.clients.heartbeat(this.call(options));
    }
  }

  until<Value>(promise: Promise<Value> | Value, what = 'call'): Promise<Value> {
    return this.pop.broker.machine.until(Promise.resolve(promise), what);
  }

  /** The process is killed and started anew. */
  async kill(): Promise<void> {
    this.#abandon();
    await this.pop.kill();
    await this.#begin();
  }

  /** The same with nothing left that was not flushed. */
  async cutPower(seed = 1): Promise<void> {
    this.#abandon();
    await this.pop.cutPower(seed);
    await this.#begin();
  }

  /** As a process ends that is asked to. */
  async restart(): Promise<void> {
    await this.until(this.proxy.state!.close());
    this.#abandon();
    await this.pop.restart();
    await this.#begin();
  }

  /** Such a file, and such a one before it. */
  async replaceFile(name: string, text: string): Promise<void> {
    const { fileSystem } = this.pop.broker.machine;
    const path = `/data/store/config/${name}`;
    for (let i = 0; i < 2; i++) await this.until(writeAtomic(fileSystem, path, Buffer.from(text)));
  }

  /** Nothing of the old proxy does anything any more. */
  #abandon(): void {
    this.proxy.clients.changed = () => {};
    this.proxy.renewals.changed = () => {};
    this.proxy.renewals.stop();
    this.proxy.clients.stop();
  }

  async #begin(): Promise<void> {
    this.proxy = this.#make();
    await this.until(this.proxy.state!.load());
  }

  topic(name: string, type?: string, queues = 4): void {
    const attributes = new Map(type === undefined ? [] : [['message.type', type]]);
    const nums = { readQueueNums: queues, writeQueueNums: queues };
    this.broker.topics.update(createTopicConfig(name, { ...nums, attributes }));
  }

  /** A static topic whose logical queues are these, from 0 on, each with the number of its first message. */
  staticTopic(name: string, firstOffsets: Readonly<Record<number, number>>): void {
    const ids = Object.keys(firstOffsets).map(Number);
    this.topic(name, undefined, ids.length);
    const bname = this.broker.config.brokerName;
    const common = { bname, gen: 0, startOffset: 0, endOffset: -1, timeOfStart: -1, timeOfEnd: -1 };
    const hosted = ids.map((id, queueId) => [id, [{ ...common, queueId, logicOffset: firstOffsets[id]! }]] as const);
    const mapping = { topic: name, scope: '__global__', totalQueues: 8, bname, epoch: 1, dirty: false };
    this.broker.staticTopics.set({ ...mapping, hostedQueues: new Map(hosted) });
  }

  group(name: string, changes: object = {}): void {
    const group = this.broker.groups.find(name);
    assert.ok(group !== undefined);
    this.broker.groups.update({ ...group, ...changes });
  }

  call(options: CallOptions = {}): Call {
    const { clientId = 'client', clientVersion = '5.0.7', peer = '10.0.0.7:4711', deadlineMs = MINUTE } = options;
    const headers: Record<string, string> = {
      'x-mq-client-id': clientId,
      'x-mq-language': 'JAVA',
      'x-mq-client-version': clientVersion,
    };
    const get = (name: string): string[] => (headers[name] === undefined ? [] : [headers[name]]);
    const facts = { peer: peerOf(peer), authority: options.authority ?? '', deadline: this.now + deadlineMs };
    const call = new Call({ ...facts, headers: { get } });
    if (options.user !== undefined) call.caller.identity = userNamed(options.user);
    return call;
  }

  /** The code and the words of a call that is refused. */
  async refusal(act: () => unknown): Promise<{ code: Code; message: string }> {
    try {
      await this.until(Promise.resolve(act()));
    } catch (error) {
      assert.ok(error instanceof StatusError, String(error));
      return error.status as { code: Code; message: string };
    }
    assert.fail('it was not refused');
  }

  // --- clients

  settings(settings: Settings, stream = new FakeStream(), options: CallOptions = {}): FakeStream {
    telemetryCommand(this.proxy, { settings }, this.call(options), stream);
    return stream;
  }

  producer(topics: string[], options: CallOptions = {}): FakeStream {
    const publishing = { topics: topics.map((name) => ({ name })) };
    return this.settings({ clientType: ClientType.PRODUCER, publishing }, new FakeStream(), options);
  }

  consumer(group: string, topic: string, options: CallOptions & { type?: ClientType } = {}): FakeStream {
    const subscription = { group: { name: group }, subscriptions: [{ topic: { name: topic } }] };
    const { type = ClientType.PUSH_CONSUMER } = options;
    return this.settings({ clientType: type, subscription }, new FakeStream(), options);
  }

  // --- messages

  message(topic: string, body: string | Buffer, system: SystemProperties = {}, more: Message = {}): Message {
    const messageId = `M${String(this.#messageCount++).padStart(4, '0')}`;
    return {
      topic: { name: topic },
      body: Buffer.from(body),
      systemProperties: { messageId, messageType: MessageType.NORMAL, bornTimestamp: timeOf(this.now), ...system },
      ...more,
    };
  }

  send(...messages: Message[]): Promise<SendMessageResponse> {
    return this.until(sendMessage(this.proxy, { messages }, this.call()));
  }

  /** Sends, and it is stored. */
  async sent(topic: string, body: string, system: SystemProperties = {}): Promise<SendMessageResponse> {
    const response = await this.send(this.message(topic, body, system));
    assert.equal(response.status?.code, Code.OK, response.status?.message);
    return response;
  }

  refusedSend(...messages: Message[]): Promise<{ code: Code; message: string }> {
    return this.refusal(() => sendMessage(this.proxy, { messages }, this.call()));
  }

  /** What is stored in all queues of a topic. */
  async stored(topic: string): Promise<MessageExt[]> {
    const messages: MessageExt[] = [];
    const count = this.broker.topics.select(topic)?.writeQueueNums ?? 0;
    for (let queueId = 0; queueId < count; queueId++) messages.push(...(await this.pop.broker.read(topic, queueId)));
    return messages;
  }

  // --- consuming

  request(group: string, topic: string, more: ReceiveMessageRequest = {}): ReceiveMessageRequest {
    return {
      group: { name: group },
      messageQueue: { topic: { name: topic }, id: -1 },
      batchSize: 32,
      invisibleDuration: timeOf(30 * SECOND),
      longPollingTimeout: timeOf(5 * SECOND),
      ...more,
    };
  }

  /** Begins a call; nothing happens before time moves. */
  begin(request: ReceiveMessageRequest, call = this.call(), onWrite?: () => void) {
    const answers: ReceiveMessageResponse[] = [];
    const write = async (answer: ReceiveMessageResponse): Promise<void> => {
      onWrite?.();
      answers.push(answer);
    };
    const done = receiveMessage(this.proxy, request, call, { write }).then(() => receivedOf(answers));
    return { answers, done, call };
  }

  receive(group: string, topic: string, more: ReceiveMessageRequest = {}, call = this.call()): Promise<Received> {
    return this.until(this.begin(this.request(group, topic, more), call).done, 'receive');
  }

  async ack(group: string, topic: string, ...messages: (Message | string)[]): Promise<Code[]> {
    const entries = messages.map((message) => ({
      messageId: typeof message === 'string' ? 'M' : (message.systemProperties?.messageId ?? ''),
      receiptHandle: handleOf(message),
      liteTopic: liteOf(message),
    }));
    const request = { group: { name: group }, topic: { name: topic }, entries };
    const response = await this.until(ackMessage(this.proxy, request), 'ack');
    return [response.status?.code as Code, ...(response.entries ?? []).map(({ status }) => status?.code as Code)];
  }

  async change(
    group: string,
    topic: string,
    message: Message | string,
    ms: number,
    more: ChangeInvisibleDurationRequest = {},
  ): Promise<{ code: Code; handle: string }> {
    const request = {
      ...{ group: { name: group }, topic: { name: topic }, receiptHandle: handleOf(message) },
      liteTopic: liteOf(message),
      invisibleDuration: timeOf(ms),
      ...more,
    };
    const response = await this.until(changeInvisibleDuration(this.proxy, request), 'change');
    return { code: response.status?.code as Code, handle: response.receiptHandle ?? '' };
  }
}

export const handleOf = (message: Message | string): string =>
  typeof message === 'string' ? message : (message.systemProperties?.receiptHandle ?? '');

const liteOf = (message: Message | string): string | null =>
  typeof message === 'string' ? null : (message.systemProperties?.liteTopic ?? null);

/** The status is first and the time last: clients rely on it. */
function receivedOf(answers: ReceiveMessageResponse[]): Received {
  assert.ok(answers.length >= 2, `${answers.length} answers`);
  const { status } = answers[0]!;
  assert.ok(status, 'the status comes first');
  assert.ok(answers.at(-1)!.deliveryTimestamp, 'the time comes last');
  const messages = answers.slice(1, -1).map(({ message }) => message!);
  return {
    ...{ answers, code: status.code as Code, text: status.message ?? '', messages },
    bodies: messages.map(({ body }) => Buffer.from(body!).toString()),
  };
}
