import * as fs from 'node:fs';
import type { IndexShape } from '@vernier/store/internal';
import {
  decodeIndexHeader,
  HASH_SLOT_SIZE,
  INDEX_HEADER_SIZE,
  INDEX_SIZE,
  type IndexHeader,
  openRegularSync,
  readInt32,
  readInt64,
} from '@vernier/store/internal';
import { readFully } from './log-walk.ts';
import type { DataFile } from './store-layout.ts';

const BLOCK_UNITS = 6_553;

export interface Unit {
  keyHash: number;
  phyOffset: number;
  timeDiff: number;
  previous: number;
}

/** One index file while its units are walked. Its slots are made anew beside, to be compared at the end: 20 MB. */
export class IndexCursor {
  readonly file: DataFile;
  readonly header: IndexHeader;
  readonly headerBytes: Buffer;
  /** Number of the unit the cursor stands at. */
  number = 1;
  readonly slots: Int32Array;
  slotsUsed = 0;
  firstSeen: { phyOffset: number; storeTimestamp: number } | undefined;
  lastSeen: { phyOffset: number; storeTimestamp: number } | undefined;
  readonly unit: Unit = { keyHash: 0, phyOffset: 0, timeDiff: 0, previous: 0 };
  readonly #fd: number;
  readonly #unitsAt: number;
  readonly #block = Buffer.alloc(BLOCK_UNITS * INDEX_SIZE);
  #blockFrom = 0;
  #blockCount = 0;

  constructor(file: DataFile, shape: IndexShape) {
    this.file = file;
    this.#fd = openRegularSync(file.path, fs.constants.O_RDONLY);
    this.headerBytes = Buffer.alloc(INDEX_HEADER_SIZE);
    readFully(this.#fd, this.headerBytes, 0);
    this.header = decodeIndexHeader(this.headerBytes);
    this.#unitsAt = INDEX_HEADER_SIZE + shape.slots * HASH_SLOT_SIZE;
    this.slots = new Int32Array(shape.slots);
  }

  /** A unit of the record at `phyOffset`; storeTimestamp -1: not known. The header names the first and the last one. */
  saw(phyOffset: number, storeTimestamp: number): void {
    this.firstSeen ??= { phyOffset, storeTimestamp };
    if (this.lastSeen === undefined) this.lastSeen = { phyOffset, storeTimestamp };
    else {
      this.lastSeen.phyOffset = phyOffset;
      this.lastSeen.storeTimestamp = storeTimestamp;
    }
  }

  /** Byte of the file at which this unit begins. */
  place(number: number): number {
    return this.#unitsAt + number * INDEX_SIZE;
  }

  /** Loads the unit into `unit`; false when the file has no such place. */
  read(number: number): boolean {
    if (number < this.#blockFrom || number >= this.#blockFrom + this.#blockCount) {
      this.#blockFrom = number;
      this.#blockCount = Math.floor(readFully(this.#fd, this.#block, this.place(number)) / INDEX_SIZE);
      if (this.#blockCount === 0) return false;
    }
    const at = (number - this.#blockFrom) * INDEX_SIZE;
    const { unit } = this;
    unit.keyHash = readInt32(this.#block, at);
    unit.phyOffset = readInt64(this.#block, at + 4);
    unit.timeDiff = readInt32(this.#block, at + 12);
    unit.previous = readInt32(this.#block, at + 16);
    return true;
  }

  /** Nothing was ever written at the place that was read last. */
  get isZeroUnit(): boolean {
    const { keyHash, phyOffset, timeDiff, previous } = this.unit;
    return keyHash === 0 && phyOffset === 0 && timeDiff === 0 && previous === 0;
  }

  readSlots(first: number, target: Buffer): void {
    readFully(this.#fd, target, INDEX_HEADER_SIZE + first * HASH_SLOT_SIZE);
  }

  close(): void {
    fs.closeSync(this.#fd);
  }
}
