import assert from 'node:assert/strict';
import {
  closeSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { loadNative, mappingSupported } from '../../src/io/native.ts';

const native = loadNative()!;
const skip = { skip: native === undefined || !mappingSupported ? 'needs Linux and koffi' : false };

function file(t: TestContext, size: number): number {
  const directory = mkdtempSync(join(tmpdir(), 'vernier-native-'));
  const path = join(directory, 'file');
  writeFileSync(path, Buffer.alloc(size, 1));
  const fd = openSync(path, 'r+');
  cleanUp(t, () => {
    closeSync(fd);
    rmSync(directory, { recursive: true });
  });
  return fd;
}

test('native: errors carry the errno of their own call, whatever else runs at the time', skip, async (t) => {
  const readOnly = openSync(process.execPath, 'r');
  cleanUp(t, () => closeSync(readOnly));
  const fd = file(t, 100);
  const outcomes = await Promise.all(
    Array.from({ length: 30 }, (_, index) => {
      const call =
        index % 3 === 0
          ? native.fallocate(1_000_000, 10)
          : index % 3 === 1
            ? native.fallocate(fd, 100)
            : native.fallocate(fd, 0);
      return call.then(
        () => 'ok',
        (error: NodeJS.ErrnoException) => `${error.code} ${error.errno}`,
      );
    }),
  );
  for (const [index, outcome] of outcomes.entries()) {
    assert.equal(outcome, ['EBADF -9', 'ok', 'EINVAL -22'][index % 3]);
  }
});

test('native: a window shows and changes the file, is pointed elsewhere, and is covered by zeros', skip, async (t) => {
  const fd = file(t, 64 * 1024);
  const window = native.reserveWindow(16 * 1024);
  assert.equal(window.view.length, 16 * 1024);
  assert.equal(window.view[0], 0, 'reserved, nothing mapped');
  window.map(fd, 8192, 16 * 1024);
  assert.equal(window.view[0], 1);
  window.view[5] = 9;
  await window.sync(0, 4096);
  const bytes = Buffer.alloc(1);
  readSync(fd, bytes, 0, 1, 8197);
  assert.equal(bytes[0], 9);
  window.map(fd, 0, 4096);
  assert.equal(window.view[5], 1, 'the same view, another part of the file');
  window.cover();
  assert.equal(window.view[5], 0, 'touching what was mapped is harmless');
  assert.throws(() => window.map(1_000_000, 0, 4096), { code: 'EBADF' });
  await assert.rejects(window.sync(1, 10), { code: 'EINVAL' });
});

test('native: views of windows are made once', skip, () => {
  const window = native.reserveWindow(4096);
  assert.equal(window.view, window.view);
  const address = window.view.buffer;
  window.cover();
  assert.equal(window.view.buffer, address);
});

test('native: only one file of the sources knows koffi', () => {
  const sources = fileURLToPath(new URL('../../src', import.meta.url));
  const importing = readdirSync(sources, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .filter((name) =>
      /(?:from|require|import)\s*\(?[^\n]*['"]koffi['"]/.test(readFileSync(join(sources, name), 'utf8')),
    );
  assert.deepEqual(importing, [join('io', 'native.ts')]);
});

test('native: what the page cache has of a file, and what of it is not on disk yet', skip, async (t) => {
  const fd = file(t, 100_000);
  const written = native.cacheState(fd, 100_000)!;
  assert.equal(written.cachedBytes, 25 * 4_096);
  // A kernel without cachestat does not say.
  if (written.dirtyBytes !== undefined) assert.ok(written.dirtyBytes <= written.cachedBytes);
  fsyncSync(fd);
  assert.equal(native.cacheState(fd, 100_000)!.dirtyBytes, written.dirtyBytes === undefined ? undefined : 0);
  await native.dropCache(fd, 0, 100_000);
  assert.equal(native.cacheState(fd, 100_000)!.cachedBytes, 0);
  readSync(fd, Buffer.alloc(10), 0, 10, 0);
  assert.ok(native.cacheState(fd, 100_000)!.cachedBytes > 0);
  assert.equal(native.cacheState(fd, 0)!.cachedBytes, 0);
  assert.throws(() => native.cacheState(1_000_000, 10), { code: 'EBADF' });
});
