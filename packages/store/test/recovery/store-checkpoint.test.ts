import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { ManualClock, SimulatedFileSystem } from '@vernier/torture';
import type { StoreContext } from '../../src/base/context.ts';
import { StoreError } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { CHECKPOINT_BYTES, StoreCheckpoint, targetsAt } from '../../src/recovery/store-checkpoint.ts';

const PATH = '/store/checkpoint';
const NOW = Date.UTC(2026, 0, 1);

type Context = Pick<StoreContext, 'fileSystem' | 'clock' | 'logger' | 'fail'> & { failures: StoreError[] };

function contextOf(fileSystem: SimulatedFileSystem): Context {
  const failures: StoreError[] = [];
  return {
    fileSystem,
    clock: new ManualClock(NOW),
    logger: silentLogger,
    failures,
    fail(error) {
      failures.push(error);
      return error;
    },
  };
}

async function fresh(): Promise<{ fileSystem: SimulatedFileSystem; checkpoint: StoreCheckpoint; context: Context }> {
  const fileSystem = new SimulatedFileSystem();
  await fileSystem.makeDirectory('/store');
  await fileSystem.syncDirectory('/');
  const context = contextOf(fileSystem);
  return { fileSystem, context, checkpoint: await StoreCheckpoint.open(PATH, context) };
}

async function reopen(fileSystem: SimulatedFileSystem): Promise<StoreCheckpoint> {
  return await StoreCheckpoint.open(PATH, contextOf(fileSystem));
}

async function page(fileSystem: SimulatedFileSystem): Promise<Buffer> {
  return (await fileSystem.readFile(PATH))!;
}

async function patch(fileSystem: SimulatedFileSystem, position: number, bytes: Buffer): Promise<void> {
  const file = await fileSystem.open(PATH, 'write');
  await file.write(bytes, position);
  await file.sync();
  await file.close();
}

function i64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
}

test('a new checkpoint has the length Java maps, on disk at once, and no durable point', async () => {
  const { fileSystem, checkpoint } = await fresh();
  assert.equal(checkpoint.durablePointState, 'none');
  assert.equal(checkpoint.durablePoint, 0);
  const after = fileSystem.crash(1);
  assert.equal((await page(after)).length, CHECKPOINT_BYTES);
});

test('what was set is read back; Java’s fields stand where Java has them', async () => {
  const { fileSystem, checkpoint } = await fresh();
  checkpoint.setDurablePoint(5_000, 6_000, NOW - 1_000);
  checkpoint.setTargetPoints(targetsAt(4_000));
  checkpoint.setLogicsMsgTimestamp(NOW - 2_000);
  checkpoint.setIndexMsgTimestamp(NOW - 3_000);
  checkpoint.setMasterFlushedOffset(7);
  checkpoint.setConfirmPhyOffset(8);
  await checkpoint.close();
  const bytes = await page(fileSystem);
  const java = [0, 8, 16, 24, 32].map((at) => Number(bytes.readBigInt64BE(at)));
  assert.deepEqual(java, [NOW - 1_000, NOW - 2_000, NOW - 3_000, 7, 8]);
  const again = await reopen(fileSystem.crash(2));
  assert.equal(again.durablePointState, 'valid');
  assert.equal(again.durablePoint, 5_000);
  assert.equal(again.logicsPoint, 4_000);
  assert.equal(again.physicMsgTimestamp, NOW - 1_000);
  assert.equal(again.logicsMsgTimestamp, NOW - 2_000);
  assert.equal(again.indexMsgTimestamp, NOW - 3_000);
  assert.equal(again.masterFlushedOffset, 7);
  assert.equal(again.confirmPhyOffset, 8);
});

test('points never fall, times follow the log; a durable point above flushedWhere throws', async () => {
  const { checkpoint } = await fresh();
  checkpoint.setDurablePoint(500, 500, NOW);
  checkpoint.setDurablePoint(400, 500, NOW - 5);
  checkpoint.setTargetPoints(targetsAt(300));
  checkpoint.setTargetPoints(targetsAt(200));
  checkpoint.setLogicsMsgTimestamp(9);
  checkpoint.setLogicsMsgTimestamp(8);
  assert.deepEqual(
    [checkpoint.durablePoint, checkpoint.physicMsgTimestamp, checkpoint.logicsPoint, checkpoint.logicsMsgTimestamp],
    [500, NOW - 5, 300, 8],
  );
  checkpoint.setDurablePoint(450, 500, 0);
  checkpoint.setLogicsMsgTimestamp(0);
  assert.deepEqual([checkpoint.physicMsgTimestamp, checkpoint.logicsMsgTimestamp], [NOW - 5, 8], '0 is no time');
  assert.throws(() => checkpoint.setDurablePoint(501, 500), RangeError);
  assert.equal(checkpoint.durablePoint, 500);
});

test('getMinTimestamp: the smaller of log and queues, three seconds less, never below 0', async () => {
  const { checkpoint } = await fresh();
  assert.equal(checkpoint.minTimestamp, 0);
  checkpoint.setPhysicMsgTimestamp(10_000);
  checkpoint.setLogicsMsgTimestamp(8_000);
  assert.equal(checkpoint.minTimestamp, 5_000);
});

test('without a change nothing is written', async () => {
  const { fileSystem, checkpoint } = await fresh();
  checkpoint.recovered(1, targetsAt(0), NOW);
  await checkpoint.flush();
  const before = fileSystem.operations.length;
  await checkpoint.flush();
  checkpoint.recovered(1, targetsAt(0), NOW);
  await checkpoint.flush();
  assert.equal(fileSystem.operations.length, before);
});

test('a Java broker that stored messages makes the points void; one that only opened the store does not', async () => {
  const { fileSystem, checkpoint } = await fresh();
  checkpoint.setDurablePoint(5_000, 5_000, NOW);
  await checkpoint.close();
  await patch(fileSystem, 8, i64(NOW + 1));
  assert.equal((await reopen(fileSystem)).durablePointState, 'valid');
  await patch(fileSystem, 0, i64(NOW + 1));
  const void_ = await reopen(fileSystem);
  assert.equal(void_.durablePointState, 'java-ran-since');
  assert.equal(void_.durablePoint, 0);
  assert.equal(void_.physicMsgTimestamp, NOW + 1);
  // After recovery it counts again, also across a crash right behind the flush.
  void_.recovered(9_000, targetsAt(8_000), NOW + 2);
  await void_.flush();
  const again = await reopen(fileSystem.crash(3));
  assert.equal(again.durablePointState, 'valid');
  assert.equal(again.durablePoint, 9_000);
});

test('forgetQueues: a Java broker finds no timestamp of queues and index; the points stay', async () => {
  const { fileSystem, checkpoint } = await fresh();
  checkpoint.setDurablePoint(500, 500, NOW);
  checkpoint.setLogicsMsgTimestamp(NOW - 1);
  checkpoint.setIndexMsgTimestamp(NOW - 2);
  await checkpoint.flush();
  await checkpoint.forgetQueues();
  const after = fileSystem.crash(4);
  const bytes = await page(after);
  assert.deepEqual([bytes.readBigInt64BE(8), bytes.readBigInt64BE(16)], [0n, 0n]);
  const again = await reopen(after);
  assert.equal(again.durablePoint, 500);
  assert.equal(again.minTimestamp, 0);
});

test('Java’s own checkpoint, nothing behind its 40 bytes: its timestamps and no point', async () => {
  const { fileSystem, checkpoint } = await fresh();
  await checkpoint.close();
  await patch(fileSystem, 0, i64(NOW - 10));
  await patch(fileSystem, 8, i64(NOW - 20));
  const java = await reopen(fileSystem);
  assert.equal(java.durablePointState, 'none');
  assert.equal(java.minTimestamp, NOW - 3_020);
});

test('a timestamp far in the future is garbage and counts as 0', async () => {
  const { fileSystem, checkpoint } = await fresh();
  await checkpoint.close();
  await patch(fileSystem, 0, i64(NOW + 2 * 86_400_000));
  await patch(fileSystem, 8, i64(-5));
  const garbage = await reopen(fileSystem);
  assert.equal(garbage.physicMsgTimestamp, 0);
  assert.equal(garbage.logicsMsgTimestamp, 0);
});

test('a garbage timestamp does not keep the next durable point from being believed', async () => {
  for (const value of [-1, -(2 ** 62), 2 ** 62, Number.MAX_SAFE_INTEGER]) {
    const { fileSystem, checkpoint } = await fresh();
    await checkpoint.close();
    await patch(fileSystem, 0, i64(value));
    const garbage = await reopen(fileSystem);
    garbage.recovered(77, targetsAt(66), NOW);
    await garbage.flush();
    const again = await reopen(fileSystem);
    assert.equal(again.durablePoint, 77, `after ${value}`);
  }
});

test('one damaged copy: the other one is used; both: no point', async () => {
  const { fileSystem, checkpoint } = await fresh();
  checkpoint.setDurablePoint(1_000, 1_000, NOW);
  await checkpoint.flush();
  checkpoint.setDurablePoint(2_000, 2_000, NOW);
  await checkpoint.close();
  const sound = await page(fileSystem);
  const points = new Set<number>();
  for (const at of [512, 1024]) {
    for (let byte = 0; byte < 116; byte++) {
      const damaged = Buffer.from(sound);
      damaged[at + byte]! ^= 0x40;
      await patch(fileSystem, 0, damaged);
      const reopened = await reopen(fileSystem);
      assert.equal(reopened.durablePointState, 'valid');
      points.add(reopened.durablePoint);
    }
  }
  assert.deepEqual([...points].sort(), [1_000, 2_000]);
  sound[512]! ^= 1;
  sound[1024]! ^= 1;
  await patch(fileSystem, 0, sound);
  assert.equal((await reopen(fileSystem)).durablePointState, 'none');
});

test('torn writes: whatever sectors of a flush reach the disk, a point that was true is found', async () => {
  const { fileSystem, checkpoint } = await fresh();
  const images: Buffer[] = [];
  for (let round = 0; round < 7; round++) {
    checkpoint.setDurablePoint(round * 1_000 + 1, round * 1_000 + 1, NOW + round);
    await checkpoint.flush();
    images.push(Buffer.from(await page(fileSystem)));
  }
  const sector = (image: Buffer, at: number): Buffer => image.subarray(at, at + 512);
  for (let round = 2; round < images.length; round++) {
    const [older, old, young] = images.slice(round - 2, round + 1) as [Buffer, Buffer, Buffer];
    const changed = [512, 1024].filter((at) => !sector(old, at).equals(sector(young, at)));
    assert.equal(changed.length, 1, 'one copy is written at a time');
    const garbage = Buffer.alloc(512, 0x5a);
    // While the copy is being written, Java's sector on disk is that of the flush before or the one before that; once
    // the copy is there, of this flush or the one before.
    const cases: [java: Buffer, copy: Buffer, least: number][] = [
      [older, sector(old, changed[0]!), round - 1],
      [older, sector(young, changed[0]!), round - 1],
      [older, garbage, round - 1],
      [old, sector(old, changed[0]!), round - 1],
      [old, garbage, round - 1],
      [old, sector(young, changed[0]!), round],
      [young, sector(young, changed[0]!), round],
    ];
    for (const [index, [java, copy, least]] of cases.entries()) {
      const torn = Buffer.from(old);
      sector(java, 0).copy(torn, 0);
      copy.copy(torn, changed[0]!);
      await patch(fileSystem, 0, torn);
      const reopened = await reopen(fileSystem);
      assert.equal(reopened.durablePointState, 'valid', `round ${round}, case ${index}`);
      assert.equal(reopened.durablePoint, least * 1_000 + 1, `round ${round}, case ${index}`);
      // Nor does the next flush, torn as well, lose it.
      reopened.setDurablePoint(90_000, 90_000, NOW + 90);
      const before = await page(fileSystem);
      await reopened.flush();
      const after = await page(fileSystem);
      const written = [512, 1024].filter((at) => !sector(before, at).equals(sector(after, at)));
      garbage.copy(before, written[0]!);
      await patch(fileSystem, 0, before);
      const twice = await reopen(fileSystem);
      assert.equal(twice.durablePoint, least * 1_000 + 1, `round ${round}, case ${index}, then torn again`);
    }
  }
});

test('power cuts at every step of many flushes: the point found is one that was set, at least the last one flushed', async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const { fileSystem, checkpoint } = await fresh();
    let flushed = 0;
    let set = 0;
    let calls = 0;
    const cutAt = 3 + (seed % 20);
    let left: SimulatedFileSystem | undefined;
    fileSystem.intercept = () => {
      if (++calls === cutAt) {
        left = fileSystem.crash(seed);
        throw new Error('power');
      }
    };
    try {
      for (let round = 1; round < 20; round++) {
        set = round * 1_000;
        checkpoint.setDurablePoint(set, set, NOW + round);
        await checkpoint.flush();
        flushed = set;
      }
    } catch {
      // The cut.
    }
    const found = await reopen(left!);
    const message = `seed ${seed}: flushed ${flushed}, set ${set}, found ${found.durablePoint}`;
    assert.ok(flushed === 0 || found.durablePointState === 'valid', message);
    assert.ok(found.durablePoint >= flushed && found.durablePoint <= set, message);
  }
});

test('a failed sync fails the store once and every later flush; it is not retried', async () => {
  const { fileSystem, checkpoint, context } = await fresh();
  let syncs = 0;
  fileSystem.intercept = (operation) => {
    if (operation !== 'sync') return;
    syncs++;
    throw Object.assign(new Error('EIO'), { code: 'EIO' });
  };
  checkpoint.setDurablePoint(10, 10, NOW);
  const first = checkpoint.flush();
  checkpoint.setDurablePoint(20, 20, NOW);
  const second = checkpoint.flush();
  await assert.rejects(first, { code: 'STORE_FLUSH_FAILED' });
  await assert.rejects(second, { code: 'STORE_FLUSH_FAILED' });
  assert.equal(syncs, 1);
  assert.equal(context.failures.length, 1);
});

test('a checkpoint that cannot be opened is STORE_METADATA_DAMAGED', async () => {
  const { fileSystem } = await fresh();
  fileSystem.intercept = (operation) => {
    if (operation === 'open') throw Object.assign(new Error('EACCES'), { code: 'EACCES' });
  };
  await assert.rejects(
    reopen(fileSystem),
    (error) => error instanceof StoreError && error.code === 'STORE_METADATA_DAMAGED',
  );
});

test('forgetQueues: what Java knows of queues and index is 0 on disk, the log’s own fields and points stay', async () => {
  const { fileSystem, checkpoint } = await fresh();
  checkpoint.setDurablePoint(10, 10, NOW);
  checkpoint.setLogicsMsgTimestamp(NOW);
  checkpoint.setIndexMsgTimestamp(NOW);
  await checkpoint.close();
  // Java 5.5.0 keeps the end of the queues behind the fields of its older versions.
  await patch(fileSystem, 40, i64(4711));
  const again = await reopen(fileSystem);
  await again.forgetQueues();
  const survived = fileSystem.crash(1);
  const found = await page(survived);
  assert.deepEqual(
    [0, 8, 16, 40].map((at) => Number(found.readBigInt64BE(at))),
    [NOW, 0, 0, 0],
  );
  const recovered = await reopen(survived);
  assert.deepEqual([recovered.durablePointState, recovered.durablePoint], ['valid', 10]);
});

test('no room to write it: nothing fails, at each of its writes, and the next flush makes up for it; a power cut finds a true point', async () => {
  for (const skip of [0, 1]) {
    for (const partial of [0, 0.5, 1]) {
      const { fileSystem, checkpoint, context } = await fresh();
      checkpoint.setDurablePoint(1_000, 1_000, NOW - 2_000);
      await checkpoint.flush();
      fileSystem.inject({ operation: 'write', path: PATH, code: 'ENOSPC', skip, partial });
      checkpoint.setDurablePoint(2_000, 2_000, NOW - 1_000);
      await assert.rejects(checkpoint.flush(), { code: 'STORE_DISK_FULL' });
      assert.deepEqual(context.failures, []);
      for (let seed = 1; seed <= 20; seed++) {
        const found = await reopen(fileSystem.crash(seed));
        assert.equal(found.durablePointState, 'valid');
        assert.ok([1_000, 2_000].includes(found.durablePoint), `${found.durablePoint}`);
        // Neither of its two writes may make a later one void.
        found.setDurablePoint(3_000, 3_000, NOW);
        await found.close();
      }
      await checkpoint.flush();
      const after = await reopen(fileSystem.crash(1));
      assert.equal(after.durablePoint, 2_000);
    }
  }
});

test('a time that fell stays so over a restart, and the points with it', async () => {
  const { fileSystem, checkpoint } = await fresh();
  checkpoint.setDurablePoint(500, 500, NOW);
  await checkpoint.flush();
  checkpoint.setDurablePoint(600, 600, NOW - 3_600_000);
  await checkpoint.flush();
  // Java's field is written after the copy that bears it out; here it never got to the disk.
  await patch(fileSystem, 0, i64(NOW));
  const again = await reopen(fileSystem);
  assert.deepEqual(
    [again.durablePointState, again.durablePoint, again.physicMsgTimestamp],
    ['valid', 600, NOW - 3_600_000],
  );
});

test('the points of the targets are read back, each with what it has last; the smallest is the logics point', async () => {
  const { fileSystem, checkpoint } = await fresh();
  checkpoint.setDurablePoint(5_000, 5_000, NOW);
  checkpoint.setTargetPoints(
    new Map([
      ['queues', { durableWhere: 4_000, newestWhere: 3_900 }],
      ['index', { durableWhere: 3_000, newestWhere: -1 }],
    ]),
  );
  await checkpoint.flush();
  const left = fileSystem.crash(2);
  const again = await reopen(left);
  assert.equal(again.logicsPoint, 3_000);
  assert.deepEqual(again.targetPoint('queues'), { durableWhere: 4_000, newestWhere: 3_900 });
  assert.deepEqual(again.targetPoint('index'), { durableWhere: 3_000, newestWhere: -1 });
  // Where a target is goes up only, what it has last may go: its topic was deleted.
  again.setTargetPoints(new Map([['queues', { durableWhere: 3_500, newestWhere: 100 }]]));
  await again.flush();
  const last = await reopen(left.crash(3));
  assert.deepEqual(last.targetPoint('queues'), { durableWhere: 4_000, newestWhere: 100 });
  assert.deepEqual(last.targetPoint('index'), { durableWhere: 4_000, newestWhere: undefined }, 'not in use any more');
});

test('a copy of the first version is read: its point is that of all targets', async () => {
  const { fileSystem, checkpoint } = await fresh();
  await checkpoint.close();
  const copy = Buffer.alloc(52);
  copy.write('VRNRCKP1', 'latin1');
  for (const [at, value] of [
    [8, 7],
    [16, 5_000],
    [24, 4_000],
    [32, NOW],
    [40, NOW],
  ] as const) {
    i64(value).copy(copy, at);
  }
  copy.writeUInt32BE(crc32(copy.subarray(0, 48)), 48);
  await patch(fileSystem, 512, copy);
  await patch(fileSystem, 0, i64(NOW));
  const again = await reopen(fileSystem);
  assert.equal(again.durablePointState, 'valid');
  assert.deepEqual([again.durablePoint, again.logicsPoint], [5_000, 4_000]);
  for (const name of ['queues', 'index'] as const) {
    assert.deepEqual(again.targetPoint(name), { durableWhere: 4_000, newestWhere: undefined });
  }
});
