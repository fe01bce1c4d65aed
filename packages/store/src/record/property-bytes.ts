import type { PropertyScan } from './property-scan.ts';

const SEPARATOR = 2;

/**
 * Properties of a message that never were a string: what the producer wrote, ASCII bytes [from, to) of a buffer that
 * belongs to whoever read them, and behind it what the broker adds. The bytes are copied once, into the record. Valid until
 * the put returns; a message that has to wait for room gets them as text.
 */
export class PropertyBytes {
  readonly #bytes: Buffer;
  readonly #from: number;
  readonly #to: number;
  readonly #suffix: Buffer;
  readonly #separator: number;
  /** Bytes in the record. */
  readonly length: number;
  /** What was found in the producer's part, and the key that the broker added, if any. */
  readonly scan: PropertyScan;

  /** `scan` is of the same bytes. `suffix` ends with a separator. */
  constructor(bytes: Buffer, from: number, to: number, suffix: Buffer, scan: PropertyScan) {
    this.#bytes = bytes;
    this.#from = from;
    this.#to = to;
    this.#suffix = suffix;
    this.#separator = to > from && bytes[to - 1] !== SEPARATOR ? 1 : 0;
    this.length = to - from + this.#separator + suffix.length;
    this.scan = scan;
  }

  /** Writes them at `at`; returns where they end. */
  writeTo(target: Buffer, at: number): number {
    const bytes = this.#bytes;
    let p = at;
    // Shorter than what a call of copy() costs.
    for (let i = this.#from; i < this.#to; i++) target[p++] = bytes[i]!;
    if (this.#separator === 1) target[p++] = SEPARATOR;
    target.set(this.#suffix, p);
    return p + this.#suffix.length;
  }

  /** The same as a properties string. */
  text(): string {
    const own = this.#bytes.toString('latin1', this.#from, this.#to);
    return own + (this.#separator === 1 ? '\u0002' : '') + this.#suffix.toString('utf8');
  }
}
