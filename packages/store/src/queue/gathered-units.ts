import type { DispatchRequest } from '../record/dispatch-request.ts';
import type { UnitFormat } from './unit.ts';

/** What all queues of one kind in a store share for gathering. */
export interface GatherSpace {
  readonly units: UnitFormat;
  /** Bytes of one consume-queue file; a block never crosses a file's end. */
  readonly fileSize: number;
  /** A block grows up to this many bytes, whole units. */
  readonly blockBytes: number;
  /** Memory held by the blocks of all queues. */
  bufferedBytes: number;
}

interface Block {
  /** Byte of the queue at which the block starts. */
  where: number;
  buffer: Buffer;
  length: number;
  /** The first `written` bytes are in the file. */
  written: number;
}

const FIRST_BLOCK_UNITS = 16;
const GROWTH = 4;
/** Chunks handed to one write; far below the kernel's 1,024. */
const CHUNKS_PER_WRITE_MAX = 64;

/**
 * The end of one queue that memory holds: units not yet written, and behind them what is left of their blocks.
 *
 *     block           block                 block (grows)
 *   [ written      ][ written | gathered ][ gathered    ···]
 *
 * Bytes are laid down once and a block's memory is never used again, so a view handed to a reader stays as it is for as
 * long as the reader keeps it. Exists only while the queue has something here: an idle queue has no buffer.
 */
export class GatheredUnits {
  readonly #space: GatherSpace;
  readonly #blocks: Block[] = [];
  #last: Block | undefined;

  constructor(space: GatherSpace) {
    this.#space = space;
  }

  get isEmpty(): boolean {
    return this.#blocks.length === 0;
  }

  /** First byte of the queue held here. Not to be asked when empty. */
  get start(): number {
    return this.#blocks[0]!.where;
  }

  get hasUnwritten(): boolean {
    // Only the newest block can lag behind on its own: blocks are written in order.
    return this.#last !== undefined && this.#last.written < this.#last.length;
  }

  /** Lays down one unit at byte `where` of the queue. True when that filled a whole block. */
  put(where: number, request: DispatchRequest): boolean {
    let block = this.#last;
    if (block === undefined || block.length === block.buffer.length || block.where + block.length !== where) {
      block = this.#room(where);
    }
    const { units } = this.#space;
    units.write(block.buffer, block.length, request);
    block.length += units.bytes;
    return block.length === this.#space.blockBytes;
  }

  /** Lays down filler over [from, to), which lies in one file. */
  putFiller(from: number, to: number): void {
    if (to <= from) return;
    const block = this.#open(from, to - from);
    this.#space.units.fill(block.buffer, 0, to - from);
    block.length = to - from;
  }

  /** The bytes [from, to) when all of them are here. Stays valid, see above. */
  view(from: number, to: number): Buffer | undefined {
    if (this.#blocks.length === 0 || from < this.start) return undefined;
    const last = this.#last!;
    if (from >= last.where) return last.buffer.subarray(from - last.where, to - last.where);
    const result = Buffer.allocUnsafe(to - from);
    this.copy(from, to, result, 0);
    return result;
  }

  /** Copies what is held of [from, to) into `target`, where byte `from` belongs at `at`; gaps between blocks are filler. */
  copy(from: number, to: number, target: Buffer, at: number): void {
    let where = Math.max(from, this.start);
    for (const block of this.#blocks) {
      const end = Math.min(to, block.where + block.length);
      if (end <= where) continue;
      if (block.where > where) {
        const gapEnd = Math.min(to, block.where);
        this.#space.units.fill(target, at + where - from, at + gapEnd - from);
        where = gapEnd;
      }
      if (end <= where) return;
      block.buffer.copy(target, at + where - from, where - block.where, end - block.where);
      where = end;
    }
  }

  /** Hands everything gathered up to this call to `write`, in as few pieces as files and gaps allow. What is gathered
   * while it runs is left for the next call: a queue that never rests must not keep a flush from ending. */
  async writeOut(write: (where: number, chunks: readonly Buffer[]) => Promise<void>): Promise<void> {
    const last = this.#last;
    if (last === undefined) return;
    const end = last.where + last.length;
    for (let index = 0; index < this.#blocks.length; ) {
      const first = this.#blocks[index]!;
      if (first.where + first.written >= end) return;
      if (first.written === first.length) {
        index++;
        continue;
      }
      const where = first.where + first.written;
      const fileEnd = where - (where % this.#space.fileSize) + this.#space.fileSize;
      const taken: { block: Block; to: number }[] = [];
      let next = where;
      for (let at = index; at < this.#blocks.length && taken.length < CHUNKS_PER_WRITE_MAX; at++) {
        const block = this.#blocks[at]!;
        if (block.where + block.written !== next || next >= fileEnd || next >= end) break;
        const to = Math.min(block.length, end - block.where);
        taken.push({ block, to });
        next = block.where + to;
      }
      await write(
        where,
        taken.map(({ block, to }) => block.buffer.subarray(block.written, to)),
      );
      for (const { block, to } of taken) block.written = to;
    }
  }

  /** Lets go of blocks that are full and written; with `all` of every block that is written to its end. */
  release(all: boolean): void {
    let count = 0;
    for (const block of this.#blocks) {
      if (block.written < block.length || (block === this.#last && !all)) break;
      this.#space.bufferedBytes -= block.buffer.length;
      count++;
    }
    this.#blocks.splice(0, count);
    if (this.#blocks.length === 0) this.#last = undefined;
  }

  /** Forgets everything, written or not. */
  discard(): void {
    for (const block of this.#blocks) this.#space.bufferedBytes -= block.buffer.length;
    this.#blocks.length = 0;
    this.#last = undefined;
  }

  #room(where: number): Block {
    const block = this.#last;
    if (block !== undefined && block.where + block.length === where) {
      const limit = this.#limit(block.where);
      if (block.length < limit) {
        const bytes = Math.min(limit, block.length * GROWTH);
        const grown = Buffer.allocUnsafe(bytes);
        block.buffer.copy(grown, 0, 0, block.length);
        this.#space.bufferedBytes += bytes - block.buffer.length;
        block.buffer = grown;
        return block;
      }
      // A queue that fills block after block gets the next one at full size.
      return this.#open(where, this.#limit(where));
    }
    return this.#open(where, Math.min(FIRST_BLOCK_UNITS * this.#space.units.bytes, this.#limit(where)));
  }

  #open(where: number, bytes: number): Block {
    const block: Block = { where, buffer: Buffer.allocUnsafe(bytes), length: 0, written: 0 };
    this.#space.bufferedBytes += bytes;
    this.#blocks.push(block);
    this.#last = block;
    return block;
  }

  #limit(where: number): number {
    return Math.min(this.#space.blockBytes, this.#space.fileSize - (where % this.#space.fileSize));
  }
}
