import { type Budget, textBytes } from '../base/budget.ts';
import { indexOfAck, mergeKeyOf, type PopAck, type PopCheckPoint, reviveTimeOf } from './check-point.ts';

/** A checkpoint whose messages may come again, and which of them were acknowledged. */
export class InFlight {
  readonly point: PopCheckPoint;
  readonly reviveQueueId: number;
  /** A bit for each message. */
  acked = 0;
  /**
   * It was given out by this process, so every ack of it was told here. Otherwise some are in the log alone: those that were
   * given before the last start.
   */
  knowsAllAcks: boolean;
  /** Another checkpoint with the same key. */
  twin: InFlight | undefined;

  constructor(point: PopCheckPoint, reviveQueueId: number, knowsAllAcks: boolean) {
    this.point = point;
    this.reviveQueueId = reviveQueueId;
    this.knowsAllAcks = knowsAllAcks;
  }

  isAcked(index: number): boolean {
    return ((this.acked >>> index) & 1) === 1;
  }

  /** Nothing of it has to come again. */
  get isDone(): boolean {
    return this.point.diffs.every((_, index) => this.isAcked(index));
  }

  /** All of it has come again, or need not. */
  done(): void {
    this.acked = -1;
  }

  /** One of these is a message of it that was not acknowledged. */
  lacksAny(queueOffsets: readonly number[]): boolean {
    return queueOffsets.some((queueOffset) => {
      const index = indexOfAck(this.point, queueOffset);
      return index >= 0 && !this.isAcked(index);
    });
  }

  /** The same checkpoint, read once more: timed messages may come twice. */
  isOf({ diffs, invisibleMs }: PopCheckPoint): boolean {
    const { point } = this;
    if (point.invisibleMs !== invisibleMs || point.diffs.length !== diffs.length) return false;
    return diffs.every((diff, index) => point.diffs[index] === diff);
  }

  ack(queueOffsets: readonly number[]): void {
    for (const queueOffset of queueOffsets) {
      const index = indexOfAck(this.point, queueOffset);
      if (index >= 0) this.acked |= 1 << index;
    }
  }
}

interface EarlyAck {
  readonly queueOffsets: Set<number>;
  readonly forgottenAt: number;
}

const pointBytes = (key: string, point: PopCheckPoint): number =>
  400 + textBytes(key) + textBytes(point.topic) + textBytes(point.group) + 8 * point.diffs.length;
const EARLY_ACK_BYTES = 200;
const OFFSET_BYTES = 40;

/**
 * How long an ack waits for its checkpoint, which a start that is late has not read yet; and how long it is known that one from
 * before the start is done with.
 */
const EARLY_ACK_MS = 180_000;
/** Acks of one checkpoint that waits for it. */
const EARLY_OFFSETS_MAX = 32;

/**
 * The checkpoints in memory: those that this process gave out, and those that the revive topic has given for redelivery
 * (the merge of RocketMQ's PopReviveService).
 *
 * It holds nothing that is not in the log: checkpoint and ack are written before the pop, or the ack, is answered. RocketMQ
 * can hold both back in memory (enablePopBufferMerge, off by default in 5.5.0) and save the write when the ack is quick;
 * a kill then loses acks that were answered. Writing first costs a record each and needs no second way to recover.
 *
 * The budget popInFlightBytesMax bounds it. A checkpoint that has no room is redelivered from the log alone, which takes
 * as long as timed messages are late.
 *
 * No two checkpoints that this process gives have the same key, see `claim`. RocketMQ makes them, by two changes of a
 * delivery in one millisecond: each of them stands here for itself, and the time that an ack was to come at says whose it is.
 */
export class InFlightTable {
  readonly #budget: Budget;
  readonly #monotonic: () => number;
  readonly #points = new Map<string, InFlight>();
  readonly #earlyAcks = new Map<string, EarlyAck>();
  /** Keys of checkpoints that are being put; bounded by the requests under way. */
  readonly #claimed = new Set<string>();
  #count = 0;

  constructor(budget: Budget, monotonic: () => number) {
    this.#budget = budget;
    this.#monotonic = monotonic;
  }

  get count(): number {
    return this.#count;
  }

  *all(): Iterable<InFlight> {
    for (const first of this.#points.values()) {
      for (let entry: InFlight | undefined = first; entry !== undefined; entry = entry.twin) yield entry;
    }
  }

  /** False: there is one with this key. Otherwise nobody else gets the key before `unclaim`. */
  claim(point: PopCheckPoint): boolean {
    const key = mergeKeyOf(point);
    if (this.#points.has(key) || this.#claimed.has(key)) return false;
    this.#claimed.add(key);
    return true;
  }

  /** Its put has ended. */
  unclaim(point: PopCheckPoint): void {
    this.#claimed.delete(mergeKeyOf(point));
  }

  /** What an ack is for: `dueTime` is the end of its checkpoint, in Unix milliseconds, when that is known. */
  *of(key: Parameters<typeof mergeKeyOf>[0], dueTime: number | undefined): Iterable<InFlight> {
    const first = this.#points.get(mergeKeyOf(key));
    if (first?.twin === undefined) {
      if (first !== undefined) yield first;
      return;
    }
    const all: InFlight[] = [];
    for (let entry: InFlight | undefined = first; entry !== undefined; entry = entry.twin) all.push(entry);
    const exact = all.filter(({ point }) => reviveTimeOf(point) === dueTime);
    yield* exact.length > 0 ? exact : all;
  }

  /** Given out by this process. */
  gaveOut(point: PopCheckPoint, reviveQueueId: number): void {
    const known = this.#find(point);
    if (known !== undefined) known.knowsAllAcks = true;
    else this.#add(point, reviveQueueId, true);
  }

  #find(point: PopCheckPoint): InFlight | undefined {
    let entry = this.#points.get(mergeKeyOf(point));
    while (entry !== undefined && !entry.isOf(point)) entry = entry.twin;
    return entry;
  }

  /** Read from the revive topic. Undefined when there is no room for it now; `isForced`: it is taken all the same. */
  read(point: PopCheckPoint, reviveQueueId: number, isForced: boolean): InFlight | undefined {
    return this.#find(point) ?? this.#add(point, reviveQueueId, false, isForced);
  }

  #add(point: PopCheckPoint, reviveQueueId: number, knowsAllAcks: boolean, isForced = false): InFlight | undefined {
    const key = mergeKeyOf(point);
    const bytes = pointBytes(key, point);
    if (isForced) this.#budget.add(bytes);
    else if (!this.#budget.take(bytes)) return undefined;
    const entry = new InFlight(point, reviveQueueId, knowsAllAcks);
    const early = this.#earlyAcks.get(key);
    if (early !== undefined) {
      entry.ack([...early.queueOffsets]);
      this.#forgetEarly(key, early);
    }
    entry.twin = this.#points.get(key);
    this.#points.set(key, entry);
    this.#count++;
    return entry;
  }

  /** An ack that is in the log, see `of`. False: its checkpoint is not known. */
  acked(ack: PopAck, dueTime: number | undefined): boolean {
    let isKnown = false;
    for (const entry of this.of(ack, dueTime)) {
      isKnown = true;
      entry.ack(ack.queueOffsets);
    }
    return isKnown;
  }

  /** The same; it is kept for a checkpoint that a start has not read yet. */
  ackedNow(ack: PopAck, dueTime: number): void {
    if (!this.acked(ack, dueTime)) this.#ackedEarly(mergeKeyOf(ack), ack);
  }

  /** Its checkpoint is not known: it is done with, or still on its way. */
  #ackedEarly(key: string, ack: PopAck): void {
    const now = this.#monotonic();
    for (const [oldKey, old] of this.#earlyAcks) {
      if (old.forgottenAt > now) break;
      this.#forgetEarly(oldKey, old);
    }
    let early = this.#earlyAcks.get(key);
    if (early === undefined) {
      if (!this.#budget.take(EARLY_ACK_BYTES + textBytes(key))) return;
      early = { queueOffsets: new Set(), forgottenAt: now + EARLY_ACK_MS };
      this.#earlyAcks.set(key, early);
    }
    for (const queueOffset of ack.queueOffsets) {
      if (early.queueOffsets.has(queueOffset) || early.queueOffsets.size >= EARLY_OFFSETS_MAX) continue;
      if (!this.#budget.take(OFFSET_BYTES)) return;
      early.queueOffsets.add(queueOffset);
    }
  }

  #forgetEarly(key: string, early: EarlyAck): void {
    this.#earlyAcks.delete(key);
    this.#budget.give(EARLY_ACK_BYTES + textBytes(key) + OFFSET_BYTES * early.queueOffsets.size);
  }

  /** Everything of it was acknowledged or has come again. */
  remove(entry: InFlight): void {
    const { point, knowsAllAcks } = entry;
    const key = mergeKeyOf(point);
    // After a power cut a timed message may come twice, the second time behind those that acknowledge it.
    if (!knowsAllAcks) {
      const queueOffsets = point.diffs.map((diff) => point.startOffset + diff);
      this.#ackedEarly(key, { ...point, queueOffsets });
    }
    const first = this.#points.get(key);
    if (first === entry) {
      if (entry.twin === undefined) this.#points.delete(key);
      else this.#points.set(key, entry.twin);
    } else {
      let before = first;
      while (before !== undefined && before.twin !== entry) before = before.twin;
      if (before === undefined) return;
      before.twin = entry.twin;
    }
    entry.twin = undefined;
    this.#count--;
    this.#budget.give(pointBytes(key, entry.point));
  }
}
