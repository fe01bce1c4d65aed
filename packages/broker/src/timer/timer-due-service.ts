import type { Clock, MessageExt, MessageStore, StoreLogger } from '@vernier/store';
import {
  decodeMessage,
  ServiceLoop,
  type TimerFiles,
  TimerMagic,
  type TimerUnit,
  UNIT_BYTES,
} from '@vernier/store/internal';
import { TIMER_TOPIC } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import { type DueDeliveries, deliveryFailure, LOOK_AGAIN_MS, RETRY_MS, RETRY_MS_MAX } from '../delay/due-deliveries.ts';
import { RecalledKeys } from './recalled-keys.ts';
import { type PlacedUnit, SlotUnits } from './slot-units.ts';
import type { TimerMetrics } from './timer-metrics.ts';

export interface TimerDueParts {
  readonly store: Pick<
    MessageStore,
    'selectOneMessageByOffset' | 'getMaxOffsetInQueue' | 'isClosed' | 'failure' | 'minPhyOffset'
  >;
  readonly files: TimerFiles;
  readonly metrics: TimerMetrics;
  readonly deliveries: DueDeliveries;
  /** How far the intake is in the queue, and whether it cannot go on. */
  readonly intake: { readonly queueOffset: number; readonly isStuck: boolean };
  readonly clock: Clock;
  readonly logger: StoreLogger;
  /** Number of the last slot into which a message would be put now. */
  farthest(): number;
  /** So many messages are done, or some slots are. */
  fired(count: number): void;
}

/** Messages delivered together, and their bytes, unless one alone has more. */
const BATCH_MESSAGES = 256;
const BATCH_BYTES = 4 * 1024 * 1024;
/** The longest time that a due slot waits for an intake that does not move; it may be about to bring a recall. */
const INTAKE_WAIT_MS = 1_000;
const INTAKE_LOOK_MS = 20;
/** A clock that was behind is mostly set right within seconds of a start: then nothing need be stored anew. */
const TOO_FAR_MS = 60_000;

/**
 * Delivers what is due (RocketMQ TimerDequeueGetService and those behind it). A slot is due when its time is over by the
 * clock, which may be set: nothing is delivered before its time by the clock of that moment.
 *
 * - The first slot is fired first, its oldest message first. Recalls of a slot are read before its messages.
 * - A slot waits for the intake to have read what was put before it was due.
 * - A delivery that fails is tried again until it succeeds; those behind it wait.
 * - What waits farther ahead than a message would be put now, for a minute, is put back: its record would be gone by then.
 * - It sleeps until the first slot is due, at most a second when there is one; without one it has no timer.
 */
export class TimerDueService extends ServiceLoop {
  readonly #parts: TimerDueParts;
  /** When the loop ends its wait by itself: the slot it waits for. */
  #awaited: number | undefined;
  /** The end of the queue at `at`, by the clock; how far the intake was when it moved last, and when that was. */
  #intakeTarget: { end: number; at: number; queueOffset: number; since: number } | undefined;
  /** What was put before this time was taken up. */
  #caughtUpAt = 0;
  #putBackAbove: number | undefined;
  /** By the monotonic clock. */
  #tooFarSince: number | undefined;
  #failures = 0;
  #firedTotal = 0;
  #recalledTotal = 0;

  constructor(parts: TimerDueParts) {
    super(parts.clock);
    this.#parts = parts;
  }

  /** Messages whose time has come since the start, whatever became of them. */
  get firedTotal(): number {
    return this.#firedTotal;
  }

  get recalledTotal(): number {
    return this.#recalledTotal;
  }

  /** A message waits in this slot. */
  added(number: number): void {
    if (this.#awaited === undefined || number < this.#awaited) this.wakeup();
  }

  /** The intake has come further. */
  intakeMoved(): void {
    if (this.#intakeTarget !== undefined) this.wakeup();
  }

  /** What waits in slots above `limit` is to be put back: a clock that was ahead put it there, and it is in the way. */
  putBackAbove(limit: number): void {
    this.#putBackAbove = limit;
    this.wakeup();
  }

  protected override async run(): Promise<void> {
    while (!this.stopped) {
      let pauseMs: number | undefined;
      try {
        pauseMs = await this.#round();
        this.#failures = 0;
      } catch (error) {
        this.#parts.files.leave();
        if (this.stopped || this.#parts.store.isClosed || this.#parts.files.failure !== undefined) break;
        pauseMs = this.#failed(error);
      }
      if (pauseMs !== 0) await this.waitForRunning(pauseMs);
    }
  }

  protected override onDied(error: unknown): void {
    this.#parts.logger.error({ err: error }, `timed messages are delivered no more: ${String(error)}`);
  }

  /** Milliseconds to wait before the next one; undefined: until there is something. */
  async #round(): Promise<number | undefined> {
    const { files, clock, store } = this.#parts;
    if (store.failure !== undefined) return undefined;
    this.#lookTooFar();
    if (await this.#putBack()) return 0;
    const { lowest } = files;
    this.#awaited = lowest;
    if (lowest === undefined) return undefined;
    const dueAt = (lowest + 1) * files.precisionMs;
    const left = dueAt - clock.now();
    if (left > 0) return Math.min(left, LOOK_AGAIN_MS);
    if (!this.#hasIntakeCaughtUp(dueAt)) return INTAKE_LOOK_MS;
    await this.#fire(lowest, false);
    return 0;
  }

  /**
   * What was put before `dueAt` was taken up, or the intake does not move. However much there is: a recall may be the last of
   * it. Slots that were due when the end was looked at wait for it once.
   */
  #hasIntakeCaughtUp(dueAt: number): boolean {
    const { store, intake, clock } = this.#parts;
    const now = clock.now();
    if (dueAt <= this.#caughtUpAt && this.#caughtUpAt <= now) return true;
    const since = clock.monotonic();
    const { queueOffset } = intake;
    this.#intakeTarget ??= { end: store.getMaxOffsetInQueue(TIMER_TOPIC, 0), at: now, queueOffset, since };
    const target = this.#intakeTarget;
    if (queueOffset !== target.queueOffset) Object.assign(target, { queueOffset, since });
    if (queueOffset < target.end && !intake.isStuck && since - target.since < INTAKE_WAIT_MS) return false;
    if (queueOffset >= target.end) this.#caughtUpAt = target.at;
    this.#intakeTarget = undefined;
    return true;
  }

  /** The clock was ahead when something was taken up, or the log was kept for longer. */
  #lookTooFar(): void {
    const { files, clock, farthest } = this.#parts;
    const limit = farthest();
    const isTooFar = files.above(limit, 1).length > 0;
    this.#tooFarSince = isTooFar ? (this.#tooFarSince ?? clock.monotonic()) : undefined;
    if (isTooFar && clock.monotonic() - this.#tooFarSince! >= TOO_FAR_MS) this.#putBackAbove ??= limit;
  }

  /** True: some was put back. */
  async #putBack(): Promise<boolean> {
    const limit = this.#putBackAbove;
    if (limit === undefined) return false;
    this.#putBackAbove = undefined;
    const numbers = this.#parts.files.above(limit, 1_000);
    for (const number of numbers) {
      if (this.stopped) break;
      await this.#fire(number, true);
    }
    return numbers.length > 0;
  }

  async #fire(number: number, isPutBack: boolean): Promise<void> {
    const { files, logger } = this.#parts;
    const slot = await files.begin(number);
    if (slot === undefined) return;
    const units = new SlotUnits(files, slot);
    const recalled = new RecalledKeys();
    await units.look(async ({ unit }) => {
      if (this.stopped) throw new Error('the service stops');
      if (!isPutBack && isRecall(unit)) recalled.add((await this.#read(unit))?.properties);
    });
    if (units.isBroken) {
      const fields = { number, lastPos: slot.lastPos, firstPos: slot.firstPos };
      logger.error(
        fields,
        `timer log: the units of slot ${number} are not whole; it was searched for those that are left`,
      );
    }
    if (recalled.leftOut > 0) {
      logger.error({ number, recalls: recalled.leftOut }, `slot ${number} has too many recalls: these have no effect`);
    }
    let left = Math.max(0, slot.num);
    for await (const segment of units.segments()) {
      for (let from = 0; from < segment.length; ) {
        const batch = batchFrom(segment, from);
        if (!(await this.#deliverAll(batch, recalled, isPutBack))) return files.leave();
        left -= batch.filter(({ unit }) => !isMarker(unit)).length;
        from += batch.length;
        this.#parts.fired(batch.length);
        await files.cut(number, batch.at(-1)!.position + UNIT_BYTES, Math.max(0, left));
        if (this.stopped) return files.leave();
      }
    }
    await files.finish(number);
    this.#parts.fired(0);
    if (files.waitingCount === 0) this.#parts.metrics.clear();
  }

  /** Resolves with true when all are done, with false when the service stops before. */
  async #deliverAll(batch: readonly PlacedUnit[], recalled: RecalledKeys, isPutBack: boolean): Promise<boolean> {
    let pending = batch.map(({ unit }) => unit);
    for (let attempt = 0; ; attempt++) {
      // All are read before the first is put, so that they are put in their order.
      const read = await Promise.allSettled(pending.map((unit) => this.#read(unit)));
      const outcomes = await Promise.allSettled(
        pending.map((unit, i) => {
          const found = read[i]!;
          if (found.status === 'rejected') return Promise.reject(found.reason);
          return this.#deliver(unit, found.value, recalled, isPutBack);
        }),
      );
      let failure: unknown;
      pending = pending.filter((_, i) => {
        const outcome = outcomes[i]!;
        const isDone = outcome.status === 'fulfilled' && !(outcome.value instanceof Refusal);
        if (!isDone)
          failure ??= outcome.status === 'rejected' ? outcome.reason : deliveryFailure(outcome.value as Refusal);
        return !isDone;
      });
      if (pending.length === 0) return true;
      if (this.stopped || this.#parts.store.isClosed) return false;
      const pauseMs = Math.min(RETRY_MS * 2 ** Math.min(attempt, 30), RETRY_MS_MAX);
      const message = `${pending.length} timed messages could not be delivered; again in ${pauseMs} ms`;
      this.#parts.logger.error({ err: failure, attempt: attempt + 1 }, message);
      await this.#pause(pauseMs);
      if (this.stopped) return false;
    }
  }

  async #deliver(
    unit: TimerUnit,
    message: MessageExt | undefined,
    recalled: RecalledKeys,
    isPutBack: boolean,
  ): Promise<unknown> {
    const { deliveries, clock, store, logger } = this.#parts;
    if (message === undefined) {
      const { logOffset, size } = unit;
      const why = logOffset < store.minPhyOffset ? 'its record has expired' : 'there is no such record';
      logger.error({ logOffset, size, why }, `a timed message is not delivered: ${why} (log offset ${logOffset})`);
      return this.#done(unit, undefined);
    }
    const topic = message.properties.get('REAL_TOPIC');
    const isRoll = isPutBack || (unit.magic & TimerMagic.ROLL) !== 0 || !this.#isDue(message);
    if (!isRoll && (isMarker(unit) || recalled.has(message.properties))) {
      if (!isMarker(unit)) this.#recalledTotal++;
      return this.#done(unit, topic);
    }
    const added: [string, string][] = [
      ['TIMER_ENQUEUE_MS', String(unit.writeTimeMs)],
      ['TIMER_DEQUEUE_MS', String(clock.now())],
    ];
    let outcome: unknown;
    if (isRoll) {
      const times = Number(message.properties.get('TIMER_ROLL_TIMES') ?? 0) || 0;
      outcome = await deliveries.putBack(message, [...added, ['TIMER_ROLL_TIMES', String(times + 1)]]);
    } else {
      outcome = await deliveries.deliver(message, added);
    }
    if (!(outcome instanceof Refusal)) this.#done(unit, topic);
    return outcome;
  }

  /** No checksum covers a unit or a slot: of the time the message itself has the last word. */
  #isDue({ properties }: MessageExt): boolean {
    const { files, clock } = this.#parts;
    const outMs = Number(properties.get('TIMER_OUT_MS') ?? Number.NaN);
    const isLater = (Math.floor(outMs / files.precisionMs) + 1) * files.precisionMs > clock.now();
    return !isLater;
  }

  #done(unit: TimerUnit, topic: string | undefined): void {
    this.#firedTotal++;
    if (topic !== undefined && !isMarker(unit)) this.#parts.metrics.add(topic, -1);
  }

  /** Undefined: it is gone, or is no message that waits. Rejects STORE_READ_FAILED. */
  async #read({ logOffset, size }: TimerUnit): Promise<MessageExt | undefined> {
    const record = await this.#parts.store.selectOneMessageByOffset(logOffset, size);
    const message = record && decodeMessage(record);
    return message?.topic === TIMER_TOPIC ? message : undefined;
  }

  #failed(error: unknown): number {
    const pauseMs = Math.min(RETRY_MS * 2 ** Math.min(this.#failures, 30), RETRY_MS_MAX);
    this.#failures++;
    const fields = { err: error, attempt: this.#failures };
    this.#parts.logger.error(fields, `timed messages: a slot could not be fired; again in ${pauseMs} ms`);
    return pauseMs;
  }

  /** Wakeups do not end it. */
  async #pause(ms: number): Promise<void> {
    const until = this.clock.monotonic() + ms;
    while (!this.stopped) {
      const left = until - this.clock.monotonic();
      if (left <= 0) return;
      await this.waitForRunning(left);
    }
  }
}

/** It recalls another message of its slot. One that is put back first does so later. */
const isRecall = ({ magic }: TimerUnit): boolean =>
  (magic & TimerMagic.DELETE) !== 0 && (magic & TimerMagic.ROLL) === 0;

/** It is no message for anybody. */
const isMarker = ({ magic }: TimerUnit): boolean => (magic & TimerMagic.DELETE) !== 0;

function batchFrom(units: readonly PlacedUnit[], from: number): PlacedUnit[] {
  let bytes = 0;
  let to = from;
  while (to < units.length && to - from < BATCH_MESSAGES) {
    bytes += units[to]!.unit.size;
    if (bytes > BATCH_BYTES && to > from) break;
    to++;
  }
  return units.slice(from, to);
}
