/**
 * Messages that wait in a slot behind the one that they asked for, which was too far back for the wheel: a slot number below
 * the first one that waits says nothing of these. Exact for what was noted in this process; what an earlier one left is taken
 * to wait as long as anything does that waited then.
 */
export class LateSlots {
  #from = Number.POSITIVE_INFINITY;
  #upTo = Number.NEGATIVE_INFINITY;

  /** A message that asked for the slot `wanted` waits in `number`; no matter when that is the same one, or an earlier one. */
  note(wanted: number, number: number): void {
    if (wanted >= number) return;
    this.#from = Math.min(this.#from, wanted);
    this.#upTo = Math.max(this.#upTo, number);
  }

  /** The first slot that one of them asked for; undefined when none waits any more. `lowest`: the first one that waits. */
  from(lowest: number | undefined): number | undefined {
    if (lowest !== undefined && lowest <= this.#upTo) return this.#from;
    this.#from = Number.POSITIVE_INFINITY;
    this.#upTo = Number.NEGATIVE_INFINITY;
    return undefined;
  }
}
