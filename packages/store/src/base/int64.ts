const TWO_32 = 0x1_0000_0000;

/**
 * 64-bit integers as JavaScript numbers, exact up to 2^53 either way: offsets reach 8 PiB. BigInt stays out of the hot
 * path. Plain byte stores: the Buffer methods check ranges that are known here.
 */
export function writeInt64(target: Uint8Array, value: number, at: number): void {
  writeInt32(target, Math.floor(value / TWO_32) | 0, at);
  writeInt32(target, value | 0, at + 4);
}

export function writeInt32(target: Uint8Array, value: number, at: number): void {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
}

/** The nearest JavaScript number; exact when Number.isSafeInteger says so. */
export function readInt64(source: Uint8Array, at: number): number {
  return readInt32(source, at) * TWO_32 + (readInt32(source, at + 4) >>> 0);
}

export function readInt32(source: Uint8Array, at: number): number {
  return (source[at]! << 24) | (source[at + 1]! << 16) | (source[at + 2]! << 8) | source[at + 3]!;
}
