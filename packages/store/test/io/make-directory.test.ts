import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeDirectory, makeDirectorySync } from '../../src/io/make-directory.ts';

const ways = { makeDirectory: makeDirectory, makeDirectorySync: async (path: string) => makeDirectorySync(path) };

for (const [name, make] of Object.entries(ways)) {
  test(`${name}: what is missing above is made too, what is there stays`, async (t) => {
    const root = await mkdtemp(join(tmpdir(), 'vernier-directory-'));
    t.after(() => rm(root, { recursive: true, force: true }));
    const path = join(root, 'a', 'b', 'c');
    await make(path);
    await make(path);
    assert.ok((await stat(path)).isDirectory());
  });

  test(`${name}: a file in the way is EEXIST, below a file ENOTDIR`, async (t) => {
    const root = await mkdtemp(join(tmpdir(), 'vernier-directory-'));
    t.after(() => rm(root, { recursive: true, force: true }));
    const file = join(root, 'file');
    await writeFile(file, '');
    await assert.rejects(make(file), { code: 'EEXIST' });
    await assert.rejects(make(join(file, 'a', 'b')), { code: 'ENOTDIR' });
  });

  // Node's own recursive mkdir never ends here.
  test(`${name}: ends where the file system has no such name below a directory that is there`, {
    skip: process.platform === 'linux' ? false : '/proc is on Linux',
    timeout: 10_000,
  }, async () => {
    await assert.rejects(make('/proc/nowhere'), { code: 'ENOENT' });
    await assert.rejects(make('/proc/nowhere/a/b'), { code: 'ENOENT' });
  });
}
