import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { recoveryRows, testNames } from '../../../../test/support/recovery-tables.ts';

const tests = new URL('./recovery.test.ts', import.meta.url);

test('docs/design/recovery.md: every row names a test that exists, and every test has its row', async () => {
  const rows = await recoveryRows('Test');
  const named = rows.map((cells) => cells[4]!);
  const existing = testNames(await readFile(tests, 'utf8'));
  assert.ok(existing.length > 40);
  assert.deepEqual([...named].sort(), [...existing].sort());
  assert.equal(new Set(named).size, named.length);
  for (const [, found, decided, why, , more] of rows) assert.ok(found && decided && why && more === '');
});
