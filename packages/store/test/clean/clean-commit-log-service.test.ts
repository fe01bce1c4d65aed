import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { MessageStoreConfig } from '../../src/base/config.ts';
import { CleanCommitLogService, isTimeToDelete } from '../../src/clean/clean-commit-log-service.ts';
import { DiskSpaceWatch } from '../../src/clean/disk-space-watch.ts';
import { HOUR, makeLog, TEN } from './clean-fixture.ts';

const FOUR = new Date(2026, 5, 15, 4, 59, 59).getTime();

async function make(t: TestContext, options: Parameters<typeof makeLog>[1] = {}) {
  const made = await makeLog(t, options);
  const disks = new DiskSpaceWatch(made.context, [made.config.storePathCommitLog, made.config.storePathRootDir]);
  let completeWhere = Number.POSITIVE_INFINITY;
  const service = new CleanCommitLogService({
    context: made.context,
    mappedFileQueue: made.queue,
    disks,
    queuesCompleteWhere: () => completeWhere,
  });
  const setCompleteWhere = (offset: number): void => {
    completeWhere = offset;
  };
  /** A round; its pauses between two files pass on the manual clock. */
  const run = async (): Promise<number> => {
    const round = service.run();
    let done = false;
    const settled = round.finally(() => {
      done = true;
    });
    settled.catch(() => {});
    while (!done) await made.clock.advance(100);
    return await round;
  };
  return { ...made, service, run, setCompleteWhere };
}

const hours = (config: Partial<MessageStoreConfig>) => config;

test('deleteWhen: the hours of local time, several separated by semicolons', () => {
  assert.equal(isTimeToDelete('04', FOUR), true);
  assert.equal(isTimeToDelete('04', FOUR + 1_000), false);
  assert.equal(isTimeToDelete('10;04', TEN), true);
  assert.equal(isTimeToDelete('10;04', TEN + HOUR), false);
  assert.equal(isTimeToDelete('', new Date(2026, 5, 15, 0).getTime()), false);
});

test('outside deleteWhen with room on the disk nothing is removed, however old', async (t) => {
  const { run, names } = await make(t, { newestAgeHours: 1_000 });
  assert.equal(await run(), 0);
  assert.deepEqual(await names(), [0, 1, 2, 3, 4]);
});

test('in an hour of deleteWhen files go that are fileReservedTime old, oldest first, up to the first younger one', async (t) => {
  const { run, names, queue } = await make(t, { now: FOUR, newestAgeHours: 70 });
  // Ages 74, 73, 72, 71, 70 hours; fileReservedTime is 72.
  assert.equal(await run(), 3);
  assert.deepEqual(await names(), [3, 4]);
  assert.equal(queue.minOffset, 3 * 4096);
});

test('the last file is never removed', async (t) => {
  const { run, names } = await make(t, { now: FOUR, newestAgeHours: 1_000 });
  await run();
  assert.deepEqual(await names(), [4]);
  await run();
  assert.deepEqual(await names(), [4]);
});

test('a file with records whose queue entries are in memory alone stays, however old and short of space', async (t) => {
  const { run, names, setCompleteWhere } = await make(t, { now: FOUR, newestAgeHours: 1_000 });
  setCompleteWhere(2 * 4096 + 100);
  assert.equal(await run(), 2);
  assert.deepEqual(await names(), [2, 3, 4]);
  setCompleteWhere(3 * 4096);
  assert.equal(await run(), 1);
  assert.deepEqual(await names(), [3, 4]);
});

test('a file that is not on disk yet is never removed', async (t) => {
  const { run, names, queue } = await make(t, { now: FOUR, newestAgeHours: 1_000 });
  queue.setFlushedWhere(2 * 4096);
  assert.equal(await run(), 2);
  assert.deepEqual(await names(), [2, 3, 4]);
});

test('a power cut between two removals leaves no gap in the log', async (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const { run, fileSystem, context } = await make(t, { now: FOUR - HOUR / 2, newestAgeHours: 1_000 });
    let removals = 0;
    fileSystem.intercept = (operation) => {
      if (operation === 'remove' && ++removals === 1 + (seed % 4)) throw new Error('power');
    };
    await run().catch(() => {});
    const files = (await fileSystem.crash(seed).list(context.config.storePathCommitLog)).map(
      (name) => Number(name) / 4096,
    );
    const first = files[0]!;
    assert.deepEqual(files, [0, 1, 2, 3, 4].slice(first), `seed ${seed}`);
  }
});

test('at most deleteFileBatchMax files a round, 100 ms apart', async (t) => {
  const { run, names, clock } = await make(t, {
    now: FOUR - HOUR / 2,
    files: 8,
    newestAgeHours: 1_000,
    config: hours({ deleteFileBatchMax: 3 }),
  });
  const before = clock.monotonic();
  assert.equal(await run(), 3);
  assert.ok(clock.monotonic() - before >= 200);
  assert.equal((await names()).length, 5);
});

test('a disk fuller than diskMaxUsedSpaceRatio: expired files go at any hour, younger ones stay', async (t) => {
  const { run, names, fileSystem } = await make(t, { newestAgeHours: 70 });
  fileSystem.usedPercent.set('/store', 75);
  assert.equal(await run(), 0);
  fileSystem.usedPercent.set('/store', 76);
  assert.equal(await run(), 3);
  assert.deepEqual(await names(), [3, 4]);
});

test('a full disk removes nothing before its time unless cleanFileForciblyEnable', async (t) => {
  const { run, names, fileSystem } = await make(t, { newestAgeHours: 1 });
  fileSystem.usedPercent.set('/store', 99);
  assert.equal(await run(), 0);
  assert.deepEqual(await names(), [0, 1, 2, 3, 4]);
});

test('with cleanFileForciblyEnable files go before their time above diskSpaceCleanForciblyRatio', async (t) => {
  const { run, names, fileSystem } = await make(t, {
    newestAgeHours: 1,
    config: hours({ cleanFileForciblyEnable: true, deleteFileBatchMax: 2 }),
  });
  fileSystem.usedPercent.set('/store', 85);
  assert.equal(await run(), 0);
  fileSystem.usedPercent.set('/store', 86);
  assert.equal(await run(), 2);
  assert.deepEqual(await names(), [2, 3, 4]);
});

test('removing by hand: the next 20 rounds remove expired files whatever the hour', async (t) => {
  const { service, run, names } = await make(t, {
    newestAgeHours: 100,
    files: 23,
    config: hours({ deleteFileBatchMax: 1 }),
  });
  service.executeDeleteFilesManually();
  for (let round = 0; round < 20; round++) assert.equal(await run(), 1, `round ${round}`);
  assert.equal(await run(), 0);
  assert.deepEqual(await names(), [20, 21, 22]);
});

test('a first file whose removal failed is removed after redeleteHangedFileInterval', async (t) => {
  const { run, names, fileSystem, clock, queue } = await make(t, { now: FOUR - HOUR / 2, newestAgeHours: 1_000 });
  fileSystem.intercept = (operation) => {
    if (operation === 'remove') throw Object.assign(new Error('EBUSY'), { code: 'EBUSY' });
  };
  await assert.rejects(run(), /EBUSY/);
  fileSystem.intercept = undefined;
  await clock.advance(120_000);
  await run();
  assert.ok(!(await names()).includes(0));
  assert.ok(queue.minOffset > 0);
});

test('diskFull: set above diskSpaceWarningLevelRatio with its numbers, kept down to diskSpaceCleanForciblyRatio', async (t) => {
  const { service, run, fileSystem, logged } = await make(t, { newestAgeHours: 1 });
  const steps: [number, boolean][] = [
    [90, false],
    [91, true],
    [88, true],
    [86, true],
    [85, false],
    [88, false],
  ];
  for (const [percent, full] of steps) {
    fileSystem.usedPercent.set('/store', percent);
    await run();
    assert.equal(service.diskFull !== undefined, full, `${percent} %`);
  }
  fileSystem.usedPercent.set('/store', 95);
  await run();
  const { path, usedRatio, limitRatio, freeBytes, totalBytes } = service.diskFull!;
  assert.deepEqual([path, usedRatio, limitRatio, freeBytes, totalBytes], ['/store/commitlog', 0.95, 0.9, 50, 1_000]);
  // One line when it begins, not one a round; each of the two paths has its own.
  await run();
  assert.equal(logged.filter((line) => line.level === 'error').length, 4);
  assert.match(
    logged.find((line) => line.level === 'error')!.message,
    /91\.0 % of the disk of \/store\/commitlog is used, more than 90\.0 %/,
  );
});

test('diskFull: the disk of the queues counts as well as that of the log', async (t) => {
  const { service, run, fileSystem } = await make(t, { config: { storePathCommitLog: '/log/commitlog' } });
  fileSystem.usedPercent.set('/store', 95);
  await run();
  assert.equal(service.diskFull!.path, '/store');
});

test('a disk that does not say how full it is counts as short of space and not as full', async (t) => {
  const { service, run, fileSystem, logged } = await make(t, { newestAgeHours: 100, files: 2 });
  fileSystem.space = () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }));
  assert.equal(await run(), 1);
  assert.equal(service.diskFull, undefined);
  assert.ok(logged.some((line) => line.level === 'warn'));
});

test('a clock that jumps ahead removes nothing within a day, one that is right again nothing at all', async (t) => {
  const { run, names, clock, fileSystem, logged } = await make(t, { newestAgeHours: 1 });
  fileSystem.usedPercent.set('/store', 80);
  assert.equal(await run(), 0);
  clock.stepWallClock(100 * HOUR);
  for (let round = 0; round < 100; round++) {
    assert.equal(await run(), 0, `round ${round}`);
    await clock.advance(10_000);
  }
  const warned = logged.filter(({ level }) => level === 'warn');
  assert.equal(warned.length, 1, 'said once, not each round');
  assert.deepEqual([warned[0]?.fields.aheadMs, warned[0]?.fields.waitMs], [100 * HOUR, 24 * HOUR]);
  clock.stepWallClock(-100 * HOUR);
  assert.equal(await run(), 0);
  assert.equal((await names()).length, 5);
});

test('after a day the clock is believed', async (t) => {
  const { run, names, clock, fileSystem } = await make(t, { newestAgeHours: 1 });
  fileSystem.usedPercent.set('/store', 80);
  await run();
  clock.stepWallClock(100 * HOUR);
  await run();
  await clock.advance(24 * HOUR);
  assert.equal(await run(), 4);
  assert.deepEqual(await names(), [4]);
});

test('a machine that begins with a wrong clock removes nothing for an hour, unless an operator asks for it', async (t) => {
  const { run, service, clock, fileSystem } = await make(t, { newestAgeHours: 100 });
  fileSystem.usedPercent.set('/store', 80);
  service.opened(clock.now() - 100 * HOUR);
  assert.equal(await run(), 0);
  await clock.advance(HOUR - 10_000);
  assert.equal(await run(), 0);
  service.executeDeleteFilesManually();
  assert.equal(await run(), 4);
});

test('a file that was written while the clock stood in the future goes when the one after it is old enough', async (t) => {
  const { run, names, clock, fileSystem, context } = await make(t, { newestAgeHours: 0 });
  fileSystem.usedPercent.set('/store', 80);
  // Five files of 4, 3, 2, 1 and 0 hours; the first two are of a year that has not come.
  const stat = fileSystem.stat.bind(fileSystem);
  fileSystem.stat = async (path) => {
    const found = await stat(path);
    const index = Number(path.slice(-20)) / 4096;
    return found && index < 2 ? { ...found, mtimeMs: found.mtimeMs + 24 * 365 * 24 * HOUR } : found;
  };
  assert.equal(context.config.fileReservedTime, 72);
  await clock.advance(69 * HOUR);
  assert.equal(await run(), 0);
  await clock.advance(HOUR);
  assert.equal(await run(), 3, 'the third is 72 hours old, and so are those before it at least');
  assert.deepEqual(await names(), [3, 4]);
});
