import { type ExtFields, type RemotingCommand, RequestCode } from '@vernier/remoting';
import type { StoredMessage } from '@vernier/store';
import type { RunCounters } from './counters.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import {
  bodyOf,
  idOfBody,
  newSent,
  noteAnswer,
  type SenderOptions,
  type Sent,
  sendFieldsOf,
  survives,
} from './sent.ts';
import { Violation } from './violation.ts';

export const TIMED_TOPIC = 'Timed';
export const TIMER_TOPIC = 'rmq_sys_wheel_timer';
/** What TimerModel judges, and Model does not. */
export const timerTopics: ReadonlySet<string> = new Set([TIMED_TOPIC, TIMER_TOPIC]);
export const TIMER_PRECISION_MS = 100;
/** A wheel that goes round in two minutes, so that it does so in histories. */
export const TIMER_SLOTS = 1_280;
/** Longer than the roll window now and then. */
export const TIMER_ROLL_SLOTS = 30;

const DELAY_MS_MAX = 5_000;
const QUEUES = 3;
const RECALL_RATE = 0.15;

interface Timed extends Sent {
  /** Unix milliseconds, by the clock of the broker. */
  readonly time: number;
  handle: string | undefined;
  /** Somebody asked for it to be recalled: it may come or not. */
  isRecalled: boolean;
  /** Found in its topic. */
  isDelivered: boolean;
}

export interface FoundTimers {
  messages: ReadonlyMap<string, readonly StoredMessage[]>;
  minPhyOffset: number;
  /** The process was killed, the page cache stayed. */
  killed: boolean;
}

/**
 * What the senders of timed messages know. None comes before its time by the broker's clock, at the moment
 * in which its delivery begins. One that was acknowledged comes
 * at least once, unless its recall was sent: at the end of a history everything is delivered.
 */
export class TimerModel {
  readonly options: SenderOptions;
  readonly #timed = new Map<number, Timed>();
  deliveredTotal = 0;
  #nextId = 1;
  /** The latest time that somebody asked for. */
  latest = 0;

  constructor(options: SenderOptions) {
    this.options = options;
  }

  begin(time: number, queueId: number): Timed {
    const timed: Timed = {
      ...newSent(this.#nextId++, TIMED_TOPIC, queueId),
      ...{ time, handle: undefined, isRecalled: false, isDelivered: false },
    };
    this.#timed.set(timed.id, timed);
    this.latest = Math.max(this.latest, time);
    return timed;
  }

  /** One that can be recalled. */
  any(random: Random): Timed | undefined {
    const known = [...this.#timed.values()].filter(({ handle, isDelivered }) => handle !== undefined && !isDelivered);
    return known.length === 0 ? undefined : random.pick(known);
  }

  /** Everything appended is on disk. */
  shutDownCleanly(): void {
    for (const timed of this.#timed.values()) if (timed.isAppended) timed.isPromised = true;
  }

  /** After a recovery that nothing disturbs, before its broker does anything. From then on what it found are the facts. */
  check({ messages, minPhyOffset, killed }: FoundTimers): void {
    const waiting = new Set<number>();
    for (const message of messages.get(`${TIMER_TOPIC}-0`) ?? []) {
      // Recalls, and what waits for another topic.
      if (message.properties.TIMER_DEL_UNIQKEY !== undefined || message.properties.REAL_TOPIC !== TIMED_TOPIC) continue;
      const timed = this.#known(message);
      waiting.add(timed.id);
      timed.isPromised = true;
      timed.logOffset ??= message.commitLogOffset;
    }
    this.#noteDelivered(messages);
    for (const timed of [...this.#timed.values()]) {
      if (timed.isDelivered || waiting.has(timed.id)) continue;
      const isExpired = minPhyOffset > 0 && (timed.logOffset === undefined || timed.logOffset < minPhyOffset);
      if (survives(timed, killed, this.options) && !isExpired)
        throw new Violation(`timed message ${timed.id} was acknowledged and is gone`);
      this.#timed.delete(timed.id);
    }
  }

  /** After every time is past and the broker was left alone. */
  checkEnd(messages: ReadonlyMap<string, readonly StoredMessage[]>, minPhyOffset: number): void {
    this.#noteDelivered(messages);
    for (const { id, isPromised, isRecalled, isDelivered, time, logOffset } of this.#timed.values()) {
      if (!isPromised || isRecalled || isDelivered || (logOffset ?? 0) < minPhyOffset) continue;
      throw new Violation(`timed message ${id} was acknowledged for ${time}, and never comes`);
    }
  }

  #noteDelivered(messages: ReadonlyMap<string, readonly StoredMessage[]>): void {
    for (let queueId = 0; queueId < QUEUES; queueId++) {
      for (const message of messages.get(`${TIMED_TOPIC}-${queueId}`) ?? []) {
        const timed = this.#known(message);
        if (timed.queueId !== queueId) throw new Violation(`timed message ${timed.id} is in queue ${queueId}`);
        // The clock may be set back while the put is under way: its time was over when the delivery began.
        const cameAt = Math.max(message.storeTimestamp, Number(message.properties.TIMER_DEQUEUE_MS ?? 0));
        if (cameAt < timed.time) {
          throw new Violation(`timed message ${timed.id} is for ${timed.time}, and came at ${cameAt}`);
        }
        if (!timed.isDelivered) this.deliveredTotal++;
        timed.isDelivered = true;
      }
    }
  }

  #known({ body, commitLogOffset }: StoredMessage): Timed {
    const timed = this.#timed.get(idOfBody(body));
    if (timed === undefined) {
      throw new Violation(`there is a timed message that nobody sent, at ${commitLogOffset} of the log`);
    }
    return timed;
  }
}

/** Those who send timed messages, in one life of the broker. */
export class TimerSenders {
  readonly #model: TimerModel;
  readonly #scheduler: Scheduler;
  readonly #counters: RunCounters;
  readonly #request: (code: number, fields: ExtFields, body?: Buffer) => Promise<RemotingCommand>;

  constructor(
    model: TimerModel,
    scheduler: Scheduler,
    counters: RunCounters,
    request: (code: number, fields: ExtFields, body?: Buffer) => Promise<RemotingCommand>,
  ) {
    this.#model = model;
    this.#scheduler = scheduler;
    this.#counters = counters;
    this.#request = request;
  }

  async act(random: Random): Promise<void> {
    const earlier = random.chance(RECALL_RATE) ? this.#model.any(random) : undefined;
    if (earlier === undefined) return this.#send(random);
    earlier.isRecalled = true;
    this.#counters.timersRecalled++;
    const fields = { producerGroup: 'senders', topic: TIMED_TOPIC, recallHandle: earlier.handle! };
    await this.#request(RequestCode.RECALL_MESSAGE, fields);
  }

  async #send(random: Random): Promise<void> {
    const time = this.#scheduler.now() + random.integer(1, random.pick([50, 500, DELAY_MS_MAX]));
    const timed = this.#model.begin(time, random.integer(0, QUEUES - 1));
    this.#counters.timers++;
    const fields = sendFieldsOf(timed, this.#scheduler.now(), `TIMER_DELIVER_MS\u0001${time}\u0002`);
    const answer = await this.#request(RequestCode.SEND_MESSAGE_V2, fields, bodyOf(timed, random));
    if (noteAnswer(timed, answer, this.#model.options)) timed.handle = answer.extFields!.recallHandle;
  }
}
