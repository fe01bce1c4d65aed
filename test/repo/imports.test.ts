import assert from 'node:assert/strict';
import { test } from 'node:test';
import { importsOf, manifestOf, packageFolders, packageOf, read, sourcesOf } from './workspace.ts';

/** docs/architecture.md: vernier → broker → remoting, store. Who is not listed may import no package of ours. */
const mayImport: Record<string, readonly string[]> = {
  remoting: [],
  store: [],
  broker: ['@vernier/remoting', '@vernier/store'],
  vernier: ['@vernier/broker', '@vernier/remoting', '@vernier/store'],
};
const ours = new Set(packageFolders.map((folder) => manifestOf(folder).name));

/** Parts taken from outside stay replaceable behind the one place that uses them. */
const confinedTo: Record<string, (file: string) => boolean> = {
  koffi: (file) => file === 'packages/store/src/io/native.ts',
  commander: (file) => file.startsWith('packages/vernier/src/'),
  pino: (file) => file.startsWith('packages/vernier/src/'),
  'dot-properties': (file) => file.startsWith('packages/vernier/src/'),
  lz4js: (file) => file === 'packages/vernier/src/doctor/bodies.ts',
  fzstd: (file) => file === 'packages/vernier/src/doctor/bodies.ts',
};

function everyImport(): { file: string; folder: string; specifier: string }[] {
  return packageFolders.flatMap((folder) =>
    sourcesOf(folder).flatMap((file) => importsOf(read(file)).map((specifier) => ({ file, folder, specifier }))),
  );
}

test('imports: the check itself sees every form of import', () => {
  const source = `
    import a from 'a';
    import type { B } from "@x/b/c";
    export { d } from './d.ts';
    import 'side-effect';
    const e = await import('e/f');
    const g = require('g');
    const h = createRequire(import.meta.url)('h');
    // import no from 'comment';
    /* import no from 'block'; */
  `;
  assert.deepEqual(importsOf(source).sort(), ['./d.ts', '@x/b/c', 'a', 'e/f', 'g', 'h', 'side-effect']);
  assert.equal(packageOf('@x/b/c'), '@x/b');
  assert.equal(packageOf('e/f'), 'e');
  assert.equal(packageOf('node:fs'), undefined);
  assert.ok(everyImport().length > 50);
});

test('imports: packages point one way, vernier → broker → remoting, store', () => {
  for (const folder of packageFolders) assert.ok(mayImport[folder], `say in this test what ${folder} may import`);
  const wrong = everyImport().filter(({ folder, specifier }) => {
    const name = packageOf(specifier);
    return name !== undefined && ours.has(name) && !mayImport[folder]!.includes(name);
  });
  assert.deepEqual(wrong, []);
});

test('imports: nobody reaches into the files of another package', () => {
  const wrong = everyImport().filter(({ file, specifier }) => {
    const name = packageOf(specifier);
    if (name !== undefined && ours.has(name)) {
      return !['', '/internal', '/testing', '/package.json'].includes(specifier.slice(name.length));
    }
    if (!specifier.startsWith('.')) return false;
    // Relative: must stay below the package's src (its manifest is read with a URL and not imported).
    const depth = file.split('/').length - 4;
    return (specifier.match(/\.\.\//g)?.length ?? 0) > depth;
  });
  assert.deepEqual(wrong, []);
});

/** `vernier torture` is the test kit as a command: it loads the simulated disk when it is called, and nobody else does. */
const MAY_TEST = new Set(['packages/vernier/src/commands/torture.ts']);

test('imports: no source takes the test doubles', () => {
  const wrong = everyImport().filter(
    ({ file, specifier }) =>
      /(^|\/)testing(\/|$)/.test(specifier) && !file.includes('/src/testing/') && !MAY_TEST.has(file),
  );
  assert.deepEqual(wrong, []);
});

test('imports: parts from outside stay where they belong', () => {
  const wrong = everyImport().filter(({ file, specifier }) => {
    const name = packageOf(specifier);
    return name !== undefined && confinedTo[name] !== undefined && !confinedTo[name](file);
  });
  assert.deepEqual(wrong, []);
});

test('imports: what a package imports stands in its manifest, and the other way round', () => {
  for (const folder of packageFolders) {
    const used = new Set(
      everyImport()
        .filter((entry) => entry.folder === folder)
        .map(({ specifier }) => packageOf(specifier))
        .filter((name) => name !== undefined),
    );
    assert.deepEqual([...used].sort(), Object.keys(manifestOf(folder).dependencies ?? {}).sort(), folder);
  }
});

test('imports: relative ones end in .ts, as Node and the compiler want them', () => {
  const wrong = everyImport().filter(({ specifier }) => specifier.startsWith('.') && !/\.(ts|json)$/.test(specifier));
  assert.deepEqual(wrong, []);
});
