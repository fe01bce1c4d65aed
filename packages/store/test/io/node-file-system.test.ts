import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { type IoLane, PoolLane } from '../../src/io/io-lane.ts';
import { errnoError, loadNative, type Native } from '../../src/io/native.ts';
import { NodeFileSystem } from '../../src/io/node-file-system.ts';

const native = loadNative();
const needsNative = { skip: native === undefined || process.platform !== 'linux' ? 'needs Linux and koffi' : false };

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'vernier-fs-'));
  cleanUp(t, () => rmSync(path, { recursive: true, force: true }));
  return path;
}

for (const [variant, fileSystem] of [
  ['with koffi', new NodeFileSystem()],
  ['without koffi', new NodeFileSystem({ native: undefined })],
] as const) {
  test(`${variant}: write, read, size, truncate, stat, list, rename, remove`, async (t) => {
    const root = directory(t);
    await fileSystem.makeDirectory(join(root, 'a', 'b'));
    const path = join(root, 'a', 'file');
    assert.equal(await fileSystem.stat(path), undefined);
    await assert.rejects(fileSystem.open(path, 'write'), { code: 'ENOENT' });
    const file = await fileSystem.open(path, 'create');
    await file.write([Buffer.from('hello '), Buffer.from('world')], 3);
    await file.sync();
    const target = Buffer.alloc(20, 1);
    assert.equal(await file.read(target, 0), 14, 'short only at the end of the file');
    assert.equal(target.toString('latin1', 3, 14), 'hello world');
    assert.equal(await file.read(target, 14), 0);
    await file.truncate(5);
    assert.equal(await file.size(), 5);
    await file.close();
    assert.deepEqual(await fileSystem.list(join(root, 'a')), ['b', 'file']);
    assert.deepEqual(await fileSystem.list(join(root, 'missing')), []);
    assert.equal((await fileSystem.stat(join(root, 'a')))?.isDirectory, true);
    assert.equal((await fileSystem.stat(path))?.size, 5);
    await fileSystem.rename(path, `${path}2`);
    assert.equal((await fileSystem.readFile(`${path}2`))?.toString('latin1', 3), 'he');
    assert.equal(await fileSystem.readFile(path), undefined);
    await fileSystem.syncDirectory(join(root, 'a'));
    await fileSystem.remove(`${path}2`);
    await fileSystem.remove(`${path}2`);
    await fileSystem.removeDirectory(join(root, 'a'));
    await fileSystem.removeDirectory(join(root, 'a'));
    assert.deepEqual(await fileSystem.list(root), []);
    const space = await fileSystem.space(root);
    assert.ok(space.freeBytes > 0 && space.freeBytes <= space.totalBytes);
  });

  test(`${variant}: allocate makes the length and keeps the content; never shortens`, async (t) => {
    const path = join(directory(t), 'file');
    const file = await fileSystem.open(path, 'create');
    cleanUp(t, () => file.close());
    await file.write(Buffer.from('abc'), 0);
    await file.allocate(1024 * 1024);
    assert.equal(await file.size(), 1024 * 1024);
    await file.allocate(10);
    assert.equal(await file.size(), 1024 * 1024);
    assert.equal(readFileSync(path).subarray(0, 4).toString('latin1'), 'abc\0');
    if (variant === 'with koffi' && process.platform === 'linux') {
      assert.ok(statSync(path).blocks * 512 >= 1024 * 1024, 'real blocks');
    }
  });

  test(`${variant}: allocate refuses before it changes anything when the floor would not stay free`, async (t) => {
    const root = directory(t);
    const path = join(root, 'file');
    const file = await fileSystem.open(path, 'create');
    cleanUp(t, () => file.close());
    const { freeBytes } = await fileSystem.space(root);
    await assert.rejects(file.allocate(1024 * 1024, freeBytes), { code: 'ENOSPC' });
    assert.equal(await file.size(), 0);
    await assert.rejects(file.allocate(freeBytes * 2), { code: 'ENOSPC' });
    assert.deepEqual([statSync(path).size, statSync(path).blocks], [0, 0]);
  });

  test(`${variant}: zeroRange leaves what is around it, also across its own steps`, async (t) => {
    const path = join(directory(t), 'file');
    const size = 3 * 1024 * 1024 + 100;
    writeFileSync(path, Buffer.alloc(size, 7));
    const file = await fileSystem.open(path, 'write');
    cleanUp(t, () => file.close());
    await file.zeroRange(1000, size - 1010);
    await file.zeroRange(10, 0);
    const expected = Buffer.alloc(size, 7).fill(0, 1000, size - 10);
    assert.ok(readFileSync(path).equals(expected));
    assert.equal(await file.size(), size);
  });
}

test('a failed allocation is undone: length and blocks as before', needsNative, async (t) => {
  const path = join(directory(t), 'file');
  // As ext4 does it: part of the blocks and of the length are there when the disk is full.
  const halfway: Native = {
    ...native!,
    fallocate: async (fd, length) => {
      await native!.fallocate(fd, Math.floor(length / 2));
      throw errnoError(28, 'fallocate');
    },
  };
  const file = await new NodeFileSystem({ native: halfway }).open(path, 'create');
  cleanUp(t, () => file.close());
  await file.write(Buffer.from('kept'), 0);
  await assert.rejects(file.allocate(8 * 1024 * 1024), { code: 'ENOSPC' });
  assert.equal(readFileSync(path, 'latin1'), 'kept');
  assert.ok(statSync(path).blocks * 512 < 1024 * 1024);
});

test('a file system without fallocate gets a file of that length anyway', async (t) => {
  const path = join(directory(t), 'file');
  const unsupported = (): Promise<void> =>
    Promise.reject(errnoError(process.platform === 'darwin' ? 102 : 95, 'fallocate'));
  const without = { ...native!, fallocate: unsupported, zeroRange: unsupported };
  const file = await new NodeFileSystem({ native: without }).open(path, 'create');
  cleanUp(t, () => file.close());
  await file.allocate(4096);
  await file.write(Buffer.alloc(4096, 1), 0);
  await file.zeroRange(1000, 1000);
  assert.deepEqual(readFileSync(path), Buffer.alloc(4096, 1).fill(0, 1000, 2000));
});

test('only files of the log use the lane', async (t) => {
  const calls: string[] = [];
  const pool = new PoolLane();
  const lane: IoLane = {
    kind: 'pool',
    times: pool.times,
    write: (fd, file, pieces, position) => {
      calls.push('write');
      return pool.write(fd, file, pieces, position);
    },
    writeDurably: (fd, file, pieces, position) => {
      calls.push('writeDurably');
      return pool.writeDurably(fd, file, pieces, position);
    },
    sync: (fd, file) => {
      calls.push('sync');
      return pool.sync(fd, file);
    },
    inFlight: () => pool.inFlight(),
    close: () => pool.close(),
  };
  const root = directory(t);
  const fileSystem = new NodeFileSystem({ lane });
  const other = await fileSystem.open(join(root, 'other'), 'create');
  await other.write(Buffer.from('x'), 0);
  await other.sync();
  assert.deepEqual(calls, []);
  assert.equal(other.writeDurably, undefined);
  const log = await fileSystem.open(join(root, 'log'), 'create', 'log');
  const writing = log.write(Buffer.from('x'), 0);
  assert.deepEqual(
    fileSystem.inFlight().map(({ operation, file }) => [operation, file]),
    [['write', join(root, 'log')]],
  );
  await writing;
  await log.sync();
  await log.writeDurably?.([Buffer.from('y'), Buffer.from('z')], 1);
  assert.equal(readFileSync(join(root, 'log'), 'latin1'), process.platform === 'linux' ? 'xyz' : 'x');
  assert.deepEqual(calls, process.platform === 'linux' ? ['write', 'sync', 'writeDurably'] : ['write', 'sync']);
  await log.close();
  await other.close();
});

test('a call made elsewhere is among those under way until it settles', async () => {
  const fileSystem = new NodeFileSystem();
  let fail = (_error: Error): void => {};
  const call = new Promise<void>((_resolve, reject) => {
    fail = reject;
  });
  const tracked = fileSystem.track('msync', 'file', call);
  assert.deepEqual(
    fileSystem.inFlight().map(({ operation }) => operation),
    ['msync'],
  );
  fail(new Error('msync'));
  await assert.rejects(tracked, /msync/);
  assert.deepEqual(fileSystem.inFlight(), []);
});
