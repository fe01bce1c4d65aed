/** What a record's number says, given those before it in its queue. */
export type LifeStep =
  /** It goes on, or leaves numbers out. */
  | 'goes-on'
  /** A 0 behind other numbers: the next record of the queue tells what it is. */
  | 'held'
  /** The record that was held has number 0 of a later life of the topic, this one number 1; what was before is over. */
  | 'restart'
  /** Its number is taken. */
  | 'repeated';

/**
 * Follows the numbers of one queue along the log and sees where they start again at 0: the topic was deleted and made anew.
 * The store's rule (queue/queue-restarts.ts): a 0 is believed when 1 follows, or nothing; one wrong bit is neither.
 */
export class LifeWatch {
  /** Number that the next record has. */
  next: number;
  #isHeld = false;

  /** `next`: behind the entries that the queue's files have. */
  constructor(next = 0) {
    this.next = next;
  }

  /** The last record was held: at the end of the log it begins a life. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  take(number: number): LifeStep {
    const wasHeld = this.#isHeld;
    this.#isHeld = false;
    if (wasHeld && number === 1) {
      this.next = 2;
      return 'restart';
    }
    if (number === 0 && this.next > 0) {
      this.#isHeld = true;
      return 'held';
    }
    if (number < this.next) return 'repeated';
    this.next = number + 1;
    return 'goes-on';
  }
}
