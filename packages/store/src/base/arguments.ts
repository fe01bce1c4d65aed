import { StoreError } from './errors.ts';
import type { Durability } from './types.ts';

/**
 * Checks of what a caller gives to a public function. What is wrong is named with the function, and never quoted: the text
 * of somebody's object is somebody's code.
 */

const durabilities: ReadonlySet<unknown> = new Set<Durability>(['sync', 'group', 'async']);

/** What stands in a complaint for the value: a number or a short text as it is, else its kind. */
function shown(value: unknown): string {
  if (value === null || value === undefined || typeof value === 'number' || typeof value === 'boolean') {
    return String(value);
  }
  if (typeof value === 'string') return value.length <= 40 ? `'${value}'` : `a text of ${value.length} characters`;
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`;
}

/** The error for an argument that a function cannot take. `rule` goes on from the argument's name: "must be …". */
export function argumentError(method: string, name: string, rule: string, value: unknown): StoreError {
  const text = `${method}: ${name} ${rule}, found ${shown(value)}`;
  return new StoreError('STORE_ARGUMENT_INVALID', text, { method, argument: name });
}

/** Looks at what a caller gave; what the caller's own code throws meanwhile (a getter, a proxy) becomes an argument error. */
export function looking<T>(method: string, name: string, look: () => T): T {
  try {
    return look();
  } catch (error) {
    throw thrownByCaller(method, name, error);
  }
}

/** The error for what a caller's code threw while its argument was looked at; one of ours as it is. */
export function thrownByCaller(method: string, name: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const text = `${method}: ${name} threw when it was looked at`;
  return new StoreError('STORE_ARGUMENT_INVALID', text, { method, argument: name }, error);
}

/** The value of an optional function. */
export function checkFunction(method: string, name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function')
    throw argumentError(method, name, 'must be a function', value);
}

export function checkText(method: string, name: string, value: unknown): void {
  if (typeof value !== 'string') throw argumentError(method, name, 'must be a string', value);
}

export function checkInteger(method: string, name: string, value: unknown): void {
  if (!Number.isSafeInteger(value)) throw argumentError(method, name, 'must be an integer', value);
}

/** Finite or not, but a number: Infinity is a fair end of time. */
export function checkNumber(method: string, name: string, value: unknown): void {
  if (typeof value !== 'number' || Number.isNaN(value)) throw argumentError(method, name, 'must be a number', value);
}

export function checkQueue(method: string, topic: unknown, queueId: unknown): void {
  checkText(method, 'topic', topic);
  checkInteger(method, 'queueId', queueId);
}

/** `allowed` names the options there are: one that is misspelt must not be taken for one that was not given. */
export function checkOptions(method: string, value: unknown, allowed: readonly string[]): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw argumentError(method, 'the options', 'must be an object', value);
  }
  for (const name of looking(method, 'the options', () => Object.keys(value))) {
    if (!allowed.includes(name)) {
      throw argumentError(method, `option ${shown(name)}`, `is none of ${allowed.join(', ')}`, name);
    }
  }
}

/** undefined is one: the store's setting decides. */
export function isDurability(value: unknown): boolean {
  return value === undefined || durabilities.has(value);
}

export function durabilityError(method: string, value: unknown): StoreError {
  return argumentError(method, 'durability', "must be 'sync', 'group' or 'async'", value);
}
