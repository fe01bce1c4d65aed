import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../../../../test/support/clean-up.ts';
import { putInPlace } from '../../../../test/support/not-a-file.ts';
import type { CliError } from '../../src/errors.ts';
import { clearReadyFile, removeReadyFile, writeReadyFile } from '../../src/server/ready-file.ts';

async function folder(t: TestContext): Promise<string> {
  const path = await temporaryFolder(t, 'ready');
  return path;
}
const ready = { pid: process.pid, version: '0.1.0', readyMs: 123 };

test('ready file: written whole, with nothing left beside it, and removed at exit', async (t) => {
  const path = join(await folder(t), 'ready.json');
  writeReadyFile(path, ready);
  assert.deepEqual(JSON.parse(readFileSync(path, 'utf8')), ready);
  assert.deepEqual(await readdir(join(path, '..')), ['ready.json']);
  removeReadyFile(path);
  assert.equal(existsSync(path), false);
});

test('ready file: one of an earlier run is taken away before anybody can read it as ours', async (t) => {
  const path = join(await folder(t), 'ready.json');
  writeFileSync(path, JSON.stringify({ pid: 1, readyMs: 5 }));
  clearReadyFile(path);
  assert.equal(existsSync(path), false);
});

test('ready file: a file with other contents is refused and left as it is', async (t) => {
  const path = join(await folder(t), 'package.json');
  writeFileSync(path, '{"name":"precious"}');
  assert.throws(
    () => clearReadyFile(path),
    (error: CliError) => error.code === 'CLI_READY_FILE_UNUSABLE',
  );
  assert.equal(readFileSync(path, 'utf8'), '{"name":"precious"}');
});

test('ready file: a folder that is not there is found before the start, with the error code', async (t) => {
  const path = join(await folder(t), 'no', 'ready.json');
  assert.throws(() => clearReadyFile(path), /cannot be written in .*: ENOENT/);
});

test('ready file: a directory or a pipe in its place is refused, at once', { timeout: 10_000 }, async (t) => {
  const path = join(await folder(t), 'ready.json');
  for (const kind of ['a directory', 'a named pipe'] as const) {
    putInPlace(path, kind);
    assert.throws(() => clearReadyFile(path), /is no regular file/);
  }
});

test('ready file: that of another process is not removed at our exit', async (t) => {
  const path = join(await folder(t), 'ready.json');
  writeFileSync(path, JSON.stringify({ pid: process.pid + 1, readyMs: 5 }));
  removeReadyFile(path);
  assert.equal(existsSync(path), true);
});

test('ready file: what a refused start puts back is the file of a process that runs, as it was', async (t) => {
  const path = join(await folder(t), 'ready.json');
  // The process that started this test runs as long as it does.
  const content = `${JSON.stringify({ pid: process.ppid, readyMs: 5 })}\n`;
  writeFileSync(path, content);
  const putBack = clearReadyFile(path);
  assert.equal(existsSync(path), false, 'whoever waits for it is not fooled meanwhile');
  putBack();
  assert.equal(readFileSync(path, 'utf8'), content);
  assert.deepEqual(await readdir(join(path, '..')), ['ready.json']);
});

test('ready file: that of a process that is gone, of our own number, or an empty one is not put back', async (t) => {
  const path = join(await folder(t), 'ready.json');
  // Larger than any number that Linux gives.
  for (const content of [
    { pid: 2 ** 30, readyMs: 5 },
    { pid: process.pid, readyMs: 5 },
  ].map((ready) => JSON.stringify(ready))) {
    writeFileSync(path, content);
    clearReadyFile(path)();
    assert.equal(existsSync(path), false, content);
  }
  writeFileSync(path, '');
  clearReadyFile(path)();
  clearReadyFile(path)();
  assert.equal(existsSync(path), false, 'there was none');
});

test('ready file: one that was written since is not overwritten by the one of before', async (t) => {
  const path = join(await folder(t), 'ready.json');
  writeFileSync(path, JSON.stringify({ pid: process.ppid, readyMs: 5 }));
  const putBack = clearReadyFile(path);
  writeReadyFile(path, ready);
  putBack();
  assert.equal(JSON.parse(readFileSync(path, 'utf8')).pid, process.pid);
  rmSync(join(path, '..'), { recursive: true });
  putBack();
});

test('ready file: an empty name is refused, and no file is made in the working directory', async () => {
  const before = await readdir('.');
  assert.throws(() => clearReadyFile(''), {
    code: 'CLI_READY_FILE_UNUSABLE',
    message: /the name of the ready file is empty/,
  });
  assert.deepEqual(await readdir('.'), before);
});

test('ready file: contents that only look like one are somebody’s and stay', async (t) => {
  const path = join(await folder(t), 'ready.json');
  const contents = [
    '{"pid":1}',
    '{"readyMs":1}',
    '{"pid":"1","readyMs":1}',
    '[1]',
    'null',
    '7',
    '{',
    ' ',
    '{"pid":1,"readyMs":1}x',
  ];
  for (const content of contents) {
    writeFileSync(path, content);
    assert.throws(() => clearReadyFile(path), { code: 'CLI_READY_FILE_UNUSABLE' }, content);
    removeReadyFile(path);
    assert.equal(readFileSync(path, 'utf8'), content);
  }
});

test('ready file: one that cannot be put in its place is an error with the reason, and leaves nothing beside it', async (t) => {
  const parent = await folder(t);
  const path = join(parent, 'ready.json');
  mkdirSync(path);
  assert.throws(() => writeReadyFile(path, ready), {
    code: 'CLI_READY_FILE_UNUSABLE',
    message: /cannot be written: E[A-Z]+$/,
  });
  assert.deepEqual(await readdir(parent), ['ready.json']);
  removeReadyFile(path);
  assert.ok(existsSync(path), 'a directory is not ours');
  const gone = join(parent, 'gone', 'ready.json');
  assert.throws(() => writeReadyFile(gone, ready), { message: /cannot be written: ENOENT/ });
});

test('ready file: a link in its place is replaced and what it points to is left as it is', {
  skip: process.platform === 'win32',
}, async (t) => {
  const parent = await folder(t);
  writeFileSync(join(parent, 'precious'), 'precious');
  symlinkSync(join(parent, 'precious'), join(parent, 'ready.json'));
  assert.throws(() => clearReadyFile(join(parent, 'ready.json')), /holds something else/);
  writeReadyFile(join(parent, 'ready.json'), ready);
  assert.equal(readFileSync(join(parent, 'precious'), 'utf8'), 'precious');
  assert.equal(JSON.parse(readFileSync(join(parent, 'ready.json'), 'utf8')).pid, process.pid);
});
