/**
 * SQL92 selectors as RocketMQ 5.5.0 reads and evaluates them: `compile(expression)` once a subscription, `matches` once a
 * message.
 *
 * Caveats: what follows a whole expression is ignored, as there (`a LIKE 'x%'` is `a`); `ignoredTail` has it for a warning,
 * and `strict` refuses it. Whatever Java would end with an exception is no match.
 */

import type { EvaluateTruth, Properties } from './expression.ts';
import { EvaluationError } from './java-values.ts';
import { SelectorError } from './lexer.ts';
import { Parser } from './parser.ts';

export type { Properties } from './expression.ts';
export { SelectorError } from './lexer.ts';

/** Longest expression, UTF-16 units: one takes below 10 ms of the event loop to compile, whatever is in it. */
export const SELECTOR_CHARS_MAX = 16_384;
const TAIL_CHARS_SHOWN = 64;
/** An operator, a name and a literal each become one or two functions. */
const WORD_BYTES = 400;

export interface Selector {
  readonly expression: string;
  /** What follows the part that counts, its beginning; empty when everything counts. */
  readonly ignoredTail: string;
  /** What it takes in memory, at most. */
  readonly bytes: number;
  /** Whether a message with these properties is delivered. Never throws. */
  matches(properties: Properties): boolean;
}

/** Reads an expression. @throws SelectorError when it is none; with `strict`, also when something follows it */
export function compile(expression: string, strict = false): Selector {
  if (expression.length > SELECTOR_CHARS_MAX) {
    throw new SelectorError(`the expression has ${expression.length} characters of at most ${SELECTOR_CHARS_MAX}`, 0);
  }
  const { evaluate, tailAt, wordCount } = new Parser(expression).parse();
  const ignoredTail = expression.slice(tailAt, tailAt + TAIL_CHARS_SHOWN);
  if (strict && ignoredTail !== '') {
    throw new SelectorError(`${JSON.stringify(ignoredTail)} at ${tailAt} follows the end of the expression`, tailAt);
  }
  return {
    ...{ expression, ignoredTail, bytes: 1_000 + 2 * expression.length + WORD_BYTES * wordCount },
    matches: (properties) => isTrue(evaluate, properties),
  };
}

function isTrue(evaluate: EvaluateTruth, properties: Properties): boolean {
  try {
    return evaluate(properties) === true;
  } catch (error) {
    if (error instanceof EvaluationError) return false;
    throw error;
  }
}
