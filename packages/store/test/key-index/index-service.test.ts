import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@vernier/torture';
import fc from 'fast-check';
import { decodeIndexHeader, decodeIndexUnit, INDEX_HEADER_SIZE } from '../../src/key-index/index-layout.ts';
import { IndexService, indexKeyHash, UNFLUSHED_KEYS_MAX } from '../../src/key-index/index-service.ts';
import {
  TRANSACTION_COMMIT_TYPE,
  TRANSACTION_PREPARED_TYPE,
  TRANSACTION_ROLLBACK_TYPE,
} from '../../src/record/sys-flag.ts';
import { javaStringHashCode } from '../../src/record/tags-code.ts';
import { type MemoryContext, memoryContext, reopened, request } from '../queue/harness.ts';
import { MemoryFileSystem } from '../queue/memory-file-system.ts';

const small = { maxHashSlotNum: 8, maxIndexNum: 16 };
const TIME = 1_700_000_000_000;
const EVER = 1e15;

async function open(context: MemoryContext, options: Parameters<IndexService['load']>[0] = {}): Promise<IndexService> {
  const index = new IndexService(context);
  await index.load(options);
  return index;
}

function put(index: IndexService, phyOffset: number, uniqKey: string | undefined, keys = '', more = {}): void {
  index.buildIndex(request({ commitLogOffset: phyOffset, uniqKey, keys, storeTimestamp: TIME + phyOffset, ...more }));
}

async function find(index: IndexService, key: string, topic = 'T', maxNum = 64): Promise<number[]> {
  return (await index.queryOffset(topic, key, maxNum, 0, EVER)).phyOffsets;
}

test('index: the unique key and each of the keys find the record, only under its topic', async () => {
  const index = await open(memoryContext({ maxHashSlotNum: 1_000, maxIndexNum: 1_000 }));
  put(index, 100, 'U1', ' a  bc d ');
  put(index, 200, undefined, 'bc');
  put(index, 300, 'U3');
  put(index, 400, undefined);
  assert.deepEqual(await find(index, 'U1'), [100]);
  assert.deepEqual(await find(index, 'a'), [100]);
  assert.deepEqual(await find(index, 'bc'), [200, 100]);
  assert.deepEqual(await find(index, 'd'), [100]);
  assert.deepEqual(await find(index, ''), []);
  assert.deepEqual(await find(index, 'U3'), [300]);
  assert.deepEqual(await find(index, 'U3', 'Other'), []);
  assert.deepEqual(await find(index, 'bc', 'T', 1), [200]);
});

test('index: the unique key is filed first', async () => {
  const context = memoryContext(small);
  const index = await open(context);
  put(index, 100, 'U', 'k');
  await index.flush();
  const bytes = [...context.fileSystem.files.values()][0]!;
  assert.equal(decodeIndexUnit(bytes, 72 + 20).keyHash, indexKeyHash(javaStringHashCode('T#U')));
  assert.equal(decodeIndexUnit(bytes, 72 + 40).keyHash, indexKeyHash(javaStringHashCode('T#k')));
});

test('index: tags are filed behind the keys as topic#T#tags, as RocketMQ 5.4 and later do', async () => {
  const context = memoryContext(small);
  const index = await open(context);
  put(index, 100, 'U', 'k', { tags: 'TagA' });
  put(index, 200, undefined, '', { tags: 'TagA' });
  put(index, 300, 'U3');
  await index.flush();
  const bytes = [...context.fileSystem.files.values()][0]!;
  const filed = ['T#U', 'T#k', 'T#T#TagA', 'T#T#TagA', 'T#U3'];
  for (const [at, key] of filed.entries()) {
    const unit = decodeIndexUnit(bytes, 72 + 20 * (at + 1));
    assert.equal(unit.keyHash, indexKeyHash(javaStringHashCode(key)), key);
  }
  assert.equal(decodeIndexHeader(bytes).indexCount, filed.length + 1);
  assert.deepEqual((await index.queryOffset('T', 'TagA', 9, 0, EVER, 'tag')).phyOffsets, [200, 100]);
  assert.deepEqual((await index.queryOffset('T', 'TagA', 9, 0, EVER, 'key')).phyOffsets, [], 'a tag is no key');
  assert.deepEqual((await index.queryOffset('T', 'k', 9, 0, EVER, 'tag')).phyOffsets, [], 'a key is no tag');
});

test('index: tags of a rolled back record are not filed; those of the newest record not twice', async () => {
  const context = memoryContext(small);
  const index = await open(context);
  put(index, 100, 'a', '', { tags: 'x', sysFlag: TRANSACTION_ROLLBACK_TYPE });
  put(index, 200, 'b', '', { tags: 'x' });
  await index.flush();
  const again = await open(reopened(context));
  put(again, 200, 'b', '', { tags: 'x' });
  assert.deepEqual((await again.queryOffset('T', 'x', 9, 0, EVER, 'tag')).phyOffsets, [200]);
});

test('index: a chain of thousands of units is read a block at a time', async () => {
  const context = memoryContext({ maxHashSlotNum: 8, maxIndexNum: 5_000 });
  const index = await open(context);
  for (let n = 0; n < 2_000; n++) put(index, n * 10, `u${n}`, '', { tags: 'hot', storeTimestamp: TIME + n * 1_000 });
  await index.flush();
  const fresh = await open(reopened(context));
  let reads = 0;
  context.fileSystem.fault = ({ kind }) => {
    if (kind === 'read') reads++;
    return undefined;
  };
  const found = await fresh.queryOffset('T', 'hot', 9, TIME, TIME + 3_000, 'tag');
  assert.deepEqual(found.phyOffsets, [30, 20, 10, 0]);
  assert.ok(reads <= 4_000 / 204 + 2, `${reads} reads for 2,000 units in 4,000 places`);
});

test('index: the hash is Java’s of topic#key without its sign; the one number without a positive becomes 0', () => {
  assert.equal(indexKeyHash(-5), 5);
  assert.equal(indexKeyHash(5), 5);
  assert.equal(indexKeyHash(-2_147_483_648), 0);
});

test('index: rolled back records are not filed, half and committed ones are', async () => {
  const index = await open(memoryContext(small));
  put(index, 100, 'r', '', { sysFlag: TRANSACTION_ROLLBACK_TYPE });
  put(index, 200, 'p', '', { sysFlag: TRANSACTION_PREPARED_TYPE });
  put(index, 300, 'c', '', { sysFlag: TRANSACTION_COMMIT_TYPE });
  assert.deepEqual([await find(index, 'r'), await find(index, 'p'), await find(index, 'c')], [[], [200], [300]]);
});

test('index: a record below the end of what is filed is skipped', async () => {
  const index = await open(memoryContext(small));
  put(index, 500, 'a');
  put(index, 400, 'b');
  assert.deepEqual(await find(index, 'b'), []);
  assert.equal(index.endPhyOffset, 500);
});

test('index: no more than maxMsgsNumBatch are answered', async () => {
  const index = await open(memoryContext({ ...small, maxIndexNum: 500, maxMsgsNumBatch: 5 }));
  for (let n = 0; n < 20; n++) put(index, n * 10, 'k');
  assert.deepEqual(await find(index, 'k'), [190, 180, 170, 160, 150]);
});

test('index: without any file a query is empty and nothing is made on disk', async () => {
  const context = memoryContext(small);
  const index = await open(context);
  assert.deepEqual(await index.queryOffset('T', 'k', 10, 0, EVER), {
    phyOffsets: [],
    indexLastUpdateTimestamp: 0,
    indexLastUpdatePhyoffset: 0,
  });
  put(index, 100, undefined);
  await index.flush();
  assert.equal(index.fileCount, 0);
  assert.equal(context.fileSystem.files.size, 0);
});

test('index: a full file is followed by another; queries go over both, newest first', async () => {
  const clock = new ManualClock();
  const context = memoryContext(small, undefined, clock);
  const index = await open(context);
  for (let n = 0; n < 40; n++) put(index, n * 10, n % 3 === 0 ? 'k' : `x${n}`);
  const expected = Array.from({ length: 14 }, (_, n) => 390 - n * 30);
  assert.equal(index.fileCount, 3);
  assert.deepEqual(await find(index, 'k'), expected);
  assert.equal(index.indexMsgTimestamp, 0, 'full, but not flushed');
  await index.flush();
  assert.deepEqual(await find(index, 'k'), expected);
  assert.equal(index.indexMsgTimestamp, TIME + 290, 'the last record of the second file');
  const names = [...context.fileSystem.files.keys()];
  assert.equal(new Set(names).size, 3);
  assert.deepEqual(names.toSorted(), names, 'made in one millisecond, yet in order of name');
  // A new file's header begins at its own first record.
  assert.deepEqual(
    names.map((name) => decodeIndexHeader(context.fileSystem.files.get(name)!).beginPhyOffset),
    [0, 150, 300],
  );
  const again = await open(reopened(context));
  assert.deepEqual(await find(again, 'k'), expected);
  assert.equal(again.indexMsgTimestamp, TIME + 290);
});

test('index: a clock that steps back does not put a new file before the others', async () => {
  const clock = new ManualClock();
  const context = memoryContext(small, undefined, clock);
  const index = await open(context);
  for (let n = 0; n < 15; n++) put(index, n, 'a');
  clock.stepWallClock(-3_600_000);
  put(index, 100, 'b');
  await index.flush();
  const again = await open(reopened(context));
  assert.equal(again.endPhyOffset, 100);
});

test('index: records from before a step of the clock and from after it are found by their times', async () => {
  const context = memoryContext(small);
  const index = await open(context);
  const at = (n: number, key: string, storeTimestamp: number): void =>
    index.buildIndex(request({ commitLogOffset: n * 10, uniqKey: key, storeTimestamp }));
  const far = TIME + 24 * 365 * 86_400_000;
  at(0, 'k', TIME);
  at(1, 'k', far);
  at(2, 'k', far + 1_000);
  at(3, 'k', TIME + 5_000);
  at(4, 'k', TIME + 6_000);
  const check = async (opened: typeof index): Promise<void> => {
    const found = async (begin: number, end: number): Promise<number[]> =>
      (await opened.queryOffset('T', 'k', 64, begin, end)).phyOffsets.map((offset) => offset / 10);
    assert.deepEqual(await found(0, Number.MAX_SAFE_INTEGER), [4, 3, 2, 1, 0]);
    assert.deepEqual(await found(far - 10_000, Number.MAX_SAFE_INTEGER), [2, 1]);
    assert.deepEqual(await found(TIME + 1_000, TIME + 5_999), [3]);
    assert.deepEqual(await found(TIME - 1_000, TIME), [0]);
  };
  await check(index);
  await index.flush();
  assert.equal(index.fileCount, 2);
  await check(index);
  await check(await open(reopened(context)));
});

test('index: slots that a crash left ahead are led back on disk, also when the next key belongs to a new file', async () => {
  const context = memoryContext(small);
  const index = await open(context);
  for (let n = 0; n < 5; n++) put(index, n * 10, 'k');
  await index.flush();
  const [path] = [...context.fileSystem.files.keys()];
  const before = Buffer.from(context.fileSystem.files.get(path!)!);
  for (let n = 5; n < 9; n++) put(index, n * 10, 'k');
  await index.flush();
  // The crash came between the slots and the header.
  before.copy(context.fileSystem.files.get(path!)!, 0, 0, INDEX_HEADER_SIZE);
  const after = await open(reopened(context));
  after.buildIndex(request({ commitLogOffset: 1_000, uniqKey: 'k', storeTimestamp: TIME - 3_600_000 }));
  await after.flush();
  assert.equal(after.fileCount, 2);
  const { phyOffsets } = await (await open(reopened(context))).queryOffset('T', 'k', 64, 0, Number.MAX_SAFE_INTEGER);
  assert.deepEqual(phyOffsets, [1_000, 40, 30, 20, 10, 0]);
});

test('index: a query’s times choose by whole seconds, over files too, as a linear search does', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ step: fc.nat(3_000), key: fc.constantFrom('a', 'b', 'c') }), { maxLength: 60 }),
      fc.nat(60_000),
      fc.nat(60_000),
      async (messages, from, length) => {
        const index = await open(memoryContext(small));
        let time = TIME;
        const filed: { phyOffset: number; key: string; time: number }[] = [];
        let fileBegin = 0;
        messages.forEach(({ step, key }, n) => {
          time += step;
          index.buildIndex(request({ commitLogOffset: n * 10, uniqKey: key, storeTimestamp: time }));
          // 15 units a file, and a unit counts its seconds from the first of them.
          if (n % 15 === 0) fileBegin = time;
          filed.push({ phyOffset: n * 10, key, time: fileBegin + Math.trunc((time - fileBegin) / 1_000) * 1_000 });
        });
        const begin = TIME + from;
        const end = begin + length;
        const { phyOffsets } = await index.queryOffset('T', 'a', 64, begin, end);
        const firstUnits = new Set(filed.filter((_, n) => n % 15 === 0 && n > 0).map(({ phyOffset }) => phyOffset));
        const expected = filed.filter((unit) => unit.key === 'a' && unit.time >= begin && unit.time <= end);
        // The first unit of a later file counts from its predecessor's end, RocketMQ's own oddity; it is left out here.
        const plain = (offsets: number[]) => offsets.filter((offset) => !firstUnits.has(offset));
        assert.deepEqual(plain(phyOffsets), plain(expected.map(({ phyOffset }) => phyOffset).reverse()));
      },
    ),
  );
});

test('index: expired files go, the last one stays', async () => {
  const context = memoryContext(small);
  const index = await open(context);
  for (let n = 0; n < 40; n++) put(index, n * 10, 'k');
  await index.flush();
  assert.equal(await index.deleteExpired(140), 0, 'the first file ends at 140');
  assert.equal(await index.deleteExpired(141), 1);
  assert.equal((await find(index, 'k')).at(-1), 150);
  assert.equal(await index.deleteExpired(EVER), 1);
  assert.equal(context.fileSystem.files.size, 1);
  await index.destroy();
  assert.equal(context.fileSystem.files.size, 0);
  assert.equal(context.fileSystem.openCount, 0);
  assert.deepEqual(await find(index, 'k'), []);
  put(index, 10, 'k');
  assert.deepEqual(await find(index, 'k'), [10], 'and it starts again');
});

test('index: after an unclean exit of another broker, files newer than the checkpoint are removed', async () => {
  const context = memoryContext(small);
  const index = await open(context);
  for (let n = 0; n < 40; n++) put(index, n * 10, 'k');
  await index.flush();
  await index.close();
  const again = await open(reopened(context), { safeTimestamp: TIME + 290, completeWhere: 400 });
  assert.equal(again.fileCount, 2);
  assert.equal(again.endPhyOffset, 290);
  assert.equal(again.maxPhyOffset, 290, 'the records of the removed file have to come again');
  const kept = await open(reopened(context), { safeTimestamp: TIME + 390, completeWhere: 450 });
  assert.equal(kept.fileCount, 2);
  assert.equal(kept.maxPhyOffset, 450);
});

test('index: an empty file left by a crash is removed, one of another size refused, the rest ignored', async () => {
  const empty = '/store/index/20260101000000000';
  const fileSystem = new MemoryFileSystem(
    new Map([
      [empty, Buffer.alloc(0)],
      ['/store/index/notes', Buffer.from('x')],
    ]),
  );
  await open(memoryContext(small, fileSystem));
  assert.deepEqual([...fileSystem.files.keys()], ['/store/index/notes']);
  fileSystem.files.set(empty, Buffer.alloc(100));
  await assert.rejects(open(memoryContext(small, fileSystem)), { code: 'STORE_FILE_SIZE_MISMATCH' });
});

test('index: truncation forgets the records at or above the offset, over files, durably', async () => {
  for (const cut of [0, 5, 145, 150, 160, 300, 305, 390, 391]) {
    const context = memoryContext(small);
    const index = await open(context);
    for (let n = 0; n < 40; n++) put(index, n * 10, n % 2 ? 'odd' : 'even');
    await index.flush();
    await index.truncateDirty(cut);
    const expected = (odd: number) =>
      Array.from({ length: 40 }, (_, n) => n)
        .filter((n) => n % 2 === odd && n * 10 < cut)
        .map((n) => n * 10)
        .reverse();
    assert.deepEqual(await find(index, 'odd'), expected(1), `cut at ${cut}`);
    const crashed = await open(reopened(context));
    assert.deepEqual(await find(crashed, 'even'), expected(0), `cut at ${cut}, opened again`);
    // Other records take the place of those that went.
    put(index, cut, 'new');
    put(index, cut + 10, 'odd');
    await index.flush();
    const again = await open(reopened(context));
    assert.deepEqual(await find(again, 'new'), [cut]);
    assert.deepEqual(await find(again, 'odd'), [cut + 10, ...expected(1)]);
    assert.deepEqual(await find(again, 'even'), expected(0));
  }
});

test('index: slots that a crash left past the count keep their way back when a second crash comes into the next flush', async () => {
  // One slot for all keys would hide it: the units that take the place of those past the count must be other slots'.
  const context = memoryContext({ maxHashSlotNum: 64, maxIndexNum: 64 });
  const index = await open(context);
  for (let n = 0; n < 8; n++) put(index, n * 10, `k${n}`);
  await index.flush();
  // These get to the disk with their slots, and the header that counts them does not; then the log is cut in front of them.
  for (let n = 0; n < 8; n++) put(index, 100 + n, `k${n}`);
  const { fileSystem } = context;
  let writes = 0;
  fileSystem.fault = ({ kind }) => (kind === 'write' && ++writes === 3 ? 'EIO' : undefined);
  await assert.rejects(index.flush(), { code: 'STORE_FLUSH_FAILED' });
  fileSystem.fault = undefined;
  const second = reopened(context);
  const again = await open(second);
  // Keys of other slots take the places of those that went.
  for (let n = 0; n < 8; n++) put(again, 200 + n, `other${n}`);
  const before = fileSystem.operations.length;
  await again.flush();
  const after = fileSystem.operations.length;
  assert.ok(after - before >= 6);
  for (let cut = before; cut <= after; cut++) {
    for (const drawn of [0.1, 0.99]) {
      const disk = new MemoryFileSystem(fileSystem.filesAfterPowerCut(cut, () => drawn));
      const third = await open(memoryContext({ maxHashSlotNum: 64, maxIndexNum: 64 }, disk));
      for (let n = 0; n < 8; n++) {
        assert.deepEqual(await find(third, `k${n}`), [n * 10], `k${n}, cut after ${cut - before}, drawn ${drawn}`);
      }
    }
  }
});

test('index: keys that pile up ask for a flush, once it began no more', async () => {
  const index = await open(memoryContext({ maxHashSlotNum: 8, maxIndexNum: 2_000_000 }));
  let woken = 0;
  index.onWork = () => woken++;
  for (let n = 0; n < UNFLUSHED_KEYS_MAX; n++) put(index, n, 'k');
  assert.equal(woken, 2, 'the first file and the first key');
  assert.equal(index.isOverfull, false);
  put(index, UNFLUSHED_KEYS_MAX, 'k');
  assert.equal(woken, 3);
  assert.equal(index.isOverfull, true);
  await index.flush();
  assert.equal(index.isOverfull, false);
});

test('index: a record with keys in two files that is dispatched again after a restart is not filed twice', async () => {
  const context = memoryContext(small);
  const index = await open(context);
  for (let n = 0; n < 14; n++) put(index, n, 'x');
  put(index, 500, 'u', 'a b');
  await index.flush();
  assert.equal(index.fileCount, 2);
  const again = await open(reopened(context));
  put(again, 500, 'u', 'a b');
  put(again, 600, 'u', 'a');
  assert.deepEqual(
    [await find(again, 'u'), await find(again, 'a'), await find(again, 'b')],
    [[600, 500], [600, 500], [500]],
  );
});

test('index: with nothing to flush a flush touches no file, and a store that failed refuses it', async () => {
  const context = memoryContext(small);
  const index = await open(context);
  put(index, 1, 'k');
  let woken = 0;
  index.onWork = () => woken++;
  assert.equal(index.isDirty, true);
  await index.flush();
  assert.equal(index.isDirty, false);
  const count = context.fileSystem.operations.length;
  await index.flush();
  assert.equal(context.fileSystem.operations.length, count);
  put(index, 2, 'k');
  assert.equal(woken, 1);
  context.fileSystem.fault = ({ kind }) => (kind === 'sync' ? 'EIO' : undefined);
  await assert.rejects(index.flush(), { code: 'STORE_FLUSH_FAILED' });
  context.fileSystem.fault = undefined;
  await assert.rejects(index.flush(), { code: 'STORE_FLUSH_FAILED' });
  assert.deepEqual(await find(index, 'k'), [2, 1], 'reads go on');
});

interface Filed {
  phyOffset: number;
  keys: string[];
}

test('index: cut after any step of any flush, the header never counts what is not on disk, every counted key is found, and dispatching all again files each key once', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ messages: fc.integer({ min: 0, max: 12 }), during: fc.nat(4) }), {
        minLength: 1,
        maxLength: 5,
      }),
      fc.integer(),
      async (steps, seed) => {
        const context = memoryContext(small);
        const index = await open(context);
        const filed: Filed[] = [];
        const putNext = (): void => {
          const n = filed.length;
          const message = { phyOffset: 1_000 + n * 10, keys: [`u${n}`, `k${n % 4}`, ...(n % 3 === 0 ? ['z'] : [])] };
          filed.push(message);
          put(index, message.phyOffset, message.keys[0], message.keys.slice(1).join(' '));
        };
        for (const { messages, during } of steps) {
          for (let n = 0; n < messages; n++) putNext();
          let left = during;
          context.fileSystem.fault = ({ kind }) => {
            if (kind === 'write' && left-- > 0) putNext();
            return undefined;
          };
          await index.flush();
        }
        context.fileSystem.fault = undefined;
        const all = filed.flatMap(({ phyOffset, keys }) => keys.map((key) => ({ phyOffset, key })));
        let state = seed >>> 0;
        const random = (): number => {
          state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
          return state / 2 ** 32;
        };
        for (let cut = 0; cut <= context.fileSystem.operations.length; cut++) {
          const disk = new MemoryFileSystem(context.fileSystem.filesAfterPowerCut(cut, random));
          const after = memoryContext(small, disk);
          let counted = 0;
          for (const [path, bytes] of [...disk.files].sort()) {
            if (bytes.length === 0) continue;
            const { indexCount } = decodeIndexHeader(bytes);
            for (let number = 1; number < indexCount; number++) {
              const unit = decodeIndexUnit(bytes, 72 + number * 20);
              const expected = all[counted++]!;
              assert.equal(unit.phyOffset, expected.phyOffset, `unit ${number} of ${path} after operation ${cut}`);
              assert.equal(unit.keyHash, indexKeyHash(javaStringHashCode(`T#${expected.key}`)));
            }
          }
          const again = await open(after);
          const expectFound = async (units: typeof all, when: string): Promise<void> => {
            for (const key of new Set(all.map((unit) => unit.key))) {
              const expected = units.filter((unit) => unit.key === key).map((unit) => unit.phyOffset);
              assert.deepEqual(await find(again, key), expected.reverse(), `${key} ${when}, operation ${cut}`);
            }
          };
          await expectFound(all.slice(0, counted), 'as found');
          for (const { phyOffset, keys } of filed) put(again, phyOffset, keys[0], keys.slice(1).join(' '));
          await expectFound(all, 'dispatched again');
          await again.flush();
          await again.close();
        }
      },
    ),
    { numRuns: Number(process.env.RUNS ?? 4) },
  );
});
