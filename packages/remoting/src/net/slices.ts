/**
 * Does things one after the other, so many a turn of the event loop: what thousands of connections bring about at the same
 * time is not to keep everybody else waiting. In the order in which they were added.
 */
export class Slices<Item> {
  readonly #perTurn: number;
  readonly #act: (item: Item) => void;
  #waiting: Item[] = [];
  /** Items of `#waiting` before this index are done. */
  #head = 0;
  /** Done in this turn. */
  #done = 0;
  #isScheduled = false;

  constructor(perTurn: number, act: (item: Item) => void) {
    this.#perTurn = perTurn;
    this.#act = act;
  }

  get size(): number {
    return this.#waiting.length - this.#head;
  }

  /** At once while the turn has room for it; in one of the next turns otherwise. */
  add(item: Item): void {
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      setImmediate(this.#nextTurn);
    }
    if (this.size === 0 && this.#done < this.#perTurn) {
      this.#done++;
      this.#act(item);
    } else {
      this.#waiting.push(item);
    }
  }

  /** Does all that waits now. */
  finish(): void {
    while (this.size > 0) this.#first();
  }

  readonly #nextTurn = (): void => {
    this.#isScheduled = false;
    this.#done = 0;
    if (this.size === 0) return;
    this.#isScheduled = true;
    setImmediate(this.#nextTurn);
    while (this.size > 0 && this.#done < this.#perTurn) {
      this.#done++;
      this.#first();
    }
  };

  #first(): void {
    const item = this.#waiting[this.#head++] as Item;
    // What is done is let go in large pieces: shifting an array of thousands costs as much as its length each time.
    if (this.#head === this.#waiting.length || this.#head === 1024) {
      this.#waiting.splice(0, this.#head);
      this.#head = 0;
    }
    this.#act(item);
  }
}
