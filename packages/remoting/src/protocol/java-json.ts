import { RemotingError } from '../errors.ts';

/**
 * JSON as RocketMQ's Java side writes and reads it (fastjson): maps with integer keys may print them bare (`{0:5}`),
 * and maps keyed by an object print that object as the key (`{{"brokerName":"b","queueId":0,"topic":"t"}:123}`).
 *
 * In memory, an integer key is an ordinary member name (`{"0":5}`), and a map with an object key is a `Map` from the
 * parsed key object to the value. `javaMapEntries` reads either form, and the third one in which the key object stands
 * as text in a standard member name.
 */

/**
 * Nesting at which a text is refused, so that nothing that walks a value exhausts the stack: neither this parser nor
 * JSON.stringify, to which a value goes that is kept and given out again. Ten levels are many for RocketMQ's bodies.
 */
const DEPTH_MAX = 128;

/**
 * Parses a text. Standard JSON takes the fast path. Throws REMOTING_JSON_INVALID with the position of the fault; more
 * than 128 levels are one.
 */
export function parseJavaJson(text: string): unknown {
  checkDepth(text);
  try {
    return JSON.parse(text);
  } catch {
    return new JavaJsonParser(text).parse();
  }
}

const QUOTE = 34;
const BACKSLASH = 92;

/** Looks at brackets outside of strings; before JSON.parse, which takes a microsecond a level. */
function checkDepth(text: string): void {
  let depth = 0;
  for (let position = 0; position < text.length; position++) {
    const code = text.charCodeAt(position);
    if (code === QUOTE) {
      position = stringEnd(text, position);
    } else if (code === 91 || code === 123) {
      if (++depth > DEPTH_MAX) throw fault(text, position, `at most ${DEPTH_MAX} levels`);
    } else if (code === 93 || code === 125) {
      depth--;
    }
  }
}

/** Where the string that begins at `start` has its closing quote; the text's length without one. */
function stringEnd(text: string, start: number): number {
  let position = start + 1;
  for (; position < text.length; position++) {
    const code = text.charCodeAt(position);
    if (code === QUOTE) break;
    if (code === BACKSLASH) position++;
  }
  return position;
}

function fault(text: string, position: number, expected: string): RemotingError {
  const found = position < text.length ? JSON.stringify(text[position]) : 'the end';
  return new RemotingError(
    'REMOTING_JSON_INVALID',
    `expected ${expected} at position ${position} of ${text.length}, found ${found}`,
    { position, length: text.length },
  );
}

/** Parses a body of UTF-8 text; undefined for an empty or missing one. Throws as `parseJavaJson`. */
export function parseJavaJsonBody(body: Uint8Array | undefined): unknown {
  if (body === undefined || body.length === 0) return undefined;
  return parseJavaJson(Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8'));
}

/** Entries of a Java map in any of its written forms; the key is an object where the map is keyed by objects. */
export function javaMapEntries(value: unknown): [unknown, unknown][] {
  if (value instanceof Map) return [...value.entries()];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).map(([name, member]) => [name.startsWith('{') ? parseJavaJson(name) : name, member]);
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const INTEGER_KEY = /-?\d+/y;
const SPACE = /[ \t\r\n]*/y;
const LITERAL = /true|false|null/y;

class JavaJsonParser {
  readonly #text: string;
  #position = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): unknown {
    const value = this.#value();
    this.#skipSpace();
    if (this.#position < this.#text.length) throw this.#fault('the end of the text');
    return value;
  }

  #value(): unknown {
    this.#skipSpace();
    const char = this.#text[this.#position];
    if (char === '{') return this.#object();
    if (char === '[') return this.#array();
    if (char === '"') return this.#string();
    const literal = this.#match(LITERAL);
    if (literal !== undefined) return literal === 'null' ? null : literal === 'true';
    const number = this.#match(NUMBER);
    if (number !== undefined) return Number(number);
    throw this.#fault('a value');
  }

  #object(): unknown {
    const entries: [unknown, unknown][] = [];
    let objectKeys = false;
    this.#position++;
    this.#skipSpace();
    if (this.#take('}')) return {};
    do {
      const key = this.#key();
      if (typeof key === 'object') objectKeys = true;
      this.#skipSpace();
      this.#expect(':');
      entries.push([key, this.#value()]);
      this.#skipSpace();
    } while (this.#take(','));
    this.#expect('}');
    // fromEntries defines members, so that a key named __proto__ is a member like any other.
    return objectKeys ? new Map(entries) : Object.fromEntries(entries as [string, unknown][]);
  }

  #key(): unknown {
    this.#skipSpace();
    const char = this.#text[this.#position];
    if (char === '"') return this.#string();
    if (char === '{') return this.#object();
    const integer = this.#match(INTEGER_KEY);
    if (integer !== undefined) return integer;
    throw this.#fault('a key');
  }

  #array(): unknown[] {
    const values: unknown[] = [];
    this.#position++;
    this.#skipSpace();
    if (this.#take(']')) return values;
    do {
      values.push(this.#value());
      this.#skipSpace();
    } while (this.#take(','));
    this.#expect(']');
    return values;
  }

  #string(): string {
    const start = this.#position;
    let end = start;
    let backslashes: number;
    do {
      end = this.#text.indexOf('"', end + 1);
      if (end < 0) throw this.#fault('a string with an end');
      backslashes = 0;
      while (this.#text[end - 1 - backslashes] === '\\') backslashes++;
    } while (backslashes % 2 === 1);
    try {
      const value = JSON.parse(this.#text.slice(start, end + 1)) as string;
      this.#position = end + 1;
      return value;
    } catch {
      throw this.#fault('a string');
    }
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#position;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#position += found.length;
    return found;
  }

  #skipSpace(): void {
    this.#match(SPACE);
  }

  #take(char: string): boolean {
    if (this.#text[this.#position] !== char) return false;
    this.#position++;
    return true;
  }

  #expect(char: string): void {
    if (!this.#take(char)) throw this.#fault(`'${char}'`);
  }

  #fault(expected: string): RemotingError {
    return fault(this.#text, this.#position, expected);
  }
}

export interface JavaJsonOptions {
  /**
   * How integer keys of a `Map<number, …>` are written: `bare` (`{0:5}`), what fastjson does and clients before
   * V4_9_4 were only ever sent, or `quoted` (standard JSON). Default: quoted.
   */
  integerKeys?: 'bare' | 'quoted';
}

/**
 * Writes a value as a Java peer expects it. Plain objects, arrays and scalars as JSON.stringify does (undefined members
 * are left out); a `Map` with number keys by `integerKeys`; a `Map` with object keys with the object as the key.
 */
export function writeJavaJson(value: unknown, options: JavaJsonOptions = {}): string {
  const bare = options.integerKeys === 'bare';
  const write = (item: unknown): string => {
    if (item === undefined || item === null) return 'null';
    if (Array.isArray(item)) return `[${item.map(write).join(',')}]`;
    if (item instanceof Map) return members(item, key);
    if (typeof item === 'object') return members(Object.entries(item), (name) => JSON.stringify(name));
    return JSON.stringify(item) ?? 'null';
  };
  const key = (name: unknown): string => {
    if (typeof name === 'object' && name !== null) return write(name);
    return typeof name === 'number' && bare ? String(name) : JSON.stringify(String(name));
  };
  const members = (entries: Iterable<[unknown, unknown]>, writeKey: (name: never) => string): string => {
    let text = '{';
    for (const [name, member] of entries) {
      if (member === undefined) continue;
      text += `${text.length > 1 ? ',' : ''}${writeKey(name as never)}:${write(member)}`;
    }
    return `${text}}`;
  };
  return write(value);
}
