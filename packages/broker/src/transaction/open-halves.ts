import type { MessageExt } from '@vernier/store';
import { type Budget, textBytes } from '../base/budget.ts';
import type { Refusal } from '../base/refusal.ts';
import type { HalfGate } from '../put/half-message.ts';
import { checkTimesOf, immunityMsOf, isForeignCopy } from './half.ts';

/** An entry with what keeps it, without the name of its topic. */
const HALF_BYTES = 320;
const halfBytes = ({ topic }: OpenHalf): number => HALF_BYTES + textBytes(topic);
/** The number of a half that ended before it was seen. */
const NUMBER_BYTES = 48;

export type Decision = 'committed' | 'rolled back' | 'given up';

/** A transaction of which nobody has said yet what is to become of it, or whose end is not on disk yet. */
export interface OpenHalf {
  /** Entry number of its first half: what all copies have in common. */
  readonly first: number;
  /** Where its message goes when it is committed. */
  readonly topic: string;
  /** When the first half was stored, Unix milliseconds, by our clock: the producer's may be wrong. */
  readonly firstStoredAt: number;
  /** How long its producer is not to be asked, as the message says. */
  readonly immunityMs: number | undefined;
  /** The newest copy that is on disk: entry number, offset in the log, size, time. */
  queueOffset: number;
  logOffset: number;
  bytes: number;
  storedAt: number;
  /** How often its producer was asked. */
  checks: number;
  /** Entry number of a copy that was put and is not known to be on disk. */
  copy: number | undefined;
  /** It was there before this start: a crash may have come between its message and the marker. */
  isInherited: boolean;
  decision: Decision | undefined;
  /** What the end is answered with, once there is one. */
  outcome: Promise<Refusal | undefined> | undefined;
  /** What is being done with it; one thing after the other. */
  busy: Promise<unknown> | undefined;
}

/**
 * The open transactions, by the entry number of their first half. Bounded by openTransactionBytesMax: beyond it no more
 * halves are taken. The messages stay on disk.
 */
export class OpenHalves implements HalfGate {
  readonly #halves = new Map<number, OpenHalf>();
  /** How many there are for a topic. */
  readonly #byTopic = new Map<string, number>();
  /** Copies that RocketMQ made and that do not name their first half, to that. */
  readonly #foreignCopies = new Map<number, number>();
  /** Halves that had ended before they were seen in their queue. */
  readonly #endedUnseen = new Set<number>();
  readonly #budget: Budget;
  /** Told when there is one where there was none. */
  onFirst: () => void = () => {};

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  fullReason(): string | undefined {
    return this.#budget.hasRoomFor(HALF_BYTES) ? undefined : this.#budget.reason;
  }

  get count(): number {
    return this.#halves.size;
  }

  get byTopic(): ReadonlyMap<string, number> {
    return this.#byTopic;
  }

  get(first: number): OpenHalf | undefined {
    return this.#halves.get(this.#foreignCopies.get(first) ?? first);
  }

  all(): IterableIterator<OpenHalf> {
    return this.#halves.values();
  }

  open(half: MessageExt, first: number, firstStoredAt: number, isInherited: boolean): OpenHalf {
    const topic = half.properties.get('REAL_TOPIC') ?? '';
    const open: OpenHalf = {
      first,
      topic,
      firstStoredAt,
      immunityMs: immunityMsOf(half),
      queueOffset: half.queueOffset,
      logOffset: half.commitLogOffset,
      bytes: half.storeSize,
      storedAt: half.storeTimestamp,
      checks: checkTimesOf(half),
      copy: undefined,
      isInherited,
      decision: undefined,
      outcome: undefined,
      busy: undefined,
    };
    this.#halves.set(open.first, open);
    this.#byTopic.set(topic, (this.#byTopic.get(topic) ?? 0) + 1);
    if (this.#halves.size === 1) this.onFirst();
    this.#budget.add(halfBytes(open));
    return open;
  }

  /** A copy of it is on disk. */
  moved(open: OpenHalf, copy: MessageExt): void {
    if (isForeignCopy(copy)) this.#foreignCopies.set(copy.queueOffset, open.first);
    open.queueOffset = copy.queueOffset;
    open.logOffset = copy.commitLogOffset;
    open.bytes = copy.storeSize;
    open.storedAt = copy.storeTimestamp;
    open.checks = Math.max(open.checks, checkTimesOf(copy));
    if (open.copy !== undefined && open.copy <= copy.queueOffset) open.copy = undefined;
  }

  /** Its end is on disk. `seenTo`: halves from there on are still to be seen, and are then no open ones. */
  remove(open: OpenHalf, seenTo: number): void {
    if (!this.#halves.delete(open.first)) return;
    this.#budget.give(halfBytes(open));
    const others = (this.#byTopic.get(open.topic) ?? 1) - 1;
    if (others === 0) this.#byTopic.delete(open.topic);
    else this.#byTopic.set(open.topic, others);
    if (this.#foreignCopies.size > 0) {
      for (const [copy, first] of this.#foreignCopies) if (first === open.first) this.#foreignCopies.delete(copy);
    }
    for (const queueOffset of [open.queueOffset, open.copy ?? -1]) {
      if (queueOffset < seenTo || this.#endedUnseen.has(queueOffset)) continue;
      this.#endedUnseen.add(queueOffset);
      this.#budget.add(NUMBER_BYTES);
    }
  }

  isEndedUnseen(queueOffset: number): boolean {
    return this.#endedUnseen.has(queueOffset);
  }

  /** True, once, for a half that ended before it was seen. */
  takeEndedUnseen(queueOffset: number): boolean {
    if (!this.#endedUnseen.delete(queueOffset)) return false;
    this.#budget.give(NUMBER_BYTES);
    return true;
  }

  /** Entry number of the oldest half that a start has to see again; `seenTo` when there is none in front of it. */
  head(seenTo: number): number {
    let head = seenTo;
    for (const { queueOffset } of this.#halves.values()) if (queueOffset < head) head = queueOffset;
    return head;
  }
}
