import { type TimerFiles, TimerMagic, type TimerSlot, type TimerUnit } from '@vernier/store/internal';

/** A unit and its place in the timer log. */
export interface PlacedUnit {
  readonly position: number;
  readonly unit: TimerUnit;
}

/** Units in memory at a time. */
const SEGMENT_UNITS = 4_096;

/**
 * The units of one slot, oldest first. They are a chain that leads from the newest back; so that memory does not grow with
 * a slot, the chain is gone over once, its place remembered each 4,096 units, and then once more, from the oldest of those
 * places to the newest. A chain that breaks off, or has fewer messages than its slot, is not believed any more: the whole
 * timer log is searched.
 */
export class SlotUnits {
  readonly #files: TimerFiles;
  readonly #slot: TimerSlot;
  /** Positions at which segments end, the newest first. */
  #ends: number[] = [];
  /** Of a broken chain: all positions, oldest first. */
  #found: number[] | undefined;

  constructor(files: TimerFiles, slot: TimerSlot) {
    this.#files = files;
    this.#slot = slot;
  }

  /** The chain was broken, and units of the slot may be missing. */
  get isBroken(): boolean {
    return this.#found !== undefined;
  }

  /** Goes over all of them, in no order; before segments(). */
  async look(visit: (placed: PlacedUnit) => void | Promise<void>): Promise<void> {
    const { lastPos, number, num } = this.#slot;
    const end = this.#files.chainEnd(this.#slot);
    let count = 0;
    let messages = 0;
    let position = lastPos;
    for (; position >= end; count++) {
      const unit = await this.#unitAt(position);
      if (unit === undefined) return this.#search(number, end, visit);
      if (count % SEGMENT_UNITS === 0) this.#ends.push(position);
      await visit({ position, unit });
      if ((unit.magic & TimerMagic.DELETE) === 0) messages++;
      position = unit.prevPos;
    }
    // The slot had fired when this chain was begun, and a crash took that back: what it had waits again, and no unit leads to it.
    if (position < 0 && messages < num) return this.#search(number, end, visit);
  }

  async *segments(): AsyncGenerator<PlacedUnit[]> {
    if (this.#found !== undefined) {
      for (let from = 0; from < this.#found.length; from += SEGMENT_UNITS) {
        yield await this.#unitsAt(this.#found.slice(from, from + SEGMENT_UNITS));
      }
      return;
    }
    const chainEnd = this.#files.chainEnd(this.#slot);
    for (let i = this.#ends.length - 1; i >= 0; i--) {
      const end = this.#ends[i + 1] === undefined ? chainEnd : this.#ends[i + 1]! + 1;
      const units: PlacedUnit[] = [];
      for (let position = this.#ends[i]!; position >= end; ) {
        const unit = await this.#unitAt(position);
        if (unit === undefined) break;
        units.push({ position, unit });
        position = unit.prevPos;
      }
      yield units.reverse();
    }
  }

  /** Undefined too for a unit of another slot, to which only damage leads: its message is not due. */
  async #unitAt(position: number): Promise<TimerUnit | undefined> {
    const unit = await this.#files.unitAt(position);
    const isOfSlot = unit !== undefined && this.#files.numberOf(unit) === this.#slot.number;
    return isOfSlot ? unit : undefined;
  }

  async #search(number: number, end: number, visit: (placed: PlacedUnit) => void | Promise<void>): Promise<void> {
    this.#found = (await this.#files.searchUnits(number, end)).filter((position) => position <= this.#slot.lastPos);
    for (const placed of await this.#unitsAt(this.#found)) await visit(placed);
  }

  async #unitsAt(positions: readonly number[]): Promise<PlacedUnit[]> {
    const units: PlacedUnit[] = [];
    for (const position of positions) {
      const unit = await this.#unitAt(position);
      if (unit !== undefined) units.push({ position, unit });
    }
    return units;
  }
}
