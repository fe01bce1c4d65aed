import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { recoveryRows, testNames } from '../../../test/support/recovery-tables.ts';

const folder = new URL('./', import.meta.url);

test('docs/design/recovery.md: every row about the broker names a test that exists', async () => {
  const rows = await recoveryRows('Test of the broker');
  assert.ok(rows.length >= 15, `${rows.length} rows`);
  const files = (await readdir(folder, { recursive: true })).filter((file) => file.endsWith('.test.ts'));
  const sources = await Promise.all(files.map((file) => readFile(new URL(file, folder), 'utf8')));
  const existing = new Set(sources.flatMap(testNames));
  for (const cells of rows) {
    assert.ok(cells.slice(1, 4).every(Boolean), `a row with an empty cell: ${cells.join(' | ')}`);
    for (const name of cells[4]!.split('; ')) assert.ok(existing.has(name), `no test is named "${name}"`);
  }
});
