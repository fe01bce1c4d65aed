import { Budget, textBytes } from '@vernier/broker/internal';
import type { Clock, StoreLogger } from '@vernier/store';
import { within } from './asking.ts';

/** What is known is asked for anew after so many milliseconds, and used meanwhile. */
export const FRESH_MS = 20_000;
/** That a name is not known is believed for so many milliseconds. */
const UNKNOWN_MS = 1_000;
/** What may not be so any more is used all the same when nobody says anything else for so many milliseconds. */
const WAIT_MS = 1_000;
const ENTRY_BYTES = 200;

interface Entry<Value> {
  readonly value: Value | undefined;
  readonly bytes: number;
  /** Monotonic milliseconds. */
  readonly at: number;
}

export interface KnownParts<Value> {
  readonly clock: Clock;
  readonly logger: StoreLogger;
  readonly bytesMax: number;
  /** Undefined: there is no such name. */
  readonly ask: (name: string, hints: readonly string[]) => Promise<Value | undefined>;
  readonly bytesOf: (value: Value) => number;
  /** What was asked for before, in monotonic milliseconds, may not be so any more. */
  readonly distrustedAt?: (value: Value) => number;
}

/**
 * What other servers know of names, as they said it last. A name is asked for once, however many wait for it; names that
 * nobody asked about for longest make room for others.
 */
export class Known<Value> {
  readonly #parts: KnownParts<Value>;
  readonly #budget: Budget;
  readonly #entries = new Map<string, Entry<Value>>();
  readonly #asking = new Map<string, Promise<void>>();

  constructor(parts: KnownParts<Value>) {
    this.#parts = parts;
    this.#budget = new Budget('known names', () => parts.bytesMax, parts.logger);
  }

  get(name: string): Value | undefined {
    return this.#entries.get(name)?.value;
  }

  get usedBytes(): number {
    return this.#budget.usedBytes;
  }

  /** What is known, the names that nobody asked about for longest first. */
  *values(): Iterable<Value> {
    for (const { value } of this.#entries.values()) if (value !== undefined) yield value;
  }

  /**
   * Undefined: what is known will do. Rejects when nobody could be asked and nothing is known. `hints`: names that tell whom
   * to ask.
   */
  learn(name: string, hints: readonly string[] = []): Promise<void> | undefined {
    const entry = this.#entries.get(name);
    if (entry === undefined) return this.#ask(name, hints);
    // The newest is last.
    this.#entries.delete(name);
    this.#entries.set(name, entry);
    const age = this.#parts.clock.monotonic() - entry.at;
    if (entry.value === undefined) return age < UNKNOWN_MS ? undefined : this.#ask(name, hints);
    const { distrustedAt } = this.#parts;
    const isDistrusted = distrustedAt !== undefined && entry.at < distrustedAt(entry.value);
    if (age < FRESH_MS && !isDistrusted) return undefined;
    const asked = this.#ask(name, hints).catch((error: Error) => {
      this.#keep(name, entry);
      this.#parts.logger.warn({ name, reason: error.message }, `what is known of ${name} cannot be asked for anew`);
    });
    if (!isDistrusted) return undefined;
    return within(this.#parts.clock, asked, WAIT_MS, undefined).then(() => this.#keep(name, entry));
  }

  /** Nobody has said anything else: the next one does not wait for it again. */
  #keep(name: string, entry: Entry<Value>): void {
    if (this.#entries.get(name) === entry) this.#entries.set(name, { ...entry, at: this.#parts.clock.monotonic() });
  }

  #ask(name: string, hints: readonly string[]): Promise<void> {
    const asking = this.#asking.get(name);
    if (asking !== undefined) return asking;
    const at = this.#parts.clock.monotonic();
    const asked = this.#parts
      .ask(name, hints)
      .then((value) => this.#set(name, value, at))
      .finally(() => this.#asking.delete(name));
    this.#asking.set(name, asked);
    return asked;
  }

  #set(name: string, value: Value | undefined, at: number): void {
    const bytes = ENTRY_BYTES + textBytes(name) + (value === undefined ? 0 : this.#parts.bytesOf(value));
    this.#forget(name);
    while (this.#entries.size > 0 && this.#budget.usedBytes + bytes > this.#parts.bytesMax) {
      this.#forget(this.#entries.keys().next().value as string);
    }
    this.#budget.add(bytes);
    this.#entries.set(name, { value, bytes, at });
  }

  #forget(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    this.#entries.delete(name);
    this.#budget.give(entry.bytes);
  }
}
