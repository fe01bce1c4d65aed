/** SQL92 expressions of subscriptions: by the grammar, by mutation, and made to be slow or deep. */
import {
  compile,
  SELECTOR_CHARS_MAX,
  type Selector,
  SelectorError,
} from '../../../packages/broker/src/filter/sql92/index.ts';
import { Expressions } from '../expressions.ts';
import { mutate, someText } from '../mutate.ts';
import type { Random } from '../random.ts';
import { Find, type Target } from '../target.ts';

/** For one expression of up to 16 Ki characters and a few messages, on a machine that does other things too. */
const MS_MAX = 2_000;
const HEAP_MAX = 256 * 1024 * 1024;

const PIECES = [
  '(',
  ')',
  'NOT ',
  '-',
  '- ',
  'a',
  ' AND ',
  ' OR ',
  ' = ',
  "'x'",
  '5',
  "'",
  ' IN (',
  "'x',",
  '/*',
  '*/',
  '--',
  '\n',
];

/** One piece again and again, up to the limit and beyond: nesting, long literals, long lists. */
function long(random: Random): string {
  const length = random.below(random.chance(0.1) ? SELECTOR_CHARS_MAX + 2 : 3_000);
  const piece = random.chance(0.5) ? random.pick(PIECES) : random.pick(PIECES) + random.pick(PIECES);
  const middle = piece.repeat(Math.ceil(length / piece.length)).slice(0, length);
  const closing = random.chance(0.5) ? ')'.repeat(random.chance(0.5) ? length : random.below(length + 1)) : '';
  return `${random.pick(['', 'a = ', 'a IN (', "a = '", 'NOT '])}${middle}${random.pick(['', 'a', "'x'", "a = 'x'"])}${closing}`;
}

function anyExpression(random: Random, expressions: Expressions): string {
  switch (random.below(8)) {
    case 0:
      return long(random);
    case 1:
      return mutate(random, Buffer.from(expressions.any())).toString(random.chance(0.5) ? 'utf8' : 'latin1');
    case 2:
      return Array.from({ length: random.skewed(60) }, () => random.pick(PIECES)).join('');
    case 3:
      return someText(random);
    default:
      return expressions.any();
  }
}

function compiled(expression: string, strict: boolean): Selector | undefined {
  try {
    return compile(expression, strict);
  } catch (error) {
    if (error instanceof SelectorError && error.message !== '') return undefined;
    throw new Find(`${shown(expression)} is refused with ${(error as Error)?.stack}`, error);
  }
}

const shown = (expression: string): string =>
  `${JSON.stringify(expression.slice(0, 2_000))} of ${expression.length} characters`;

export const selectors: Target = {
  name: 'selectors',
  sessionRounds: 10_000,
  async open() {
    return {
      async round(random) {
        const expressions = new Expressions(() => random.next());
        const expression = anyExpression(random, expressions);
        const began = performance.now();
        const selector = compiled(expression, false);
        const strict = compiled(expression, true);
        if (selector === undefined) {
          if (strict !== undefined) throw new Find(`${shown(expression)} is refused, and not when it is read strictly`);
        } else if ((selector.ignoredTail === '') !== (strict !== undefined)) {
          throw new Find(
            `${shown(expression)} ignores ${JSON.stringify(selector.ignoredTail)}, and read strictly does not`,
          );
        } else {
          for (let count = 0; count < 4; count++) {
            const message = random.chance(0.2) ? { a: someText(random), b: someText(random) } : expressions.message();
            const read = (name: string) =>
              Object.hasOwn(message, name) ? (message as Record<string, string>)[name] : undefined;
            const first = selector.matches(read);
            if (first !== selector.matches(read)) throw new Find(`${shown(expression)} matches once and not again`);
            if (strict !== undefined && strict.matches(read) !== first)
              throw new Find(`${shown(expression)}: strict differs`);
          }
        }
        const ms = performance.now() - began;
        if (ms > MS_MAX) throw new Find(`${shown(expression)} took ${Math.round(ms)} ms`);
        const { heapUsed } = process.memoryUsage();
        if (heapUsed > HEAP_MAX) throw new Find(`${shown(expression)}: the heap has ${heapUsed} bytes`);
      },
      async close() {},
    };
  },
};
