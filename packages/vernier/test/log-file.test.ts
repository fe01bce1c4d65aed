import assert from 'node:assert/strict';
import { readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../../test/support/clean-up.ts';
import { LogFile } from '../src/log-file.ts';

test('log file: lines go into a new file a second after the old one was renamed', async (t) => {
  const folder = await temporaryFolder(t, 'log');
  const path = join(folder, 'vernier.log');
  let now = 0;
  const log = new LogFile(path, () => now);
  const write = (text: string): void => void log.write(Buffer.from(text), 0);
  write('a\n');
  renameSync(path, join(folder, 'vernier.log.1'));
  now = 999;
  write('b\n');
  now = 1_000;
  write('c\n');
  write('d\n');
  assert.equal(readFileSync(join(folder, 'vernier.log.1'), 'utf8'), 'a\nb\n');
  assert.equal(readFileSync(path, 'utf8'), 'c\nd\n');
  assert.equal(statSync(path).mode & 0o777, 0o640 & ~process.umask());
  rmSync(path);
  now = 2_000;
  write('e\n');
  assert.equal(readFileSync(path, 'utf8'), 'e\n', 'a file that was removed is made again');
});

test('log file: the rest of a line goes where its beginning went', async (t) => {
  const folder = await temporaryFolder(t, 'log');
  const path = join(folder, 'vernier.log');
  let now = 0;
  const log = new LogFile(path, () => now);
  log.write(Buffer.from('half'), 0);
  renameSync(path, `${path}.1`);
  now = 5_000;
  log.write(Buffer.from('half and the rest\n'), 4);
  assert.equal(readFileSync(`${path}.1`, 'utf8'), 'half and the rest\n');
});

test('log file: where no new one can be made, the old one goes on', async (t) => {
  const folder = await temporaryFolder(t, 'log');
  const path = join(folder, 'deep', 'vernier.log');
  const { mkdirSync } = await import('node:fs');
  mkdirSync(join(folder, 'deep'));
  let now = 0;
  const log = new LogFile(path, () => now);
  log.write(Buffer.from('a\n'), 0);
  renameSync(join(folder, 'deep'), join(folder, 'moved'));
  now = 1_000;
  log.write(Buffer.from('b\n'), 0);
  assert.equal(readFileSync(join(folder, 'moved', 'vernier.log'), 'utf8'), 'a\nb\n');
});
