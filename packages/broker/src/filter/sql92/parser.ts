import {
  and,
  constant,
  type EvaluateTruth,
  equal,
  isIn,
  isNull,
  minus,
  not,
  or,
  ordered,
  type Part,
  property,
  textTest,
  truth,
} from './expression.ts';
import { compareValues, isInt32, isInt64, JavaDouble } from './java-values.ts';
import { Lexer, SelectorError, type Word } from './lexer.ts';

/** Parentheses, NOT and minus signs within each other. Java has no limit but its stack. */
const DEPTH_MAX = 200;
/**
 * Operators whose left side is what the one before them gives (`a = b = c`), in the whole of an expression; each is one call
 * more within the others. AND and OR do not count: they are chains that long in practice.
 */
const CHAINED_MAX = 500;
/** Double.MIN_VALUE, the smallest one above 0. */
const DOUBLE_MIN = 5e-324;

const comparisons: Record<string, (comparison: number) => boolean> = {
  '>': (comparison) => comparison > 0,
  '>=': (comparison) => comparison >= 0,
  '<': (comparison) => comparison < 0,
  '<=': (comparison) => comparison <= 0,
};
const textTests: Record<string, (text: string, search: string) => boolean> = {
  CONTAINS: (text, search) => text.includes(search),
  STARTSWITH: (text, search) => text.startsWith(search),
  ENDSWITH: (text, search) => text.endsWith(search),
};

/**
 * Reads a selector (the grammar of RocketMQ's SelectorParser.jj):
 *
 * ```
 * or         and (OR and)*
 * and        equality (AND equality)*
 * equality   comparison (= comparison | <> comparison | IS NULL | IS NOT NULL)*
 * comparison unary (> unary | >= unary | < unary | <= unary | [NOT] CONTAINS string | [NOT] STARTSWITH string |
 *            [NOT] ENDSWITH string | [NOT] BETWEEN unary AND unary | [NOT] IN (string, …))*
 * unary      + unary | - unary | NOT unary | string | decimal | float | TRUE | FALSE | NULL | name | ( or )
 * ```
 *
 * The grammar has no end: whatever follows a whole expression is left alone. `tailAt` says where that begins.
 */
export class Parser {
  readonly #words: Lexer;
  #depth = 0;
  #chainedCount = 0;

  constructor(source: string) {
    this.#words = new Lexer(source);
  }

  /** @throws SelectorError */
  parse(): { evaluate: EvaluateTruth; tailAt: number; wordCount: number } {
    const evaluate = this.#truthOf(this.#or());
    return { evaluate, tailAt: this.#words.peek().at, wordCount: this.#words.count };
  }

  /** Where a truth value is needed, a property alone is a cast that a text never passes. */
  #truthOf(part: Part): EvaluateTruth {
    if (part.kind === 'truth') return part.evaluate;
    if (part.kind === 'property') return (of) => (part.evaluate(of) === null ? null : false);
    if (part.kind === 'constant') {
      const { value } = part;
      if (value === null || typeof value === 'boolean') return () => value;
    }
    return this.#refuse('a truth value is needed, and a text or a number stands there');
  }

  #or(): Part {
    const first = this.#and();
    if (!this.#isKeyword('OR')) return first;
    const terms = [this.#truthOf(first)];
    while (this.#isKeyword('OR')) {
      this.#words.next();
      terms.push(this.#truthOf(this.#and()));
    }
    return truth(or(terms));
  }

  #and(): Part {
    const first = this.#equality();
    if (!this.#isKeyword('AND')) return first;
    const terms = [this.#truthOf(first)];
    while (this.#isKeyword('AND')) {
      this.#words.next();
      terms.push(this.#truthOf(this.#equality()));
    }
    return truth(and(terms));
  }

  #equality(): Part {
    let left = this.#comparison();
    for (let operators = 0; ; operators++) {
      if (operators > 1) this.#countChained();
      const { kind, text } = this.#words.peek();
      if (kind === 'sign' && (text === '=' || text === '<>')) {
        this.#words.next();
        const isEqual = this.#equal(left, this.#comparison());
        left = truth(text === '=' ? isEqual : not(isEqual));
      } else if (kind === 'keyword' && text === 'IS') {
        this.#words.next();
        const negative = this.#isKeyword('NOT');
        if (negative) this.#words.next();
        this.#expect('keyword', 'NULL');
        const missing = isNull(left);
        left = truth(negative ? not(missing) : missing);
      } else return left;
    }
  }

  #equal(left: Part, right: Part): EvaluateTruth {
    for (const side of [left, right]) {
      if (side.kind === 'constant' && side.value === null) this.#refuse('NULL is compared with IS, not with = or <>');
    }
    const leftIsTruth = left.kind === 'constant' && typeof left.value === 'boolean';
    if (leftIsTruth && right.kind === 'constant' && typeof right.value !== 'boolean') {
      this.#refuse('a truth value is compared with a text or a number');
    }
    return equal(left, right);
  }

  #comparison(): Part {
    let left = this.#unary();
    for (let operators = 0; ; operators++) {
      if (operators > 1) this.#countChained();
      const { kind, text } = this.#words.peek();
      const holds = kind === 'sign' ? comparisons[text] : undefined;
      if (holds !== undefined) {
        this.#words.next();
        left = truth(this.#ordered(left, this.#unary(), holds));
        continue;
      }
      if (kind !== 'keyword') return left;
      // NOT opens one of the four below; RocketMQ's parser has decided by then, and refuses anything else.
      const wanted = text !== 'NOT';
      const verb = wanted ? text : this.#words.peek(1).text;
      const test = textTests[verb];
      if (test === undefined && verb !== 'BETWEEN' && verb !== 'IN') {
        if (wanted) return left;
        this.#words.next();
        this.#refuse('NOT is followed by none of CONTAINS, STARTSWITH, ENDSWITH, BETWEEN, IN');
      }
      if (!wanted) this.#words.next();
      this.#words.next();
      if (test !== undefined) left = truth(textTest(left, this.#string(), wanted, test));
      else if (verb === 'IN') left = this.#in(left, wanted);
      else left = this.#between(left, wanted);
    }
  }

  #countChained(): void {
    if (++this.#chainedCount > CHAINED_MAX) this.#refuse(`more than ${CHAINED_MAX} operators on the results of others`);
  }

  /** Both sides are numbers or properties then. */
  #ordered(left: Part, right: Part, holds: (comparison: number) => boolean): EvaluateTruth {
    for (const side of [left, right]) {
      const comparable =
        side.kind === 'constant'
          ? typeof side.value === 'number' || typeof side.value === 'bigint' || side.value instanceof JavaDouble
          : side.kind !== 'truth';
      if (!comparable) this.#refuse('only numbers and properties are compared with > >= < <= and BETWEEN');
    }
    return ordered(left, right, holds);
  }

  #between(value: Part, wanted: boolean): Part {
    const low = this.#unary();
    this.#expect('keyword', 'AND');
    const high = this.#unary();
    if (!wanted)
      return truth(or([this.#ordered(value, low, comparisons['<']!), this.#ordered(value, high, comparisons['>']!)]));
    const first = this.#ordered(value, low, comparisons['>=']!);
    const second = this.#ordered(value, high, comparisons['<=']!);
    // Of a NOT BETWEEN nobody asks the order, in RocketMQ either.
    if (low.kind === 'constant' && high.kind === 'constant' && compareValues(high.value!, low.value!) < 0) {
      this.#refuse('BETWEEN begins above its end');
    }
    return truth(and([first, second]));
  }

  #in(left: Part, wanted: boolean): Part {
    this.#expect('sign', '(');
    const texts = new Set([this.#string()]);
    while (this.#isSign(',')) {
      this.#words.next();
      texts.add(this.#string());
    }
    this.#expect('sign', ')');
    if (left.kind !== 'property') this.#refuse('IN needs a property on its left');
    return truth(isIn(left, texts, wanted));
  }

  #unary(): Part {
    if (++this.#depth > DEPTH_MAX) this.#refuse(`more than ${DEPTH_MAX} parentheses, NOT and signs within each other`);
    const part = this.#unaryWithin();
    this.#depth--;
    return part;
  }

  #unaryWithin(): Part {
    const word = this.#words.next();
    const { kind, text } = word;
    if (kind === 'name') return property(text);
    if (kind === 'string') return constant(text);
    if (kind === 'decimal') return constant(this.#decimal(text));
    if (kind === 'float') return constant(this.#float(text));
    if (kind === 'sign') {
      if (text === '+') return this.#unary();
      if (text === '-') return minus(this.#unary());
      if (text === '(') {
        const inner = this.#or();
        this.#expect('sign', ')');
        return inner;
      }
    }
    if (kind === 'keyword') {
      if (text === 'NOT') return truth(not(this.#truthOf(this.#unary())));
      if (text === 'TRUE') return constant(true);
      if (text === 'FALSE') return constant(false);
      if (text === 'NULL') return constant(null);
    }
    return this.#unexpected(word, 'a value');
  }

  /** An int where it fits, else a long; a longer one cannot be read. */
  #decimal(text: string): number | bigint {
    const value = BigInt(/[lL]$/.test(text) ? text.slice(0, -1) : text);
    if (isInt32(value)) return Number(value);
    return isInt64(value) ? value : this.#refuse(`${text} has more than 64 bits`);
  }

  #float(text: string): JavaDouble {
    const value = Number(text);
    if (value === Number.POSITIVE_INFINITY) this.#refuse(`${text} is greater than ${Number.MAX_VALUE}`);
    // 0.0 is refused by RocketMQ too.
    if (value < DOUBLE_MIN) this.#refuse(`${text} is less than ${DOUBLE_MIN}`);
    return new JavaDouble(value);
  }

  #string(): string {
    return this.#expect('string').text;
  }

  #expect(kind: Word['kind'], text?: string): Word {
    const word = this.#words.next();
    if (word.kind !== kind || (text !== undefined && word.text !== text)) this.#unexpected(word, text ?? `a ${kind}`);
    return word;
  }

  #isKeyword(text: string): boolean {
    const word = this.#words.peek();
    return word.kind === 'keyword' && word.text === text;
  }

  #isSign(text: string): boolean {
    const word = this.#words.peek();
    return word.kind === 'sign' && word.text === text;
  }

  #unexpected(word: Word, wanted: string): never {
    const found = word.kind === 'end' ? 'the end' : JSON.stringify(word.text.slice(0, 64));
    throw new SelectorError(`${wanted} is expected at ${word.at}, and ${found} stands there`, word.at);
  }

  #refuse(message: string): never {
    throw new SelectorError(message, this.#words.peek().at);
  }
}
