import { promisify } from 'node:util';
import { inflate } from 'node:zlib';
import { compressionType } from '@vernier/remoting';

/** A body as its producer had it; `problem` says why it is still packed. */
export interface UnpackedBody {
  body: Buffer;
  problem?: string;
}

/** Larger than any broker accepts: a packed body that claims more is damage and not a message. */
const UNPACKED_BYTES_MAX = 256 * 1024 * 1024;

const inflateAsync = promisify<Buffer, object, Buffer>(inflate);

/** Unpacks bodies by zlib, LZ4 (frame) and ZSTD; the libraries of the latter load with the first body that needs them. */
export class BodyUnpacker {
  readonly #bytesMax: number;

  /** `bytesMax`: what a body may become. */
  constructor(bytesMax = UNPACKED_BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  async unpack(body: Buffer, sysFlag: number): Promise<UnpackedBody> {
    const type = compressionType(sysFlag);
    if (type === 'none' || body.length === 0) return { body };
    try {
      switch (type) {
        case 'zlib':
          return { body: await inflateAsync(body, { maxOutputLength: this.#bytesMax }) };
        case 'zstd': {
          const { Decompress } = await import('fzstd');
          const claimed = zstdWindowBytes(body);
          if (claimed > this.#bytesMax) throw new Error(`it claims ${claimed} bytes`);
          return { body: unzstd(Decompress, body, this.#bytesMax) };
        }
        case 'lz4': {
          const { default: lz4 } = await import('lz4js');
          // The library makes room for what the frame claims, before it looks at a block.
          const claimed = lz4.decompressBound(body);
          if (claimed > this.#bytesMax) throw new Error(`it claims ${claimed} bytes`);
          return { body: asBuffer(lz4.decompress(body, claimed)) };
        }
      }
    } catch (error) {
      return { body, problem: `it does not unpack as ${type}: ${(error as Error).message}` };
    }
  }
}

type ZstdDecompress = new (onData: (chunk: Uint8Array) => void) => { push(chunk: Uint8Array, final: boolean): void };

/** Piece by piece, and no further than the limit. */
function unzstd(Decompress: ZstdDecompress, body: Buffer, bytesMax: number): Buffer {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  const stream = new Decompress((piece) => {
    bytes += piece.length;
    if (bytes > bytesMax) throw new Error(`it becomes more than ${bytesMax} bytes`);
    pieces.push(piece.slice());
  });
  stream.push(body, true);
  return Buffer.concat(pieces);
}

const ZSTD_MAGIC = 0xfd2fb528;

/**
 * The memory that a ZSTD frame asks its reader for before the first block: its window, or its content when that is one
 * segment (RFC 8878, 3.1.1.1). 0 for what is no such frame; the reader says so.
 */
function zstdWindowBytes(body: Buffer): number {
  if (body.length < 6 || body.readUInt32LE(0) !== ZSTD_MAGIC) return 0;
  const descriptor = body.readUInt8(4);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  if (!isSingleSegment) {
    const window = body.readUInt8(5);
    const base = 2 ** (10 + (window >> 3));
    return base + (base / 8) * (window & 7);
  }
  const idBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const sizeBytes = [1, 2, 4, 8][descriptor >> 6] ?? 0;
  const at = 5 + idBytes;
  if (at + sizeBytes > body.length) return 0;
  if (sizeBytes === 8) return Number(body.readBigUInt64LE(at));
  return body.readUIntLE(at, sizeBytes) + (sizeBytes === 2 ? 256 : 0);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
