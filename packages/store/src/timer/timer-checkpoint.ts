import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import type { FileSystem, StoreFile } from '../base/file-system.ts';
import { readInt32, readInt64, writeInt32, writeInt64 } from '../base/int64.ts';
import { toStoreError } from '../base/queue-failure.ts';

/**
 * The file `config/timercheck` (RocketMQ TimerCheckpoint): one page of 4,096 bytes.
 *
 *      0  i64 lastReadTimeMs          8  i64 lastTimerLogFlushPos    16  i64 lastTimerQueueOffset
 *     24  i64 masterTimerQueueOffset 32  i64 stateVersion            40  i64 timestamp         48  i64 counter
 *    512  our fields, copy A        1024  our fields, copy B
 *         +0 8 bytes magic   +8 i64 sequence   +16 the 56 bytes above   +72 i32 precision, ms   +76 i32 bits
 *         +80 i64 rebuildBelow   +88 i64 rebuildReadTimeMs   +96 i32 CRC-32 of [0, 96)
 *
 * The bits: 1 closed in order, 2 hasLate.
 *
 * Java reads and writes the first 56 bytes alone, through a mapping; what follows survives it. Ours are written after the
 * copy that holds the same is on disk. So what Java sees is one of the two copies, or a torn write from the older to the
 * newer one; anything else means that a Java broker ran here since, and its fields count.
 */
export const TIMER_CHECK_BYTES = 4096;
export const TIMER_CHECK_FIELD_BYTES = 56;
const COPY_POSITIONS = [512, 1024] as const;
const MAGIC = Buffer.from('VNRTIMR1', 'latin1');
const CRC_AT = 96;
const COPY_BYTES = CRC_AT + 4;
const CLOSED = 1;
const LATE = 2;

export interface TimerCheckFields {
  /** Unix milliseconds. Nothing waits in a slot below, nor asked for one below. */
  readonly lastReadTimeMs: number;
  /** Position in the timer log below which wheel and log are on disk together. */
  readonly lastTimerLogFlushPos: number;
  /** Every message below it has its unit in the timer log below lastTimerLogFlushPos. */
  readonly lastTimerQueueOffset: number;
  readonly masterTimerQueueOffset: number;
  readonly stateVersion: number;
  readonly timestamp: number;
  readonly counter: number;
}

/** What Java does not have. */
export interface TimerCheckOwn {
  readonly precisionMs: number;
  /** The broker was shut down in order. */
  readonly isClosed: boolean;
  /** Some messages wait in a slot behind the one that they asked for, which is not below lastReadTimeMs. */
  readonly hasLate: boolean;
  /**
   * Wheel and log were made anew, and the queue is read again: messages in front of this offset had their units, those of
   * them whose time is before rebuildReadTimeMs were delivered. 0: nothing is rebuilt.
   */
  readonly rebuildBelow: number;
  readonly rebuildReadTimeMs: number;
}

/** What the file says. `own` is undefined when a Java broker wrote it last. */
export interface TimerCheckContent {
  readonly fields: TimerCheckFields;
  readonly own: TimerCheckOwn | undefined;
}

export function encodeTimerCheck(fields: TimerCheckFields): Buffer {
  const bytes = Buffer.alloc(TIMER_CHECK_FIELD_BYTES);
  const { lastReadTimeMs, lastTimerLogFlushPos, lastTimerQueueOffset, masterTimerQueueOffset } = fields;
  const values = [lastReadTimeMs, lastTimerLogFlushPos, lastTimerQueueOffset, masterTimerQueueOffset];
  values.push(fields.stateVersion, fields.timestamp, fields.counter);
  for (const [i, value] of values.entries()) writeInt64(bytes, value, i * 8);
  return bytes;
}

/** Undefined for numbers that no broker writes: negative ones, or beyond 2^53. */
export function decodeTimerCheckFields(bytes: Uint8Array): TimerCheckFields | undefined {
  const [lastReadTimeMs, lastTimerLogFlushPos, lastTimerQueueOffset, masterTimerQueueOffset] = [0, 8, 16, 24].map(
    (at) => readInt64(bytes, at),
  ) as [number, number, number, number];
  const places = [lastReadTimeMs, lastTimerLogFlushPos, lastTimerQueueOffset, masterTimerQueueOffset];
  if (!places.every((value) => Number.isSafeInteger(value) && value >= 0)) return undefined;
  return {
    ...{ lastReadTimeMs, lastTimerLogFlushPos, lastTimerQueueOffset, masterTimerQueueOffset },
    ...{ stateVersion: readInt64(bytes, 32), timestamp: readInt64(bytes, 40), counter: readInt64(bytes, 48) },
  };
}

interface Copy {
  readonly index: number;
  readonly sequence: number;
  readonly java: Buffer;
  readonly own: TimerCheckOwn;
}

function readCopy(page: Buffer, index: number): Copy | undefined {
  const at = COPY_POSITIONS[index]!;
  const bytes = page.subarray(at, at + COPY_BYTES);
  if (bytes.length < COPY_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  if (crc32(bytes.subarray(0, CRC_AT)) !== bytes.readUInt32BE(CRC_AT)) return undefined;
  return {
    index,
    sequence: readInt64(bytes, 8),
    java: bytes.subarray(16, 16 + TIMER_CHECK_FIELD_BYTES),
    own: {
      precisionMs: readInt32(bytes, 72),
      isClosed: (readInt32(bytes, 76) & CLOSED) !== 0,
      hasLate: (readInt32(bytes, 76) & LATE) !== 0,
      rebuildBelow: readInt64(bytes, 80),
      rebuildReadTimeMs: readInt64(bytes, 88),
    },
  };
}

/** `found` is what a write of `next` over `before` can leave, torn at any byte. */
function isWriteOf(found: Buffer, before: Buffer, next: Buffer): boolean {
  for (let end = 0; end <= found.length; end++) {
    if (found.subarray(0, end).equals(next.subarray(0, end)) && found.subarray(end).equals(before.subarray(end)))
      return true;
  }
  return false;
}

/**
 * The fields are of an earlier save than the copy, whose bytes need not be there any more: they are written behind a copy and
 * synced with the next one, and of what is synced together a power cut may leave the one without the other. Java counts on
 * from what it finds.
 */
function isBefore(found: Buffer, { counter }: TimerCheckFields): boolean {
  const before = decodeTimerCheckFields(found);
  return before !== undefined && before.counter < counter;
}

const copiesOf = (page: Buffer): Copy[] =>
  [0, 1]
    .map((index) => readCopy(page, index))
    .filter((copy) => copy !== undefined)
    .sort((a, b) => b.sequence - a.sequence);

/**
 * What the file says; undefined when that is nothing: it is too short, or no broker's. Zeros are what is there before the
 * first save, Java's or ours.
 */
export function decodeTimerCheck(page: Buffer): TimerCheckContent | undefined {
  if (page.length < TIMER_CHECK_FIELD_BYTES) return undefined;
  const found = Buffer.alloc(TIMER_CHECK_FIELD_BYTES);
  page.copy(found, 0, 0, TIMER_CHECK_FIELD_BYTES);
  const [newest, older] = copiesOf(page);
  if (newest !== undefined) {
    // Before the first copy there was nothing, or what Java had; a torn first write falls back on that.
    const before = older?.java ?? Buffer.alloc(TIMER_CHECK_FIELD_BYTES);
    const fields = decodeTimerCheckFields(newest.java);
    if (fields !== undefined && (isWriteOf(found, before, newest.java) || isBefore(found, fields))) {
      return { fields, own: newest.own };
    }
  }
  const fields = decodeTimerCheckFields(found);
  return fields === undefined ? undefined : { fields, own: undefined };
}

/** Reads and writes the file. `save` calls must not overlap. */
export class TimerCheckpoint {
  readonly path: string;
  readonly #fileSystem: FileSystem;
  #file: StoreFile | undefined;
  #sequence = 0;
  #nextCopy = 0;
  /** What the file says, as far as it was read or written. */
  content: TimerCheckContent | undefined;

  constructor(path: string, fileSystem: FileSystem) {
    this.path = path;
    this.#fileSystem = fileSystem;
  }

  async load(): Promise<TimerCheckContent | undefined> {
    const page = await this.#fileSystem.readFile(this.path);
    if (page === undefined) return undefined;
    const [newest] = copiesOf(page);
    if (newest !== undefined) {
      this.#sequence = newest.sequence;
      this.#nextCopy = 1 - newest.index;
    }
    this.content = decodeTimerCheck(page);
    return this.content;
  }

  /** Resolves when it is *on disk*, but for the fields that Java reads, which are written. Never to be repeated after a failure. */
  async save(fields: TimerCheckFields, own: TimerCheckOwn): Promise<void> {
    const java = encodeTimerCheck(fields);
    const copy = Buffer.alloc(COPY_BYTES);
    MAGIC.copy(copy, 0);
    writeInt64(copy, this.#sequence + 1, 8);
    java.copy(copy, 16);
    writeInt32(copy, own.precisionMs, 72);
    writeInt32(copy, (own.isClosed ? CLOSED : 0) | (own.hasLate ? LATE : 0), 76);
    writeInt64(copy, own.rebuildBelow, 80);
    writeInt64(copy, own.rebuildReadTimeMs, 88);
    copy.writeUInt32BE(crc32(copy.subarray(0, CRC_AT)), CRC_AT);
    try {
      const file = this.#file ?? (await this.#open());
      await file.write(copy, COPY_POSITIONS[this.#nextCopy]!);
      await file.sync();
      this.#sequence++;
      this.#nextCopy = 1 - this.#nextCopy;
      await file.write(java, 0);
      if (own.isClosed) await file.sync();
    } catch (error) {
      throw toStoreError('STORE_FLUSH_FAILED', 'writing the timer checkpoint', this.path, error);
    }
    this.content = { fields, own };
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }

  async #open(): Promise<StoreFile> {
    const file = await this.#fileSystem.open(this.path, 'create');
    this.#file = file;
    if ((await file.size()) < TIMER_CHECK_BYTES) await file.allocate(TIMER_CHECK_BYTES);
    await file.sync();
    await this.#fileSystem.syncDirectory(dirname(this.path));
    return file;
  }
}
