import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { indexShapeOf } from '@vernier/store/internal';
import { cleanUp } from '../../../test/support/clean-up.ts';
import { commonSize, doctorFileSystem, readLayout } from '../src/store-layout.ts';
import { LONG_TOPIC, sizes, smallStore } from './small-store.ts';

test('a layout: sizes, queues and state are found without any configuration', async (t) => {
  const store = await smallStore(t);
  const layout = await readLayout(store.root);
  assert.deepEqual([layout.state, layout.own], ['clean', true]);
  assert.equal(layout.logFileSize, sizes.mappedFileSizeCommitLog);
  assert.equal(layout.queueFileSize, sizes.mappedFileSizeConsumeQueue);
  assert.deepEqual([...layout.queues.get(LONG_TOPIC)!.keys()].sort(), [0, 1]);
  const shape = await indexShapeOf(doctorFileSystem, layout.indexFiles, {});
  assert.deepEqual(shape, { slots: sizes.maxHashSlotNum, units: sizes.maxIndexNum });
  assert.equal(await indexShapeOf(doctorFileSystem, layout.indexFiles, { slots: 7, units: 9 }), undefined);
});

test('a layout: an abort file without a process that holds the lock is an unclean exit', async (t) => {
  const store = await smallStore(t);
  writeFileSync(join(store.root, 'abort'), '4711\n');
  const { state, abort } = await readLayout(store.root);
  assert.deepEqual([state, abort], ['unclean', { exists: true, pid: '4711' }]);
});

test('a layout: what is not looked into is named, what belongs to no log is set apart', async (t) => {
  const store = await smallStore(t);
  for (const name of ['timerwheel', 'consumequeue_ext', 'batchconsumequeue', 'compaction'])
    writeFileSync(join(store.root, name), '');
  writeFileSync(join(store.root, 'commitlog', '00000000000000999999'), '');
  mkdirSync(join(store.root, 'consumequeue', 'events', 'no-number'));
  writeFileSync(join(store.root, 'commitlog', 'notes.txt'), 'x');
  const { unread, emptyFiles, strangers, logFiles, extensions, batchTopics } = await readLayout(store.root);
  assert.deepEqual(unread.sort(), ['compaction']);
  assert.deepEqual([extensions.size, batchTopics.size], [0, 0], 'files in the place of directories');
  assert.deepEqual(emptyFiles, [join(store.root, 'commitlog', '00000000000000999999')]);
  assert.deepEqual(strangers, [join(store.root, 'commitlog', 'notes.txt')]);
  assert.equal(logFiles.length, 3);
});

test('a layout: no directory, no store, and a DLedger log are refused', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'vernier-doctor-'));
  cleanUp(t, () => rmSync(folder, { recursive: true, force: true }));
  await assert.rejects(readLayout(join(folder, 'nothing')), { code: 'STORE_DIRECTORY_UNUSABLE' });
  await assert.rejects(readLayout(folder), { code: 'STORE_NOT_A_STORE' });
  mkdirSync(join(folder, 'commitlog', 'dledger-n0'), { recursive: true });
  await assert.rejects(readLayout(folder), { code: 'STORE_NOT_A_STORE', message: /DLedger/ });
});

test('of several sizes the one that most files have is the right one, and of equals the larger', () => {
  const file = (size: number) => ({ path: '', from: 0, size });
  assert.equal(commonSize([file(5), file(7), file(5)]), 5);
  assert.equal(commonSize([file(5), file(7)]), 7);
  assert.equal(commonSize([]), 0);
});
