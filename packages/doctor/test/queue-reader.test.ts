import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { writeUnit } from '@vernier/store/internal';
import { cleanUp } from '../../../test/support/clean-up.ts';
import { OpenFileCache, QueueReader } from '../src/queue-reader.ts';

const FILLER_SIZE = 0x7fff_ffff;

/** A queue in files of ten entries: entry i is of a record at 100 * i, or filler. */
function queueOf(t: TestContext, count: number, filler: readonly number[]): QueueReader {
  const directory = mkdtempSync(join(tmpdir(), 'vernier-queue-'));
  const cache = new OpenFileCache();
  cleanUp(t, () => {
    cache.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const files = [];
  for (let from = 0; from * 20 < count * 20; from += 10) {
    const bytes = Buffer.alloc(200);
    for (let index = from; index < Math.min(count, from + 10); index++) {
      const isFiller = filler.includes(index);
      writeUnit(bytes, (index - from) * 20, isFiller ? 0 : index * 100, isFiller ? FILLER_SIZE : 100, 0);
    }
    const path = join(directory, String(from * 20).padStart(20, '0'));
    writeFileSync(path, bytes);
    files.push({ path, from: from * 20, size: bytes.length });
  }
  return new QueueReader({ topic: 't', queueId: 0, files }, 200, cache, 16);
}

test('the first entry at an offset is found whatever places are filler', (t) => {
  for (const filler of [[], [12], [0, 1, 2], [11, 12, 13, 14], [5, 12, 18], Array.from({ length: 12 }, (_, i) => i)]) {
    const queue = queueOf(t, 25, filler);
    for (let phy = 0; phy <= 2_500; phy += 50) {
      const entries = Array.from({ length: 25 }, (_, index) => index).filter((index) => !filler.includes(index));
      const expected = entries.find((index) => index * 100 >= phy) ?? 25;
      assert.equal(queue.firstAtOrAbove(phy, 0, 25), expected, `${phy} with filler ${filler}`);
    }
  }
});

test('nothing but filler, and places that were never written, hold no entry', (t) => {
  assert.equal(queueOf(t, 5, [0, 1, 2, 3, 4]).firstAtOrAbove(0, 0, 5), 5);
  const queue = queueOf(t, 12, [2]);
  assert.equal(queue.firstAtOrAbove(1_100, 0, queue.limit), 11);
  assert.equal(queue.firstAtOrAbove(1_200, 0, queue.limit), queue.limit);
});
