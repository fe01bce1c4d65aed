import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ConsumeQueue } from '../../src/queue/consume-queue.ts';
import { ConsumeQueueStore } from '../../src/queue/consume-queue-store.ts';
import { isFillerUnit, unitPhyOffset, unitSize, unitTagsCode } from '../../src/queue/unit.ts';
import { diskContext, type MemoryContext, memoryContext, reopened, request } from './harness.ts';

/** Ten entries a file. */
const small = { mappedFileSizeConsumeQueue: 200, flushConsumeQueueLeastPages: 1 };
const FILES = '/store/consumequeue/T/0';

function fileBytes(context: MemoryContext, fileFromOffset: number): Buffer | undefined {
  return context.fileSystem.files.get(`${FILES}/${String(fileFromOffset).padStart(20, '0')}`);
}

async function openStore(context: MemoryContext, durableWhere?: number): Promise<ConsumeQueueStore> {
  const store = new ConsumeQueueStore(context);
  await store.load();
  await store.recover(durableWhere);
  return store;
}

function append(queue: ConsumeQueue, offset: number, phyOffset: number, size = 100): boolean {
  return queue.append(
    request({ consumeQueueOffset: offset, commitLogOffset: phyOffset, msgSize: size, tagsCode: -offset }),
  );
}

async function phyOffsets(
  queue: ConsumeQueue,
  from = queue.minOffsetInQueue,
  count = 100_000,
): Promise<(number | null)[]> {
  const units = await queue.read(from, count);
  const result: (number | null)[] = [];
  for (let at = 0; at < units.length; at += 20) result.push(isFillerUnit(units, at) ? null : unitPhyOffset(units, at));
  return result;
}

test('consume queue: entry n is at byte n × 20 of its file, the file has its full size', async (t) => {
  const context = await diskContext(t, { mappedFileSizeConsumeQueue: 190 });
  const store = new ConsumeQueueStore(context);
  const queue = store.findOrCreate('T', 3);
  for (let n = 0; n < 12; n++) {
    queue.append(
      request({
        queueId: 3,
        consumeQueueOffset: n,
        commitLogOffset: 2 ** 33 + n * 256,
        msgSize: 0x100,
        tagsCode: n === 1 ? -2 : 1_700_000_000_123,
      }),
    );
  }
  await store.flush(0);
  const directory = `${context.config.storePathRootDir}/consumequeue/T/3`;
  assert.deepEqual(await context.fileSystem.list(directory), ['00000000000000000000', '00000000000000000200']);
  const first = (await context.fileSystem.readFile(`${directory}/00000000000000000000`))!;
  const second = (await context.fileSystem.readFile(`${directory}/00000000000000000200`))!;
  assert.equal(first.length, 200, '190 rounded up to whole units');
  assert.equal(second.length, 200);
  assert.equal(
    first.toString('hex', 0, 40),
    '0000000200000000' + '00000100' + '0000018bcfe5687b' + '0000000200000100' + '00000100' + 'fffffffffffffffe',
  );
  assert.equal(second.toString('hex', 20, 60), `0000000200000b00000001000000018bcfe5687b${'00'.repeat(20)}`);
  await store.close();
});

test('consume queue: a record dispatched already is ignored by its end in the log', () => {
  const queue = new ConsumeQueueStore(memoryContext(small)).findOrCreate('T', 0);
  assert.equal(append(queue, 0, 0), true);
  assert.equal(append(queue, 1, 0), false, 'same record, whatever its number');
  assert.equal(append(queue, 1, 50, 50), false, 'ends where the last one ends');
  assert.equal(append(queue, 1, 100), true);
  assert.equal(queue.maxOffsetInQueue, 2);
  assert.equal(queue.maxPhysicOffset, 200);
});

test('consume queue: a place that is taken is a duplicate and changes nothing', async () => {
  const queue = new ConsumeQueueStore(memoryContext(small)).findOrCreate('T', 0);
  append(queue, 0, 0);
  append(queue, 1, 100);
  assert.equal(append(queue, 1, 900), false);
  assert.equal(append(queue, 0, 900), false);
  assert.deepEqual(await phyOffsets(queue), [0, 100]);
  assert.equal(queue.maxPhysicOffset, 200);
});

test('consume queue: one that starts at a later offset gets filler from the start of that file', async () => {
  const context = memoryContext(small);
  const store = await openStore(context);
  const queue = store.findOrCreate('T', 0);
  assert.equal(append(queue, 23, 5_000), true);
  assert.equal(queue.minOffsetInQueue, 23);
  assert.equal(queue.maxOffsetInQueue, 24);
  assert.deepEqual(await phyOffsets(queue, 20), [null, null, null, 5_000]);
  assert.equal((await queue.read(19, 1)).length, 0, 'there is no file before it');
  await store.flush(0);
  assert.equal(fileBytes(context, 0), undefined);
  assert.equal(
    fileBytes(context, 400)!.toString('hex', 40, 80),
    '00000000000000007fffffff0000000000000000' + '000000000000138800000064ffffffffffffffe9',
  );
  assert.deepEqual(
    context.lines.map((line) => line.level),
    ['info'],
  );

  const again = (await openStore(reopened(context), 1e9)).find('T', 0)!;
  assert.equal(again.minOffsetInQueue, 23);
  assert.equal(again.maxOffsetInQueue, 24);
});

test('consume queue: a gap is an order error, logged, and becomes filler', async () => {
  const context = memoryContext(small);
  const queue = new ConsumeQueueStore(context).findOrCreate('T', 0);
  append(queue, 0, 0);
  assert.equal(append(queue, 3, 1_000), true);
  assert.deepEqual(await phyOffsets(queue), [0, null, null, 1_000]);
  const errors = context.lines.filter((line) => line.level === 'error');
  assert.equal(errors.length, 1);
  assert.equal(errors[0]!.fields.expected, 3);
  assert.equal(errors[0]!.fields.found, 1);
});

test('consume queue: a gap over several files makes none for the files wholly inside it', async () => {
  const context = memoryContext(small);
  const store = await openStore(context);
  const queue = store.findOrCreate('T', 0);
  append(queue, 0, 0);
  append(queue, 45, 10_000);
  const expected = [0, ...new Array(44).fill(null), 10_000];
  assert.deepEqual(await phyOffsets(queue), expected);
  await store.flush(0);
  await store.flush(0);
  assert.equal(queue.holdsBuffer, false);
  assert.deepEqual(await phyOffsets(queue), expected);
  assert.deepEqual(
    [...context.fileSystem.files.keys()],
    [`${FILES}/00000000000000000000`, `${FILES}/00000000000000000800`],
  );
  const again = (await openStore(reopened(context), 1e9)).find('T', 0)!;
  assert.deepEqual(await phyOffsets(again), expected);
});

for (const count of [0, 1]) {
  test(`consume queue: a number that the log has no room for gets no entry (${count} before it)`, async () => {
    const context = memoryContext(small);
    const queue = new ConsumeQueueStore(context).findOrCreate('T', 0);
    if (count > 0) append(queue, 0, 0);
    assert.equal(append(queue, 536_870_924, 20_000), false);
    assert.equal(queue.maxOffsetInQueue, count);
    const errors = context.lines.filter((line) => line.level === 'error');
    assert.deepEqual([errors.length, errors[0]!.fields.commitLogOffset], [1, 20_000]);
    assert.equal(append(queue, count, 20_100), true, 'the queue goes on');
  });
}

test('consume queue: files far behind the others are stray and cost no time', async () => {
  const context = memoryContext(small);
  const store = await openStore(context);
  for (let n = 0; n < 5; n++) append(store.findOrCreate('T', 0), n, n * 100);
  await store.flush(0);
  const file = context.fileSystem.files.get(`${FILES}/00000000000000000000`)!;
  for (const name of ['00000000900000000000', '99999999999999999999']) {
    context.fileSystem.files.set(`${FILES}/${name}`, Buffer.from(file));
  }
  const again = (await openStore(reopened(context), 1e9)).find('T', 0)!;
  assert.equal(again.maxOffsetInQueue, 5);
});

test('consume queue: readers get gathered entries in the same turn, and never one past the end', async () => {
  const queue = new ConsumeQueueStore(memoryContext(small)).findOrCreate('T', 0);
  assert.equal(queue.readHot(0, 10)!.length, 0, 'empty queue');
  for (let n = 0; n < 15; n++) append(queue, n, n * 100);
  assert.equal(queue.readHot(5, 3)!.length, 60);
  assert.equal(unitPhyOffset(queue.readHot(5, 3)!, 40), 700);
  assert.equal(queue.readHot(12, 100)!.length, 60);
  assert.equal(queue.readHot(15, 1)!.length, 0);
  assert.equal(queue.readHot(-1, 1)!.length, 0);
  assert.equal((await queue.read(12, 100)).length, 60);
  assert.equal((await queue.read(16, 100)).length, 0);
});

test('consume queue: what a reader got stays as it is while the queue goes on', async () => {
  const store = new ConsumeQueueStore(memoryContext(small));
  const queue = store.findOrCreate('T', 0);
  append(queue, 0, 700);
  const units = queue.readHot(0, 1)!;
  for (let n = 1; n < 500; n++) append(queue, n, 700 + n * 100);
  await store.flush(0);
  await store.flush(0);
  for (let n = 500; n < 900; n++) append(queue, n, 700 + n * 100);
  assert.equal(unitPhyOffset(units, 0), 700);
});

test('consume queue: a busy queue keeps its newest block after a write, an idle one lets go of it', async () => {
  const store = new ConsumeQueueStore(memoryContext(small));
  const queue = store.findOrCreate('T', 0);
  append(queue, 0, 0);
  await store.flush(0);
  assert.equal(queue.holdsBuffer, true);
  assert.equal(queue.hasUnwritten, false);
  assert.equal(queue.readHot(0, 1)!.length, 20);
  await store.flush(0);
  assert.equal(queue.holdsBuffer, false);
  assert.equal(queue.readHot(0, 1), undefined, 'only read() has it now');
  assert.equal(unitSize(await queue.read(0, 1), 0), 100);
  assert.equal(store.bufferedBytes, 0);
  append(queue, 1, 100);
  assert.deepEqual(await phyOffsets(queue), [0, 100], 'from the file and from memory');
});

test('consume queue: entries that come while a flush writes wait for the next one, and none is lost', async () => {
  const context = memoryContext({ mappedFileSizeConsumeQueue: 60_000, flushConsumeQueueLeastPages: 1 });
  const store = new ConsumeQueueStore(context);
  const queue = store.findOrCreate('T', 0);
  let next = 0;
  const appendSome = (count: number): void => {
    for (let n = 0; n < count; n++, next++) append(queue, next, next * 100);
  };
  appendSome(10);
  let writes = 0;
  context.fileSystem.fault = ({ kind }) => {
    if (kind === 'write' && ++writes < 20) appendSome(500);
    return undefined;
  };
  for (let flush = 1; flush <= 5; flush++) {
    await store.flush(0);
    assert.ok(writes <= flush * 2, `${writes} writes in ${flush} flushes`);
    assert.equal(queue.hasUnwritten, true);
    assert.equal((await phyOffsets(queue)).length, next);
  }
  context.fileSystem.fault = undefined;
  await store.flush(0);
  await store.flush(0);
  assert.equal(queue.holdsBuffer, false);
  assert.deepEqual(
    await phyOffsets(queue),
    Array.from({ length: next }, (_, n) => n * 100),
  );
});

test('consume queue: min offset goes to the first entry at or above the log’s start, filler stepped over', async () => {
  const store = new ConsumeQueueStore(memoryContext(small));
  const queue = store.findOrCreate('T', 0);
  for (let n = 0; n < 8; n++) append(queue, n, n * 100);
  append(queue, 14, 1_800);
  append(queue, 15, 1_900);
  for (const [minPhyOffset, expected] of [
    [0, 0],
    [100, 1],
    [650, 7],
    [701, 14],
    [1_800, 14],
    [1_801, 15],
  ] as const) {
    await queue.correctMinOffset(minPhyOffset);
    assert.equal(queue.minOffsetInQueue, expected, `log starts at ${minPhyOffset}`);
  }
  await queue.correctMinOffset(100);
  assert.equal(queue.minOffsetInQueue, 15, 'it never goes back');
  await queue.correctMinOffset(5_000);
  assert.equal(queue.minOffsetInQueue, 16, 'none left: the number of the next entry is kept');
  assert.equal(queue.maxOffsetInQueue, 16);
});

test('consume queue: expired files go, the last one stays whatever its age', async () => {
  const context = memoryContext(small);
  const store = await openStore(context);
  const queue = store.findOrCreate('T', 0);
  for (let n = 0; n < 35; n++) append(queue, n, n * 100);
  await store.flush(0);
  assert.equal(await queue.deleteExpired(900), 0, 'the last record of the first file starts at 900');
  assert.equal(await queue.deleteExpired(950), 1);
  assert.equal(queue.minOffsetInQueue, 10);
  assert.equal(fileBytes(context, 0), undefined);
  assert.equal((await queue.read(9, 5)).length, 0);
  assert.equal(await queue.deleteExpired(1e9), 2);
  assert.equal(queue.minOffsetInQueue, 35);
  assert.equal(queue.maxOffsetInQueue, 35);
  assert.ok(fileBytes(context, 600));
  append(queue, 35, 2e9);
  await store.flush(0);
  const again = (await openStore(reopened(context), 1e12)).find('T', 0)!;
  await again.correctMinOffset(1e9);
  assert.deepEqual([again.minOffsetInQueue, again.maxOffsetInQueue], [35, 36]);
});

test('consume queue: a file not written yet is never deleted as expired', async () => {
  const store = new ConsumeQueueStore(memoryContext(small));
  const queue = store.findOrCreate('T', 0);
  for (let n = 0; n < 35; n++) append(queue, n, n * 100);
  assert.equal(await queue.deleteExpired(1e9), 0);
  await store.flush(0);
  assert.equal(await queue.deleteExpired(1e9), 3);
});

test('consume queue: truncation takes every entry at or above the offset, durably, and no other', async () => {
  for (const cut of [0, 1, 950, 1_000, 1_050, 1_900, 3_400, 3_450]) {
    const context = memoryContext(small);
    const store = await openStore(context);
    const queue = store.findOrCreate('T', 0);
    for (let n = 0; n < 35; n++) append(queue, n, n * 100);
    await store.flush(1);
    await store.truncateDirty(cut);
    const kept = Array.from({ length: 35 }, (_, n) => n * 100).filter((phyOffset) => phyOffset < cut);
    assert.deepEqual(await phyOffsets(queue, 0), kept, `cut at ${cut}`);
    assert.equal(queue.maxPhysicOffset, kept.length === 0 ? -1 : kept.at(-1)! + 100);
    for (const [path, bytes] of context.fileSystem.files) {
      const from = Number(path.slice(-20));
      const end = Math.max(0, kept.length * 20 - from);
      assert.ok(
        bytes.subarray(end).every((byte) => byte === 0),
        `zeros behind the end in ${path}, cut at ${cut}`,
      );
    }
    const again = (await openStore(reopened(context))).find('T', 0);
    assert.deepEqual(again ? await phyOffsets(again, 0) : [], kept);
    // The same records come again and go to the same places.
    for (let n = kept.length; n < 35; n++) assert.equal(append(queue, n, n * 100), true);
    assert.equal(queue.maxOffsetInQueue, 35);
  }
});

test('consume queue: truncated to nothing in its first file it keeps the number of the next entry', async () => {
  const context = memoryContext(small);
  const store = await openStore(context);
  const queue = store.findOrCreate('T', 0);
  for (let n = 20; n < 25; n++) append(queue, n, n * 100);
  await store.flush(0);
  await store.truncateDirty(500);
  assert.deepEqual([queue.minOffsetInQueue, queue.maxOffsetInQueue], [20, 20]);
  const again = (await openStore(reopened(context))).find('T', 0)!;
  assert.equal(again.maxOffsetInQueue, 20);
  assert.equal(again.append(request({ consumeQueueOffset: 20, commitLogOffset: 500 })), true);
});

type Command =
  | { kind: 'append'; count: number; skip: number; size: number }
  | { kind: 'again'; back: number }
  | { kind: 'flush'; leastPages: number }
  | { kind: 'reopen'; known: boolean }
  | { kind: 'truncate'; back: number }
  | { kind: 'expire'; part: number }
  | { kind: 'read'; from: number; count: number };

const command = fc.oneof<fc.Arbitrary<Command>[]>(
  fc.record({
    kind: fc.constant('append' as const),
    count: fc.integer({ min: 1, max: 60 }),
    skip: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(30) }),
    size: fc.integer({ min: 91, max: 500 }),
  }),
  fc.record({ kind: fc.constant('again' as const), back: fc.nat(20) }),
  fc.record({ kind: fc.constant('flush' as const), leastPages: fc.constantFrom(0, 0, 1) }),
  fc.record({ kind: fc.constant('reopen' as const), known: fc.boolean() }),
  fc.record({ kind: fc.constant('truncate' as const), back: fc.nat(30) }),
  fc.record({ kind: fc.constant('expire' as const), part: fc.double({ min: 0, max: 1, noNaN: true }) }),
  fc.record({ kind: fc.constant('read' as const), from: fc.nat(200), count: fc.nat(50) }),
);

test('consume queue: behaves as a plain array of entries through appends, reads, truncation, deletion and reopening', async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(200, 6_000), fc.array(command, { maxLength: 30 }), async (fileSize, commands) => {
      const context = memoryContext({ ...small, mappedFileSizeConsumeQueue: fileSize });
      let store = await openStore(context);
      /** Place n of the queue: the record's offset and size, or null for filler. */
      let model: ({ phyOffset: number; size: number } | null)[] = [];
      let logEnd = 1_000;
      let logMin = 0;
      const queue = (): ConsumeQueue => store.findOrCreate('T', 0);
      const real = () => model.filter((entry) => entry !== null);
      const check = async (from: number, count: number): Promise<void> => {
        const to = Math.min(model.length, from + count);
        const units = await queue().read(from, count);
        const min = queue().minOffsetInQueue;
        assert.equal(queue().maxOffsetInQueue, model.length, 'maxOffset');
        if (from < min || to <= from) return;
        assert.equal(units.length, (to - from) * 20, `entries ${from} to ${to}`);
        for (let n = from; n < to; n++) {
          const at = (n - from) * 20;
          const entry = model[n]!;
          assert.equal(isFillerUnit(units, at), entry === null, `filler at ${n}`);
          if (entry === null) continue;
          assert.equal(unitPhyOffset(units, at), entry.phyOffset);
          assert.equal(unitSize(units, at), entry.size);
          assert.equal(unitTagsCode(units, at), -n || 0);
        }
      };
      for (const step of commands) {
        if (step.kind === 'append') {
          for (let index = 0; index < step.count; index++) {
            // A gap stands for records without an entry, whose bytes are in the log.
            if (index === 0) logEnd += step.skip * 100;
            if (index === 0) for (let gap = 0; gap < step.skip; gap++) model.push(null);
            assert.equal(append(queue(), model.length, logEnd, step.size), true);
            model.push({ phyOffset: logEnd, size: step.size });
            logEnd += step.size + 7;
          }
        } else if (step.kind === 'again') {
          const entry = model.at(-1 - step.back);
          if (entry) assert.equal(append(queue(), model.length - 1 - step.back, entry.phyOffset, entry.size), false);
        } else if (step.kind === 'flush') await store.flush(step.leastPages);
        else if (step.kind === 'reopen') {
          await store.flush(0);
          await store.close();
          // Without a durable point only the last three files are looked at, as RocketMQ does.
          store = await openStore(context, step.known ? logEnd : undefined);
          assert.equal(context.fileSystem.openCount <= context.config.consumeQueueOpenFilesMax, true);
        } else if (step.kind === 'truncate') {
          const entry = model.at(-1 - step.back);
          if (entry && entry.phyOffset >= logMin) {
            await store.truncateDirty(entry.phyOffset);
            model = model.slice(0, model.length - 1 - step.back);
            logEnd = entry.phyOffset;
          }
        } else if (step.kind === 'expire') {
          await store.flush(0);
          logMin = Math.max(logMin, Math.floor(logEnd * step.part));
          await store.deleteExpired(logMin);
          const first = model.findIndex((entry) => entry !== null && entry.phyOffset >= logMin);
          if (real().length > 0) assert.equal(queue().minOffsetInQueue, first < 0 ? model.length : first);
        } else await check(step.from, step.count);
        if (model.length > 0) await check(queue().minOffsetInQueue, model.length);
        const last = real().at(-1);
        if (last && last.phyOffset >= logMin) assert.equal(queue().maxPhysicOffset, last.phyOffset + last.size);
      }
      assert.equal(context.failure, undefined);
    }),
    { numRuns: Number(process.env.RUNS ?? 80) },
  );
});
