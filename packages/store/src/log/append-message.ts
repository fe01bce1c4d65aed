import { END_FILE_MIN_BLANK_LENGTH } from '../base/limits.ts';
import type { MessageExtBrokerInner } from '../base/types.ts';
import type { MappedFile } from '../mapped-file/mapped-file.ts';
import { BLANK_MAGIC_CODE } from '../record/message-decoder.ts';
import type { EncodedPart, MessageEncoder } from '../record/message-encoder.ts';

/** RocketMQ AppendMessageStatus, and `NO_BUFFER` for an engine whose buffers all hold bytes that are not written yet. */
export type AppendMessageStatus = 'PUT_OK' | 'END_OF_FILE' | 'NO_BUFFER';

/**
 * Lays records down in one file (RocketMQ DefaultAppendMessageCallback.doAppend). One object a log, used again for every
 * append: after PUT_OK `offsets` and `sizes` tell where each record went. The step is synchronous: offsets are known to
 * nobody before it is done, and nothing is half done when it refuses.
 */
export class MessageAppender {
  readonly #encoder: MessageEncoder;
  readonly #appendBytesMax: number;
  /** Offset in the log and size in bytes of each record of the last append, `count` of them. */
  readonly offsets: number[] = [];
  readonly sizes: number[] = [];
  count = 0;
  /** Bytes of all records of the last append. */
  totalSize = 0;

  /** `appendBytesMax`: what may be reserved at once; no put that comes here needs more. */
  constructor(encoder: MessageEncoder, appendBytesMax: number) {
    this.#encoder = encoder;
    this.#appendBytesMax = appendBytesMax;
  }

  /**
   * Appends the parts as consecutive records of one queue. END_OF_FILE: they and a BLANK marker do not fit together, the
   * file was closed with BLANK, the next file takes them all. NO_BUFFER: nothing changed.
   */
  append(
    file: MappedFile,
    message: MessageExtBrokerInner,
    parts: readonly EncodedPart[],
    queueOffset: number,
    storeTimestamp: number,
  ): AppendMessageStatus {
    const maxBlank = file.fileSize - file.wrotePosition;
    let room = 0;
    for (const part of parts) room += this.#encoder.sizeMax(message, part);
    if (room + END_FILE_MIN_BLANK_LENGTH > maxBlank || room > this.#appendBytesMax) {
      room = 0;
      for (const part of parts) room += this.#encoder.size(message, part);
      if (room > this.#appendBytesMax) throw new RangeError('append: more than any file can hold');
      if (room + END_FILE_MIN_BLANK_LENGTH > maxBlank) return this.#closeWithBlank(file, maxBlank);
    }
    if (!file.reserve(room)) return 'NO_BUFFER';

    const { target, targetStart } = file;
    const firstOffset = file.fileFromOffset + file.wrotePosition;
    let size = 0;
    let index = 0;
    for (const part of parts) {
      const recordSize = this.#encoder.encode(
        target,
        targetStart + size,
        message,
        part,
        queueOffset === -1 ? 0 : queueOffset + index,
        firstOffset + size,
        storeTimestamp,
      );
      this.offsets[index] = firstOffset + size;
      this.sizes[index] = recordSize;
      size += recordSize;
      index++;
    }
    this.count = index;
    this.totalSize = size;
    file.storeTimestamp = storeTimestamp;
    file.advance(size);
    return 'PUT_OK';
  }

  #closeWithBlank(file: MappedFile, maxBlank: number): AppendMessageStatus {
    if (!file.reserve(END_FILE_MIN_BLANK_LENGTH)) return 'NO_BUFFER';
    file.target.writeInt32BE(maxBlank, file.targetStart);
    file.target.writeInt32BE(BLANK_MAGIC_CODE, file.targetStart + 4);
    file.advance(END_FILE_MIN_BLANK_LENGTH, true);
    return 'END_OF_FILE';
  }
}
