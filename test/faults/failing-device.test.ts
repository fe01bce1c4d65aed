/**
 * A device that fails a write-back and then works again, under the broker itself: ext4 on a loop device whose backing
 * memory runs full and gets room again. After the failure the page cache holds what the device does not, the kernel calls
 * those pages clean, and the next flush succeeds. Nothing is acknowledged from the failure on, and what a restarted
 * broker serves is on the device: the device as it is, read without that page cache, still has all of it.
 * test/crash/real-failing-disk.test.ts does the same with the store alone, and shows that this way of looking finds a
 * recovery that believes the page cache.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { type EngineName, engineNames } from '../crash/support/engines.ts';
import { PowerCutDisk, powerCutDiskMissing } from '../crash/support/power-cut-disk.ts';
import { NotStarted } from './support/broker.ts';
import { needs, Scene } from './support/scene.ts';

const missing = powerCutDiskMissing();
const ROOM = 700 * 1024;
const MiB = 1024 * 1024;

for (const engine of engineNames satisfies EngineName[]) {
  test(`a device that fails a write-back and then heals, ${engine}: nothing is promised or served that is not on it`, {
    ...needs(missing),
    timeout: 120_000,
  }, async (t) => {
    assert.equal(missing, undefined, 'CI must be able to run this test');
    const disk = new PowerCutDisk({ sizeMiB: 128, ownBacking: true });
    const scene = new Scene(t, {
      ...{ engine, crash: 'power-cut', storeDir: join(disk.mountPoint, 'store') },
      store: { putMessageTimeout: 1_000 },
    });
    scene.atEnd(() => disk.destroy());
    const broker = await scene.broker();
    const load = await scene.load(broker);
    disk.limitBacking(ROOM);
    await load.until('a refusal', () => load.refused > 0);
    // Well again; a flush would succeed now.
    disk.limitBacking(200 * MiB);
    const acknowledged = load.acknowledgedAfterRefusal;
    await load.until('more refusals', () => load.refused > 60);
    assert.equal(load.acknowledgedAfterRefusal, acknowledged);
    assert.ok(!broker.hasEnded, broker.output);
    t.diagnostic(`${load.acknowledged} acknowledged, ${load.pulled} pulled, then ${load.lastRefusal}`);
    await broker.kill();
    load.stop();
    scene.crashed();

    // A restart beside the page cache that lies. What its consumers see is a promise from here on.
    try {
      const again = await scene.broker();
      const more = await scene.load(again);
      await more.until('messages pulled', () => more.pulled > 100);
      t.diagnostic(`restarted: ${more.acknowledged} acknowledged, ${more.pulled} pulled`);
      await again.kill();
      more.stop();
      scene.crashed();
    } catch (error) {
      if (!(error instanceof NotStarted)) throw error;
      t.diagnostic(`restarted: ${error.output.trim().split('\n').at(-1)}`);
    }
    disk.copyNow();
    disk.powerOn();
    await scene.startsAgain();
  });
}
