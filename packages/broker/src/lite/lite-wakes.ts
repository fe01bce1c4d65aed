import type { Clock } from '@vernier/store';

const SLOT_MS = 1_000;

/** A light queue of a group that is blocked until its messages come again. */
export interface Blocked {
  readonly group: string;
  readonly lmq: string;
}

/**
 * Says within a second when blocked light queues are free again. A timer runs only while there is one. Bounded by the batches
 * that are out (OrderInfos).
 */
export class LiteWakes {
  readonly #clock: Pick<Clock, 'now' | 'setTimer' | 'clearTimer'>;
  readonly #wake: (blocked: Blocked) => void;
  /** By the second in which they are due, then by group and queue: one is due once. */
  readonly #slots = new Map<number, Map<string, Blocked>>();
  readonly #slotOf = new Map<string, number>();
  #timer: unknown;
  /** When it looked last, seconds. */
  #lookedAt = 0;

  constructor(clock: Pick<Clock, 'now' | 'setTimer' | 'clearTimer'>, wake: (blocked: Blocked) => void) {
    this.#clock = clock;
    this.#wake = wake;
  }

  /** `until`: Unix milliseconds; a later call for the same queue takes the place of an earlier one. */
  at(group: string, lmq: string, until: number): void {
    const key = `${lmq}@${group}`;
    this.#forget(key);
    const slot = Math.floor(until / SLOT_MS) + 1;
    const blocked = this.#slots.get(slot) ?? new Map<string, Blocked>();
    blocked.set(key, { group, lmq });
    this.#slots.set(slot, blocked);
    this.#slotOf.set(key, slot);
    if (this.#timer === undefined) {
      this.#lookedAt = Math.floor(this.#clock.now() / SLOT_MS);
      this.#timer = this.#clock.setTimer(this.#tick, SLOT_MS);
    }
  }

  stop(): void {
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
    this.#slots.clear();
    this.#slotOf.clear();
  }

  #forget(key: string): void {
    const slot = this.#slotOf.get(key);
    if (slot === undefined) return;
    this.#slotOf.delete(key);
    const blocked = this.#slots.get(slot);
    blocked?.delete(key);
    if (blocked?.size === 0) this.#slots.delete(slot);
  }

  readonly #tick = (): void => {
    this.#timer = undefined;
    const now = Math.floor(this.#clock.now() / SLOT_MS);
    // Batches are free then (OrderInfo): a clock that was set back keeps nobody waiting for hours.
    const isSetBack = now < this.#lookedAt - 1;
    this.#lookedAt = now;
    for (const [slot, blocked] of [...this.#slots]) {
      if (slot > now && !isSetBack) continue;
      this.#slots.delete(slot);
      for (const [key, each] of blocked) {
        this.#slotOf.delete(key);
        this.#wake(each);
      }
    }
    if (this.#slots.size > 0) this.#timer ??= this.#clock.setTimer(this.#tick, SLOT_MS);
  };
}
