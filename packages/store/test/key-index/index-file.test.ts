import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IndexFile } from '../../src/key-index/index-file.ts';
import { indexFileName, indexFileSize } from '../../src/key-index/index-layout.ts';
import { diskContext, memoryContext } from '../queue/harness.ts';

const small = { maxHashSlotNum: 8, maxIndexNum: 16 };
const PATH = '/store/index/20260101000000000';
const TIME = 1_700_000_000_000;
/** Java hashes of "T#k1" and "T#k9", worked out by hand; both lie in slot 5 of 8. */
const K2 = 77;
const K1 = 2_539_445;
const K9 = 2_539_453;

async function select(file: IndexFile, keyHash: number, maxNum = 64, begin = 0, end = 1e15): Promise<number[]> {
  const found: number[] = [];
  for await (const phyOffset of file.phyOffsets(keyHash, begin, end)) {
    found.push(phyOffset);
    if (found.length === maxNum) break;
  }
  return found;
}

test('index file: header, slots and units have RocketMQ’s bytes', async (t) => {
  const context = await diskContext(t, small);
  const path = `${context.config.storePathRootDir}/index/20260101000000000`;
  const file = IndexFile.create(context, path, 0, 0);
  assert.equal(file.putKey(K1, 1_000, TIME), true);
  assert.equal(file.putKey(K9, 2 ** 33 + 5, TIME + 2_500), true);
  await file.flush();
  const bytes = (await context.fileSystem.readFile(path))!;
  assert.equal(bytes.length, 40 + 8 * 4 + 16 * 20);
  const hex = (from: number, to: number) => bytes.toString('hex', from, to);
  assert.equal(hex(0, 40), '0000018bcfe568000000018bcfe571c400000000000003e800000002000000050000000100000003');
  assert.equal(hex(40, 72), `${'00000000'.repeat(5)}00000002${'00000000'.repeat(2)}`);
  assert.equal(hex(72, 92), '00'.repeat(20), 'unit 0 is never used');
  assert.equal(hex(92, 112), '0026bfb500000000000003e80000000000000000');
  assert.equal(hex(112, 132), '0026bfbd00000002000000050000000200000001');
  assert.ok(bytes.subarray(132).every((byte) => byte === 0));
  await file.close();
});

test('index file: at RocketMQ’s default size it has 420,000,040 bytes and takes hardly any of them on disk', async (t) => {
  const context = await diskContext(t);
  const path = `${context.config.storePathRootDir}/index/20260101000000000`;
  const file = IndexFile.create(context, path, 0, 0);
  for (let n = 0; n < 100; n++) file.putKey(n * 49_999, n, TIME);
  await file.flush();
  const { stat } = await import('node:fs/promises');
  const { size, blocks } = await stat(path);
  assert.equal(size, 420_000_040);
  assert.equal(indexFileSize(5_000_000, 20_000_000), 420_000_040);
  assert.ok(blocks * 512 < 2 * 1024 * 1024, `${blocks * 512} bytes on disk`);
  await file.close();
});

test('index file: a new one begins where its predecessor ended, until its first key', async () => {
  const file = IndexFile.create(memoryContext(small), PATH, 5_000, TIME);
  assert.deepEqual(
    [file.beginPhyOffset, file.endPhyOffset, file.beginTimestamp, file.endTimestamp],
    [5_000, 5_000, TIME, TIME],
  );
  file.putKey(K1, 6_000, TIME + 9_000);
  assert.deepEqual(
    [file.beginPhyOffset, file.endPhyOffset, file.beginTimestamp, file.endTimestamp],
    [6_000, 6_000, TIME + 9_000, TIME + 9_000],
  );
});

test('index file: hash slots are counted once, units each', () => {
  const file = IndexFile.create(memoryContext(small), PATH, 0, 0);
  for (const keyHash of [5, 13, 5, 2]) file.putKey(keyHash, 0, TIME);
  assert.equal(file.hashSlotCount, 2);
  assert.equal(file.indexCount, 5);
});

test('index file: full at maxIndexNum, and then it takes no key', () => {
  const file = IndexFile.create(memoryContext(small), PATH, 0, 0);
  for (let n = 1; n < 16; n++) {
    assert.equal(file.isWriteFull, false);
    assert.equal(file.putKey(n, n, TIME), true);
  }
  assert.equal(file.isWriteFull, true);
  assert.equal(file.putKey(99, 99, TIME), false);
  assert.equal(file.endPhyOffset, 15);
});

test('index file: newest first, other keys of the slot left out, at most maxNum, gathered or on disk', async () => {
  const file = IndexFile.create(memoryContext(small), PATH, 0, 0);
  file.putKey(K1, 100, TIME);
  file.putKey(K9, 200, TIME);
  file.putKey(K1, 300, TIME);
  for (const state of ['gathered', 'on disk']) {
    assert.deepEqual(await select(file, K1), [300, 100], state);
    assert.deepEqual(await select(file, K9), [200], state);
    assert.deepEqual(await select(file, K1, 1), [300], state);
    assert.deepEqual(await select(file, 5), [], 'same slot, key never put');
    assert.deepEqual(await select(file, 4), [], 'empty slot');
    await file.flush();
  }
});

test('index file: times are kept in whole seconds after the first record, never below 0', async () => {
  const file = IndexFile.create(memoryContext(small), PATH, 0, 0);
  file.putKey(5, 1, TIME + 500);
  file.putKey(5, 2, TIME + 1_499);
  file.putKey(5, 3, TIME + 1_500);
  file.putKey(5, 4, TIME);
  assert.deepEqual(await select(file, 5, 64, TIME + 1_500, 1e15), []);
  assert.deepEqual(await select(file, 5, 64, TIME + 500, TIME + 1_499), [4, 2, 1]);
  assert.deepEqual(await select(file, 5, 64, 0, 1e15), [4, 3, 2, 1]);
});

test('index file: written units go out once, in one write, slots only where they changed', async () => {
  const context = memoryContext({ maxHashSlotNum: 10_000, maxIndexNum: 1_000 });
  const file = IndexFile.create(context, PATH, 0, 0);
  for (const keyHash of [1, 2, 9_999]) file.putKey(keyHash, keyHash, TIME);
  await file.flush();
  const { operations } = context.fileSystem;
  const writes = () =>
    operations.filter((operation) => operation.kind === 'write').map(({ position, data }) => [position, data.length]);
  // The first page of the file holds the header and 1,014 slots; the last slots lie in page 9.
  assert.deepEqual(writes(), [
    [40_040 + 20, 60],
    [40, 4_056],
    [9 * 4_096, 40_040 - 9 * 4_096],
    [0, 40],
  ]);
  operations.length = 0;
  file.putKey(9_998, 9_999, TIME);
  await file.flush();
  assert.deepEqual(writes(), [
    [40_040 + 80, 20],
    [9 * 4_096, 40_040 - 9 * 4_096],
    [0, 40],
  ]);
  assert.deepEqual(
    operations.map((operation) => operation.kind),
    ['write', 'sync', 'write', 'sync', 'write', 'sync'],
  );
  operations.length = 0;
  await file.flush();
  assert.deepEqual(operations, []);
});

test('index file: a long flush syncs as it goes', async () => {
  const context = memoryContext({ maxHashSlotNum: 3_000_000, maxIndexNum: 300_000 });
  const file = IndexFile.create(context, PATH, 0, 0);
  for (let n = 0; n < 290_000; n++) file.putKey((n * 7_919) % 3_000_000, n, TIME);
  await file.flush();
  let unsynced = 0;
  let most = 0;
  for (const operation of context.fileSystem.operations) {
    if (operation.kind === 'write') unsynced += operation.data.length;
    if (operation.kind === 'sync') unsynced = 0;
    most = Math.max(most, unsynced);
  }
  assert.ok(most < 9 * 1024 * 1024, `${most} bytes written without a sync`);
});

test('index file: keys put while a flush is under way are not in it, and are in the next', async () => {
  const context = memoryContext(small);
  const file = IndexFile.create(context, PATH, 0, 0);
  file.putKey(K1, 100, TIME);
  let put = 1;
  context.fileSystem.fault = ({ kind }) => {
    // At every write and sync another key of the same slot.
    if (kind === 'write' || kind === 'sync') file.putKey(put % 2 ? K9 : K1, 100 + put++, TIME);
    return undefined;
  };
  await file.flush();
  context.fileSystem.fault = undefined;
  assert.ok(put > 5);
  assert.equal(file.unflushedCount, put - 1);
  const crashed = await IndexFile.load(context, PATH, indexFileSize(8, 16));
  assert.equal(crashed.indexCount, 2);
  assert.deepEqual(await select(crashed, K1), [100]);
  await file.flush();
  const whole = await IndexFile.load(context, PATH, indexFileSize(8, 16));
  assert.deepEqual(
    [...(await select(whole, K1)), ...(await select(whole, K9))].sort(),
    await select(file, K1).then(async (k1) => [...k1, ...(await select(file, K9))].sort()),
  );
  assert.equal(whole.indexCount, put + 1);
});

for (const moment of [1, 2, 3]) {
  test(`index file: a key put during write ${moment} of a flush is found after the next one`, async () => {
    const context = memoryContext(small);
    const file = IndexFile.create(context, PATH, 0, 0);
    file.putKey(K1, 100, TIME);
    let writes = 0;
    context.fileSystem.fault = ({ kind }) => {
      if (kind === 'write' && ++writes === moment) file.putKey(K9, 200, TIME);
      return undefined;
    };
    await file.flush();
    await file.flush();
    const loaded = await IndexFile.load(context, PATH, indexFileSize(8, 16));
    assert.deepEqual([await select(loaded, K1), await select(loaded, K9)], [[100], [200]]);
  });
}

test('index file: another size and an impossible count are refused', async () => {
  const context = memoryContext(small);
  context.fileSystem.files.set(PATH, Buffer.alloc(indexFileSize(8, 16)));
  await assert.rejects(IndexFile.load(context, PATH, 393), {
    code: 'STORE_FILE_SIZE_MISMATCH',
    details: { path: PATH, expected: 392, found: 393 },
  });
  context.fileSystem.files.get(PATH)!.writeInt32BE(17, 36);
  await assert.rejects(IndexFile.load(context, PATH, 392), { code: 'STORE_DAMAGED' });
  assert.equal(context.fileSystem.openCount, 0);
});

test('index file: a chain that leads in a circle ends', async () => {
  const context = memoryContext(small);
  const file = IndexFile.create(context, PATH, 0, 0);
  file.putKey(K1, 100, TIME);
  file.putKey(K1, 200, TIME);
  await file.flush();
  context.fileSystem.files.get(PATH)!.writeInt32BE(2, 72 + 20 + 16);
  const loaded = await IndexFile.load(context, PATH, 392);
  assert.deepEqual(await select(loaded, K1), [200, 100]);
});

test('index file: its name is local time, 17 digits', () => {
  const time = new Date(2026, 2, 4, 5, 6, 7, 8);
  assert.equal(indexFileName(time.getTime()), '20260304050607008');
});

for (const [kind, errno, code] of [
  ['write', 'EIO', 'STORE_FLUSH_FAILED'],
  ['sync', 'EIO', 'STORE_FLUSH_FAILED'],
  ['truncate', 'EIO', 'STORE_FLUSH_FAILED'],
  ['sync', 'ENOSPC', 'STORE_DISK_FULL'],
] as const) {
  test(`index file: ${errno} at ${kind} stops the store with ${code}`, async () => {
    const context = memoryContext(small);
    const file = IndexFile.create(context, PATH, 0, 0);
    file.putKey(K1, 100, TIME);
    context.fileSystem.fault = (operation) => (operation.kind === kind ? errno : undefined);
    await assert.rejects(file.flush(), { code });
    assert.equal(context.failure?.code, code);
  });
}

for (const [kind, errno] of [
  ['open', 'EMFILE'],
  ['makeDirectory', 'ENOSPC'],
  ['truncate', 'ENOSPC'],
  ['syncDirectory', 'EMFILE'],
  ['write', 'ENOSPC'],
] as const) {
  test(`index file: ${errno} at ${kind} is late and not fatal, at whatever call of the flush it comes`, async () => {
    for (let nth = 1; nth <= 4; nth++) {
      const context = memoryContext(small);
      const file = IndexFile.create(context, PATH, 0, 0);
      file.putKey(K1, 100, TIME);
      file.putKey(K2, 150, TIME);
      let calls = 0;
      context.fileSystem.fault = (operation) => (operation.kind === kind && ++calls === nth ? errno : undefined);
      await file.flush().then(
        () => assert.ok(calls < nth, 'the lack was there and the flush succeeded'),
        (error: { code: string }) => assert.match(error.code, /STORE_DISK_FULL|STORE_FLUSH_FAILED/),
      );
      context.fileSystem.fault = undefined;
      assert.equal(context.failure, undefined);
      assert.deepEqual(await select(file, K1), [100], 'readers find what is not on disk yet');
      file.putKey(K1, 200, TIME);
      await file.flush();
      assert.equal(file.unflushedCount, 0);
      const loaded = await IndexFile.load(context, PATH, context.fileSystem.files.get(PATH)!.length);
      assert.deepEqual(await select(loaded, K1), [200, 100], `${kind} number ${nth}`);
      assert.deepEqual(await select(loaded, K2), [150], `${kind} number ${nth}`);
      await file.close();
      await loaded.close();
      assert.equal(context.fileSystem.openCount, 0, 'no descriptor is lost on the way');
    }
  });
}

test('index file: one whose making a lack interrupted is removed with the index', async () => {
  const context = memoryContext(small);
  const file = IndexFile.create(context, PATH, 0, 0);
  file.putKey(K1, 100, TIME);
  context.fileSystem.fault = ({ kind }) => (kind === 'truncate' ? 'ENOSPC' : undefined);
  await assert.rejects(file.flush(), { code: 'STORE_DISK_FULL' });
  assert.ok(context.fileSystem.files.has(PATH));
  await file.destroy();
  assert.ok(!context.fileSystem.files.has(PATH));
});
