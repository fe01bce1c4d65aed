/**
 * A file system that is really full: while messages are appended and log files preallocated, while a topic is to be made
 * durable, while a killed broker recovers. Nothing is acknowledged that is not on disk, nobody is served less than before,
 * no start makes it worse, and once there is room again nothing is missing.
 */
import assert from 'node:assert/strict';
import { closeSync, fdatasyncSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { EngineName } from '../crash/support/engines.ts';
import { PowerCutDisk, powerCutDiskMissing } from '../crash/support/power-cut-disk.ts';
import { NotStarted } from './support/broker.ts';
import { askForTopic, needs, Scene } from './support/scene.ts';

const missing = powerCutDiskMissing();
const options = { ...needs(missing), timeout: 150_000 };
const MiB = 1024 * 1024;

/** Takes every free block of the file system. */
function fill(directory: string): void {
  const descriptor = openSync(join(directory, 'filler'), 'a');
  try {
    for (const size of [MiB, 64 * 1024, 4096, 512]) {
      const piece = Buffer.alloc(size, 1);
      try {
        for (;;) writeSync(descriptor, piece);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      }
    }
    try {
      fdatasyncSync(descriptor);
    } catch {
      // Full is full.
    }
  } finally {
    closeSync(descriptor);
  }
}

const free = (directory: string): void => rmSync(join(directory, 'filler'));

/** Sizes of the log's files, which no refused start may change. */
function logFiles(root: string): string[] {
  const log = join(root, 'commitlog');
  return readdirSync(log)
    .filter((name) => /^\d{20}$/.test(name))
    .map((name) => `${name} ${statSync(join(log, name)).size}`);
}

function onSmallDisk(
  t: TestContext,
  engine: EngineName,
  store: Record<string, unknown>,
): { scene: Scene; disk: PowerCutDisk } {
  assert.equal(missing, undefined, 'CI must be able to run this test');
  const disk = new PowerCutDisk({ sizeMiB: 96 });
  const scene = new Scene(t, {
    engine,
    storeDir: join(disk.mountPoint, 'store'),
    store: { putMessageTimeout: 1_000, ...store },
  });
  scene.atEnd(() => disk.destroy());
  return { scene, disk };
}

const cases: [EngineName, string, Record<string, unknown>][] = [
  ['channel, pool lane', 'with the floor of free space', {}],
  ['channel, pool lane', 'to the last block', { diskFreeBytesMin: 0, diskMaxUsedSpaceRatio: 99 }],
  ['channel, worker lane', 'to the last block', { diskFreeBytesMin: 0 }],
  ['mmap', 'to the last block', { diskFreeBytesMin: 0 }],
  ['transient pool', 'to the last block', { diskFreeBytesMin: 0 }],
];

for (const [engine, how, store] of cases) {
  test(
    `disk full ${how}, ${engine}: while appending, then while recovering; with room again nothing is missing`,
    options,
    async (t) => {
      const { scene, disk } = onSmallDisk(t, engine, store);
      const root = scene.store.storePathRootDir;
      const broker = await scene.broker();
      const load = await scene.load(broker);
      fill(disk.mountPoint);
      await load.until('a refusal', () => load.refused > 20);
      assert.ok(!broker.hasEnded, broker.output);
      // Consumers get what was acknowledged.
      const acknowledged = load.acknowledged;
      await load.until('what was acknowledged is pulled', () => load.pulled >= acknowledged);
      t.diagnostic(`${load.acknowledged} acknowledged, then ${load.lastRefusal}`);
      await broker.kill();
      load.stop();
      scene.crashed();

      // Two starts on the full disk: either it serves or it says why not, and leaves the log's files as they are.
      const files = logFiles(root);
      for (let start = 0; start < 2; start++) {
        try {
          const tried = await scene.broker();
          t.diagnostic('it starts on the full disk');
          // 1: something could not be saved, and was said.
          const code = await tried.stop(10_000);
          assert.ok(code === 0 || code === 1, `${code}: ${tried.output}`);
        } catch (error) {
          if (!(error instanceof NotStarted)) throw error;
          assert.match(
            error.output,
            /\[?(STORE_DISK_FULL|STORE_ALLOCATE_FAILED|STORE_RECOVERY_FAILED|STORE_DIRECTORY_UNUSABLE|STORE_WRITE_FAILED)/,
          );
          assert.ok(error.code === 1 || error.code === 2, `exit code ${error.code}`);
          t.diagnostic(`a start on the full disk: ${error.code} ${error.output.trim().split('\n').at(-1)}`);
        }
        const now = logFiles(root);
        assert.ok(
          files.every((file) => now.includes(file)),
          `${files.join()} became ${now.join()}`,
        );
      }
      free(disk.mountPoint);
      await scene.startsAgain();
    },
  );
}

test(
  'disk full when a topic is made: not confirmed, the file stays whole; with room again it is made',
  options,
  async (t) => {
    const { scene, disk } = onSmallDisk(t, 'channel, pool lane', { diskFreeBytesMin: 0 });
    const topics = join(scene.store.storePathRootDir, 'config', 'topics.json');
    const broker = await scene.broker();
    // Large enough that the next version of the file needs a block of its own.
    for (let number = 0; number < 30; number++)
      assert.equal((await askForTopic(broker, `made-before-${number}`)).code, 0);
    const before = readFileSync(topics, 'utf8');
    fill(disk.mountPoint);
    const answer = await askForTopic(broker, 'made-on-the-full-disk');
    assert.notEqual(answer.code, 0, 'a topic was confirmed that is not on disk');
    t.diagnostic(`${answer.code} ${answer.remark}`);
    assert.equal(readFileSync(topics, 'utf8'), before);
    assert.ok(!broker.hasEnded, broker.output);
    free(disk.mountPoint);
    assert.equal((await askForTopic(broker, 'made-afterwards')).code, 0);
    await broker.kill();
    const text = readFileSync(topics, 'utf8');
    assert.ok(text.includes('made-before-29') && text.includes('made-afterwards'));
    await scene.startsAgain();
  },
);

test(
  'disk full before the first start: refused with a code, nothing of a wrong size is left; with room it starts',
  options,
  async (t) => {
    const { scene, disk } = onSmallDisk(t, 'channel, pool lane', { diskFreeBytesMin: 0 });
    fill(disk.mountPoint);
    await assert.rejects(scene.broker(), (error) => {
      assert.ok(error instanceof NotStarted, String(error));
      assert.equal(error.code, 2, error.output);
      return true;
    });
    free(disk.mountPoint);
    await scene.startsAgain();
  },
);
