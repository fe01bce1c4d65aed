import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../../../test/support/clean-up.ts';
import { Progress } from '../../src/output/progress.ts';
import { clearRecoveringFile, RecoveryProgress, recoveringPath } from '../../src/server/recovery-progress.ts';
import { startBroker } from '../cli.ts';

const MIB = 1024 * 1024;

/** A terminal that keeps what is drawn. */
function terminal(): { stream: NodeJS.WriteStream; text: () => string } {
  let text = '';
  const stream = { isTTY: true, columns: 120, write: (piece: string) => (text += piece) };
  return { stream: stream as unknown as NodeJS.WriteStream, text: () => text };
}

test('recovery progress: percent, bytes and bytes a second, on the terminal and in the file beside the ready file', async (t) => {
  const folder = await temporaryFolder(t, 'cli');
  const readyFile = join(folder, 'ready.json');
  const { stream, text } = terminal();
  let now = 1_000;
  const progress = new RecoveryProgress({ readyFile, progress: new Progress(stream), now: () => now });
  progress.update(0, 100 * MIB);
  assert.match(text(), /recovering \[\.+\] 0 % {2}0 bytes of 100\.0 MiB/);
  assert.deepEqual(await readdir(folder), [], 'a short recovery makes no file');
  now += 2_000;
  progress.update(50 * MIB, 100 * MIB);
  assert.deepEqual(JSON.parse(readFileSync(recoveringPath(readyFile), 'utf8')), {
    pid: process.pid,
    doneBytes: 50 * MIB,
    totalBytes: 100 * MIB,
    percent: 50,
    bytesPerSecond: 25 * MIB,
    elapsedMs: 2_000,
  });
  now += 100;
  progress.update(60 * MIB, 100 * MIB);
  assert.match(readFileSync(recoveringPath(readyFile), 'utf8'), /"percent": 50/, 'not written for every step');
  now += 400;
  progress.update(80 * MIB, 100 * MIB);
  assert.match(readFileSync(recoveringPath(readyFile), 'utf8'), /"percent": 80/);
  assert.deepEqual(await readdir(folder), ['ready.json.recovering']);
  progress.update(1, 1);
  progress.end();
  assert.deepEqual(await readdir(folder), []);
  assert.ok(text().endsWith('\r\x1b[K'), 'the line is gone');
});

test('recovery progress: a folder that takes no file does not keep the store from opening', () => {
  let now = 0;
  const progress = new RecoveryProgress({ readyFile: '/nowhere/to/be/found/ready.json', now: () => now });
  progress.update(1, 100);
  now = 10_000;
  progress.update(50, 100);
  progress.end();
});

test('recovery progress: what a killed start left is taken away by the next one, something else of that name is not', async (t) => {
  const folder = await temporaryFolder(t, 'cli');
  const readyFile = join(folder, 'ready.json');
  writeFileSync(recoveringPath(readyFile), '{"name":"precious"}');
  clearRecoveringFile(readyFile);
  assert.ok(existsSync(recoveringPath(readyFile)), 'not ours');
  writeFileSync(recoveringPath(readyFile), JSON.stringify({ pid: 1, totalBytes: 5 }));
  await startBroker(t, join(folder, 'data'), ['--ready-file', readyFile]);
  assert.equal(existsSync(recoveringPath(readyFile)), false);
});
