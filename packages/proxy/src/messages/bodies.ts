import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { BodyUnpacker } from '@vernier/doctor';
import { type CompressionType, compressionBits, compressionType } from '@vernier/remoting';
import { StatusError } from '../status.ts';
import { Code, Encoding } from '../wire/messages.ts';

/** A body as it is stored, and the bits of the sysFlag that say how it is packed. */
export interface PackedBody {
  readonly body: Buffer;
  readonly sysFlag: number;
}

const LZ4_FRAME = 0x184d2204;
const ZSTD_FRAME = 0xfd2fb528;

const gunzipAsync = promisify<Buffer, object, Buffer>(gunzip);

/**
 * What a client calls GZIP is zlib for some clients, and other formats have the same name: the first bytes say what it is.
 * Consumers of the other protocol read zlib, LZ4 and ZSTD; a body in the format of gzip is stored unpacked. Rejects with
 * MESSAGE_CORRUPTED for what is none of them, MESSAGE_BODY_TOO_LARGE for one that becomes too large.
 */
export async function packedBody(body: Buffer, bytesMax: number): Promise<PackedBody> {
  const compressed = (type: Exclude<CompressionType, 'none'>): PackedBody => ({ body, sysFlag: compressionBits(type) });
  const magic = body.length >= 4 ? body.readUInt32LE(0) : 0;
  if (magic === LZ4_FRAME) return compressed('lz4');
  if (magic === ZSTD_FRAME) return compressed('zstd');
  if (isZlib(body)) return compressed('zlib');
  if (!isGzip(body)) {
    const text = `a body of ${body.length} bytes is said to be GZIP, and is no gzip, zlib, LZ4 or ZSTD`;
    throw new StatusError(Code.MESSAGE_CORRUPTED, text);
  }
  try {
    return { body: await gunzipAsync(body, { maxOutputLength: bytesMax }), sysFlag: 0 };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ERR_BUFFER_TOO_LARGE') {
      throw new StatusError(Code.MESSAGE_BODY_TOO_LARGE, `message body cannot exceed the max ${bytesMax}`);
    }
    throw new StatusError(Code.MESSAGE_CORRUPTED, `the body is no gzip: ${message}`);
  }
}

/** RFC 1950: the two bytes of the header are a multiple of 31. */
const isZlib = (body: Buffer): boolean =>
  body.length >= 2 && (body.readUInt8(0) & 0x0f) === 8 && body.readUInt16BE(0) % 31 === 0;

const isGzip = (body: Buffer): boolean => body.length >= 2 && body.readUInt16BE(0) === 0x1f8b;

/** A body as its consumer gets it; `encoding` says whether it is packed. */
export interface UnpackedBody {
  readonly body: Buffer;
  readonly encoding: number;
}

/** Unpacks what producers packed, so that clients need not read what their library cannot. */
export class BodyOpener {
  readonly #unpacker: BodyUnpacker;

  constructor(bytesMax: number) {
    this.#unpacker = new BodyUnpacker(bytesMax);
  }

  /** What cannot be unpacked is given as it is, under the name that RocketMQ gives it. */
  async open(body: Buffer, sysFlag: number): Promise<UnpackedBody> {
    if (compressionType(sysFlag) === 'none') return { body, encoding: Encoding.IDENTITY };
    const { body: unpacked, problem } = await this.#unpacker.unpack(body, sysFlag);
    return { body: unpacked, encoding: problem === undefined ? Encoding.IDENTITY : Encoding.GZIP };
  }
}
