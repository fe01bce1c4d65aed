import assert from 'node:assert/strict';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '@vernier/store';
import {
  decodeTimerCheck,
  encodeTimerCheck,
  NodeFileSystem,
  TimerFiles,
  TimerMagic,
  UNIT_BYTES,
  WHEEL_SLOTS,
} from '@vernier/store/internal';
import { inspectStore } from '../src/inspect.ts';
import { readLayout } from '../src/store-layout.ts';
import { type SmallStore, smallStore } from './small-store.ts';

const NOW = 1_790_000_000_000;
const NUMBER = NOW / 1_000;
const FILE_BYTES = UNIT_BYTES * 10 + 20;
const FIRST = `timerlog/${'0'.repeat(20)}`;
const SECOND = `timerlog/${String(FILE_BYTES).padStart(20, '0')}`;

async function withTimers(t: TestContext): Promise<SmallStore> {
  const store = await smallStore(t);
  mkdirSync(join(store.root, 'config'), { recursive: true });
  const files = await TimerFiles.open({
    ...{ storePathRootDir: store.root, fileSystem: new NodeFileSystem(), logger: silentLogger, precisionMs: 1_000 },
    ...{ mappedFileSizeTimerLog: FILE_BYTES, diskFreeBytesMin: 0, now: () => NOW },
    putsOnDisk: () => Promise.resolve(true),
    failed: () => assert.fail(),
  });
  for (let i = 0; i < 25; i++) {
    const entry = { magic: TimerMagic.DEFAULT, writeTimeMs: NOW, logOffset: i * 300, size: 200, topicHash: 1 };
    await files.add({ number: NUMBER + (i % 3), ...entry });
  }
  files.setQueueOffset(25);
  await files.close();
  return store;
}

const faultsOf = async (store: SmallStore): Promise<string[]> =>
  (await store.findings()).list
    .filter(({ kind }) => kind === 'timer')
    .map(({ severity, message }) => `${severity} ${message}`);

function overwrite(store: SmallStore, name: string, at: number, bytes: Uint8Array): void {
  const descriptor = openSync(join(store.root, name), 'r+');
  writeSync(descriptor, bytes, 0, bytes.length, at);
  closeSync(descriptor);
}

test('sound timer files have no finding, and inspect says what waits', async (t) => {
  const store = await withTimers(t);
  assert.deepEqual(await faultsOf(store), []);
  assert.deepEqual((await store.findings({ depth: 'quick' })).list, []);
  const { timers, layout } = await inspectStore(await readLayout(store.root));
  assert.deepEqual(timers, {
    ...{ waiting: 25, slots: 3, firstTime: NOW, lastTime: NOW + 2_000, precisionMs: 1_000 },
    ...{ queueOffset: 25, logFiles: 3 },
  });
  assert.deepEqual(layout.unread, []);
  assert.equal((await inspectStore(await readLayout((await smallStore(t)).root))).timers, undefined);
});

test('damage is found where it is', async (t) => {
  const cases: [string, RegExp, (store: SmallStore) => void][] = [
    ['a unit', /no unit at 156/, (store) => overwrite(store, FIRST, UNIT_BYTES * 3, Buffer.of(1))],
    [
      'a slot',
      /leads to no unit of its time/,
      (store) => overwrite(store, 'timerwheel', (NUMBER % WHEEL_SLOTS) * 32 + 7, Buffer.of(9)),
    ],
    ['a short wheel', /another length/, (store) => truncateSync(join(store.root, 'timerwheel'), 4_096)],
    ['a file of the log is gone', /do not follow|no unit at/, (store) => rmSync(join(store.root, SECOND))],
    [
      'a short file of the log',
      /different lengths|do not follow/,
      (store) => truncateSync(join(store.root, FIRST), 100),
    ],
  ];
  for (const [name, message, damage] of cases) {
    const store = await withTimers(t);
    damage(store);
    const faults = await faultsOf(store);
    assert.ok(faults.length > 0, name);
    assert.match(faults[0]!, message, name);
    assert.match(faults[0]!, /^fault .*makes the timer files anew/);
  }
});

test('what another broker wrote last is not judged by our rules', async (t) => {
  const store = await withTimers(t);
  const path = join(store.root, 'config/timercheck');
  const { fields } = decodeTimerCheck(readFileSync(path))!;
  const java = encodeTimerCheck({ ...fields, lastReadTimeMs: NOW + 1_000, lastTimerLogFlushPos: 0 });
  writeFileSync(path, Buffer.concat([java, Buffer.alloc(4_096 - java.length)]));
  assert.deepEqual(await faultsOf(store), []);
  const { timers } = await inspectStore(await readLayout(store.root));
  assert.deepEqual([timers?.slots, timers?.firstTime, timers?.precisionMs], [2, NOW + 1_000, 1_000]);
});
