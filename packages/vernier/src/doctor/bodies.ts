import { inflateSync } from 'node:zlib';
import { compressionType } from '@vernier/remoting';

/** A body as its producer had it; `problem` says why it is still packed. */
export interface UnpackedBody {
  body: Buffer;
  problem?: string;
}

/** Larger than any broker accepts: a packed body that claims more is damage and not a message. */
const UNPACKED_BYTES_MAX = 256 * 1024 * 1024;

/** Unpacks bodies by zlib, LZ4 (frame) and ZSTD; the libraries of the latter load with the first body that needs them. */
export class BodyUnpacker {
  async unpack(body: Buffer, sysFlag: number): Promise<UnpackedBody> {
    const type = compressionType(sysFlag);
    if (type === 'none' || body.length === 0) return { body };
    try {
      switch (type) {
        case 'zlib':
          return { body: inflateSync(body, { maxOutputLength: UNPACKED_BYTES_MAX }) };
        case 'zstd': {
          const { decompress } = await import('fzstd');
          return { body: asBuffer(decompress(body)) };
        }
        case 'lz4': {
          const { default: lz4 } = await import('lz4js');
          // The library makes room for what the frame claims, before it looks at a block.
          const claimed = lz4.decompressBound(body);
          if (claimed > UNPACKED_BYTES_MAX) throw new Error(`it claims ${claimed} bytes`);
          return { body: asBuffer(lz4.decompress(body, claimed)) };
        }
      }
    } catch (error) {
      return { body, problem: `it does not unpack as ${type}: ${(error as Error).message}` };
    }
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
