// A broker on a simulated machine with one topic of the type LITE and clients that pop its lite topics.
import assert from 'node:assert/strict';
import { createTopicConfig, decodeRecord, ResponseCode } from '@vernier/remoting';
import type { MessageStoreOptions } from '@vernier/store';
import { Machine } from '../../../torture/test/machine.ts';
import { lmqOf } from '../../src/base/lite-names.ts';
import { Refusal } from '../../src/base/refusal.ts';
import type { BrokerConfig } from '../../src/config.ts';
import { subscriptionGroup } from '../../src/groups/subscription-group-config.ts';
import type { LiteChange } from '../../src/lite/lite-subscription-service.ts';
import type { PopLiteRequest, PopLiteResult } from '../../src/lite/pop-lite-service.ts';
import { FakeClient } from '../fake-client.ts';
import { property } from '../harness.ts';
import { MachineBroker } from '../machine-broker.ts';
import { Asker } from '../pop/pop-machine.ts';

export const SECOND = 1_000;
export const TOPIC = 'Parent';
export const lmq = (lite: string): string => lmqOf(TOPIC, lite);

export interface PoppedLite {
  readonly body: string;
  readonly lite: string;
  readonly queueOffset: number;
  readonly count: number;
  readonly popTime: number;
}

export class LiteMachine {
  broker: MachineBroker;
  readonly config: Partial<BrokerConfig>;
  random = (): number => 0;

  private constructor(broker: MachineBroker, config: Partial<BrokerConfig>) {
    this.broker = broker;
    this.config = config;
  }

  static async start(
    config: Partial<BrokerConfig> = {},
    attributes: Record<string, string> = {},
    store: Partial<MessageStoreOptions> = {},
  ): Promise<LiteMachine> {
    const sizes = { mappedFileSizeCommitLog: 1024 * 1024, mappedFileSizeConsumeQueue: 6_000 };
    const lmqs = { enableLmq: true, enableMultiDispatch: true, flushDiskType: 'SYNC_FLUSH' as const };
    const machine = new Machine({ ...sizes, ...lmqs, ...store });
    const random = (): number => lite.random();
    const lite: LiteMachine = new LiteMachine(
      await MachineBroker.start({ machine, config, random: () => random() }),
      config,
    );
    const topicAttributes = new Map([
      ['message.type', 'LITE'],
      ['lite.topic.expiration', '30'],
    ]);
    lite.context.topics.update(createTopicConfig(TOPIC, { attributes: topicAttributes }));
    lite.group('g', attributes);
    return lite;
  }

  group(name: string, attributes: Record<string, string> = {}): void {
    this.context.groups.update(subscriptionGroup(name, { attributes: { 'lite.bind.topic': TOPIC, ...attributes } }));
  }

  get context() {
    return this.broker.context;
  }

  get lite() {
    return this.broker.context.lite;
  }

  async kill(): Promise<void> {
    await this.broker.machine.until(this.context.metadata.topics.save(), 'topics');
    await this.broker.machine.until(this.context.metadata.groups.save(), 'groups');
    const random = (): number => this.random();
    this.broker = await MachineBroker.start({ machine: this.broker.kill(), config: this.config, random });
  }

  advance(ms: number): Promise<void> {
    return this.broker.machine.advance(ms);
  }

  async send(lite: string, ...bodies: string[]): Promise<void> {
    for (const body of bodies) {
      const outcome = await this.broker.send(TOPIC, body, property('__LITE_TOPIC', lite));
      assert.ok(!(outcome instanceof Refusal), `${body} was refused: ${(outcome as Refusal).remark}`);
    }
    await this.advance(20);
  }

  change(clientId: string, liteTopics: string[], more: Partial<LiteChange> = {}, client = new FakeClient()) {
    const change = { action: 'PARTIAL_ADD' as const, clientId, group: 'g', topic: TOPIC, liteTopics, start: undefined };
    return this.lite.subscribing.change([{ ...change, ...more }], client);
  }

  subscribe(clientId: string, liteTopics: string[], more: Partial<LiteChange> = {}, client = new FakeClient()): void {
    assert.equal(this.change(clientId, liteTopics, more, client), undefined);
  }

  request(clientId: string, more: Partial<PopLiteRequest> = {}): PopLiteRequest {
    const limits = { maxMessages: 32, invisibleMs: 30 * SECOND, pollMs: 0, bornTime: 0, attemptId: undefined };
    return { clientId, group: 'g', topic: TOPIC, ...limits, ...more };
  }

  begin(clientId: string, more: Partial<PopLiteRequest> = {}, client = new FakeClient(), asker = new Asker()) {
    return this.lite.pop.pop(this.request(clientId, more), client, asker);
  }

  async pop(clientId: string, more: Partial<PopLiteRequest> = {}): Promise<PoppedLite[]> {
    return this.popped(await this.broker.machine.until(this.begin(clientId, more), 'pop'));
  }

  popped(result: PopLiteResult | Refusal | undefined): PoppedLite[] {
    if (result === undefined || result instanceof Refusal) assert.fail(`the pop was refused: ${result?.remark}`);
    assert.equal(result.counts.length, result.records.length);
    return result.records.map((record, index) => {
      const { body, properties } = decodeRecord(record)!;
      const queueOffset = Number(properties.get('INNER_MULTI_QUEUE_OFFSET'));
      const lite = properties.get('__LITE_TOPIC') ?? '';
      const count = result.counts[index] as number;
      return { body: Buffer.from(body).toString(), lite, queueOffset, count, popTime: result.popTime };
    });
  }

  async bodies(clientId: string, more: Partial<PopLiteRequest> = {}): Promise<string[]> {
    return (await this.pop(clientId, more)).map(({ body }) => body);
  }

  async refusal(clientId: string, more: Partial<PopLiteRequest> = {}): Promise<Refusal> {
    const result = await this.broker.machine.until(this.begin(clientId, more), 'pop');
    assert.ok(result instanceof Refusal, 'the pop was not refused');
    return result;
  }

  delivered({ lite, queueOffset, popTime }: PoppedLite, group = 'g') {
    const handle = { startOffset: 0, popTime, invisibleMs: 30 * SECOND, reviveQueueId: 999, brokerName: 'broker-a' };
    return { group, topic: TOPIC, queueId: 0, queueOffset, handle, liteTopic: lite };
  }

  async ack(...popped: PoppedLite[]): Promise<void> {
    for (const each of popped) {
      const refusal = await this.broker.machine.until(this.lite.acks.ack(this.delivered(each)), 'ack');
      assert.equal(refusal?.code ?? ResponseCode.SUCCESS, ResponseCode.SUCCESS, refusal?.remark);
    }
  }

  stop(): Promise<void> {
    return this.broker.stop();
  }
}
