import { RemotingError } from '../errors.ts';
import { decodeBinaryHeader } from './binary-header.ts';
import { FRAME_BYTES_MAX } from './frame-bytes.ts';
import type { HeaderReader } from './header-reader.ts';
import { decodeJsonHeader } from './json-header.ts';
import { type RemotingCommand, SerializeType } from './remoting-command.ts';

/**
 * Up to here a frame that arrives in pieces gets its buffer at once. A larger one gets twice that, and then all of it:
 * who announces a frame and sends little of it costs little.
 */
const ASSEMBLY_BYTES_AT_ONCE = 64 * 1024;
const HEADER_BYTES_MAX = 0xffffff;

/**
 * Cuts frames out of a socket's chunks (RocketMQ NettyDecoder). A frame:
 *
 * | Bytes | Field                                                                     |
 * |-------|---------------------------------------------------------------------------|
 * | 4     | i32 length of all that follows                                            |
 * | 4     | high byte: serialize type (0 JSON, 1 ROCKETMQ); low 24 bits: header length |
 * | n     | header                                                                    |
 * | rest  | body, may be empty                                                        |
 *
 * A frame that lies in one chunk is not copied: its body is a view into the chunk. A frame that crosses chunks is put
 * together once (of a frame above 64 KiB the first 128 KiB more than once).
 */
export class FrameDecoder {
  readonly #frameBytesMax: number;
  readonly #reader: HeaderReader | undefined;
  readonly #headerBytesMax: number;
  /** Bytes of the frame that `next` gave out last, with its length. */
  frameBytes = 0;
  #chunk: Buffer | undefined;
  #position = 0;
  /** Chunks pushed while earlier ones still hold frames (a connection that is not being read from). */
  readonly #waiting: Buffer[] = [];
  /** The frame that crosses chunks: its bytes so far, and how many are wanted (4 until the length is known). */
  #assembly: Buffer | undefined;
  #assembled = 0;
  #wanted = 0;

  /** With a `reader` the hottest requests are read from their bytes; see RemotingCommand.send and .pull. */
  constructor(
    frameBytesMax: number = FRAME_BYTES_MAX,
    reader?: HeaderReader,
    headerBytesMax: number = HEADER_BYTES_MAX,
  ) {
    this.#frameBytesMax = frameBytesMax;
    this.#reader = reader;
    this.#headerBytesMax = headerBytesMax;
  }

  /** There is something to look at for `next`. */
  get hasBytes(): boolean {
    return this.#chunk !== undefined;
  }

  /** Bytes pushed and not yet given out as a frame. */
  get bufferedBytes(): number {
    let bytes = this.#assembled;
    if (this.#chunk !== undefined) bytes += this.#chunk.length - this.#position;
    for (const chunk of this.#waiting) bytes += chunk.length;
    return bytes;
  }

  /** Length of the frame that is arriving, once 64 KiB of it are there; 0 otherwise. */
  get largeFrameBytes(): number {
    return this.#assembly !== undefined && this.#assembled >= ASSEMBLY_BYTES_AT_ONCE ? this.#wanted : 0;
  }

  /** Drops what was pushed. */
  clear(): void {
    this.#chunk = undefined;
    this.#waiting.length = 0;
    this.#assembly = undefined;
    this.#assembled = 0;
  }

  /** Takes a chunk; the decoder keeps views into it until its frames are out, or until `keepPushed`. */
  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    if (this.#chunk === undefined) {
      this.#chunk = chunk;
      this.#position = 0;
    } else {
      this.#waiting.push(chunk);
    }
  }

  /** Copies what is left of the chunk pushed last: its memory is about to be another's. */
  keepPushed(): void {
    const last = this.#waiting.length - 1;
    if (last >= 0) {
      this.#waiting[last] = Buffer.from(this.#waiting[last] as Buffer);
    } else if (this.#chunk !== undefined) {
      this.#chunk = Buffer.from(this.#chunk.subarray(this.#position));
      this.#position = 0;
    }
  }

  /**
   * The next whole frame, or undefined when more bytes are needed. Throws REMOTING_FRAME_INVALID or
   * REMOTING_FRAME_TOO_LARGE; nothing that follows on this connection can be trusted then.
   */
  next(): RemotingCommand | undefined {
    for (;;) {
      const chunk = this.#chunk;
      if (chunk === undefined) return undefined;
      if (this.#assembly !== undefined) {
        const frame = this.#assemble(chunk);
        if (frame !== undefined) return this.#decode(frame, 0, frame.length);
        continue;
      }
      const start = this.#position;
      const available = chunk.length - start;
      if (available >= 4) {
        const end = start + 4 + this.#checkLength(chunk.readInt32BE(start));
        if (end <= chunk.length) {
          this.#advance(chunk, end);
          return this.#decode(chunk, start, end);
        }
        this.#beginAssembly(end - start);
      } else {
        this.#beginAssembly(4);
      }
    }
  }

  #decode(buffer: Buffer, start: number, end: number): RemotingCommand {
    this.frameBytes = end - start;
    return decodeFrame(buffer, start + 4, end, this.#reader, this.#headerBytesMax);
  }

  #checkLength(length: number): number {
    if (length < 4) {
      throw new RemotingError('REMOTING_FRAME_INVALID', `frame length ${length} is below 4`, { length });
    }
    if (length + 4 > this.#frameBytesMax) {
      throw new RemotingError(
        'REMOTING_FRAME_TOO_LARGE',
        `frame of ${length + 4} bytes exceeds the limit of ${this.#frameBytesMax}`,
        { frameBytes: length + 4, frameBytesMax: this.#frameBytesMax },
      );
    }
    return length;
  }

  #advance(chunk: Buffer, position: number): void {
    if (position < chunk.length) {
      this.#position = position;
    } else {
      this.#chunk = this.#waiting.length > 0 ? this.#waiting.shift() : undefined;
      this.#position = 0;
    }
  }

  #beginAssembly(wanted: number): void {
    this.#wanted = wanted;
    this.#assembled = 0;
    this.#assembly = Buffer.allocUnsafeSlow(Math.min(wanted, ASSEMBLY_BYTES_AT_ONCE));
  }

  /** Moves bytes of the chunk into the frame under assembly; the frame once it is whole. */
  #assemble(chunk: Buffer): Buffer | undefined {
    const take = Math.min(this.#wanted - this.#assembled, chunk.length - this.#position);
    this.#reserve(this.#assembled + take);
    const assembly = this.#assembly as Buffer;
    chunk.copy(assembly, this.#assembled, this.#position, this.#position + take);
    this.#assembled += take;
    this.#advance(chunk, this.#position + take);
    if (this.#assembled < this.#wanted) return undefined;
    const total = 4 + this.#checkLength(assembly.readInt32BE(0));
    if (total > this.#wanted) {
      this.#wanted = total;
      return undefined;
    }
    this.#assembly = undefined;
    this.#assembled = 0;
    return assembly.length === total ? assembly : assembly.subarray(0, total);
  }

  #reserve(bytes: number): void {
    const assembly = this.#assembly as Buffer;
    if (bytes <= assembly.length) return;
    let size = ASSEMBLY_BYTES_AT_ONCE;
    if (bytes > size) size = bytes > 2 * size ? this.#wanted : 2 * size;
    const larger = Buffer.allocUnsafeSlow(Math.min(size, this.#wanted));
    assembly.copy(larger, 0, 0, this.#assembled);
    this.#assembly = larger;
  }
}

/**
 * Decodes one frame that begins, after its length, at `start` and ends before `end`. The body of the result is a view
 * into `buffer`. Throws REMOTING_FRAME_INVALID, and REMOTING_FRAME_TOO_LARGE when its header is above `headerBytesMax`.
 */
export function decodeFrame(
  buffer: Buffer,
  start: number,
  end: number,
  reader?: HeaderReader,
  headerBytesMax: number = HEADER_BYTES_MAX,
): RemotingCommand {
  const word = buffer.readInt32BE(start);
  const headerLength = word & 0xffffff;
  const type = word >>> 24;
  const headerStart = start + 4;
  const headerEnd = headerStart + headerLength;
  if (headerEnd > end) {
    throw new RemotingError(
      'REMOTING_FRAME_INVALID',
      `header of ${headerLength} bytes in a frame with ${end - headerStart} bytes`,
      { headerLength, frameBytes: end - start + 4 },
    );
  }
  if (headerLength > headerBytesMax) {
    throw new RemotingError(
      'REMOTING_FRAME_TOO_LARGE',
      `header of ${headerLength} bytes exceeds the limit of ${headerBytesMax}`,
      { headerLength, headerBytesMax },
    );
  }
  const body = headerEnd < end ? buffer.subarray(headerEnd, end) : undefined;
  if (type === SerializeType.JSON) {
    return reader?.json(buffer, headerStart, headerEnd, body) ?? decodeJsonHeader(buffer, headerStart, headerEnd, body);
  }
  if (type === SerializeType.ROCKETMQ) {
    return (
      reader?.binary(buffer, headerStart, headerEnd, body) ?? decodeBinaryHeader(buffer, headerStart, headerEnd, body)
    );
  }
  throw new RemotingError('REMOTING_FRAME_INVALID', `serialize type ${type} is neither 0 (JSON) nor 1 (ROCKETMQ)`, {
    serializeType: type,
  });
}
