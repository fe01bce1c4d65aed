import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OpenFiles } from '../../src/io/open-files.ts';
import { MemoryFileSystem } from '../queue/memory-file-system.ts';

function fileSystem(count: number): MemoryFileSystem {
  return new MemoryFileSystem(
    new Map(Array.from({ length: count }, (_, index) => [`/d/${index}`, Buffer.from([index])])),
  );
}

test('open files: no more than the maximum stay open, the least recently used go', async () => {
  const disk = fileSystem(10);
  const files = new OpenFiles(disk, 3);
  for (const index of [0, 1, 2, 0, 3]) await files.use(`/d/${index}`, async () => {});
  assert.equal(files.openCount, 3);
  const opened: string[] = [];
  disk.fault = ({ kind, path }) => {
    if (kind === 'open') opened.push(path);
    return undefined;
  };
  for (const index of [0, 2, 3, 1]) await files.use(`/d/${index}`, async () => {});
  assert.deepEqual(opened, ['/d/1'], '1 was used longest ago when 3 came');
  await files.close();
  assert.equal(disk.openCount, 0);
});

test('open files: one in use is not closed, neither by others nor by forget', async () => {
  const disk = fileSystem(3);
  const files = new OpenFiles(disk, 1);
  let leave: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    leave = resolve;
  });
  const target = Buffer.alloc(1);
  const slow = files.use('/d/2', async (file) => {
    await gate;
    await file.read(target, 0);
  });
  await files.use('/d/0', async () => {});
  files.forget('/d/2');
  leave();
  await slow;
  assert.equal(target[0], 2);
  await files.close();
  assert.equal(disk.openCount, 0);
});

test('open files: two at once share one descriptor', async () => {
  const disk = fileSystem(1);
  const files = new OpenFiles(disk, 4);
  await Promise.all([1, 2, 3].map(() => files.use('/d/0', async () => {})));
  assert.equal(disk.openCountMax, 1);
});

test('open files: a failed open is not remembered', async () => {
  const disk = fileSystem(0);
  const files = new OpenFiles(disk, 4);
  await assert.rejects(
    files.use('/d/0', async () => {}),
    { code: 'ENOENT' },
  );
  disk.files.set('/d/0', Buffer.from('x'));
  await files.use('/d/0', async (file) => assert.equal(await file.size(), 1));
});

test('open files: no descriptor to spare: the idle ones are given back, and the file is opened all the same', async () => {
  const disk = fileSystem(5);
  const files = new OpenFiles(disk, 4);
  for (const index of [0, 1, 2]) await files.use(`/d/${index}`, async () => {});
  // The process may have two files open, and somebody uses one.
  const inUse = await files.acquire('/d/0');
  disk.fault = ({ kind }) => (kind === 'open' && disk.openCount >= 2 ? 'EMFILE' : undefined);
  await files.use('/d/3', async () => {});
  assert.equal(disk.openCount, 2);
  const second = await files.acquire('/d/3');
  await assert.rejects(files.acquire('/d/4'), { code: 'EMFILE' });
  assert.equal(await inUse.size(), 1, 'one in use is not taken away');
  files.release(second);
  files.release(inUse);
  await files.use('/d/4', async () => {});
  await files.close();
  assert.equal(disk.openCount, 0);
});

test('open files: a file is closed when closeFile resolves, unless somebody uses it', async () => {
  const disk = fileSystem(2);
  const files = new OpenFiles(disk, 4);
  await files.use('/d/0', async () => {});
  await files.closeFile('/d/0');
  assert.equal(disk.openCount, 0);
  const file = await files.acquire('/d/1');
  await files.closeFile('/d/1');
  assert.equal(await file.size(), 1);
  files.release(file);
  await files.close();
  assert.equal(disk.openCount, 0);
});

test('open files: many that lack a descriptor at once all get one, for there are idle ones enough', async () => {
  const disk = fileSystem(200);
  const files = new OpenFiles(disk, 512);
  disk.fault = ({ kind }) => (kind === 'open' && disk.openCount >= 64 ? 'EMFILE' : undefined);
  for (let index = 0; index < 64; index++) await files.use(`/d/${index}`, async () => {});
  assert.equal(disk.openCount, 64, 'none is left');
  const others = Array.from({ length: 32 }, (_, index) => files.use(`/d/${100 + index}`, async (file) => file.size()));
  assert.deepEqual(await Promise.all(others), new Array(32).fill(1));
  await files.close();
});
