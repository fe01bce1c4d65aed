/**
 * Frames of RocketMQ's remoting protocol, built and read by hand. Deliberately not @vernier/remoting: the load must not
 * share code, and thereby mistakes or speed-ups, with one of the two brokers it compares.
 *
 *     i32 length of what follows | u8 serialize type (0 = JSON), u24 header length | header | body
 */
const PREFIX_SIZE = 8;

export function encodeFrame(header: object, body: Uint8Array = new Uint8Array(0)): Buffer {
  const headerBytes = Buffer.from(JSON.stringify(header), 'utf8');
  const frame = Buffer.alloc(PREFIX_SIZE + headerBytes.length + body.length);
  frame.writeInt32BE(frame.length - 4, 0);
  frame.writeInt32BE(headerBytes.length, 4);
  headerBytes.copy(frame, PREFIX_SIZE);
  frame.set(body, PREFIX_SIZE + headerBytes.length);
  return frame;
}

/** `bytes[headerStart, bodyStart)` is the JSON header and `bytes[bodyStart, end)` the body; valid during the call only. */
export type FrameHandler = (bytes: Buffer, headerStart: number, bodyStart: number, end: number) => void;

/** Cuts a byte stream into frames. Whole frames are handed on where they lie; only a torn one is copied. */
export class FrameCutter {
  private readonly handler: FrameHandler;
  private carry = Buffer.allocUnsafe(1 << 20);
  private carried = 0;

  constructor(handler: FrameHandler) {
    this.handler = handler;
  }

  push(chunk: Buffer, length: number): void {
    let start = 0;
    if (this.carried > 0) {
      start = this.completeCarried(chunk, length);
      if (start < 0) return;
    }
    while (length - start >= 4) {
      const end = start + 4 + readInt32(chunk, start);
      if (end > length) break;
      this.emit(chunk, start, end);
      start = end;
    }
    this.keep(chunk, start, length);
  }

  /** Finishes the torn frame with the chunk's first bytes. Returns where the next frame starts, -1 when bytes are missing. */
  private completeCarried(chunk: Buffer, length: number): number {
    let taken = 0;
    if (this.carried < 4) {
      taken = Math.min(4 - this.carried, length);
      this.keep(chunk, 0, taken);
      if (this.carried < 4) return -1;
    }
    const frameSize = 4 + readInt32(this.carry, 0);
    const more = Math.min(frameSize - this.carried, length - taken);
    this.keep(chunk, taken, taken + more);
    if (this.carried < frameSize) return -1;
    this.carried = 0;
    this.emit(this.carry, 0, frameSize);
    return taken + more;
  }

  private keep(chunk: Buffer, start: number, end: number): void {
    if (end <= start) return;
    const needed = this.carried + end - start;
    if (needed > this.carry.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.carry.length * 2));
      this.carry.copy(larger, 0, 0, this.carried);
      this.carry = larger;
    }
    chunk.copy(this.carry, this.carried, start, end);
    this.carried = needed;
  }

  private emit(bytes: Buffer, start: number, end: number): void {
    const typeAndLength = readInt32(bytes, start + 4);
    if (typeAndLength >>> 24 !== 0)
      throw new Error(`response with serialize type ${typeAndLength >>> 24}, expected JSON`);
    const headerStart = start + PREFIX_SIZE;
    this.handler(bytes, headerStart, headerStart + (typeAndLength & 0xffffff), end);
  }
}

/**
 * Finds a member of a flat JSON header by its name without parsing the header. Headers of one broker look alike, so the
 * place of the last hit, counted from the header's start and from its end, is tried before the header is searched.
 */
export class HeaderField {
  private readonly pattern: Buffer;
  private fromStart = 0;
  private fromEnd = 0;

  /** `prefix` is everything up to the value: `"opaque":` or `"nextBeginOffset":"`. */
  constructor(prefix: string) {
    this.pattern = Buffer.from(prefix, 'latin1');
  }

  /** The whole number behind the prefix. Throws when the header has no such member: then this is no RocketMQ answer. */
  number(bytes: Buffer, start: number, end: number): number {
    let at = start + this.fromStart;
    if (!this.matches(bytes, at, end)) {
      at = end - this.fromEnd;
      if (at < start || !this.matches(bytes, at, end)) {
        at = bytes.indexOf(this.pattern, start);
        if (at < 0 || at >= end) {
          throw new Error(`no ${this.pattern.toString()} in the header ${bytes.toString('utf8', start, end)}`);
        }
        this.fromStart = at - start;
        this.fromEnd = end - at;
      }
    }
    return parseNumber(bytes, at + this.pattern.length);
  }

  private matches(bytes: Buffer, at: number, end: number): boolean {
    const pattern = this.pattern;
    if (at + pattern.length >= end) return false;
    for (let index = 0; index < pattern.length; index++) if (bytes[at + index] !== pattern[index]) return false;
    return true;
  }
}

function parseNumber(bytes: Buffer, at: number): number {
  let position = at;
  const negative = bytes[position] === 0x2d;
  if (negative) position++;
  let value = 0;
  for (;;) {
    const digit = bytes[position]! - 0x30;
    if (digit < 0 || digit > 9) return negative ? -value : value;
    value = value * 10 + digit;
    position++;
  }
}

export function readInt32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

/** Overwrites `width` characters with `value` in decimal, zeros in front. */
export function patchDecimal(bytes: Uint8Array, at: number, width: number, value: number): void {
  let rest = value;
  for (let index = at + width - 1; index >= at; index--) {
    const next = Math.floor(rest / 10);
    bytes[index] = 0x30 + (rest - next * 10);
    rest = next;
  }
}

/** Overwrites eight characters with a 32-bit value in upper-case hexadecimal, as in RocketMQ's MessageClientIDSetter. */
export function patchHex32(bytes: Uint8Array, at: number, value: number): void {
  for (let index = 0; index < 8; index++) {
    const digit = (value >>> (28 - index * 4)) & 15;
    bytes[at + index] = digit < 10 ? 0x30 + digit : 0x37 + digit;
  }
}
