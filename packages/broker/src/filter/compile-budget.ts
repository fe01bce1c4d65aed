import type { Clock } from '@vernier/store';
import { SELECTOR_CHARS_MAX } from './sql92/index.ts';

/** Characters that are compiled at once, after a while without any: some 15 ms of the event loop. */
const BURST_CHARS = 2 * SELECTOR_CHARS_MAX;
/** Characters that are compiled a second, all clients together: a tenth of the event loop. */
export const COMPILE_CHARS_A_SECOND = 16 * SELECTOR_CHARS_MAX;

/** How much of the event loop expressions may have that nobody has sent before: each is compiled in one go. */
export class CompileBudget {
  readonly #clock: Pick<Clock, 'monotonic'>;
  #chars = BURST_CHARS;
  #at: number;

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
    this.#at = clock.monotonic();
  }

  /** False: there is none for so many characters now. It takes at most SELECTOR_CHARS_MAX of them, however many there are. */
  take(chars: number): boolean {
    const now = this.#clock.monotonic();
    this.#chars = Math.min(BURST_CHARS, this.#chars + ((now - this.#at) * COMPILE_CHARS_A_SECOND) / 1_000);
    this.#at = now;
    // What is longer is refused unread.
    const taken = Math.min(chars, SELECTOR_CHARS_MAX);
    if (taken > this.#chars) return false;
    this.#chars -= taken;
    return true;
  }
}
