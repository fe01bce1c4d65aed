/**
 * JSON whose members are what no peer of good will writes: objects where texts stand, arrays nested without end, names
 * that JavaScript gives a meaning to. It is made as text, because much of it has no value to write it from.
 */
import type { Random } from './random.ts';

/** Names that a careless reader meets on every object. */
const NAMES = [
  ...['toString', 'valueOf', '__proto__', 'constructor', 'prototype', 'toJSON', 'length', 'then', 'size', 'get', 'has'],
  ...['hasOwnProperty', '__defineGetter__', 'call', 'message', 'stack', 'code', 'name', 'map', 'forEach', 'entries'],
];

const SCALARS = [
  ...['null', 'true', 'false', '0', '-0', '-1', '1.5', '1e308', '1e999', '-1e999', '2147483648', '9223372036854775807'],
  ...['""', '" "', '"0"', '"-1"', '"1e3"', '"NaN"', '"Infinity"', '"true"', '"__proto__"', '"toString"', '"{"'],
  ...['"\\u0000"', '"\\ud800"', '"127.0.0.1:1"', '"[::1]:1"', '":"', '"99999999999999999999"'],
];

/** Objects, and those among them that cannot be made a text or a number. */
const WITHOUT_TEXT = [
  '{}',
  '[]',
  '{"toString":1,"valueOf":1}',
  '{"toString":null}',
  '[[{"toString":{}}]]',
  '{"toJSON":1}',
];

/** One such value. */
export function hostileValue(random: Random, depth = 0): string {
  switch (random.below(depth > 3 ? 3 : 9)) {
    case 0:
    case 1:
      return random.pick(SCALARS);
    case 2:
      return random.chance(0.02) ? JSON.stringify('x'.repeat(random.skewed(300_000))) : random.pick(WITHOUT_TEXT);
    case 3: {
      const levels = 1 + random.skewed(random.chance(0.1) ? 200_000 : 400);
      const [open, shut] = random.pick([['[', ']'] as const, ['{"a":', '}'] as const, ['{0:', '}'] as const]);
      return `${open.repeat(levels)}${random.pick(SCALARS)}${random.chance(0.9) ? shut.repeat(levels) : ''}`;
    }
    case 8:
      return random.pick(WITHOUT_TEXT);
    case 4:
      return `[${Array.from({ length: random.below(4) }, () => hostileValue(random, depth + 1)).join(',')}]`;
    case 5:
      // A key that is an object, as Java writes maps.
      return `{${hostileObject(random, depth + 1)}:${hostileValue(random, depth + 1)}}`;
    default:
      return hostileObject(random, depth);
  }
}

function hostileObject(random: Random, depth: number): string {
  const members = Array.from({ length: 1 + random.below(3) }, () => {
    const name = random.chance(0.1) ? String(random.below(9)) : JSON.stringify(random.pick(NAMES));
    return `${name}:${hostileValue(random, depth + 1)}`;
  });
  return `{${members.join(',')}}`;
}

const MARK = '\u0001here\u0001';

/** The value as JSON with some of its members, items or itself replaced; `touched` are the outermost names replaced. */
export function withHostileMembers(random: Random, value: unknown): { text: string; touched: Set<string> } {
  const touched = new Set<string>();
  let marked = value;
  for (let times = 1 + random.skewed(2); times > 0; times--) marked = markOne(random, marked, touched, true);
  const text = JSON.stringify(marked).replaceAll(JSON.stringify(MARK), () => hostileValue(random));
  return { text, touched };
}

function markOne(random: Random, value: unknown, touched: Set<string>, isRoot: boolean): unknown {
  const isLeaf = typeof value !== 'object' || value === null || Object.keys(value).length === 0;
  if (isLeaf || random.chance(isRoot ? 0.03 : 0.25)) {
    if (isRoot) touched.add('');
    return MARK;
  }
  const names = Object.keys(value);
  const name = random.pick(names);
  if (isRoot) touched.add(name);
  const member = markOne(random, (value as Record<string, unknown>)[name], touched, false);
  if (Array.isArray(value)) return value.with(Number(name), member);
  const changed: Record<string, unknown> = { ...value, [name]: member };
  // A name of the language beside those that are read.
  if (random.chance(0.2)) return { ...changed, [random.pick(NAMES)]: MARK };
  return changed;
}

/** A frame around a JSON header that is given as text. */
export function frameOf(header: string, body: Buffer = Buffer.alloc(0)): Buffer {
  const text = Buffer.from(header);
  const head = Buffer.alloc(8);
  head.writeInt32BE(4 + text.length + body.length, 0);
  head.writeInt32BE(text.length & 0xffffff, 4);
  return Buffer.concat([head, text, body]);
}
