import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreError, silentLogger } from '@vernier/store';
import {
  readUnit,
  TimerFiles,
  type TimerFilesOptions,
  TimerMagic,
  type TimerSlot,
  type TimerUnit,
  UNIT_BYTES,
} from '@vernier/store/internal';
import { SimulatedFileSystem } from '../../../torture/src/simulation/simulated-file-system.ts';
import { decodeTimerCheck, encodeTimerCheck } from '../../src/timer/timer-checkpoint.ts';

const ROOT = '/data/store';
const WHEEL = `${ROOT}/timerwheel`;
const CHECK = `${ROOT}/config/timercheck`;
const FIRST = `${ROOT}/timerlog/${'0'.repeat(20)}`;
const SLOTS = 1_280;
/** Ten units and a blank. */
const FILE_BYTES = UNIT_BYTES * 10 + 20;
const NOW = 1_790_000_000_000;
const NOW_SLOT = NOW / 1_000;

class Fixture {
  fileSystem: SimulatedFileSystem;
  now = NOW;
  lines: string[] = [];
  failures: StoreError[] = [];
  onDisk = true;
  files!: TimerFiles;

  constructor(fileSystem = new SimulatedFileSystem({ now: () => NOW })) {
    this.fileSystem = fileSystem;
  }

  static async make(more: Partial<TimerFilesOptions> = {}): Promise<Fixture> {
    const fixture = new Fixture();
    await fixture.fileSystem.makeDirectory(`${ROOT}/config`);
    for (const directory of ['/', '/data', ROOT]) await fixture.fileSystem.syncDirectory(directory);
    await fixture.open(more);
    return fixture;
  }

  async open(more: Partial<TimerFilesOptions> = {}): Promise<TimerFiles> {
    const say = (_fields: object, message: string): void => void this.lines.push(message);
    this.files = await TimerFiles.open({
      storePathRootDir: ROOT,
      fileSystem: this.fileSystem,
      logger: { ...silentLogger, warn: say, error: say },
      precisionMs: 1_000,
      mappedFileSizeTimerLog: FILE_BYTES,
      diskFreeBytesMin: 0,
      now: () => this.now,
      putsOnDisk: () => Promise.resolve(this.onDisk),
      failed: (error) => void this.failures.push(error),
      slots: SLOTS,
      ...more,
    });
    return this.files;
  }

  /** What a power cut leaves. */
  cut(seed: number, survival = 0): Fixture {
    const next = new Fixture(this.fileSystem.crash(seed, { survival }));
    next.now = this.now;
    return next;
  }

  add(ahead: number, logOffset: number, magic: number = TimerMagic.DEFAULT) {
    return this.files.add({
      ...{ number: NOW_SLOT + ahead, magic, writeTimeMs: NOW, logOffset, size: 200, topicHash: 7 },
    });
  }

  /** Log offsets of what waits, by slot ahead of NOW, oldest first. */
  async waiting(): Promise<Record<number, number[]>> {
    const found: Record<number, number[]> = {};
    for (const number of this.files.above(0, 10_000)) {
      const slot = await this.files.begin(number);
      this.files.leave();
      if (slot !== undefined) found[number - NOW_SLOT] = await chainOf(this.files, slot);
    }
    return found;
  }

  async fire(ahead: number): Promise<void> {
    await this.files.begin(NOW_SLOT + ahead);
    await this.files.finish(NOW_SLOT + ahead);
  }

  /** Changes bytes of a file as a program from outside would, on disk too. */
  async write(path: string, bytes: Uint8Array, position: number): Promise<void> {
    const file = await this.fileSystem.open(path, 'write');
    await file.write(bytes, position);
    await file.sync();
    await file.close();
  }
}

async function chainOf(files: TimerFiles, slot: TimerSlot): Promise<number[]> {
  const units: TimerUnit[] = [];
  for (let position = slot.lastPos; position >= files.chainEnd(slot); ) {
    const unit = await files.unitAt(position);
    if (unit === undefined) break;
    units.push(unit);
    position = unit.prevPos;
  }
  return units.reverse().map(({ logOffset }) => logOffset);
}

test('nothing waits: no file is made, also by a shutdown', async () => {
  const fixture = await Fixture.make();
  await fixture.files.flush();
  await fixture.files.close();
  assert.deepEqual(fixture.fileSystem.paths(), []);
});

test('the bytes are RocketMQ’s', async () => {
  const fixture = await Fixture.make();
  await fixture.add(5, 1_000);
  await fixture.add(5, 2_000, TimerMagic.DEFAULT | TimerMagic.DELETE);
  fixture.files.setQueueOffset(2);
  await fixture.files.close();
  const log = fixture.fileSystem.volatileContent(FIRST);
  assert.equal(log.length, FILE_BYTES);
  const second = log.subarray(UNIT_BYTES, UNIT_BYTES * 2);
  assert.equal(second.readInt32BE(0), 52);
  assert.equal(second.readBigInt64BE(4), 0n, 'the unit in front');
  assert.equal(second.readInt32BE(12), 5);
  assert.equal(second.readBigInt64BE(16), BigInt(NOW));
  assert.equal(second.readInt32BE(24), 5_000);
  assert.equal(second.readBigInt64BE(28), 2_000n);
  assert.equal(second.readInt32BE(36), 200);
  assert.equal(second.readInt32BE(40), 7);
  assert.equal(log.readBigInt64BE(4), -1n);
  const number = NOW_SLOT + 5;
  const slot = fixture.fileSystem.volatileContent(WHEEL).subarray((number % SLOTS) * 32);
  assert.deepEqual(
    [slot.readBigInt64BE(0), slot.readBigInt64BE(8), slot.readBigInt64BE(16), slot.readInt32BE(24)],
    [BigInt(number), 0n, 52n, 1],
  );
  const check = fixture.fileSystem.volatileContent(CHECK);
  assert.equal(check.length, 4_096);
  assert.deepEqual(
    [0, 8, 16, 24].map((at) => Number(check.readBigInt64BE(at))),
    [NOW, 104, 2, 2],
  );
});

test('a file of the log ends with a blank, and chains go over files', async () => {
  const fixture = await Fixture.make();
  for (let i = 1; i <= 25; i++) await fixture.add(i % 2, i * 1_000);
  assert.deepEqual(Object.keys(await fixture.waiting()), ['0', '1']);
  await fixture.files.close();
  const log = fixture.fileSystem.volatileContent(FIRST);
  const at = UNIT_BYTES * 10;
  assert.deepEqual(
    [log.readInt32BE(at), log.readBigInt64BE(at + 4), log.readInt32BE(at + 12)],
    [20, 0n, 0xcbd43194 | 0],
  );
  const next = fixture.cut(1);
  await next.open();
  const odd = Array.from({ length: 25 }, (_, i) => (i + 1) * 1_000).filter((offset) => offset % 2_000 !== 0);
  assert.deepEqual((await next.waiting())[1], odd);
});

test('a power cut: what was flushed waits, what was not is read again from the queue', async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const fixture = await Fixture.make();
    for (let i = 0; i < 15; i++) await fixture.add(i, 1_000 + i);
    fixture.files.setQueueOffset(15);
    await fixture.files.flush();
    for (let i = 0; i < 15; i++) await fixture.add(i, 2_000 + i);
    fixture.files.setQueueOffset(30);
    const next = fixture.cut(seed, seed % 4 === 0 ? 0 : 0.5);
    await next.open();
    assert.equal(next.files.queueOffset, 15);
    // The queue is read again from there on.
    for (let i = 0; i < 15; i++) {
      if (!next.files.isKnown(2_000 + i, 15 + i, (NOW_SLOT + i) * 1_000)) await next.add(i, 2_000 + i);
    }
    const waiting = await next.waiting();
    for (let i = 0; i < 15; i++) assert.deepEqual(waiting[i], [1_000 + i, 2_000 + i], `seed ${seed}, slot ${i}`);
    assert.equal(next.files.waitingCount, 30, `seed ${seed}`);
    await next.files.close();
  }
});

test('what a killed process had written and not synced is on disk before a checkpoint stands behind it', async () => {
  const killed = await Fixture.make();
  for (let i = 0; i < 3; i++) await killed.add(5, i * 200);
  killed.files.setQueueOffset(3);
  await killed.files.flush();
  // The rest of the first file: written, and the process ends before the sync.
  for (let i = 3; i < 10; i++) await killed.add(5, i * 200);
  killed.onDisk = false;
  await killed.files.flush();
  const next = new Fixture(killed.fileSystem);
  await next.open();
  for (let i = 3; i < 10; i++) assert.ok(next.files.isKnown(i * 200, i, NOW + 5_000));
  // Into the second file, the only one that this process writes.
  await next.add(6, 2_000);
  next.files.setQueueOffset(11);
  await next.files.flush();
  const after = next.cut(1);
  await after.open();
  assert.deepEqual(after.lines, []);
  assert.deepEqual(await after.waiting(), { 5: Array.from({ length: 10 }, (_, i) => i * 200), 6: [2_000] });
});

test('a unit behind the checkpoint that has no place, because slots a turn earlier wait again, comes from the queue', async () => {
  const killed = await Fixture.make();
  await killed.add(5, 200);
  killed.files.setQueueOffset(1);
  await killed.files.flush();
  // The first slot fires, which makes room for one a turn later; of neither is more on disk than the unit.
  await killed.fire(5);
  assert.equal(await killed.add(SLOTS + 6, 400), 'added');
  killed.files.setQueueOffset(2);
  killed.onDisk = false;
  await killed.files.flush();
  const next = new Fixture(killed.fileSystem);
  await next.open();
  assert.deepEqual(await next.waiting(), { 5: [200] });
  assert.equal(next.files.queueOffset, 1);
  assert.ok(!next.files.isKnown(400, 1, NOW + (SLOTS + 6) * 1_000), 'or nobody would ever deliver it');
  assert.equal(await next.add(SLOTS + 6, 400), 'conflict');
  await next.fire(5);
  assert.equal(await next.add(SLOTS + 6, 400), 'added');
  assert.deepEqual(await next.waiting(), { [SLOTS + 6]: [400] });
});

test('the checkpoint: fields of any save before the newest copy are ours, those of a later one are Java’s', async () => {
  const fixture = await Fixture.make();
  const pages: Buffer[] = [];
  for (let i = 0; i < 3; i++) {
    await fixture.add(5 + i, i * 200);
    fixture.files.setQueueOffset(i + 1);
    await fixture.files.flush();
    pages.push(await fixture.fileSystem.readFile(CHECK).then((page) => Buffer.from(page!)));
  }
  const newest = decodeTimerCheck(pages[2]!)!;
  assert.equal(newest.fields.lastTimerQueueOffset, 3);
  for (const page of pages) {
    const found = Buffer.from(pages[2]!);
    page.copy(found, 0, 0, 56);
    assert.deepEqual(decodeTimerCheck(found), newest, 'its copy of the first save is overwritten by then');
  }
  const java = Buffer.from(pages[2]!);
  encodeTimerCheck({ ...newest.fields, counter: newest.fields.counter + 1 }).copy(java, 0);
  assert.equal(decodeTimerCheck(java)?.own, undefined);
});

test('at each step of a flush the machine stops: nothing is lost, and what was fired and flushed does not come again', async () => {
  let isOver = false;
  for (let nth = 1; !isOver; nth++) {
    const fixture = await Fixture.make();
    for (let i = 0; i < 4; i++) await fixture.add(i, 1_000 + i);
    fixture.files.setQueueOffset(4);
    await fixture.files.flush();
    await fixture.fire(0);
    await fixture.files.flush();
    await fixture.fire(1);
    for (let i = 2; i < 14; i++) await fixture.add(i, 2_000 + i);
    fixture.files.setQueueOffset(16);
    let left = nth;
    fixture.fileSystem.onDone = (operation) => {
      if (['write', 'sync', 'allocate', 'syncDirectory', 'open'].includes(operation) && --left === 0)
        fixture.fileSystem.halt();
    };
    await Promise.race([fixture.files.flush(), new Promise((resolve) => setTimeout(resolve, 5))]);
    isOver = !fixture.fileSystem.isHalted;
    for (const survival of [0, 0.5, 1]) {
      const next = fixture.cut(nth, survival);
      await next.open();
      const queueOffset = next.files.queueOffset!;
      assert.ok(queueOffset === 4 || queueOffset === 16);
      for (let i = 2; i < 14; i++) {
        const isAgain = 4 + i - 2 >= queueOffset && !next.files.isKnown(2_000 + i, 4 + i - 2, (NOW_SLOT + i) * 1_000);
        if (isAgain) await next.add(i, 2_000 + i);
      }
      const waiting = await next.waiting();
      assert.equal(waiting[0], undefined, `step ${nth}: slot 0 was fired and flushed`);
      if (waiting[1] !== undefined) assert.deepEqual(waiting[1], [1_001], `step ${nth}`);
      for (let i = 2; i < 14; i++) {
        assert.deepEqual(
          waiting[i],
          i < 4 ? [1_000 + i, 2_000 + i] : [2_000 + i],
          `step ${nth}, ${survival}, slot ${i}`,
        );
      }
      if (queueOffset === 16 && isOver) assert.equal(waiting[1], undefined);
      await next.files.close();
    }
  }
});

test('a flush before what was delivered is on disk writes nothing', async () => {
  const fixture = await Fixture.make();
  await fixture.add(0, 1_000);
  await fixture.files.flush();
  await fixture.fire(0);
  fixture.onDisk = false;
  await fixture.files.flush();
  const next = fixture.cut(3, 1);
  await next.open();
  assert.deepEqual(await next.waiting(), { 0: [1_000] });
  fixture.onDisk = true;
  await fixture.files.flush();
  const last = fixture.cut(3);
  await last.open();
  assert.deepEqual(await last.waiting(), {});
});

test('a slot that is delivered in part goes on where it was, and takes what is added meanwhile', async () => {
  const fixture = await Fixture.make();
  for (let i = 0; i < 4; i++) await fixture.add(2, 1_000 + i);
  const number = NOW_SLOT + 2;
  await fixture.files.begin(number);
  await fixture.files.cut(number, UNIT_BYTES * 2, 2);
  await fixture.add(2, 2_000);
  assert.equal(fixture.files.waitingCount, 3);
  await fixture.files.flush();
  const next = fixture.cut(5);
  await next.open();
  assert.deepEqual(await next.waiting(), { 2: [1_002, 1_003, 2_000] });
  assert.equal(next.files.waitingCount, 3);
  await fixture.files.finish(number);
  assert.deepEqual(await fixture.waiting(), { 2: [2_000] });
  assert.equal(fixture.files.waitingCount, 1);
});

test('damage at each field of a unit behind the checkpoint: the log ends there, the queue brings the rest', async () => {
  for (const [at, value] of [
    [0, 53],
    [4, 0x7f000000],
    [12, 0],
    [12, 16],
    [16, -1],
    [28, -5],
    [36, 90],
    [44, 1],
  ] as const) {
    const fixture = await Fixture.make();
    await fixture.add(1, 1_000);
    fixture.files.setQueueOffset(1);
    await fixture.files.flush();
    for (let i = 0; i < 3; i++) await fixture.add(2, 2_000 + i);
    await fixture.files.flush();
    // The checkpoint of the first flush, with what the second one wrote behind it.
    const fields = decodeTimerCheck(fixture.fileSystem.volatileContent(CHECK))!.fields;
    const java = encodeTimerCheck({ ...fields, lastTimerLogFlushPos: UNIT_BYTES });
    await fixture.write(CHECK, Buffer.concat([java, Buffer.alloc(4_096 - java.length)]), 0);
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(value);
    await fixture.write(FIRST, bytes, UNIT_BYTES * 2 + at);
    const next = fixture.cut(1);
    await next.open();
    assert.deepEqual(await next.waiting(), { 1: [1_000], 2: [2_000] }, `field at ${at}: ${value}`);
    assert.equal(next.files.isKnown(2_000, 1, 0), true);
    assert.equal(next.files.isKnown(2_001, 2, 0), false);
    const log = next.fileSystem.volatileContent(FIRST);
    assert.ok(
      log.subarray(UNIT_BYTES * 2).every((byte) => byte === 0),
      'nothing old is left for a later start',
    );
    assert.equal(readUnit(log, UNIT_BYTES, UNIT_BYTES)?.logOffset, 2_000);
  }
});

test('damage below the checkpoint: wheel and log are made anew from the queue', async () => {
  const damages: [string, (fixture: Fixture) => Promise<void>][] = [
    ['the last unit', (f) => f.write(FIRST, Buffer.from([0xff]), UNIT_BYTES + 3)],
    ['no wheel', (f) => f.fileSystem.remove(WHEEL)],
    ['a short wheel', async (f) => (await f.fileSystem.open(WHEEL, 'write')).truncate(4_096)],
    ['no log', (f) => f.fileSystem.remove(FIRST)],
    ['a short file of the log', async (f) => (await f.fileSystem.open(FIRST, 'write')).truncate(UNIT_BYTES + 10)],
    ['a slot’s number', (f) => f.write(WHEEL, Buffer.from([9]), ((NOW_SLOT + 3) % SLOTS) * 32 + 7)],
    ['a slot’s number is negative', (f) => f.write(WHEEL, Buffer.from([0xff]), ((NOW_SLOT + 3) % SLOTS) * 32)],
    ['a slot’s place', (f) => f.write(WHEEL, Buffer.from([0x80]), ((NOW_SLOT + 3) % SLOTS) * 32 + 16)],
  ];
  for (const [name, damage] of damages) {
    const fixture = await Fixture.make();
    await fixture.add(0, 1_000);
    await fixture.add(3, 1_001);
    fixture.files.setQueueOffset(2);
    await fixture.fire(0);
    fixture.now = NOW + 1_000;
    await fixture.files.close();
    await damage(fixture);
    const next = fixture.cut(1, 1);
    await next.open();
    assert.ok(
      next.lines.some((line) => line.includes('made anew')),
      name,
    );
    assert.equal(next.files.queueOffset, 0, name);
    assert.equal(next.files.isKnown(1_000, 0, NOW), true, 'delivered');
    assert.equal(next.files.isKnown(1_001, 1, NOW + 3_000), false);
    await next.add(3, 1_001);
    next.files.setQueueOffset(1);
    await next.files.flush();
    const last = next.cut(2);
    await last.open();
    assert.equal(last.files.isKnown(1_000, 0, NOW), true, `${name}: it is known over one more start`);
    assert.deepEqual(await last.waiting(), { 3: [1_001] }, name);
    last.files.setQueueOffset(2);
    assert.equal(last.files.isKnown(1_000, 0, NOW), false, 'made anew: it is over');
  }
});

test('a slot of Java’s wheel that leads behind the log’s end leads to the last unit that is left', async () => {
  const fixture = await Fixture.make();
  for (let i = 0; i < 3; i++) await fixture.add(2, 1_000 + i);
  await fixture.add(3, 2_000);
  await fixture.files.close();
  const { fields } = decodeTimerCheck(fixture.fileSystem.volatileContent(CHECK))!;
  const java = encodeTimerCheck({ ...fields, lastTimerLogFlushPos: UNIT_BYTES * 2 });
  await fixture.write(CHECK, Buffer.concat([java, Buffer.alloc(4_096 - java.length)]), 0);
  await fixture.write(FIRST, Buffer.alloc(UNIT_BYTES * 2), UNIT_BYTES * 2);
  const next = fixture.cut(1);
  await next.open();
  assert.deepEqual(await next.waiting(), { 2: [1_000, 1_001] });
  assert.equal(next.files.waitingCount, 2);
});

test('slots that Java has done with are blank, those it has not wait', async () => {
  const fixture = await Fixture.make();
  for (let i = 0; i < 4; i++) await fixture.add(i, 1_000 + i);
  await fixture.files.close();
  const { fields } = decodeTimerCheck(fixture.fileSystem.volatileContent(CHECK))!;
  const java = encodeTimerCheck({ ...fields, lastReadTimeMs: NOW + 2_000, lastTimerLogFlushPos: 0 });
  await fixture.write(CHECK, Buffer.concat([java, Buffer.alloc(4_096 - java.length)]), 0);
  const next = fixture.cut(1);
  await next.open();
  assert.deepEqual(await next.waiting(), { 2: [1_002], 3: [1_003] });
  const wheel = next.fileSystem.volatileContent(WHEEL);
  for (const ahead of [0, 1]) {
    const at = ((NOW_SLOT + ahead) % SLOTS) * 32;
    assert.ok(wheel.subarray(at, at + 32).every((byte) => byte === 0));
  }
});

test('another precision: refused while messages wait, by whoever wrote the directory; taken when none does', async () => {
  const mismatch = (error: unknown): boolean =>
    error instanceof StoreError && error.code === 'STORE_TIMER_PRECISION_MISMATCH' && error.details.found === 1_000;
  const fixture = await Fixture.make();
  await fixture.add(5, 1_000);
  await fixture.files.close();
  await assert.rejects(fixture.cut(1).open({ precisionMs: 100 }), mismatch);
  const { fields } = decodeTimerCheck(fixture.fileSystem.volatileContent(CHECK))!;
  const java = encodeTimerCheck(fields);
  await fixture.write(CHECK, Buffer.concat([java, Buffer.alloc(4_096 - java.length)]), 0);
  await assert.rejects(fixture.cut(1).open({ precisionMs: 100 }), mismatch);
  const same = fixture.cut(1);
  await same.open();
  assert.deepEqual(await same.waiting(), { 5: [1_000] });
  await same.fire(5);
  await same.files.close();
  const other = same.cut(1);
  await other.open({ precisionMs: 100 });
  assert.deepEqual(await other.waiting(), {});
});

test('a failed write or sync ends it: nothing is written any more, and the next start has all of it', async () => {
  for (const operation of ['write', 'sync'] as const) {
    for (const path of ['timerlog/', 'timerwheel', 'timercheck']) {
      const fixture = await Fixture.make();
      await fixture.add(1, 1_000);
      fixture.files.setQueueOffset(1);
      await fixture.files.flush();
      await fixture.add(2, 2_000);
      fixture.files.setQueueOffset(2);
      fixture.fileSystem.inject({ operation, path, code: 'EIO' });
      await assert.rejects(fixture.files.flush(), StoreError, `${operation} ${path}`);
      assert.equal(fixture.failures.length, 1);
      await assert.rejects(fixture.add(3, 3_000), StoreError);
      const before = fixture.fileSystem.operations.length;
      await assert.rejects(fixture.files.flush(), StoreError);
      assert.equal(fixture.fileSystem.operations.length, before, 'nothing is tried again');
      for (const seed of [1, 2, 3]) {
        const next = fixture.cut(seed, 0.5);
        await next.open();
        if (next.files.queueOffset === 1 && !next.files.isKnown(2_000, 1, 0)) await next.add(2, 2_000);
        assert.deepEqual(await next.waiting(), { 1: [1_000], 2: [2_000] }, `${operation} ${path} ${seed}`);
      }
    }
  }
});

test('no room for a file: refused, and taken when there is room', async () => {
  const fixture = await Fixture.make();
  fixture.fileSystem.freeBytes = 100;
  await assert.rejects(fixture.add(1, 1_000), { code: 'STORE_DISK_FULL' });
  assert.equal(fixture.failures.length, 0);
  fixture.fileSystem.freeBytes = 1_000_000;
  assert.equal(await fixture.add(1, 1_000), 'added');
  assert.deepEqual(await fixture.waiting(), { 1: [1_000] });
});

test('the wheel holds one turn: a slot beyond it waits for the first one, one in front of it too', async () => {
  const fixture = await Fixture.make();
  await fixture.add(0, 1_000);
  assert.equal(await fixture.add(SLOTS - 1, 1_001), 'added');
  assert.equal(await fixture.add(SLOTS, 1_002), 'conflict');
  assert.equal(await fixture.add(-1, 1_003), 'early');
  await fixture.fire(0);
  assert.equal(await fixture.add(SLOTS, 1_002), 'added');
  assert.equal(fixture.files.lowest, NOW_SLOT + SLOTS - 1);
});

test('files of the log go when the records of all of their units are gone, the last one stays', async () => {
  const fixture = await Fixture.make();
  for (let i = 0; i < 25; i++) {
    await fixture.add(0, i * 1_000);
    await fixture.fire(0);
  }
  await fixture.files.flush();
  assert.equal(await fixture.files.deleteExpired(9_000), 0, 'the last unit’s record is there');
  assert.equal(await fixture.files.deleteExpired(9_001), 1);
  assert.equal(await fixture.files.deleteExpired(1_000_000), 1);
  assert.equal(fixture.fileSystem.paths().filter((path) => path.includes('/timerlog/')).length, 1);
  await fixture.add(4, 99_000);
  await fixture.files.close();
  const next = fixture.cut(1);
  await next.open();
  assert.deepEqual(await next.waiting(), { 4: [99_000] });
});

test('memory does not grow with the wheel: 100,000 slots in use, pages in memory bounded', async () => {
  const fixture = await Fixture.make({ slots: 128 * 1_600, mappedFileSizeTimerLog: 1024 * 1024 });
  for (let i = 0; i < 100_000; i++) await fixture.add(i * 2, i * 1_000);
  assert.ok(fixture.files.cost.memoryBytes < 5 * 1024 * 1024, String(fixture.files.cost.memoryBytes));
  await fixture.files.flush();
  assert.ok(fixture.files.cost.memoryBytes < 512 * 1024, String(fixture.files.cost.memoryBytes));
  assert.equal(fixture.files.waitingCount, 100_000);
});

test('a sync of the log for which there is no room ends it: what it did not write is written by no later one', async () => {
  for (const code of ['ENOSPC', 'EDQUOT']) {
    const fixture = await Fixture.make();
    await fixture.add(1, 1_000);
    fixture.files.setQueueOffset(1);
    await fixture.files.flush();
    await fixture.add(2, 2_000);
    fixture.files.setQueueOffset(2);
    fixture.fileSystem.inject({ operation: 'sync', path: 'timerlog/', code });
    await assert.rejects(fixture.files.flush(), { code: 'STORE_FLUSH_FAILED' });
    assert.equal(fixture.failures.length, 1);
    await assert.rejects(fixture.files.flush(), { code: 'STORE_FLUSH_FAILED' });
    const next = fixture.cut(1);
    await next.open();
    assert.equal(next.files.queueOffset, 1, code);
  }
});

test('a slot of which every unit is done is blank, and a stop there leaves wheel and log whole', async () => {
  const fixture = await Fixture.make();
  await fixture.add(2, 1_000);
  await fixture.add(2, 1_001, TimerMagic.DEFAULT | TimerMagic.DELETE);
  await fixture.add(3, 1_002);
  fixture.files.setQueueOffset(3);
  await fixture.files.begin(NOW_SLOT + 2);
  await fixture.files.cut(NOW_SLOT + 2, UNIT_BYTES * 2, 0);
  assert.equal(fixture.files.waitingCount, 1);
  fixture.files.leave();
  await fixture.files.close();
  const next = fixture.cut(1);
  await next.open();
  assert.deepEqual(next.lines, []);
  assert.deepEqual(await next.waiting(), { 3: [1_002] });
  // As versions left it that wrote where the slot goes on, and were stopped before they made it blank.
  const number = NOW_SLOT + 3;
  await next.files.close();
  const slot = Buffer.alloc(24);
  slot.writeBigInt64BE(BigInt(UNIT_BYTES * 3), 0);
  slot.writeBigInt64BE(BigInt(UNIT_BYTES * 2), 8);
  slot.writeInt32BE(1, 20);
  await next.write(WHEEL, slot, (number % SLOTS) * 32 + 8);
  const last = next.cut(2);
  await last.open();
  assert.deepEqual(last.lines, []);
  assert.deepEqual(await last.waiting(), { 3: [] });
  await last.fire(3);
  assert.equal(last.files.lowest, undefined);
});

test('what comes into a slot whose units are all done, before it is finished, waits', async () => {
  const fixture = await Fixture.make();
  await fixture.add(2, 1_000);
  await fixture.files.begin(NOW_SLOT + 2);
  await fixture.files.cut(NOW_SLOT + 2, UNIT_BYTES, 0);
  await fixture.add(2, 1_001);
  await fixture.files.finish(NOW_SLOT + 2);
  assert.deepEqual(await fixture.waiting(), { 2: [1_001] });
  assert.equal(fixture.files.waitingCount, 1);
});

/** One that asked for a slot 5,000 back waits in one 600 back, and others before and behind it. */
async function withLate(): Promise<Fixture> {
  const fixture = await Fixture.make();
  await fixture.add(-610, 1_000);
  const entry = { magic: TimerMagic.DEFAULT, writeTimeMs: NOW, logOffset: 1_001, size: 200, topicHash: 7 };
  await fixture.files.add({ ...entry, number: NOW_SLOT - 600, wanted: NOW_SLOT - 5_000 });
  await fixture.add(3, 1_002);
  return fixture;
}

test('made anew: what waits in a later slot than it asked for is not taken for delivered', async () => {
  const isKnown = ({ files }: Fixture): boolean => files.isKnown(1_001, 1, NOW - 5_000_000);
  const ways: [string, (fixture: Fixture) => Promise<Fixture>][] = [
    ['at once', (fixture) => Promise.resolve(fixture)],
    [
      'a start, and what waited before it has come',
      async (fixture) => {
        await fixture.files.close();
        const next = fixture.cut(1);
        await next.open();
        await next.fire(-610);
        return next;
      },
    ],
    [
      'its unit stood behind the checkpoint of a power cut',
      async (fixture) => {
        fixture.files.setQueueOffset(0);
        await fixture.files.flush();
        const path = FIRST;
        const log = fixture.fileSystem.volatileContent(path);
        // A checkpoint of before the units, which are on disk.
        const { fields } = decodeTimerCheck(fixture.fileSystem.volatileContent(CHECK))!;
        assert.equal(fields.lastTimerLogFlushPos, UNIT_BYTES * 3);
        const next = await Fixture.make();
        await next.add(-610, 1_000);
        next.files.setQueueOffset(1);
        await next.files.flush();
        await next.write(path, log.subarray(UNIT_BYTES, UNIT_BYTES * 3), UNIT_BYTES);
        const after = next.cut(1);
        await after.open();
        assert.ok(isKnown(after), 'its unit is there');
        assert.ok(after.files.isKnown(1_002, 2, NOW + 3_000));
        await after.fire(-610);
        return after;
      },
    ],
  ];
  for (const [name, way] of ways) {
    const fixture = await way(await withLate());
    fixture.files.setQueueOffset(3);
    assert.equal(fixture.files.doneBelow! <= NOW_SLOT - 5_000, true, name);
    await fixture.files.close();
    await fixture.fileSystem.remove(WHEEL);
    const next = fixture.cut(2, 1);
    await next.open();
    assert.ok(
      next.lines.some((line) => line.includes('made anew')),
      name,
    );
    assert.equal(isKnown(next), false, `${name}: or nobody would ever deliver it`);
  }
});

test('what has come at last holds nothing back: the checkpoint says where the next one waits', async () => {
  const fixture = await withLate();
  fixture.files.setQueueOffset(3);
  const readTime = (): number => fixture.files.checkpoint.lastReadTimeMs;
  assert.equal(readTime(), NOW - 5_000_000);
  await fixture.fire(-610);
  assert.equal(readTime(), NOW - 5_000_000);
  await fixture.fire(-600);
  assert.equal(readTime(), NOW);
  assert.equal(fixture.files.doneBelow, NOW_SLOT + 3);
  await fixture.files.close();
  assert.equal(decodeTimerCheck(fixture.fileSystem.volatileContent(CHECK))?.own?.hasLate, false);
});

test('counts: what waits within each bound, from memory and from the file, and nothing that is done or was before', async () => {
  const fixture = await Fixture.make();
  const ends = [5, 60, 300].map((seconds) => NOW_SLOT + seconds);
  assert.deepEqual(await fixture.files.counts(NOW_SLOT, ends), [0, 0, 0]);
  for (const ahead of [-3, 0, 4, 4, 5, 59, 60, 299, 300, 600]) await fixture.add(ahead, 1_000 + ahead);
  await fixture.add(30, 5_000, TimerMagic.DEFAULT | TimerMagic.DELETE);
  const expected = [3, 2, 2];
  assert.deepEqual(await fixture.files.counts(NOW_SLOT, ends), expected, 'recalls do not count');
  await fixture.files.close();
  await fixture.open();
  const { readCalls } = fixture.files.cost;
  assert.deepEqual(await fixture.files.counts(NOW_SLOT, ends), expected, 'from the file');
  assert.equal(fixture.files.cost.readCalls, readCalls + 1, 'in one piece');
  await fixture.fire(-3);
  await fixture.fire(4);
  assert.deepEqual(await fixture.files.counts(NOW_SLOT, ends), [1, 2, 2]);
  assert.deepEqual(await fixture.files.counts(NOW_SLOT + 1_000, [NOW_SLOT + 2_000]), [0]);
  await fixture.files.close();
});

test('counts: a page that cannot be read is an error and no number', async () => {
  const fixture = await Fixture.make();
  await fixture.add(4, 1_000);
  await fixture.files.close();
  await fixture.open();
  fixture.fileSystem.inject({ operation: 'read', path: 'timerwheel', code: 'EIO' });
  await assert.rejects(fixture.files.counts(NOW_SLOT, [NOW_SLOT + 60]), { code: 'STORE_READ_FAILED' });
  await fixture.files.close();
});
