import type { MessageStore } from '../../message-store.ts';
import type { MessageExtBrokerInner, PutMessageResult } from '../../types.ts';
import type { Model, Put } from './model.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';

const HOST = { address: Uint8Array.of(127, 0, 0, 1), port: 10911 };
const HOST_V6 = { address: new Uint8Array(16).fill(7), port: 10911 };
const TOPICS = ['A', 'B', `%RETRY%${'long'.repeat(40)}`];
const QUEUES = 3;

export interface WorkloadOptions {
  producers: number;
  consumers: number;
  bodyBytesMax: number;
  /** Milliseconds of virtual time between two acts of one producer, at most. */
  pauseMsMax: number;
}

let nextId = 1;

/** Ids are unique in the process; a replay begins at 1 again. */
export function resetIds(): void {
  nextId = 1;
}

/** Producers and consumers on one opened store. They go on until the store is shut down or the machine stops. */
export class Workload {
  readonly #store: MessageStore;
  readonly #model: Model;
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #options: WorkloadOptions;
  #stopping = false;
  /** The first thing that went wrong in a consumer; the round reports it. */
  violation: Error | undefined;

  constructor(store: MessageStore, model: Model, scheduler: Scheduler, random: Random, options: WorkloadOptions) {
    this.#store = store;
    this.#model = model;
    this.#scheduler = scheduler;
    this.#random = random;
    this.#options = options;
  }

  start(): void {
    for (let i = 0; i < this.#options.producers; i++) void this.#produce(this.#random.fork());
    for (let i = 0; i < this.#options.consumers; i++) void this.#consume(this.#random.fork());
  }

  /** Producers begin nothing new. */
  stop(): void {
    this.#stopping = true;
  }

  async #produce(random: Random): Promise<void> {
    while (!this.#stopping && !this.#store.isClosed) {
      const puts: Promise<unknown>[] = [];
      // Some acts put several messages at once, and some do not wait for the answer.
      const count = random.chance(0.3) ? random.integer(2, 12) : 1;
      for (let i = 0; i < count; i++) puts.push(random.chance(0.15) ? this.#putBatch(random) : this.#putOne(random));
      if (random.chance(0.8)) await Promise.all(puts);
      await this.#scheduler.delay(random.fraction() * this.#options.pauseMsMax);
    }
  }

  #newPut(random: Random, topic: string, queueId: number, durability: Put['durability']): Put {
    const id = nextId++;
    const size = random.chance(0.05) ? this.#options.bodyBytesMax : random.integer(4, 600);
    const body = Buffer.alloc(Math.max(4, size), id & 0xff);
    body.writeUInt32BE(id, 0);
    const waitStoreMsgOK = !random.chance(0.15);
    return { id, topic, queueId, body, key: `k${id}`, durability, waitStoreMsgOK };
  }

  #message(put: Put, random: Random): MessageExtBrokerInner {
    return {
      topic: put.topic,
      queueId: put.queueId,
      flag: put.id & 0xff,
      sysFlag: 0,
      bornTimestamp: this.#scheduler.now(),
      bornHost: random.chance(0.2) ? HOST_V6 : HOST,
      storeHost: HOST,
      reconsumeTimes: 0,
      preparedTransactionOffset: 0,
      body: put.body,
      propertiesString: propertiesOf(put),
    };
  }

  async #putOne(random: Random): Promise<void> {
    const durability = random.pick([undefined, undefined, undefined, 'sync', 'group', 'async'] as const);
    const put = this.#newPut(random, random.pick(TOPICS), random.integer(0, QUEUES - 1), durability);
    this.#model.add(put);
    const result = await this.#store.asyncPutMessage(this.#message(put, random), durability);
    answered([put], result);
  }

  async #putBatch(random: Random): Promise<void> {
    const topic = random.pick(['A', 'B']);
    const queueId = random.integer(0, QUEUES - 1);
    const puts = Array.from({ length: random.integer(2, 6) }, () => this.#newPut(random, topic, queueId, undefined));
    // One answer for all: what one of them does not wait for, none of them does.
    const waits = puts.every((put) => put.waitStoreMsgOK);
    for (const put of puts) {
      put.waitStoreMsgOK = waits;
      this.#model.add(put);
    }
    const { body: _b, flag: _f, propertiesString: _p, ...head } = this.#message(puts[0]!, random);
    const messages = puts.map((put) => ({ flag: 0, body: put.body, propertiesString: propertiesOf(put) }));
    answered(puts, await this.#store.asyncPutMessages({ ...head, messages }));
  }

  async #consume(random: Random): Promise<void> {
    const topic = random.pick(TOPICS);
    const queueId = random.integer(0, QUEUES - 1);
    try {
      for await (const message of this.#store.readQueue(topic, queueId, { follow: true })) {
        this.#model.sawByConsumer(message);
        if (random.chance(0.05)) await this.#scheduler.delay(random.fraction() * 50);
      }
    } catch (error) {
      const { code } = error as { code?: string };
      // A read that fails tells its caller so, and so does a store that closes meanwhile; neither is a broken promise.
      if (code !== 'STORE_READ_FAILED' && code !== 'STORE_CLOSED') this.violation ??= error as Error;
    }
  }
}

function propertiesOf(put: Put): string {
  const wait = put.waitStoreMsgOK ? '' : 'WAIT\u0001false\u0002';
  return `KEYS\u0001${put.key}\u0002${wait}`;
}

function answered(puts: Put[], result: PutMessageResult): void {
  for (const [i, put] of puts.entries()) {
    put.result = result;
    if (result.wroteOffset < 0) continue;
    put.offset = result.batchOffsets?.[i] ?? result.wroteOffset;
    put.queueOffset = result.queueOffset + i;
  }
}
