import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { StoreError } from '../../src/errors.ts';
import { loadNative } from '../../src/io/native.ts';
import { StoreLock } from '../../src/io/store-lock.ts';
import { silentLogger } from '../../src/logger.ts';
import { recordingLogger } from '../mapped-file/harness.ts';

const native = loadNative();
const needsNative = { skip: native === undefined ? 'needs koffi' : false };
const options = { logger: silentLogger };

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'vernier-lock-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A process that takes the lock, says so, and keeps it until it is killed. */
async function lockingProcess(t: TestContext, root: string): Promise<{ child: ChildProcess; answer: string }> {
  const module = fileURLToPath(new URL('../../src/io/store-lock.ts', import.meta.url));
  const program = `
    const { StoreLock } = await import(${JSON.stringify(module)});
    const nothing = () => {};
    const logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };
    try {
      StoreLock.acquire(${JSON.stringify(root)}, { logger });
      process.stdout.write('locked\\n');
    } catch (error) {
      process.stdout.write(error.code + ' ' + error.details.pid + '\\n');
    }
    setInterval(() => {}, 1_000_000);
  `;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const [chunk] = (await once(child.stdout!, 'data')) as [Buffer];
  return { child, answer: chunk.toString().trim() };
}

test('store lock: the file says "lock", a second open in this process is refused, release gives it up', (t) => {
  const root = directory(t);
  const lock = StoreLock.acquire(root, options);
  assert.equal(lock.path, join(root, 'lock'));
  assert.throws(
    () => StoreLock.acquire(root, options),
    (error) => {
      assert.ok(error instanceof StoreError);
      assert.equal(error.code, 'STORE_LOCKED');
      assert.equal(error.details.path, join(root, 'lock'));
      assert.equal(error.details.pid, process.pid);
      return true;
    },
  );
  lock.release();
  lock.release();
  // Read after the release: closing a second descriptor would have dropped the lock.
  assert.equal(readFileSync(join(root, 'lock'), 'utf8'), 'lock');
  StoreLock.acquire(root, options).release();
});

test('store lock: another name of the same directory is the same store', (t) => {
  const root = directory(t);
  mkdirSync(join(root, 'store'));
  symlinkSync(join(root, 'store'), join(root, 'alias'));
  const lock = StoreLock.acquire(join(root, 'store'), options);
  t.after(() => lock.release());
  assert.throws(() => StoreLock.acquire(join(root, 'alias'), options), { code: 'STORE_LOCKED' });
});

test('store lock: another process is refused and told our pid', needsNative, async (t) => {
  const root = directory(t);
  const lock = StoreLock.acquire(root, options);
  t.after(() => lock.release());
  const { answer } = await lockingProcess(t, root);
  assert.equal(answer, `STORE_LOCKED ${process.pid}`);
  // Its attempt, which opened and closed the file over there, took nothing from us.
  const { answer: second } = await lockingProcess(t, root);
  assert.equal(second, `STORE_LOCKED ${process.pid}`);
});

test('store lock: we are refused while another process holds it, and not after its SIGKILL', needsNative, async (t) => {
  const root = directory(t);
  const { child, answer } = await lockingProcess(t, root);
  assert.equal(answer, 'locked');
  assert.throws(
    () => StoreLock.acquire(root, options),
    (error) => error instanceof StoreError && error.code === 'STORE_LOCKED' && error.details.pid === child.pid,
  );
  // A refusal leaves nothing behind that would refuse the next attempt.
  assert.throws(() => StoreLock.acquire(root, options), { code: 'STORE_LOCKED' });
  child.kill('SIGKILL');
  await once(child, 'exit');
  StoreLock.acquire(root, options).release();
});

test('store lock: without koffi the process guards itself and says what it cannot', (t) => {
  const root = directory(t);
  const logger = recordingLogger();
  const lock = StoreLock.acquire(root, { logger, native: undefined });
  t.after(() => lock.release());
  assert.equal(logger.lines.length, 1);
  assert.match(logger.lines[0]!.message, /Java broker .* would not see it/);
  assert.throws(() => StoreLock.acquire(root, { logger, native: undefined }), { code: 'STORE_LOCKED' });
});

test('store lock: a place that cannot hold it is STORE_DIRECTORY_UNUSABLE', (t) => {
  const root = directory(t);
  writeFileSync(join(root, 'file'), '');
  assert.throws(() => StoreLock.acquire(join(root, 'file'), options), { code: 'STORE_DIRECTORY_UNUSABLE' });
  mkdirSync(join(root, 'other', 'lock'), { recursive: true });
  assert.throws(() => StoreLock.acquire(join(root, 'other'), options), { code: 'STORE_DIRECTORY_UNUSABLE' });
});
