import { argumentError } from '../base/arguments.ts';
import type { StoreLogger } from '../base/logger.ts';
import type { MappedFileQueue } from '../mapped-file/mapped-file-queue.ts';
import { isRecordAtPlace, isRecordNumbered, type RecordPlace, soundTopicPosition } from '../record/record-check.ts';
import { isTombstone } from '../record/tombstone.ts';
import { type LogBlock, LogBlockCache } from './log-block-cache.ts';

/** 8 MiB: what a few consumers that catch up on different places need, little beside the process itself. */
const CACHED_BLOCKS = 32;

/** Which records to read: offset in the log and size in bytes, `count` of each. */
export interface RecordList {
  offsets: number[];
  sizes: number[];
  count: number;
  totalSize: number;
  /** The queue these were looked up in, and each one's number there. Records that name another place are left out. */
  queue?: { topic: Uint8Array; queueId: number; queueOffsets: number[] };
}

/** Gives a buffer of exactly this many bytes, whatever is in it. */
export type Allocate = (size: number) => Buffer;

export const isOutOfRange = (error: unknown): boolean =>
  (error as { code?: string }).code === 'STORE_OFFSET_OUT_OF_RANGE';

/** The sound records of a read. */
export class ReadRecords {
  /** Back to back. */
  readonly buffer: Buffer;
  readonly #sizes: readonly number[];
  #records: Buffer[] | undefined;

  constructor(buffer: Buffer, sizes: readonly number[]) {
    this.buffer = buffer;
    this.#sizes = sizes;
  }

  get count(): number {
    return this.#sizes.length;
  }

  /** Views of `buffer`, made when they are first asked for: a broker sends the buffer as it is and never does. */
  get records(): Buffer[] {
    if (!this.#records) {
      let end = 0;
      this.#records = this.#sizes.map((size) => {
        end += size;
        return this.buffer.subarray(end - size, end);
      });
    }
    return this.#records;
  }
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

  /** Copies the records into one buffer, a fresh one or what `allocate` gives. Rejects STORE_READ_FAILED. */
  async readRecords(list: RecordList, allocate: Allocate = Buffer.allocUnsafe): Promise<ReadRecords> {
    const buffer = allocate(list.totalSize);
    if (!Buffer.isBuffer(buffer) || buffer.length !== list.totalSize) {
      throw argumentError(
        'getMessage',
        'allocate',
        `must give a Buffer of the ${list.totalSize} bytes asked for`,
        buffer,
      );
    }
    const read = new Reading(list, buffer);
    while (!this.#takeFromMemory(read)) await this.#takeFromFile(read);
    const { bad, tombstones, gone } = read;
    if (bad.length === 0 && tombstones.length === 0 && gone.length === 0) return new ReadRecords(buffer, list.sizes);
    this.#reportBad(list, bad);
    return without(buffer, list, new Set([...bad, ...tombstones, ...gone]));
  }

  /** One record whose size is not known to be right: checked like all that comes from a file. */
  async readRecord(offset: number, size: number): Promise<Buffer | undefined> {
    const read = await this.readRecords({ offsets: [offset], sizes: [size], count: 1, totalSize: size });
    return read.records[0];
  }

  /**
   * These bytes, unchecked, from memory when they are there; `pastBlocks`: from the file. Undefined when the log does not
   * have them any more. Rejects STORE_READ_FAILED.
   */
  async readBytes(offset: number, size: number, pastBlocks: boolean): Promise<Buffer | undefined> {
    const bytes = Buffer.allocUnsafe(size);
    const inMemory = pastBlocks ? undefined : (this.#queue.selectHot(offset, size) ?? this.#inBlock(offset, size));
    if (inMemory !== undefined) bytes.set(inMemory);
    else if (!(await this.#copyFromFile(offset, size, bytes, 0, pastBlocks))) return undefined;
    return bytes;
  }

  #inBlock(offset: number, size: number): Buffer | undefined {
    const block = this.#blocks.find(offset, size);
    return block?.bytes.subarray(offset - block.start, offset - block.start + size);
  }

  clear(): void {
    this.#blocks.clear();
  }

  /**
   * Takes records up to the next one that is not in memory, or whose block in memory is bad. True: there is none. Without
   * an await, because a block is only there until somebody is waited for, and because an async function is slower.
   */
  #takeFromMemory(read: Reading): boolean {
    const { list, buffer, place } = read;
    const { count, offsets, sizes, queue } = list;
    let { at } = read;
    let i = read.next;
    /** The block in hand: the next record lies mostly in it too. */
    let block: LogBlock | undefined;
    for (; i < count; i++) {
      const offset = offsets[i]!;
      const size = sizes[i]!;
      if (place) place.queueOffset = queue!.queueOffsets[i]!;
      const isInHand = block !== undefined && offset >= block.start && offset + size <= block.start + block.size;
      // The log's own memory, which nothing has damaged, or a block that came from the disk.
      const hot = isInHand ? undefined : this.#queue.selectHot(offset, size);
      if (hot !== undefined) {
        buffer.set(hot, at);
        if (place && !isRecordNumbered(buffer, at, place.queueId, place.queueOffset)) read.bad.push(i);
      } else {
        if (!isInHand) block = this.#blocks.find(offset, size);
        if (block === undefined) break;
        block.bytes.copy(buffer, at, offset - block.start, offset - block.start + size);
        if (!isGoodRecord(buffer, at, size, offset, place)) break;
      }
      if (place && isTombstone(buffer, at, size)) read.tombstones.push(i);
      at += size;
    }
    read.next = i;
    read.at = at;
    return i === count;
  }

  /**
   * Takes the next record. Blocks that are bad in memory, as after a read that went wrong once, must not stand for the disk:
   * a pull that leaves a record out goes on behind it. So first as the cache has it, then from the file alone.
   */
  async #takeFromFile(read: Reading): Promise<void> {
    const { list, buffer, place, next, at } = read;
    const offset = list.offsets[next]!;
    const size = list.sizes[next]!;
    if (place) place.queueOffset = list.queue!.queueOffsets[next]!;
    let isGood = false;
    for (const pastBlocks of [false, true]) {
      if (!(await this.#copyFromFile(offset, size, buffer, at, pastBlocks))) {
        read.gone.push(next);
        break;
      }
      isGood = isGoodRecord(buffer, at, size, offset, place);
      if (isGood) break;
    }
    if (read.gone.at(-1) !== next) {
      if (!isGood) read.bad.push(next);
      if (place && isTombstone(buffer, at, size)) read.tombstones.push(next);
    }
    read.next = next + 1;
    read.at = at + size;
  }

  /** False when the log does not have the record any more. */
  async #copyFromFile(offset: number, size: number, target: Buffer, at: number, pastBlocks: boolean): Promise<boolean> {
    const end = offset + size;
    try {
      if (pastBlocks) {
        this.#blocks.forget(offset, end);
        await this.#queue.read(offset, size, target.subarray(at));
        return true;
      }
      for (let position = offset; position < end; ) {
        const blockEnd = this.#blocks.blockEnd(this.#blocks.blockStart(position));
        const take = Math.min(end, blockEnd) - position;
        const targetAt = at + position - offset;
        if (blockEnd <= this.#queue.committedWhere) await this.#blocks.copy(position, take, target, targetAt);
        else await this.#queue.read(position, take, target.subarray(targetAt));
        position += take;
      }
      return true;
    } catch (error) {
      if (isOutOfRange(error) && offset < this.#queue.minOffset) return false;
      throw error;
    }
  }

  #reportBad(list: RecordList, bad: readonly number[]): void {
    for (const i of bad) {
      this.damagedCount++;
      const size = list.sizes[i]!;
      const offset = list.offsets[i]!;
      const { queue } = list;
      const place = queue && {
        topic: Buffer.from(queue.topic).toString('utf8'),
        queueId: queue.queueId,
        queueOffset: queue.queueOffsets[i],
      };
      const message =
        `damaged record in the log, or the entry of another one in its queue, left out: ` +
        `offset ${offset} to ${offset + size}`;
      this.#logger.error({ offset, size, damagedCount: this.damagedCount, ...place }, message);
    }
  }
}

/** A list of records that is being read. */
class Reading {
  readonly list: RecordList;
  readonly buffer: Buffer;
  /** One object for all: a record costs little more than its checksum here. */
  readonly place: RecordPlace | undefined;
  /** Numbers in the list of those that are left out. */
  readonly bad: number[] = [];
  /** They keep a number in use for a message that a repair took out; a consumer has nothing to get there. */
  readonly tombstones: number[] = [];
  /** Their files were deleted meanwhile. */
  readonly gone: number[] = [];
  /** The next one to take, and where its bytes go. */
  next = 0;
  at = 0;

  constructor(list: RecordList, buffer: Buffer) {
    this.list = list;
    this.buffer = buffer;
    this.place = list.queue && { topic: list.queue.topic, queueId: list.queue.queueId, queueOffset: 0 };
  }
}

function isGoodRecord(
  buffer: Buffer,
  at: number,
  size: number,
  offset: number,
  place: RecordPlace | undefined,
): boolean {
  const topicLengthAt = soundTopicPosition(buffer, at, size, offset);
  return topicLengthAt >= 0 && (place === undefined || isRecordAtPlace(buffer, at, topicLengthAt, place));
}

function without(buffer: Buffer, list: RecordList, leftOut: ReadonlySet<number>): ReadRecords {
  const sizes: number[] = [];
  const parts: Buffer[] = [];
  let at = 0;
  for (let i = 0; i < list.count; i++) {
    const size = list.sizes[i]!;
    if (!leftOut.has(i)) {
      parts.push(buffer.subarray(at, at + size));
      sizes.push(size);
    }
    at += size;
  }
  return new ReadRecords(Buffer.concat(parts), sizes);
}
