import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { root } from './workspace.ts';

interface Mutation {
  name: string;
  package?: string;
  file: string;
  from: string;
  to: string;
  test?: { file: string; name: string };
}

const list = new URL('../../scripts/mutations.list.mjs', import.meta.url).href;
const { mutations } = (await import(list)) as { mutations: readonly Mutation[] };

test('each deliberate breakage fits the sources, and its test is there', () => {
  const faults: string[] = [];
  for (const { name, package: part = 'store', file, from, to, test: guard } of mutations) {
    const path = join(root, 'packages', part, 'src', file);
    const found = existsSync(path) ? readFileSync(path, 'utf8').split(from).length - 1 : 0;
    if (found !== 1) faults.push(`${name}: its text stands ${found} times in ${part}/src/${file}`);
    if (from === to) faults.push(`${name}: it changes nothing`);
    if (guard !== undefined && !existsSync(join(root, guard.file))) faults.push(`${name}: there is no ${guard.file}`);
  }
  assert.deepEqual(faults, []);
});

test('each deliberate breakage has a name of its own', () => {
  const names = mutations.map(({ name }) => name);
  assert.deepEqual(
    names.filter((name, index) => names.indexOf(name) !== index),
    [],
  );
});
