import { decodeMessage, RECORD_BYTES_MIN } from '../commit-log/message-decoder.ts';
import type { MappedFileQueue } from '../mapped-file/mapped-file-queue.ts';
import type { MessageExt } from '../types.ts';
import { isOutOfRange, type LogReader } from './log-reader.ts';

/** Looks at single records of the log, where an offset comes from outside and need not be a record's. */
export class RecordLookup {
  readonly #log: MappedFileQueue;
  readonly #reader: LogReader;
  /** End of what readers may see. */
  readonly #confirmOffset: () => number;
  readonly #recordBytesMax: number;

  constructor(log: MappedFileQueue, reader: LogReader, recordBytesMax: number, confirmOffset: () => number) {
    this.#log = log;
    this.#reader = reader;
    this.#recordBytesMax = recordBytesMax;
    this.#confirmOffset = confirmOffset;
  }

  /** The whole record that starts at this offset, checked; undefined when none does. */
  async selectOneMessageByOffset(offset: number): Promise<Buffer | undefined> {
    const size = await this.#sizeAt(offset);
    return size === undefined ? undefined : this.#reader.readRecord(offset, size);
  }

  async lookMessageByOffset(offset: number): Promise<MessageExt | undefined> {
    const record = await this.selectOneMessageByOffset(offset);
    return record && decodeMessage(record);
  }

  /** storeTimestamp of a record that a consume-queue entry points at; -1 when it is gone. */
  async storeTimestampOf(offset: number, size: number): Promise<number> {
    if (offset < this.#log.minOffset || offset + size > this.#confirmOffset()) return -1;
    const message = await this.#reader.readRecord(offset, size);
    return (message && decodeMessage(message)?.storeTimestamp) ?? -1;
  }

  async #sizeAt(offset: number): Promise<number | undefined> {
    const end = this.#confirmOffset();
    if (!Number.isSafeInteger(offset) || offset < this.#log.minOffset || offset + RECORD_BYTES_MIN > end) {
      return undefined;
    }
    const fileSize = this.#log.mappedFileSize;
    const leftInFile = fileSize - (offset % fileSize);
    if (leftInFile < RECORD_BYTES_MIN) return undefined;
    const head = await this.#log.read(offset, 4).catch((error: Error) => {
      // Its file is being deleted since the look at minOffset.
      if (isOutOfRange(error)) return undefined;
      throw error;
    });
    if (head === undefined) return undefined;
    const size = head.readInt32BE(0);
    const limit = Math.min(leftInFile, this.#recordBytesMax, end - offset);
    return size >= RECORD_BYTES_MIN && size <= limit ? size : undefined;
  }
}
