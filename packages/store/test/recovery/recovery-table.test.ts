import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

const page = new URL('../../../../docs/design/recovery.md', import.meta.url);
const tests = new URL('./recovery.test.ts', import.meta.url);

test('docs/design/recovery.md: every row names a test that exists, and every test has its row', async () => {
  const rows: string[][] = [];
  let isCaseTable = false;
  for (const line of (await readFile(page, 'utf8')).split('\n')) {
    const cells = line.split('|').map((cell) => cell.trim());
    if (!line.startsWith('|')) isCaseTable = false;
    else if (cells[4] === 'Test') isCaseTable = true;
    else if (isCaseTable && !line.startsWith('|--')) rows.push(cells);
  }
  const named = rows.map((cells) => cells[4]!);
  const source = await readFile(tests, 'utf8');
  const existing = [...source.matchAll(/^test\(\s*'([^']+)'/gm)].map((match) => match[1]!);
  assert.ok(existing.length > 40);
  assert.deepEqual([...named].sort(), [...existing].sort());
  assert.equal(new Set(named).size, named.length);
  for (const [, found, decided, why, , more] of rows) assert.ok(found && decided && why && more === '');
});
