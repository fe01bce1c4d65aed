import { endianness } from 'node:os';
import { HASH_SLOT_SIZE, INDEX_HEADER_SIZE } from './index-layout.ts';

const PAGE_SLOTS = 4_096 / HASH_SLOT_SIZE;
/** Slots do not begin at a page of the file but behind the header; pages are counted as the file has them. */
const HEADER_SLOTS = INDEX_HEADER_SIZE / HASH_SLOT_SIZE;
const PAGES_PER_WRITE_MAX = 16;
const READ_SLOTS = 262_144;
const swapsBytes = endianness() === 'LE';

/** The hash slots of the live index file in memory (20 MB at RocketMQ's default size), and which 4 KiB pages changed. */
export class IndexSlots {
  readonly #slots: Int32Array;
  #dirtyPages: Uint8Array;

  constructor(hashSlotNum: number) {
    this.#slots = new Int32Array(hashSlotNum);
    this.#dirtyPages = this.#noPages();
  }

  get(slot: number): number {
    return this.#slots[slot]!;
  }

  /** Sets a slot and returns what it held. */
  replace(slot: number, number: number): number {
    const previous = this.#slots[slot]!;
    this.#slots[slot] = number;
    this.#markDirty(slot);
    return previous;
  }

  highest(): number {
    let highest = 0;
    for (let slot = 0; slot < this.#slots.length; slot++)
      if (this.#slots[slot]! > highest) highest = this.#slots[slot]!;
    return highest;
  }

  /** Empties the slots that hold no number of 1 to `max`; returns how many slots are in use then. */
  clearAbove(max: number): number {
    let used = 0;
    for (let slot = 0; slot < this.#slots.length; slot++) {
      const number = this.#slots[slot]!;
      if (number === 0) continue;
      if (number < 0 || number > max) this.replace(slot, 0);
      else used++;
    }
    return used;
  }

  async load(read: (bytes: Buffer, firstSlot: number) => Promise<void>): Promise<void> {
    for (let first = 0; first < this.#slots.length; first += READ_SLOTS) {
      const part = this.#slots.subarray(first, Math.min(this.#slots.length, first + READ_SLOTS));
      const bytes = Buffer.from(part.buffer, part.byteOffset, part.byteLength);
      await read(bytes, first);
      if (swapsBytes) bytes.swap32();
    }
  }

  /**
   * Hands the pages changed since the last call to `write`, neighbours together. A slot at or past `count` is written as
   * `lead` answers for it, and its page counts as changed for the next call.
   */
  async writeOut(
    lead: (number: number) => number,
    count: number,
    write: (firstSlot: number, bytes: Buffer) => Promise<void>,
  ): Promise<void> {
    const pages = this.#dirtyPages;
    this.#dirtyPages = this.#noPages();
    try {
      await this.#writePages(pages, lead, count, write);
    } catch (error) {
      // To be written again, those that got there too.
      for (let page = pages.indexOf(1); page >= 0; page = pages.indexOf(1, page + 1)) this.#dirtyPages[page] = 1;
      throw error;
    }
  }

  async #writePages(
    pages: Uint8Array,
    lead: (number: number) => number,
    count: number,
    write: (firstSlot: number, bytes: Buffer) => Promise<void>,
  ): Promise<void> {
    for (let page = pages.indexOf(1); page >= 0; ) {
      let end = page + 1;
      while (end < pages.length && end - page < PAGES_PER_WRITE_MAX && pages[end] === 1) end++;
      const first = Math.max(0, page * PAGE_SLOTS - HEADER_SLOTS);
      const limit = Math.min(this.#slots.length, end * PAGE_SLOTS - HEADER_SLOTS);
      const copy = this.#slots.slice(first, limit);
      for (let index = 0; index < copy.length; index++) {
        if (copy[index]! < count) continue;
        copy[index] = lead(copy[index]!);
        this.#markDirty(first + index);
      }
      const bytes = Buffer.from(copy.buffer);
      if (swapsBytes) bytes.swap32();
      await write(first, bytes);
      page = pages.indexOf(1, end);
    }
  }

  #markDirty(slot: number): void {
    this.#dirtyPages[((slot + HEADER_SLOTS) / PAGE_SLOTS) | 0] = 1;
  }

  #noPages(): Uint8Array {
    return new Uint8Array(Math.ceil((this.#slots.length + HEADER_SLOTS) / PAGE_SLOTS));
  }
}
