/** Everything a fuzz round decides, from one seed: the same seed makes the same input on every machine. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** mulberry32: [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** A whole number from 0 to `end`, exclusive. */
  below(end: number): number {
    return Math.floor(this.next() * end);
  }

  /** Small numbers are likely, `max` is possible. */
  skewed(max: number): number {
    return Math.floor(this.next() ** 4 * (max + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let at = 0; at < length; at++) bytes[at] = this.below(256);
    return bytes;
  }
}

/** The seed of one round of one target; neighbouring rounds have nothing in common. */
export function roundSeed(seed: number, target: string, round: number): number {
  let value = (seed ^ 0x9e3779b9) >>> 0;
  for (const char of `${target}/${round}`) {
    value = Math.imul(value ^ char.charCodeAt(0), 0x01000193) >>> 0;
    value = (value ^ (value >>> 13)) >>> 0;
  }
  return value;
}

/** A seed no smaller than others and easy to type. */
export const anySeed = (): number => Math.floor(Math.random() * 2 ** 31);
