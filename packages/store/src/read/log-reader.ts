import type { StoreLogger } from '../logger.ts';
import type { MappedFileQueue } from '../mapped-file/mapped-file-queue.ts';
import { LogBlockCache } from './log-block-cache.ts';
import { isRecordSound } from './record-check.ts';

/** 8 MiB: what a few consumers that catch up on different places need, little beside the process itself. */
const CACHED_BLOCKS = 32;

/** Which records to read: offset in the log and size in bytes, `count` of each. */
export interface RecordList {
  offsets: number[];
  sizes: number[];
  count: number;
  totalSize: number;
}

export interface ReadRecords {
  /** The sound records back to back. */
  buffer: Buffer;
  records: Buffer[];
}

/**
 * Reads records: the tail from the append buffers, everything older from the files, by blocks. What comes from a file is
 * checked before it is handed out; a record that fails is left out, with a line that names its range.
 */
export class LogReader {
  readonly #queue: MappedFileQueue;
  readonly #logger: StoreLogger;
  readonly #blocks: LogBlockCache;
  /** Records that could not be served because the bytes on disk are not what was stored. */
  damagedCount = 0;

  constructor(queue: MappedFileQueue, logger: StoreLogger) {
    this.#queue = queue;
    this.#logger = logger;
    this.#blocks = new LogBlockCache(queue, CACHED_BLOCKS);
  }

  /** Copies the records into one fresh buffer. Rejects STORE_READ_FAILED. */
  async readRecords(list: RecordList): Promise<ReadRecords> {
    const buffer = Buffer.allocUnsafe(list.totalSize);
    const bad: number[] = [];
    let at = 0;
    for (let i = 0; i < list.count; i++) {
      const offset = list.offsets[i]!;
      const size = list.sizes[i]!;
      if (!this.#copyFromMemory(offset, size, buffer, at)) {
        await this.#copyFromFile(offset, size, buffer, at);
        if (!isRecordSound(buffer, at, size, offset)) bad.push(i);
      }
      at += size;
    }
    return bad.length === 0 ? split(buffer, list) : this.#withoutBad(buffer, list, new Set(bad));
  }

  /** One record whose size is not known to be right: checked like all that comes from a file. */
  async readRecord(offset: number, size: number): Promise<Buffer | undefined> {
    const read = await this.readRecords({ offsets: [offset], sizes: [size], count: 1, totalSize: size });
    return read.records[0];
  }

  clear(): void {
    this.#blocks.clear();
  }

  #copyFromMemory(offset: number, size: number, target: Buffer, at: number): boolean {
    const hot = this.#queue.selectHot(offset, size);
    if (!hot) return this.#copyFromBlock(offset, size, target, at);
    target.set(hot, at);
    return true;
  }

  #copyFromBlock(offset: number, size: number, target: Buffer, at: number): boolean {
    const start = this.#blocks.blockStart(offset);
    if (offset + size > this.#blocks.blockEnd(start)) return false;
    const block = this.#blocks.peek(start);
    if (!block) return false;
    block.copy(target, at, offset - start, offset - start + size);
    return isRecordSound(target, at, size, offset);
  }

  async #copyFromFile(offset: number, size: number, target: Buffer, at: number): Promise<void> {
    const end = offset + size;
    for (let position = offset; position < end; ) {
      const start = this.#blocks.blockStart(position);
      const blockEnd = this.#blocks.blockEnd(start);
      const take = Math.min(end, blockEnd) - position;
      if (blockEnd <= this.#queue.committedWhere) {
        const block = await this.#blocks.get(start);
        block.copy(target, at + position - offset, position - start, position - start + take);
      } else {
        target.set(await this.#queue.read(position, take), at + position - offset);
      }
      position += take;
    }
  }

  #withoutBad(buffer: Buffer, list: RecordList, bad: ReadonlySet<number>): ReadRecords {
    const good: RecordList = { offsets: [], sizes: [], count: 0, totalSize: 0 };
    const parts: Buffer[] = [];
    let at = 0;
    for (let i = 0; i < list.count; i++) {
      const size = list.sizes[i]!;
      const offset = list.offsets[i]!;
      if (bad.has(i)) {
        this.damagedCount++;
        const message = `damaged record in the log, left out: offset ${offset} to ${offset + size}`;
        this.#logger.error({ offset, size, damagedCount: this.damagedCount }, message);
      } else {
        parts.push(buffer.subarray(at, at + size));
        good.offsets.push(offset);
        good.sizes.push(size);
        good.totalSize += size;
        good.count++;
      }
      at += size;
    }
    return split(Buffer.concat(parts, good.totalSize), good);
  }
}

function split(buffer: Buffer, list: RecordList): ReadRecords {
  const records: Buffer[] = [];
  let at = 0;
  for (let i = 0; i < list.count; i++) {
    const size = list.sizes[i]!;
    records.push(buffer.subarray(at, at + size));
    at += size;
  }
  return { buffer, records };
}
