import assert from 'node:assert';
import { dirname } from 'node:path';
import { StoreError } from '../base/errors.ts';
import type { FileSystem, StoreFile } from '../base/file-system.ts';
import { toStoreError } from '../base/queue-failure.ts';
import { readSlot, SLOT_BYTES, type TimerSlot, writeSlot } from './timer-layout.ts';

const PAGE_BYTES = 4096;
const PAGE_SLOTS = PAGE_BYTES / SLOT_BYTES;
/** Pages in memory that are as the file has them. */
const CLEAN_PAGES_MAX = 64;
const SCAN_BYTES = 64 * PAGE_BYTES;

interface Page {
  readonly bytes: Buffer;
  isDirty: boolean;
  /** Copies of it that are being written. */
  writing: number;
}

/** Pages as they were at one moment, to be written. */
export type WheelPages = ReadonlyMap<number, Buffer>;

/**
 * The file `timerwheel` (RocketMQ TimerWheel): a ring of slots. In memory are a bit for each slot, which says that
 * something waits in it, and the pages that were changed or read lately: at most `dirtyBytesMax` and 256 KiB.
 *
 * - All slots with a bit lie within one turn of the ring: their numbers differ by less than `slots`. `place` says so
 *   before a slot is put.
 * - A slot without a bit is blank, whatever the file says of it.
 * - Changes are in memory until the pages of takeDirty() are written and synced. Nothing here may be called while
 *   another change is under way; reads of slots may be.
 */
export class TimerWheel {
  readonly path: string;
  readonly slots: number;
  readonly #fileSystem: FileSystem;
  readonly #freeBytesMin: number;
  readonly #occupied: Uint32Array;
  readonly #pages = new Map<number, Page>();
  readonly #loading = new Map<number, Promise<Page>>();
  #file: StoreFile | undefined;
  #count = 0;
  #lowest = 0;
  /** No slot with a bit has a higher number; one with this number need not have it any more. */
  #highest = 0;
  #dirtyCount = 0;
  /** Calls that read the file, for assertions about cost. */
  readCalls = 0;

  constructor(path: string, slots: number, fileSystem: FileSystem, freeBytesMin: number) {
    assert(slots % PAGE_SLOTS === 0, 'the wheel has whole pages');
    this.path = path;
    this.slots = slots;
    this.#fileSystem = fileSystem;
    this.#freeBytesMin = freeBytesMin;
    this.#occupied = new Uint32Array(Math.ceil(slots / 32));
  }

  get fileBytes(): number {
    return this.slots * SLOT_BYTES;
  }

  /** Slots in which something waits. */
  get occupiedCount(): number {
    return this.#count;
  }

  /** The slot that is due first; undefined when nothing waits. */
  get lowest(): number | undefined {
    return this.#count === 0 ? undefined : this.#lowest;
  }

  /** No slot that waits has a higher number. */
  get highest(): number {
    return this.#highest;
  }

  get dirtyBytes(): number {
    return this.#dirtyCount * PAGE_BYTES;
  }

  /** Bytes of pages in memory. */
  get memoryBytes(): number {
    return this.#pages.size * PAGE_BYTES + this.#occupied.byteLength;
  }

  /** False: there is none. Rejects STORE_FILE_SIZE_MISMATCH for one of another size. */
  async load(): Promise<boolean> {
    const stat = await this.#fileSystem.stat(this.path);
    if (stat === undefined || stat.size === 0) return false;
    if (stat.size !== this.fileBytes) {
      const details = { path: this.path, expected: this.fileBytes, found: stat.size };
      throw new StoreError(
        'STORE_FILE_SIZE_MISMATCH',
        `${this.path} has ${stat.size} bytes, not ${this.fileBytes}`,
        details,
      );
    }
    this.#file = await this.#fileSystem.open(this.path, 'write');
    return true;
  }

  /** Takes the file out of the page cache, whose pages may say what the disk does not have. */
  async dropCache(): Promise<void> {
    await this.#file?.dropCache(0, this.fileBytes);
  }

  /**
   * Recovery: tells of every slot that is not blank, with the index at which it stands. One for which `visit` returns
   * 'blank' is made blank, on disk when this resolves.
   */
  async scan(visit: (slot: TimerSlot, index: number) => 'blank' | undefined): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    const bytes = Buffer.allocUnsafe(Math.min(SCAN_BYTES, this.fileBytes));
    let isChanged = false;
    for (let at = 0; at < this.fileBytes; at += bytes.length) {
      const part = bytes.subarray(0, Math.min(bytes.length, this.fileBytes - at));
      await this.#read(part, at);
      let isPartChanged = false;
      for (let from = 0; from < part.length; from += SLOT_BYTES) {
        const slot = readSlot(part, from);
        if (slot === undefined || visit(slot, (at + from) / SLOT_BYTES) !== 'blank') continue;
        writeSlot(part, from, undefined);
        isPartChanged = true;
      }
      if (isPartChanged) await file.write(part, at);
      isChanged ||= isPartChanged;
    }
    if (isChanged) await file.sync();
  }

  /** What becomes of a slot that is put: `conflict` lies a turn behind the first one that waits, `early` a turn in front. */
  place(number: number): 'free' | 'conflict' | 'early' {
    if (this.#count === 0 || (number >= this.#lowest && number - this.#lowest < this.slots)) return 'free';
    if (number >= this.#lowest) return 'conflict';
    return this.#highest - number < this.slots ? 'free' : 'early';
  }

  isOccupied(number: number): boolean {
    return this.#count > 0 && this.#hasBit(number % this.slots) && this.#numberAt(number % this.slots) === number;
  }

  /** The slot; undefined when it is blank. Rejects STORE_READ_FAILED. */
  async slot(number: number): Promise<TimerSlot | undefined> {
    if (!this.isOccupied(number)) return undefined;
    const index = number % this.slots;
    const page = await this.#page(Math.floor(index / PAGE_SLOTS));
    const slot = readSlot(page.bytes, (index % PAGE_SLOTS) * SLOT_BYTES);
    return slot?.number === number ? slot : undefined;
  }

  /** Resolves when the file is there. Rejects STORE_DISK_FULL when there is no room for it. */
  async ready(): Promise<void> {
    if (this.#file === undefined) await this.#makeFile();
  }

  /** Changes a slot; the caller knows its place to be free. `change` gets the slot as it is, undefined for a blank one. */
  async put(number: number, change: (slot: TimerSlot | undefined) => TimerSlot): Promise<void> {
    await this.ready();
    const index = number % this.slots;
    const pageNumber = Math.floor(index / PAGE_SLOTS);
    const page = await this.#page(pageNumber);
    const at = (index % PAGE_SLOTS) * SLOT_BYTES;
    const known = this.isOccupied(number) ? readSlot(page.bytes, at) : undefined;
    writeSlot(page.bytes, at, change(known?.number === number ? known : undefined));
    this.#changed(pageNumber, page);
    this.occupy(number);
  }

  /** The slot as it stands in the file has something that waits: for whoever looks at the file. */
  occupy(number: number): void {
    const index = number % this.slots;
    if (this.#count === 0 || number > this.#highest) this.#highest = number;
    if (this.#count === 0 || number < this.#lowest) this.#lowest = number;
    if (this.#hasBit(index)) return;
    this.#occupied[index >>> 5]! |= 1 << (index & 31);
    this.#count++;
  }

  /** Makes the slot a blank one. */
  async clear(number: number): Promise<void> {
    if (!this.isOccupied(number)) return;
    const index = number % this.slots;
    const pageNumber = Math.floor(index / PAGE_SLOTS);
    const page = await this.#page(pageNumber);
    writeSlot(page.bytes, (index % PAGE_SLOTS) * SLOT_BYTES, undefined);
    this.#changed(pageNumber, page);
    this.#occupied[index >>> 5]! &= ~(1 << (index & 31));
    this.#count--;
    if (this.#count > 0 && number === this.#lowest) this.#lowest = this.#nextFrom(number + 1);
  }

  /** Numbers of slots in which something waits, above `limit`, at most `count` of them. */
  above(limit: number, count: number): number[] {
    const numbers: number[] = [];
    if (this.#count === 0 || this.#highest <= limit) return numbers;
    for (let number = Math.max(limit + 1, this.#lowest); number <= this.#highest && numbers.length < count; number++) {
      if (this.isOccupied(number)) numbers.push(number);
    }
    // It is gone over once, however often it is asked for.
    if (numbers.length === 0) this.#highest = Math.max(this.#lowest, limit);
    return numbers;
  }

  /**
   * Messages that wait in the slots from `from` up to each of `ends`, which grow and are no part of theirs: one count for each
   * of them, without what the one before it counts. Pages that are not in memory are read, at most 256 KiB at once. Rejects
   * STORE_READ_FAILED.
   */
  async counts(from: number, ends: readonly number[]): Promise<number[]> {
    const counts = ends.map(() => 0);
    const limit = Math.min(ends.at(-1) ?? from, this.#highest + 1);
    const block: { bytes: Buffer | undefined; at: number } = { bytes: undefined, at: -1 };
    let which = 0;
    const next = (number: number): number => this.#nextFrom(Math.max(number, this.#lowest), limit);
    for (let number = next(from); number < limit && this.#count > 0; number = next(number + 1)) {
      while (number >= ends[which]!) which++;
      const at = (number % this.slots) * SLOT_BYTES;
      const page = this.#pages.get(Math.floor(at / PAGE_BYTES));
      if (page === undefined && (at < block.at || at >= block.at + SCAN_BYTES || block.bytes === undefined)) {
        block.at = Math.floor(at / SCAN_BYTES) * SCAN_BYTES;
        block.bytes ??= Buffer.allocUnsafe(Math.min(SCAN_BYTES, this.fileBytes));
        await this.#read(block.bytes.subarray(0, Math.min(SCAN_BYTES, this.fileBytes - block.at)), block.at);
      }
      const slot = page === undefined ? readSlot(block.bytes!, at - block.at) : readSlot(page.bytes, at % PAGE_BYTES);
      if (slot?.number === number && this.isOccupied(number)) counts[which]! += slot.num;
    }
    return counts;
  }

  /** Copies of what was changed since the last call. Each is given to write() once, or given up with the wheel. */
  takeDirty(): WheelPages {
    const pages = new Map<number, Buffer>();
    for (const [number, page] of this.#pages) {
      if (!page.isDirty) continue;
      page.isDirty = false;
      page.writing++;
      pages.set(number, Buffer.from(page.bytes));
    }
    this.#dirtyCount = 0;
    return pages;
  }

  /** The pages are not going to be written: what they hold is to be taken again. */
  giveBack(pages: WheelPages): void {
    for (const number of pages.keys()) {
      const page = this.#pages.get(number)!;
      page.writing--;
      this.#changed(number, page);
    }
  }

  /** Resolves when the pages are *on disk*. Never to be repeated after a failure. */
  async write(pages: WheelPages): Promise<void> {
    if (pages.size === 0) return;
    const file = this.#file!;
    try {
      for (const [number, bytes] of pages) await file.write(bytes, number * PAGE_BYTES);
    } catch (error) {
      throw toStoreError('STORE_WRITE_FAILED', 'writing timer wheel', this.path, error);
    }
    try {
      await file.sync();
    } catch (error) {
      throw toStoreError('STORE_FLUSH_FAILED', 'syncing timer wheel', this.path, error);
    }
    for (const number of pages.keys()) this.#pages.get(number)!.writing--;
    this.#evict();
  }

  /** Removes the file: what it holds is made anew. */
  async remove(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
    this.#pages.clear();
    this.#occupied.fill(0);
    this.#count = 0;
    this.#dirtyCount = 0;
    await this.#fileSystem.remove(this.path);
    await this.#fileSystem.syncDirectory(dirname(this.path));
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }

  #hasBit(index: number): boolean {
    return (this.#occupied[index >>> 5]! & (1 << (index & 31))) !== 0;
  }

  /** The one number of this turn, which begins at the lowest, that stands at the index. */
  #numberAt(index: number): number {
    const distance = index - (this.#lowest % this.slots);
    return this.#lowest + (distance < 0 ? distance + this.slots : distance);
  }

  /** The next slot with a bit; `limit` when there is none in front of it. */
  #nextFrom(number: number, limit = Number.POSITIVE_INFINITY): number {
    for (let at = number; at < limit; ) {
      const index = at % this.slots;
      if (this.#hasBit(index)) return at;
      // Words without a bit are passed over whole, but for the last one of the ring, which may have fewer.
      const isWordBegin = (index & 31) === 0 && index + 32 <= this.slots;
      at += isWordBegin && this.#occupied[index >>> 5] === 0 ? 32 : 1;
    }
    return limit;
  }

  async #page(number: number): Promise<Page> {
    const known = this.#pages.get(number);
    if (known !== undefined) {
      if (!known.isDirty) {
        this.#pages.delete(number);
        this.#pages.set(number, known);
      }
      return known;
    }
    let loading = this.#loading.get(number);
    if (loading === undefined) {
      loading = this.#load(number).finally(() => this.#loading.delete(number));
      this.#loading.set(number, loading);
    }
    return loading;
  }

  async #load(number: number): Promise<Page> {
    const bytes = Buffer.alloc(PAGE_BYTES);
    await this.#read(bytes, number * PAGE_BYTES);
    // Whoever loaded it before may have changed it since, after it was out of the table for a moment.
    const present = this.#pages.get(number);
    if (present !== undefined) return present;
    const page = { bytes, isDirty: false, writing: 0 };
    this.#pages.set(number, page);
    this.#evict();
    return page;
  }

  #changed(number: number, page: Page): void {
    if (page.isDirty) return;
    page.isDirty = true;
    this.#dirtyCount++;
    this.#pages.set(number, page);
  }

  #evict(): void {
    let clean = 0;
    for (const page of this.#pages.values()) if (!page.isDirty && page.writing === 0) clean++;
    for (const [number, page] of this.#pages) {
      if (clean <= CLEAN_PAGES_MAX) return;
      if (page.isDirty || page.writing > 0) continue;
      this.#pages.delete(number);
      clean--;
    }
  }

  async #makeFile(): Promise<void> {
    try {
      const file = await this.#fileSystem.open(this.path, 'create');
      try {
        await file.allocate(this.fileBytes, this.#freeBytesMin);
        await file.sync();
        await this.#fileSystem.syncDirectory(dirname(this.path));
      } catch (error) {
        await file.close();
        throw error;
      }
      this.#file = file;
    } catch (error) {
      throw toStoreError('STORE_ALLOCATE_FAILED', 'making timer wheel', this.path, error);
    }
  }

  async #read(target: Buffer, position: number): Promise<void> {
    this.readCalls++;
    try {
      const count = await this.#file!.read(target, position);
      if (count === target.length) return;
      const details = { path: this.path, position, expected: target.length, found: count };
      throw new StoreError('STORE_READ_FAILED', `${this.path} ends at ${position + count}`, details);
    } catch (error) {
      throw toStoreError('STORE_READ_FAILED', 'reading timer wheel', this.path, error);
    }
  }
}
