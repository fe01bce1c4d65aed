// A broker on a simulated machine whose consumers pop.
import assert from 'node:assert/strict';
import { type DecodedMessage, decodeRecord, ResponseCode } from '@vernier/remoting';
import { handleOf, realTopicOf } from '../../../torture/src/pop-handles.ts';
import { Machine } from '../../../torture/test/machine.ts';
import { Refusal } from '../../src/base/refusal.ts';
import type { BrokerConfig } from '../../src/config.ts';
import type { Delivered } from '../../src/pop/ack-service.ts';
import { handleText, parseHandle } from '../../src/pop/handle.ts';
import type { PopRequest, PopResult } from '../../src/pop/pop-request.ts';
import type { PopAsker } from '../../src/pop/pop-service.ts';
import { FakeClient } from '../fake-client.ts';
import { MachineBroker } from '../machine-broker.ts';

export const SECOND = 1_000;

/** A message as its consumer has it. */
export interface Popped extends Delivered {
  readonly body: string;
  readonly message: DecodedMessage;
  /** POP_CK as a client makes it. */
  readonly extraInfo: string;
}

export class Asker implements PopAsker {
  reserved = 0;
  heldCount = 0;
  reserve(bytes: number): undefined {
    this.reserved += bytes;
    return undefined;
  }
  unreserve(): void {
    this.reserved = 0;
  }
  held(): void {
    this.heldCount++;
  }
}

export class PopMachine {
  broker: MachineBroker;
  readonly config: Partial<BrokerConfig>;
  /** Timed messages are those of the fake timer, which rounds no time. */
  hasFakeTimer = true;
  random = (): number => 0.99;

  private constructor(broker: MachineBroker, config: Partial<BrokerConfig>) {
    this.broker = broker;
    this.config = config;
  }

  static async start(
    store: ConstructorParameters<typeof Machine>[0] = {},
    config: Partial<BrokerConfig> = {},
    hasFakeTimer = true,
  ): Promise<PopMachine> {
    const settings = { mappedFileSizeCommitLog: 1024 * 1024, mappedFileSizeConsumeQueue: 6_000, ...store };
    const machine = new Machine({ flushDiskType: 'SYNC_FLUSH', ...settings });
    const random = (): number => pop.random();
    const pop: PopMachine = new PopMachine(
      await MachineBroker.start({ machine, config, random: () => random(), hasTimer: hasFakeTimer }),
      config,
    );
    pop.hasFakeTimer = hasFakeTimer;
    return pop;
  }

  get context() {
    return this.broker.context;
  }

  get now(): number {
    return this.broker.machine.scheduler.now();
  }

  advance(ms: number): Promise<void> {
    return this.broker.machine.advance(ms);
  }

  async #startAgain(machine: Machine): Promise<void> {
    const random = (): number => this.random();
    this.broker = await MachineBroker.start({ machine, config: this.config, random, hasTimer: this.hasFakeTimer });
  }

  async restart(): Promise<void> {
    await this.broker.stop();
    await this.#startAgain(this.broker.kill());
  }

  /** After a stop; the clock of the machine may have been set. */
  startLate(): Promise<void> {
    return this.#startAgain(this.broker.kill());
  }

  /** After a kill; the clock of the machine may have been set. */
  startOn(machine: Machine): Promise<void> {
    return this.#startAgain(machine);
  }

  kill(): Promise<void> {
    return this.#startAgain(this.broker.kill());
  }

  /** Nothing survives that was not flushed. */
  cutPower(seed = 1): Promise<void> {
    return this.#startAgain(this.broker.cutPower(seed));
  }

  async send(topic: string, ...bodies: string[]): Promise<void> {
    for (const body of bodies) {
      const outcome = await this.broker.send(topic, body);
      assert.ok(!(outcome instanceof Refusal), `${body} was refused`);
    }
  }

  request(more: Partial<PopRequest> = {}): PopRequest {
    return {
      ...{ group: 'g', topic: 'T', queueId: 0, maxMessages: 32, invisibleMs: 30 * SECOND, pollMs: 0, bornTime: 0 },
      ...{
        startsAtEnd: false,
        expression: undefined,
        expressionType: undefined,
        isOrdered: false,
        attemptId: undefined,
      },
      ...more,
    };
  }

  /** Begins a pop; nothing happens before time moves. */
  begin(more: Partial<PopRequest> = {}, client = new FakeClient(), asker: PopAsker = new Asker()) {
    return this.context.pop.pop.pop(this.request(more), client, asker);
  }

  /** The answer to a pop. */
  async answer(more: Partial<PopRequest> = {}): Promise<PopResult> {
    const result = await this.broker.machine.until(this.begin(more), 'pop');
    if (result === undefined || result instanceof Refusal) assert.fail(`the pop was refused: ${result?.remark}`);
    return result;
  }

  async refusal(more: Partial<PopRequest> = {}): Promise<Refusal> {
    const result = await this.broker.machine.until(this.begin(more), 'pop');
    assert.ok(result instanceof Refusal, 'the pop was not refused');
    return result;
  }

  /** The messages of a pop, each with what its consumer holds of it. */
  async pop(more: Partial<PopRequest> = {}): Promise<Popped[]> {
    return this.popped(await this.answer(more), this.request(more));
  }

  async bodies(more: Partial<PopRequest> = {}): Promise<string[]> {
    return (await this.pop(more)).map(({ body }) => body);
  }

  /** With the handles that a client makes of an answer. */
  popped(answer: PopResult, { group, topic }: PopRequest): Popped[] {
    const { infos, popTime, invisibleMs, reviveQueueId } = answer;
    const { startOffsetInfo } = infos;
    assert.equal(answer.deliveries.length, answer.records.length);
    return answer.records.map((record, index) => {
      const message = decodeRecord(record);
      const { queueId, queueOffset } = message;
      const extraInfo = handleOf(message, { startOffsetInfo, popTime, invisibleMs, reviveQueueId });
      assert.equal(handleText(answer.deliveries[index]!.handle), extraInfo, 'each front makes the same handles');
      const handle = parseHandle(extraInfo);
      assert.ok(typeof handle !== 'string', String(handle));
      const real = realTopicOf(extraInfo, group, topic);
      return { group, topic: real, queueId, queueOffset, handle, body: message.body.toString(), message, extraInfo };
    });
  }

  async ack(popped: Delivered): Promise<number> {
    const refusal = await this.broker.machine.until(this.context.pop.acks.ack(popped), 'ack');
    return refusal?.code ?? ResponseCode.SUCCESS;
  }

  change(popped: Delivered, invisibleMs: number) {
    return this.broker.machine.until(this.context.pop.changes.change(popped, invisibleMs), 'change');
  }

  committed(topic = 'T', queueId = 0, group = 'g'): number {
    return this.context.offsets.query(group, topic, queueId);
  }

  get revivedTotal(): number {
    return Number(this.context.pop.revive.runtimeInfo().popRevivedTotal);
  }
}
