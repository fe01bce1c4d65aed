import { RemotingError } from '../errors.ts';
import { parseJavaJsonBody } from './java-json.ts';

/**
 * Reads members of bodies that peers of many versions wrote: a missing member takes its default, as fastjson has it;
 * one of a wrong type is refused with REMOTING_BODY_INVALID.
 */
export type JsonObject = Readonly<Record<string, unknown>>;

/** The object that a body holds; an empty body is refused. Throws REMOTING_BODY_INVALID, REMOTING_JSON_INVALID. */
export function bodyObject(body: Uint8Array | undefined, what: string): JsonObject {
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
    if (typeof item !== 'string') throw wrong(what, 'an array of strings');
    return item;
  });
}

export function stringMember(object: JsonObject, name: string, fallback = ''): string {
  const value = object[name];
  if (value === undefined || value === null) return fallback;
  if (typeof value !== 'string') throw wrong(name, 'a string');
  return value;
}

/** A whole number up to 2^53; its decimal text is taken too. */
export function integerMember(object: JsonObject, name: string, fallback = 0): number {
  const value = object[name];
  if (value === undefined || value === null) return fallback;
  const number = typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number)) throw wrong(name, 'a whole number');
  return number;
}

/** A long of the Java side, to the nearest number: versions that are only compared, which Go takes from nanoseconds. */
export function longMember(object: JsonObject, name: string, fallback = 0): number {
  const value = object[name];
  if (value === undefined || value === null) return fallback;
  const number = typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isInteger(number) || Math.abs(number) > 2 ** 63) {
    throw wrong(name, 'a whole number of 64 bits');
  }
  return number;
}

export function numberMember(object: JsonObject, name: string, fallback = 0): number {
  const value = object[name];
  if (value === undefined || value === null) return fallback;
  if (typeof value !== 'number') throw wrong(name, 'a number');
  return value;
}

export function booleanMember(object: JsonObject, name: string, fallback = false): boolean {
  const value = object[name];
  if (value === undefined || value === null) return fallback;
  if (typeof value !== 'boolean') throw wrong(name, 'true or false');
  return value;
}

/** A map from text to text. */
export function stringMap(value: unknown, what: string): Map<string, string> {
  const map = new Map<string, string>();
  for (const [name, member] of Object.entries(asObject(value, what))) {
    if (typeof member !== 'string') throw wrong(`${what}.${name}`, 'a string');
    map.set(name, member);
  }
  return map;
}

function wrong(name: string, expected: string): RemotingError {
  return new RemotingError('REMOTING_BODY_INVALID', `${name} is not ${expected}`, { name });
}
