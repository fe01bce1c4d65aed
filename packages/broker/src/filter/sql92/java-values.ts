/**
 * What Java's parsers take for a number, and how Java compares the values of a selector. Subscribers rely on it: a property
 * "7.2" is no integer and no match for `a > 5`, "7d" is a double.
 *
 * | In RocketMQ | Here                                                            |
 * |-------------|-----------------------------------------------------------------|
 * | null        | null                                                            |
 * | Boolean     | boolean                                                         |
 * | String      | string                                                          |
 * | Integer     | number, whole, 32 bits                                          |
 * | Long        | bigint, 64 bits                                                 |
 * | Double      | JavaDouble, so that it is told from an Integer                  |
 */
export class JavaDouble {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

export type Value = null | boolean | string | number | bigint | JavaDouble;

/** An evaluation that Java ends with an exception: the message does not match, whatever the rest of the expression says. */
export class EvaluationError extends Error {}

const INT_MIN = -2147483648;
const INT_MAX = 2147483647;
const LONG_MIN = -(2n ** 63n);
const LONG_MAX = 2n ** 63n - 1n;

export const isInt32 = (value: bigint): boolean => value >= BigInt(INT_MIN) && value <= BigInt(INT_MAX);
export const isInt64 = (value: bigint): boolean => value >= LONG_MIN && value <= LONG_MAX;

/** Longest text that is looked at as a number: leading zeros are allowed without end, and the work is not linear. */
const NUMBER_CHARS_MAX = 1_024;
const ASCII_INTEGER = /^[+-]?[0-9]+$/;
const ANY_INTEGER = /^[+-]?\p{Nd}+$/u;

/** Character.digit(char, 10): decimal digits of every script, in groups of ten that begin with their zero. */
function asciiDigits(text: string): string {
  let result = '';
  for (const char of text) {
    let digit = 0;
    const code = char.charCodeAt(0);
    if (char === '+' || char === '-' || (code >= 0x30 && code <= 0x39)) {
      result += char;
      continue;
    }
    // Behind U+FFFF Java sees two halves, of which neither is a digit.
    if (char.length > 1) throw new EvaluationError(`${JSON.stringify(text)} is no whole number`);
    while (digit < 9 && /\p{Nd}/u.test(String.fromCharCode(code - digit - 1))) digit++;
    result += digit;
  }
  return result;
}

function wholeNumber(text: string): bigint {
  if (text.length <= NUMBER_CHARS_MAX) {
    if (ASCII_INTEGER.test(text)) return BigInt(text.startsWith('+') ? text.slice(1) : text);
    if (ANY_INTEGER.test(text)) {
      const digits = asciiDigits(text);
      return BigInt(digits.startsWith('+') ? digits.slice(1) : digits);
    }
  }
  throw new EvaluationError(`${JSON.stringify(text.slice(0, 64))} is no whole number`);
}

/** Integer.valueOf(String). @throws EvaluationError */
export function parseInteger(text: string): number {
  const value = wholeNumber(text);
  if (!isInt32(value)) throw new EvaluationError(`${text.slice(0, 64)} has more than 32 bits`);
  return Number(value);
}

/** Long.valueOf(String). @throws EvaluationError */
export function parseLong(text: string): bigint {
  const value = wholeNumber(text);
  if (!isInt64(value)) throw new EvaluationError(`${text.slice(0, 64)} has more than 64 bits`);
  return value;
}

const DECIMAL_DOUBLE = /^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fFdD]?$/;
const HEX_DOUBLE = /^([+-]?)0[xX]([0-9A-Fa-f]*)(?:\.([0-9A-Fa-f]*))?[pP]([+-]?[0-9]+)[fFdD]?$/;
const SPECIAL_DOUBLE = /^([+-]?)(NaN|Infinity)$/;

/** String.trim(): everything up to the space goes, at both ends. */
function trimmed(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && text.charCodeAt(start) <= 0x20) start++;
  while (end > start && text.charCodeAt(end - 1) <= 0x20) end--;
  return text.slice(start, end);
}

/** Double.valueOf(String). @throws EvaluationError */
export function parseDouble(text: string): number {
  const word = trimmed(text);
  if (DECIMAL_DOUBLE.test(word)) return Number(/[fFdD]$/.test(word) ? word.slice(0, -1) : word);
  const special = SPECIAL_DOUBLE.exec(word);
  if (special !== null) {
    if (special[2] === 'NaN') return Number.NaN;
    return special[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }
  const hex = HEX_DOUBLE.exec(word);
  if (hex !== null && word.length <= NUMBER_CHARS_MAX) {
    const [, sign, whole = '', fraction = '', exponent] = hex;
    if (whole !== '' || fraction !== '') {
      const mantissa = Number(BigInt(`0x${whole}${fraction}`));
      const value = scaled(mantissa, Number(exponent) - 4 * fraction.length);
      return sign === '-' ? -value : value;
    }
  }
  throw new EvaluationError(`${JSON.stringify(text.slice(0, 64))} is no number`);
}

/** mantissa × 2^exponent in steps that neither overflow nor vanish before the product does. */
function scaled(mantissa: number, exponent: number): number {
  if (mantissa === 0) return 0;
  let value = mantissa;
  let left = Math.max(-5_000, Math.min(5_000, exponent));
  for (; left > 1_000; left -= 1_000) value *= 2 ** 1_000;
  for (; left < -1_000; left += 1_000) value *= 2 ** -1_000;
  return value * 2 ** left;
}

/** Boolean.valueOf(String): every text but "true", in any case, is false. */
const parseBoolean = (text: string): boolean => text.toLowerCase() === 'true';

/** Double.compareTo: NaN is equal to itself and above everything, and -0 is below 0. */
export function compareDoubles(left: number, right: number): number {
  if (left < right) return -1;
  if (left > right) return 1;
  if (left === right && left !== 0) return 0;
  const rank = (value: number): number => (Number.isNaN(value) ? 2 : Object.is(value, -0) ? 0 : 1);
  return rank(left) - rank(right);
}

const sign = <T extends number | bigint | string | boolean>(left: T, right: T): number =>
  left < right ? -1 : left > right ? 1 : 0;

/**
 * Below 0, 0 or above 0, as ComparisonExpression of RocketMQ orders two values that are not null. The literal decides how
 * a property is read; values that cannot be compared are "less". @throws EvaluationError where Java throws
 */
export function compareValues(left: Exclude<Value, null>, right: Exclude<Value, null>): number {
  if (typeof left === 'string') {
    if (typeof right === 'string') return sign(left, right);
    if (typeof right === 'boolean') return sign(parseBoolean(left), right);
    if (typeof right === 'number') return sign(parseInteger(left), right);
    if (typeof right === 'bigint') return sign(parseLong(left), right);
    return compareDoubles(parseDouble(left), right.value);
  }
  if (typeof left === 'boolean') {
    if (typeof right === 'boolean') return sign(left, right);
    // RocketMQ converts the wrong side there, and a ClassCastException ends the evaluation.
    if (typeof right === 'string') throw new EvaluationError('a truth value on the left is not compared with a text');
    return -1;
  }
  if (typeof right === 'boolean') return -1;
  if (left instanceof JavaDouble || right instanceof JavaDouble) {
    const asDouble = (value: number | bigint | string | JavaDouble): number =>
      value instanceof JavaDouble ? value.value : typeof value === 'string' ? parseDouble(value) : Number(value);
    // A literal that is a whole number reads a property as such, which the first two cases have left to this side alone.
    return compareDoubles(asDouble(left), asDouble(right));
  }
  if (typeof right === 'string') {
    return typeof left === 'number' ? sign(left, parseInteger(right)) : sign(left, parseLong(right));
  }
  if (typeof left === 'number' && typeof right === 'number') return sign(left, right);
  return sign(BigInt(left), BigInt(right));
}

/** `<` `<=` `>` `>=`: as above, but two texts are compared as doubles. @throws EvaluationError */
export function compareInOrder(left: Exclude<Value, null>, right: Exclude<Value, null>): number {
  if (typeof left === 'string' && typeof right === 'string') {
    return compareDoubles(parseDouble(left), parseDouble(right));
  }
  return compareValues(left, right);
}

/** `=` of two values that are not null, each with its Java class. @throws EvaluationError */
export function equalValues(left: Exclude<Value, null>, right: Exclude<Value, null>): boolean {
  return compareValues(left, right) === 0;
}

/** `-value`; null for what is no number. */
export function negated(value: Value): Value {
  // Integers wrap, as Java's do; a literal that is too long for 64 bits was refused before.
  if (typeof value === 'number') return -value | 0;
  if (typeof value === 'bigint') return BigInt.asIntN(64, -value);
  return value instanceof JavaDouble ? new JavaDouble(-value.value) : null;
}
