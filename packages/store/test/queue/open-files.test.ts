import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OpenFiles } from '../../src/queue/open-files.ts';
import { MemoryFileSystem } from './memory-file-system.ts';

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
