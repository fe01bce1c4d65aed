import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { cleanUp } from '../../../test/support/clean-up.ts';
import { moveDurably } from '../src/move.ts';

const otherDevice = async (): Promise<void> => {
  throw Object.assign(new Error('EXDEV: cross-device link not permitted'), { code: 'EXDEV' });
};

function directory(t: TestContext, base = tmpdir()): string {
  const path = mkdtempSync(join(base, 'vernier-move-'));
  cleanUp(t, () => rmSync(path, { recursive: true, force: true }));
  return path;
}

function tree(root: string): void {
  mkdirSync(join(root, 'T', '0'), { recursive: true });
  mkdirSync(join(root, 'empty'));
  writeFileSync(join(root, 'T', '0', '00000000000000000000'), 'entries');
  truncateSync(join(root, 'T', '0', '00000000000000000000'), 6_000_000);
  utimesSync(join(root, 'T', '0', '00000000000000000000'), 1_000, 2_000);
  symlinkSync('T', join(root, 'link'));
}

function assertTree(root: string): void {
  const file = join(root, 'T', '0', '00000000000000000000');
  assert.equal(statSync(file).size, 6_000_000);
  assert.equal(statSync(file).mtimeMs, 2_000_000);
  assert.equal(readFileSync(file).subarray(0, 8).toString(), 'entries\0');
  assert.deepEqual(readdirSync(root).sort(), ['T', 'empty', 'link']);
  if (process.platform === 'linux') assert.ok(statSync(file).blocks * 512 < 100_000, 'it stays sparse');
}

test('move to another file system: all of it is there, nothing is left behind, and sparse files stay sparse', async (t) => {
  const root = directory(t);
  mkdirSync(join(root, 'from'));
  tree(join(root, 'from'));
  await moveDurably(join(root, 'from'), join(root, 'to'), otherDevice);
  assertTree(join(root, 'to'));
  assert.deepEqual(readdirSync(root), ['to']);
});

test('move to another file system: what an interrupted copy left is no part of the next one', async (t) => {
  const root = directory(t);
  mkdirSync(join(root, 'from'));
  tree(join(root, 'from'));
  mkdirSync(join(root, 'to.copying', 'stale'), { recursive: true });
  await moveDurably(join(root, 'from'), join(root, 'to'), otherDevice);
  assertTree(join(root, 'to'));
});

test('move: a file that cannot be copied leaves the original where it is', async (t) => {
  const root = directory(t);
  writeFileSync(join(root, 'from'), 'x');
  mkdirSync(join(root, 'to', 'in the way'), { recursive: true });
  await assert.rejects(moveDurably(join(root, 'from'), join(root, 'to'), otherDevice));
  assert.equal(readFileSync(join(root, 'from'), 'utf8'), 'x');
  await assert.rejects(moveDurably(join(root, 'absent'), join(root, 'other')), { code: 'ENOENT' });
});

const shared = '/dev/shm';
const hasOther = existsSync(shared) && statSync(shared).dev !== statSync(tmpdir()).dev;

test('move between two real file systems', { skip: hasOther ? false : 'needs a second file system' }, async (t) => {
  const here = join(directory(t), 'here');
  const there = join(directory(t, shared), 'there');
  mkdirSync(here);
  tree(here);
  await moveDurably(here, there);
  assertTree(there);
  assert.equal(existsSync(here), false);
  await moveDurably(there, here);
  assertTree(here);
});
