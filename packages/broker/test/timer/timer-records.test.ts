// A timed message waits longer than its record is kept: it is stored anew in time, whatever the clock was and whoever was late.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MessageStore } from '@vernier/store';
import { SimulatedFileSystem } from '../../../torture/src/simulation/simulated-file-system.ts';
import { Machine } from '../../../torture/test/machine.ts';
import { property } from '../harness.ts';
import { MachineBroker } from '../machine-broker.ts';

const TIMER = 'rmq_sys_wheel_timer';
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const config = { timerMaxDelaySec: 40 * 24 * 3_600 };

const at = (time: number): string => property('TIMER_DELIVER_MS', String(time));
const inHours = (broker: MachineBroker, hours: number): number =>
  Math.ceil((broker.machine.scheduler.now() + hours * HOUR_MS) / 1_000) * 1_000;

/** A disk whose files are kept for some hours, under one machine after the other. */
class Disk {
  #now = (): number => 0;
  readonly #fileSystem = new SimulatedFileSystem({ now: () => this.#now() });

  machine(hours: number, start?: number): Machine {
    const settings = { fileReservedTime: hours, cleanResourceInterval: 1_000 };
    const machine = new Machine(settings, this.#fileSystem, start);
    this.#now = () => machine.scheduler.now();
    return machine;
  }
}

/** Half an hour passes at a time, in which files of the log fill up and go; until just before the time. */
async function passTo(broker: MachineBroker, time: number): Promise<void> {
  const { machine, store } = broker;
  for (let left = time - machine.scheduler.now(); left > 35 * MINUTE_MS; left = time - machine.scheduler.now()) {
    machine.scheduler.stepWallClock(30 * MINUTE_MS - 65_000);
    // The clock is right.
    store.deleteExpiredFiles();
    for (let i = 0; i < 5; i++) await broker.send('Fill', 'x'.repeat(3_000));
    await machine.advance(65_000);
  }
  machine.scheduler.stepWallClock(time - machine.scheduler.now() - 5_000);
  await machine.advance(4_900);
}

async function comesAt(broker: MachineBroker, body: string, time: number): Promise<void> {
  await passTo(broker, time);
  assert.deepEqual(await broker.bodies('Work'), [], 'not before its time');
  await broker.machine.advance(300);
  assert.deepEqual(await broker.bodies('Work'), [body]);
  assert.equal(broker.context.timer.waitingCount, 0);
  assert.ok(broker.store.minPhyOffset > 0, 'files have gone meanwhile');
  await broker.stop();
}

test('40 days are longer than records are kept: the message comes', async () => {
  const broker = await MachineBroker.start({ machine: new Disk().machine(3), config });
  const time = inHours(broker, 20);
  await broker.send('Work', 'far', at(time));
  const refused = await broker.send('Work', 'beyond', at(inHours(broker, 40 * 24 + 1)));
  assert.ok('code' in (refused as object), 'more is refused and not lost');
  await comesAt(broker, 'far', time);
});

test('the clock was ahead when it was taken up: it is put back when the clock is right, and not before its time', async () => {
  const broker = await MachineBroker.start({ machine: new Disk().machine(3), config });
  const { machine } = broker;
  const time = inHours(broker, 20);
  machine.scheduler.stepWallClock(12 * HOUR_MS);
  await broker.send('Work', 'far', at(time));
  await machine.advance(1_000);
  machine.scheduler.stepWallClock(-12 * HOUR_MS);
  await machine.advance(50_000);
  assert.equal((await broker.read(TIMER)).length, 1);
  await machine.advance(12_000);
  assert.equal((await broker.read(TIMER)).length, 2);
  await comesAt(broker, 'far', time);
});

test('the clock was ahead when it was taken up, and a start has it right', async () => {
  const disk = new Disk();
  const before = await MachineBroker.start({ machine: disk.machine(3), config });
  const time = inHours(before, 20);
  before.machine.scheduler.stepWallClock(12 * HOUR_MS);
  await before.send('Work', 'far', at(time));
  await before.machine.advance(3_000);
  await before.stop();
  const machine = disk.machine(3, before.machine.scheduler.now() - 12 * HOUR_MS);
  await comesAt(await MachineBroker.start({ machine, config }), 'far', time);
});

test('a clock that is behind for less than a minute: nothing is stored anew for it', async () => {
  const broker = await MachineBroker.start({ machine: new Disk().machine(3), config });
  const { machine } = broker;
  const time = inHours(broker, 0.1);
  await broker.send('Work', 'soon', at(time));
  await machine.advance(1_000);
  for (let i = 0; i < 3; i++) {
    machine.scheduler.stepWallClock(-1_000 * HOUR_MS);
    await machine.advance(50_000);
    machine.scheduler.stepWallClock(1_000 * HOUR_MS);
    await machine.advance(5_000);
  }
  assert.equal((await broker.read(TIMER)).length, 1);
  assert.deepEqual(await broker.bodies('Work'), []);
  await machine.advance(time - machine.scheduler.now() + 300);
  assert.deepEqual(await broker.bodies('Work'), ['soon']);
  await broker.stop();
});

test('records are kept for less long than when it was taken up: it is put back in time', async () => {
  const wide = { config, timerSlots: 64_000 };
  const disk = new Disk();
  const before = await MachineBroker.start({ machine: disk.machine(72), ...wide });
  const time = inHours(before, 20);
  await before.send('Work', 'far', at(time));
  await before.machine.advance(3_000);
  await before.stop();
  const machine = disk.machine(3, before.machine.scheduler.now());
  await comesAt(await MachineBroker.start({ machine, ...wide }), 'far', time);
});

test('it is taken up when its record is old already: it waits no longer than that is kept', async () => {
  const wide = { config, timerSlots: 12_800 };
  const disk = new Disk();
  const before = await MachineBroker.start({ machine: disk.machine(3), ...wide });
  const time = inHours(before, 20);
  await before.machine.advance(2_000);
  await before.send('Work', 'far', at(time));
  const fill = Array.from({ length: 6 }, () => before.begin('Fill', 'x'.repeat(3_000)));
  await before.machine.until(Promise.all(fill), 'fill');
  await before.machine.advance(2_000);
  await before.stop();
  const { scheduler, fileSystem } = before.kill();
  // Taken up by the next process, from the queue.
  await fileSystem.remove('/data/store/timerwheel');
  const machine = disk.machine(3, scheduler.now() + 115 * MINUTE_MS);
  await comesAt(await MachineBroker.start({ machine, ...wide }), 'far', time);
});

test('one that waits too far ahead cannot be read: what is due comes in time, the others are put back, and it is later', async () => {
  let lost = -1;
  let failures = 0;
  const prepare = (store: MessageStore): void => {
    const read = store.selectOneMessageByOffset.bind(store);
    store.selectOneMessageByOffset = (offset, ...more) => {
      if (offset !== lost) return read(offset, ...more);
      failures++;
      return Promise.reject(new Error('the disk does not read'));
    };
  };
  const wide = { timerSlots: 64_000 };
  const broker = await MachineBroker.start({ machine: new Disk().machine(3), config, prepare, ...wide });
  const { machine } = broker;
  machine.scheduler.stepWallClock(12 * HOUR_MS);
  for (let i = 0; i < 6; i++) await broker.send('Work', `far ${i}`, at(inHours(broker, 0.2) + i * MINUTE_MS));
  await machine.advance(1_000);
  lost = (await broker.read(TIMER))[0]!.commitLogOffset;
  machine.scheduler.stepWallClock(-12 * HOUR_MS);
  const soon = Math.ceil((machine.scheduler.now() + 75_000) / 1_000) * 1_000;
  await broker.send('Work', 'soon', at(soon));
  await machine.advance(soon - machine.scheduler.now() + 300);
  assert.ok(failures > 0, 'it was tried');
  assert.deepEqual(await broker.bodies('Work'), ['soon']);
  assert.equal((await broker.read(TIMER)).length, 7 + 5);
  await machine.advance(MINUTE_MS);
  assert.ok(failures < 20, `${failures} attempts: the pause between two of them grows`);
  lost = -1;
  await machine.advance(15_000);
  assert.equal((await broker.read(TIMER)).length, 7 + 6, 'each was put back once');
  assert.equal(broker.context.timer.waitingCount, 6);
  assert.deepEqual(await broker.bodies('Work'), ['soon']);
  await broker.stop();
});
