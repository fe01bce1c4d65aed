import type { StoreLogger } from '../logger.ts';
import type { MappedFileQueue } from '../mapped-file/mapped-file-queue.ts';
import { LogBlockCache } from './log-block-cache.ts';
import { isRecordAtPlace, isRecordNumbered, soundTopicPosition } from './record-check.ts';
import { isTombstone } from './tombstone.ts';

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
    const bad: number[] = [];
    const tombstones: number[] = [];
    /** Their files were deleted meanwhile. */
    const gone: number[] = [];
    const { queue } = list;
    // One object for all: a record costs little more than its checksum here.
    const place = queue && { topic: queue.topic, queueId: queue.queueId, queueOffset: 0 };
    let at = 0;
    for (let i = 0; i < list.count; i++) {
      const offset = list.offsets[i]!;
      const size = list.sizes[i]!;
      if (place) place.queueOffset = queue!.queueOffsets[i]!;
      const memory = this.#copyFromMemory(offset, size, buffer, at);
      if (memory === 'appended') {
        if (place && !isRecordNumbered(buffer, at, place.queueId, place.queueOffset)) bad.push(i);
      } else {
        let topicLengthAt = memory === 'cached' ? soundTopicPosition(buffer, at, size, offset) : -1;
        if (topicLengthAt < 0) {
          if (!(await this.#copyFromFile(offset, size, buffer, at))) {
            gone.push(i);
            at += size;
            continue;
          }
          topicLengthAt = soundTopicPosition(buffer, at, size, offset);
        }
        if (topicLengthAt < 0 || (place && !isRecordAtPlace(buffer, at, topicLengthAt, place))) bad.push(i);
      }
      // It keeps a number in use for a message that a repair took out; a consumer has nothing to get there.
      if (place && isTombstone(buffer, at, size)) tombstones.push(i);
      at += size;
    }
    if (bad.length === 0 && tombstones.length === 0 && gone.length === 0) return new ReadRecords(buffer, list.sizes);
    this.#reportBad(list, bad);
    return without(buffer, list, new Set([...bad, ...tombstones, ...gone]));
  }

  /** One record whose size is not known to be right: checked like all that comes from a file. */
  async readRecord(offset: number, size: number): Promise<Buffer | undefined> {
    const read = await this.readRecords({ offsets: [offset], sizes: [size], count: 1, totalSize: size });
    return read.records[0];
  }

  clear(): void {
    this.#blocks.clear();
  }

  /**
   * `appended`: the log's own memory had it, which nothing has damaged. `cached`: a block that came from the disk had it.
   * Undefined: neither.
   */
  #copyFromMemory(offset: number, size: number, target: Buffer, at: number): 'appended' | 'cached' | undefined {
    const hot = this.#queue.selectHot(offset, size);
    if (hot) {
      target.set(hot, at);
      return 'appended';
    }
    return this.#blocks.copyHot(offset, size, target, at) ? 'cached' : undefined;
  }

  /** False when the log does not have the record any more. */
  async #copyFromFile(offset: number, size: number, target: Buffer, at: number): Promise<boolean> {
    const end = offset + size;
    try {
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
