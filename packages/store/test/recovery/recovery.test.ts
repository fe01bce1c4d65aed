import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { StoreError } from '../../src/base/errors.ts';
import type { ConsumeQueue } from '../../src/queue/consume-queue.ts';
import { decodeDeletions, encodeDeletions } from '../../src/queue/deletions.ts';
import { unitPhyOffset, unitSize } from '../../src/queue/unit.ts';
import { interceptFileSystem, type Operation } from '../log/intercepted-file-system.ts';
import { encodeBlank, encodeRecord } from '../record/record-encoder.ts';
import { FILE_SIZE, LogImage, type Opened, START_TIME, StoreDirectory } from './recovery-fixture.ts';

// The names are quoted in docs/design/recovery.md; recovery-table.test.ts holds both equal.

/** Three files of records; queues complete up to `logics`, the log on disk up to `durable`; shares of the records. */
async function store(
  t: TestContext,
  options: { durable?: number; logics?: number; count?: number; config?: object } = {},
): Promise<{ directory: StoreDirectory; image: LogImage; durable: number; logics: number }> {
  const image = new LogImage();
  image.appendMany(options.count ?? 130);
  const directory = await StoreDirectory.make(t, options.config);
  await directory.writeLog(image);
  const durable = options.durable === undefined ? image.end : image.recordAt(options.durable).offset;
  const logics = options.logics === undefined ? durable : image.recordAt(options.logics).offset;
  // The queues get their entries from a first recovery of the same bytes.
  await directory.writeCheckpoint(image.end, 0);
  await directory.openAndShutDown(t);
  await rm(directory.checkpointPath);
  await directory.writeCheckpoint(durable, logics);
  return { directory, image, durable, logics };
}

function offsets(opened: Opened): number[] {
  return opened.dispatched.map((request) => request.commitLogOffset);
}

/** Every record below `end` once, in order, at its own place in its queue, and nothing else. */
async function assertQueues(opened: Opened, image: LogImage, end: number): Promise<void> {
  for (const queueId of [0, 1, 2]) {
    const expected = image.records.filter((record) => record.queueId === queueId && record.offset < end);
    const queue = opened.queues.find('TopicTest', queueId);
    assert.equal(queue?.maxOffsetInQueue ?? 0, expected.length, `entries of queue ${queueId}`);
    for (const [index, record] of expected.entries()) {
      const entry = await entryOf(queue!, index);
      assert.deepEqual(
        entry,
        { phyOffset: record.offset, size: record.bytes.length },
        `entry ${index} of queue ${queueId}`,
      );
    }
  }
}

async function entryOf(queue: ConsumeQueue, index: number): Promise<{ phyOffset: number; size: number }> {
  const units = await queue.read(index, 1);
  return { phyOffset: unitPhyOffset(units, 0), size: unitSize(units, 0) };
}

async function assertLog(directory: StoreDirectory, image: LogImage, end: number): Promise<void> {
  const expected = image.expected(end);
  const found = await directory.readLog();
  assert.deepEqual([...found.keys()], [...expected.keys()]);
  for (const [from, bytes] of expected) assert.ok(found.get(from)!.equals(bytes), `file ${from}`);
}

async function rejects(promise: Promise<unknown>, code: string): Promise<StoreError> {
  let thrown: StoreError | undefined;
  await assert.rejects(promise, (error: StoreError) => {
    thrown = error;
    assert.equal(error.code, code, error.stack);
    return true;
  });
  return thrown!;
}

// --- The start

test('start: clean exit, nothing behind the durable point: only the last records are read and nothing is written', async (t) => {
  const { directory, image } = await store(t);
  const before = await directory.snapshot();
  const writes: Operation[] = [];
  const opened = await directory.open(t, {
    fileSystem: interceptFileSystem((operation) => writes.push(operation)),
  });
  assert.equal(opened.result.maxOffset, image.end);
  assert.equal(opened.result.records, 0);
  assert.ok(opened.result.bytesScanned <= 4096);
  assert.deepEqual(opened.dispatched, []);
  assert.deepEqual(await directory.snapshot(), before);
  assert.deepEqual(
    writes.filter((operation) => !operation.path.endsWith('allocating')),
    [],
  );
  assert.equal(opened.log.maxOffset, image.end);
  assert.equal(opened.log.flushedWhere, image.end);
});

test('start: the scan begins where the queues end when that is below the durable point', async (t) => {
  const { directory, image, logics, durable } = await store(t, { durable: 0.8, logics: 0.6 });
  await directory.writeAbort();
  const opened = await directory.open(t);
  assert.equal(opened.result.rule, 'durable-point');
  assert.equal(offsets(opened)[0], logics);
  assert.deepEqual(
    offsets(opened),
    image.records.filter((record) => record.offset >= logics).map((record) => record.offset),
  );
  assert.equal(opened.result.records, opened.result.dispatched);
  assert.equal(opened.result.maxOffset, image.end);
  assert.ok(opened.result.bytesRewritten >= image.end - durable - 2 * FILE_SIZE);
  await assertQueues(opened, image, image.end);
});

test('start: queues removed by hand are made anew from the whole log', async (t) => {
  const { directory, image } = await store(t);
  await rm(join(directory.root, 'consumequeue'), { recursive: true });
  const opened = await directory.open(t);
  assert.equal(opened.result.dispatched, image.records.length);
  assert.equal(opened.result.bytesRewritten, 0);
  await assertQueues(opened, image, image.end);
});

test('start: the queues’ point inside a record: the scan begins at that record', async (t) => {
  const { directory, image } = await store(t);
  const record = image.recordAt(0.5);
  await rm(directory.checkpointPath);
  await directory.writeCheckpoint(image.end, record.offset + 100);
  const opened = await directory.open(t);
  assert.equal(offsets(opened)[0], record.offset);
  assert.equal(opened.result.damage, undefined);
  await assertQueues(opened, image, image.end);
});

test('start: the durable point inside a record is void: RocketMQ’s rule', async (t) => {
  const { directory, image } = await store(t);
  await rm(directory.checkpointPath);
  await directory.writeCheckpoint(image.recordAt(0.9).offset + 10, 0);
  const opened = await directory.open(t);
  assert.equal(opened.result.rule, 'java-clean-exit');
  assert.equal(opened.result.maxOffset, image.end);
  assert.match(JSON.stringify(opened.warnings), /inside the record at/);
  await assertQueues(opened, image, image.end);
});

test('start: the durable point below the first file is void: RocketMQ’s rule', async (t) => {
  const { directory, image } = await store(t, { durable: 0.1 });
  await rm(directory.logPath(0));
  const opened = await directory.open(t);
  assert.equal(opened.result.rule, 'java-clean-exit');
  assert.equal(opened.result.minOffset, FILE_SIZE);
  assert.equal(opened.result.maxOffset, image.end);
});

test('start: another broker has stored since the durable point was written: RocketMQ’s rule', async (t) => {
  const { directory, image } = await store(t, { durable: 0.5 });
  await directory.writeJavaCheckpoint(START_TIME + 500_000, START_TIME + 500_000);
  await directory.writeAbort();
  const opened = await directory.open(t);
  assert.equal(opened.result.rule, 'java-unclean-exit');
  assert.equal(opened.result.maxOffset, image.end);
  assert.equal(opened.checkpoint.durablePointState, 'valid');
  assert.equal(opened.checkpoint.durablePoint, image.end);
});

test('start: a durable point in a checkpoint whose two copies are unreadable is not used', async (t) => {
  const { directory, image } = await store(t, { durable: 0.5 });
  const page = await readFile(directory.checkpointPath);
  page[512 + 20]! ^= 1;
  page[1024 + 20]! ^= 1;
  await writeFile(directory.checkpointPath, page);
  const opened = await directory.open(t);
  assert.equal(opened.result.rule, 'java-clean-exit');
  assert.equal(opened.result.maxOffset, image.end);
});

test('start: Java’s directory after a clean exit: from the newest file at or below what the queues have', async (t) => {
  const { directory, image } = await store(t);
  await rm(directory.checkpointPath);
  await directory.writeJavaCheckpoint(START_TIME, START_TIME);
  const opened = await directory.open(t);
  assert.equal(opened.result.rule, 'java-clean-exit');
  const lastFile = image.end - (image.end % FILE_SIZE);
  assert.equal(offsets(opened)[0], lastFile);
  // What Java left is not known to be on disk, whatever its exit looked like.
  assert.equal(opened.result.bytesRewritten, image.end - lastFile);
  await assertQueues(opened, image, image.end);
});

test('start: Java’s directory after an unclean exit: from the newest file not younger than the checkpoint', async (t) => {
  const { directory, image } = await store(t);
  await rm(directory.checkpointPath);
  const second = image.records.find((record) => record.offset === FILE_SIZE)!;
  await directory.writeJavaCheckpoint(second.storeTimestamp + 3_000, second.storeTimestamp + 3_000);
  await directory.writeAbort();
  const opened = await directory.open(t);
  assert.equal(opened.result.rule, 'java-unclean-exit');
  assert.equal(offsets(opened)[0], FILE_SIZE);
  await assertQueues(opened, image, image.end);
});

test('start: Java’s directory after an unclean exit without a checkpoint: from the first file', async (t) => {
  const { directory, image } = await store(t);
  await rm(directory.checkpointPath);
  await directory.writeAbort();
  const opened = await directory.open(t);
  assert.equal(offsets(opened)[0], 0);
  assert.equal(opened.result.dispatched, image.records.length);
  await assertQueues(opened, image, image.end);
});

// --- The tail

test('tail: records above the durable point are written again and synced before anything is dispatched', async (t) => {
  const { directory, image, durable } = await store(t, { durable: 0.5 });
  await directory.writeAbort();
  const operations: string[] = [];
  const log: Operation[] = [];
  const fileSystem = interceptFileSystem((operation) => {
    if (!operation.path.includes('/commitlog/')) return;
    log.push(operation);
    operations.push(operation.name);
  });
  const opened = await directory.open(t, { fileSystem });
  assert.ok(opened.dispatched.length > 0);
  const covered = log.filter((operation) => operation.name === 'write');
  for (const record of image.records.filter((written) => written.offset >= durable)) {
    const path = directory.logPath(record.offset - (record.offset % FILE_SIZE));
    const position = record.offset % FILE_SIZE;
    const parts = covered.filter((operation) => operation.path === path);
    assert.ok(
      parts.some((part) => part.position <= position && part.position + part.bytes > position),
      `the record at ${record.offset} was written again`,
    );
  }
  const below = covered.filter((operation) => Number(operation.path.slice(-20)) + operation.position < durable);
  assert.deepEqual(below, [], 'nothing below the durable point is written');
  for (const path of new Set(covered.map((operation) => operation.path))) {
    const names = log.filter((operation) => operation.path === path).map((operation) => operation.name);
    assert.ok(names.lastIndexOf('sync') > names.lastIndexOf('write'), `${path} is synced after its last write`);
  }
  assert.equal(opened.checkpoint.durablePoint, image.end);
});

test('tail: a torn last record is cut (its end was never written)', async (t) => {
  const { directory, image } = await store(t, { durable: 0.9 });
  const last = image.records.at(-1)!;
  await directory.patch(last.offset + 200, Buffer.alloc(last.bytes.length - 200));
  await directory.writeAbort();
  const opened = await directory.open(t);
  assert.equal(opened.result.maxOffset, last.offset);
  await assertLog(directory, image, last.offset);
  await assertQueues(opened, image, last.offset);
});

test('tail: a record whose body does not match its CRC ends the log', async (t) => {
  const { directory, image } = await store(t, { durable: 0.9 });
  const last = image.records.at(-1)!;
  await directory.patch(last.offset + 300, Buffer.from([0xff]));
  await directory.writeAbort();
  const opened = await directory.open(t);
  assert.equal(opened.result.maxOffset, last.offset);
  assert.equal(opened.result.stop.kind === 'bad' && opened.result.stop.reason, 'body-crc');
});

test('tail: a record whose properties do not match __CRC32# ends the log when the check is on', async (t) => {
  for (const forceVerifyPropCRC of [true, false]) {
    const image = new LogImage();
    for (let i = 0; i < 5; i++) image.append({ propertyCrc: true, properties: 'TAGS\u0001AAAA\u0002' });
    const directory = await StoreDirectory.make(t, { forceVerifyPropCRC });
    await directory.writeLog(image);
    const last = image.records.at(-1)!;
    await directory.patch(last.offset + last.bytes.length - 23, Buffer.from('B'));
    const opened = await directory.open(t);
    assert.equal(opened.result.maxOffset, forceVerifyPropCRC ? last.offset : image.end);
  }
});

test('tail: a record that lacks a sector where no CRC covers it is cut', async (t) => {
  const image = new LogImage();
  for (let i = 0; i < 20; i++) image.append({ properties: `TAGS\u0001${'t'.repeat(1_200)}\u0002` });
  const directory = await StoreDirectory.make(t);
  await directory.writeLog(image);
  await directory.writeCheckpoint(image.recordAt(0.5).offset, 0);
  await directory.writeAbort();
  const last = image.records.at(-1)!;
  const sector = last.offset + 600 - ((last.offset + 600) % 512);
  assert.ok(sector > last.offset + 120 && sector + 512 < image.end);
  await directory.patch(sector, Buffer.alloc(512));
  const opened = await directory.open(t);
  assert.equal(opened.result.maxOffset, last.offset);
  assert.equal(opened.result.stop.kind === 'bad' && opened.result.stop.reason, 'torn-sector');
  await assertLog(directory, image, last.offset);
});

test('tail: a stale record of a reused file ends the log (its own offset is another)', async (t) => {
  const { directory, image } = await store(t);
  await directory.patch(image.end, encodeRecord({ physicalOffset: image.end - FILE_SIZE }));
  await directory.writeAbort();
  const opened = await directory.open(t);
  assert.equal(opened.result.maxOffset, image.end);
  assert.equal(opened.result.stop.kind === 'bad' && opened.result.stop.reason, 'physical-offset');
  assert.deepEqual(await directory.quarantined(), []);
  await assertLog(directory, image, image.end);
});

test('tail: a record that would cross the end of its file ends the log', async (t) => {
  const { directory, image } = await store(t);
  const left = FILE_SIZE - (image.end % FILE_SIZE);
  const record = encodeRecord({ physicalOffset: image.end, body: Buffer.alloc(left) });
  await directory.patch(image.end, record.subarray(0, left));
  await directory.writeAbort();
  const opened = await directory.open(t);
  assert.equal(opened.result.maxOffset, image.end);
  assert.equal(opened.result.stop.kind === 'bad' && opened.result.stop.reason, 'crosses-end-of-file');
  await assertLog(directory, image, image.end);
});

test('tail: stale bytes behind zeros are zeroed', async (t) => {
  const { directory, image } = await store(t);
  await directory.patch(image.end + 500, Buffer.from('left from before'));
  await directory.writeAbort();
  await directory.open(t);
  await assertLog(directory, image, image.end);
});

test('tail: good records behind a bad one are copied to a side file before the cut', async (t) => {
  const { directory, image } = await store(t, { durable: 0.3 });
  const bad = image.recordAt(0.5);
  await directory.patch(bad.offset + 300, Buffer.from([0xff]));
  await directory.writeAbort();
  const opened = await directory.open(t);
  assert.equal(opened.result.maxOffset, bad.offset);
  const behind = image.records.filter((record) => record.offset > bad.offset);
  const [side, ...more] = await directory.quarantined();
  assert.deepEqual(more, []);
  assert.ok(side!.equals(Buffer.concat(behind.map((record) => record.bytes))));
  assert.equal(opened.result.quarantined!.records, behind.length);
  assert.equal(opened.result.quarantined!.bytes, side!.length);
  await assertLog(directory, image, bad.offset);
  await assertQueues(opened, image, bad.offset);
});

test('tail: good records behind a hole of zeros are copied to a side file before the cut', async (t) => {
  const { directory, image } = await store(t, { durable: 0.9 });
  const hole = image.recordAt(0.95);
  await directory.patch(hole.offset, Buffer.alloc(hole.bytes.length));
  await directory.writeAbort();
  const opened = await directory.open(t);
  assert.equal(opened.result.maxOffset, hole.offset);
  const behind = image.records.filter((record) => record.offset > hole.offset);
  assert.equal(opened.result.quarantined!.records, behind.length);
});

test('tail: a BLANK leads to the next file', async (t) => {
  const { directory, image } = await store(t, { durable: 0 });
  assert.ok(image.files.size >= 3);
  await directory.writeAbort();
  const opened = await directory.open(t);
  assert.equal(opened.result.maxOffset, image.end);
  assert.equal(opened.result.records, image.records.length);
});

test('tail: a BLANK of another size ends the log', async (t) => {
  const { directory, image } = await store(t);
  await directory.patch(image.end, encodeBlank(100));
  await directory.writeAbort();
  const opened = await directory.open(t);
  assert.equal(opened.result.maxOffset, image.end);
  assert.equal(opened.result.stop.kind === 'bad' && opened.result.stop.reason, 'blank-size');
  await assertLog(directory, image, image.end);
});

test('tail: a log whose last file ends with a BLANK goes on in a file that does not exist yet', async (t) => {
  const { directory, image } = await store(t);
  const left = FILE_SIZE - (image.end % FILE_SIZE);
  await directory.patch(image.end, encodeBlank(left));
  await directory.writeAbort();
  const opened = await directory.open(t);
  assert.equal(opened.result.maxOffset, image.end + left);
  assert.equal(opened.log.maxOffset, image.end + left);
  assert.equal(opened.checkpoint.durablePoint, image.end + left);
  const again = await directory.open(t);
  assert.equal(again.result.maxOffset, image.end + left);
});

test('tail: a prepared file behind the end is removed, whatever the exit was', async (t) => {
  for (const clean of [true, false]) {
    const { directory, image } = await store(t);
    const next = image.end - (image.end % FILE_SIZE) + FILE_SIZE;
    await writeFile(directory.logPath(next), Buffer.alloc(FILE_SIZE));
    if (!clean) await directory.writeAbort();
    const opened = await directory.open(t);
    assert.equal(opened.log.maxOffset, image.end);
    assert.equal(opened.log.flushedWhere, image.end);
    await assertLog(directory, image, image.end);
  }
});

test('tail: empty bodies, a body whose CRC is 0, long topics and IPv6 hosts are ordinary records', async (t) => {
  const image = new LogImage();
  image.append({ body: Buffer.alloc(0) });
  // CRC-32 of these four bytes is 0.
  image.append({ body: Buffer.from([0x9d, 0x0a, 0xd9, 0x6d]) });
  image.append({ version: 2, topic: 'T'.repeat(200) });
  image.append({ bornHost: Buffer.alloc(16, 1), storeHost: Buffer.alloc(16, 2) });
  image.append({ properties: '' });
  assert.equal(image.records[1]!.bytes.readInt32BE(8), 0);
  const directory = await StoreDirectory.make(t);
  await directory.writeLog(image);
  const opened = await directory.open(t);
  assert.equal(opened.result.maxOffset, image.end);
  assert.deepEqual(
    opened.dispatched.map((request) => [request.topic, request.commitLogOffset, request.msgSize]),
    image.records.map((record, index) => [
      index === 2 ? 'T'.repeat(200) : 'TopicTest',
      record.offset,
      record.bytes.length,
    ]),
  );
});

test('tail: a record larger than one read is read whole', async (t) => {
  const image = new LogImage();
  image.append({ body: Buffer.alloc(20_000, 7) });
  image.append({ body: Buffer.alloc(30_000, 8) });
  const directory = await StoreDirectory.make(t);
  await directory.writeLog(image);
  const opened = await directory.open(t, { chunkBytes: 512 });
  assert.equal(opened.result.maxOffset, image.end);
  assert.equal(opened.result.records, 2);
});

// --- Damage

async function damaged(t: TestContext, policy: string) {
  const { directory, image, durable } = await store(t, {
    durable: 0.9,
    logics: 0.3,
    config: { damagedStorePolicy: policy },
  });
  const bad = image.recordAt(0.6);
  await directory.patch(bad.offset + 300, Buffer.from([0xff]));
  await directory.writeAbort();
  return { directory, image, durable, bad, next: bad.offset + bad.bytes.length };
}

test('damage: a bad record below the durable point opens the store read-only up to it and changes nothing', async (t) => {
  const { directory, image, bad, next } = await damaged(t, 'read-only');
  const before = await directory.snapshot();
  const opened = await directory.open(t);
  assert.equal(opened.result.damage!.from, bad.offset);
  assert.equal(opened.result.damage!.to, next);
  assert.equal(opened.result.maxOffset, bad.offset);
  assert.equal(opened.log.maxOffset, bad.offset);
  assert.equal(opened.context.failure!.code, 'STORE_DAMAGED');
  assert.equal(opened.context.failure!.details.from, bad.offset);
  assert.equal(opened.context.failure!.details.to, next);
  assert.deepEqual(await directory.snapshot(), before);
  const readable = image.records.find((record) => record.offset === offsets(opened).at(-1))!;
  assert.ok((await opened.log.read(readable.offset, readable.bytes.length)).equals(readable.bytes));
});

test('damage: with damagedStorePolicy=refuse the store does not open and nothing is changed', async (t) => {
  const { directory, bad, next } = await damaged(t, 'refuse');
  const before = await directory.snapshot();
  const error = await rejects(directory.open(t), 'STORE_DAMAGED');
  assert.equal(error.details.from, bad.offset);
  assert.equal(error.details.to, next);
  assert.match(error.message, new RegExp(`${bad.offset} to ${next}`));
  assert.deepEqual(await directory.snapshot(), before);
});

test('damage: zeros below the durable point are damage and not the end of the log', async (t) => {
  const { directory, image, durable } = await store(t, { durable: 0.9, logics: 0.3 });
  const bad = image.recordAt(0.5);
  await directory.patch(bad.offset, Buffer.alloc(100));
  await directory.writeAbort();
  const opened = await directory.open(t);
  assert.equal(opened.result.damage!.from, bad.offset);
  assert.ok(opened.result.damage!.to <= durable);
  assert.equal(opened.result.stop.kind, 'zero');
});

test('damage: without a good record up to the durable point the range ends there', async (t) => {
  const { directory, image, durable } = await store(t, { durable: 0.99, logics: 0.9 });
  const bad = image.recordAt(0.95);
  await directory.patch(bad.offset, Buffer.alloc(durable - bad.offset, 0xee));
  await directory.writeAbort();
  const opened = await directory.open(t);
  assert.equal(opened.result.damage!.from, bad.offset);
  assert.equal(opened.result.damage!.to, durable);
});

test('damage: the last record in front of the durable point is looked at even after a clean exit', async (t) => {
  const { directory, image } = await store(t);
  const last = image.records.at(-1)!;
  await directory.patch(last.offset + 300, Buffer.from([0xff]));
  const before = await directory.snapshot();
  const opened = await directory.open(t);
  assert.equal(opened.result.damage!.from, last.offset);
  assert.equal(opened.result.damage!.to, image.end);
  assert.equal(opened.log.maxOffset, last.offset);
  assert.deepEqual(await directory.snapshot(), before);
});

test('damage: a missing last file is damage when the durable point lies in it', async (t) => {
  const { directory, image, durable } = await store(t);
  const lastFile = image.end - (image.end % FILE_SIZE);
  await rm(directory.logPath(lastFile));
  const before = await directory.snapshot();
  const opened = await directory.open(t);
  assert.equal(opened.result.damage!.from, lastFile);
  assert.equal(opened.result.damage!.to, durable);
  assert.equal(opened.context.failure!.code, 'STORE_DAMAGED');
  assert.deepEqual(await directory.snapshot(), before);
});

test('damage: an empty log directory is refused when the log was on disk', async (t) => {
  const { directory, image } = await store(t);
  await rm(directory.config.storePathCommitLog, { recursive: true });
  await mkdir(directory.config.storePathCommitLog);
  const before = await directory.snapshot();
  const error = await rejects(directory.open(t), 'STORE_DAMAGED');
  assert.equal(error.details.to, image.end);
  assert.deepEqual(await directory.snapshot(), before);
});

// --- The directory

test('directory: a log without files and without a durable point: its queues and index are removed', async (t) => {
  const { directory } = await store(t);
  await rm(directory.config.storePathCommitLog, { recursive: true });
  await mkdir(directory.config.storePathCommitLog);
  await rm(directory.checkpointPath);
  const opened = await directory.open(t);
  assert.equal(opened.result.rule, 'empty');
  assert.equal(opened.result.maxOffset, 0);
  assert.equal(opened.queues.queuesByTopic().size, 0);
  assert.deepEqual(await readdir(join(directory.root, 'consumequeue')).catch(() => []), []);
});

test('directory: a new store: no files, no checkpoint, nothing to recover', async (t) => {
  const directory = await StoreDirectory.make(t);
  const opened = await directory.open(t);
  assert.equal(opened.result.rule, 'empty');
  assert.equal(opened.result.maxOffset, 0);
  assert.equal(opened.checkpoint.durablePointState, 'valid');
  assert.equal(opened.checkpoint.durablePoint, 0);
  assert.deepEqual(opened.warnings, []);
});

test('directory: a file missing in the middle is refused and nothing is changed', async (t) => {
  const { directory } = await store(t);
  await rm(directory.logPath(FILE_SIZE));
  const before = await directory.snapshot();
  await rejects(directory.open(t), 'STORE_DAMAGED');
  assert.deepEqual(await directory.snapshot(), before);
});

test('directory: a file shorter or longer than the others is refused and nothing is changed', async (t) => {
  for (const [offset, size] of [
    [0, FILE_SIZE - 1],
    [2 * FILE_SIZE, 100],
    [FILE_SIZE, FILE_SIZE + 1],
  ] as const) {
    const { directory } = await store(t);
    await truncate(directory.logPath(offset), size);
    const before = await directory.snapshot();
    const error = await rejects(directory.open(t), 'STORE_FILE_SIZE_MISMATCH');
    assert.equal(error.details.expected, FILE_SIZE);
    assert.equal(error.details.found, size);
    assert.deepEqual(await directory.snapshot(), before);
  }
});

test('directory: a zero-length last file is removed', async (t) => {
  const { directory, image } = await store(t);
  const next = image.end - (image.end % FILE_SIZE) + FILE_SIZE;
  await writeFile(directory.logPath(next), '');
  const opened = await directory.open(t);
  assert.equal(opened.result.maxOffset, image.end);
  await assertLog(directory, image, image.end);
});

test('directory: a file that is no part of a log is refused and nothing is changed', async (t) => {
  const { directory } = await store(t);
  await writeFile(join(directory.config.storePathCommitLog, 'notes.txt'), 'mine');
  const before = await directory.snapshot();
  await rejects(directory.open(t), 'STORE_NOT_A_STORE');
  assert.deepEqual(await directory.snapshot(), before);
});

// --- Queues and index

test('queues: entries of records behind the end are removed, what follows is dense', async (t) => {
  const { directory, image } = await store(t, { durable: 0.4 });
  const bad = image.recordAt(0.5);
  await directory.patch(bad.offset, Buffer.alloc(50, 1));
  await directory.writeAbort();
  const opened = await directory.open(t);
  assert.equal(opened.result.maxOffset, bad.offset);
  await assertQueues(opened, image, bad.offset);
});

test('queues: entries above the start are made anew, none twice', async (t) => {
  const { directory, image } = await store(t, { durable: 1, logics: 0.2 });
  await directory.writeAbort();
  const first = await directory.open(t);
  await assertQueues(first, image, image.end);
  const second = await directory.open(t);
  await assertQueues(second, image, image.end);
});

test('queues: a queue entry that points to another place than its record is replaced', async (t) => {
  const { directory, image } = await store(t, { logics: 0.2 });
  // The newest entry of queue 0: its record's size is wrong, as after a reused stretch of a queue file.
  const queueDirectory = join(directory.root, 'consumequeue', 'TopicTest', '0');
  const files = (await readdir(queueDirectory)).sort();
  const path = join(queueDirectory, files.at(-1)!);
  const bytes = await readFile(path);
  bytes.writeInt32BE(77, 8);
  await writeFile(path, bytes);
  await directory.writeAbort();
  const opened = await directory.open(t);
  const queue = opened.queues.find('TopicTest', 0)!;
  for (let index = 0; index < queue.maxOffsetInQueue; index++) {
    const record = image.records.filter((written) => written.queueId === 0)[index]!;
    assert.equal((await entryOf(queue, index)).size, record.bytes.length);
  }
});

test('queues: index entries of records behind the end are removed', async (t) => {
  const { directory, image } = await store(t, { durable: 0.4 });
  const bad = image.recordAt(0.5);
  const query = async (opened: Opened) => await opened.index.queryOffset('TopicTest', 'k1', 64, 0, START_TIME * 2);
  const before = await directory.open(t);
  await before.index.flush();
  assert.ok((await query(before)).phyOffsets.some((offset) => offset >= bad.offset));
  await rm(directory.checkpointPath);
  await directory.writeCheckpoint(image.recordAt(0.4).offset, image.recordAt(0.4).offset);
  await directory.patch(bad.offset, Buffer.alloc(50, 1));
  await directory.writeAbort();
  const opened = await directory.open(t);
  const found = (await query(opened)).phyOffsets;
  assert.ok(found.length > 0);
  for (const offset of found) assert.ok(offset < bad.offset, `${offset}`);
  assert.equal(new Set(found).size, found.length, 'none twice');
  assert.equal(found[0], image.records.findLast((record) => record.offset < bad.offset)!.offset);
});

// --- The lives of a topic

/** The offsets in the log that the queue's entries point to, from the first number that has one. */
async function entriesOf(opened: Opened, queueId = 0): Promise<{ from: number; offsets: number[] }> {
  const queue = opened.queues.find('TopicTest', queueId);
  if (queue === undefined) return { from: 0, offsets: [] };
  const from = queue.minOffsetInQueue;
  const offsets: number[] = [];
  for (let index = from; index < queue.maxOffsetInQueue; index++) offsets.push((await entryOf(queue, index)).phyOffset);
  return { from, offsets };
}

const offsetsOf = (image: LogImage, from: number, to = image.records.length, queueId = 0): number[] =>
  image.records.slice(from, to).flatMap((record) => (record.queueId === queueId ? [record.offset] : []));

/** A log in which queue 0 has five records, then starts again at 0; queue 1 goes on. As a killed Java broker leaves it. */
async function restarted(t: TestContext, again: number): Promise<{ directory: StoreDirectory; image: LogImage }> {
  const image = new LogImage();
  for (let i = 0; i < 5; i++) image.append();
  image.append({ queueId: 1 });
  image.restart(0);
  for (let i = 0; i < again; i++) image.append();
  image.append({ queueId: 1 });
  const directory = await StoreDirectory.make(t);
  await directory.writeLog(image);
  await directory.writeAbort();
  return { directory, image };
}

test('lives: numbers that start again at 0 without a deletion on record: the later messages count', async (t) => {
  for (const again of [1, 2, 3, 8]) {
    const { directory, image } = await restarted(t, again);
    for (let start = 0; start < 3; start++) {
      const opened = await directory.open(t);
      assert.deepEqual(await entriesOf(opened), { from: 0, offsets: offsetsOf(image, 6) }, `${again}, start ${start}`);
      assert.deepEqual((await entriesOf(opened, 1)).offsets, offsetsOf(image, 0, undefined, 1));
      // What the earlier life had is not on disk beside it either; and from the start again as if nobody had been here.
      await opened.queues.flush(0);
      if (start === 1) await rm(directory.checkpointPath);
    }
  }
});

test('lives: several lives one after the other, some of one message: the last one counts', async (t) => {
  const image = new LogImage();
  for (const count of [4, 1, 1, 3, 1, 2]) {
    image.restart(0);
    for (let i = 0; i < count; i++) image.append();
  }
  const directory = await StoreDirectory.make(t);
  await directory.writeLog(image);
  await directory.writeAbort();
  assert.deepEqual(await entriesOf(await directory.open(t)), { from: 0, offsets: offsetsOf(image, 10) });
});

test('lives: one record whose number reads 0 takes no messages away', async (t) => {
  for (const at of [2, 5, 8]) {
    const image = new LogImage();
    for (let i = 0; i < 10; i++) image.append(i === at ? { queueOffset: 0 } : { queueOffset: i });
    const directory = await StoreDirectory.make(t);
    await directory.writeLog(image);
    await directory.writeAbort();
    const opened = await directory.open(t);
    // A place without an entry stands for it.
    const expected = offsetsOf(image, 0).map((offset, index) => (index === at ? 0 : offset));
    assert.deepEqual(await entriesOf(opened), { from: 0, offsets: expected });
    assert.ok(opened.warnings.some(({ message }) => message.includes('in the middle of its queue')));
  }
});

/** `below` of the records' topic on record, with or without the queues that were there before. */
async function deleted(t: TestContext, below: (image: LogImage) => number, clean: boolean) {
  const made = await store(t, clean ? { count: 30 } : { count: 30, logics: 0.2 });
  const { directory, image } = made;
  const deletions = encodeDeletions(new Map([['TopicTest', below(image)]]));
  await writeFile(join(directory.root, 'deletions.json'), deletions);
  if (!clean) await directory.writeAbort();
  return made;
}

test('lives: a deletion on record, and queues of what is dead: they go, on disk, and do not come back', async (t) => {
  for (const clean of [true, false]) {
    const { directory } = await deleted(t, (image) => image.end, clean);
    for (let start = 0; start < 2; start++) {
      const opened = await directory.open(t);
      assert.deepEqual([...opened.queues.queuesByTopic()], [], `clean ${clean}`);
      assert.deepEqual(await readdir(join(directory.root, 'consumequeue')), []);
    }
  }
});

test('lives: queues with entries of two lives, as a Java broker makes them: made anew from the deletion on', async (t) => {
  for (const clean of [true, false]) {
    for (const byJava of [true, false]) {
      const { directory, image } = await deleted(t, ({ records }) => records[12]!.offset, clean);
      if (byJava) await rm(directory.checkpointPath);
      for (let start = 0; start < 2; start++) {
        const opened = await directory.open(t);
        for (const queueId of [0, 1, 2]) {
          const expected = { from: 4, offsets: offsetsOf(image, 12, undefined, queueId) };
          assert.deepEqual(
            await entriesOf(opened, queueId),
            expected,
            `clean ${clean}, Java ${byJava}, start ${start}`,
          );
        }
      }
    }
  }
});

test('lives: a queue whose messages the log has lost gets no entries of the life before the deletion', async (t) => {
  const image = new LogImage();
  for (let i = 0; i < 5; i++) image.append();
  const deadBelow = image.end;
  image.restart(0);
  for (let i = 0; i < 3; i++) image.append();
  const directory = await StoreDirectory.make(t);
  await directory.writeLog(image);
  await writeFile(join(directory.root, 'deletions.json'), encodeDeletions(new Map([['TopicTest', deadBelow]])));
  await directory.writeCheckpoint(image.end, 0);
  const before = await directory.openAndShutDown(t);
  assert.deepEqual((await entriesOf(before)).offsets, offsetsOf(image, 5));
  // The entries were written before the log was flushed, and the power cut left them alone.
  await directory.patch(deadBelow, Buffer.alloc(image.end - deadBelow));
  await rm(directory.checkpointPath);
  await directory.writeCheckpoint(deadBelow, image.records[2]!.offset);
  await directory.writeAbort();
  const opened = await directory.open(t);
  assert.deepEqual(offsets(opened), offsetsOf(image, 2, 5), 'dispatched again');
  assert.deepEqual(await entriesOf(opened), { from: 0, offsets: [] });
});

test('lives: a deletion beyond the end of the log counts up to it', async (t) => {
  const { directory, image } = await deleted(t, ({ end }) => end + 100_000, false);
  const opened = await directory.open(t);
  assert.deepEqual([...opened.queues.queuesByTopic()], []);
  assert.equal(opened.deletions.deadBelow('TopicTest'), image.end);
  const onDisk = decodeDeletions(await readFile(join(directory.root, 'deletions.json')));
  assert.deepEqual(onDisk, new Map([['TopicTest', image.end]]), 'before anything is appended');
});

test('lives: a deletion that the log has outlived is forgotten', async (t) => {
  const image = new LogImage(FILE_SIZE);
  for (let i = 0; i < 5; i++) image.append();
  const directory = await StoreDirectory.make(t);
  await directory.writeLog(image);
  await writeFile(join(directory.root, 'deletions.json'), encodeDeletions(new Map([['TopicTest', FILE_SIZE]])));
  const opened = await directory.open(t);
  assert.equal(opened.deletions.size, 0);
  assert.deepEqual((await entriesOf(opened)).offsets, offsetsOf(image, 0));
  assert.deepEqual(decodeDeletions(await readFile(join(directory.root, 'deletions.json'))), new Map());
});

test('lives: recovery killed at any of its steps: the later messages count after the next one', async (t) => {
  for (let step = 0; ; step++) {
    const { directory, image } = await restarted(t, 3);
    await writeFile(join(directory.root, 'deletions.json'), encodeDeletions(new Map([['Gone', image.end + 1]])));
    let count = 0;
    let killed = false;
    const fileSystem = interceptFileSystem(() => {
      if (count++ < step && !killed) return;
      killed = true;
      throw new Error('killed');
    });
    await directory
      .open(t, { fileSystem })
      .then((opened) => opened.queues.flush(0))
      .catch(() => {});
    const opened = await directory.open(t);
    assert.deepEqual((await entriesOf(opened)).offsets, offsetsOf(image, 6), `after a kill at step ${step}`);
    if (!killed) break;
  }
});

// --- Failures of recovery itself

test('failure: a write, a sync or the zeroing of the tail fails: the store does not open and nothing is dispatched', async (t) => {
  for (const failing of ['write', 'sync', 'zeroRange']) {
    const { directory } = await store(t, { durable: 0.5 });
    await directory.writeAbort();
    let dispatched = false;
    const fileSystem = interceptFileSystem((operation) => {
      if (operation.path.includes('/consumequeue/')) dispatched = true;
      if (operation.name === failing && operation.path.includes('/commitlog/')) {
        throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
      }
    });
    const error = await rejects(directory.open(t, { fileSystem }), 'STORE_RECOVERY_FAILED');
    assert.ok(error.cause);
    assert.equal(dispatched, false, failing);
  }
});

test('failure: the log cannot be read: the store does not open and nothing is changed', async (t) => {
  const { directory } = await store(t, { durable: 0.5 });
  await directory.writeAbort();
  const before = await directory.snapshot();
  const fileSystem = interceptFileSystem(
    (operation) => {
      if (operation.name === 'read' && operation.path.includes('/commitlog/')) {
        throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' });
      }
    },
    { reads: true },
  );
  const error = await rejects(directory.open(t, { fileSystem }), 'STORE_RECOVERY_FAILED');
  assert.match(error.message, /EIO/);
  assert.deepEqual(await directory.snapshot(), before);
});

test('failure: the side file cannot be written: the store does not open and nothing is cut', async (t) => {
  const { directory, image } = await store(t, { durable: 0.3 });
  const bad = image.recordAt(0.5);
  await directory.patch(bad.offset + 300, Buffer.from([0xff]));
  await directory.writeAbort();
  const before = await directory.readLog();
  const fileSystem = interceptFileSystem((operation) => {
    if (operation.path.includes('/quarantine/')) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
  });
  await rejects(directory.open(t, { fileSystem }), 'STORE_DISK_FULL');
  assert.deepEqual(await directory.readLog(), before);
});

test('failure: recovery killed at any of its steps, the next one comes to the same end', async (t) => {
  const make = async () => {
    const image = new LogImage();
    image.appendMany(100);
    const directory = await StoreDirectory.make(t);
    await directory.writeLog(image);
    await directory.writeCheckpoint(image.recordAt(0.3).offset, 0);
    await directory.patch(image.recordAt(0.5).offset + 300, Buffer.from([0xff]));
    await directory.writeAbort();
    return { directory, image, end: image.recordAt(0.5).offset };
  };
  let kills = 0;
  for (let step = 0; ; step++) {
    const { directory, image, end } = await make();
    let count = 0;
    let killed = false;
    const fileSystem = interceptFileSystem(() => {
      if (count++ < step && !killed) return;
      killed = true;
      throw new Error('killed');
    });
    await directory.open(t, { fileSystem }).catch(() => {});
    const opened = await directory.open(t);
    assert.equal(opened.result.maxOffset, end, `after a kill at step ${step}`);
    await assertLog(directory, image, end);
    await assertQueues(opened, image, end);
    const behind = image.records.filter((record) => record.offset > end);
    const sides = (await directory.quarantined()).map((side) => side.length);
    assert.ok(sides.includes(behind.reduce((sum, record) => sum + record.bytes.length, 0)));
    if (!killed) break;
    kills++;
  }
  assert.ok(kills > 8, `killed ${kills} times`);
});

test('failure: a second recovery changes nothing', async (t) => {
  const { directory, image } = await store(t, { durable: 0.3 });
  await directory.patch(image.recordAt(0.5).offset + 300, Buffer.from([0xff]));
  await directory.writeAbort();
  const first = await directory.open(t);
  await first.queues.flush(0);
  const before = await directory.snapshot();
  const second = await directory.open(t);
  await second.queues.flush(0);
  assert.equal(second.result.maxOffset, first.result.maxOffset);
  assert.equal(second.result.bytesRewritten, 0);
  assert.equal(second.result.quarantined, undefined);
  assert.deepEqual(await directory.snapshot(), before);
});

test('progress: it is reported and never passes its total', async (t) => {
  const { directory } = await store(t, { durable: 0 });
  await directory.writeAbort();
  const calls: [number, number][] = [];
  await directory.open(t, { onProgress: (done, total) => calls.push([done, total]) });
  assert.ok(calls.length > 10);
  for (const [done, total] of calls) assert.ok(done >= 0 && done <= total);
  assert.deepEqual(calls.at(-1)![0], calls.at(-1)![1]);
});
