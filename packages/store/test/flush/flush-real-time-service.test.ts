import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, settle } from '@vernier/torture';
import { silentLogger } from '../../src/base/logger.ts';
import { CommitRealTimeService } from '../../src/flush/commit-real-time-service.ts';
import { FlushRealTimeService } from '../../src/flush/flush-real-time-service.ts';
import { GroupWriteService } from '../../src/flush/group-write-service.ts';
import { emptyResult, FakeLog, injected } from './fake-log.ts';

const defaults = {
  flushIntervalCommitLog: 500,
  flushCommitLogLeastPages: 4,
  flushCommitLogThoroughInterval: 10_000,
  flushCommitLogTimed: true,
  wakeFlushWhenPutMessage: false,
};

function flushService(options: Partial<typeof defaults> = {}) {
  const clock = new ManualClock();
  const log = new FakeLog();
  const service = new FlushRealTimeService(log, log, { clock, ...defaults, ...options });
  service.start();
  const append = (bytes: number): void => {
    log.maxOffset += bytes;
    service.onAppended();
  };
  return { clock, log, service, append };
}

test('flush real time: flushes at the interval after the first unflushed byte, not before', async () => {
  const { clock, log, service, append } = flushService();
  append(20_000);
  await clock.advance(499);
  assert.equal(log.flushedWhere, 0);
  await clock.advance(1);
  assert.equal(log.flushedWhere, 20_000);
  await service.shutdown();
});

test('flush real time: less than the least pages waits for the thorough flush', async () => {
  const { clock, log, service, append } = flushService();
  append(100);
  await clock.advance(9_500);
  assert.equal(log.flushedWhere, 0, 'less than 16 KiB is new');
  await clock.advance(1_000);
  assert.equal(log.flushedWhere, 100);
  await service.shutdown();
});

test('flush real time: our default of 0 pages takes whatever is there at each interval', async () => {
  const { clock, log, service, append } = flushService({ flushCommitLogLeastPages: 0 });
  append(1);
  await clock.advance(500);
  assert.equal(log.flushedWhere, 1);
  await service.shutdown();
});

test('flush real time: timed keeps its interval whatever is appended; woken flushes at once', async () => {
  const timed = flushService({ wakeFlushWhenPutMessage: true });
  timed.append(20_000);
  timed.append(20_000);
  await settle();
  assert.equal(timed.log.flushedWhere, 0);
  await timed.service.shutdown();

  const woken = flushService({ flushCommitLogTimed: false, wakeFlushWhenPutMessage: true });
  woken.append(20_000);
  await settle();
  assert.equal(woken.log.flushedWhere, 20_000);
  await woken.service.shutdown();
});

test('flush real time: flushNow takes what is there without waiting', async () => {
  const { log, service, append } = flushService();
  append(10);
  service.flushNow();
  await settle();
  assert.equal(log.flushedWhere, 10);
  await service.shutdown();
});

test('flush real time: idle means no timer; shutdown leaves nothing unflushed', async () => {
  const { clock, log, service, append } = flushService();
  append(20_000);
  await clock.advance(500);
  await settle();
  assert.equal(clock.timerCount, 0);
  append(10);
  await settle();
  await service.shutdown();
  assert.equal(log.flushedWhere, 20_010);
});

test('flush real time: after a failed flush the disk is not asked again, not even at shutdown', async () => {
  const { clock, log, service, append } = flushService();
  append(20_000);
  log.failNext = injected();
  await clock.advance(500);
  log.failNext = undefined;
  const calls = log.flushCalls.length;
  append(20_000);
  await clock.advance(60_000);
  await service.shutdown();
  assert.equal(log.flushCalls.length, calls);
  assert.equal(log.flushedWhere, 0);
});

function commitService(options: { wakeCommitWhenPutMessage?: boolean } = {}) {
  const clock = new ManualClock();
  const log = new FakeLog();
  const service = new CommitRealTimeService(log, log, {
    clock,
    commitIntervalCommitLog: 200,
    commitCommitLogLeastPages: 4,
    commitCommitLogThoroughInterval: 200,
    wakeCommitWhenPutMessage: options.wakeCommitWhenPutMessage ?? true,
  });
  service.start();
  const append = (bytes: number): void => {
    log.maxOffset += bytes;
    service.onAppended();
  };
  return { clock, log, service, append };
}

test('commit real time: four pages are committed when woken, less within the thorough interval', async () => {
  const { clock, log, service, append } = commitService();
  append(20_000);
  await settle();
  assert.equal(log.committedWhere, 20_000);
  append(100);
  await settle();
  assert.equal(log.committedWhere, 20_000);
  await clock.advance(200);
  assert.equal(log.committedWhere, 20_100);
  assert.deepEqual(log.committedEvents, [20_000, 20_100]);
  await service.shutdown();
});

test('commit real time: without the wake-up the interval decides; idle has no timer; shutdown commits the rest', async () => {
  const { clock, log, service, append } = commitService({ wakeCommitWhenPutMessage: false });
  append(20_000);
  await settle();
  append(20_000);
  await clock.advance(200);
  assert.equal(log.committedWhere, 40_000);
  await settle();
  assert.equal(clock.timerCount, 0);
  append(1);
  await service.shutdown();
  assert.equal(log.committedWhere, 40_001);
});

test('group write: appends of one turn share a write and are answered once written', async () => {
  const clock = new ManualClock();
  const log = new FakeLog();
  const service = new GroupWriteService(log, log, { clock, logger: silentLogger, putMessageTimeout: 8_000 });
  service.start();
  const futures = [1, 2, 3].map(() => {
    log.maxOffset += 10;
    return service.submit(log.maxOffset, emptyResult());
  });
  const results = await Promise.all(futures);
  assert.deepEqual(
    results.map((result) => result.status),
    ['PUT_OK', 'PUT_OK', 'PUT_OK'],
  );
  assert.equal(log.commitCalls.length, 1);
  assert.equal(log.flushCalls.length, 0);
  await service.shutdown();
});

test('group write: a failed write acknowledges nothing, now or later', async () => {
  const clock = new ManualClock();
  const log = new FakeLog();
  const service = new GroupWriteService(log, log, { clock, logger: silentLogger, putMessageTimeout: 8_000 });
  service.start();
  log.failNext = injected();
  log.maxOffset = 10;
  assert.equal((await service.submit(10, emptyResult())).status, 'UNKNOWN_ERROR');
  log.failNext = undefined;
  log.maxOffset = 20;
  assert.equal((await service.submit(20, emptyResult())).status, 'UNKNOWN_ERROR');
  assert.equal(log.commitCalls.length, 1);
  await service.shutdown();
});

test('flush real time: a fault of the program is reported, and does not end interval flushing without a word', async () => {
  const { clock, log, service, append } = flushService();
  const fault = new TypeError('not a flush failure');
  log.faultOnFlushed = fault;
  append(20_000);
  await clock.advance(500);
  assert.deepEqual(log.thrown, [fault]);
  await service.shutdown();
});

test('flush real time: a flush that claims success but moves nothing is reported, and the shutdown ends', async () => {
  const { log, service, append } = flushService();
  log.isStuck = true;
  append(20_000);
  await service.shutdown();
  assert.match(String(log.thrown[0]), /nothing advanced/);
});

test('commit real time: a commit that claims success but moves nothing is reported, and the shutdown ends', async () => {
  const { log, service, append } = commitService();
  log.isStuck = true;
  append(100);
  await service.shutdown();
  assert.match(String(log.thrown[0]), /nothing advanced/);
});

test('group write: a write that claims success but moves nothing acknowledges nothing and is reported', async () => {
  const clock = new ManualClock();
  const log = new FakeLog();
  const service = new GroupWriteService(log, log, { clock, logger: silentLogger, putMessageTimeout: 8_000 });
  service.start();
  log.isStuck = true;
  log.maxOffset = 10;
  assert.equal((await service.submit(10, emptyResult())).status, 'UNKNOWN_ERROR');
  assert.match(String(log.thrown[0]), /nothing advanced/);
  await service.shutdown();
});
