import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, settle } from '@vernier/torture';
import { type StoreLogger, silentLogger } from '../../src/base/logger.ts';
import type { PutMessageResult } from '../../src/base/types.ts';
import { GroupCommitRequest } from '../../src/flush/group-commit-request.ts';
import { GroupCommitService } from '../../src/flush/group-commit-service.ts';
import { emptyResult, FakeLog, injected } from './fake-log.ts';

function setUp(options: { fileSize?: number; onlyOnRequest?: boolean; logger?: StoreLogger } = {}) {
  const clock = new ManualClock();
  const log = new FakeLog(options.fileSize);
  const service = new GroupCommitService(log, log, {
    clock,
    logger: options.logger ?? silentLogger,
    syncFlushTimeout: 5_000,
    onlyOnRequest: options.onlyOnRequest,
  });
  const answers: string[] = [];
  const append = (bytes: number): Promise<PutMessageResult> => {
    log.maxOffset += bytes;
    const future = service.submit(log.maxOffset, emptyResult());
    void future.then((result) => answers.push(result.status));
    return future;
  };
  return { clock, log, service, append, answers };
}

test('group commit: a request is answered only after the flush that covers it', async () => {
  const { log, service, append, answers } = setUp();
  log.held = true;
  service.start();
  const begun = log.flushBegun();
  const future = append(100);
  await begun;
  await settle();
  assert.deepEqual(answers, [], 'nothing is acknowledged while the flush is in flight');
  log.release();
  assert.equal((await future).status, 'PUT_OK');
  assert.equal(log.flushedWhere, 100);
  log.held = false;
  await service.shutdown();
});

test('group commit: what comes during a flush is one group with one flush, not acknowledged by the flush before', async () => {
  const { log, service, append, answers } = setUp();
  log.held = true;
  service.start();
  const first = log.flushBegun();
  void append(100);
  await first;
  const second = log.flushBegun();
  const later = Array.from({ length: 50 }, () => append(10));
  log.release();
  await second;
  await settle();
  assert.deepEqual(answers, ['PUT_OK'], 'the first flush began before the fifty were appended');
  log.held = false;
  log.release();
  await Promise.all(later);
  assert.equal(log.flushCalls.length, 2);
  assert.deepEqual(log.groups, [1, 50]);
  await service.shutdown();
});

test('group commit: requests of one turn of the event loop share a flush', async () => {
  const { log, service, append } = setUp();
  service.start();
  await Promise.all([append(10), append(10), append(10)]);
  assert.deepEqual(log.groups, [3]);
  await service.shutdown();
});

test('group commit: a request across a file roll needs two flushes, the part before is answered by the first', async () => {
  const { log, service, append, answers } = setUp({ fileSize: 100 });
  log.held = true;
  service.start();
  const first = log.flushBegun();
  void append(100);
  void append(50);
  await first;
  const second = log.flushBegun();
  log.release();
  await second;
  await settle();
  assert.deepEqual(answers, ['PUT_OK']);
  log.held = false;
  log.release();
  await settle();
  assert.deepEqual(answers, ['PUT_OK', 'PUT_OK']);
  assert.equal(log.flushCalls.length, 2);
  await service.shutdown();
});

test('group commit: FLUSH_DISK_TIMEOUT on time while the flush hangs; the flush goes on and its end is not an answer', async () => {
  const { clock, log, service, append, answers } = setUp();
  log.held = true;
  service.start();
  const begun = log.flushBegun();
  const future = append(100);
  await begun;
  await clock.advance(4_998);
  assert.deepEqual(answers, []);
  await clock.advance(2);
  const result = await future;
  assert.equal(result.status, 'FLUSH_DISK_TIMEOUT');
  assert.match(result.reason ?? '', /5000 ms/);
  log.held = false;
  log.release();
  await settle();
  assert.equal(log.flushedWhere, 100);
  assert.deepEqual(answers, ['FLUSH_DISK_TIMEOUT']);
  await service.shutdown();
});

test('group commit: a thousand requests that time out are answered each, and are one line a second with their number', async () => {
  const lines: { timedOutBefore?: number }[] = [];
  const logger = { ...silentLogger, warn: (fields: object) => void lines.push(fields) };
  const { clock, log, service, append, answers } = setUp({ logger });
  log.held = true;
  service.start();
  for (let round = 0; round < 10; round++) {
    for (let request = 0; request < 100; request++) void append(1);
    await clock.advance(10);
  }
  await clock.advance(5_000);
  assert.equal(answers.length, 1_000);
  assert.ok(answers.every((status) => status === 'FLUSH_DISK_TIMEOUT'));
  assert.equal(lines.length, 1);
  void append(1);
  await clock.advance(5_000);
  assert.deepEqual(
    lines.map(({ timedOutBefore }) => timedOutBefore),
    [0, 999],
  );
  log.held = false;
  log.release();
  await service.shutdown();
});

test('group commit: requests of both lists time out in order, each at its own deadline', async () => {
  const { clock, log, service, append, answers } = setUp();
  log.held = true;
  service.start();
  const begun = log.flushBegun();
  void append(1);
  await begun;
  await clock.advance(1_000);
  void append(1);
  await clock.advance(4_000);
  assert.equal(answers.length, 1);
  await clock.advance(1_000);
  assert.equal(answers.length, 2);
  log.held = false;
  log.release();
  await service.shutdown();
});

test('group commit: after a failed flush nobody is ever acknowledged and the disk is not asked again', async () => {
  const { log, service, append, answers } = setUp();
  log.held = true;
  service.start();
  const begun = log.flushBegun();
  const waiting = append(100);
  await begun;
  const gathered = append(100);
  log.failNext = injected();
  log.release();
  const results = await Promise.all([waiting, gathered]);
  for (const result of results) {
    assert.equal(result.status, 'UNKNOWN_ERROR');
    assert.equal(result.cause?.code, 'STORE_FLUSH_FAILED');
  }
  log.failNext = undefined;
  log.held = false;
  const calls = log.flushCalls.length;
  assert.equal((await append(10)).status, 'UNKNOWN_ERROR');
  assert.equal(log.flushCalls.length, calls);
  assert.ok(!answers.includes('PUT_OK'));
  await service.shutdown();
});

test('group commit: a flush that claims success but moves nothing acknowledges nothing', async () => {
  const { log, service, append } = setUp();
  log.isStuck = true;
  service.start();
  assert.equal((await append(10)).status, 'UNKNOWN_ERROR');
  assert.match(String(log.thrown[0]), /nothing advanced/, 'the store is told, and not this service alone');
  await service.shutdown();
});

test('group commit: a fault of the program during a round is reported as what it is and acknowledges nothing', async () => {
  const { log, service, append, answers } = setUp();
  const fault = new TypeError('not a flush failure');
  log.faultOnFlushed = fault;
  service.start();
  const { status, cause } = await append(10);
  assert.equal(status, 'UNKNOWN_ERROR');
  assert.deepEqual(log.thrown, [fault]);
  assert.equal(cause?.code, 'STORE_INTERNAL_ERROR');
  assert.equal(cause?.cause, fault);
  log.faultOnFlushed = undefined;
  assert.equal((await append(10)).status, 'UNKNOWN_ERROR');
  assert.ok(!answers.includes('PUT_OK'));
  await service.shutdown();
});

test('group commit: bytes that nobody waits for are flushed too, unless it serves requests alone', async () => {
  const { log, service } = setUp();
  service.start();
  log.maxOffset = 500;
  service.wakeup();
  await settle();
  assert.equal(log.flushedWhere, 500);
  await service.shutdown();

  const beside = setUp({ onlyOnRequest: true });
  beside.service.start();
  beside.log.maxOffset = 500;
  beside.service.wakeup();
  await settle();
  assert.equal(beside.log.flushedWhere, 0);
  await beside.service.shutdown();
  assert.equal(beside.log.flushedWhere, 0);
});

test('group commit: the last group is answered on shutdown, and everything is flushed', async () => {
  const { log, service, append, answers } = setUp();
  log.held = true;
  service.start();
  const begun = log.flushBegun();
  void append(1);
  await begun;
  void append(1);
  const stopped = service.shutdown();
  void append(1);
  log.held = false;
  log.release();
  await stopped;
  assert.deepEqual(answers, ['PUT_OK', 'PUT_OK', 'PUT_OK']);
  assert.equal(log.flushedWhere, 3);
});

test('group commit: idle means no timer and no flush', async () => {
  const { clock, log, service, append } = setUp();
  service.start();
  await append(10);
  await clock.advance(6_000);
  assert.equal(clock.timerCount, 0);
  const calls = log.flushCalls.length;
  await clock.advance(3_600_000);
  assert.equal(log.flushCalls.length, calls);
  await service.shutdown();
});

test('group commit request: the first answer counts, later ones change nothing', async () => {
  const request = new GroupCommitRequest(10, 0, emptyResult());
  request.wakeupCustomer('FLUSH_DISK_TIMEOUT');
  request.wakeupCustomer('PUT_OK');
  assert.equal((await request.future).status, 'FLUSH_DISK_TIMEOUT');
  assert.ok(request.isAnswered);
});

test('group commit: waiters are counted and the oldest is known', async () => {
  const { clock, log, service, append } = setUp();
  log.held = true;
  service.start();
  const begun = log.flushBegun();
  void append(1);
  await begun;
  await clock.advance(200);
  void append(1);
  assert.equal(service.waiterCount, 2);
  assert.equal(service.oldestWaiterMs, 200);
  log.held = false;
  log.release();
  await service.shutdown();
  assert.equal(service.waiterCount, 0);
  assert.equal(service.oldestWaiterMs, 0);
});
