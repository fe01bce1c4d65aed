import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConsumeQueueStore } from '../../src/queue/consume-queue-store.ts';
import { unitPhyOffset, unitSize, writeUnit } from '../../src/queue/unit.ts';
import { type MemoryContext, memoryContext, reopened, request } from './harness.ts';
import { MemoryFileSystem } from './memory-file-system.ts';

const FILE_SIZE = 6_000;
const PER_FILE = FILE_SIZE / 20;
/** Sequences of flushes, each cut at every operation. */
const RUNS = Number(process.env.RUNS ?? 8);
const settings = { mappedFileSizeConsumeQueue: FILE_SIZE, flushConsumeQueueLeastPages: 1 };

function path(file: number): string {
  return `/store/consumequeue/T/0/${String(file * FILE_SIZE).padStart(20, '0')}`;
}

/** A queue of `count` entries, entry n for the record [n × 100, n × 100 + 100), wholly on disk. */
async function written(count: number): Promise<MemoryContext> {
  const context = memoryContext(settings);
  const store = new ConsumeQueueStore(context);
  const queue = store.findOrCreate('T', 0);
  for (let n = 0; n < count; n++) {
    queue.append(request({ consumeQueueOffset: n, commitLogOffset: n * 100, msgSize: 100 }));
  }
  await store.flush(0);
  await store.close();
  return reopened(context);
}

async function recovered(context: MemoryContext, durableWhere: number | undefined) {
  const store = new ConsumeQueueStore(context);
  await store.load();
  const result = await store.recover(durableWhere);
  return { store, result, queue: store.findOrCreate('T', 0) };
}

/** Zeroes `count` entries from entry n on, as a power cut does that took some pages and not others. */
function punch(context: MemoryContext, n: number, count: number): void {
  const file = context.fileSystem.files.get(path(Math.floor(n / PER_FILE)))!;
  file.fill(0, (n % PER_FILE) * 20, ((n % PER_FILE) + count) * 20);
}

for (const count of [1, 199, 200, 201, 299, 300, 301, 900, 1_234]) {
  test(`queue recovery: ${count} entries are found, with and without a known durable point`, async () => {
    for (const durableWhere of [undefined, 0, 5_000, count * 100, Number.POSITIVE_INFINITY]) {
      const context = await written(count);
      const { queue, result } = await recovered(context, durableWhere);
      assert.equal(queue.maxOffsetInQueue, count, `durable up to ${durableWhere}`);
      assert.equal(queue.maxPhysicOffset, count * 100);
      assert.equal(result.maxPhysicOffset, count * 100);
      assert.equal(result.completeWhere, Math.min(durableWhere ?? 0, count * 100));
    }
  });
}

test('queue recovery: a queue of a million entries costs few reads when the durable point is known', async () => {
  const files = new Map<string, Buffer>();
  const fileSize = 20 * 250_000;
  for (let file = 0; file < 4; file++) {
    const bytes = Buffer.alloc(fileSize);
    for (let n = 0; n < 250_000; n++) writeUnit(bytes, n * 20, (file * 250_000 + n) * 100, 100, 0);
    files.set(`/store/consumequeue/T/0/${String(file * fileSize).padStart(20, '0')}`, bytes);
  }
  const fileSystem = new MemoryFileSystem(files);
  const context = memoryContext({ mappedFileSizeConsumeQueue: fileSize }, fileSystem);
  let reads = 0;
  fileSystem.fault = ({ kind }) => {
    if (kind === 'read') reads++;
    return undefined;
  };
  const { queue } = await recovered(context, Number.POSITIVE_INFINITY);
  assert.equal(queue.maxOffsetInQueue, 1_000_000);
  assert.ok(reads < 40, `${reads} reads`);
});

test('queue recovery: the queue ends at the first hole, what lay behind it is zeroed and later files go', async () => {
  const context = await written(1_000);
  punch(context, 450, 10);
  const { queue, store } = await recovered(context, 30_000);
  assert.equal(queue.maxOffsetInQueue, 450);
  assert.equal(queue.maxPhysicOffset, 45_000);
  assert.deepEqual([...context.fileSystem.files.keys()], [path(0), path(1)]);
  assert.ok(
    context.fileSystem.files
      .get(path(1))!
      .subarray(150 * 20)
      .every((byte) => byte === 0),
  );
  // The records behind the hole are dispatched again and take their old places.
  for (let n = 400; n < 1_000; n++) {
    store.dispatch(request({ consumeQueueOffset: n, commitLogOffset: n * 100, msgSize: 100 }));
  }
  assert.equal(queue.maxOffsetInQueue, 1_000);
});

test('queue recovery: entries left over from before a cut of the log do not come back behind new ones', async () => {
  const context = await written(250);
  punch(context, 100, 1);
  const first = await recovered(context, 5_000);
  assert.equal(first.queue.maxOffsetInQueue, 100);
  // The log was cut there too; a shorter record takes the place, and the process is killed.
  first.queue.append(request({ consumeQueueOffset: 100, commitLogOffset: 10_000, msgSize: 91 }));
  await first.store.flush(0);
  const second = await recovered(reopened(context), 10_091);
  assert.equal(second.queue.maxOffsetInQueue, 101, 'entries 101 to 249 are of another life');
});

test('queue recovery: a last entry over a sector’s end is not believed above the durable point', async () => {
  // Entry 25 has bytes 500 to 520; a power cut took the sector that begins at 512, and with it the tag.
  const torn = async (): Promise<MemoryContext> => {
    const context = await written(30);
    context.fileSystem.files.get(path(0))!.fill(0, 512);
    return context;
  };
  for (const [durableWhere, expected] of [
    [1_000, 25],
    [2_500, 25],
    [2_600, 26],
    [undefined, 26],
    [Number.POSITIVE_INFINITY, 26],
  ] as const) {
    const context = await torn();
    const { queue } = await recovered(context, durableWhere);
    assert.equal(queue.maxOffsetInQueue, expected, `durable up to ${durableWhere}`);
    assert.equal(queue.maxPhysicOffset, expected * 100);
    assert.ok(
      context.fileSystem.files
        .get(path(0))!
        .subarray(expected * 20)
        .every((byte) => byte === 0),
    );
  }
});

test('queue recovery: the second half of an entry over a sector’s end does not pass for a durable entry', async () => {
  // Entry 402 has bytes 2,040 to 2,060 of its file: a power cut took the sector below 2,048, with its offset and the whole
  // of entry 401, and left its size. The search by halves comes by it.
  const context = await written(403);
  context.fileSystem.files.get(path(1))!.fill(0, 2_020, 2_048);
  const { queue, result, store } = await recovered(context, 40_100);
  assert.equal(queue.maxOffsetInQueue, 401);
  assert.equal(result.completeWhere, 40_100);
  for (const n of [401, 402]) {
    store.dispatch(request({ consumeQueueOffset: n, commitLogOffset: n * 100, msgSize: 100 }));
  }
  const units = await queue.read(401, 2);
  assert.deepEqual([unitPhyOffset(units, 0), unitPhyOffset(units, 20)], [40_100, 40_200]);
});

test('queue recovery: an entry that goes back in the log ends the queue, in front of the one before it', async () => {
  const context = await written(50);
  writeUnit(context.fileSystem.files.get(path(0))!, 30 * 20, 500, 100, 0);
  const { queue } = await recovered(context, 2_000);
  // Nothing tells which of the two is wrong; both are above the durable point and made anew.
  assert.equal(queue.maxOffsetInQueue, 29);
});

for (const [what, position, mask, n] of [
  ['offset', 5, 0x40, 80],
  ['offset', 4, 0x40, 0],
  ['size', 10, 0x40, 80],
  // Entry 50 is the first behind the sector of entry 49, which is not asked.
  ['size', 9, 0x40, 49],
  // 116 instead of 100: past the beginning of entry 25, which lies over a sector's end, and not past that of entry 26.
  ['size', 11, 0x10, 24],
] as const) {
  test(`queue recovery: a bit of the ${what} of entry ${n} turned over (byte ${position}) hides no entry behind it`, async () => {
    for (const durableWhere of [8_100, 11_900, 12_000]) {
      const context = await written(120);
      const file = context.fileSystem.files.get(path(0))!;
      file[n * 20 + position]! ^= mask;
      const { queue, store, result } = await recovered(context, durableWhere);
      for (let record = result.completeWhere / 100; record < 120; record++) {
        store.dispatch(request({ consumeQueueOffset: record, commitLogOffset: record * 100, msgSize: 100 }));
      }
      assert.equal(queue.maxOffsetInQueue, 120);
      const units = await queue.read(0, 120);
      for (let entry = 0; entry < 120; entry++) {
        assert.deepEqual(
          [unitPhyOffset(units, entry * 20), unitSize(units, entry * 20)],
          [entry * 100, 100],
          `entry ${entry}, durable up to ${durableWhere}`,
        );
      }
    }
  });
}

test('queue recovery: the newest durable entry with too large a size is made anew and hides no record dispatched later', async () => {
  const context = await written(100);
  context.fileSystem.files.get(path(0))![99 * 20 + 10]! ^= 0x40;
  const { queue, store, result } = await recovered(context, 10_000);
  assert.equal(result.completeWhere, 9_900);
  for (let record = 99; record < 110; record++) {
    store.dispatch(request({ consumeQueueOffset: record, commitLogOffset: record * 100, msgSize: 100 }));
  }
  assert.equal(queue.maxOffsetInQueue, 110);
  assert.equal(unitSize(await queue.read(99, 1), 0), 100);
});

test('queue recovery: a first file without a good entry keeps its number', async () => {
  const context = await written(1);
  const file = context.fileSystem.files.get(path(0))!;
  context.fileSystem.files.delete(path(0));
  context.fileSystem.files.set(path(7), file.fill(0));
  const { queue, result } = await recovered(reopened(context), undefined);
  assert.equal(queue.maxOffsetInQueue, 7 * PER_FILE);
  assert.equal(queue.minOffsetInQueue, 7 * PER_FILE);
  assert.equal(result.maxPhysicOffset, -1);
  assert.equal(result.completeWhere, 0);
  assert.ok(context.fileSystem.files.has(path(7)));
});

test('queue recovery: a file left behind the place where the queue begins after all is gone before one is made in front of it', async () => {
  const context = await written(1);
  const { files } = context.fileSystem;
  files.set(path(1), files.get(path(0))!.fill(0));
  files.delete(path(0));
  const begun = reopened(context);
  const { store, queue } = await recovered(begun, 0);
  for (let n = 0; n < PER_FILE + 20; n++) {
    store.dispatch(request({ consumeQueueOffset: n, commitLogOffset: n * 100, msgSize: 100 }));
  }
  const { operations } = context.fileSystem;
  const from = operations.length;
  await store.flush(0);
  const done = operations.slice(from).map(({ kind, path: at }) => `${kind} ${at}`);
  const removed = done.indexOf(`remove ${path(1)}`);
  const made = done.indexOf(`create ${path(0)}`);
  assert.ok(removed >= 0 && removed < made, `${done}`);
  assert.ok(done.slice(removed, made).includes('syncDirectory /store/consumequeue/T/0'), `${done}`);
  assert.equal(queue.maxOffsetInQueue, PER_FILE + 20);
  const { queue: again } = await recovered(reopened(context), (PER_FILE + 20) * 100);
  assert.equal(again.maxOffsetInQueue, PER_FILE + 20);
});

test('queue recovery: with the consumequeue directory removed by hand nothing counts as complete', async () => {
  const { result } = await recovered(memoryContext(settings), 1e9);
  assert.deepEqual(result, { maxPhysicOffset: -1, completeWhere: 0, rebuildFrom: Number.POSITIVE_INFINITY });
});

test('queue recovery: after a power cut anywhere, recovery and dispatch from the durable point give the whole queue', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ count: fc.integer({ min: 1, max: 400 }), leastPages: fc.constantFrom(0, 1, 1) }), {
        minLength: 1,
        maxLength: 6,
      }),
      fc.integer(),
      async (steps, seed) => {
        const context = memoryContext(settings);
        const { fileSystem } = context;
        const store = new ConsumeQueueStore(context);
        /** Operations done and durable point, after each thorough flush. */
        const points: { operations: number; where: number }[] = [{ operations: 0, where: 0 }];
        let n = 0;
        for (const { count, leastPages } of steps) {
          for (let index = 0; index < count; index++, n++) {
            store.dispatch(request({ consumeQueueOffset: n, commitLogOffset: n * 100, msgSize: 100 }));
          }
          await store.flush(leastPages);
          if (leastPages === 0) points.push({ operations: fileSystem.operations.length, where: n * 100 });
        }
        let state = seed >>> 0;
        const random = (): number => {
          state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
          return state / 2 ** 32;
        };
        for (let cut = 0; cut <= fileSystem.operations.length; cut++) {
          const { where } = points.filter((point) => point.operations <= cut).at(-1)!;
          const disk = new MemoryFileSystem(fileSystem.filesAfterPowerCut(cut, random));
          // A file whose size was not on disk is empty; one that is not the last cannot happen with one writer.
          const after = memoryContext(settings, disk);
          const again = new ConsumeQueueStore(after);
          await again.load();
          const { completeWhere } = await again.recover(where);
          assert.ok(completeWhere <= where);
          await again.truncateDirty(completeWhere);
          assert.equal(completeWhere, where, 'what was durable is still there');
          for (let record = completeWhere / 100; record < n; record++) {
            again.dispatch(request({ consumeQueueOffset: record, commitLogOffset: record * 100, msgSize: 100 }));
          }
          const units = await again.findOrCreate('T', 0).read(0, n);
          assert.equal(units.length, n * 20);
          for (let entry = 0; entry < n; entry++) assert.equal(unitPhyOffset(units, entry * 20), entry * 100);
          assert.deepEqual(
            after.lines.filter((line) => line.level === 'error'),
            [],
          );
        }
      },
    ),
    { numRuns: RUNS },
  );
});

for (const hole of [0, 3, 120, 350]) {
  test(`queue recovery: entry ${hole} of 500 durable ones is gone: said, nothing behind it removed, made anew`, async () => {
    const context = await written(500);
    punch(context, hole, 5);
    const files = [...context.fileSystem.files.keys()].sort();
    const { store, result, queue } = await recovered(context, 50_000);
    // A search by halves may step over a small hole; reading names such an entry (message-reader).
    if (result.completeWhere === 50_000) {
      assert.equal(queue.maxOffsetInQueue, 500);
      return;
    }
    assert.equal(result.completeWhere, hole * 100);
    assert.deepEqual([...context.fileSystem.files.keys()].sort(), files);
    const said = context.lines.filter(({ level }) => level === 'error').map(({ message }) => message);
    assert.deepEqual(said, [
      `consume queue is damaged at entry ${hole}: its entries from there on are made anew from the log`,
    ]);
    for (let n = hole; n < 500; n++) {
      store.dispatch(request({ consumeQueueOffset: n, commitLogOffset: n * 100, msgSize: 100 }));
    }
    await store.flush(0);
    await store.close();
    const again = await recovered(reopened(context), 50_000);
    assert.equal(again.result.completeWhere, 50_000);
    const units = await again.queue.read(0, 500);
    for (let n = 0; n < 500; n++) assert.equal(unitPhyOffset(units, n * 20), n * 100);
  });
}
