import { seededRandom } from './simulation/simulated-file.ts';

/** Choices by seed: the same seed, the same choices in the same order. */
export class Random {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = seededRandom(seed);
  }

  /** In [0, 1). */
  fraction(): number {
    return this.#next();
  }

  /** A whole number from `from` to `to`, both included. */
  integer(from: number, to: number): number {
    return from + Math.floor(this.#next() * (to - from + 1));
  }

  chance(probability: number): boolean {
    return this.#next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#next() * items.length)]!;
  }

  /** For a part that must not shift the others' choices. */
  fork(): Random {
    return new Random(Math.floor(this.#next() * 0x1_0000_0000));
  }
}
