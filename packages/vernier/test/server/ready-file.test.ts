import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { CliError } from '../../src/errors.ts';
import { clearReadyFile, removeReadyFile, writeReadyFile } from '../../src/server/ready-file.ts';

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'vernier-ready-'));
  t.after(() => rm(path, { recursive: true, force: true }));
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

test('ready file: a directory in its place is refused', async (t) => {
  const path = join(await folder(t), 'ready.json');
  mkdirSync(path);
  assert.throws(() => clearReadyFile(path), /cannot be read: EISDIR/);
});

test('ready file: that of another process is not removed at our exit', async (t) => {
  const path = join(await folder(t), 'ready.json');
  writeFileSync(path, JSON.stringify({ pid: process.pid + 1, readyMs: 5 }));
  removeReadyFile(path);
  assert.equal(existsSync(path), true);
});
