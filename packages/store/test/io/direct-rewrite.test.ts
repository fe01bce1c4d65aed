import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { NodeFileSystem } from '../../src/io/node-file-system.ts';

const MiB = 1024 * 1024;
const fileSystem = new NodeFileSystem({ native: undefined });

/** What dropCache answers without koffi; undefined where this file system has no direct I/O. */
async function dropped(content: Buffer, position: number, length: number, size = content.length) {
  const directory = mkdtempSync(join(tmpdir(), 'vernier-direct-'));
  try {
    const path = join(directory, 'file');
    writeFileSync(path, content);
    truncateSync(path, size);
    const file = await fileSystem.open(path, 'write');
    await file.sync();
    const blocksBefore = statSync(path).blocks;
    const isDropped = await file.dropCache(position, length);
    await file.close();
    return { isDropped, after: readFileSync(path), blocksBefore, blocksAfter: statSync(path).blocks };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const hasDirectIo = process.platform === 'linux' && (await dropped(randomBytes(4_096), 0, 4_096)).isDropped;
const options = { skip: hasDirectIo ? false : 'no direct I/O here' };

test('direct rewrite: no byte and no length changes, whatever the range', options, async () => {
  const content = randomBytes(3 * MiB);
  content.fill(0, 40_000, 60_000);
  for (const [position, length] of [
    [0, content.length],
    [1, 1],
    [4_095, 2],
    [MiB - 1, MiB + 2],
    [2 * MiB, 8 * MiB],
    [5 * MiB, MiB],
  ] as const) {
    const { isDropped, after } = await dropped(content, position, length);
    assert.equal(isDropped, true, `${position} ${length}`);
    assert.ok(after.equals(content), `${position} ${length}`);
  }
});

test('direct rewrite: a sparse file stays sparse', options, async () => {
  const { isDropped, after, blocksBefore, blocksAfter } = await dropped(randomBytes(8_192), 0, 64 * MiB, 64 * MiB);
  assert.equal(isDropped, true);
  assert.equal(after.length, 64 * MiB);
  assert.ok(blocksAfter <= blocksBefore + 16, `${blocksBefore} blocks before, ${blocksAfter} after`);
});

test(
  'direct rewrite: a part of a page at the end of the file cannot be written past the cache, and that is said',
  options,
  async () => {
    const content = randomBytes(10_000);
    const used = await dropped(content, 0, 10_000);
    assert.equal(used.isDropped, false);
    assert.ok(used.after.equals(content));
    content.fill(0, 8_192);
    const unused = await dropped(content, 0, 10_000);
    assert.equal(unused.isDropped, true);
    assert.ok(unused.after.equals(content));
  },
);
