import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
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

const script = (name: string): string => new URL(`../../scripts/${name}`, import.meta.url).href;
const { mutations } = (await import(script('mutations.list.mjs'))) as { mutations: readonly Mutation[] };
const { misfit } = (await import(script('mutation-text.mjs'))) as {
  misfit(packages: string, mutation: Mutation): string | undefined;
};

test('each deliberate breakage fits the sources, and its test is there', () => {
  const faults: string[] = [];
  for (const mutation of mutations) {
    const { name, from, to, test: guard } = mutation;
    const problem = misfit(join(root, 'packages'), mutation);
    if (problem !== undefined) faults.push(`${name}: ${problem}`);
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
