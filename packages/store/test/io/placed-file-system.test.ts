import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedFileSystem } from '@vernier/torture';
import type { FileSystem } from '../../src/base/file-system.ts';
import { PlacedFileSystem } from '../../src/io/placed-file-system.ts';

/** `gone`: the directory is not the locked one any more. */
async function placed(
  gone: boolean,
): Promise<{ fileSystem: PlacedFileSystem; inner: SimulatedFileSystem; checked: string[] }> {
  const inner = new SimulatedFileSystem();
  await inner.makeDirectory('/store/log');
  await (await inner.open('/store/log/a', 'create')).close();
  inner.operations.length = 0;
  const checked: string[] = [];
  const fileSystem = new PlacedFileSystem(inner, {
    check: async (path) => {
      checked.push(path);
      if (gone) throw new Error('moved');
    },
  });
  return { fileSystem, inner, checked };
}

const changes: [string, string[], (fileSystem: FileSystem) => Promise<unknown>][] = [
  ['making a file', ['/store/log/b'], (fileSystem) => fileSystem.open('/store/log/b', 'create')],
  ['opening one for writing', ['/store/log/a'], (fileSystem) => fileSystem.open('/store/log/a', 'write')],
  ['making a directory', ['/store/index'], (fileSystem) => fileSystem.makeDirectory('/store/index', '/store')],
  ['renaming', ['/store/log/a'], (fileSystem) => fileSystem.rename('/store/log/a', '/store/log/c')],
  ['moving', ['/store/log/a', '/store/c'], (fileSystem) => fileSystem.rename('/store/log/a', '/store/c')],
  ['removing', ['/store/log/a'], (fileSystem) => fileSystem.remove('/store/log/a')],
  ['removing a directory', ['/store/log'], (fileSystem) => fileSystem.removeDirectory('/store/log')],
];

for (const [name, paths, change] of changes) {
  test(`placed file system: ${name} looks at the place first, and does nothing in another one`, async () => {
    const sound = await placed(false);
    await change(sound.fileSystem);
    assert.deepEqual(sound.checked, paths);
    assert.equal(sound.inner.operations.length, 1);
    const gone = await placed(true);
    await assert.rejects(change(gone.fileSystem), /moved/);
    assert.deepEqual(gone.inner.operations, []);
  });
}

test('placed file system: reading needs no place', async () => {
  const { fileSystem, checked } = await placed(true);
  await (await fileSystem.open('/store/log/a', 'read')).close();
  assert.deepEqual(await fileSystem.list('/store/log'), ['a']);
  assert.equal((await fileSystem.stat('/store/log/a'))?.size, 0);
  assert.equal((await fileSystem.readFile('/store/log/a'))?.length, 0);
  assert.ok((await fileSystem.space('/store')).freeBytes > 0);
  assert.deepEqual(fileSystem.inFlight(), []);
  assert.deepEqual(checked, []);
});
