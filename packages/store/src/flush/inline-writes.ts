/** A write up to this size is made on the event loop: the page cache takes it in some 10 µs. */
export const INLINE_BYTES_MAX = 32 * 1024;
/** One that took longer has met a disk that others wait for, or the process was put aside in it. */
const SLOW_MS = 1;
/** So many times what a slow write took, none is made on the event loop: the loop spends a 17th of its time in them. */
const PAUSE_FACTOR = 16;
const PAUSE_MS_MAX = 1_000;
/** So many fast writes after a slow one, the next slow one counts as the first. */
const FAST_WRITES = 64;

/**
 * When a write may be made on the event loop. After a slow one the lane's threads make the writes for a while. One alone says
 * little: on a machine whose cores are taken, a process that was put aside for 2 ms looks like a disk that took 2 ms. So the
 * pause is in proportion to what the write took, and doubles with each one that is slow again.
 */
export class InlineWrites {
  /** monotonic() from which writes are made on the event loop. */
  #from = Number.NEGATIVE_INFINITY;
  /** Slow ones with fewer than FAST_WRITES fast ones between them. */
  #slowInARow = 0;
  #fast = 0;

  isPaused(now: number): boolean {
    return now < this.#from;
  }

  /** A write was made on the event loop; both are monotonic(). */
  made(began: number, ended: number): void {
    const tookMs = ended - began;
    if (tookMs <= SLOW_MS) {
      if (++this.#fast >= FAST_WRITES) this.#slowInARow = 0;
      return;
    }
    this.#fast = 0;
    this.#from = ended + Math.min(PAUSE_MS_MAX, tookMs * PAUSE_FACTOR * 2 ** this.#slowInARow);
    this.#slowInARow++;
  }
}
