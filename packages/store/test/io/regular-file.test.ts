import assert from 'node:assert/strict';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { cleanUp, temporaryFolder } from '../../../../test/support/clean-up.ts';
import { type NotAFile, notAFile, putInPlace } from '../../../../test/support/not-a-file.ts';
import { NodeFileSystem } from '../../src/io/node-file-system.ts';
import { MessageStore } from '../../src/message-store.ts';

const kinds = Object.keys(notAFile) as NotAFile[];
const onUnix = { skip: process.platform === 'win32' ? 'Windows has no named pipes in directories' : false };
// A call that hangs would keep the run waiting; nothing here takes long.
const limited = { ...onUnix, timeout: 60_000 };

const refused = (path: string, kind: NotAFile) => (error: Error & { code?: string; details?: unknown }) => {
  assert.equal(error.code, 'STORE_NOT_A_FILE', `${path}: ${error.message}`);
  assert.deepEqual(error.details, { path, kind });
  assert.equal(error.message, `${path} is ${kind}, where the store has a file: it is not opened`);
  return true;
};

for (const kind of kinds) {
  test(`regular file: ${kind} is refused by each call that opens or looks, at once`, limited, async (t) => {
    const path = join(await temporaryFolder(t, 'kinds'), 'x');
    putInPlace(path, kind);
    const fileSystem = new NodeFileSystem();
    for (const mode of ['read', 'write', 'create'] as const) {
      await assert.rejects(fileSystem.open(path, mode), refused(path, kind));
    }
    await assert.rejects(fileSystem.readFile(path), refused(path, kind));
    if (kind === 'a directory') assert.equal((await fileSystem.stat(path))?.isDirectory, true);
    else await assert.rejects(fileSystem.stat(path), refused(path, kind));
    if (kind !== 'a directory') await assert.rejects(fileSystem.syncDirectory(path), { code: 'ENOTDIR' });
  });
}

test('regular file: one of gigabytes is not read as a whole', limited, async (t) => {
  const path = join(await temporaryFolder(t, 'kinds'), 'x');
  writeFileSync(path, '');
  for (const size of [512 * 1024 * 1024 + 1, 5 * 1024 ** 3]) {
    truncateSync(path, size);
    await assert.rejects(new NodeFileSystem().readFile(path), { code: 'STORE_FILE_SIZE_MISMATCH' });
  }
});

const options = (root: string) => ({
  storePathRootDir: root,
  mappedFileSizeCommitLog: 64 * 1024,
  mappedFileSizeConsumeQueue: 2_000,
  maxHashSlotNum: 100,
  maxIndexNum: 400,
  diskFreeBytesMin: 0,
});

/** A store with a file of each kind, shut down. */
async function usedStore(t: TestContext): Promise<string> {
  const root = join(await temporaryFolder(t, 'kinds'), 'store');
  const store = await MessageStore.open(options(root));
  cleanUp(t, () => store.shutdown());
  for (const topic of ['T', 'gone']) await store.putMessage({ topic, body: Buffer.from('x'), keys: 'k' });
  await store.deleteTopic('gone');
  await store.shutdown();
  return root;
}

test('store: what is no file, in the place of any file, refuses the open and hangs nothing', limited, async (t) => {
  const used = await usedStore(t);
  const index = readdirSync(join(used, 'index'))[0]!;
  const places = [
    'checkpoint',
    'abort',
    'lock',
    'deletions.json',
    'config/topics.json',
    'timerwheel',
    'config/timercheck',
    'commitlog/00000000000000000000',
    'consumequeue/T/0/00000000000000000000',
    `index/${index}`,
    // What a program of any other name left there.
    'commitlog/00000000000000065536',
    'consumequeue/T/0/00000000000000002000',
    'index/20990101000000000',
  ];
  for (const kind of kinds) {
    for (const place of places) {
      const root = join(used, '..', 'copy');
      cpSync(used, root, { recursive: true });
      const path = join(root, place);
      putInPlace(path, kind);
      await assert.rejects(MessageStore.open(options(root)), refused(path, kind));
      assert.ok(lstatSync(path).isFile() === false, `${place} is left as it was`);
      rmSync(path, { recursive: true });
      if (existsSync(join(used, place))) cpSync(join(used, place), path);
      const store = await MessageStore.open(options(root));
      assert.equal(store.getMaxOffsetInQueue('T', 0), 1, place);
      await store.shutdown();
      rmSync(root, { recursive: true });
    }
  }
});

test('store: what is no directory, in the place of any directory, is an error with its path', limited, async (t) => {
  const used = await usedStore(t);
  for (const kind of ['a named pipe', 'a character device'] as const) {
    for (const place of ['', 'commitlog', 'consumequeue', 'index', 'timerlog']) {
      const root = join(used, '..', 'copy');
      cpSync(used, root, { recursive: true });
      putInPlace(join(root, place), kind);
      await assert.rejects(MessageStore.open(options(root)), (error: Error & { code?: string }) => {
        assert.match(error.code ?? '', /^STORE_/, `${place}: ${error.stack}`);
        assert.ok(error.message.includes(join(root, place)), error.message);
        return true;
      });
      rmSync(root, { recursive: true, force: true });
    }
  }
});

test(
  'store: a link in the place of a file that it writes is refused, and what it leads to is left as it was',
  limited,
  async (t) => {
    const used = await usedStore(t);
    const target = join(used, '..', 'target');
    const refusal = (path: string) => (error: Error & { code?: string }) =>
      error.code === 'STORE_NOT_A_FILE' && error.message.startsWith(`${path} is a symbolic link`);
    for (const place of ['abort', 'checkpoint', 'lock']) {
      const path = join(used, place);
      const before = existsSync(path) ? readFileSync(path) : undefined;
      for (const content of ['precious', undefined]) {
        rmSync(path, { force: true });
        rmSync(target, { force: true });
        if (content !== undefined) writeFileSync(target, content);
        symlinkSync(target, path);
        await assert.rejects(MessageStore.open(options(used)), refusal(path), place);
        assert.equal(existsSync(target) ? readFileSync(target, 'utf8') : undefined, content, place);
      }
      rmSync(path);
      if (before !== undefined) writeFileSync(path, before);
    }
    // One that comes up between the look and the opening.
    symlinkSync(target, join(used, 'abort'));
    await assert.rejects(new NodeFileSystem().open(join(used, 'abort'), 'create'), refusal(join(used, 'abort')));
    assert.equal(existsSync(target), false);
    rmSync(join(used, 'abort'));
    await (await MessageStore.open(options(used))).shutdown();
  },
);

test('store: a loop of links, in the place of anything, is an error with a code and the path', limited, async (t) => {
  const used = await usedStore(t);
  const index = readdirSync(join(used, 'index'))[0]!;
  const files = ['abort', 'checkpoint', 'lock', 'commitlog/00000000000000000000', 'commitlog/00000000000000065536'];
  const more = [
    'timerwheel',
    'config/timercheck',
    'commitlog/allocating',
    'consumequeue/T/0/00000000000000000000',
    `index/${index}`,
    'index/20990101000000000',
  ];
  const directories = [
    'commitlog',
    'consumequeue',
    'consumequeue/T',
    'consumequeue/T/0',
    'index',
    'config',
    'quarantine',
    'timerlog',
  ];
  for (const place of [...files, ...more, ...directories]) {
    const root = join(used, '..', 'copy');
    cpSync(used, root, { recursive: true });
    const path = join(root, place);
    rmSync(path, { recursive: true, force: true });
    mkdirSync(dirname(path), { recursive: true });
    symlinkSync(path, path);
    await assert.rejects(MessageStore.open(options(root)), (error: Error & { code?: string }) => {
      const code = directories.includes(place) ? 'STORE_DIRECTORY_UNUSABLE' : 'STORE_NOT_A_FILE';
      assert.equal(error.code, code, `${place}: ${error.stack}`);
      assert.ok(error.message.includes(path), error.message);
      return true;
    });
    rmSync(root, { recursive: true, force: true });
  }
});

test('store: a file, or a link to nothing, in the place of a directory is refused at open', limited, async (t) => {
  const used = await usedStore(t);
  for (const place of ['commitlog', 'consumequeue', 'index', 'config', 'quarantine', 'timerlog']) {
    for (const put of [(path: string) => writeFileSync(path, ''), (path: string) => symlinkSync(`${path}x`, path)]) {
      const root = join(used, '..', 'copy');
      cpSync(used, root, { recursive: true });
      const path = join(root, place);
      rmSync(path, { recursive: true, force: true });
      put(path);
      await assert.rejects(MessageStore.open(options(root)), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'STORE_DIRECTORY_UNUSABLE', `${place}: ${error.stack}`);
        assert.ok(error.message.startsWith(`${path} is `), error.message);
        return true;
      });
      rmSync(root, { recursive: true, force: true });
    }
  }
});
