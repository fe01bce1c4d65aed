import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile, SELECTOR_CHARS_MAX, SelectorError } from '../../../src/filter/sql92/index.ts';

const matches = (expression: string, message: Record<string, string> = {}): boolean =>
  compile(expression).matches((name) => message[name]);

/** Each row was asked of RocketMQ 5.5.0's filter module; interop/sql-filter.test.ts asks it thousands more. */
const rows: [situation: string, expression: string, message: Record<string, string>, delivered: boolean][] = [
  ['a whole number is no double', 'a > 5', { a: '7.2' }, false],
  ['a double reads a whole number', 'a > 5.0', { a: '7' }, true],
  ['the literal on the left decides as well', '5 < a', { a: '7.2' }, false],
  ['blanks are no part of an integer', 'a = 5', { a: ' 5' }, false],
  ['a sign is part of an integer', 'a = 5', { a: '+5' }, true],
  ['digits of other scripts count', 'a = 5', { a: '٥' }, true],
  ['an integer of 33 bits', 'a > 5', { a: '2147483648' }, false],
  ['a long literal reads a long', 'a = 2147483648', { a: '2147483648' }, true],
  ['the least integer', 'a = -2147483648', { a: '-2147483648' }, true],
  ['a double may end with d and have blanks around it', 'a > 5.5', { a: ' 7d ' }, true],
  ['a double may be hexadecimal', 'a = 8.0', { a: '0x1p3' }, true],
  ['NaN is above everything', 'a > 1e300', { a: 'NaN' }, true],
  ['two properties are compared as doubles', 'a > b', { a: '10', b: '9' }, true],
  ['two properties that are no numbers', 'a > b', { a: 'y', b: 'x' }, false],
  ['a throw ends the whole', "a = 5 OR b = 'x'", { a: 'abc', b: 'x' }, false],
  ['what is decided before is not looked at', "b = 'x' OR a = 5", { a: 'abc', b: 'x' }, true],
  ['a missing property is unknown', "a = 'x'", {}, false],
  ['not equal to a missing one is unknown too', "a <> 'x'", {}, false],
  ['NOT of unknown is unknown', "NOT (a = 'x')", {}, false],
  ['a missing one contains nothing', "NOT (a CONTAINS 'x')", {}, true],
  ['a missing one is not said to lack it', "a NOT CONTAINS 'x'", {}, false],
  ['two missing ones are equal', 'a = b', {}, true],
  ['two missing ones are not unequal', 'a <> b', {}, false],
  ['only the right one is missing', 'a = b', { a: '1' }, false],
  ['only the right one is missing: unequal', 'a <> b', { a: '1' }, true],
  ['an empty search is in nothing', "a CONTAINS ''", { a: 'x' }, false],
  ['nor is it absent', "a NOT CONTAINS ''", { a: 'x' }, false],
  ['begins and ends', "a STARTSWITH 'x' AND a ENDSWITH 'y'", { a: 'x-y' }, true],
  ['a property alone is false', 'a', { a: 'true' }, false],
  ['so that NOT of it is true', 'NOT a', { a: 'true' }, true],
  ['every text but true is false', 'a = FALSE', { a: 'anything' }, true],
  ['a truth value on the left throws', 'TRUE = a', { a: 'true' }, false],
  ['IN', "a IN ('x', 'y', 'it''s')", { a: "it's" }, true],
  ['NOT IN of a missing one', "a NOT IN ('x')", {}, false],
  ['BETWEEN has both ends', 'a BETWEEN 5 AND 7', { a: '7' }, true],
  ['NOT BETWEEN may be the wrong way round', 'a NOT BETWEEN 7 AND 5', { a: '6' }, true],
  ['IS NULL', 'a IS NULL AND b IS NOT NULL', { b: 'x' }, true],
  ['names have a case', "A = 'x'", { a: 'x' }, false],
  ['keywords have none', "a = 'x' aNd b iN ('y')", { a: 'x', b: 'y' }, true],
  ['comments', "a /* one ** */ = -- two\n'x'", { a: 'x' }, true],
  ['AND binds more than OR', "a = 'x' OR a = 'y' AND b = 'z'", { a: 'x' }, true],
  ['a name that an object has anyway', "constructor = 'x' OR toString IS NOT NULL", {}, false],
];

for (const [situation, expression, message, delivered] of rows) {
  test(`SQL92: ${situation}: ${expression}`, () => {
    const own: Record<string, string> = Object.assign(Object.create(null), message);
    assert.equal(matches(expression, own), delivered);
  });
}

for (const [expression, tail, message] of [
  ["a LIKE 'x%'", "LIKE 'x%'", { a: 'xx' }],
  ['a > 5 + 1', '+ 1', { a: '5' }],
  ['a > 007', '07', { a: '0' }],
  ['a - b = 1', '- b = 1', { a: '2', b: '1' }],
  ['a > 5) #', ') #', { a: '5' }],
] as const) {
  test(`SQL92: what follows the end is ignored, shown, and refused when asked: ${expression}`, () => {
    const selector = compile(expression);
    assert.equal(selector.ignoredTail, tail);
    assert.equal(
      selector.matches((name) => (message as Record<string, string>)[name]),
      false,
    );
    assert.throws(() => compile(expression, true), SelectorError);
  });
}

test('SQL92: a whole expression has no tail, with a blank or a comment behind it either', () => {
  for (const expression of ['a > 5', 'a > 5 ', 'a > 5 /* end */', 'a > 5 -- end\n']) {
    assert.equal(compile(expression, true).ignoredTail, '', expression);
  }
});

const refused = [
  ['', 'nothing'],
  [' \n', 'nothing but blanks'],
  ['a IN (1, 2)', 'numbers in IN'],
  ['a IN ()', 'nothing in IN'],
  ["'x' IN ('x')", 'IN of a text'],
  ["a > '5'", 'order of a text'],
  ["a BETWEEN 'a' AND 'b'", 'BETWEEN of texts'],
  ['a BETWEEN 5 AND 3', 'BETWEEN the wrong way round'],
  ['a = 0.0', 'a float below the least one'],
  ['a = 1e400', 'a float that is infinite'],
  ['a = 9223372036854775808', 'more than 64 bits'],
  ['a = NULL', 'equality with NULL'],
  ['TRUE = 5', 'a truth value and a number'],
  ['a.b = 1', 'a dot in a name'],
  ['ä = 1', 'a name that is not ASCII'],
  ['(a = 1', 'a parenthesis that stays open'],
  ['a = 1 AND', 'an AND without its right side'],
  ["a = 'x", 'a string that stays open'],
  ["a NOT LIKE 'x'", 'a NOT in front of nothing it belongs to'],
  ['a IS 5', 'IS of a number'],
  ['5', 'a number alone'],
  ["'x' AND a = 1", 'a text as a truth value'],
  ['a > 5 > 3', 'order of a truth value'],
  [`${'('.repeat(100_000)}a${')'.repeat(100_000)}`, 'more characters than there may be'],
  [`${'('.repeat(1_000)}a${')'.repeat(1_000)}`, 'more parentheses than the stack is asked for'],
  [`${'NOT '.repeat(10_000)}a`, 'more NOT than the stack is asked for'],
  [`${'- '.repeat(10_000)}a = 1`, 'more signs than the stack is asked for'],
  [`a${'=a'.repeat(32_000)}`, 'more comparisons of comparisons than the stack is asked for'],
  [`a${' IS NULL'.repeat(8_000)}`, 'more tests of tests than the stack is asked for'],
  [`a${" CONTAINS 'a'".repeat(5_000)}`, 'more searches in searches than the stack is asked for'],
  [`${`(${"a CONTAINS 'a'".padEnd(200, '=a')}) OR `.repeat(30)}a`, 'more of them in several places'],
] as const;

for (const [expression, situation] of refused) {
  test(`SQL92: refused: ${situation}`, () => {
    assert.throws(() => compile(expression), SelectorError);
  });
}

test('SQL92: the longest expression is read, and evaluated, at once', () => {
  const half = SELECTOR_CHARS_MAX / 2;
  const texts = Array.from({ length: 1_800 }, (_, index) => `'${index}'`).join(',');
  const begun = performance.now();
  assert.equal(matches(`a IN (${texts})`, { a: '77' }), true);
  assert.equal(matches(`a = 'x'${' OR a = 5'.repeat(1_600)}`, { a: 'x' }), true);
  assert.equal(matches(`b${' OR b'.repeat(3_200)}`, { a: 'x' }), false, 'as deep as the stack, were it a tree');
  assert.equal(matches(`a = 'x'${" AND a='x'".repeat(1_480)}`, { a: 'x' }), true);
  assert.equal(matches(`a${'=a'.repeat(400)}`, { a: 'x' }), false);
  assert.equal(matches(`a${' '.repeat(SELECTOR_CHARS_MAX - 8)}= 'x'`, { a: 'x' }), true);
  assert.throws(() => compile(`a = 1 AND /*${'*a'.repeat(half - 10)}`), SelectorError);
  assert.throws(() => compile(`a = ${"'".repeat(SELECTOR_CHARS_MAX - 5)}`), SelectorError);
  // Far above what it takes, far below what a pattern that backtracks would.
  assert.ok(performance.now() - begun < 5_000);
});

test('SQL92: a number without end costs nothing', () => {
  const begun = performance.now();
  assert.equal(matches('a > 5', { a: '9'.repeat(4_000_000) }), false);
  assert.equal(matches('a > 5.5', { a: `0x${'f'.repeat(4_000_000)}p1` }), false);
  assert.ok(performance.now() - begun < 5_000);
});
