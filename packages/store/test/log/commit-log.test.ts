import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ManualClock, SimulatedFileSystem, settle } from '@vernier/torture';
import { FlushRealTimeService } from '../../src/flush/flush-real-time-service.ts';
import { GroupCommitService } from '../../src/flush/group-commit-service.ts';
import { DISPATCH_PENDING_MAX } from '../../src/log/commit-log.ts';
import { checkMessageAndReturnSize, decodeMessage } from '../../src/record/message-decoder.ts';
import { keyHashesOf } from '../../src/record/property-scan.ts';
import { errno, Faults } from './faulty-file-system.ts';
import { message, openLog, waitFalse } from './harness.ts';

const MiB = 1024 * 1024;

test('commit log: SYNC_FLUSH is built with GroupCommitService, ASYNC_FLUSH with FlushRealTimeService', async (t) => {
  const sync = await openLog(t, { flushDiskType: 'SYNC_FLUSH' });
  assert.ok(sync.log.flushManager.flushCommitLogService instanceof GroupCommitService);
  assert.equal(sync.log.flushManager.commitRealTimeService, undefined);
  const async = await openLog(t, { flushDiskType: 'ASYNC_FLUSH' });
  assert.ok(async.log.flushManager.flushCommitLogService instanceof FlushRealTimeService);
  assert.equal(async.log.flushManager.commitRealTimeService, undefined);
  const pool = await openLog(t, { flushDiskType: 'ASYNC_FLUSH', transientStorePoolEnable: true });
  assert.ok(pool.log.flushManager.commitRealTimeService, 'CommitRealTimeService beside it with the transient pool');
});

test('put: SYNC wait resolves after the flush that covers the record, not before', async (t) => {
  const faults = new Faults();
  const { log, queue } = await openLog(t, {}, { wrap: (fs) => faults.wrap(fs) });
  faults.holdSync();
  const begun = faults.syncBegun();
  let answered = false;
  const put = log.asyncPutMessage(message()).finally(() => {
    answered = true;
  });
  await begun;
  await settle();
  assert.equal(answered, false);
  assert.equal(queue.flushedWhere, 0);
  faults.release();
  const result = await put;
  assert.equal(result.status, 'PUT_OK');
  assert.ok(queue.flushedWhere >= result.wroteOffset + result.wroteBytes);
});

test('put: SYNC with WAIT=false resolves once written, while the flush still hangs', async (t) => {
  const faults = new Faults();
  const { log, queue } = await openLog(t, {}, { wrap: (fs) => faults.wrap(fs) });
  faults.holdSync();
  const result = await log.asyncPutMessage(message({ propertiesString: waitFalse }));
  assert.equal(result.status, 'PUT_OK');
  assert.ok(queue.committedWhere >= result.wroteBytes, 'written');
  assert.equal(queue.flushedWhere, 0, 'and not on disk');
  faults.release();
  await log.whenFlushed(result.wroteBytes);
});

test('put: ASYNC resolves once written; the interval flushes later', async (t) => {
  const clock = new ManualClock();
  const { log, queue } = await openLog(t, { flushDiskType: 'ASYNC_FLUSH' }, { clock });
  const result = await log.asyncPutMessage(message());
  assert.equal(result.status, 'PUT_OK');
  assert.equal(queue.committedWhere, result.wroteBytes);
  assert.equal(queue.flushedWhere, 0);
  const flushed = log.whenFlushed(result.wroteBytes);
  await clock.advance(500);
  await flushed;
  assert.equal(queue.flushedWhere, result.wroteBytes);
});

test('put: ASYNC with the transient pool resolves from the buffer, the commit service writes later', async (t) => {
  const clock = new ManualClock();
  const settings = {
    flushDiskType: 'ASYNC_FLUSH',
    transientStorePoolEnable: true,
    wakeCommitWhenPutMessage: false,
  } as const;
  const { log, queue, dispatched } = await openLog(t, settings, { clock });
  await settle();
  // The first append ends the service's idle wait and may be committed by it; the second one waits for the interval.
  await log.asyncPutMessage(message());
  await settle();
  const result = await log.asyncPutMessage(message());
  assert.equal(result.status, 'PUT_OK');
  const end = result.wroteOffset + result.wroteBytes;
  assert.ok(queue.committedWhere < end, 'RocketMQ acknowledges it from memory');
  assert.ok(dispatched.length < 2, 'and nobody reads it before it is written');
  await clock.advance(200);
  await settle();
  while (queue.committedWhere < end) await settle();
  assert.equal(dispatched.length, 2);
});

test('put: ASYNC with the transient pool, durability async is answered once it is written', async (t) => {
  const clock = new ManualClock();
  const settings = {
    flushDiskType: 'ASYNC_FLUSH',
    transientStorePoolEnable: true,
    wakeCommitWhenPutMessage: false,
  } as const;
  const { log, queue } = await openLog(t, settings, { clock });
  await settle();
  for (let i = 0; i < 5; i++) {
    const result = await log.asyncPutMessage(message(), 'async');
    assert.equal(result.status, 'PUT_OK');
    assert.ok(
      queue.committedWhere >= result.wroteOffset + result.wroteBytes,
      'no interval has passed, and it is there',
    );
  }
});

test('put: FLUSH_DISK_TIMEOUT on time while the flush hangs', async (t) => {
  const faults = new Faults();
  const clock = new ManualClock();
  const { log, queue } = await openLog(t, { syncFlushTimeout: 700 }, { clock, wrap: (fs) => faults.wrap(fs) });
  faults.holdSync();
  const begun = faults.syncBegun();
  const put = log.asyncPutMessage(message());
  await begun;
  await clock.advance(700);
  const result = await put;
  assert.equal(result.status, 'FLUSH_DISK_TIMEOUT');
  assert.match(result.reason ?? '', /700 ms/);
  assert.ok(result.wroteOffset >= 0, 'it is stored all the same, as the status says');
  faults.release();
  await log.whenFlushed(result.wroteBytes);
  assert.equal(queue.flushedWhere, result.wroteBytes);
});

test('put: durability per append overrides the flush type', async (t) => {
  const faults = new Faults();
  const sync = await openLog(t, {}, { wrap: (fs) => faults.wrap(fs) });
  faults.holdSync();
  const written = await sync.log.asyncPutMessage(message(), 'async');
  assert.equal(written.status, 'PUT_OK');
  assert.equal(sync.queue.flushedWhere, 0);
  faults.release();
  const clock = new ManualClock();
  const { log, queue } = await openLog(t, { flushDiskType: 'ASYNC_FLUSH' }, { clock });
  const forced = await log.asyncPutMessage(message(), 'sync');
  assert.equal(forced.status, 'PUT_OK');
  assert.equal(queue.flushedWhere, forced.wroteBytes, 'on disk without the interval');
  let grouped = false;
  const group = log.asyncPutMessage(message(), 'group').finally(() => {
    grouped = true;
  });
  await settle();
  assert.equal(grouped, false, 'waits for the flush that comes anyway');
  await clock.advance(500);
  assert.equal((await group).status, 'PUT_OK');
  assert.equal(queue.flushedWhere, queue.maxOffset);
});

test('put: a failed flush acknowledges nobody, the store is read-only for good and the disk not asked again', async (t) => {
  const faults = new Faults();
  const { log, context, dispatched } = await openLog(t, {}, { wrap: (fs) => faults.wrap(fs) });
  const good = await log.asyncPutMessage(message());
  faults.holdSync();
  const begun = faults.syncBegun();
  const waiting = log.asyncPutMessage(message());
  await begun;
  const gathered = log.asyncPutMessage(message());
  const flushed = assert.rejects(log.whenFlushed(good.wroteBytes * 2), { code: 'STORE_FLUSH_FAILED' });
  faults.failSync = errno('EIO');
  faults.release();
  for (const result of await Promise.all([waiting, gathered])) {
    assert.equal(result.status, 'UNKNOWN_ERROR');
    assert.equal(result.cause?.code, 'STORE_FLUSH_FAILED');
  }
  await flushed;
  faults.failSync = undefined;
  const syncs = faults.syncs;
  const writes = faults.writes;
  const later = await log.asyncPutMessage(message());
  assert.equal(later.status, 'SERVICE_NOT_AVAILABLE');
  assert.match(later.reason ?? '', /EIO/);
  await settle();
  assert.equal(faults.syncs, syncs);
  assert.equal(faults.writes, writes);
  assert.equal(context.failure?.code, 'STORE_FLUSH_FAILED');
  assert.equal(dispatched.length, 1, 'consumers never see what is not known to be on disk');
});

test('put: a failed write under ASYNC_FLUSH acknowledges nobody', async (t) => {
  const faults = new Faults();
  const { log } = await openLog(t, { flushDiskType: 'ASYNC_FLUSH' }, { wrap: (fs) => faults.wrap(fs) });
  faults.failWrite = errno('EIO');
  const result = await log.asyncPutMessage(message());
  assert.equal(result.status, 'UNKNOWN_ERROR');
  assert.equal(result.cause?.code, 'STORE_WRITE_FAILED');
  faults.failWrite = undefined;
  assert.equal((await log.asyncPutMessage(message())).status, 'SERVICE_NOT_AVAILABLE');
});

test('put: a small write under ASYNC_FLUSH is made on the event loop, a large one and one beside a flush are not', async (t) => {
  const faults = new Faults();
  const { log } = await openLog(t, { flushDiskType: 'ASYNC_FLUSH' }, { wrap: (fs) => faults.wrap(fs) });
  assert.equal((await log.asyncPutMessage(message())).status, 'PUT_OK');
  assert.deepEqual([faults.writes, faults.writesNow], [1, 1]);
  assert.equal((await log.asyncPutMessage(message({ body: Buffer.alloc(40_000) }))).status, 'PUT_OK');
  assert.deepEqual([faults.writes, faults.writesNow], [2, 1]);
  faults.holdSync();
  const begun = faults.syncBegun();
  const synced = log.asyncPutMessage(message(), 'sync');
  await begun;
  const before = faults.writesNow;
  assert.equal((await log.asyncPutMessage(message())).status, 'PUT_OK', 'it does not wait for the flush');
  assert.equal(faults.writesNow, before);
  faults.release();
  assert.equal((await synced).status, 'PUT_OK');
});

test('put: after a write on the event loop that took long, others make the writes for a second', async (t) => {
  const faults = new Faults();
  const clock = new ManualClock();
  const { log, queue } = await openLog(t, { flushDiskType: 'ASYNC_FLUSH' }, { wrap: (fs) => faults.wrap(fs), clock });
  const put = async (): Promise<number> => {
    assert.equal((await log.asyncPutMessage(message())).status, 'PUT_OK');
    return faults.writesNow;
  };
  assert.equal(await put(), 1);
  faults.onWriteNow = () => clock.pass(2);
  assert.equal(await put(), 2);
  faults.onWriteNow = undefined;
  assert.equal(await put(), 2);
  await clock.advance(999);
  // The interval has passed too: not beside its flush.
  await log.whenFlushed(queue.maxOffset);
  await settle();
  assert.equal(await put(), 3);
});

test('dispatch: stops at flushedWhere under SYNC_FLUSH, goes on to what is written with readUnCommitted', async (t) => {
  const faults = new Faults();
  const durable = await openLog(t, {}, { wrap: (fs) => faults.wrap(fs) });
  faults.holdSync();
  await durable.log.asyncPutMessage(message(), 'async');
  assert.equal(durable.dispatched.length, 0);
  faults.release();
  await durable.log.whenFlushed(durable.queue.maxOffset);
  assert.equal(durable.dispatched.length, 1);
  assert.ok(durable.log.dispatchedWhere <= durable.queue.flushedWhere);

  const early = new Faults();
  const uncommitted = await openLog(t, { readUnCommitted: true }, { wrap: (fs) => early.wrap(fs) });
  early.holdSync();
  await uncommitted.log.asyncPutMessage(message(), 'async');
  assert.equal(uncommitted.dispatched.length, 1);
  early.release();
});

test('append: BLANK closes a file, the record starts the next one; what is dispatched is in order and complete', async (t) => {
  const { log, queue, dispatched, config, close } = await openLog(t, { mappedFileSizeCommitLog: 64 * 1024 });
  const body = Buffer.alloc(5_000, 7);
  const results = await Promise.all(Array.from({ length: 40 }, () => log.asyncPutMessage(message({ body }))));
  assert.ok(results.every((result) => result.status === 'PUT_OK'));
  const fileSize = config.mappedFileSizeCommitLog;
  const size = results[0]!.wroteBytes;
  const perFile = Math.floor((fileSize - 8) / size);
  assert.equal(results[perFile]!.wroteOffset, fileSize, 'the first that does not fit is the first of the next file');
  assert.deepEqual(
    dispatched.map((request) => request.consumeQueueOffset),
    Array.from({ length: 40 }, (_, i) => i),
  );
  await close();
  const first = await readFile(join(config.storePathCommitLog, '0'.repeat(20)));
  assert.equal(first.length, fileSize);
  const blank = checkMessageAndReturnSize(first, perFile * size, { maxSize: fileSize - perFile * size });
  assert.deepEqual(blank, { kind: 'blank', size: fileSize - perFile * size });
  assert.equal(decodeMessage(first.subarray(0, size))?.body.equals(body), true);
  assert.ok(queue.flushedWhere === queue.maxOffset);
});

test('append: a record that leaves exactly 8 bytes fits, one byte more does not', async (t) => {
  const overhead = 91 + 1;
  for (const [spare, expectRoll] of [
    [8, false],
    [7, true],
  ] as const) {
    const fileSize = 64 * 1024;
    const { log } = await openLog(t, { mappedFileSizeCommitLog: fileSize });
    const body = Buffer.alloc(fileSize - spare - overhead - 1_000);
    await log.asyncPutMessage(message({ body: Buffer.alloc(1_000 - overhead), propertiesString: '' }));
    const result = await log.asyncPutMessage(message({ body, propertiesString: '' }));
    assert.equal(result.wroteOffset, expectRoll ? fileSize : 1_000);
  }
});

test('append: a batch is consecutive records of one queue in one file, acknowledged together', async (t) => {
  const { log, dispatched } = await openLog(t, { mappedFileSizeCommitLog: 64 * 1024 });
  await log.asyncPutMessage(message({ body: Buffer.alloc(60_000) }));
  const { body: _body, propertiesString: _properties, flag: _flag, ...head } = message({ queueId: 3 });
  const messages = Array.from({ length: 10 }, (_, i) => ({
    flag: i,
    body: Buffer.from(`part ${i}`.padEnd(800)),
    propertiesString: `KEYS\u0001k${i}\u0002`,
  }));
  const result = await log.asyncPutMessages({ ...head, messages });
  assert.equal(result.status, 'PUT_OK');
  assert.equal(result.messageCount, 10);
  assert.equal(result.wroteOffset, 64 * 1024, 'the whole batch moved to the next file');
  assert.equal(result.batchOffsets?.length, 10);
  assert.deepEqual(
    dispatched.slice(1).map((request) => [request.queueId, request.consumeQueueOffset, request.keyHashes]),
    messages.map((_, i) => [3, i, keyHashesOf(undefined, `k${i}`, '')]),
  );
  assert.equal((await log.asyncPutMessage(message({ queueId: 3 }))).queueOffset, 10);
});

test('append: prepared and rolled back records take no queue offset', async (t) => {
  const { log } = await openLog(t);
  assert.equal((await log.asyncPutMessage(message())).queueOffset, 0);
  assert.equal((await log.asyncPutMessage(message({ sysFlag: 4 }))).queueOffset, 0);
  assert.equal((await log.asyncPutMessage(message({ sysFlag: 12 }))).queueOffset, 0);
  assert.equal((await log.asyncPutMessage(message({ sysFlag: 8 }))).queueOffset, 1);
});

test('append: what no record can hold is refused before anything changes', async (t) => {
  const { log, queue } = await openLog(t, { maxMessageSize: 1_000 });
  const cases: [Parameters<typeof message>[0], string, RegExp][] = [
    [{ body: Buffer.alloc(1_001) }, 'MESSAGE_ILLEGAL', /1001 bytes.*1000/],
    [{ topic: 'x'.repeat(128) }, 'MESSAGE_ILLEGAL', /128 bytes/],
    [{ topic: '' }, 'MESSAGE_ILLEGAL', /0 bytes/],
    [{ queueId: -1 }, 'MESSAGE_ILLEGAL', /queueId -1/],
    [{ flag: 2 ** 31 }, 'MESSAGE_ILLEGAL', /flag 2147483648/],
    [{ bornTimestamp: Number.NaN }, 'MESSAGE_ILLEGAL', /bornTimestamp NaN/],
    [{ bornHost: { address: new Uint8Array(5), port: 1 } }, 'MESSAGE_ILLEGAL', /5 bytes/],
    [{ propertiesString: `k\u0001${'v'.repeat(32_767)}\u0002` }, 'PROPERTIES_SIZE_EXCEEDED', /32770 bytes/],
  ];
  for (const [fields, status, reason] of cases) {
    const result = await log.asyncPutMessage(message(fields));
    assert.equal(result.status, status);
    assert.match(result.reason ?? '', reason);
    assert.equal(result.wroteOffset, -1);
  }
  assert.equal(queue.maxOffset, 0);
});

test('append: a retry topic may be 255 bytes long and is written as V2', async (t) => {
  const { log, queue } = await openLog(t);
  const topic = `%RETRY%${'g'.repeat(248)}`;
  const result = await log.asyncPutMessage(message({ topic }));
  assert.equal(result.status, 'PUT_OK');
  const read = decodeMessage(await queue.read(result.wroteOffset, result.wroteBytes));
  assert.equal(read?.topic, topic);
});

test('append: no room for the next file refuses with the numbers, and goes on when there is room again', async (t) => {
  const faults = new Faults();
  const settings = { mappedFileSizeCommitLog: 64 * 1024 };
  const clock = new ManualClock();
  const { log } = await openLog(t, settings, { clock, wrap: (fs) => faults.wrap(fs) });
  faults.failAllocate = errno('ENOSPC');
  const body = Buffer.alloc(40_000);
  assert.equal((await log.asyncPutMessage(message({ body }))).status, 'PUT_OK');
  const refused = await log.asyncPutMessage(message({ body }));
  assert.equal(refused.status, 'CREATE_MAPPED_FILE_FAILED');
  assert.equal(refused.cause?.code, 'STORE_DISK_FULL');
  faults.failAllocate = undefined;
  await clock.advance(2_000);
  assert.equal((await log.asyncPutMessage(message({ body }))).status, 'PUT_OK');
});

test('append: appends behind a stalled one keep their order and copy what they were given', async (t) => {
  const faults = new Faults();
  const { log, dispatched } = await openLog(
    t,
    { mappedFileSizeCommitLog: 64 * 1024 },
    { wrap: (fs) => faults.wrap(fs) },
  );
  const shared = Buffer.alloc(30_000, 1);
  const results = [1, 2, 3, 4, 5, 6].map((value) => {
    shared.fill(value);
    return log.asyncPutMessage(message({ body: shared }));
  });
  shared.fill(99);
  const done = await Promise.all(results);
  assert.deepEqual(
    done.map((result) => [result.status, result.queueOffset]),
    [0, 1, 2, 3, 4, 5].map((offset) => ['PUT_OK', offset]),
  );
  assert.equal(dispatched.length, 6);
  for (const [i, result] of done.entries()) {
    const read = decodeMessage(await log.mappedFileQueue.read(result.wroteOffset, result.wroteBytes));
    assert.ok(
      read?.body.every((byte) => byte === i + 1),
      `body ${i}`,
    );
  }
});

test('append: buffers full of unwritten bytes are backpressure with a status, not a crash', async (t) => {
  const faults = new Faults();
  const clock = new ManualClock();
  const settings = { mappedFileSizeCommitLog: 4 * MiB, appendBufferSize: 256 * 1024, putMessageTimeout: 3_000 };
  const { log, queue } = await openLog(
    t,
    { ...settings, syncFlushTimeout: 60_000 },
    { clock, wrap: (fs) => faults.wrap(fs) },
  );
  faults.holdWrites = true;
  const first = log.asyncPutMessage(message());
  const body = Buffer.alloc(50_000);
  const puts = Array.from({ length: 20 }, () => log.asyncPutMessage(message({ body })));
  await settle();
  assert.ok(log.stalledCount > 0, 'some wait for room');
  assert.ok(queue.maxOffset - queue.committedWhere <= 256 * 1024 + 2 * 64 * 1024);
  await clock.advance(3_001);
  const timedOut = (await Promise.race([Promise.all(puts.slice(-1)), settle()])) as {
    status: string;
    reason: string;
  }[];
  assert.equal(timedOut[0]?.status, 'OS_PAGE_CACHE_BUSY');
  assert.match(timedOut[0]?.reason ?? '', /3000 ms/);
  faults.release();
  assert.equal((await first).status, 'PUT_OK', 'what had room waits for the write and gets its answer');
  const statuses = (await Promise.all(puts)).map((result) => result.status);
  assert.ok(statuses.includes('PUT_OK'));
});

test('append: the clock stepping back a minute does not make records older than their predecessors', async (t) => {
  const clock = new ManualClock();
  const { log } = await openLog(t, {}, { clock });
  const before = await log.asyncPutMessage(message());
  clock.stepWallClock(-60_000);
  const after = await log.asyncPutMessage(message());
  assert.ok(after.storeTimestamp >= before.storeTimestamp);
});

test('append: enabledAppendPropCRC closes the properties with a checksum of the record', async (t) => {
  const { log, queue } = await openLog(t, { enabledAppendPropCRC: true });
  for (const propertiesString of ['', 'a\u0001b\u0002', 'a\u0001b']) {
    const result = await log.asyncPutMessage(message({ propertiesString }));
    const record = await queue.read(result.wroteOffset, result.wroteBytes);
    const check = checkMessageAndReturnSize(record, 0, { checkCrc: true, verifyPropCrc: true });
    assert.equal(check.kind, 'record');
    record[60]! ^= 1;
    assert.equal(checkMessageAndReturnSize(record, 0, { verifyPropCrc: true }).kind, 'bad');
  }
});

test('shutdown: the last group is answered, everything is on disk, later appends are refused', async (t) => {
  const { log, queue, close } = await openLog(t);
  const puts = Array.from({ length: 100 }, () => log.asyncPutMessage(message()));
  const closed = close();
  const late = await log.asyncPutMessage(message());
  assert.equal(late.status, 'SERVICE_NOT_AVAILABLE');
  for (const result of await Promise.all(puts)) assert.equal(result.status, 'PUT_OK');
  await closed;
  assert.equal(queue.flushedWhere, queue.maxOffset);
});

test('whenFlushed: does not resolve for what is written while its sync is under way', async (t) => {
  const faults = new Faults();
  const { log, queue } = await openLog(t, {}, { wrap: (fs) => faults.wrap(fs) });
  faults.holdSync();
  const result = await log.asyncPutMessage(message(), 'async');
  assert.equal(result.status, 'PUT_OK');
  assert.equal(queue.committedWhere, result.wroteBytes, 'written');
  let isOnDisk = false;
  const flushed = log.whenFlushed(result.wroteBytes).then(() => {
    isOnDisk = true;
  });
  await settle();
  const isAnsweredEarly = isOnDisk;
  faults.release();
  await flushed;
  assert.equal(isAnsweredEarly, false);
  assert.equal(queue.flushedWhere, result.wroteBytes);
});

test('whenFlushed: resolves when on disk, refuses what is beyond the log', async (t) => {
  const { log } = await openLog(t);
  const result = await log.asyncPutMessage(message(), 'async');
  await log.whenFlushed(result.wroteBytes);
  await assert.rejects(log.whenFlushed(result.wroteBytes + 1), { code: 'STORE_OFFSET_OUT_OF_RANGE' });
});

test('a property with a zero byte, or a client’s own __CRC32#: the record gets the checksum, and a power cut’s rule keeps it', async (t) => {
  const { log, queue } = await openLog(t);
  const fake = '__CRC32#\u00011234567890\u0002';
  for (const propertiesString of ['KEYS\u0001a\u0000b\u0002', fake, `A\u0001b\u0002${fake}`, 'KEYS\u0001plain\u0002']) {
    const put = await log.asyncPutMessage(message({ propertiesString }));
    assert.equal(put.status, 'PUT_OK');
    const bytes = await queue.read(put.wroteOffset, put.wroteBytes);
    const options = { checkCrc: true, checkTorn: true, expectedPhysicalOffset: put.wroteOffset };
    assert.equal(checkMessageAndReturnSize(bytes, 0, options).kind, 'record');
    const properties = decodeMessage(bytes)!.properties;
    assert.equal(properties.has('__CRC32#'), !propertiesString.includes('plain'));
    assert.notEqual(properties.get('__CRC32#'), '1234567890');
  }
});

test('a topic with a zero byte is refused', async (t) => {
  const { log } = await openLog(t);
  const put = await log.asyncPutMessage(message({ topic: 'a\u0000b' }));
  assert.deepEqual([put.status, put.reason], ['MESSAGE_ILLEGAL', 'topic holds a zero byte']);
});

test('durability group under ASYNC_FLUSH: answered FLUSH_DISK_TIMEOUT while a flush hangs, once, and stored all the same', async (t) => {
  const clock = new ManualClock();
  const fileSystem = new SimulatedFileSystem();
  await fileSystem.makeDirectory(tmpdir());
  const settings = { flushDiskType: 'ASYNC_FLUSH', flushIntervalCommitLog: 500, syncFlushTimeout: 2_000 } as const;
  const { log, close } = await openLog(t, settings, { clock, fileSystem });
  const held = fileSystem.hold('sync', /commitlog\/\d+$/);
  const pending = log.asyncPutMessage(message(), 'group');
  let answers = 0;
  void pending.then(() => answers++);
  await clock.advance(2_499);
  assert.equal(answers, 0);
  await clock.advance(1);
  const put = await pending;
  assert.equal(put.status, 'FLUSH_DISK_TIMEOUT');
  assert.match(put.reason ?? '', /not on disk after 2500 ms/);
  held.release();
  await clock.advance(1_000);
  await close();
  assert.equal(put.status, 'FLUSH_DISK_TIMEOUT');
  assert.equal(log.mappedFileQueue.flushedWhere, put.wroteBytes);
});

test('dispatch: held while what it fills cannot be written, then goes on where it was; puts are refused before memory is full', async (t) => {
  let held: string | undefined = 'no descriptor';
  const { log, dispatched } = await openLog(
    t,
    { flushDiskType: 'ASYNC_FLUSH', mappedFileSizeCommitLog: 16 * MiB },
    { dispatchHeldReason: () => held },
  );
  const first = await log.asyncPutMessage(message());
  assert.equal(first.status, 'PUT_OK');
  assert.equal(dispatched.length, 0);
  assert.equal(log.dispatchedWhere, 0);
  assert.equal(log.dispatchBehindReason, undefined);
  const parts = Array.from({ length: 500 }, () => ({ flag: 0, body: Buffer.alloc(1), propertiesString: '' }));
  const { body: _, propertiesString: __, flag: ___, ...head } = message();
  let refused: string | undefined;
  let count = 1;
  for (; refused === undefined && count < 2 * DISPATCH_PENDING_MAX; count += parts.length) {
    const result = await log.asyncPutMessages({ ...head, messages: parts });
    if (result.status !== 'PUT_OK') refused = `${result.status}: ${result.reason}`;
  }
  assert.match(refused!, /SERVICE_NOT_AVAILABLE: \d+ messages wait to be dispatched, no descriptor/);
  assert.ok(count >= DISPATCH_PENDING_MAX && count < DISPATCH_PENDING_MAX + 2 * parts.length);
  assert.equal(dispatched.length, 0);
  held = undefined;
  log.resumeDispatch();
  assert.ok(dispatched.length >= DISPATCH_PENDING_MAX);
  assert.equal(log.dispatchedWhere, log.mappedFileQueue.maxOffset);
  const offsets = dispatched.map((request) => request.commitLogOffset);
  assert.deepEqual(
    offsets,
    [...offsets].sort((a, b) => a - b),
  );
  assert.equal((await log.asyncPutMessage(message())).status, 'PUT_OK');
  assert.equal(dispatched.at(-1)!.consumeQueueOffset, dispatched.length - 1, 'none was left out');
});
