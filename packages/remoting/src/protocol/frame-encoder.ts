import { RemotingError } from '../errors.ts';
import { binaryHeaderBytesMax, writeBinaryHeader } from './binary-header.ts';
import { jsonHeaderText } from './json-header.ts';
import { type RemotingCommand, SerializeType } from './remoting-command.ts';
import { SendAnswer } from './send-answer.ts';

const SLAB_BYTES = 64 * 1024;
/** A body up to this size is copied behind its header, which costs less than one more piece in the write. */
const COPY_BODY_BYTES_MAX = 4096;
const HEADER_BYTES_MAX = 0xffffff;

/** Bytes of a command's body, in one piece or several. */
export function bodyBytes(command: RemotingCommand): number {
  if (command.bodyParts !== undefined) {
    let bytes = 0;
    for (const part of command.bodyParts) bytes += part.length;
    return bytes;
  }
  return command.body === undefined ? 0 : command.body.length;
}

/**
 * Lays frames one behind the other into a slab, so that all answers of a turn to one connection are one buffer. Large
 * bodies are not copied: they stand between pieces of the slab.
 *
 *   slab   [ header body header body header | header body ]        take() →  [piece, body, piece]
 *                                          ^ large body in between
 */
export class FrameEncoder {
  #slab: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #start = 0;
  #position = 0;
  #pieces: Uint8Array[] = [];
  /** Where in the present slab the bytes of the last take begin, and those appended since. */
  #takenFrom = 0;
  #appendedFrom = 0;

  /** Appends one frame. Throws REMOTING_HEADER_TOO_LARGE, REMOTING_FRAME_TOO_LARGE; the pieces so far stay as they are. */
  append(command: RemotingCommand, frameBytesMax: number): void {
    if (command instanceof SendAnswer) {
      this.#appendAnswer(command);
      return;
    }
    const bytes = bodyBytes(command);
    const copied = bytes <= COPY_BODY_BYTES_MAX ? bytes : 0;
    const json = command.serializeType === SerializeType.JSON;
    const text = json ? jsonHeaderText(command) : '';
    this.#reserve(8 + copied + (json ? text.length * 3 : binaryHeaderBytesMax(command)));
    const slab = this.#slab;
    const start = this.#position;
    const headerEnd = json
      ? start + 8 + slab.write(text, start + 8, 'utf8')
      : writeBinaryHeader(command, slab, start + 8);
    const headerLength = headerEnd - start - 8;
    if (headerLength > HEADER_BYTES_MAX) {
      throw new RemotingError('REMOTING_HEADER_TOO_LARGE', `header of ${headerLength} bytes exceeds 24 bits`);
    }
    if (8 + headerLength + bytes > frameBytesMax) {
      throw new RemotingError(
        'REMOTING_FRAME_TOO_LARGE',
        `frame of ${8 + headerLength + bytes} bytes exceeds the limit of ${frameBytesMax}`,
        { frameBytes: 8 + headerLength + bytes, frameBytesMax },
      );
    }
    slab.writeInt32BE(4 + headerLength + bytes, start);
    slab.writeInt32BE((command.serializeType << 24) | headerLength, start + 4);
    this.#position = headerEnd;
    if (bytes > 0) this.#appendBody(command, copied > 0);
  }

  /** Its header is far below every limit, and it has no body. */
  #appendAnswer(answer: SendAnswer): void {
    this.#reserve(8 + answer.headerBytesMax);
    const slab = this.#slab;
    const start = this.#position;
    const end = answer.writeHeader(slab, start + 8);
    slab.writeInt32BE(end - start - 4, start);
    slab.writeInt32BE((answer.serializeType << 24) | (end - start - 8), start + 4);
    this.#position = end;
  }

  #appendBody(command: RemotingCommand, copy: boolean): void {
    const parts = command.bodyParts ?? [command.body as Buffer];
    if (!copy) this.#cut();
    for (const part of parts) {
      if (copy) {
        this.#slab.set(part, this.#position);
        this.#position += part.length;
      } else if (part.length > 0) this.#pieces.push(part);
    }
  }

  #reserve(bytes: number): void {
    if (this.#position + bytes <= this.#slab.length) return;
    this.#cut();
    this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bytes));
    this.#start = 0;
    this.#position = 0;
    this.#appendedFrom = 0;
  }

  #cut(): void {
    if (this.#position > this.#start) this.#pieces.push(this.#slab.subarray(this.#start, this.#position));
    this.#start = this.#position;
  }

  /** What was appended since the last take, in order. */
  take(): Uint8Array[] {
    this.#cut();
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#takenFrom = this.#appendedFrom;
    this.#appendedFrom = this.#position;
    return pieces;
  }

  /** Says that nobody holds anything of the last `take` any more: its part of the slab is used again. */
  recycle(): void {
    if (this.#pieces.length > 0 || this.#position !== this.#appendedFrom) return;
    // A slab that was made for one huge header does not stay.
    if (this.#slab.length > SLAB_BYTES) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.#takenFrom = 0;
    }
    this.#start = this.#takenFrom;
    this.#position = this.#takenFrom;
    this.#appendedFrom = this.#takenFrom;
  }
}

/** One command as one buffer of its own. For tests and tools; connections gather into an encoder. */
export function encodeFrame(command: RemotingCommand, frameBytesMax = 16_777_216): Buffer {
  const encoder = new FrameEncoder();
  encoder.append(command, frameBytesMax);
  return Buffer.concat(encoder.take());
}
