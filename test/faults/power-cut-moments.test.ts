/**
 * Power cuts at chosen moments, and on other file systems than ext4. The moments: right after the log rolled into a new
 * file, whose name, length and first records are what a cut would take; and while the store recovers from the cut before,
 * again and again. test/crash/power-cut.test.ts cuts at any moment.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { crashSeed, type EngineName, smallStore } from '../crash/support/engines.ts';
import { Expectations } from '../crash/support/expectations.ts';
import { type RunShape, randomFrom } from '../crash/support/messages.ts';
import { type DiskFormat, diskFormatMissing, diskMiBOf, PowerCutDisk } from '../crash/support/power-cut-disk.ts';
import { WriterProcess } from '../crash/support/writer-process.ts';
import { needs } from './support/scene.ts';

const SEQUENCES_A_ROUND = 10_000_000;
type Moment = 'after a roll' | 'while recovering' | 'any';

const plans: { format: DiskFormat; engine: EngineName; moments: Moment[] }[] = [
  {
    format: 'ext4',
    engine: 'channel, pool lane',
    moments: ['after a roll', 'while recovering', 'after a roll', 'while recovering', 'while recovering'],
  },
  { format: 'ext4', engine: 'mmap', moments: ['after a roll', 'while recovering', 'after a roll'] },
  { format: 'xfs', engine: 'channel, pool lane', moments: ['any', 'after a roll', 'while recovering', 'any'] },
  { format: 'xfs', engine: 'mmap', moments: ['any', 'after a roll', 'while recovering'] },
  { format: 'btrfs', engine: 'channel, pool lane', moments: ['any', 'after a roll', 'while recovering', 'any'] },
  { format: 'btrfs', engine: 'mmap', moments: ['any', 'after a roll', 'while recovering'] },
];

for (const { format, engine, moments } of plans) {
  const missing = diskFormatMissing(format);
  test(`power cuts on ${format}, ${engine}: ${moments.join(', ')}`, {
    ...needs(missing),
    timeout: 180_000,
  }, async (t) => {
    assert.equal(missing, undefined, 'CI must be able to run this test');
    await cut(t, format, engine, moments);
  });
}

async function cut(t: TestContext, format: DiskFormat, engine: EngineName, moments: Moment[]): Promise<void> {
  const seed = crashSeed();
  const random = randomFrom(seed);
  const home = mkdtempSync(join(tmpdir(), 'vernier-cut-moments-'));
  let disk: PowerCutDisk | undefined;
  let writer: WriterProcess | undefined;
  try {
    disk = new PowerCutDisk({ sizeMiB: diskMiBOf[format], format });
    const shape: RunShape = { seed, topics: ['cut-a', 'cut-b'], queueCount: 2, bodySizeMax: 700 };
    const witnessLog = join(home, 'witness');
    const expectations = new Expectations(shape, 'power-cut', witnessLog, false);
    const store = {
      ...smallStore(engine, join(disk.mountPoint, 'store')),
      flushDiskType: 'SYNC_FLUSH' as const,
      mappedFileSizeCommitLog: 256 * 1024,
    };
    const commitLog = join(store.storePathRootDir, 'commitlog');
    const logFiles = (): number =>
      existsSync(commitLog) ? readdirSync(commitLog).filter((name) => /^\d{20}$/.test(name)).length : 0;
    for (const [index, moment] of moments.entries()) {
      writer = new WriterProcess({
        store,
        shape,
        witnessLog,
        firstSequence: index * SEQUENCES_A_ROUND,
        concurrency: 24,
      });
      if (moment === 'while recovering') {
        await writer.recovering;
        // From the first read to the last sync takes a few milliseconds here; which of its steps is hit varies.
        await new Promise((resolve) => setTimeout(resolve, random() * 25));
      } else {
        await writer.underLoad;
        if (moment === 'any') await new Promise((resolve) => setTimeout(resolve, 20 + random() * 300));
        else {
          const before = logFiles();
          // There is no event for another process's rename; the directory is looked at as often as it can be.
          const deadline = Date.now() + 20_000;
          while (logFiles() === before) {
            assert.ok(Date.now() < deadline, 'the log did not roll');
            await new Promise((resolve) => setImmediate(resolve));
          }
        }
      }
      await writer.stop();
      disk.copyNow();
      await writer.kill();
      disk.powerOn();
      const { acked, seen, faults } = expectations.crashed();
      assert.deepEqual(faults, [], `seed ${seed}`);
      let line = `seed ${seed} cut ${index} ${moment}: ${acked} acknowledged, ${seen} seen`;
      // What comes before a cut into a recovery is left to be recovered.
      if (moments[index + 1] !== 'while recovering') {
        const verification = await expectations.verify(store);
        assert.deepEqual(verification.faults, [], `seed ${seed}, cut ${index}`);
        line += `, then ${verification.found} found, ${verification.checked} promises checked`;
      }
      t.diagnostic(line);
    }
  } finally {
    await writer?.destroy();
    disk?.destroy();
    rmSync(home, { recursive: true, force: true });
  }
}
