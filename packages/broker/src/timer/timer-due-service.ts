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
/** Slots put back before it is looked again whether something is due. */
const PUT_BACK_SLOTS = 4;

/**
 * Delivers what is due (RocketMQ TimerDequeueGetService and those behind it). A slot is due when its time is over by the
 * clock, which may be set: nothing is delivered before its time by the clock of that moment.
 *
 * - The first slot is fired first, its oldest message first. Recalls of a slot are read before its messages.
 * - A slot waits for the intake to have read what was put before it was due.
 * - A delivery that fails is tried again until it succeeds; those behind it wait.
 * - What waits farther ahead than a message would be put now, for a minute, is put back while nothing is due: its record would
 *   be gone by then. What the intake waits for is put back in turn with what is due. A slot that fails is tried again later.
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
  /** The intake waits for what is so many slots ahead, or more, to be put back. */
  #inTheWay: number | undefined;
  /** Something was put back since the last slot that was due: that has its turn. */
  #isDueNext = false;
  /** The slot that could not be put back last: those above it are tried first. */
  #failedSlot: number | undefined;
  #putBackFailures = 0;
  /** By the monotonic clock: nothing is put back before. */
  #putBackAt = 0;
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
    this.#inTheWay = limit - this.#nowSlot;
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
    const { lowest } = files;
    this.#awaited = lowest;
    if (lowest === undefined) {
      this.#inTheWay = undefined;
      return undefined;
    }
    const limit = this.#putBackLimit();
    const dueAt = (lowest + 1) * files.precisionMs;
    const left = dueAt - clock.now();
    const pauseMs = this.#putBackAt - clock.monotonic();
    const isItsTurn = left > 0 || (this.#inTheWay !== undefined && !this.#isDueNext);
    if (limit !== undefined && pauseMs <= 0 && isItsTurn) {
      this.#isDueNext = true;
      await this.#putBack(limit);
      return 0;
    }
    if (left > 0) return Math.min(left, LOOK_AGAIN_MS, limit === undefined ? LOOK_AGAIN_MS : pauseMs);
    if (!this.#hasIntakeCaughtUp(dueAt)) return INTAKE_LOOK_MS;
    await this.#fire(lowest, false);
    this.#isDueNext = false;
    return 0;
  }

  get #nowSlot(): number {
    return Math.floor(this.#parts.clock.now() / this.#parts.files.precisionMs);
  }

  get #isAnyDue(): boolean {
    const { lowest } = this.#parts.files;
    return lowest !== undefined && lowest < this.#nowSlot;
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

  /**
   * What waits above this is to be put back now; undefined: nothing. The clock was ahead when it was taken up, or the log was
   * kept for longer.
   */
  #putBackLimit(): number | undefined {
    const { files, clock, farthest } = this.#parts;
    const limit = farthest();
    const isTooFar = files.above(limit, 1).length > 0;
    this.#tooFarSince = isTooFar ? (this.#tooFarSince ?? clock.monotonic()) : undefined;
    if (this.#inTheWay !== undefined) {
      const inTheWay = this.#nowSlot + this.#inTheWay;
      if (files.above(inTheWay, 1).length > 0) return inTheWay;
      this.#inTheWay = undefined;
    }
    return isTooFar && clock.monotonic() - this.#tooFarSince! >= TOO_FAR_MS ? limit : undefined;
  }

  /** Some slots, as long as nothing is due. After one that fails there is a pause, and then the next one comes first. */
  async #putBack(limit: number): Promise<void> {
    const { files, store, clock, logger } = this.#parts;
    let numbers = files.above(Math.max(limit, this.#failedSlot ?? limit), PUT_BACK_SLOTS);
    if (numbers.length === 0) numbers = files.above(limit, PUT_BACK_SLOTS);
    for (const number of numbers) {
      if (this.stopped) return;
      try {
        await this.#fire(number, true);
        this.#putBackFailures = 0;
      } catch (error) {
        if (this.stopped || store.isClosed || files.failure !== undefined) throw error;
        files.leave();
        const pauseMs = Math.min(RETRY_MS * 2 ** Math.min(this.#putBackFailures, 30), RETRY_MS_MAX);
        this.#putBackFailures++;
        this.#failedSlot = number;
        this.#putBackAt = clock.monotonic() + pauseMs;
        const fields = { err: error, number, attempt: this.#putBackFailures };
        logger.error(fields, `timed messages of slot ${number} could not be put back; again in ${pauseMs} ms`);
        return;
      }
      if (this.#isAnyDue) return;
    }
    // The one that failed has its turn again.
    if (numbers.length < PUT_BACK_SLOTS) this.#failedSlot = undefined;
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
    let doneCount = 0;
    for await (const segment of units.segments()) {
      for (let from = 0; from < segment.length; ) {
        // One that fails leaves none behind it put back, which would be put back again.
        const batch = batchFrom(segment, from, isPutBack ? 1 : BATCH_MESSAGES);
        if (!(await this.#deliverAll(batch, recalled, isPutBack))) return files.leave();
        left -= batch.filter(({ unit }) => !isMarker(unit)).length;
        from += batch.length;
        this.#parts.fired(batch.length);
        await files.cut(number, batch.at(-1)!.position + UNIT_BYTES, Math.max(0, left));
        doneCount += batch.length;
        const isTurnOver = isPutBack && this.#isAnyDue && (this.#inTheWay === undefined || doneCount >= BATCH_MESSAGES);
        if (this.stopped || isTurnOver) return files.leave();
      }
    }
    await files.finish(number);
    this.#parts.fired(0);
    if (files.waitingCount === 0) this.#parts.metrics.clear();
  }

  /** Resolves with true when all are done, with false when the service stops before. Rejects when one cannot be put back. */
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
      if (isPutBack) throw failure;
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

function batchFrom(units: readonly PlacedUnit[], from: number, messagesMax: number): PlacedUnit[] {
  let bytes = 0;
  let to = from;
  while (to < units.length && to - from < messagesMax) {
    bytes += units[to]!.unit.size;
    if (bytes > BATCH_BYTES && to > from) break;
    to++;
  }
  return units.slice(from, to);
}
