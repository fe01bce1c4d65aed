/**
 * SQL92 selectors against RocketMQ's own filter module: random expressions of the grammar, the same with a character or a
 * word changed, and messages with the properties that they name. Both must refuse the same and deliver the same.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { compile, SelectorError } from '../packages/broker/src/filter/sql92/index.ts';
import { Expressions, type Message } from '../test/fuzz/expressions.ts';
import { generator } from './peers/generator.ts';
import { javaMissing, programClassPath, spawnJava } from './peers/java.ts';
import { note, skipUnless } from './peers/suite.ts';

const EXPRESSIONS = Number(process.env.SQL_EXPRESSIONS ?? 10_000);
const seed = Number(process.env.SQL_SEED ?? 92);
const MESSAGES_EACH = 6;

const base64 = (text: string) => Buffer.from(text, 'utf8').toString('base64');
const lineOf = (expression: string, messages: Message[]) =>
  [
    base64(expression),
    ...messages.map((message) =>
      Object.entries(message)
        .map(([name, value]) => `${base64(name)}:${base64(value)}`)
        .join(','),
    ),
  ].join('\t');

function ours(expression: string, messages: Message[]): string {
  try {
    const selector = compile(expression);
    return messages.map((message) => (selector.matches((name) => message[name]) ? 't' : 'f')).join('');
  } catch (error) {
    if (error instanceof SelectorError) return 'refused';
    throw error;
  }
}

async function theirs(lines: string[]): Promise<string[]> {
  const home = mkdtempSync(join(tmpdir(), 'sql-filter-'));
  try {
    const child = spawnJava({
      classPath: programClassPath('filter', '5.5.0'),
      mainClass: 'FilterPeer',
      home,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdin!.end(`${lines.join('\n')}\n`);
    let output = '';
    for await (const chunk of child.stdout!.setEncoding('utf8')) output += chunk;
    return output.split('\n').slice(0, -1);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

describe('SQL92 beside RocketMQ’s filter module', { skip: skipUnless(javaMissing()), timeout: 300_000 }, () => {
  it(`${EXPRESSIONS} expressions, ${MESSAGES_EACH} messages each (SQL_SEED=${seed}): refused and delivered alike`, async (t) => {
    const expressions = new Expressions(generator(seed));
    const cases = Array.from({ length: EXPRESSIONS }, () => ({
      expression: expressions.any(),
      messages: Array.from({ length: MESSAGES_EACH }, () => expressions.message()),
    }));
    const answers = await theirs(cases.map(({ expression, messages }) => lineOf(expression, messages)));
    assert.equal(answers.length, cases.length);
    const different: string[] = [];
    const counts = { refused: 0, t: 0, f: 0 };
    for (const [index, { expression, messages }] of cases.entries()) {
      const answer = ours(expression, messages);
      if (answer === 'refused') counts.refused++;
      else for (const letter of answer as Iterable<'t' | 'f'>) counts[letter]++;
      if (answer === answers[index]) continue;
      different.push(
        `${JSON.stringify(expression)}: RocketMQ ${answers[index]}, ours ${answer}, ${JSON.stringify(messages)}`,
      );
    }
    note(t, `${counts.refused} refused, ${counts.t} delivered, ${counts.f} not`);
    assert.deepEqual(different.slice(0, 20), [], `${different.length} differ`);
    // A generator that makes nothing but refused expressions would compare nothing.
    assert.ok(counts.refused > EXPRESSIONS / 20 && counts.t > EXPRESSIONS / 2 && counts.f > EXPRESSIONS / 2);
  });
});
