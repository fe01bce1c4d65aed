import { writeInt32, writeInt64 } from '../base/int64.ts';
import { decodeIndexUnit, INDEX_SIZE, type IndexUnit } from './index-layout.ts';

const UNITS_PER_BLOCK = 3_276;
const CHUNKS_PER_WRITE_MAX = 64;

/** New units of the live index file, numbered from `first`, held in blocks of 64 KiB until they are on disk. */
export class IndexUnits {
  readonly #blocks: Buffer[] = [];
  /** Number of the first unit in the first block. */
  #first: number;
  #next: number;
  /** Number of the first unit that is not written. */
  #unwritten: number;
  #block: Buffer | undefined;
  #position = UNITS_PER_BLOCK * INDEX_SIZE;

  constructor(first: number) {
    this.#first = first;
    this.#next = first;
    this.#unwritten = first;
  }

  append(keyHash: number, phyOffset: number, timeDiff: number, previous: number): void {
    let block = this.#block;
    let at = this.#position;
    if (block === undefined || at === block.length) {
      block = Buffer.allocUnsafeSlow(UNITS_PER_BLOCK * INDEX_SIZE);
      this.#blocks.push(block);
      this.#block = block;
      at = 0;
    }
    writeInt32(block, keyHash, at);
    writeInt64(block, phyOffset, at + 4);
    writeInt32(block, timeDiff, at + 12);
    writeInt32(block, previous, at + 16);
    this.#position = at + INDEX_SIZE;
    this.#next++;
  }

  /** The unit when it is held in memory. */
  get(number: number): IndexUnit | undefined {
    if (number < this.#first || number >= this.#next) return undefined;
    const index = number - this.#first;
    const block = this.#blocks[Math.floor(index / UNITS_PER_BLOCK)]!;
    return decodeIndexUnit(block, (index % UNITS_PER_BLOCK) * INDEX_SIZE);
  }

  /** Hands the units below `end` that are not written yet to `write`, in order. */
  async writeOut(end: number, write: (firstNumber: number, chunks: readonly Buffer[]) => Promise<void>): Promise<void> {
    while (this.#unwritten < end) {
      const from = this.#unwritten;
      const chunks: Buffer[] = [];
      let number = from;
      while (number < end && chunks.length < CHUNKS_PER_WRITE_MAX) {
        const index = number - this.#first;
        const inBlock = index % UNITS_PER_BLOCK;
        const count = Math.min(end - number, UNITS_PER_BLOCK - inBlock);
        const block = this.#blocks[Math.floor(index / UNITS_PER_BLOCK)]!;
        chunks.push(block.subarray(inBlock * INDEX_SIZE, (inBlock + count) * INDEX_SIZE));
        number += count;
      }
      await write(from, chunks);
      this.#unwritten = number;
    }
  }

  /** Lets go of the full blocks whose units all lie below `end`. */
  release(end: number): void {
    const count = Math.floor((end - this.#first) / UNITS_PER_BLOCK);
    this.#blocks.splice(0, count);
    this.#first += count * UNITS_PER_BLOCK;
    if (this.#blocks.length === 0) this.#block = undefined;
  }
}
