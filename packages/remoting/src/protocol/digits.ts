/** Numbers written into a buffer in place, without a string in between. */

const ZERO = 0x30;
const MINUS = 0x2d;
/** Characters that a safe integer takes at most, sign included. */
export const DECIMAL_CHARS_MAX = 17;

/** Writes a safe integer in decimal digits; returns where it ends. */
export function writeDecimal(target: Uint8Array, at: number, value: number): number {
  let start = at;
  let left = value;
  if (left < 0) {
    target[start++] = MINUS;
    left = -left;
  }
  let digits = 1;
  for (let limit = 10; left >= limit; limit *= 10) digits++;
  const end = start + digits;
  let position = end;
  // Division of what has 32 bits is several times as fast.
  while (left > 0xffffffff) {
    const rest = Math.floor(left / 10);
    target[--position] = ZERO + (left - rest * 10);
    left = rest;
  }
  let word = left >>> 0;
  do {
    const rest = (word / 10) >>> 0;
    target[--position] = ZERO + (word - rest * 10);
    word = rest;
  } while (position > start);
  return end;
}

/** Writes a whole number from 0 to 2^53 as 16 upper-case hexadecimal digits; returns where they end. */
export function writeHex64(target: Uint8Array, at: number, value: number): number {
  writeHex32(target, at, Math.floor(value / 0x100000000) >>> 0);
  return writeHex32(target, at + 8, value >>> 0);
}

/** Writes the low 32 bits as 8 upper-case hexadecimal digits; returns where they end. */
export function writeHex32(target: Uint8Array, at: number, value: number): number {
  let position = at;
  for (let shift = 28; shift >= 0; shift -= 4) {
    const digit = (value >>> shift) & 15;
    target[position++] = digit < 10 ? ZERO + digit : 55 + digit;
  }
  return position;
}
