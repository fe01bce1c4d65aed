import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { checkMessageAndReturnSize } from '@vernier/store/internal';
import { type FrontOfHistory, storeAlone } from '../src/front.ts';
import { Scheduler } from '../src/scheduler.ts';
import { crashAt } from '../src/simulation/failpoints.ts';
import { SimulatedFileSystem } from '../src/simulation/simulated-file-system.ts';
import { CRASHES_PER_SEED, torture } from '../src/torture.ts';
import { Machine } from './machine.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Crashes of the short run; `npm run torture` makes the long ones. */
const ROUNDS = Number(process.env.ROUNDS ?? 40);

test(`torture: ${ROUNDS} crashes by seed, no promise broken`, async () => {
  const { failure, counters } = await torture({ seed: 1, rounds: ROUNDS });
  assert.equal(failure, undefined, failure && [failure.message, ...failure.steps].join('\n'));
  assert.equal(counters.crashes, ROUNDS);
  // It did what it is for.
  for (const name of ['powerCuts', 'kills', 'cutsInRecovery', 'faults', 'acknowledged', 'read'] as const) {
    assert.ok(counters[name] > 0, name);
  }
});

for (const engine of ['channel', 'transient-pool'] as const) {
  test(`torture: the same seed is the same history (${engine})`, async () => {
    const first = await torture({ seed: 12_345, rounds: 5, engine });
    const second = await torture({ seed: 12_345, rounds: 5, engine });
    assert.equal(first.failure, undefined, first.failure?.message);
    assert.deepEqual(second.counters, first.counters);
    const other = await torture({ seed: 12_346, rounds: 5, engine });
    assert.notDeepEqual(other.counters, first.counters);
  });
}

test('torture: a store that breaks a promise is caught, with its history; the next run is not disturbed', async () => {
  const { prototype } = SimulatedFileSystem;
  const { syncDirectory } = prototype;
  // A disk that says it had made the names durable.
  prototype.syncDirectory = async () => {};
  const broken = await torture({ seed: 1, rounds: 100 }).finally(() => {
    prototype.syncDirectory = syncDirectory;
  });
  assert.ok(broken.failure, 'caught');
  assert.match(broken.failure.steps[0]!, new RegExp(`^seed ${broken.failure.seed}: `));
  assert.ok(broken.failure.steps.some((step) => step.startsWith('power cut')));
  assert.ok(broken.failure.operations.length > 0);
  const sound = await torture({ seed: broken.failure.seed, rounds: CRASHES_PER_SEED });
  assert.equal(sound.failure, undefined, sound.failure?.message);
});

test('torture: a history leaves nothing in memory; long runs would slow down, and hold gigabytes', async () => {
  const disks: WeakRef<object>[] = [];
  const front: FrontOfHistory = {
    ...storeAlone,
    open: (store, machine) => {
      disks.push(new WeakRef(machine.fileSystem));
      return storeAlone.open(store, machine);
    },
  };
  const { failure } = await torture({ seed: 50_000, rounds: 4 * CRASHES_PER_SEED, front: () => front });
  assert.equal(failure, undefined, failure?.message);
  collectGarbage();
  // A WeakRef keeps what it leads to until its turn is over.
  await new Promise((resolve) => setImmediate(resolve));
  collectGarbage();
  const held = disks.filter((disk) => disk.deref() !== undefined).length;
  assert.ok(disks.length > 20 && held <= 3, `${held} of ${disks.length} disks are held`);
});

test('scheduler: a loop that no time ends, and a promise that nothing settles, are violations', async () => {
  const busy = new Scheduler(0);
  const loop = async (): Promise<void> => {
    while (true) {
      busy.monotonic();
      await null;
    }
  };
  await assert.rejects(busy.complete(loop(), 'the loop', 10), { name: 'Violation', message: /loop without end/ });
  const idle = new Scheduler(0);
  await assert.rejects(idle.complete(new Promise(() => {}), 'the answer', 10), {
    name: 'Violation',
    message: 'the answer does not end',
  });
});

test('scheduler: a day of a store passes in seconds, and a power cut at its end takes nothing of it', async (t) => {
  const machine = new Machine({ flushIntervalConsumeQueue: 1_000, flushConsumeQueueThoroughInterval: 60_000 });
  const store = await machine.open();
  const startedAt = performance.now();
  const bodies: string[] = [];
  for (let minute = 0; minute < 24 * 60; minute++) {
    const text = `minute ${minute}`;
    assert.equal((await machine.put(store, text)).status, 'PUT_OK');
    bodies.push(text);
    await machine.advance(60_000);
  }
  assert.ok(machine.scheduler.monotonic() >= 86_400_000);
  t.diagnostic(`${Math.round(performance.now() - startedAt)} ms`);
  const left = machine.powerCut(1, 0);
  assert.deepEqual(await left.bodies(await left.open()), bodies);
});

// What the torture run has found, each as small as it gets.

test('found: the first start stopped before the names above the store were durable, the second one makes them so', async () => {
  const machine = new Machine();
  const crash = crashAt(machine.fileSystem, 'root:before-directory-sync');
  await assert.rejects(machine.open(), { name: 'Violation' });
  assert.ok(crash.isReached, 'stopped');
  const second = machine.kill();
  const store = await second.open();
  const bodies = await second.fill(store, 3);
  for (let seed = 1; seed <= 20; seed++) {
    const left = second.powerCut(seed);
    assert.deepEqual(await left.bodies(await left.open()), bodies, `seed ${seed}`);
  }
});

test('found: a queue file that a killed process made is lost in a power cut after the queues were said to be complete', async () => {
  const machine = new Machine();
  const store = await machine.open();
  const bodies = await machine.fill(store, 3);
  const crash = crashAt(machine.fileSystem, 'queue:before-write');
  await machine.advance(5_000);
  assert.ok(crash.isReached, 'stopped');
  const second = machine.kill();
  await second.open();
  await second.advance(5_000);
  for (let seed = 1; seed <= 20; seed++) {
    const left = second.powerCut(seed);
    assert.deepEqual(await left.bodies(await left.open()), bodies, `seed ${seed}`);
  }
});

test('found: a queue file that a killed process made is not lost in a power cut when another queue has newer messages', async () => {
  const machine = new Machine();
  const store = await machine.open();
  const bodies = await machine.fill(store, 3);
  const crash = crashAt(machine.fileSystem, 'queue:before-write');
  await machine.advance(5_000);
  assert.ok(crash.isReached, 'stopped');
  const second = machine.kill();
  // The newest entry is there after the cut, so nothing tells that others are not.
  const newer = await second.fill(await second.open(), 2, 1);
  await second.advance(5_000);
  for (let seed = 1; seed <= 20; seed++) {
    const left = second.powerCut(seed);
    const opened = await left.open();
    assert.deepEqual(await left.bodies(opened, 0), bodies, `seed ${seed}`);
    assert.deepEqual(await left.bodies(opened, 1), newer, `seed ${seed}`);
  }
});

test('found: a checkpoint that a killed process left in the page cache is made durable before the next one is written', async () => {
  const machine = new Machine();
  const store = await machine.open();
  await machine.fill(store, 3);
  await machine.advance(5_000);
  await machine.fill(store, 3, 1);
  const crash = crashAt(machine.fileSystem, 'checkpoint:before-sync');
  await machine.advance(5_000);
  assert.ok(crash.isReached, 'stopped');
  const second = machine.kill();
  const opened = await second.open();
  const point = opened.flushedWhere;
  await second.fill(opened, 1);
  const stopped = crashAt(second.fileSystem, 'checkpoint:after-copy');
  await second.advance(5_000);
  assert.ok(stopped.isReached, 'stopped again');
  for (let seed = 1; seed <= 20; seed++) {
    const rules: string[] = [];
    const left = second.powerCut(seed);
    await left.open({
      info: (fields, message) => {
        if (message === 'recovery: reading the log') rules.push(`${(fields as { rule: string }).rule}`);
        const { durablePoint } = fields as { durablePoint?: number };
        if (durablePoint !== undefined) assert.ok(durablePoint >= point, `seed ${seed}: ${durablePoint} of ${point}`);
      },
    });
    assert.deepEqual(rules, ['durable-point'], `seed ${seed}`);
  }
});

test('found: a damaged store gives the messages in front of the damage, whatever the crash left of their queues', async () => {
  const machine = new Machine({ flushConsumeQueueThoroughInterval: 2_000 });
  const store = await machine.open();
  const bodies = await machine.fill(store, 25);
  const offset = store.maxPhyOffset - 300;
  // The checkpoint knows the durable point; the queues are written, the checkpoint that says so is not.
  const crash = crashAt(machine.fileSystem, 'checkpoint:before-copy', 2);
  await machine.advance(5_000);
  assert.ok(crash.isReached, 'stopped');
  const left = machine.kill();
  // The first of the queue's files is gone, the others are there.
  const paths = machine.fileSystem.paths().filter((path) => path.includes('/consumequeue/'));
  assert.ok(paths.length > 1, `${paths}`);
  await left.until(left.fileSystem.remove(paths[0]!), 'remove');
  const { mappedFileSizeCommitLog: size } = store.config;
  const path = `${store.config.storePathCommitLog}/${String(offset - (offset % size)).padStart(20, '0')}`;
  left.fileSystem.flipOnRead(path, offset % size);
  const damaged = await left.open();
  assert.equal(damaged.failure?.code, 'STORE_DAMAGED');
  assert.deepEqual(await left.bodies(damaged), bodies.slice(0, -1));
});

test('found: queue files that recovery removed are durably gone before one is made anew, and so cannot come back behind it', async () => {
  const machine = new Machine({ flushConsumeQueueThoroughInterval: 2_000 });
  const store = await machine.open();
  const bodies = await machine.fill(store, 35);
  // The files are there, the checkpoint that says so is not: recovery makes them anew.
  const crash = crashAt(machine.fileSystem, 'checkpoint:before-copy', 2);
  await machine.advance(5_000);
  assert.ok(crash.isReached, 'stopped');
  const second = machine.kill();
  const { operations } = second.fileSystem;
  const before = operations.length;
  const again = await second.open();
  await second.advance(5_000);
  const inQueue = operations.slice(before).filter(({ path }) => path.includes('/consumequeue/T/0'));
  const lastRemoval = inQueue.findLastIndex(({ operation }) => operation === 'remove');
  const firstMade = inQueue.findIndex(({ operation }, i) => i > lastRemoval && operation === 'truncate');
  assert.ok(lastRemoval >= 0 && firstMade > lastRemoval, `${lastRemoval} ${firstMade}`);
  const between = inQueue.slice(lastRemoval, firstMade).map(({ operation }) => operation);
  assert.ok(between.includes('syncDirectory'), `${between}`);
  assert.deepEqual(await second.bodies(again), bodies);
});

test('found: a message whose topic comes back with another bit is left out, read from a block in memory too', async () => {
  const machine = new Machine();
  const store = await machine.open();
  const bodies = await machine.fill(store, 10);
  const recordBytes = store.maxPhyOffset / 10;
  // Only what lies in a full block is kept in memory.
  await machine.fill(store, 50, 1);
  await machine.until(store.shutdown(), 'shutdown');
  // Head, 500 bytes of body and the topic's length stand in front of it; no checksum covers it.
  const path = `${store.config.storePathCommitLog}/${'0'.repeat(20)}`;
  machine.fileSystem.flipOnRead(path, 3 * recordBytes + 88 + 500 + 1);
  const damaged = await machine.open();
  const sound = bodies.filter((_, i) => i !== 3);
  assert.deepEqual(await machine.bodies(damaged), sound);
  assert.deepEqual(await machine.bodies(damaged), sound, 'from the block in memory');
});

test('found: no bit of a record turned over gives a consumer bytes that it cannot take apart', async () => {
  const machine = new Machine();
  const store = await machine.open();
  const sound = new Set(await machine.fill(store, 4));
  const recordBytes = store.maxPhyOffset / 4;
  // Recovery looks at the newest file alone.
  await machine.fill(store, 60, 1);
  await machine.until(store.shutdown(), 'shutdown');
  const path = `${store.config.storePathCommitLog}/${'0'.repeat(20)}`;
  const bodyAt = 88;
  let leftOut = 0;
  for (let at = 0; at < recordBytes; at++) {
    // One byte stands for all of a body; the test is of what is around it.
    if (at > bodyAt && at < bodyAt + 500) continue;
    const left = machine.powerCut(1, 1);
    left.fileSystem.flipOnRead(path, 2 * recordBytes + at, 1 << (at % 8));
    const damaged = await left.open();
    const { records } = await left.until(damaged.getMessage('', 'T', 0, 0, 32), 'pull');
    for (const record of records) {
      const layout = checkMessageAndReturnSize(record, 0);
      assert.equal(layout.kind, 'record', `byte ${at}`);
      if (layout.kind !== 'record') continue;
      assert.ok(sound.has(record.toString('utf8', layout.bodyAt, layout.bodyAt + layout.bodyLength)), `byte ${at}`);
    }
    assert.ok(records.length >= 3, `byte ${at}: ${records.length} messages`);
    leftOut += 4 - records.length;
    await left.until(damaged.shutdown(), 'shutdown');
  }
  assert.ok(leftOut > 20, `${leftOut} were left out`);
});

for (const durableWrites of [true, false]) {
  const how = durableWrites ? 'O_DSYNC' : 'fdatasync';
  test(`found: a message that a start found in pages whose write-back failed is not lost in a power cut (${how})`, async () => {
    const fileSystem = new SimulatedFileSystem({ now: () => 0, durableWrites });
    const machine = new Machine({}, fileSystem);
    const store = await machine.open();
    assert.equal((await machine.put(store, 'first')).status, 'PUT_OK');
    // Beyond the page that is on disk already; the disk takes nothing of it, and the cache calls it clean.
    const long = 'long'.padEnd(10_000, '.');
    fileSystem.inject({ operation: 'sync', path: /\/commitlog\/\d{20}$/, code: 'EIO' });
    assert.notEqual((await machine.put(store, long, { properties: '' })).status, 'PUT_OK');
    const second = machine.kill();
    const bodies = await second.bodies(await second.open());
    assert.deepEqual(bodies, ['first', long], 'found in the page cache');
    for (let seed = 1; seed <= 5; seed++) {
      const left = second.powerCut(seed);
      assert.deepEqual(await left.bodies(await left.open()), bodies, `seed ${seed}`);
    }
  });
}

test('recovery that is stopped again and again goes on where it was stopped, and gets to its end', async () => {
  let machine = new Machine();
  const store = await machine.open();
  const bodies = await machine.fill(store, 400);
  const { maxPhyOffset } = store;
  await machine.until(store.shutdown(), 'shutdown');
  // As an operator does who wants the queues made anew.
  for (const path of machine.fileSystem.paths().filter((name) => /consumequeue|index/.test(name))) {
    await machine.until(machine.fileSystem.remove(path), 'remove');
  }
  const began: number[] = [];
  const info = (fields: object, message: string): void => {
    if (message === 'recovery: reading the log') began.push((fields as { from: number }).from);
  };
  for (let stops = 0; stops < 3; stops++) {
    // The first checkpoint says that the queues have nothing, each later one how far queues and index are.
    const crash = crashAt(machine.fileSystem, 'checkpoint:before-java-fields', stops === 0 ? 2 : 1);
    await assert.rejects(machine.open({ info }), { name: 'Violation' });
    assert.ok(crash.isReached, 'stopped');
    machine = machine.powerCut(stops);
  }
  const last = await machine.open({ info });
  assert.deepEqual(await machine.bodies(last), bodies);
  assert.equal(began[0], 0);
  for (const [i, from] of began.entries()) {
    if (i > 0) assert.ok(from >= began[i - 1]! + 60_000, `${began} of ${maxPhyOffset}`);
  }
});

const HOUR_MS = 3_600_000;
/** Files go when they are an hour old, at any hour. */
const expiring = {
  fileReservedTime: 1,
  deleteWhen: Array.from({ length: 24 }, (_, hour) => String(hour).padStart(2, '0')).join(';'),
};

/** What a power cut leaves, switched on again three hours later. */
function hoursLater(machine: Machine, survival: number): Machine {
  const left = machine.powerCut(1, survival);
  return new Machine(left.options, left.fileSystem, machine.scheduler.now() + 3 * HOUR_MS);
}

test('found: a record whose file is being deleted is gone, and no error', async () => {
  const machine = new Machine(expiring);
  const bodies = await machine.fill(await machine.open(), 60);
  await machine.advance(1_000);
  const later = hoursLater(machine, 1);
  const held = later.fileSystem.hold('remove', /commitlog\/0{20}$/);
  const store = await later.open();
  await later.until(held.entered, 'removal');
  assert.equal(store.minPhyOffset, 16_384, 'the first file is no part of the log any more');
  assert.equal(await later.until(store.lookMessageByOffset(0), 'look'), undefined);
  const left = await later.bodies(store);
  assert.deepEqual(left, bodies.slice(-left.length));
  assert.ok(left.length > 0 && left.length < 60, `${left.length}`);
  held.release();
});

test('found: zeros in properties are not taken for a lost sector', async () => {
  const machine = new Machine();
  const store = await machine.open();
  for (const [i, zeros] of [1, 2, 600].entries()) {
    await machine.put(store, `body ${i}`, { properties: `a\u0001${'\u0000'.repeat(zeros)}\u0002` });
  }
  const left = machine.powerCut(1, 0);
  assert.deepEqual(await left.bodies(await left.open()), ['body 0', 'body 1', 'body 2']);
});
