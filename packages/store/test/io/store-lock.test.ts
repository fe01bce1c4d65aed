import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  fstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { StoreError } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { errnoError, loadNative, type Native } from '../../src/io/native.ts';
import { LOCK_DIRECTORY } from '../../src/io/store-directory.ts';
import { lockStateOf, StoreLock } from '../../src/io/store-lock.ts';
import { recordingLogger } from '../mapped-file/harness.ts';

const native = loadNative();
const needsNative = { skip: native === undefined ? 'needs koffi' : false };
const noProgram = process.platform === 'linux' && spawnSync('flock', ['--version']).error !== undefined;
const needsLock = { skip: native === undefined && noProgram ? 'needs koffi, or the program flock' : false };
const needsProgram = { skip: noProgram ? 'needs the program flock' : false };
const options = { logger: silentLogger };
const withoutKoffi = { logger: silentLogger, native: undefined };
const storeLock = fileURLToPath(new URL('../../src/io/store-lock.ts', import.meta.url));
const nativeModule = fileURLToPath(new URL('../../src/io/native.ts', import.meta.url));

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'vernier-lock-'));
  cleanUp(t, () => rmSync(path, { recursive: true, force: true }));
  return path;
}

async function acquired(t: TestContext, root: string, more: Parameters<typeof StoreLock.acquire>[1] = options) {
  const lock = await StoreLock.acquire(root, more);
  cleanUp(t, () => lock.release());
  return lock;
}

/** What both a process and a thread run: take the lock, say so, keep it. */
const program = (root: string, koffi: boolean): string => `
  const { StoreLock } = await import(${JSON.stringify(storeLock)});
  const nothing = () => {};
  const logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };
  try {
    globalThis.held = await StoreLock.acquire(${JSON.stringify(root)}, { logger${koffi ? '' : ', native: undefined'} });
    say('locked');
  } catch (error) {
    say(error.code + ' ' + error.details?.pid);
  }
  setInterval(nothing, 1_000_000);
`;

interface Other {
  answer: string;
  /** kill -9 of a process, terminate() of a thread. */
  end(): Promise<void>;
}

async function otherProcess(
  t: TestContext,
  root: string,
  koffi = true,
  body = program(root, koffi),
): Promise<Other & { child: ChildProcess }> {
  const text = `const say = (text) => process.stdout.write(text + '\\n');${body}`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', text], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cleanUp(t, () => child.kill('SIGKILL'));
  const [chunk] = (await once(child.stdout!, 'data')) as [Buffer];
  const end = async (): Promise<void> => {
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  };
  return { child, answer: chunk.toString().trim(), end };
}

async function otherThread(t: TestContext, root: string, koffi = true): Promise<Other> {
  const text = `
    const { parentPort } = require('node:worker_threads');
    const say = (text) => parentPort.postMessage(text);
    import('tsx/esm/api').then(async ({ register }) => { register(); ${program(root, koffi)} });
  `;
  const worker = new Worker(text, { eval: true });
  cleanUp(t, () => worker.terminate());
  const [answer] = (await once(worker, 'message')) as [string];
  return { answer, end: async () => void (await worker.terminate()) };
}

test(
  'store lock: the file says "lock", a second open in this process is refused, release gives it up',
  needsLock,
  async (t) => {
    const root = directory(t);
    const lock = await acquired(t, root);
    await assert.rejects(StoreLock.acquire(root, options), (error) => {
      assert.ok(error instanceof StoreError);
      assert.equal(error.code, 'STORE_LOCKED');
      assert.equal(error.details.path, root);
      if (process.platform === 'linux' && native) assert.equal(error.details.pid, process.pid);
      return true;
    });
    lock.release();
    lock.release();
    // Read after the release: closing a second descriptor would have dropped Java's lock.
    assert.equal(readFileSync(join(root, 'lock'), 'utf8'), 'lock');
    (await StoreLock.acquire(root, options)).release();
  },
);

test('store lock: another name of the same directory is the same store', needsLock, async (t) => {
  const root = directory(t);
  mkdirSync(join(root, 'store'));
  symlinkSync(join(root, 'store'), join(root, 'alias'));
  await acquired(t, join(root, 'store'));
  await assert.rejects(StoreLock.acquire(join(root, 'alias'), options), { code: 'STORE_LOCKED' });
});

// With koffi and without, on either side: all of them see each other.
for (const [ours, theirs] of [
  [true, true],
  [true, false],
  [false, true],
  [false, false],
] as const) {
  const skip =
    ours && theirs ? needsNative : ours || theirs ? { skip: native ? needsProgram.skip : 'needs koffi' } : needsProgram;
  const names = `${ours ? 'with' : 'without'} koffi here and ${theirs ? 'with' : 'without'} it there`;
  const own = ours ? options : withoutKoffi;

  test(`store lock: another process is refused, again and again (${names})`, skip, async (t) => {
    const root = directory(t);
    await acquired(t, root, own);
    for (let attempt = 0; attempt < 2; attempt++) {
      // Its attempt, which opened and closed things over there, took nothing from us.
      const { answer, end } = await otherProcess(t, root, theirs);
      assert.match(answer, ours ? new RegExp(`^STORE_LOCKED ${process.pid}$`) : /^STORE_LOCKED /);
      await end();
    }
  });

  test(
    `store lock: we are refused while another process holds it, and not after its SIGKILL (${names})`,
    skip,
    async (t) => {
      const root = directory(t);
      const { child, answer, end } = await otherProcess(t, root, theirs);
      assert.equal(answer, 'locked');
      for (let attempt = 0; attempt < 2; attempt++) {
        await assert.rejects(StoreLock.acquire(root, own), (error) => {
          assert.ok(error instanceof StoreError);
          if (theirs) assert.equal(error.details.pid, child.pid);
          return error.code === 'STORE_LOCKED';
        });
      }
      await end();
      (await StoreLock.acquire(root, own)).release();
    },
  );

  test(
    `store lock: another thread of this process is refused, and takes nothing from us (${names})`,
    skip,
    async (t) => {
      const root = directory(t);
      await acquired(t, root, own);
      for (let attempt = 0; attempt < 2; attempt++)
        assert.match((await otherThread(t, root, theirs)).answer, /^STORE_LOCKED/);
      assert.match((await otherProcess(t, root, theirs)).answer, /^STORE_LOCKED/);
      if (ours) {
        // Java's lock, which belongs to the process and which a thread could drop, is there still.
        const { answer } = await otherProcess(t, root, true, javaProgram(root));
        assert.equal(answer, 'refused');
      }
    },
  );

  test(
    `store lock: we are refused while another thread holds it, and not after its end (${names})`,
    skip,
    async (t) => {
      const root = directory(t);
      const { answer, end } = await otherThread(t, root, theirs);
      assert.equal(answer, 'locked');
      for (let attempt = 0; attempt < 2; attempt++) {
        await assert.rejects(StoreLock.acquire(root, own), { code: 'STORE_LOCKED' });
        assert.equal(lockStateOf(root, ours ? {} : { native: undefined }).kind, 'held');
      }
      if (theirs) {
        const java = await otherProcess(t, root, true, javaProgram(root));
        assert.equal(java.answer, 'refused', 'looking took nothing from the other thread');
      }
      await end();
      (await StoreLock.acquire(root, own)).release();
    },
  );
}

/** A Java broker: an exclusive lock on byte 0 of `lock`, and nothing else. */
const javaProgram = (root: string): string => `
  const { loadNative } = await import(${JSON.stringify(nativeModule)});
  const fs = await import('node:fs');
  const fd = fs.openSync(${JSON.stringify(join(root, 'lock'))}, 'a+');
  say(loadNative().tryLock(fd, 1) ? 'locked' : 'refused');
  setInterval(() => {}, 1_000_000);
`;

test('store lock: a Java broker is refused while we have the store, and we while it has it', needsNative, async (t) => {
  const root = directory(t);
  const lock = await StoreLock.acquire(root, options);
  const refused = await otherProcess(t, root, true, javaProgram(root));
  assert.equal(refused.answer, 'refused');
  await refused.end();
  lock.release();
  const java = await otherProcess(t, root, true, javaProgram(root));
  assert.equal(java.answer, 'locked');
  const isHeldByJava = (error: unknown): boolean =>
    error instanceof StoreError && error.code === 'STORE_LOCKED' && error.details.pid === java.child.pid;
  await assert.rejects(StoreLock.acquire(root, options), isHeldByJava);
  assert.deepEqual(lockStateOf(root), { kind: 'held', pid: java.child.pid });
  if (process.platform === 'linux' && needsProgram.skip === false) {
    await assert.rejects(StoreLock.acquire(root, withoutKoffi), isHeldByJava);
    assert.deepEqual(lockStateOf(root, { native: undefined }), { kind: 'held', pid: java.child.pid });
  }
  await java.end();
  (await StoreLock.acquire(root, options)).release();
});

test('store lock: without koffi a line says what a Java broker would not see', needsProgram, async (t) => {
  const root = directory(t);
  const logger = recordingLogger();
  await acquired(t, root, { logger, native: undefined });
  assert.equal(logger.lines.length, 1);
  assert.match(logger.lines[0]!.message, /Java broker .* would not see it/);
});

test('store lock: without koffi and without a program to lock with, nothing is opened', {
  skip: process.platform !== 'linux' && 'of Linux alone',
}, async (t) => {
  const root = directory(t);
  const { PATH } = process.env;
  process.env.PATH = root;
  try {
    await assert.rejects(StoreLock.acquire(root, withoutKoffi), { code: 'STORE_NATIVE_UNAVAILABLE' });
    assert.deepEqual(lockStateOf(root, { native: undefined }), { kind: 'unknown' });
  } finally {
    process.env.PATH = PATH;
  }
});

test('store lock: a log kept elsewhere is locked too: two stores cannot share it', needsLock, async (t) => {
  const root = directory(t);
  for (const name of ['a', 'b', 'log']) mkdirSync(join(root, name));
  const first = await acquired(t, join(root, 'a'));
  await first.cover(join(root, 'log'));
  const second = await acquired(t, join(root, 'b'));
  await assert.rejects(second.cover(join(root, 'log')), (error) => {
    return error instanceof StoreError && error.code === 'STORE_LOCKED' && error.details.path === join(root, 'log');
  });
  first.release();
  await second.cover(join(root, 'log'));
  await second.cover(join(root, 'log'));
});

test(
  'store lock: a file system without locks for directories gets a file in a sub-directory',
  needsNative,
  async (t) => {
    const root = directory(t);
    const filesOnly: Native = {
      ...native!,
      flock: (fd, mode) => {
        if (fstatSync(fd).isDirectory()) throw errnoError(9, 'flock');
        return native!.flock(fd, mode);
      },
    };
    const lock = await StoreLock.acquire(root, { ...options, native: filesOnly });
    await assert.rejects(StoreLock.acquire(root, { ...options, native: filesOnly }), { code: 'STORE_LOCKED' });
    assert.equal(lockStateOf(root, { native: filesOnly }).kind, 'held');
    assert.deepEqual(readdirSync(root).sort(), ['lock', LOCK_DIRECTORY]);
    lock.release();
    (await StoreLock.acquire(root, { ...options, native: filesOnly })).release();
    const none: Native = {
      ...native!,
      flock: () => {
        throw errnoError(95, 'flock');
      },
    };
    await assert.rejects(StoreLock.acquire(root, { ...options, native: none }), { code: 'STORE_DIRECTORY_UNUSABLE' });
  },
);

test('store lock: whoever only looks does not keep an opening away', needsLock, async (t) => {
  const root = directory(t);
  (await StoreLock.acquire(root, options)).release();
  // While a shared lock is held, as a look holds it for a moment, an opening tries again.
  const { DirectoryLock } = await import('../../src/io/directory-lock.ts');
  const look = DirectoryLock.tryAcquire(root, 'shared', native);
  const opening = StoreLock.acquire(root, options);
  look!.release();
  (await opening).release();
  assert.equal(lockStateOf(root).kind, native ? 'free' : 'unknown');
});

test('store lock: a place that cannot hold it is STORE_DIRECTORY_UNUSABLE', needsLock, async (t) => {
  const root = directory(t);
  writeFileSync(join(root, 'file'), '');
  await assert.rejects(StoreLock.acquire(join(root, 'file'), options), { code: 'STORE_DIRECTORY_UNUSABLE' });
  mkdirSync(join(root, 'other', 'lock'), { recursive: true });
  await assert.rejects(StoreLock.acquire(join(root, 'other'), options), { code: 'STORE_NOT_A_FILE' });
  // What was taken on the way is given back.
  rmSync(join(root, 'other', 'lock'), { recursive: true });
  (await StoreLock.acquire(join(root, 'other'), options)).release();
});

test('store lock: a pipe in place of lock or abort holds nobody up', {
  skip: process.platform === 'win32',
  timeout: 10_000,
}, async (t) => {
  const root = directory(t);
  for (const name of ['lock', 'abort']) assert.equal(spawnSync('mkfifo', [join(root, name)]).status, 0);
  await assert.rejects(StoreLock.acquire(root, options), { code: 'STORE_NOT_A_FILE' });
  lockStateOf(root);
  rmSync(join(root, 'lock'));
  await acquired(t, root);
  await assert.rejects(StoreLock.acquire(root, options), { code: 'STORE_LOCKED' });
});

for (const [what, change] of [
  ['moved away', (path: string) => renameSync(path, `${path}.moved`)],
  ['removed', (path: string) => rmSync(path, { recursive: true })],
  [
    'replaced by another one',
    (path: string) => {
      renameSync(path, `${path}.moved`);
      mkdirSync(path);
    },
  ],
  [
    'replaced by a file',
    (path: string) => {
      renameSync(path, `${path}.moved`);
      writeFileSync(path, '');
    },
  ],
] as const) {
  test(
    `store lock: a directory that was ${what} is noticed, and what lies in another one is not concerned`,
    needsLock,
    async (t) => {
      const parent = directory(t);
      const root = join(parent, 'root');
      const log = join(parent, 'log');
      mkdirSync(log);
      const lock = await acquired(t, root);
      await lock.cover(log);
      const told: string[] = [];
      lock.onMoved = (error) => told.push(error.code);
      await lock.check(join(root, 'consumequeue', 'T'));
      await lock.check(join(log, '00000000000000000000'));
      await lock.checkAll();
      assert.deepEqual(told, []);
      change(log);
      await lock.check(join(root, 'index'));
      await assert.rejects(lock.check(join(log, '00000000000000000000')), (error) => {
        return error instanceof StoreError && error.code === 'STORE_DIRECTORY_MOVED' && error.details.path === log;
      });
      await assert.rejects(lock.checkAll(), { code: 'STORE_DIRECTORY_MOVED' });
      assert.deepEqual(told, ['STORE_DIRECTORY_MOVED', 'STORE_DIRECTORY_MOVED']);
      // A name that only begins alike is not inside.
      await lock.check(`${log}-of-others/x`);
    },
  );
}
