import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@vernier/torture';
import { humanReadableByteCount, type RuntimeInfoParts, runtimeInfo } from '../../src/admin/runtime-info.ts';
import { tight } from '../budgets.ts';
import { MachineBroker } from '../machine-broker.ts';

async function open(more: Partial<RuntimeInfoParts> = {}) {
  const broker = await MachineBroker.start();
  const { config, stats, clock } = broker.context;
  const parts: RuntimeInfoParts = {
    ...{ config, store: broker.store, stats, clock, startedAt: clock.now() },
    ...{ heldPulls: () => 0, budgets: [], more: () => ({}) },
    ...more,
  };
  // The look at the disk is a real one, which the machine's time does not wait for.
  const info = async (): Promise<Record<string, string>> => {
    let table: Record<string, string> | undefined;
    const asked = runtimeInfo(parts).then((value) => {
      table = value;
    });
    while (table === undefined) {
      await broker.machine.advance(1);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await asked;
    return table;
  };
  return { broker, info };
}

test('byte counts: the unit changes at each power of 1,024, and no number is without one', () => {
  const cases: [number, string][] = [
    [0, '0 B'],
    [1, '1 B'],
    [1_023, '1023 B'],
    [1_024, '1.0 KiB'],
    [1_536, '1.5 KiB'],
    [1_024 ** 2 - 1, '1024.0 KiB'],
    [1_024 ** 2, '1.0 MiB'],
    [1_024 ** 3, '1.0 GiB'],
    [1_024 ** 4, '1.0 TiB'],
    [1_024 ** 5, '1.0 PiB'],
    [Number.MAX_SAFE_INTEGER, '8.0 PiB'],
  ];
  for (const [bytes, text] of cases) assert.equal(humanReadableByteCount(bytes), text, String(bytes));
});

test('runtime info: no value is undefined or NaN, with an empty log as with a message', async () => {
  const { broker, info } = await open();
  const check = (table: Record<string, string>): void => {
    for (const [key, value] of Object.entries(table)) {
      assert.equal(typeof value, 'string', key);
      assert.ok(!/NaN|undefined|null/.test(value), `${key}=${value}`);
    }
  };
  const empty = await info();
  check(empty);
  assert.equal(empty.earliestMessageTimeStamp, '-1');
  assert.equal(Number(empty.putMessageAverageSize), 0);
  await broker.send('T', 'x');
  const one = await info();
  check(one);
  assert.ok(Number(one.earliestMessageTimeStamp) > 0);
  assert.equal(one.putMessageTimesTotal, '1');
  assert.equal(Number(one.putMessageAverageSize), Number(one.putMessageSizeTotal));
  assert.ok(Number(one.commitLogMaxOffset) > Number(one.commitLogMinOffset));
  await broker.stop();
});

test('runtime info: a disk that cannot be looked at has a negative ratio and the reason', async () => {
  const { broker, info } = await open();
  const table = await info();
  assert.equal(broker.store.config.storePathRootDir, '/data/store', 'the directory is on no real disk');
  assert.deepEqual([table.commitLogDiskRatio, table.consumeQueueDiskRatio], ['-1', '-1']);
  assert.match(table.commitLogDirCapacity ?? '', /ENOENT/);
  await broker.stop();
});

test('runtime info: how long it runs, and 0 when the clock was set back before its start', async () => {
  const clock = new ManualClock();
  const { broker, info } = await open({ clock, startedAt: clock.now() });
  assert.equal((await info()).runtime, '[ 0 days, 0 hours, 0 minutes, 0 seconds ]');
  await clock.advance(((26 * 60 + 3) * 60 + 4) * 1_000 + 999);
  assert.equal((await info()).runtime, '[ 1 days, 2 hours, 3 minutes, 4 seconds ]');
  clock.stepWallClock(-48 * 3_600_000);
  assert.equal((await info()).runtime, '[ 0 days, 0 hours, 0 minutes, 0 seconds ]');
  await broker.stop();
});

test('runtime info: each budget is a metric by its name without Max; what other services say stands beside it', async () => {
  const budget = tight(100);
  budget.take(60);
  budget.take(60);
  const { broker, info } = await open({ budgets: [budget], heldPulls: () => 12, more: () => ({ aheadOfOthers: '5' }) });
  const table = await info();
  assert.deepEqual([table.testBytes, table.testBytesRefused], ['60', '1']);
  assert.equal(table.testBytesMax, undefined);
  assert.equal(table.heldPullRequests, '12');
  assert.equal(table.aheadOfOthers, '5');
  await broker.stop();
});
