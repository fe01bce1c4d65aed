import type { StoreLogger } from '@vernier/store';

/** What a refusal says of a budget: no more of it until there is room. */
export interface BudgetState {
  /** The setting that bounds it, and how it is called in metrics without `Max`. */
  readonly name: string;
  readonly usedBytes: number;
  readonly bytesMax: number;
  /** How often something was refused for it. */
  readonly refusedCount: number;
}

/** Below this share a full budget counts as having room again, for the log. */
const ROOM_AGAIN = 0.9;

/**
 * The memory of a table whose names clients invent. Bytes are counted by rule and not measured: two for each character and
 * something for what keeps it, which is more than it takes. Existing entries are counted whatever the maximum, so that a
 * directory can always be opened; only new ones are refused.
 */
export class Budget implements BudgetState {
  readonly name: string;
  readonly #bytesMax: () => number;
  readonly #logger: StoreLogger;
  #usedBytes = 0;
  #refusedCount = 0;
  #isFull = false;

  /** `bytesMax` is asked each time: the setting may change. */
  constructor(name: string, bytesMax: () => number, logger: StoreLogger) {
    this.name = name;
    this.#bytesMax = bytesMax;
    this.#logger = logger;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get bytesMax(): number {
    return this.#bytesMax();
  }

  get refusedCount(): number {
    return this.#refusedCount;
  }

  /** Whether `take` would take it; when not, that counts as refused. */
  hasRoomFor(bytes: number): boolean {
    if (bytes <= 0 || this.#usedBytes + bytes <= this.#bytesMax()) return true;
    this.#refuse(bytes);
    return false;
  }

  /** False, and nothing is taken, when there is no room. A negative number gives back. */
  take(bytes: number): boolean {
    if (!this.hasRoomFor(bytes)) return false;
    this.add(bytes);
    return true;
  }

  /** Takes or gives back without asking. */
  add(bytes: number): void {
    this.#usedBytes += bytes;
    if (this.#isFull && this.#usedBytes < this.#bytesMax() * ROOM_AGAIN) this.#isFull = false;
  }

  give(bytes: number): void {
    this.add(-bytes);
  }

  /** For the one who is refused. */
  get reason(): string {
    return `there is no room for more of it: ${this.#usedBytes} bytes are taken, ${this.name} is ${this.#bytesMax()}`;
  }

  /** One line a flood; the count says how often. */
  #refuse(bytes: number): void {
    this.#refusedCount++;
    if (this.#isFull) return;
    this.#isFull = true;
    const numbers = { usedBytes: this.#usedBytes, wantedBytes: bytes, bytesMax: this.#bytesMax() };
    this.#logger.warn(numbers, `${this.name} is reached: more of it is refused until there is room`);
  }
}

/** A text in memory, at most. */
export const textBytes = (text: string): number => 2 * text.length + 24;
