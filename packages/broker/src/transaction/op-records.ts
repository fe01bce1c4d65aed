import { ResponseCode } from '@vernier/remoting';
import { type Clock, type MessageStore, StoreError, type StoreLogger } from '@vernier/store';
import { ServiceLoop } from '@vernier/store/internal';
import type { Caller } from '../base/caller.ts';
import { TRANS_OP_HALF_TOPIC } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerConfig } from '../config.ts';
import { propertyEntry } from '../put/properties.ts';
import type { PutOutcome, PutService, Stored } from '../put/put-service.ts';
import { wholeNumberOf } from './half.ts';

/** The tag of a marker (RocketMQ TransactionalMessageUtil.REMOVE_TAG). */
export const REMOVE_TAG = 'd';
const SEPARATOR = ',';
const RETRY_MS = 100;
const RETRY_MS_MAX = 5_000;

/** Entry numbers of ended halves, as a marker names them. */
export const endedHalvesOf = (body: Buffer): number[] =>
  body
    .toString('latin1')
    .split(SEPARATOR)
    .flatMap((text) => wholeNumberOf(text) ?? []);

interface Waiting {
  readonly text: string;
  readonly max: number;
  readonly resolve: (outcome: Stored | Refusal) => void;
}

export interface OpRecordsParts {
  readonly config: BrokerConfig;
  readonly store: MessageStore;
  readonly put: PutService;
  /** The broker itself. */
  readonly caller: Caller;
  readonly clock: Clock;
  readonly logger: StoreLogger;
  /** A marker was stored: its entry number, and the highest half that it names. */
  readonly stored: (queueOffset: number, maxHalf: number) => void;
}

/**
 * Writes down which halves have ended (RocketMQ TransactionalOpBatchService): records of several numbers, `123,124,`.
 * Under SYNC_FLUSH, or when somebody waits, at once: what comes while a record is on its way to the disk shares the next
 * one. Else when transactionOpMsgMaxSize bytes are there, or after transactionOpBatchInterval. It waits without a timer
 * while there is nothing to write.
 *
 * A record that the store does not take is tried again until the store fails or the broker stops: the message of a
 * committed half may be there already.
 */
export class OpRecords extends ServiceLoop {
  readonly #parts: OpRecordsParts;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #isUrgent = false;
  /** Monotonic milliseconds since when the first of them waits. */
  #since = 0;
  #isTriedOnce = false;
  #isDead = false;

  constructor(parts: OpRecordsParts) {
    super(parts.clock);
    this.#parts = parts;
  }

  /** Resolves when the numbers are stored, as safely as flushDiskType says; or with why they are not. */
  add(queueOffsets: readonly number[], isUrgent: boolean): Promise<Stored | Refusal> {
    if (this.#isDead) return Promise.resolve(refused('the broker stops'));
    const text = queueOffsets.map((offset) => `${offset}${SEPARATOR}`).join('');
    return new Promise((resolve) => {
      if (this.#waiting.length === 0) this.#since = this.clock.monotonic();
      this.#waiting.push({ text, max: Math.max(...queueOffsets), resolve });
      this.#waitingBytes += text.length;
      this.#isUrgent ||= isUrgent || this.#parts.store.config.flushDiskType === 'SYNC_FLUSH';
      if (this.#isDue || this.#waiting.length === 1) this.wakeup();
    });
  }

  /**
   * The broker is about to stop: a record that the store does not take is not tried again, so that nobody who waits for it
   * keeps the broker from its end. Records are still taken until shutdown().
   */
  tryOnce(): void {
    this.#isTriedOnce = true;
    this.wakeup();
  }

  get #isDue(): boolean {
    return this.#isUrgent || this.#waitingBytes >= this.#parts.config.transactionOpMsgMaxSize;
  }

  protected override async run(): Promise<void> {
    for (;;) {
      if (this.#waiting.length === 0) {
        if (this.stopped) break;
        await this.waitForRunning();
        continue;
      }
      const leftMs = this.#since + this.#parts.config.transactionOpBatchInterval - this.clock.monotonic();
      if (!this.#isDue && !this.stopped && leftMs > 0) await this.waitForRunning(leftMs);
      else await this.#write(this.#take());
    }
    this.#isDead = true;
  }

  protected override onDied(error: unknown): void {
    this.#isDead = true;
    this.#parts.logger.error({ err: error }, `ends of transactions are not written any more: ${String(error)}`);
    for (const { resolve } of this.#waiting) resolve(refused(String(error)));
  }

  #take(): Waiting[] {
    const max = this.#parts.config.transactionOpMsgMaxSize;
    let bytes = 0;
    let count = 0;
    while (count < this.#waiting.length && (count === 0 || bytes + this.#waiting[count]!.text.length <= max)) {
      bytes += this.#waiting[count]!.text.length;
      count++;
    }
    const taken = this.#waiting.splice(0, count);
    this.#waitingBytes -= bytes;
    // What is left was there before whatever comes next, and is as urgent as it was.
    if (this.#waiting.length === 0) this.#isUrgent = false;
    return taken;
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    const { logger, stored, store } = this.#parts;
    for (let failures = 0; ; failures++) {
      const outcome = await this.#put(batch.map(({ text }) => text).join(''));
      if (!(outcome instanceof Refusal)) {
        stored(outcome.queueOffset, Math.max(...batch.map(({ max }) => max)));
        for (const { resolve } of batch) resolve(outcome);
        return;
      }
      const isLast = this.#isTriedOnce || this.stopped || !store.isWriteable;
      const pauseMs = Math.min(RETRY_MS * 2 ** Math.min(failures, 10), RETRY_MS_MAX);
      const numbers = { halves: batch.length, code: outcome.code };
      const next = isLast ? 'they are looked at again after the next start' : `again in ${pauseMs} ms`;
      logger.error(numbers, `the end of ${batch.length} transactions is not written: ${outcome.remark}; ${next}`);
      if (isLast) {
        for (const { resolve } of batch) resolve(outcome);
        return;
      }
      await this.#pause(pauseMs);
    }
  }

  async #put(text: string): Promise<PutOutcome> {
    const { put, caller, clock } = this.#parts;
    const message = {
      topic: TRANS_OP_HALF_TOPIC,
      queueId: 0,
      flag: 0,
      sysFlag: 0,
      bornTimestamp: clock.now(),
      reconsumeTimes: 0,
      properties: propertyEntry('TAGS', REMOVE_TAG),
      body: Buffer.from(text, 'latin1'),
    };
    try {
      return await put.put<PutOutcome>(message, caller, 'half', (outcome) => outcome);
    } catch (error) {
      if (error instanceof StoreError) return refused(error.message);
      throw error;
    }
  }

  /** Numbers that come meanwhile do not end it. */
  async #pause(ms: number): Promise<void> {
    const until = this.clock.monotonic() + ms;
    for (let left = ms; left > 0 && !this.#isTriedOnce && !this.stopped; left = until - this.clock.monotonic()) {
      await this.waitForRunning(left);
    }
  }
}

const refused = (why: string): Refusal => new Refusal(ResponseCode.SERVICE_NOT_AVAILABLE, why);

/** How many places are remembered; more are merged. */
const PLACES_MAX = 1_024;

/**
 * Which markers a start has to read: those from the first one on that names a half which is still to be seen. Neighbours
 * are merged when there are many; then a start reads a few more.
 */
export class OpPlaces {
  #places: { queueOffset: number; maxHalf: number }[] = [];
  #end: number;

  constructor(end: number) {
    this.#end = end;
  }

  /** In the order of the queue. */
  note(queueOffset: number, maxHalf: number): void {
    this.#end = queueOffset + 1;
    this.#places.push({ queueOffset, maxHalf });
    if (this.#places.length <= PLACES_MAX) return;
    this.#places = this.#places.flatMap((place, i, all) => {
      if (i % 2 === 1) return [];
      return [{ ...place, maxHalf: Math.max(place.maxHalf, all[i + 1]?.maxHalf ?? 0) }];
    });
  }

  /** Entry number of the first marker that counts for halves from `head` on. `head` never goes back. */
  from(head: number): number {
    while (this.#places.length > 0 && this.#places[0]!.maxHalf < head) this.#places.shift();
    return this.#places[0]?.queueOffset ?? this.#end;
  }
}
