/** HTTP/2 as bytes (RFC 9113), as no library would send it. */
import type { Random } from '../random.ts';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const Frame = {
  DATA: 0,
  HEADERS: 1,
  RST_STREAM: 3,
  SETTINGS: 4,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
};
const END_STREAM = 1;
const END_HEADERS = 4;

/** length u24, type u8, flags u8, stream u32. */
function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A length of HPACK with a prefix of 7 bits. */
function lengthOf(count: number): Buffer {
  if (count < 127) return Buffer.of(count);
  const bytes = [127];
  let rest = count - 127;
  for (; rest >= 128; rest >>>= 7) bytes.push((rest & 127) | 128);
  return Buffer.from([...bytes, rest]);
}

/** Literals that no table keeps. */
function headerBlock(headers: Readonly<Record<string, string>>): Buffer {
  const fields = Object.entries(headers).flatMap(([name, value]) => {
    const [nameBytes, valueBytes] = [Buffer.from(name), Buffer.from(value)];
    return [Buffer.of(0), lengthOf(nameBytes.length), nameBytes, lengthOf(valueBytes.length), valueBytes];
  });
  return Buffer.concat(fields);
}

export interface Http2Call {
  path: string;
  clientId: string;
  /** The message of gRPC, without its head. */
  message: Buffer;
}

/** The message behind its head; the head says `bytes` of it, which may be a lie. */
function grpcMessage(random: Random, message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head[0] = random.chance(0.95) ? 0 : random.below(256);
  head.writeUInt32BE(random.chance(0.9) ? message.length : random.pick([0, 1, 0x7fffffff, 0xffffffff]), 1);
  return Buffer.concat([head, message]);
}

/** One of the frames that cost a server more than they cost a client, many times over. */
function flood(random: Random, stream: number): Buffer[] {
  const uint32 = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes;
  };
  const setting = (id: number, value: number): Buffer => Buffer.concat([Buffer.of(0, id), uint32(value)]);
  const one = random.pick([
    () => frame(Frame.PING, 0, 0, random.bytes(8)),
    () => frame(Frame.SETTINGS, 0, 0, setting(1 + random.below(6), random.pick([0, 1, 0x7fffffff, 0xffffffff]))),
    () => frame(Frame.WINDOW_UPDATE, 0, random.pick([0, stream]), uint32(random.pick([0, 1, 0x7fffffff]))),
    () => frame(Frame.RST_STREAM, 0, stream, uint32(random.below(14))),
    () => frame(Frame.CONTINUATION, 0, stream, headerBlock({ a: 'b' })),
    () => frame(Frame.DATA, 0, stream, Buffer.alloc(0)),
    () => frame(Frame.GOAWAY, 0, 0, Buffer.concat([uint32(0), uint32(0)])),
    () => frame(random.below(256), random.below(256), random.below(9), random.bytes(random.skewed(100))),
  ]);
  return Array.from({ length: 1 + random.skewed(400) }, one);
}

/** A session of a client: preface, settings, calls one after another, with floods in between. */
export function http2Session(random: Random, calls: readonly Http2Call[]): Buffer {
  const parts = [PREFACE, frame(Frame.SETTINGS, 0, 0, Buffer.alloc(0))];
  if (random.chance(0.5)) parts.push(frame(Frame.SETTINGS, 1, 0, Buffer.alloc(0)));
  for (const [index, { path, clientId, message }] of calls.entries()) {
    const stream = 1 + 2 * index;
    const block = headerBlock({
      ...{ ':method': 'POST', ':scheme': 'https', ':path': path, ':authority': 'localhost' },
      ...{ 'content-type': 'application/grpc', te: 'trailers', 'x-mq-client-id': clientId, 'x-mq-language': 'JAVA' },
      ...(random.chance(0.1) ? { 'grpc-timeout': random.pick(['1n', '50m', '99999999H', '-1S', 'x']) } : {}),
      ...(random.chance(0.05) ? { 'x-long': 'y'.repeat(random.skewed(60_000)) } : {}),
    });
    const cut = random.chance(0.2) ? random.below(block.length) : block.length;
    parts.push(frame(Frame.HEADERS, cut === block.length ? END_HEADERS : 0, stream, block.subarray(0, cut)));
    if (cut < block.length) parts.push(frame(Frame.CONTINUATION, END_HEADERS, stream, block.subarray(cut)));
    const body = grpcMessage(random, message);
    const split = random.chance(0.3) ? random.below(body.length) : 0;
    if (split > 0) parts.push(frame(Frame.DATA, 0, stream, body.subarray(0, split)));
    parts.push(frame(Frame.DATA, random.chance(0.9) ? END_STREAM : 0, stream, body.subarray(split)));
    if (random.chance(0.1)) parts.push(...flood(random, stream));
  }
  return Buffer.concat(parts);
}
