import type { MessageStoreConfig } from '../base/config.ts';
import { readInt32, readInt64 } from '../base/int64.ts';
import { RECORD_BYTES_CEILING, RECORD_BYTES_MIN, RECORD_OVERHEAD_BYTES_MAX } from '../base/limits.ts';
import type { StoredMessage } from '../base/types.ts';
import type { MappedFileQueue } from '../mapped-file/mapped-file-queue.ts';
import {
  checkMessageAndReturnSize,
  decodeMessage,
  PHYSICAL_OFFSET_POSITION,
  RECORD_HEAD_BYTES,
} from '../record/message-decoder.ts';
import { decodeStoredMessage } from '../record/stored-message.ts';
import { isTombstone } from '../record/tombstone.ts';
import { isOutOfRange, type LogReader } from './log-reader.ts';

/** Looks at single records of the log, where an offset comes from outside and need not be a record's. */
export class RecordLookup {
  readonly #log: MappedFileQueue;
  readonly #reader: LogReader;
  /** End of what readers may see. */
  readonly #confirmOffset: () => number;
  readonly #config: Pick<MessageStoreConfig, 'maxMessageSize'>;

  constructor(
    log: MappedFileQueue,
    reader: LogReader,
    config: Pick<MessageStoreConfig, 'maxMessageSize'>,
    confirmOffset: () => number,
  ) {
    this.#log = log;
    this.#reader = reader;
    this.#config = config;
    this.#confirmOffset = confirmOffset;
  }

  /**
   * The whole record that starts at this offset, checked; undefined when none does, or one that a repair left in place of a
   * lost message. The offset is anybody's: what stands
   * there may be a message's body that was made to look like a record of a gigabyte, so none is read that is larger than
   * what maxMessageSize allows.
   */
  async selectOneMessageByOffset(offset: number): Promise<Buffer | undefined> {
    const sizeMax = Math.max(RECORD_BYTES_MIN, this.#config.maxMessageSize + RECORD_OVERHEAD_BYTES_MAX);
    const record = await this.#select(offset, sizeMax);
    // It stands for a message that a repair took out.
    return record === undefined || isTombstone(record, 0, record.length) ? undefined : record;
  }

  /** The same for an offset that the index has: a record begins there, whatever its size was allowed to be when it was stored. */
  async selectIndexedMessage(offset: number): Promise<Buffer | undefined> {
    return this.#select(offset, RECORD_BYTES_CEILING);
  }

  /**
   * The record of a message that a file besides the log names by offset and size; undefined when it is gone, or is not that
   * record.
   */
  async selectNamedRecord(offset: number, size: number): Promise<Buffer | undefined> {
    if ((await this.#sizeAt(offset)) !== size) return undefined;
    const record = await this.#reader.readRecord(offset, size);
    return record === undefined || isTombstone(record, 0, record.length) ? undefined : record;
  }

  async #select(offset: number, sizeMax: number): Promise<Buffer | undefined> {
    const size = await this.#sizeAt(offset);
    return size === undefined || size > sizeMax ? undefined : this.#reader.readRecord(offset, size);
  }

  async lookMessageByOffset(offset: number): Promise<StoredMessage | undefined> {
    const record = await this.selectOneMessageByOffset(offset);
    return record && decodeStoredMessage(record);
  }

  /**
   * Whether memory may be taken for a record on the word of a consume-queue entry, whose size no checksum covers: any record
   * that this store would accept is within the bound, and a larger one is believed when the log says the same. Undefined,
   * instead of a promise, when nothing had to be read.
   */
  confirmsSize(offset: number, size: number): Promise<boolean> | undefined {
    if (size <= this.#config.maxMessageSize + RECORD_OVERHEAD_BYTES_MAX) return undefined;
    return this.#sizeAt(offset).then((found) => found === size);
  }

  /** storeTimestamp of a record that a consume-queue entry points at; -1 when it is gone, or the entry is damaged. */
  async storeTimestampOf(offset: number, size: number): Promise<number> {
    if (size < RECORD_BYTES_MIN || offset < this.#log.minOffset || offset + size > this.#confirmOffset()) return -1;
    if ((offset % this.#log.mappedFileSize) + size > this.#log.mappedFileSize) return -1;
    if ((await this.confirmsSize(offset, size)) === false) return -1;
    const message = await this.#reader.readRecord(offset, size);
    return (message && decodeMessage(message)?.storeTimestamp) ?? -1;
  }

  async #sizeAt(offset: number): Promise<number | undefined> {
    const end = this.#confirmOffset();
    if (!Number.isSafeInteger(offset) || offset < this.#log.minOffset || offset + RECORD_BYTES_MIN > end) {
      return undefined;
    }
    const fileSize = this.#log.mappedFileSize;
    const sizeMax = Math.min(fileSize - (offset % fileSize), end - offset);
    if (sizeMax < RECORD_BYTES_MIN) return undefined;
    // What is no head in a block that was read before may be one on the disk: a read may go wrong once.
    for (const pastBlocks of [false, true]) {
      const head = await this.#reader
        .readBytes(offset, Math.min(RECORD_HEAD_BYTES, sizeMax), pastBlocks)
        .catch((error: Error) => {
          // Its file is being deleted since the look at minOffset.
          if (isOutOfRange(error)) return undefined;
          throw error;
        });
      const size = head && sizeOf(head, offset, sizeMax);
      if (size !== undefined) return size;
    }
    return undefined;
  }
}

/** Four bytes of a body may pass for a size of a gigabyte. Those that are asked for as a record have to be its head. */
function sizeOf(head: Buffer, offset: number, sizeMax: number): number | undefined {
  const check = checkMessageAndReturnSize(head, 0, { maxSize: sizeMax });
  const isHead = check.kind === 'record' || check.kind === 'short';
  return isHead && readInt64(head, PHYSICAL_OFFSET_POSITION) === offset ? readInt32(head, 0) : undefined;
}
