import type { Random } from './random.ts';

/** Values at the edges of what lengths and counts can be, big-endian. */
const EDGES = [
  0, 1, -1, 2, 3, 4, 5, 127, 128, 255, 256, 32_767, -32_768, 65_535, 65_536, 0x7fffffff, -0x80000000, 0xffffff,
];

/**
 * The bytes with one to four faults: a bit, a byte, an edge value over a field, a piece cut out, repeated, zeroed or put
 * somewhere else, an end cut off or something added. The argument stays as it is.
 */
export function mutate(random: Random, bytes: Buffer): Buffer {
  let result: Buffer = Buffer.from(bytes);
  for (let times = 1 + random.skewed(3); times > 0; times--) result = mutateOnce(random, result);
  return result;
}

function mutateOnce(random: Random, bytes: Buffer): Buffer {
  if (bytes.length === 0) return random.bytes(1 + random.skewed(40));
  const at = random.below(bytes.length);
  const length = 1 + random.skewed(Math.min(bytes.length - at, 4096) - 1);
  switch (random.below(9)) {
    case 0:
      bytes[at] = bytes[at]! ^ (1 << random.below(8));
      return bytes;
    case 1:
      bytes[at] = random.below(256);
      return bytes;
    case 2: {
      const width = random.pick([1, 2, 4]);
      if (at + width > bytes.length) return bytes;
      const value = random.pick(EDGES);
      for (let byte = 0; byte < width; byte++) bytes[at + byte] = value >> (8 * (width - 1 - byte));
      return bytes;
    }
    case 3:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    case 4:
      return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
    case 5:
      bytes.fill(0, at, at + length);
      return bytes;
    case 6:
      bytes.copy(bytes, random.below(bytes.length), at, at + length);
      return bytes;
    case 7:
      return Buffer.from(bytes.subarray(0, at));
    default:
      return Buffer.concat([bytes.subarray(0, at), random.bytes(length), bytes.subarray(at)]);
  }
}

const WORDS = [
  '',
  ' ',
  '0',
  '-1',
  'true',
  'null',
  '*',
  'TAG',
  '\u0001',
  '\u0002',
  '%RETRY%',
  '../..',
  '__proto__',
  'constructor',
  'a',
  '\u0000',
  '😀',
  '2147483647',
  '2147483648',
  '-2147483648',
  '9223372036854775807',
  '1e400',
  'NaN',
  '0x10',
  '1.5',
  'T=1&',
  '{',
  '"',
];

/** A text a client could send: a word that means something somewhere, a number, a name, noise, seldom something long. */
export function someText(random: Random): string {
  switch (random.below(6)) {
    case 0:
    case 1:
      return random.pick(WORDS);
    case 2:
      return String(Math.floor((random.next() - 0.5) * 10 ** random.below(22)));
    case 3:
      return `fuzz-${random.below(20)}`;
    case 4:
      return random.bytes(random.skewed(40)).toString(random.chance(0.5) ? 'latin1' : 'utf8');
    default:
      return random.pick(WORDS).repeat(1 + random.skewed(random.chance(0.05) ? 20_000 : 30));
  }
}

/** JSON that parses, of any shape, with the members that something here may look for. */
export function someJson(random: Random, names: readonly string[], depth = 0): string {
  const kind = random.below(depth > 4 ? 4 : 7);
  if (kind === 0)
    return random.pick(['null', 'true', 'false', '0', '-1', '1.5', '1e308', '9223372036854775807', '1e999']);
  if (kind === 1) return JSON.stringify(someText(random));
  if (kind === 2) return String(random.below(100));
  if (kind === 3) return `[${Array.from({ length: random.skewed(3) }, () => random.below(10)).join(',')}]`;
  if (kind === 4) {
    return `[${Array.from({ length: random.skewed(4) }, () => someJson(random, names, depth + 1)).join(',')}]`;
  }
  const members = Array.from({ length: random.below(5) }, () => {
    // Numbers without quotes are keys where the Java side writes maps.
    const name = random.chance(0.1)
      ? String(random.below(9))
      : JSON.stringify(random.chance(0.8) ? random.pick(names) : someText(random));
    return `${name}:${someJson(random, names, depth + 1)}`;
  });
  return `{${members.join(',')}}`;
}
