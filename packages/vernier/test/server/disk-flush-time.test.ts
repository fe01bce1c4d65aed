import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { temporaryFolder } from '../../../../test/support/clean-up.ts';
import { measureFlushTime } from '../../src/server/disk-flush-time.ts';

test('flush time: measured with real flushes, and the folder is left empty', async (t) => {
  const folder = await temporaryFolder(t, 'flush-time');
  const measured = await measureFlushTime(folder, 5_000);
  assert.ok(measured !== undefined && measured.count === 7 && measured.medianMs > 0);
  assert.deepEqual(await readdir(folder), []);
});

test('flush time: a folder that is not there is no measurement and no error', async () => {
  assert.equal(await measureFlushTime('/nowhere/at/all'), undefined);
});

test('flush time: never waits longer than its budget', async (t) => {
  const folder = await temporaryFolder(t, 'flush-time');
  const measured = await measureFlushTime(folder, 0);
  // With no time at all it either returns before the first flush or with what ended meanwhile; it never does all seven.
  assert.ok(measured === undefined || measured.count < 7);
});
