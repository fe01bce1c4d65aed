import assert from 'node:assert/strict';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../../../test/support/clean-up.ts';
import { makeDirectory, makeDirectorySync } from '../../src/io/make-directory.ts';

const ways = { makeDirectory: makeDirectory, makeDirectorySync: async (path: string) => makeDirectorySync(path) };

for (const [name, make] of Object.entries(ways)) {
  test(`${name}: what is missing above is made too, what is there stays`, async (t) => {
    const root = await temporaryFolder(t, 'directory');
    const path = join(root, 'a', 'b', 'c');
    await make(path);
    await make(path);
    assert.ok((await stat(path)).isDirectory());
  });

  test(`${name}: a file in the way is EEXIST, below a file ENOTDIR`, async (t) => {
    const root = await temporaryFolder(t, 'directory');
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

test('makeDirectory within a directory: nothing is made when that one is missing', async (t) => {
  const root = await temporaryFolder(t, 'directory');
  const gone = join(root, 'gone');
  await assert.rejects(makeDirectory(join(gone, 'a', 'b'), gone), { code: 'ENOENT' });
  await assert.rejects(makeDirectory(join(gone, 'a'), gone), { code: 'ENOENT' });
  await assert.rejects(stat(gone), { code: 'ENOENT' });
  await makeDirectory(join(root, 'a', 'b', 'c'), root);
  assert.ok((await stat(join(root, 'a', 'b', 'c'))).isDirectory());
});
