import type { Clock, MessageExt, MessageStore, StoreLogger } from '@vernier/store';
import { decodeMessage, LineRate } from '@vernier/store/internal';
import { REVIVE_GROUP, TIMER_TOPIC } from '../base/names.ts';
import type { BrokerConfig } from '../config.ts';
import type { Place, PlaceTable } from '../follow/follow-places.ts';
import type { FollowService } from '../follow/follow-service.ts';
import type { FollowProgress } from '../follow/queue-follower.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import type { BrokerStats } from '../stats/broker-stats.ts';
import {
  ACK_TAG,
  BATCH_ACK_TAG,
  CHECK_POINT_EARLY_MS,
  CK_TAG,
  decodeAck,
  decodeCheckPoint,
  reviveTimeOf,
} from './check-point.ts';
import type { DurableOffsets } from './durable-offsets.ts';
import type { InFlight, InFlightTable } from './in-flight.ts';
import { logOffsetIn, type ReviveLog } from './revive-log.ts';
import type { ReviveRetries } from './revive-retries.ts';

/** How far timed messages have come. */
export interface TimedMessages {
  /** Those in front of this entry of their topic are known to whoever delivers them. */
  takenUpTo(): number;
  /** Unix milliseconds: of those, each one that asks for this time or an earlier one stands in its topic. */
  deliveredUpTo(): number;
}

export interface ReviveQueueParts {
  readonly config: BrokerConfig;
  readonly store: MessageStore;
  readonly offsets: ConsumerOffsetManager;
  readonly durable: DurableOffsets;
  readonly follow: FollowService;
  readonly inFlight: InFlightTable;
  readonly log: ReviveLog;
  readonly retries: ReviveRetries;
  readonly stats: BrokerStats;
  readonly timed: TimedMessages;
  readonly clock: Clock;
  readonly logger: StoreLogger;
}

/** A checkpoint that the queue has given, and that is not done with. */
interface Pending {
  readonly entry: InFlight;
  /** Its place in the queue. */
  readonly queueOffset: number;
  /** Monotonic milliseconds: at the latest it is looked at then, whatever was done to the clock. */
  readonly dueAt: number;
  /** Of one whose acks are in the log alone: what was found out so far of where they are. */
  readonly acks: AcksBehind;
  /** Acks up to here of the queue were looked at ahead of their turn. */
  lookedTo: number;
  state: 'waiting' | 'running' | 'done';
  failures: number;
  notBefore: number;
}

/**
 * How to know that every ack of a checkpoint was read that was answered in its time: one after the other, an end of the log
 * behind the acks; of the timed messages, when that is dispatched; both once more, for those that were put back instead of
 * delivered; of the log again, when all are delivered; of the queue.
 */
interface AcksBehind {
  passes: number;
  log?: number | undefined;
  timedEnd?: number | undefined;
  deliveredLog?: number;
  queueEnd?: number;
}

/** A checkpoint is in the queue a second before its end; this much longer nothing keeps it. */
const DUE_SLACK_MS = 1_000;
/** A message that waits longer than the timer wheel is put back; an overdue one not more than once. */
const PASSES = 2;
/** How long to wait before a look again at what is not there yet. */
const LOOK_AGAIN_MS = 50;
/** Checkpoints that are given again at once, of one queue. */
const RUNNING_MAX = 16;
/** Checkpoints of one queue that were read and wait. */
const PENDING_MAX = 4_096;
/** Of these, those that are taken whatever the budget is; else deliveries that last for days would hold up all others. */
const PENDING_ANYWAY = 512;
const RETRY_MS = 100;
const RETRY_MS_MAX = 10_000;
const MESSAGES_AT_ONCE = 32;

/** An ack asks to come at the end of its checkpoint. */
const dueTimeOf = ({ properties }: MessageExt): number | undefined => {
  const text = properties.get('TIMER_DELIVER_MS');
  return text === undefined ? undefined : Number(text);
};

/**
 * One queue of the revive topic (RocketMQ PopReviveService). It follows the queue, gathers checkpoints and what acknowledges
 * them, and gives again what is left of each one when its time is over.
 *
 * The offset of CID_RMQ_SYS_REVIVE_GROUP is the last entry that is done with, as RocketMQ has it; it passes a checkpoint when
 * the copies of its messages are on disk, see DurableOffsets. After a crash the checkpoints behind it are given once more.
 *
 * A checkpoint of this process is due at its time: every ack of it was told here. One from before the last start is due
 * when the acks of its time, which are timed messages themselves, have come to the queue and were read.
 */
export class ReviveQueue {
  readonly #parts: ReviveQueueParts;
  readonly #queueId: number;
  readonly #details: { readonly CK: string; readonly ACK: string };
  /** In the order of the queue. */
  #pending: Pending[] = [];
  /** Entries in front of it have been read. */
  #readTo = 0;
  #savedTo = 0;
  /** What is done depends on the log up to here. */
  #logEnd = 0;
  #isLookingAhead = false;
  /** Given again now. A checkpoint that came twice is one entry, and waits for itself. */
  readonly #running = new Set<InFlight>();
  #timer: unknown;
  #stopped = false;
  #runs = new Set<Promise<void>>();
  readonly #badLines: LineRate;

  constructor(parts: ReviveQueueParts, queueId: number) {
    this.#parts = parts;
    this.#queueId = queueId;
    this.#details = { CK: `CK ${queueId}`, ACK: `ACK ${queueId}` };
    this.#badLines = new LineRate(parts.clock);
  }

  /** Checkpoints that were read and are not done with. */
  get pendingCount(): number {
    return this.#pending.length;
  }

  /** How long ago the first of these was due, at `now`, Unix milliseconds; 0 when none is. */
  overdueMs(now: number): number {
    const first = this.#pending[0];
    return first === undefined ? 0 : Math.max(0, now - reviveTimeOf(first.entry.point));
  }

  /** Entries of the queue that are not done with. */
  get behind(): number {
    return Math.max(0, this.#end - this.#doneTo);
  }

  start(): void {
    const { follow, log } = this.#parts;
    const from = this.#begin();
    this.#readTo = from;
    this.#savedTo = from;
    // The offset of the group stands for the place: after a restart it is given again what it was given before.
    const places: PlaceTable = {
      get: () => ({ queueOffset: from, last: undefined }),
      set: (_name, place: Place) => {
        this.#readTo = place.queueOffset;
        this.#save();
      },
    };
    follow.follow({
      name: `pop-revive-${this.#queueId}`,
      topic: log.topic,
      queueId: this.#queueId,
      places,
      messagesMax: MESSAGES_AT_ONCE,
      act: (messages) => this.#read(messages),
    });
  }

  /** What is running is let end. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== undefined) this.#parts.clock.clearTimer(this.#timer);
    this.#timer = undefined;
    await Promise.all(this.#runs);
    if (!this.#parts.store.isClosed) this.#save();
  }

  /** RocketMQ commits the entry that is done, and goes on with the next one. */
  #begin(): number {
    const { offsets, store, log, logger } = this.#parts;
    const committed = offsets.query(REVIVE_GROUP, log.topic, this.#queueId);
    const min = Math.max(0, store.getMinOffsetInQueue(log.topic, this.#queueId));
    const wanted = committed < 0 ? min : committed + 1;
    const from = Math.min(Math.max(wanted, min), this.#end);
    if (from !== wanted) {
      const message = `redelivery of POP goes on at ${from} of revive queue ${this.#queueId}: its offset is ${committed}, the queue goes from ${min} to ${this.#end}`;
      logger.warn({ queueId: this.#queueId, committed, from, min, max: this.#end }, message);
    }
    return from;
  }

  get #end(): number {
    return this.#parts.store.getMaxOffsetInQueue(this.#parts.log.topic, this.#queueId);
  }

  async #read(messages: readonly MessageExt[]): Promise<FollowProgress> {
    let done = 0;
    for (const message of messages) {
      if (!this.#take(message)) break;
      done++;
    }
    if (done > 0) this.#readTo = (messages[done - 1] as MessageExt).queueOffset + 1;
    this.#look();
    return done === messages.length ? { done } : { done, waitMs: LOOK_AGAIN_MS };
  }

  /** False: there is no room for it now. */
  #take(message: MessageExt): boolean {
    const tag = message.properties.get('TAGS');
    if (tag === ACK_TAG || tag === BATCH_ACK_TAG) {
      this.#takeAck(message);
      return true;
    }
    if (tag !== CK_TAG) return true;
    const { inFlight, config, clock } = this.#parts;
    const decoded = decodeCheckPoint(message.body, config.brokerName);
    if (decoded === undefined) {
      this.#bad(message, 'no checkpoint');
      return true;
    }
    const point = { ...decoded, logOffset: logOffsetIn(message) };
    if (this.#pending.length >= PENDING_MAX) return false;
    const entry = inFlight.read(point, this.#queueId, this.#pending.length < PENDING_ANYWAY);
    if (entry === undefined) return false;
    this.#parts.stats.meters?.countEvent('reviveOut', point.topic, point.group, 1, this.#details.CK);
    const dueAt = clock.monotonic() + CHECK_POINT_EARLY_MS + DUE_SLACK_MS;
    const { queueOffset } = message;
    const unseen = { acks: { passes: 0 }, lookedTo: 0, failures: 0, notBefore: 0 };
    this.#pending.push({ entry, queueOffset, dueAt, ...unseen, state: 'waiting' });
    return true;
  }

  #takeAck(message: MessageExt): void {
    const { inFlight, config } = this.#parts;
    const ack = decodeAck(message.body, config.brokerName);
    if (ack === undefined) {
      this.#bad(message, 'no ack');
      return;
    }
    // Without its checkpoint it is one of those that were told here too, and are done with.
    inFlight.acked(ack, dueTimeOf(message));
    this.#parts.stats.meters?.countEvent('reviveOut', ack.topic, ack.group, 1, this.#details.ACK);
  }

  #bad({ queueOffset, commitLogOffset }: MessageExt, why: string): void {
    const failedBefore = this.#badLines.admit();
    if (failedBefore === undefined) return;
    const message = `entry ${queueOffset} of revive queue ${this.#queueId} is passed over: ${why}`;
    this.#parts.logger.error({ queueId: this.#queueId, queueOffset, commitLogOffset, failedBefore }, message);
  }

  /** Begins with what is due, and sets the timer for what is next. */
  #look(): void {
    if (this.#stopped || this.#parts.store.isClosed) return;
    const { clock } = this.#parts;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const pending of this.#pending) {
      if (pending.state !== 'waiting') continue;
      if (this.#running.size >= RUNNING_MAX) break;
      if (this.#running.has(pending.entry)) continue;
      const waitMs = pending.entry.isDone ? 0 : this.#waitMs(pending);
      if (waitMs > 0) nextMs = Math.min(nextMs, waitMs);
      else this.#run(pending);
    }
    this.#save();
    if (this.#timer !== undefined) clock.clearTimer(this.#timer);
    this.#timer = nextMs === Number.POSITIVE_INFINITY ? undefined : clock.setTimer(() => this.#tick(), nextMs);
  }

  #tick(): void {
    this.#timer = undefined;
    this.#look();
  }

  #waitMs(pending: Pending): number {
    const { clock } = this.#parts;
    const monotonic = clock.monotonic();
    const reviveTime = reviveTimeOf(pending.entry.point);
    const left = Math.min(reviveTime - clock.now(), pending.dueAt - monotonic);
    if (left > 0) return left;
    if (pending.notBefore > monotonic) return pending.notBefore - monotonic;
    if (pending.entry.knowsAllAcks) return 0;
    const queueEnd = this.#endOfAcks(pending.acks, reviveTime);
    if (queueEnd === undefined) return LOOK_AGAIN_MS;
    if (Math.max(this.#readTo, pending.lookedTo) >= queueEnd) return 0;
    // Reading stands still when there is no room for more checkpoints, and this one waits for what is behind them.
    this.#lookAhead(pending, queueEnd);
    return LOOK_AGAIN_MS;
  }

  /** Where the acks of this time end in the queue; undefined: they are not all there yet. */
  #endOfAcks(acks: AcksBehind, reviveTime: number): number | undefined {
    const { timed, store } = this.#parts;
    while (acks.passes < PASSES) {
      acks.log ??= store.maxPhyOffset;
      if (store.dispatchedWhere < acks.log) return undefined;
      acks.timedEnd ??= store.getMaxOffsetInQueue(TIMER_TOPIC, 0);
      if (timed.takenUpTo() < acks.timedEnd || timed.deliveredUpTo() < reviveTime) return undefined;
      acks.log = undefined;
      acks.timedEnd = undefined;
      acks.passes++;
    }
    acks.deliveredLog ??= store.maxPhyOffset;
    if (store.dispatchedWhere < acks.deliveredLog) return undefined;
    acks.queueEnd ??= this.#end;
    return acks.queueEnd;
  }

  /** Takes the acks that are behind what has been read. */
  #lookAhead(pending: Pending, end: number): void {
    if (pending !== this.#pending[0] || this.#isLookingAhead) return;
    this.#isLookingAhead = true;
    this.#track(
      this.#readAcks(this.#readTo, end).then(
        () => {
          for (const other of this.#pending) other.lookedTo = Math.max(other.lookedTo, end);
          this.#isLookingAhead = false;
          this.#look();
        },
        () => {
          this.#isLookingAhead = false;
        },
      ),
    );
  }

  async #readAcks(from: number, end: number): Promise<void> {
    const { store, log, inFlight, config } = this.#parts;
    for (let at = from; at < end && !this.#stopped; ) {
      const { records, nextBeginOffset } = await store.getMessage('', log.topic, this.#queueId, at, MESSAGES_AT_ONCE);
      for (const record of records) {
        const message = decodeMessage(record);
        if (message === undefined || message.properties.get('TAGS') === CK_TAG) continue;
        const ack = decodeAck(message.body, config.brokerName);
        if (ack !== undefined) inFlight.acked(ack, dueTimeOf(message));
      }
      if (nextBeginOffset <= at) return;
      at = nextBeginOffset;
    }
  }

  #run(pending: Pending): void {
    pending.state = 'running';
    this.#running.add(pending.entry);
    this.#track(this.#revive(pending).finally(() => this.#ended(pending.entry)));
  }

  #ended(entry: InFlight): void {
    this.#running.delete(entry);
    this.#look();
  }

  #track(run: Promise<void>): void {
    const tracked: Promise<void> = run.finally(() => this.#runs.delete(tracked));
    this.#runs.add(tracked);
  }

  async #revive(pending: Pending): Promise<void> {
    const { retries, inFlight, clock, logger } = this.#parts;
    try {
      const logEnd = pending.entry.isDone ? 0 : await retries.revive(pending.entry);
      this.#logEnd = Math.max(this.#logEnd, logEnd);
      // A timed message may come twice.
      pending.entry.done();
      inFlight.remove(pending.entry);
      pending.state = 'done';
    } catch (error) {
      pending.failures++;
      const pauseMs = Math.min(RETRY_MS * 2 ** Math.min(pending.failures, 20), RETRY_MS_MAX);
      pending.notBefore = clock.monotonic() + pauseMs;
      pending.state = 'waiting';
      const failedBefore = this.#badLines.admit();
      if (failedBefore === undefined || this.#parts.store.isClosed) return;
      const message = `redelivery failed, attempt ${pending.failures}, again in ${pauseMs} ms: ${(error as Error).message}`;
      logger.error({ err: error, ...pending.entry.point, failedBefore }, message);
    }
  }

  /** Entries in front of it are done with. */
  get #doneTo(): number {
    return this.#pending[0]?.queueOffset ?? this.#readTo;
  }

  #save(): void {
    const { durable, log } = this.#parts;
    let done = 0;
    while (this.#pending[done]?.state === 'done') done++;
    if (done > 0) this.#pending = this.#pending.slice(done);
    const doneTo = this.#doneTo;
    if (doneTo <= this.#savedTo) return;
    this.#savedTo = doneTo;
    durable.advance(REVIVE_GROUP, log.topic, this.#queueId, doneTo - 1, this.#logEnd);
  }
}
