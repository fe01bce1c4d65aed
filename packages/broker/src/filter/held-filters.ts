import type { Budget } from '../base/budget.ts';
import type { SizedFilter } from './sized-filter.ts';

/**
 * The filters of requests that wait, which clients make as long as they like. Many requests may share one; it counts once.
 * The budget heldFilterBytesMax bounds them.
 */
export class HeldFilters {
  readonly #budget: Budget;
  /** How many requests wait with it. */
  readonly #counts = new Map<SizedFilter, number>();

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** Whether one more request may wait; when not, `noRoom` says why. */
  hasRoomFor(filter: SizedFilter | undefined): boolean {
    return filter === undefined || this.#counts.has(filter) || this.#budget.hasRoomFor(filter.bytes);
  }

  get noRoom(): string {
    return this.#budget.reason;
  }

  add(filter: SizedFilter | undefined): void {
    if (filter === undefined) return;
    const count = this.#counts.get(filter) ?? 0;
    if (count === 0) this.#budget.add(filter.bytes);
    this.#counts.set(filter, count + 1);
  }

  remove(filter: SizedFilter | undefined): void {
    if (filter === undefined) return;
    const count = this.#counts.get(filter) ?? 0;
    if (count > 1) this.#counts.set(filter, count - 1);
    else if (this.#counts.delete(filter)) this.#budget.give(filter.bytes);
  }
}
