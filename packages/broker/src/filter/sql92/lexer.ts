/**
 * The words of a SQL92 selector (RocketMQ SelectorParser.jj). They are cut as they are asked for and not before: what
 * stands behind the end of an expression is never looked at, so that no character there is an error.
 *
 * | Word    | Form                                                                                            |
 * |---------|-------------------------------------------------------------------------------------------------|
 * | keyword | NOT AND OR BETWEEN IN TRUE FALSE NULL IS CONTAINS STARTSWITH ENDSWITH, in any case              |
 * | name    | letter, `_` or `$`, then digits too; ASCII                                                      |
 * | decimal | `0`, or digits that begin with 1 to 9 and may end with `l`: `007` is three words                |
 * | float   | `5.5` `5.` `.5` `5e10`, each with an exponent or without                                        |
 * | string  | in single quotes; two of them are one                                                           |
 * | sign    | = <> > >= < <= ( ) , + -                                                                        |
 * | blank   | space, tab, line feed, carriage return, form feed; `/* … *\/`; `--` up to the end of its line      |
 *
 * A `--` on a last line that does not end is no comment but two minus signs.
 */
export type WordKind = 'keyword' | 'name' | 'decimal' | 'float' | 'string' | 'sign' | 'end';

export interface Word {
  readonly kind: WordKind;
  /** Keywords in capitals, strings without their quotes, everything else as it stands. */
  readonly text: string;
  /** Index of its first character. */
  readonly at: number;
}

/** Why an expression cannot be used. It is an answer to a client and no fault of the broker. */
export class SelectorError extends Error {
  /** Index of the character at which it was found. */
  readonly at: number;

  constructor(message: string, at: number) {
    super(message);
    this.name = 'SelectorError';
    this.at = at;
  }
}

const KEYWORDS: ReadonlySet<string> = new Set(
  'NOT AND OR BETWEEN IN TRUE FALSE NULL IS CONTAINS STARTSWITH ENDSWITH'.split(' '),
);

/** Sticky, linear patterns, in the order in which they are tried; of two that fit the longer one counts. */
const BLANK = /(?:[ \t\n\r\f]+|--[^\n\r]*(?:\r\n|[\n\r])|\/\*[^*]*\*(?:\*|[^*/][^*]*\*)*\/)+/y;
const NAME = /[A-Za-z_$][A-Za-z0-9_$]*/y;
const FLOAT = /(?:[0-9]+\.[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)/y;
const DECIMAL = /0|[1-9][0-9]*[lL]?/y;
const STRING = /'(?:''|[^'])*'/y;
const SIGN = /<>|>=|<=|[=><(),+-]/y;

const CODE_OF_QUOTE = 0x27;

export class Lexer {
  readonly #source: string;
  #position = 0;
  readonly #ahead: Word[] = [];
  #count = 0;

  /** Words that were cut. */
  get count(): number {
    return this.#count;
  }

  constructor(source: string) {
    this.#source = source;
  }

  /** The word `distance` behind the next one, which stays where it is. @throws SelectorError */
  peek(distance = 0): Word {
    for (; this.#ahead.length <= distance; this.#count++) this.#ahead.push(this.#cut());
    return this.#ahead[distance]!;
  }

  /** Takes the next word. @throws SelectorError */
  next(): Word {
    const word = this.peek();
    this.#ahead.shift();
    return word;
  }

  #cut(): Word {
    const source = this.#source;
    this.#position = this.#end(BLANK) ?? this.#position;
    const at = this.#position;
    if (at >= source.length) return { kind: 'end', text: '', at };
    const name = this.#end(NAME);
    if (name !== undefined) {
      const text = this.#take(name);
      const capitals = text.toUpperCase();
      return KEYWORDS.has(capitals) ? { kind: 'keyword', text: capitals, at } : { kind: 'name', text, at };
    }
    // `5.` is longer than `5`, and `1e3` than `1`: a float where there is one.
    const float = this.#end(FLOAT);
    if (float !== undefined) return { kind: 'float', text: this.#take(float), at };
    const decimal = this.#end(DECIMAL);
    if (decimal !== undefined) return { kind: 'decimal', text: this.#take(decimal), at };
    if (source.charCodeAt(at) === CODE_OF_QUOTE) {
      const string = this.#end(STRING);
      if (string === undefined) throw new SelectorError(`the string that begins at ${at} does not end`, at);
      return { kind: 'string', text: this.#take(string).slice(1, -1).replaceAll("''", "'"), at };
    }
    const sign = this.#end(SIGN);
    if (sign !== undefined) return { kind: 'sign', text: this.#take(sign), at };
    throw new SelectorError(`no word begins with ${JSON.stringify(source.charAt(at))} at ${at}`, at);
  }

  /** Where `pattern`, begun at the position, ends; undefined when it does not fit there. */
  #end(pattern: RegExp): number | undefined {
    pattern.lastIndex = this.#position;
    return pattern.test(this.#source) ? pattern.lastIndex : undefined;
  }

  #take(end: number): string {
    const text = this.#source.slice(this.#position, end);
    this.#position = end;
    return text;
  }
}
