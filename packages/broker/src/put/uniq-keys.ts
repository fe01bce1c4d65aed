import { randomBytes } from 'node:crypto';
import { writeHex32 } from '@vernier/remoting';

const PREFIX_DIGITS = 16;
const KEY_DIGITS = 32;

/**
 * Unique keys for messages whose producers gave none: 32 upper-case hex digits, as long as RocketMQ's
 * MessageClientIDSetter makes them; 16 of them random for this object, 8 the clock in seconds, 8 a counter.
 */
export class UniqKeys {
  readonly #digits = Buffer.alloc(KEY_DIGITS);
  #counter = 0;

  constructor() {
    this.#digits.write(
      randomBytes(PREFIX_DIGITS / 2)
        .toString('hex')
        .toUpperCase(),
      'latin1',
    );
  }

  next(nowMs: number): string {
    this.#counter = (this.#counter + 1) >>> 0;
    const counterAt = writeHex32(this.#digits, PREFIX_DIGITS, Math.floor(nowMs / 1000) >>> 0);
    writeHex32(this.#digits, counterAt, this.#counter);
    return this.#digits.toString('latin1');
  }
}
