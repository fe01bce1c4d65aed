import { RemotingError } from '../errors.ts';
import { shortened } from '../shortened.ts';
import { parseJavaJsonBody } from './java-json.ts';

/**
 * Reads members of bodies that peers of many versions and languages wrote. As fastjson has it, a missing member takes its
 * default, and a plain value is taken for another where its text is one: rocketmq-client-go writes the hashes of tags as
 * texts. What cannot be meant is refused with REMOTING_BODY_INVALID.
 */
export type JsonObject = Readonly<Record<string, unknown>>;

/** What a request's body may have, unless it lists all topics of a broker: a millisecond of parsing for each 10 KB. */
const BODY_BYTES_MAX = 4 * 1024 * 1024;

/**
 * The object that a body of up to `bytesMax` bytes (d=4 MiB) holds; an empty body is refused. Throws
 * REMOTING_BODY_INVALID, REMOTING_JSON_INVALID.
 */
export function bodyObject(body: Uint8Array | undefined, what: string, bytesMax = BODY_BYTES_MAX): JsonObject {
  if (body !== undefined && body.length > bytesMax) {
    const text = `${what}: the body of ${body.length} bytes exceeds ${bytesMax}`;
    throw new RemotingError('REMOTING_BODY_INVALID', text, { what, bodyBytes: body.length, bytesMax });
  }
  const value = parseJavaJsonBody(body);
  if (value === undefined) throw new RemotingError('REMOTING_BODY_INVALID', `${what}: the body is empty`, { what });
  return asObject(value, what);
}

/** `value` as an object; undefined and null as an empty one. */
export function asObject(value: unknown, what: string): JsonObject {
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value) || value instanceof Map) throw wrong(what, 'an object');
  return value as JsonObject;
}

/** `value` as an array; undefined and null as an empty one. */
export function asArray(value: unknown, what: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw wrong(what, 'an array');
  return value;
}

export function asStrings(value: unknown, what: string): string[] {
  return asArray(value, what).map((item) => {
    const text = textOf(item);
    if (text === undefined) throw wrong(what, 'an array of strings');
    return text;
  });
}

export function stringMember(object: JsonObject, name: string, fallback = ''): string {
  const value = object[name];
  if (value === undefined || value === null) return fallback;
  const text = textOf(value);
  if (text === undefined) throw wrong(name, 'a string');
  return text;
}

/** A whole number up to 2^53. */
export function integerMember(object: JsonObject, name: string, fallback = 0): number {
  const value = object[name];
  if (value === undefined || value === null) return fallback;
  const number = numberOf(value);
  if (typeof number !== 'number' || !Number.isSafeInteger(number)) throw wrong(name, 'a whole number');
  return number;
}

/** A long of the Java side, to the nearest number: versions that are only compared, which Go takes from nanoseconds. */
export function longMember(object: JsonObject, name: string, fallback = 0): number {
  const value = object[name];
  if (value === undefined || value === null) return fallback;
  const number = numberOf(value);
  if (typeof number !== 'number' || !Number.isInteger(number) || Math.abs(number) > 2 ** 63) {
    throw wrong(name, 'a whole number of 64 bits');
  }
  return number;
}

/** A whole number within bounds. */
export function countMember(object: JsonObject, name: string, max: number, fallback = 0): number {
  const value = integerMember(object, name, fallback);
  if (value < 0 || value > max) throw wrong(name, `a whole number from 0 to ${max}`);
  return value;
}

/** One of the names of a Java enumeration. */
export function choiceMember<T extends string>(
  object: JsonObject,
  name: string,
  allowed: readonly T[],
  fallback: T,
): T {
  const value = stringMember(object, name, fallback);
  const found = allowed.find((each) => each === value);
  if (found === undefined) throw wrong(name, `one of ${allowed.join(', ')}`);
  return found;
}

export function numberMember(object: JsonObject, name: string, fallback = 0): number {
  const value = object[name];
  if (value === undefined || value === null) return fallback;
  if (typeof value !== 'number' || !Number.isFinite(value)) throw wrong(name, 'a number');
  return value;
}

export function booleanMember(object: JsonObject, name: string, fallback = false): boolean {
  const value = object[name];
  if (value === undefined || value === null) return fallback;
  if (value === true || value === 1 || value === 'true') return true;
  if (value === false || value === 0 || value === 'false') return false;
  throw wrong(name, 'true or false');
}

/** A map from text to objects that are kept as they came. */
export function objectMap(value: unknown, what: string): Map<string, JsonObject> {
  const map = new Map<string, JsonObject>();
  for (const [name, member] of Object.entries(asObject(value, what))) map.set(name, asObject(member, what));
  return map;
}

/** A map from text to text. */
export function stringMap(value: unknown, what: string): Map<string, string> {
  const map = new Map<string, string>();
  for (const [name, member] of Object.entries(asObject(value, what))) {
    const text = textOf(member);
    if (text === undefined) throw wrong(`${what}.${name}`, 'a string');
    map.set(name, text);
  }
  return map;
}

/** 32-bit numbers, as Java's Set<Integer>. */
export function asIntegers(value: unknown, what: string): number[] {
  return asArray(value, what).map((item) => {
    const number = numberOf(item);
    if (typeof number !== 'number' || (number | 0) !== number) throw wrong(what, 'an array of 32-bit integers');
    return number;
  });
}

/** A whole number in decimal text as the number; everything else as it is. */
const numberOf = (value: unknown): unknown =>
  typeof value === 'string' && /^-?\d{1,20}$/.test(value) ? Number(value) : value;

/** Undefined for what has no plain text. */
function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return typeof value === 'boolean' || Number.isSafeInteger(value) ? String(value) : undefined;
}

function wrong(member: string, expected: string): RemotingError {
  const name = shortened(member);
  return new RemotingError('REMOTING_BODY_INVALID', `${name} is not ${expected}`, { name });
}
