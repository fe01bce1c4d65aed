import { type MessageExtBrokerInner, type MessageStore, StoreError } from '@vernier/store';
import type { RunCounters } from './counters.ts';
import type { DelayModel } from './delay-model.ts';
import { type Front, Refused } from './front.ts';
import { unwrapped } from './inner-batches.ts';
import type { Deletion, Model, Put } from './model.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';

const HOST = { address: Uint8Array.of(127, 0, 0, 1), port: 10911 };
const HOST_V6 = { address: new Uint8Array(16).fill(7), port: 10911 };
const QUEUES = 3;
const BODY_BYTES_USUAL = 600;
const BODY_BYTES_NARROW = 60;
/** Pauses of producers, at most, between two acts of an operator; where there is one queue, and many messages are wanted. */
const OPERATOR_PAUSES_MAX = 12;
const OPERATOR_PAUSES_MAX_NARROW = 300;
/** Pauses of other producers, at most, between two messages that wait. */
const DELAYED_PAUSES_MAX = 4;
const TAGS = ['red', 'green', 'blue'];

export interface WorkloadOptions {
  topics: readonly string[];
  choosesDurability: boolean;
  producers: number;
  /** Those that do what the front has beside producers and consumers. */
  actors: number;
  consumers: number;
  bodyBytesMax: number;
  /** One queue gets all messages, short ones. */
  isNarrow: boolean;
  /** Milliseconds of virtual time between two acts of one producer, at most. */
  pauseMsMax: number;
  /** Deletes topics by it. */
  operator: Random | undefined;
  /** Sends messages that wait, by their own random. */
  delayed: { model: DelayModel; random: Random } | undefined;
  counters: Pick<RunCounters, 'deletions' | 'deletionsRefused'>;
}

/** Producers and consumers on one opened store. They go on until the store is shut down or the machine stops. */
export class Workload {
  readonly #store: MessageStore;
  readonly #front: Front;
  readonly #model: Model;
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #options: WorkloadOptions;
  #stopping = false;
  /** The first thing that went wrong; the run reports it. */
  violation: Error | undefined;

  constructor(
    store: MessageStore,
    front: Front,
    model: Model,
    scheduler: Scheduler,
    random: Random,
    options: WorkloadOptions,
  ) {
    this.#store = store;
    this.#front = front;
    this.#model = model;
    this.#scheduler = scheduler;
    this.#random = random;
    this.#options = options;
  }

  start(): void {
    const failed = (error: Error): void => {
      this.violation ??= error;
    };
    for (let i = 0; i < this.#options.producers; i++) this.#produce(this.#random.fork()).catch(failed);
    for (let i = 0; i < this.#options.consumers; i++) this.#consume(this.#random.fork()).catch(failed);
    const { operator, delayed } = this.#options;
    if (operator !== undefined) this.#operate(operator).catch(failed);
    if (delayed !== undefined) this.#produceDelayed(delayed.model, delayed.random).catch(failed);
    const { transact } = this.#front;
    for (let i = 0; i < this.#options.actors && transact !== undefined; i++) {
      this.#transact(transact, this.#random.fork()).catch(failed);
    }
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
      if (random.chance(0.03)) puts.push(this.#flush(random.chance(0.5)));
      const all = Promise.all(puts);
      if (random.chance(0.8)) await all;
      else {
        all.catch((error: Error) => {
          this.violation ??= error;
        });
      }
      // A store that takes nothing more is asked again, though not as fast as one that works.
      const pauseMsMax = this.#store.isWriteable ? this.#options.pauseMsMax : 200;
      await this.#scheduler.delay(random.fraction() * pauseMsMax);
    }
  }

  async #produceDelayed(model: DelayModel, random: Random): Promise<void> {
    while (!this.#stopping && !this.#store.isClosed) {
      const puts: Promise<void>[] = [];
      const count = random.chance(0.3) ? random.integer(2, 6) : 1;
      for (let i = 0; i < count; i++) puts.push(this.#putDelayed(model, random));
      await Promise.all(puts);
      const pauseMsMax = this.#store.isWriteable ? this.#options.pauseMsMax * DELAYED_PAUSES_MAX : 200;
      await this.#scheduler.delay(random.fraction() * pauseMsMax);
    }
  }

  async #putDelayed(model: DelayModel, random: Random): Promise<void> {
    const level = random.integer(1, model.levelCount);
    const put = this.#newPut(random, model.topic, random.integer(0, QUEUES - 1), undefined);
    put.propertiesString += `DELAY\u0001${level}\u0002`;
    model.add(put, level);
    const result = await this.#front.put(this.#message(put, random), undefined);
    model.answered({ put }, result);
  }

  async #operate(random: Random): Promise<void> {
    const { isNarrow, pauseMsMax, topics } = this.#options;
    const pauses = isNarrow ? OPERATOR_PAUSES_MAX_NARROW : OPERATOR_PAUSES_MAX;
    for (;;) {
      await this.#scheduler.delay(random.fraction() * pauses * pauseMsMax);
      if (this.#stopping || this.#store.isClosed) return;
      if (this.#front.operate !== undefined && random.chance(0.5)) await this.#front.operate(random);
      else await this.#deleteTopic(isNarrow ? topics[0]! : random.pick(topics));
    }
  }

  async #transact(act: (random: Random) => Promise<void>, random: Random): Promise<void> {
    while (!this.#stopping && !this.#store.isClosed) {
      await Promise.all(Array.from({ length: random.integer(1, 4) }, () => act.call(this.#front, random)));
      await this.#scheduler.delay(random.fraction() * (this.#store.isWriteable ? this.#options.pauseMsMax : 200));
    }
  }

  async #deleteTopic(topic: string): Promise<void> {
    const { counters } = this.#options;
    let deletion: Deletion | undefined;
    const onBegun = (): void => {
      deletion = this.#model.deletionBegun(topic, this.#store.maxPhyOffset);
    };
    try {
      await this.#front.deleteTopic(topic, onBegun);
    } catch (error) {
      // A disk that does not take it says so; then it may hold after the next start, or not.
      if (!(error instanceof StoreError) && !(error instanceof Refused)) throw error;
      counters.deletionsRefused++;
      return;
    }
    counters.deletions++;
    this.#model.deletionAnswered(deletion!);
  }

  #anyQueue(random: Random, topics: readonly string[]): { topic: string; queueId: number } {
    if (this.#options.isNarrow) return { topic: topics[0]!, queueId: 0 };
    return { topic: random.pick(topics), queueId: random.integer(0, QUEUES - 1) };
  }

  #newPut(random: Random, topic: string, queueId: number, durability: Put['durability']): Put {
    const id = this.#model.newId();
    const { bodyBytesMax, isNarrow } = this.#options;
    const usual = random.integer(4, isNarrow ? BODY_BYTES_NARROW : BODY_BYTES_USUAL);
    const size = !isNarrow && random.chance(0.05) ? bodyBytesMax : usual;
    // Zeros too: a sector of them that never got to the disk looks as if it had.
    const body = Buffer.alloc(Math.max(4, size), random.chance(0.1) ? 0 : id & 0xff);
    body.writeUInt32BE(id, 0);
    const waitStoreMsgOK = !random.chance(0.15);
    const key = `k${id}`;
    const tags = random.pick(TAGS);
    const propertiesString = `KEYS\u0001${key}\u0002TAGS\u0001${tags}\u0002${moreProperties(random)}${
      waitStoreMsgOK ? '' : 'WAIT\u0001false\u0002'
    }`;
    return {
      id,
      topic,
      queueId,
      body,
      key,
      tags,
      propertiesString,
      durability,
      waitStoreMsgOK,
      putTime: this.#scheduler.time,
      putAt: this.#scheduler.monotonic(),
      afterFailure: this.#store.failure !== undefined,
    };
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
      propertiesString: put.propertiesString,
    };
  }

  async #putOne(random: Random): Promise<void> {
    const durability = this.#durability(
      random.pick([undefined, undefined, undefined, 'sync', 'group', 'async'] as const),
    );
    const { topic, queueId } = this.#anyQueue(random, this.#options.topics);
    const put = this.#newPut(random, topic, queueId, durability);
    this.#model.add(put);
    const result = await this.#front.put(this.#message(put, random), durability);
    this.#model.answered([put], result);
  }

  async #putBatch(random: Random): Promise<void> {
    const { topic, queueId } = this.#anyQueue(random, this.#options.topics.slice(0, 2));
    const durability = this.#durability(random.pick([undefined, undefined, 'sync', 'group', 'async'] as const));
    const puts = Array.from({ length: random.integer(2, 6) }, () => this.#newPut(random, topic, queueId, durability));
    // One answer for all: what one of them does not wait for, none of them does.
    const waits = puts.every((put) => put.waitStoreMsgOK);
    for (const put of puts) {
      put.waitStoreMsgOK = waits;
      this.#model.add(put);
    }
    const { body: _b, flag: _f, propertiesString: _p, ...head } = this.#message(puts[0]!, random);
    const messages = puts.map((put) => ({
      flag: put.id & 0xff,
      body: put.body,
      propertiesString: put.propertiesString,
    }));
    this.#model.answered(puts, await this.#front.putBatch({ ...head, messages }, durability));
  }

  #durability(drawn: Put['durability']): Put['durability'] {
    return this.#options.choosesDurability ? drawn : undefined;
  }

  /** Asks for a flush, or waits for the one that comes. */
  async #flush(waits: boolean): Promise<void> {
    const end = this.#store.maxPhyOffset;
    try {
      await (waits ? this.#store.whenFlushed(end) : this.#store.flush());
    } catch {
      // The store has failed, and says so to everybody.
      return;
    }
    this.#model.flushed(end);
  }

  async #consume(random: Random): Promise<void> {
    const { topic, queueId } = this.#anyQueue(random, this.#options.topics);
    try {
      for await (const message of this.#store.readQueue(topic, queueId, { follow: true })) {
        const messages = unwrapped(message);
        for (const one of messages) this.#model.sawByConsumer(one);
        this.#front.consumed(topic, queueId, message.queueOffset + messages.length);
        if (random.chance(0.05)) await this.#scheduler.delay(random.fraction() * 50);
        if (random.chance(0.05)) await this.#query(message.topic, message.keys.join(' '));
      }
    } catch (error) {
      const { code } = error as { code?: string };
      // A read that fails tells its caller so, and so does a store that closes meanwhile; neither is a broken promise.
      if (code !== 'STORE_READ_FAILED' && code !== 'STORE_CLOSED') throw error;
    }
  }

  async #query(topic: string, key: string): Promise<void> {
    const { records } = await this.#store.queryMessage(topic, key);
    for (const record of records) {
      const message = await this.#store.lookMessageByOffset(Number(record.readBigInt64BE(28)));
      if (!message) continue;
      for (const { body } of unwrapped(message)) {
        this.#model.checkBody(body, `log offset ${message.commitLogOffset}`);
      }
    }
  }
}

/** Rarely something that recovery could take for damage: a zero byte, or a client's property of our checksum's name. */
function moreProperties(random: Random): string {
  const choice = random.fraction();
  if (choice < 0.03) return `z\u0001a\u0000b${'\u0000'.repeat(random.integer(0, 600))}\u0002`;
  if (choice < 0.05) return '__CRC32#\u00011234567890\u0002';
  if (choice < 0.1) return `long\u0001${'p'.repeat(random.integer(100, 1_200))}\u0002`;
  return '';
}
