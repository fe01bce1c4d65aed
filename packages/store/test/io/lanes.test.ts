/** Both lanes, io-lane.ts and worker-lane.ts: the same promises. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { type IoLane, PoolLane, piecesAfter, SerialCalls } from '../../src/io/io-lane.ts';
import { WorkerLane } from '../../src/io/worker-lane.ts';

const lanes: { name: string; make: () => IoLane }[] = [
  { name: 'pool lane', make: () => new PoolLane() },
  { name: 'worker lane', make: () => new WorkerLane() },
];

function file(t: TestContext): { fd: number; path: string } {
  const directory = mkdtempSync(join(tmpdir(), 'vernier-lane-'));
  const path = join(directory, 'file');
  const fd = openSync(path, 'w+');
  cleanUp(t, () => {
    closeSync(fd);
    rmSync(directory, { recursive: true });
  });
  return { fd, path };
}

for (const { name, make } of lanes) {
  test(`${name}: pieces of shared and of ordinary memory are written in order at the position`, async (t) => {
    const lane = make();
    cleanUp(t, () => lane.close());
    const { fd, path } = file(t);
    const shared = Buffer.from(new SharedArrayBuffer(100)).fill('s');
    const pieces = [shared.subarray(10, 15), Buffer.from('hello'), shared.subarray(0, 3), Buffer.from('!')];
    await lane.write(fd, path, pieces, 4);
    await lane.sync(fd, path);
    assert.equal(readFileSync(path).subarray(4).toString(), 'ssssshellosss!');
    shared.fill('t');
    await lane.write(fd, path, [shared.subarray(0, 2)], 4);
    assert.equal(readFileSync(path).subarray(4).toString(), 'ttssshellosss!', 'memory known already is read anew');
    assert.deepEqual([lane.times.write.count, lane.times.sync.count], [2, 1]);
    assert.ok(lane.times.write.totalMs > 0 && lane.times.write.maxMs <= lane.times.write.totalMs);
  });

  test(`${name}: more pieces, and more buffers, than one command names`, async (t) => {
    const lane = make();
    cleanUp(t, () => lane.close());
    const { fd, path } = file(t);
    const pieces = Array.from({ length: 150 }, (_, index) => Buffer.from(new SharedArrayBuffer(3)).fill(index));
    await lane.write(fd, path, pieces, 0);
    assert.deepEqual(readFileSync(path), Buffer.concat(pieces));
    await lane.write(fd, path, pieces.slice(0, 40).reverse(), 0);
    assert.deepEqual(readFileSync(path).subarray(0, 120), Buffer.concat(pieces.slice(0, 40).reverse()));
  });

  test(`${name}: writes asked for together happen in that order`, async (t) => {
    const lane = make();
    cleanUp(t, () => lane.close());
    const { fd, path } = file(t);
    const writes: Promise<void>[] = [];
    for (let index = 0; index < 50; index++) {
      writes.push(lane.write(fd, path, [Buffer.alloc(64, index)], 0));
    }
    await Promise.all(writes);
    assert.deepEqual(readFileSync(path), Buffer.alloc(64, 49));
  });

  test(`${name}: an error carries errno and does not stop the lane`, async (t) => {
    const lane = make();
    cleanUp(t, () => lane.close());
    const { fd, path } = file(t);
    const readOnly = openSync(path, 'r');
    cleanUp(t, () => closeSync(readOnly));
    await assert.rejects(lane.write(readOnly, path, [Buffer.from('x')], 0), { code: 'EBADF' });
    await assert.rejects(lane.sync(1_000_000, path), { code: 'EBADF' });
    await lane.write(fd, path, [Buffer.from('x')], 0);
    await lane.sync(fd, path);
    assert.deepEqual([lane.times.write.failed, lane.times.sync.failed], [1, 1]);
  });

  test(`${name}: what has not returned is named with its file and age`, async (t) => {
    const lane = make();
    cleanUp(t, () => lane.close());
    const { fd, path } = file(t);
    const first = lane.write(fd, path, [Buffer.alloc(1000)], 0);
    const second = lane.write(fd, `${path}-2`, [Buffer.alloc(1000)], 0);
    const sync = lane.sync(fd, path);
    const calls = lane.inFlight();
    assert.deepEqual(calls.map(({ operation, file: at }) => `${operation} ${at.slice(-2)}`).sort(), [
      'sync le',
      'write -2',
      'write le',
    ]);
    assert.ok(calls.every(({ sinceMs }) => sinceMs >= 0));
    await Promise.all([first, second, sync]);
    assert.deepEqual(lane.inFlight(), []);
  });

  test(`${name}: close waits for what is under way`, async (t) => {
    const lane = make();
    const { fd, path } = file(t);
    const done = lane.write(fd, path, [Buffer.alloc(100_000, 7)], 0);
    await lane.close();
    assert.deepEqual(lane.inFlight(), []);
    assert.equal(readFileSync(path).length, 100_000);
    await done;
  });
}

test('a running sync does not hold up a write, and calls of one kind wait for each other', async () => {
  const calls = new SerialCalls('write');
  const finish: ((error?: unknown) => void)[] = [];
  const first = calls.run('a', (done) => void finish.push(done));
  const second = calls.run('b', (done) => void finish.push(done));
  assert.equal(finish.length, 1, 'one at a time');
  finish[0]!(new Error('first'));
  await assert.rejects(first, /first/);
  assert.equal(finish.length, 2);
  finish[1]!();
  await second;
  await calls.whenIdle();
});

test('what is left after a short write', () => {
  const pieces = [Buffer.from('abc'), Buffer.from('de'), Buffer.from('f')];
  const rest = (count: number): string[] => piecesAfter(pieces, count).map((piece) => Buffer.from(piece).toString());
  assert.deepEqual(rest(0), ['abc', 'de', 'f']);
  assert.deepEqual(rest(2), ['c', 'de', 'f']);
  assert.deepEqual(rest(3), ['de', 'f']);
  assert.deepEqual(rest(4), ['e', 'f']);
  assert.deepEqual(rest(6), []);
});

const laneModule = fileURLToPath(new URL('../../src/io/worker-lane.ts', import.meta.url));
const node = (program: string): string[] => ['--import', 'tsx', '--input-type=module', '-e', program];

test('worker lane: an idle lane does not keep the process alive', () => {
  const program = `
    const { WorkerLane } = await import(${JSON.stringify(laneModule)});
    const { openSync } = await import('node:fs');
    const lane = new WorkerLane();
    await lane.sync(openSync(process.execPath, 'r'), 'node');
    process.stdout.write('done');
  `;
  const result = spawnSync(process.execPath, node(program), { encoding: 'utf8', timeout: 20_000 });
  assert.equal(result.signal, null, 'ended by itself');
  assert.equal(result.status, 0, result.stderr);
  assert.equal(result.stdout, 'done');
});

test('worker lane: a call under way keeps the process alive until it is done', () => {
  const program = `
    const { WorkerLane } = await import(${JSON.stringify(laneModule)});
    const { openSync } = await import('node:fs');
    const lane = new WorkerLane();
    const fd = openSync(process.execPath, 'r');
    lane.sync(fd, 'node').then(() => process.stdout.write('synced'));
  `;
  const result = spawnSync(process.execPath, node(program), { encoding: 'utf8', timeout: 20_000 });
  assert.equal(result.stdout, 'synced');
});

test('worker lane: idle threads use no CPU', async (t) => {
  const program = `
    const { WorkerLane } = await import(${JSON.stringify(laneModule)});
    const { openSync } = await import('node:fs');
    const lane = new WorkerLane();
    await lane.sync(openSync(process.execPath, 'r'), 'node');
    const before = process.cpuUsage();
    setTimeout(() => {
      const { user, system } = process.cpuUsage(before);
      process.stdout.write(String(user + system));
      lane.close();
    }, 1000);
  `;
  const child = spawn(process.execPath, node(program), { stdio: ['ignore', 'pipe', 'inherit'] });
  cleanUp(t, () => child.kill('SIGKILL'));
  const [used] = (await once(child.stdout, 'data')) as [Buffer];
  // A thread that polled would use the whole second; what is seen is the runtime's own start-up trailing off.
  assert.ok(Number(used) < 300_000, `${used} µs of CPU in a second`);
});
