import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { manifestOf, packageFolders, read, root } from './workspace.ts';

test('packages: one version for all, and each depends on exactly that of the others', () => {
  const { version } = JSON.parse(read('package.json')) as { version: string };
  const names = new Set(packageFolders.map((folder) => manifestOf(folder).name));
  for (const folder of packageFolders) {
    const manifest = manifestOf(folder);
    assert.equal(manifest.version, version, folder);
    for (const [name, range] of Object.entries(manifest.dependencies ?? {})) {
      if (names.has(name)) assert.equal(range, version, `${folder} → ${name}`);
    }
  }
});

test('packages: each carries the licence and a README, and packs them', () => {
  const licence = read('LICENSE');
  for (const folder of packageFolders) {
    const manifest = manifestOf(folder);
    assert.equal(manifest.license, 'Apache-2.0', folder);
    assert.equal(read(`packages/${folder}/LICENSE`), licence, folder);
    assert.ok(existsSync(join(root, 'packages', folder, 'README.md')), `packages/${folder}/README.md`);
    for (const file of ['dist', 'README.md', 'LICENSE'])
      assert.ok(manifest.files?.includes(file), `${folder}: ${file}`);
  }
});

test('packages: nothing runs at install', () => {
  for (const folder of packageFolders) {
    const { scripts = {} } = JSON.parse(read(`packages/${folder}/package.json`)) as {
      scripts?: Record<string, string>;
    };
    for (const hook of ['preinstall', 'install', 'postinstall', 'prepare']) {
      assert.equal(scripts[hook], undefined, `${folder}: ${hook}`);
    }
  }
});

test('packages: the changelog has a heading for this version', () => {
  const { version } = JSON.parse(read('package.json')) as { version: string };
  assert.match(read('CHANGELOG.md'), new RegExp(`^## ${version.replaceAll('.', '\\.')}\\b`, 'm'));
});

test('packages: the lockfile has an entry for every optional package of every platform, or npm ci refuses it', () => {
  const { packages } = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, { optionalDependencies?: Record<string, string>; version?: string }>;
  };
  const missing = Object.values(packages)
    .flatMap(({ optionalDependencies = {} }) => Object.keys(optionalDependencies))
    .filter((name) => packages[`node_modules/${name}`]?.version === undefined);
  assert.deepEqual(missing, []);
});

test('packages: each index.ts opens with what the package is', () => {
  const silent = packageFolders.filter((folder) => !read(`packages/${folder}/src/index.ts`).startsWith('/**\n * '));
  assert.deepEqual(silent, []);
});
