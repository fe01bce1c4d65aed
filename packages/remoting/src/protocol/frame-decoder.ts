import { RemotingError } from '../errors.ts';
import { decodeBinaryHeader } from './binary-header.ts';
import { decodeJsonHeader } from './json-header.ts';
import { type RemotingCommand, SerializeType } from './remoting-command.ts';

/** Largest frame with its length prefix (RocketMQ com.rocketmq.remoting.frameMaxLength). */
export const FRAME_BYTES_MAX = 16_777_216;

/** Up to here a frame that arrives in pieces gets its buffer at once; beyond, only as its bytes really arrive. */
const ASSEMBLY_BYTES_AT_ONCE = 64 * 1024;

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
 * together once (a frame above 64 KiB at most twice, because memory follows the bytes that arrived and not the length
 * that was announced).
 */
export class FrameDecoder {
  readonly #frameBytesMax: number;
  #chunk: Buffer | undefined;
  #position = 0;
  /** Chunks pushed while earlier ones still hold frames (a connection that is not being read from). */
  readonly #waiting: Buffer[] = [];
  /** The frame that crosses chunks: its bytes so far, and how many are wanted (4 until the length is known). */
  #assembly: Buffer | undefined;
  #assembled = 0;
  #wanted = 0;

  constructor(frameBytesMax: number = FRAME_BYTES_MAX) {
    this.#frameBytesMax = frameBytesMax;
  }

  /** Bytes pushed and not yet given out as a frame. */
  get bufferedBytes(): number {
    let bytes = this.#assembled;
    if (this.#chunk !== undefined) bytes += this.#chunk.length - this.#position;
    for (const chunk of this.#waiting) bytes += chunk.length;
    return bytes;
  }

  /** Takes a chunk; the decoder keeps views into it until its frames are out. */
  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    if (this.#chunk === undefined) {
      this.#chunk = chunk;
      this.#position = 0;
    } else {
      this.#waiting.push(chunk);
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
        if (frame !== undefined) return decodeFrame(frame, 4, frame.length);
        continue;
      }
      const start = this.#position;
      const available = chunk.length - start;
      if (available >= 4) {
        const end = start + 4 + this.#checkLength(chunk.readInt32BE(start));
        if (end <= chunk.length) {
          this.#advance(chunk, end);
          return decodeFrame(chunk, start + 4, end);
        }
        this.#beginAssembly(end - start);
      } else {
        this.#beginAssembly(4);
      }
    }
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
    const larger = Buffer.allocUnsafeSlow(
      Math.min(this.#wanted, Math.max(bytes, assembly.length * 2, ASSEMBLY_BYTES_AT_ONCE)),
    );
    assembly.copy(larger, 0, 0, this.#assembled);
    this.#assembly = larger;
  }
}

/**
 * Decodes one frame that begins, after its length, at `start` and ends before `end`. The body of the result is a view
 * into `buffer`. Throws REMOTING_FRAME_INVALID.
 */
export function decodeFrame(buffer: Buffer, start: number, end: number): RemotingCommand {
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
  const body = headerEnd < end ? buffer.subarray(headerEnd, end) : undefined;
  if (type === SerializeType.JSON) return decodeJsonHeader(buffer, headerStart, headerEnd, body);
  if (type === SerializeType.ROCKETMQ) return decodeBinaryHeader(buffer, headerStart, headerEnd, body);
  throw new RemotingError('REMOTING_FRAME_INVALID', `serialize type ${type} is neither 0 (JSON) nor 1 (ROCKETMQ)`, {
    serializeType: type,
  });
}
