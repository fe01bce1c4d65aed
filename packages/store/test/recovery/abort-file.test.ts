import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedFileSystem } from '@vernier/torture';
import { AbortFile } from '../../src/recovery/abort-file.ts';

async function fresh(): Promise<SimulatedFileSystem> {
  const fileSystem = new SimulatedFileSystem();
  await fileSystem.makeDirectory('/store');
  await fileSystem.syncDirectory('/');
  return fileSystem;
}

test('the abort file holds the process id in decimal and survives a power cut once create() resolved', async () => {
  const fileSystem = await fresh();
  const abort = new AbortFile('/store/abort', fileSystem);
  assert.equal(await abort.exists(), false);
  await abort.create(123456);
  await abort.create(42);
  const after = fileSystem.crash(1);
  assert.equal((await after.readFile('/store/abort'))!.toString(), '42');
  assert.equal(await new AbortFile('/store/abort', after).exists(), true);
});

test('once remove() resolved it stays away after a power cut; removing it twice is no error', async () => {
  const fileSystem = await fresh();
  const abort = new AbortFile('/store/abort', fileSystem);
  await abort.create();
  assert.equal((await fileSystem.readFile('/store/abort'))!.toString(), String(process.pid));
  await abort.remove();
  await abort.remove();
  assert.equal(await new AbortFile('/store/abort', fileSystem.crash(2)).exists(), false);
});
