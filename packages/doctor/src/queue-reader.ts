import * as fs from 'node:fs';
import {
  CQ_STORE_UNIT_SIZE,
  isFillerUnit,
  openRegularSync,
  simpleUnits,
  type UnitFormat,
  unitPhyOffset,
  unitSize,
  unitTagsCode,
} from '@vernier/store/internal';
import { readFully } from './log-walk.ts';
import type { DataFile, QueueLayout } from './store-layout.ts';

export interface QueueEntry {
  phyOffset: number;
  size: number;
  tagsCode: number;
  filler: boolean;
  /** Of the (first) message. */
  number: number;
  /** Messages that it stands for. */
  count: number;
}

/** Memory that the blocks of all queues hold together, about; each queue has one. */
const BLOCK_BUDGET_BYTES = 24 * 1024 * 1024;
const BLOCK_UNITS_MAX = 3_276;
const BLOCK_UNITS_MIN = 16;
const OPEN_FILES_MAX = 200;

/** Descriptors of queue files, the least recently used closed first. */
export class OpenFileCache {
  readonly #open = new Map<string, number>();

  /** Undefined when the file is gone. */
  get(path: string): number | undefined {
    let fd = this.#open.get(path);
    if (fd !== undefined) {
      this.#open.delete(path);
      this.#open.set(path, fd);
      return fd;
    }
    try {
      fd = openRegularSync(path, fs.constants.O_RDONLY);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    this.#open.set(path, fd);
    if (this.#open.size > OPEN_FILES_MAX) {
      const [oldest, oldestFd] = this.#open.entries().next().value!;
      this.#open.delete(oldest);
      fs.closeSync(oldestFd);
    }
    return fd;
  }

  close(): void {
    for (const fd of this.#open.values()) fs.closeSync(fd);
    this.#open.clear();
  }
}

/** How many entries of each queue are held, so that all queues together stay within their budget. */
export function blockUnitsFor(queueCount: number): number {
  const units = Math.floor(BLOCK_BUDGET_BYTES / CQ_STORE_UNIT_SIZE / Math.max(1, queueCount));
  return Math.min(BLOCK_UNITS_MAX, Math.max(BLOCK_UNITS_MIN, units));
}

/**
 * Entries of one queue by their number (in a batch queue: by their place), read in blocks. Made for going forward in step with the log; looking back or far
 * ahead costs a read.
 */
export class QueueReader {
  readonly topic: string;
  readonly queueId: number;
  readonly files: readonly DataFile[];
  /** First number that the files have a place for, and the end of those places. */
  readonly first: number;
  readonly limit: number;
  readonly fileUnits: number;
  readonly #format: UnitFormat;
  readonly #one: Buffer;
  readonly #cache: OpenFileCache;
  readonly #blockUnits: number;
  #block: Buffer | undefined;
  #blockFrom = 0;
  #blockCount = 0;

  constructor(
    layout: QueueLayout,
    fileSize: number,
    cache: OpenFileCache,
    blockUnits: number,
    format: UnitFormat = simpleUnits,
  ) {
    this.#format = format;
    this.#one = Buffer.alloc(format.bytes);
    this.topic = layout.topic;
    this.queueId = layout.queueId;
    this.files = layout.files;
    this.#cache = cache;
    this.#blockUnits = blockUnits;
    this.fileUnits = this.#unitsIn(fileSize);
    this.first = this.#unitsIn(layout.files[0]!.from);
    const last = layout.files[layout.files.length - 1]!;
    this.limit = this.#unitsIn(last.from + last.size);
  }

  /** The block's bytes and where the entry begins in it; -1 when the files have no such place. */
  position(index: number): number {
    if (index >= this.#blockFrom && index < this.#blockFrom + this.#blockCount) {
      return (index - this.#blockFrom) * this.#format.bytes;
    }
    return this.#load(index) ? 0 : -1;
  }

  get block(): Buffer {
    return this.#block!;
  }

  /** Undefined for a place that was never written, or is not there. */
  entry(index: number): QueueEntry | undefined {
    const at = this.position(index);
    if (at < 0 || !this.#format.isGood(this.#block!, at)) return undefined;
    const block = this.#block!;
    return {
      phyOffset: unitPhyOffset(block, at),
      size: unitSize(block, at),
      tagsCode: unitTagsCode(block, at),
      filler: isFillerUnit(block, at),
      number: this.#format.numberOf(block, at, index),
      count: this.#format.countOf(block, at),
    };
  }

  /** Any byte of the place is set. */
  isWritten(index: number): boolean {
    const at = this.position(index);
    if (at < 0) return false;
    for (let i = at; i < at + this.#format.bytes; i++) if (this.#block![i] !== 0) return true;
    return false;
  }

  /** The block that holds this entry is read anew the next time: a live broker may have written it meanwhile. */
  forget(): void {
    this.#blockCount = 0;
  }

  /** The file of an entry and its byte there. */
  place(index: number): { path: string; offset: number } {
    const where = index * this.#format.bytes;
    const file = this.files.find(({ from, size }) => where >= from && where < from + size) ?? this.files.at(-1)!;
    return { path: file.path, offset: Math.min(file.size, Math.max(0, where - file.from)) };
  }

  /** Number behind the last entry, when the entries are without a hole: found by halving. */
  end(): number {
    let low = this.first;
    let high = this.limit;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.#isGood(middle)) low = middle + 1;
      else high = middle;
    }
    this.forget();
    return low;
  }

  /** The last entry, unless it is filler; read anew. */
  newest(): QueueEntry | undefined {
    const end = this.end();
    const last = end > this.first ? this.entry(end - 1) : undefined;
    this.forget();
    return last?.filler === false ? last : undefined;
  }

  /**
   * First entry, from `from` on and below `to`, whose record starts at or above `phyOffset`; `to` without one. Filler, in
   * front of the entries or between them, says nothing about its neighbours: the next entry behind it is asked.
   */
  firstAtOrAbove(phyOffset: number, from: number, to: number): number {
    let low = from;
    let high = to;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const at = this.#nextEntry(middle, high);
      if (at === high) high = middle;
      else if (this.#probe(at)!.phyOffset < phyOffset) low = at + 1;
      else high = middle;
    }
    return this.#nextEntry(low, to);
  }

  /** The first place from `index` on, below `to`, that has an entry and no filler; `to` without one. */
  #nextEntry(index: number, to: number): number {
    const first = this.#probe(index);
    if (first !== undefined && !first.filler) return index;
    const block = Buffer.allocUnsafe(BLOCK_UNITS_MAX * this.#format.bytes);
    for (let at = index; at < to; ) {
      const file = this.#fileOf(at * this.#format.bytes);
      const fd = file === undefined ? undefined : this.#cache.get(file.path);
      if (file === undefined || fd === undefined) {
        // A file that is missing between others.
        const next = this.files.find(({ from }) => this.#unitsIn(from) > at);
        if (next === undefined) return to;
        at = this.#unitsIn(next.from);
        continue;
      }
      const where = at * this.#format.bytes - file.from;
      const units = Math.min(BLOCK_UNITS_MAX, to - at, this.#unitsIn(file.size - where));
      const read = this.#unitsIn(readFully(fd, block.subarray(0, units * this.#format.bytes), where));
      for (let i = 0; i < read; i++) {
        const position = i * this.#format.bytes;
        if (this.#format.isGood(block, position) && !isFillerUnit(block, position)) return at + i;
      }
      // A file that has become shorter than it was.
      if (read === 0) return to;
      at += read;
    }
    return to;
  }

  #isGood(index: number): boolean {
    return this.#probe(index) !== undefined;
  }

  /** One entry, past the block: what halving looks at must not throw away what the walk needs. */
  #probe(index: number): QueueEntry | undefined {
    if (index >= this.#blockFrom && index < this.#blockFrom + this.#blockCount) return this.entry(index);
    const where = index * this.#format.bytes;
    const file = this.#fileOf(where);
    const fd = file === undefined ? undefined : this.#cache.get(file.path);
    if (fd === undefined || readFully(fd, this.#one, where - file!.from) < this.#format.bytes) return undefined;
    if (!this.#format.isGood(this.#one, 0)) return undefined;
    return {
      phyOffset: unitPhyOffset(this.#one, 0),
      size: unitSize(this.#one, 0),
      tagsCode: unitTagsCode(this.#one, 0),
      filler: isFillerUnit(this.#one, 0),
      number: this.#format.numberOf(this.#one, 0, index),
      count: this.#format.countOf(this.#one, 0),
    };
  }

  #unitsIn(bytes: number): number {
    return Math.floor(bytes / this.#format.bytes);
  }

  #fileOf(where: number): DataFile | undefined {
    const { files } = this;
    if (where < files[0]!.from) return undefined;
    // Nearly every queue has its files without a gap, so the number says which one it is.
    const guess = files[Math.floor((where - files[0]!.from) / (this.fileUnits * this.#format.bytes))];
    if (guess !== undefined && where >= guess.from && where < guess.from + guess.size) return guess;
    return files.find(({ from, size }) => where >= from && where + this.#format.bytes <= from + size);
  }

  #load(index: number): boolean {
    const where = index * this.#format.bytes;
    const file = this.#fileOf(where);
    const fd = file === undefined ? undefined : this.#cache.get(file.path);
    if (file === undefined || fd === undefined) return false;
    const units = Math.min(this.#blockUnits, this.#unitsIn(file.from + file.size - where));
    if (units <= 0) return false;
    this.#block ??= Buffer.allocUnsafe(this.#blockUnits * this.#format.bytes);
    const read = readFully(fd, this.#block.subarray(0, units * this.#format.bytes), where - file.from);
    this.#blockFrom = index;
    this.#blockCount = this.#unitsIn(read);
    return this.#blockCount > 0;
  }
}

/** Where a record lies in the log; both -1 for none. */
export interface RecordPlace {
  from: number;
  end: number;
}

/** The newest record that one of these queues has an entry of. */
export function newestRecord(readers: Iterable<QueueReader>): RecordPlace {
  const place = { from: -1, end: -1 };
  for (const reader of readers) {
    const last = reader.newest();
    if (last === undefined || last.phyOffset + last.size <= place.end) continue;
    place.from = last.phyOffset;
    place.end = last.phyOffset + last.size;
  }
  return place;
}
